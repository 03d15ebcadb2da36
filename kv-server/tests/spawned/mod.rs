//! A kv-server process to talk to.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A kv-server on a free port, killed when dropped.
pub(crate) struct Spawned {
    child: Child,
    pub(crate) port: u16,
}

impl Spawned {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kv-server"))
            .args(["--port", "0", "--announce"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("kv-server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("its first line");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.unwrap_or_else(|| panic!("'ready HOST:PORT' expected, not {line:?}"));
        Self { child, port }
    }

    /// Waits for its end, which somebody asked for.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().expect("a child to wait for").code()
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
