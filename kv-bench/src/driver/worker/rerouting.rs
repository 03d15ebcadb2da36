//! Operations whose server is away, where others stand in for it.

use std::sync::Arc;

use super::Worker;
use crate::driver::connection::{Connection, State};
use crate::driver::outage::Held;
use crate::driver::strays::Stray;
use crate::recorder::Failure;
use crate::target::{Around, Codec, Detours, OnNodeFail, Target};
use crate::workload::Request;

/// The ring without the servers that are ejected, as a worker knows it.
#[derive(Default)]
pub(super) struct Way {
    epoch: u64,
    /// `None` before the first ejection.
    around: Option<Arc<Around>>,
}

/// Where an operation goes.
pub(super) struct Course {
    pub(super) node: usize,
    /// Who is to be tried if that one fails, where anybody is.
    pub(super) next: Option<usize>,
    /// It is not the one that the ring names.
    pub(super) is_detour: bool,
}

impl Way {
    /// The course of an operation whose key has its place at `node`; `connections` are those of its
    /// client, one for each server.
    #[inline]
    pub(super) fn course(
        &mut self,
        (detours, codec): (&Detours, &impl Codec),
        node: usize,
        (request, key): (Request, &[u8]),
        connections: &[Connection],
    ) -> Course {
        let there = |around: &Around| codec.place(request, key, around.owners());
        if detours.rule() == OnNodeFail::Next {
            let next = detours.next(node).map(there);
            let is_ready = |node: usize| connections[node].state == State::Ready;
            return match next {
                // It has failed before this operation came.
                Some(next) if !is_ready(node) && is_ready(next) => {
                    Course { node: next, next: None, is_detour: true }
                }
                next => Course { node, next, is_detour: false },
            };
        }
        let epoch = detours.epoch();
        if epoch != self.epoch {
            self.epoch = epoch;
            self.around = Some(detours.around());
        }
        match self.around.as_ref().filter(|around| around.is_without(node)) {
            Some(around) => Course { node: there(around), next: None, is_detour: true },
            None => Course { node, next: None, is_detour: false },
        }
    }
}

impl<T: Target> Worker<T> {
    /// What a client holds for a server that others stand in for by now: they get it.
    #[cold]
    pub(super) fn reroute_held(&mut self, client_id: usize) {
        let Some(detours) = self.target.detours() else { return };
        let Some(held) = &mut self.clients[client_id].held else { return };
        let Held { operation, connection, own, key, .. } = held;
        let (first, from) = (client_id * self.nodes, *connection % self.nodes);
        let connections = &self.connections[first..first + self.nodes];
        let request = (operation.kind.request(), &key[..]);
        let to = self.way.course((detours, &self.codec), *own, request, connections).node;
        *connection = first + to;
        self.recorder.counts.reroute((from, to), *own);
    }

    /// Whether the operation that was due next on connection number `id`, and fails by `failure`, is
    /// tried at another server: once, and not when the run is broken off.
    pub(super) fn may_retry(&self, id: usize, failure: Failure<'_>) -> bool {
        let is_absence = matches!(failure, Failure::Connection(_) | Failure::Timeout);
        self.target.detours().is_some_and(|detours| detours.rule() == OnNodeFail::Next)
            && is_absence
            && self.give_up_ns == u64::MAX
            && self.connections[id].trail.may_retry()
    }

    /// Tries operations that failed at server number `node` at their next one. Returns those that it
    /// cannot be tried at.
    #[cold]
    pub(super) fn retry(&mut self, node: usize, failed: Vec<Retry>) -> Vec<Retry> {
        let mut left = Vec::new();
        for retry in failed {
            let stray = &retry.stray;
            let id = stray.client * self.nodes + usize::from(stray.slot);
            if usize::from(stray.slot) == node || self.connections[id].state != State::Ready {
                left.push(retry);
                continue;
            }
            self.recorder.counts.reroute((node, usize::from(stray.slot)), node);
            self.recorder.counts.retried += 1;
            self.send_stray(id, stray);
        }
        left
    }
}

/// An operation to be tried once more.
pub(super) struct Retry {
    pub(super) stray: Stray,
    /// What it fails by if it cannot be.
    pub(super) failure: Failure<'static>,
}
