//! A server within the test's own process.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use kv_server::{Config, Server, ServerError, Shutdown};

use super::Wire;

/// A server on a free port, stopped and joined when dropped.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    labelled: Vec<(&'static str, SocketAddr)>,
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
        let labelled = server.labelled_addrs();
        let shutdown = server.shutdown();
        let serving = Some(std::thread::spawn(|| server.run()));
        Self { address, labelled, shutdown, serving }
    }

    /// The address for something else than plain RESP: `tls:`, `metrics:`.
    pub(crate) fn address_for(&self, label: &str) -> SocketAddr {
        let found = self.labelled.iter().find(|(known, _)| *known == label);
        found.unwrap_or_else(|| panic!("{label} in {:?}", self.labelled)).1
    }

    /// Begins its end; the others go on.
    pub(crate) fn shut_down(&self) {
        self.shutdown.raise();
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
