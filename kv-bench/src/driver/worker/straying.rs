//! Operations of a cluster that are redirected, or whose node cannot be reached.

use super::Worker;
use super::following::fail;
use crate::driver::Phase;
use crate::driver::clock::now_ns;
use crate::driver::connection::{InFlight, State};
use crate::driver::following::Note;
use crate::driver::strays::{Cause, REDIRECTS_MAX, Stray};
use crate::recorder::{Failure, Loss, Unanswered};
use crate::target::{Codec as _, OnNodeFail, Operation, Target};
use crate::workload::Kind;

/// What becomes of a stray now.
enum Fate {
    Waits,
    /// Its connection is there.
    Goes(usize),
    /// The redirect is its outcome.
    Refused(Cause),
    /// It waited too long for a connection.
    Unreachable,
    /// The run was broken off.
    BrokenOff,
}

impl<T: Target> Worker<T> {
    /// The operation whose key is at hand has to wait, since its connection is down. Its client goes
    /// on: other nodes are there.
    #[cold]
    pub(super) fn wait_for_node(
        &mut self,
        (client, place): (usize, usize),
        slot: u16,
        (kind, value): (Kind, &[u8]),
        (due_ns, note): (u64, Note),
    ) {
        let sent_ns = now_ns();
        self.recorder.counts.first_send_ns.get_or_insert(sent_ns);
        let mut request = Vec::new();
        let operation = Operation { request: kind.request(), key: self.key.bytes(), value };
        self.codec.encode(operation, &mut request);
        self.clients[client].outstanding += 1;
        let operation = InFlight { kind, sent_ns, due_ns };
        let note = self.following.is_noted(kind).then_some(note);
        let stray = Stray { note, ..Stray::new((client, place), operation, request, slot) };
        self.strays.push(stray, sent_ns);
    }

    /// Sends what can be sent to where it belongs, and gives up what has been tried for too long.
    #[cold]
    pub(super) fn lead_strays(&mut self, phase: &Phase) {
        self.now_ns = now_ns();
        let mut failed = Vec::new();
        for stray in self.strays.take() {
            let client = stray.client;
            match self.fate(&stray) {
                Fate::Waits => self.strays.push(stray, self.now_ns),
                Fate::Goes(id) => self.send_stray(id, &stray),
                Fate::Refused(cause) => {
                    self.recorder.counts.last_reply_ns = Some(self.now_ns);
                    self.fail_stray(&stray, Failure::Server(cause.message()));
                    failed.push(client);
                }
                fate @ (Fate::Unreachable | Fate::BrokenOff) => {
                    self.fail_unreachable(&stray, matches!(fate, Fate::BrokenOff));
                    failed.push(client);
                }
            }
        }
        self.flush();
        for client in failed {
            self.go_on(client, phase);
        }
    }

    fn fate(&mut self, stray: &Stray) -> Fate {
        let Some(node) = self.destination(stray) else { return Fate::Waits };
        let id = stray.client * self.nodes + node;
        let state = self.connections[id].state;
        let is_old = self.now_ns.saturating_sub(stray.operation.sent_ns) >= self.timeout_ns;
        match (state, stray.cause) {
            (_, Some(cause)) if stray.redirects >= REDIRECTS_MAX => Fate::Refused(cause),
            (State::Ready, Some(cause)) if is_old => Fate::Refused(cause),
            _ if is_old => Fate::Unreachable,
            _ if self.now_ns >= self.give_up_ns => Fate::BrokenOff,
            _ if self.now_ns < stray.not_before_ns => Fate::Waits,
            (State::Ready, _) => Fate::Goes(id),
            _ if self.is_over() => Fate::Unreachable,
            (State::Down { retry_at_ns }, _) if retry_at_ns <= self.now_ns => {
                self.reopen(id);
                Fate::Waits
            }
            _ => Fate::Waits,
        }
    }

    /// The node that is to have it now.
    fn destination(&self, stray: &Stray) -> Option<usize> {
        let topology = self.target.topology()?;
        Some(stray.asks.unwrap_or_else(|| topology.owner(stray.slot)))
    }

    pub(super) fn send_stray(&mut self, id: usize, stray: &Stray) {
        let connection = &mut self.connections[id];
        stray.send(&mut connection.outgoing, &mut connection.trail);
        connection.in_flight.push_back(stray.operation);
        connection.notes.extend(stray.note);
        if let Some(verifier) = &mut self.verifier {
            verifier.sent(id, stray.expected);
        }
        if connection.unsent == 0 {
            self.touched.push(id);
        }
        connection.unsent += 1;
    }

    fn fail_unreachable(&mut self, stray: &Stray, is_broken_off: bool) {
        // Who took over since is not to blame for what waited for the node before, and was never sent.
        let redirected = stray.cause.and_then(|_| self.destination(stray));
        let node = redirected.unwrap_or(stray.first_node);
        // One that accepts and says nothing is no different from one that does not answer.
        let connection = &self.connections[stray.client * self.nodes + node];
        let is_down = matches!(connection.state, State::Down { .. });
        let timed_out =
            !is_down && self.now_ns.saturating_sub(stray.operation.sent_ns) >= self.timeout_ns;
        let (failure, why) = match timed_out {
            _ if is_broken_off => (Failure::Connection(Loss::Closed), Unanswered::BrokenOff),
            true => (Failure::Timeout, Unanswered::TimedOut),
            false => (connection.failure(), Unanswered::Away),
        };
        self.fail_stray(stray, failure);
        let at_ns = self.now_ns.min(self.deadline_ns);
        self.recorder.lost(node, why, at_ns);
        self.reach.unheard(node, stray.operation.sent_ns, at_ns);
    }

    fn fail_stray(&mut self, stray: &Stray, failure: Failure<'_>) {
        let client = stray.client;
        self.clients[client].outstanding -= 1;
        self.clients[client].fail(stray.operation.kind);
        if let (Some(verifier), Some(expected)) = (&mut self.verifier, stray.expected) {
            verifier.withdraw(expected);
        }
        let (recorder, following) = (&mut self.recorder, &mut self.following);
        fail(recorder, following, (stray.operation, stray.note), failure, self.now_ns);
        self.think(client, 1);
    }

    /// Whether a connection to a node is to be kept: a replica is asked for nothing.
    pub(super) fn wants(&self, node: usize) -> bool {
        self.target.topology().is_none_or(|topology| topology.is_master(node))
    }

    /// Which nodes matter may have changed.
    pub(super) fn look_at_roles(&mut self) {
        if let Some(topology) = self.target.topology() {
            self.reach.concern(self.now_ns, |node| topology.is_master(node));
        }
        if let Some(detours) = self.target.detours() {
            // Of two that are away, one may be the next of the other.
            let may_lack_both = self.reach.away() >= 2;
            self.reach.concern(self.now_ns, |node| match detours.rule() {
                OnNodeFail::Next => may_lack_both,
                _ => !detours.is_ejected(node),
            });
        }
    }
}
