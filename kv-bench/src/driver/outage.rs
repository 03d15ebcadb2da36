//! Servers that are away for a while: since when, and the operations that wait for them.
//!
//! A client that finds the connection for its next operation down does what a caller does: it waits
//! until the connection is back, at most for the timeout. Its operation counts once, from that
//! moment on, however often the connection is tried meanwhile; so an outage costs the time that it
//! lasted and is seen in the latencies.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::recorder::{Counts, Outage};
use crate::workload::Kind;

/// An operation whose connection was down when its client came to it.
pub(super) struct Held {
    pub(super) kind: Kind,
    /// The connection that it waits for.
    pub(super) connection: usize,
    /// As it will be sent.
    pub(super) request: Vec<u8>,
    pub(super) since_ns: u64,
}

/// A server as one worker sees it.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Connections that may be used, of clients that have anything left to do.
    ready: u32,
    /// When the last of them was lost.
    away_since_ns: Option<u64>,
}

/// Which servers one worker can reach.
pub(super) struct Reach {
    nodes: Vec<Node>,
    /// When the phase began.
    start_ns: u64,
}

/// What is published of a server by a worker that has nothing left to do.
pub(super) const NOT_CONCERNED: u64 = u64::MAX;

impl Reach {
    pub(super) fn new(nodes: usize) -> Self {
        Self { nodes: vec![Node::default(); nodes], start_ns: 0 }
    }

    /// A phase begins, with the connections to the nodes that `ready` names, one by one.
    pub(super) fn begin(&mut self, start_ns: u64, ready: impl Iterator<Item = usize>) {
        self.start_ns = start_ns;
        self.nodes.iter_mut().for_each(|node| node.ready = 0);
        for node in ready {
            self.nodes[node].ready += 1;
        }
        for node in &mut self.nodes {
            let since_ns = node.away_since_ns.unwrap_or(start_ns);
            node.away_since_ns = (node.ready == 0).then_some(since_ns);
        }
    }

    /// A connection is ready.
    pub(super) fn gain(&mut self, node: usize, now_ns: u64, counts: &mut Counts) {
        let state = &mut self.nodes[node];
        state.ready += 1;
        if let (Some(since_ns), Some(outage)) =
            (state.away_since_ns.take(), counts.outages.get_mut(node))
        {
            let away_ns = now_ns.saturating_sub(since_ns.max(self.start_ns));
            outage.longest_ns = outage.longest_ns.max(away_ns);
        }
    }

    /// A ready connection was lost.
    pub(super) fn lose(&mut self, node: usize, now_ns: u64) {
        let state = &mut self.nodes[node];
        state.ready -= 1;
        if state.ready == 0 {
            state.away_since_ns = Some(now_ns);
        }
    }

    /// The client of a ready connection has nothing left to do; `is_last` when no other has either.
    pub(super) fn retire(&mut self, node: usize, now_ns: u64, is_last: bool) {
        let state = &mut self.nodes[node];
        state.ready -= 1;
        if state.ready == 0 && !is_last {
            state.away_since_ns = Some(now_ns);
        }
    }

    /// Adds the outages that go on at the end of the phase.
    pub(super) fn end(&self, now_ns: u64, outages: &mut [Outage]) {
        for (node, outage) in self.nodes.iter().zip(outages) {
            if let Some(since_ns) = node.away_since_ns {
                let away_ns = now_ns.saturating_sub(since_ns.max(self.start_ns));
                outage.longest_ns = outage.longest_ns.max(away_ns);
                outage.lasts = true;
            }
        }
    }

    /// Tells since when each server is away; 0 for one that is there.
    pub(super) fn publish(&self, away_since_ns: &[AtomicU64]) {
        for (node, published) in self.nodes.iter().zip(away_since_ns) {
            published.store(node.away_since_ns.unwrap_or(0), Ordering::Relaxed);
        }
    }
}
