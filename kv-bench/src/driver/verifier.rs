//! What a worker expects of the operations that it has outstanding.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::target::Reply;
use crate::verify::{Finding, Findings, Ledger, STAMP_BYTES, Write};
use crate::workload::{KeyBuffer, Kind};

/// How a phase is verified.
#[derive(Debug, Clone)]
pub struct Verify {
    pub ledger: Arc<Ledger>,
    /// Each key is asked for once in the phase, and needs no writer of its own.
    pub each_once: bool,
}

/// An operation without an outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected {
    key: u64,
    /// What a read must find.
    floor: u64,
    /// Of a put or a delete.
    write: Option<Write>,
    /// Of a delete: whether the key must be there.
    must_find: bool,
}

/// Of one worker. Connections and clients are told by their numbers in it.
pub(super) struct Verifier {
    verify: Verify,
    /// The number of its first client among all, and how many these are.
    first: u64,
    clients: u64,
    /// Per connection, in the order of its replies.
    outstanding: Vec<VecDeque<Expected>>,
    /// Per client: the operation that waits for its connection.
    held: Vec<Option<Expected>>,
    /// The operation that is being started, and the value of a put.
    next: Option<Expected>,
    value: Vec<u8>,
    findings: Findings,
}

impl Verifier {
    pub(super) fn new(
        verify: Verify,
        (worker, workers): (u64, u64),
        clients: u64,
        connections: usize,
    ) -> Self {
        Self {
            verify,
            first: worker * clients,
            clients: workers * clients,
            outstanding: vec![VecDeque::new(); connections],
            held: vec![None; clients as usize],
            next: None,
            value: Vec::new(),
            findings: Findings::default(),
        }
    }

    /// Makes an operation that a client has drawn one that can be verified: its key, if it writes,
    /// one of its own, and its value, which is returned, stamped.
    pub(super) fn prepare(
        &mut self,
        client: usize,
        kind: Kind,
        key: &mut KeyBuffer,
        value: &[u8],
    ) -> &[u8] {
        let ledger = &self.verify.ledger;
        let is_write = kind != Kind::Get;
        if is_write && !self.verify.each_once {
            let drawn = key.number();
            let own = drawn - drawn % self.clients + self.first + client as u64;
            key.set(if own < ledger.keys() { own } else { own - self.clients });
        }
        let number = key.number();
        let must_find = kind == Kind::Delete && ledger.must_find(number);
        let write = is_write.then(|| ledger.issue(number, kind == Kind::Delete));
        self.next = Some(Expected { key: number, floor: ledger.floor(number), write, must_find });
        self.value.clear();
        if let (Kind::Put, Some(write)) = (kind, write) {
            self.value.extend_from_slice(value);
            self.value.resize(value.len().max(STAMP_BYTES), 0);
            ledger.stamp(number, write).write(&mut self.value);
        }
        &self.value
    }

    /// What was prepared was sent, or else its client waits with it for the connection.
    pub(super) fn started(&mut self, client: usize, connection: usize, is_sent: bool) {
        match self.next.take() {
            next if !is_sent => self.held[client] = next,
            next => self.outstanding[connection].extend(next),
        }
    }

    /// What was prepared waits, and is neither sent nor held.
    pub(super) fn take_next(&mut self) -> Option<Expected> {
        self.next.take()
    }

    /// The next reply of a connection told to ask elsewhere: what is expected of the operation.
    pub(super) fn redirected(&mut self, connection: usize) -> Option<Expected> {
        self.outstanding[connection].pop_front()
    }

    /// It was sent elsewhere.
    pub(super) fn sent(&mut self, connection: usize, expected: Option<Expected>) {
        self.outstanding[connection].extend(expected);
    }

    /// What a client waited with was sent.
    pub(super) fn released(&mut self, client: usize, connection: usize) {
        self.outstanding[connection].extend(self.held[client].take());
    }

    /// What a client waited with is never sent.
    pub(super) fn dropped(&mut self, client: usize) {
        if let Some(expected) = self.held[client].take() {
            self.withdraw(expected);
        }
    }

    /// An operation was not done, and never will be.
    pub(super) fn withdraw(&mut self, Expected { key, write, .. }: Expected) {
        if let Some(write) = write {
            self.verify.ledger.withdraw(key, write);
        }
    }

    /// A connection was lost: nobody knows what became of the writes that it had outstanding.
    pub(super) fn lose(&mut self, connection: usize) {
        for Expected { key, write, .. } in self.outstanding[connection].drain(..) {
            if let Some(write) = write {
                self.verify.ledger.doubt(key, write);
            }
        }
    }

    /// Whether a reply, the next of its connection, was right; `value` is that of a hit.
    pub(super) fn check(&mut self, connection: usize, reply: Reply<'_>, value: &[u8]) -> bool {
        let Some(Expected { key, floor, write, must_find }) =
            self.outstanding[connection].pop_front()
        else {
            return true;
        };
        let ledger = &self.verify.ledger;
        let finding = match (write, reply) {
            (Some(write), Reply::Error(_)) => {
                ledger.doubt(key, write);
                return true;
            }
            (Some(write), reply) => {
                ledger.acknowledge(key, write);
                match reply {
                    Reply::Miss if must_find => Finding::Lost,
                    Reply::Miss => Finding::Good,
                    _ => return true,
                }
            }
            (None, Reply::Error(_)) => return true,
            (None, Reply::Miss) => ledger.judge_miss(key, floor),
            (None, _) => ledger.judge_value(key, floor, value),
        };
        self.findings.add(finding, || ledger.describe(finding, key, floor, value));
        matches!(finding, Finding::Good | Finding::Unknown)
    }

    pub(super) fn into_findings(self) -> Findings {
        self.findings
    }
}
