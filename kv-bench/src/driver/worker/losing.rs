//! Connections that are lost, and operations that wait for one that is down.

use super::Worker;
use super::following::fail;
use super::rerouting::Retry;
use crate::driver::Phase;
use crate::driver::clock::now_ns;
use crate::driver::connection::{InFlight, State};
use crate::driver::following::Note;
use crate::driver::outage::Held;
use crate::driver::strays::Stray;
use crate::recorder::{Failure, Loss, Unanswered};
use crate::target::{Codec as _, Operation, Target};
use crate::workload::Kind;

/// How often a client that met a dead connection looks again, so that a dead server costs no
/// spinning core.
const PAUSE_NS: u64 = 1_000_000;

impl<T: Target> Worker<T> {
    /// Replaces a connection. The operation whose reply was due next failed by `first`; the others
    /// that were in flight lost their connection, or had timed out as well.
    #[cold]
    pub(super) fn lose(&mut self, id: usize, first: Failure<'static>) {
        let now_ns = now_ns();
        let timeout_ns = self.timeout_ns;
        let (client_id, place) = (id / self.nodes, id % self.nodes);
        let why = match first {
            Failure::Timeout => Unanswered::TimedOut,
            _ if now_ns >= self.give_up_ns => Unanswered::BrokenOff,
            _ => Unanswered::Away,
        };
        let connection = &mut self.connections[id];
        if connection.state == State::Ready && why != Unanswered::BrokenOff {
            if !self.clients[client_id].finished {
                self.reach.lose(place, now_ns);
            }
            if why == Unanswered::Away {
                self.recorder.counts.outages[place].lose_connection(now_ns);
            }
        }
        if connection.state != State::Ready {
            self.target.detours().inspect(|detours| detours.failed(place));
        }
        if let Failure::Connection(loss) = first {
            connection.loss = loss;
        }
        connection.close(now_ns);
        let keeps_requests = self.target.keeps_requests();
        self.target.topology().inspect(|topology| topology.doubt());
        if let Some((sent_ns, _)) = connection.waiting() {
            self.reach.unheard(place, sent_ns, now_ns.min(self.deadline_ns));
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.lose(id);
        }
        let mut failure = first;
        let mut retries = Vec::new();
        let mut failed = 0;
        while let Some(mut operation) = self.connections[id].in_flight.pop_front() {
            let may_retry = keeps_requests && self.may_retry(id, failure);
            let connection = &mut self.connections[id];
            let note = connection.take_note(&self.following, operation.kind);
            let stray = may_retry
                .then(|| connection.trail.stray((client_id, place), operation, (note, None)));
            if let Some(stray) = stray.flatten() {
                retries.push(Retry { stray: Stray { is_retried: true, ..stray }, failure });
            } else {
                if keeps_requests {
                    connection.trail.forget(&mut operation);
                }
                failed += 1;
                self.fail_lost((client_id, place), (operation, note), (failure, why), now_ns);
            }
            let connection = &self.connections[id];
            let next = connection.in_flight.front();
            let next_sent_ns = next.map_or(now_ns, |next| connection.trail.since_ns(next.sent_ns));
            let timed_out = now_ns.saturating_sub(next_sent_ns) >= timeout_ns;
            failure = if timed_out { Failure::Timeout } else { connection.failure() };
        }
        self.now_ns = now_ns;
        if !retries.is_empty() {
            for Retry { stray, failure } in self.retry(place, retries) {
                failed += 1;
                let lost = (stray.operation, stray.note);
                self.fail_lost((client_id, place), lost, (failure, why), now_ns);
            }
            self.flush();
        }
        self.think(client_id, failed);
        self.pause(client_id);
        self.settle(client_id);
    }

    /// An operation of a connection that is lost has its outcome.
    fn fail_lost(
        &mut self,
        (client_id, node): (usize, usize),
        lost: (InFlight, Option<Note>),
        (failure, why): (Failure<'static>, Unanswered),
        now_ns: u64,
    ) {
        self.clients[client_id].fail(lost.0.kind);
        let (recorder, following) = (&mut self.recorder, &mut self.following);
        fail(recorder, following, lost, failure, now_ns);
        self.recorder.lost(node, why, now_ns.min(self.deadline_ns));
        self.clients[client_id].outstanding -= 1;
    }

    /// The client waits with the operation whose key is at hand, and is with server number `own` by the
    /// ring: its connection is down.
    #[cold]
    pub(super) fn hold(
        &mut self,
        client_id: usize,
        (connection, own): (usize, usize),
        (kind, value): (Kind, &[u8]),
        (due_ns, note): (u64, Note),
    ) {
        let mut request = Vec::new();
        let operation = Operation { request: kind.request(), key: self.key.bytes(), value };
        self.codec.encode(operation, &mut request);
        self.hold_request(client_id, connection, (kind, request), (due_ns, note));
        if let Some(held) = &mut self.clients[client_id].held {
            held.own = own;
        }
    }

    /// The same with an operation whose request is ready.
    #[cold]
    pub(super) fn hold_request(
        &mut self,
        client_id: usize,
        connection: usize,
        (kind, request): (Kind, Vec<u8>),
        (due_ns, note): (u64, Note),
    ) {
        let since_ns = now_ns();
        self.recorder.counts.first_send_ns.get_or_insert(since_ns);
        let operation = InFlight { kind, sent_ns: since_ns, due_ns };
        let note = self.following.is_noted(kind).then_some(note);
        let key = self.target.detours().map_or(Vec::new(), |_| self.key.bytes().to_vec());
        let own = connection % self.nodes;
        let held = Held { operation, note, connection, own, request, key };
        let client = &mut self.clients[client_id];
        client.held = Some(held);
        client.outstanding += 1;
        client.paused = true;
        self.paused.push_back((since_ns + PAUSE_NS, client_id));
    }

    /// Sends what the client waits with when its connection is back, and counts it as failed when
    /// it has waited too long. False when it waits on.
    #[cold]
    fn release(&mut self, client_id: usize) -> bool {
        self.reroute_held(client_id);
        let Some(held) = &self.clients[client_id].held else { return true };
        let (id, waited_ns) = (held.connection, self.now_ns.saturating_sub(held.operation.sent_ns));
        match self.connections[id].state {
            State::Ready => self.send_held(client_id),
            _ if waited_ns >= self.timeout_ns || self.is_over() => {
                self.fail_held(client_id);
            }
            State::Down { retry_at_ns } if retry_at_ns <= self.now_ns => {
                self.reopen(id);
                return false;
            }
            _ => return false,
        }
        true
    }

    /// Whether who waits for a connection waits in vain. In an open loop the end of the time is the
    /// end of what becomes due, and not of what is to be done.
    pub(super) fn is_over(&self) -> bool {
        let is_broken_off = self.give_up_ns < u64::MAX;
        self.now_ns >= self.deadline_ns && (!self.is_timed || is_broken_off)
    }

    fn send_held(&mut self, client_id: usize) {
        let Some(held) = self.clients[client_id].held.take() else { return };
        let Held { operation, note, connection: id, request, .. } = held;
        let connection = &mut self.connections[id];
        if self.target.keeps_requests() {
            // It has waited for two servers: it is tried at no third one.
            connection.trail.keep(&request, (id % self.nodes) as u16);
        }
        connection.outgoing.extend_from_slice(&request);
        connection.in_flight.push_back(operation);
        connection.notes.extend(note);
        if let Some(verifier) = &mut self.verifier {
            verifier.released(client_id, id);
        }
        if let Err(error) = connection.write(&self.poll) {
            self.lose(id, Failure::Connection(Loss::of(&error)));
        }
    }

    fn fail_held(&mut self, client_id: usize) {
        let client = &mut self.clients[client_id];
        let Some(held) = client.held.take() else { return };
        client.outstanding -= 1;
        client.fail(held.operation.kind);
        if let Some(verifier) = &mut self.verifier {
            verifier.dropped(client_id);
        }
        let waited_ns = self.now_ns.saturating_sub(held.operation.sent_ns);
        let connection = &self.connections[held.connection];
        let is_down = matches!(connection.state, State::Down { .. });
        // One that accepts and says nothing is no different from one that does not answer.
        let timed_out = waited_ns >= self.timeout_ns && !is_down;
        let failure = if timed_out { Failure::Timeout } else { connection.failure() };
        let (recorder, following) = (&mut self.recorder, &mut self.following);
        fail(recorder, following, (held.operation, held.note), failure, self.now_ns);
        let (node, at_ns) = (held.connection % self.nodes, self.now_ns.min(self.deadline_ns));
        let why = if timed_out { Unanswered::TimedOut } else { Unanswered::Away };
        self.recorder.lost(node, why, at_ns);
        self.reach.unheard(node, held.operation.sent_ns, at_ns);
        self.think(client_id, 1);
    }

    #[cold]
    fn pause(&mut self, client_id: usize) {
        let client = &mut self.clients[client_id];
        if !client.paused && client.remaining > 0 {
            client.paused = true;
            self.paused.push_back((now_ns() + PAUSE_NS, client_id));
        }
    }

    #[cold]
    pub(super) fn resume(&mut self, phase: &Phase) {
        self.now_ns = now_ns();
        while let Some(&(due_ns, client_id)) = self.paused.front() {
            if due_ns > self.now_ns {
                break;
            }
            self.paused.pop_front();
            if self.release(client_id) {
                self.clients[client_id].paused = false;
                self.following.resume(client_id);
                self.go_on(client_id, phase);
            } else {
                self.paused.push_back((self.now_ns + PAUSE_NS, client_id));
            }
        }
    }

    pub(super) fn reopen(&mut self, id: usize) {
        if let Err(error) = self.open(id) {
            self.connections[id].loss = Loss::of(&error);
            self.target.detours().inspect(|detours| detours.failed(id % self.nodes));
            self.connections[id].close(self.now_ns);
        }
    }
}
