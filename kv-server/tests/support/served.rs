//! A server within the test's own process.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use kv_server::{Config, Server, ServerError, Shutdown};

use super::Wire;

/// A server on a free port, stopped and joined when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    shutdown: Shutdown,
    serving: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Served {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// Starts one whose settings were changed first.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config { port: 0, ..Config::default() };
        change(&mut config);
        let server = Server::bind(&config).expect("a free port");
        let address = server.local_addrs()[0];
        let shutdown = server.shutdown();
        let serving = Some(std::thread::spawn(|| server.run()));
        Self { address, shutdown, serving }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::to(self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.raise();
        let served = self.serving.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            served.expect("joined once").expect("the server does not panic").expect("a clean end");
        }
    }
}
