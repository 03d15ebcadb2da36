//! Replies: read, decoded, recorded.

use std::sync::Arc;

use super::Worker;
use super::following::{fail, succeed_whole};
use crate::driver::Phase;
use crate::driver::clock::now_ns;
use crate::driver::connection::{InFlight, Received, State};
use crate::recorder::{Failure, Loss};
use crate::target::{Codec, Redirect, Reply, Target, Topology};
use crate::workload::Kind;

impl<T: Target> Worker<T> {
    /// Handles readiness of one connection.
    #[inline]
    pub(super) fn serve(&mut self, id: usize, writable: bool, closing: bool, phase: &Phase) {
        if self.connections[id].state != State::Ready {
            if self.advance(id, writable, closing).is_err() {
                self.lose(id, self.connections[id].failure());
            }
            return;
        }
        if writable && let Err(error) = self.connections[id].write(&self.poll) {
            return self.lose(id, Failure::Connection(Loss::of(&error)));
        }
        loop {
            match self.connections[id].receive(&mut self.scratch) {
                Received::Nothing => break,
                Received::Closed(error) => {
                    self.now_ns = now_ns();
                    self.lose(id, Failure::Connection(Loss::of(&error)));
                    break;
                }
                Received::Bytes { size, more } => {
                    self.now_ns = self.came_ns(id);
                    let waiting = self.connections[id].waiting();
                    let failures = self.recorder.latencies.failures().len();
                    let wanted = self.following.wanted.len();
                    let strays = self.strays.len();
                    let received = self.receive(id, size);
                    if let Some((sent_ns, before)) = waiting
                        && let outcomes = before - self.connections[id].in_flight.len()
                        && outcomes > 0
                    {
                        // An operation that goes elsewhere has no outcome yet.
                        let outcomes = outcomes - (self.strays.len() - strays);
                        let (node, now_ns) = (id % self.nodes, self.now_ns);
                        self.reach.heard(node, sent_ns, now_ns);
                        let failed = self.recorder.latencies.failures().len() - failures;
                        if outcomes as u64 > failed {
                            self.reach.served(node, sent_ns, now_ns);
                        }
                        let followed = self.following.wanted.len() - wanted;
                        self.think(id / self.nodes, outcomes.saturating_sub(followed) as u32);
                    }
                    if let Err(failure) = received {
                        self.lose(id, failure);
                        break;
                    }
                    if !more && !closing {
                        break;
                    }
                }
            }
        }
        if self.target.topology().is_some() && !self.strays.is_empty() {
            self.lead_strays(phase);
        }
        self.go_on(id / self.nodes, phase);
    }

    /// Decodes the `size` bytes that were read: into the scratch buffer, unless the beginning of a
    /// reply was waiting for them.
    #[inline]
    fn receive(&mut self, id: usize, size: usize) -> Result<(), Failure<'static>> {
        if self.connections[id].partial.is_empty() {
            let scratch = std::mem::take(&mut self.scratch);
            let result = self.decode(id, &scratch[..size]);
            if let Ok(taken) = result {
                self.connections[id].partial.extend_from_slice(&scratch[taken..size]);
            }
            self.scratch = scratch;
            return result.map(|_| ());
        }
        let bytes = std::mem::take(&mut self.connections[id].partial);
        let taken = self.decode(id, &bytes)?;
        if self.connections[id].keep(bytes, taken) { Ok(()) } else { Err(Failure::Protocol) }
    }

    /// Takes the complete replies at the front of `bytes` and returns how many bytes they are.
    fn decode(&mut self, id: usize, bytes: &[u8]) -> Result<usize, Failure<'static>> {
        let topology = self.target.topology();
        let connection = &mut self.connections[id];
        let client = &mut self.clients[id / self.nodes];
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(&(mut operation)) = connection.in_flight.front() else {
                self.recorder.counts.unsolicited += 1;
                return Err(Failure::Protocol);
            };
            let InFlight { kind, due_ns, .. } = operation;
            if topology.is_some() {
                let asked = connection.trail.asked(&self.codec, &bytes[taken..]);
                let Some((size, ())) = asked.map_err(|_| Failure::Protocol)? else { break };
                taken += size;
            }
            let Ok(decoded) = self.codec.decode(kind.request(), &bytes[taken..]) else {
                self.recorder.garbled(kind, &bytes[taken..]);
                return Err(Failure::Protocol);
            };
            let Some((size, reply)) = decoded else { break };
            taken += size;
            connection.in_flight.pop_front();
            if self.target.keeps_requests() {
                let by = (id / self.nodes, id % self.nodes);
                if let Some((topology, redirect)) = redirected(topology, &self.codec, reply) {
                    let note = connection.take_note(&self.following, kind);
                    let kept = (note, self.verifier.as_mut().and_then(|v| v.redirected(id)));
                    let stray = connection.trail.stray(by, operation, kept);
                    self.recorder.counts.redirects.count(&redirect);
                    self.strays.redirected(stray, (&redirect, by.1), topology, self.now_ns);
                    continue;
                }
                let first = connection.trail.forget(&mut operation);
                if let Some(first) = first.filter(|_| topology.is_some() && !reply.is_error()) {
                    // Somebody served what that one had.
                    self.reach.served(first, operation.sent_ns, self.now_ns);
                }
            }
            client.outstanding -= 1;
            self.recorder.counts.last_reply_ns = Some(self.now_ns);
            let is_right = match &mut self.verifier {
                Some(verifier) => {
                    verifier.check(id, reply, self.codec.value(&bytes[taken - size..taken]))
                }
                None => true,
            };
            let hit = match outcome(reply, is_right) {
                Ok(hit) => hit,
                Err(failure) => {
                    client.fail(kind);
                    let note = connection.take_note(&self.following, kind);
                    let (recorder, following) = (&mut self.recorder, &mut self.following);
                    fail(recorder, following, (operation, note), failure, self.now_ns);
                    continue;
                }
            };
            let InFlight { sent_ns, .. } = operation;
            self.recorder.success(kind, hit, self.now_ns - sent_ns);
            if self.is_timed {
                self.recorder.scheduled(Some(kind), self.now_ns - due_ns, sent_ns - due_ns);
            }
            if let Some(note) = connection.take_note(&self.following, kind) {
                if kind == Kind::ModifyPut {
                    succeed_whole(&mut self.recorder, note, self.now_ns);
                }
                let times = (sent_ns, due_ns, self.now_ns);
                let follows = self.following.answered(id / self.nodes, (kind, hit), note, times);
                // What follows keeps its room.
                client.outstanding += u32::from(follows);
            }
        }
        Ok(taken)
    }
}

/// What a reply of a cluster says of where its operation is to be tried again.
#[inline]
fn redirected<'a, 't>(
    topology: Option<&'t Arc<Topology>>,
    codec: &impl Codec,
    reply: Reply<'a>,
) -> Option<(&'t Topology, Redirect<'a>)> {
    match (topology, reply) {
        (Some(topology), Reply::Error(message)) => Some((topology, codec.redirect(message)?)),
        _ => None,
    }
}

/// Whether an operation found its key, where that can be said.
#[inline]
fn outcome(reply: Reply<'_>, is_right: bool) -> Result<Option<bool>, Failure<'_>> {
    match reply {
        _ if !is_right => Err(Failure::Verify),
        Reply::Hit => Ok(Some(true)),
        Reply::Miss => Ok(Some(false)),
        Reply::Stored => Ok(None),
        Reply::Error(message) => Err(Failure::Server(message)),
    }
}
