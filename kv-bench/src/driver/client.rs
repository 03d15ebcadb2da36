//! One caller: its sequence of operations and how many it has outstanding.

use super::outage::Held;
use crate::workload::Stream;

pub(super) struct Client {
    pub(super) stream: Stream,
    /// Operations that it has yet to attempt.
    pub(super) remaining: u64,
    /// Sent and not answered, over all its connections, or held.
    pub(super) outstanding: u32,
    /// It met a dead connection and waits a moment.
    pub(super) paused: bool,
    /// What it waits with.
    pub(super) held: Option<Held>,
    /// It has nothing more to send or to wait for.
    pub(super) finished: bool,
}

impl Client {
    pub(super) fn new(stream: Stream, operations: u64) -> Self {
        Self {
            stream,
            remaining: operations,
            outstanding: 0,
            paused: false,
            held: None,
            finished: false,
        }
    }
}
