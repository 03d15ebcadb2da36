//! A kv-server that runs already, as a process of the test's own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

/// Ends with the test.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// One that listens at a free port.
    pub(crate) fn ready() -> Self {
        Self::at(0)
    }

    pub(crate) fn at(port: u16) -> Self {
        Self::told(port, &[])
    }

    /// One that listens at `port` and is told more by `words`. It says so itself: whoever answers there might be the server of
    /// another test, which was quicker.
    pub(crate) fn told(port: u16, words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv-bench"));
        command.args(["serve", "--parent", &std::process::id().to_string(), "--", "--announce"]);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]).args(words);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it runs");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("it announces itself");
        let address = line.trim().strip_prefix("ready ").and_then(|address| address.parse().ok());
        Self { child, address: address.unwrap_or_else(|| panic!("'{line}' is no address")) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already, or be stopped and hear nothing else.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
