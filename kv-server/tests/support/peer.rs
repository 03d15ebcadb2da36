//! The reference: a redis-server of our own.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

/// Says that a test is skipped for want of something; fails where `KV_REQUIRE_PEERS=1` asks for
/// everything.
pub(crate) fn skip(why: &str) {
    let required = std::env::var("KV_REQUIRE_PEERS").is_ok_and(|value| value == "1");
    assert!(!required, "{why}");
    println!("skipped: {why}");
}

/// A redis-server without files, stopped when dropped.
pub(crate) struct Redis {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Redis {
    /// Starts one on a free port; `None`, and a line, without redis.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        // Another process may take a free port before redis does: then redis ends, and we try again.
        for _ in 0..10 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = listener.local_addr().expect("a bound listener");
            drop(listener);
            let mut command = Command::new("redis-server");
            command.args(["--port", &address.port().to_string(), "--bind", "127.0.0.1"]);
            command.args(["--save", "", "--dir", "/"]).args(args);
            let mut child = match command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn() {
                Ok(child) => child,
                Err(error) => {
                    skip(&format!("redis-server cannot be started: {error}"));
                    return None;
                }
            };
            let lines = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
            let redis = Self { child, address };
            if lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections"))
            {
                return Some(redis);
            }
        }
        panic!("redis-server found no port in ten attempts");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
