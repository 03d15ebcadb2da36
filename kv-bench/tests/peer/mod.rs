//! Peers that a test needs: skipped with a line where they are missing, required by
//! `KV_REQUIRE_PEERS=1`.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

/// Whether a program can be run here.
pub(crate) fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let required = std::env::var_os("KV_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "{program} is missing and KV_REQUIRE_PEERS=1");
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// A redis-server of the test's own, ended with it.
pub(crate) struct Redis {
    pub(crate) port: u16,
    child: Child,
}

impl Redis {
    /// Starts one with extra arguments; `None` where redis-server is missing.
    pub(crate) fn start(extra: &[&str]) -> Option<Self> {
        if !is_there("redis-server") {
            return None;
        }
        // Another process may take a free port before redis does: then redis ends, and we try again.
        for _ in 0..10 {
            let port = free_port();
            let mut child = Command::new("redis-server")
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
                .args(extra)
                .stdout(Stdio::piped())
                .spawn()
                .expect("it is installed");
            let log = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
            if log.map_while(Result::ok).any(|line| line.contains("Ready to accept connections")) {
                return Some(Self { port, child });
            }
            let _ = child.wait();
        }
        panic!("redis-server found no port in ten attempts");
    }

    /// What redis-cli prints for a command.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(words)
            .output()
            .expect("redis-cli comes with redis-server");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}
