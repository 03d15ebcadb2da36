//! One caller: its sequence of operations and how many it has outstanding.

use super::ClientEnd;
use super::outage::Held;
use crate::workload::{Kind, Stream};

pub(super) struct Client {
    /// `None` in an open loop, where operations belong to no client.
    pub(super) stream: Option<Stream>,
    /// Operations that it has yet to attempt.
    pub(super) remaining: u64,
    /// Operations that it had been given, and those of them that were taken back.
    given: u64,
    cut: u64,
    /// Those that failed.
    failed: u64,
    /// Sent and not answered, over all its connections, or held.
    pub(super) outstanding: u32,
    /// Operations that it has room for and thinks about first.
    pub(super) thinking: u32,
    /// It met a dead connection and waits a moment.
    pub(super) paused: bool,
    /// What it waits with.
    pub(super) held: Option<Held>,
    /// It has nothing more to send or to wait for.
    pub(super) finished: bool,
}

impl Client {
    pub(super) fn new(stream: Option<Stream>, operations: u64) -> Self {
        Self {
            stream,
            remaining: operations,
            given: operations,
            cut: 0,
            failed: 0,
            outstanding: 0,
            thinking: 0,
            paused: false,
            held: None,
            finished: false,
        }
    }

    /// It begins nothing more.
    pub(super) fn cut(&mut self) {
        self.cut += std::mem::take(&mut self.remaining);
    }

    /// An operation of it failed, or what such a one gave rise to.
    #[cold]
    pub(super) fn fail(&mut self, kind: Kind) {
        self.failed += u64::from(kind != Kind::Fill);
    }

    /// How it ended.
    pub(super) fn end(&self, end_ns: u64) -> ClientEnd {
        let attempted = self.given - self.cut - self.remaining;
        // In an open loop those that it attempts were never given to it.
        let successes = attempted.saturating_sub(self.failed);
        ClientEnd { idle: self.given == 0, successes, end_ns }
    }

    /// Whether it may begin another operation.
    #[inline]
    pub(super) fn has_room(&self, pipeline: u32) -> bool {
        self.outstanding + self.thinking < pipeline && self.remaining > 0 && !self.paused
    }
}
