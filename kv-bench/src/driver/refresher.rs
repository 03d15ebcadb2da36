//! What is done about servers that move or are away, apart from the measured path: asks a cluster for
//! its topology when a worker has come to doubt it, and makes rings around servers that are down.

use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::clock::now_ns;
use crate::probe::slots_of;
use crate::target::{Address, Credentials, Endpoint, Protocol, Target, Topology};

/// How often it looks whether anybody doubts; so the nodes are asked twenty times a second at most.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it looks whether a server has gone or come back.
const REVIEW_EVERY: Duration = Duration::from_millis(10);
/// How long one node may take to answer.
const ANSWER_TIME: Duration = Duration::from_millis(500);

/// A thread that ends with this.
pub(super) struct Refresher {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Refresher {
    /// Of a target that changes; `None` of another one.
    pub(super) fn start(target: &impl Target) -> std::io::Result<Option<Self>> {
        let credentials = target.credentials();
        if let Some(topology) = target.topology().cloned() {
            return Self::spawn(move |ended| keep(&topology, &credentials, ended)).map(Some);
        }
        let Some(detours) = target.detours().cloned() else { return Ok(None) };
        // The first operation may need it.
        detours.review(now_ns());
        let review = move |ended: &Receiver<()>| {
            while ended.recv_timeout(REVIEW_EVERY) == Err(RecvTimeoutError::Timeout) {
                detours.review(now_ns());
            }
        };
        Self::spawn(review).map(Some)
    }

    fn spawn(work: impl FnOnce(&Receiver<()>) + Send + 'static) -> std::io::Result<Self> {
        let (end, ended) = bounded(0);
        let builder = std::thread::Builder::new().name("topology".to_owned());
        let thread = builder.spawn(move || work(&ended))?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for Refresher {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

fn keep(topology: &Arc<Topology>, credentials: &Credentials, ended: &Receiver<()>) {
    while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        if !topology.take_doubt() {
            continue;
        }
        for host in topology.take_unknown() {
            // One that is not found is asked for again by who needs it.
            if let Ok(found) = (host.as_str(), 0).to_socket_addrs() {
                topology.know(host, found.map(|address| address.ip()).collect());
            }
        }
        for address in topology.to_ask() {
            let endpoint = Endpoint {
                name: address.to_string(),
                address: Address::Tcp(address),
                protocol: Protocol::RedisCluster,
                credentials: credentials.clone(),
            };
            // One that does not answer, or is not in the cluster, is no reason to give up the others.
            if let Ok(slots) = slots_of(&endpoint, ANSWER_TIME)
                && !slots.ranges.is_empty()
            {
                topology.apply(&slots.ranges);
                break;
            }
            let has_ended = ended.try_recv().is_err_and(|error| error.is_disconnected());
            if has_ended {
                return;
            }
        }
    }
}
