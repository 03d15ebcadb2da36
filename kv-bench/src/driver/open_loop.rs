//! One worker's open loop: which operation is next, when, and which client has room for it.
//!
//! An operation that is due goes to the client that has had room for longest. With none it waits: the
//! *backlog* is the part of the schedule that is due and not taken. It needs no memory, since what
//! waits there is known from the schedule, and no operation is drawn before it is taken.

use std::collections::VecDeque;

use crate::schedule::{Arrivals, Course, End, Plan};
use crate::workload::Stream;

use std::sync::Arc;

/// The backlog of all workers together may hold this many operations: ten seconds' worth at 100,000
/// a second.
pub const BACKLOG_MAX: u64 = 1_000_000;

pub(super) struct OpenLoop {
    arrivals: Arrivals,
    course: Arc<Course>,
    /// The operations, which belong to no client before one takes them.
    pub(super) stream: Stream,
    start_ns: u64,
    workers: u64,
    /// Operations taken.
    taken: u64,
    /// Clients with room, those that have had it for longest first; some may have lost it since.
    free: VecDeque<usize>,
    /// Of each client, whether it is among them.
    is_free: Vec<bool>,
    /// When there was room again after there had been none.
    room_since_ns: u64,
}

impl OpenLoop {
    /// That of worker `worker` of `workers` in a phase that began at `start_ns`, when each of its
    /// `clients` has room.
    pub(super) fn new(
        plan: &Plan,
        end: End,
        (worker, workers): (u64, u64),
        stream: Stream,
        (start_ns, clients): (u64, usize),
    ) -> Self {
        Self {
            arrivals: Arrivals::new(plan, worker, workers, end),
            course: Arc::clone(&plan.course),
            stream,
            start_ns,
            workers,
            taken: 0,
            free: (0..clients).collect(),
            is_free: vec![true; clients],
            room_since_ns: start_ns,
        }
    }

    /// When the next operation is due, on the clock; `None` when there is none any more.
    #[inline]
    pub(super) fn head_ns(&mut self) -> Option<u64> {
        self.arrivals.head().map(|after_ns| self.start_ns.saturating_add(after_ns))
    }

    /// Takes the operation that is due at `due_ns`. Returns whether it had to wait for room.
    #[inline]
    pub(super) fn take(&mut self, due_ns: u64) -> bool {
        self.arrivals.take();
        self.taken += 1;
        due_ns < self.room_since_ns
    }

    /// The client that has had room for longest and still `has_room`.
    #[inline]
    pub(super) fn next_client(&mut self, has_room: impl Fn(usize) -> bool) -> Option<usize> {
        while let Some(client) = self.free.pop_front() {
            self.is_free[client] = false;
            if has_room(client) {
                return Some(client);
            }
        }
        None
    }

    /// A client has room, as of `now_ns`.
    #[inline]
    pub(super) fn has_room(&mut self, client: usize, now_ns: u64) {
        if self.is_free[client] {
            return;
        }
        if self.free.is_empty() {
            self.room_since_ns = now_ns;
        }
        self.is_free[client] = true;
        self.free.push_back(client);
    }

    /// When to wake up for the next operation: not before there is room for it.
    #[inline]
    pub(super) fn wake_ns(&mut self) -> Option<u64> {
        self.arrivals.prepare();
        if self.free.is_empty() { None } else { self.head_ns() }
    }

    /// Operations that are due and not taken; of random arrivals, as many as there are at the mean.
    pub(super) fn backlog(&mut self, now_ns: u64) -> u64 {
        match self.head_ns() {
            Some(head_ns) if head_ns <= now_ns => {
                let elapsed_ns = now_ns.saturating_sub(self.start_ns);
                let due = self.course.operations_at(elapsed_ns as f64) / self.workers as f64;
                (due as u64).saturating_sub(self.taken).max(1)
            }
            _ => 0,
        }
    }

    /// Whether the backlog has more than its part of [`BACKLOG_MAX`].
    pub(super) fn overflows(&mut self, now_ns: u64) -> bool {
        self.backlog(now_ns) > BACKLOG_MAX.div_ceil(self.workers)
    }

    /// Nothing more is taken. Returns how many operations were due and are not taken.
    pub(super) fn cut(&mut self, now_ns: u64) -> u64 {
        let unsent = self.backlog(now_ns);
        self.arrivals.cut();
        unsent
    }
}
