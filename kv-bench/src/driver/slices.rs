//! How many operations of an open loop were beyond limits, slice by slice of its time.
//!
//! Finer than the intervals, whose histograms cost too much for ten a second: a worker looks at its own
//! when a slice is over, and what has come since the last look is the slice's.

use std::sync::Arc;
use std::time::Duration;

use crate::recorder::Latencies;

/// Long beside what a busy server's queue remembers, and so short that a second has ten.
pub const SLICE: Duration = Duration::from_millis(100);

/// Operations that were drawn and had their outcome in one slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slice {
    pub operations: u64,
    /// Of them, those that failed, …
    pub failed: u64,
    /// … and those that succeeded with a response time above each limit.
    pub slow: Vec<u64>,
}

impl Slice {
    /// Adds another worker's.
    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.failed += other.failed;
        self.slow.resize(self.slow.len().max(other.slow.len()), 0);
        for (sum, part) in self.slow.iter_mut().zip(&other.slow) {
            *sum += part;
        }
    }

    fn since(&self, earlier: &Self) -> Self {
        let before = earlier.slow.iter().chain(std::iter::repeat(&0));
        Self {
            operations: self.operations - earlier.operations,
            failed: self.failed - earlier.failed,
            slow: self.slow.iter().zip(before).map(|(now, before)| now - before).collect(),
        }
    }
}

/// The slices of one worker.
pub(super) struct Slicer {
    limits_ns: Arc<[u64]>,
    /// The number of the slice that goes on.
    number: u64,
    /// All that is counted of what is in the histograms now.
    counted: Slice,
    /// Those that are over, with their numbers.
    ended: Vec<(u64, Slice)>,
}

impl Slicer {
    pub(super) fn new(limits_ns: Arc<[u64]>) -> Self {
        Self { limits_ns, number: 0, counted: Slice::default(), ended: Vec::new() }
    }

    /// The slice that went on is over.
    pub(super) fn end(&mut self, latencies: &Latencies, since_start_ns: u64) {
        let now = latencies.beyond(&self.limits_ns);
        self.ended.push((self.number, now.since(&self.counted)));
        self.counted = now;
        self.number = since_start_ns / SLICE.as_nanos() as u64;
    }

    /// The same, and all that are over; the histograms will be empty ones.
    pub(super) fn take(&mut self, latencies: &Latencies, since_start_ns: u64) -> Vec<(u64, Slice)> {
        self.end(latencies, since_start_ns);
        self.counted = Slice::default();
        std::mem::take(&mut self.ended)
    }
}

impl Latencies {
    /// What of an open loop was drawn, and how much of it was beyond each limit.
    fn beyond(&self, limits_ns: &[u64]) -> Slice {
        let mut slice = Slice { slow: vec![0; limits_ns.len()], ..Slice::default() };
        let Some((drawn, failed)) = self.responses() else { return slice };
        slice.failed = failed.len();
        slice.operations = failed.len();
        for answered in drawn {
            slice.operations += answered.len();
            for (slow, &limit_ns) in slice.slow.iter_mut().zip(limits_ns) {
                *slow += answered.len() - answered.count_between(0, limit_ns);
            }
        }
        slice
    }
}
