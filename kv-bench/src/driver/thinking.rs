//! Clients of a closed loop that think before they go on: when which of them has room again.

use std::collections::VecDeque;

/// The thinking clients of one worker. Every client thinks equally long, so the first to begin is the
/// first to go on.
#[derive(Debug, Default)]
pub(super) struct Thinking {
    pub(super) time_ns: u64,
    /// When it ends, and which client's; one for each operation that the client has room for.
    ends: VecDeque<(u64, usize)>,
}

impl Thinking {
    /// A phase begins: client number `client` of `clients` over all workers thinks first, each for
    /// another part of the time, so that they are not in step.
    pub(super) fn stagger(&mut self, local: usize, (client, clients): (u64, u64), start_ns: u64) {
        let part = u128::from(self.time_ns) * u128::from(client) / u128::from(clients.max(1));
        self.ends.push_back((start_ns + part as u64, local));
    }

    pub(super) fn begin(&mut self, time_ns: u64) {
        self.time_ns = time_ns;
        self.ends.clear();
    }

    /// A client begins to think.
    pub(super) fn push(&mut self, client: usize, now_ns: u64) {
        self.ends.push_back((now_ns + self.time_ns, client));
    }

    /// When the first of them goes on.
    #[inline]
    pub(super) fn wake_ns(&self) -> Option<u64> {
        self.ends.front().map(|&(end_ns, _)| end_ns)
    }

    /// A client that goes on.
    pub(super) fn pop(&mut self, now_ns: u64) -> Option<usize> {
        self.ends.pop_front_if(|&mut (end_ns, _)| end_ns <= now_ns).map(|(_, client)| client)
    }
}
