//! Servers that are away for a while: since when, and the operations that wait for them.
//!
//! A client that finds the connection for its next operation down does what a caller does: it waits
//! until the connection is back, at most for the timeout. Its operation counts once, from that
//! moment on, however often the connection is tried meanwhile; so an outage costs the time that it
//! lasted and is seen in the latencies. How long a server was silent, connected or not, is
//! [`super::silence`]'s.

use std::sync::atomic::{AtomicU64, Ordering};

use super::availability::Availability;
use super::connection::InFlight;
use super::following::Note;
use super::silence::{Hearing, Span};
use crate::recorder::Outage;

/// An operation whose connection was down when its client came to it.
pub(super) struct Held {
    /// Sent, to its client, when that came to it.
    pub(super) operation: InFlight,
    pub(super) note: Option<Note>,
    /// The connection that it waits for.
    pub(super) connection: usize,
    /// The server that the ring names.
    pub(super) own: usize,
    /// As it will be sent.
    pub(super) request: Vec<u8>,
    /// Where another server may get it.
    pub(super) key: Vec<u8>,
}

/// A server as one worker sees it.
#[derive(Debug, Clone, Copy, Default)]
struct Node {
    /// Connections that may be used, of clients that have anything left to do.
    ready: u32,
    /// When the last of them was lost.
    away_since_ns: Option<u64>,
    /// Nobody needs it: in a cluster, others have its slots.
    is_dispensable: bool,
}

/// A worker that has not seen its tick, ten times a second, for this long has not been running.
const ABSENCE_NS_MIN: u64 = 300_000_000;

/// Which servers one worker can reach and hear.
pub(super) struct Reach {
    nodes: Vec<Node>,
    /// Of each node, and last of all together.
    hearing: Vec<Hearing>,
    availability: Vec<Availability>,
    /// The last tick.
    ticked_ns: u64,
    /// The longest time in which the worker did not run.
    absence: Span,
}

/// What is published of a server by a worker that has nothing left to do.
pub(super) const NOT_CONCERNED: u64 = u64::MAX;

impl Reach {
    pub(super) fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![Node::default(); nodes],
            hearing: Vec::new(),
            availability: Vec::new(),
            ticked_ns: 0,
            absence: Span::default(),
        }
    }

    /// A phase begins, with the connections to the nodes that `ready` names, one by one.
    pub(super) fn begin(&mut self, start_ns: u64, ready: impl Iterator<Item = usize>) {
        self.hearing = vec![Hearing::new(start_ns); self.nodes.len() + 1];
        self.availability = vec![Availability::new(start_ns); self.nodes.len()];
        self.ticked_ns = start_ns;
        self.absence = Span::default();
        self.nodes.iter_mut().for_each(|node| node.ready = 0);
        for node in ready {
            self.nodes[node].ready += 1;
        }
        for node in &mut self.nodes {
            let since_ns = node.away_since_ns.unwrap_or(start_ns);
            node.away_since_ns = (node.ready == 0).then_some(since_ns);
        }
    }

    /// How many of them are away.
    pub(super) fn away(&self) -> usize {
        self.nodes.iter().filter(|node| node.away_since_ns.is_some()).count()
    }

    /// Those that matter are those that `matters` says. One that did not before is there as of now.
    pub(super) fn concern(&mut self, now_ns: u64, matters: impl Fn(usize) -> bool) {
        for (index, node) in self.nodes.iter_mut().enumerate() {
            let is_dispensable = !matters(index);
            if node.is_dispensable && !is_dispensable && node.away_since_ns.is_some() {
                node.away_since_ns = Some(now_ns);
            }
            node.is_dispensable = is_dispensable;
        }
    }

    /// A connection is ready.
    pub(super) fn gain(&mut self, node: usize) {
        self.nodes[node].ready += 1;
        self.nodes[node].away_since_ns = None;
    }

    /// `node` replied; the oldest operation that it replied to was sent at `sent_ns`.
    #[inline]
    pub(super) fn heard(&mut self, node: usize, sent_ns: u64, now_ns: u64) {
        // What came while the worker did not run is no silence of the server.
        let is_late = now_ns.saturating_sub(self.ticked_ns) >= ABSENCE_NS_MIN;
        let listening_ns = if is_late { self.ticked_ns } else { now_ns };
        let all = self.nodes.len();
        self.hearing[node].reply(sent_ns, listening_ns, now_ns);
        self.hearing[all].reply(sent_ns, listening_ns, now_ns);
    }

    /// What `node` replied had a success in it; the oldest operation that it replied to was sent at
    /// `sent_ns`.
    #[inline]
    pub(super) fn served(&mut self, node: usize, sent_ns: u64, now_ns: u64) {
        self.availability[node].success(sent_ns, now_ns);
    }

    /// An operation of `sent_ns` failed without a reply from `node`, which was waited for until
    /// `at_ns`.
    pub(super) fn unheard(&mut self, node: usize, sent_ns: u64, at_ns: u64) {
        let all = self.nodes.len();
        self.hearing[node].failure(sent_ns, at_ns);
        self.hearing[all].failure(sent_ns, at_ns);
        self.availability[node].failure(sent_ns, at_ns);
    }

    /// Since when it had waited with the first operation that failed after the last reply.
    pub(super) fn unheard_since_ns(&self) -> Option<u64> {
        self.hearing.last()?.unheard_since_ns()
    }

    /// The worker's tick. Returns whether the worker has run since the one before.
    pub(super) fn tick(&mut self, now_ns: u64) -> bool {
        let since = Span { begin_ns: self.ticked_ns, end_ns: now_ns };
        let was_there = since.length_ns() < ABSENCE_NS_MIN;
        if !was_there {
            self.absence = self.absence.longer(since);
        }
        self.ticked_ns = now_ns;
        was_there
    }

    /// A call has returned: that no tick came meanwhile was the target's doing, not the worker's
    /// absence.
    pub(super) fn called(&mut self, returned_ns: u64) {
        self.ticked_ns = self.ticked_ns.max(returned_ns);
    }

    /// What the worker heard of each node, and last of all together; and the longest time in which it
    /// did not run.
    pub(super) fn take_hearing(&mut self) -> (Vec<Hearing>, Span) {
        (std::mem::take(&mut self.hearing), self.absence)
    }

    /// What the worker knows of when each node served it.
    pub(super) fn take_availability(&mut self) -> Vec<Availability> {
        std::mem::take(&mut self.availability)
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

    /// Notes the outages that go on at the end of the phase. In a cluster, nobody looks for a node that
    /// has no slots; who has others to stand in for it is looked for all the same.
    pub(super) fn end(&self, outages: &mut [Outage], is_cluster: bool) {
        for (node, outage) in self.nodes.iter().zip(outages) {
            let is_looked_for = !is_cluster || !node.is_dispensable;
            outage.lasts = is_looked_for && node.away_since_ns.is_some();
        }
    }

    /// Tells since when each server is away; 0 for one that is there.
    pub(super) fn publish(&self, away_since_ns: &[AtomicU64]) {
        for (node, published) in self.nodes.iter().zip(away_since_ns) {
            let since_ns = node.away_since_ns.unwrap_or(0);
            let since_ns = if node.is_dispensable { NOT_CONCERNED } else { since_ns };
            published.store(since_ns, Ordering::Relaxed);
        }
    }
}
