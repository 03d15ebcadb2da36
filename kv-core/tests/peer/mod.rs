//! Real servers to talk to. Each test file that needs one includes this module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};

/// A redis-server of its own, stopped when dropped.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one on a free port and a Unix socket, or says that it is not installed: then the test
    /// is skipped, or fails where `KV_REQUIRE_PEERS=1` asks for every peer.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Another process may take a free port before redis does: then redis ends, and we try again.
        for _ in 0..10 {
            let port = free_port();
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            command.arg("--dir").arg(folder.path());
            command.arg("--unixsocket").arg(folder.path().join("redis.sock")).args(args);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
            let mut child = match child {
                Ok(child) => child,
                Err(error) => {
                    let required =
                        std::env::var("KV_REQUIRE_PEERS").is_ok_and(|value| value == "1");
                    assert!(!required, "redis-server cannot be started: {error}");
                    println!("skipped: redis-server is not installed");
                    return None;
                }
            };
            let lines = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
            if lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections"))
            {
                return Some(Self { child, port, folder });
            }
            let _ = child.wait();
        }
        panic!("redis-server found no port in ten attempts");
    }

    pub(crate) fn socket(&self) -> String {
        self.folder.path().join("redis.sock").display().to_string()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port nobody listens at.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener").port()
}
