//! New keys: which client stores which, and which of them are stored by now.
//!
//! The inserts of worker *w* of *W* take every *W*-th number from the first on, so that no two clients
//! share a key and no worker waits for another. An insert is *settled* when it and all before it of
//! its worker have their outcome (YCSB's acknowledged counter, one of them per worker): what is not,
//! may not be there, and nobody asks for it.
//!
//! Each worker tells how many of its own are settled in a cache line of its own, and looks at those of
//! the others a thousand times a second. So "the newest key" of another worker may be a thousandth of
//! a second old; of its own it is exact.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::workload::{Draw, Keys, Kind};

/// How often a worker looks at the others' inserts.
const LOOK_EVERY_NS: u64 = 1_000_000;

/// The new keys of all workers of a fleet, over all its phases.
#[derive(Debug)]
pub(super) struct Frontier {
    /// The number of the first.
    first: u64,
    /// Of each worker, how many of its inserts are settled.
    settled: Box<[CachePadded<AtomicU64>]>,
}

impl Frontier {
    /// Behind all that were inserted before, by other fleets.
    pub(super) fn new(keys: &Keys, workers: usize) -> Self {
        let settled = (0..workers).map(|_| CachePadded::new(AtomicU64::new(0))).collect();
        Self { first: keys.unused().load(Ordering::Relaxed), settled }
    }
}

/// The new keys as one worker knows them.
#[derive(Debug)]
pub(super) struct Growth {
    frontier: Arc<Frontier>,
    worker: usize,
    /// Keys that were there before anything was inserted.
    count: u64,
    /// Inserts that were begun.
    begun: u64,
    /// Of those that are not settled, in their order, whether they have their outcome.
    ahead: VecDeque<bool>,
    /// Of each worker, how many were settled at the last look; its own as they are.
    settled: Vec<u64>,
    settled_all: u64,
    looked_ns: u64,
}

impl Growth {
    pub(super) fn new(frontier: &Arc<Frontier>, worker: usize, count: u64) -> Self {
        Self {
            settled: vec![0; frontier.settled.len()],
            frontier: Arc::clone(frontier),
            worker,
            count,
            begun: 0,
            ahead: VecDeque::new(),
            settled_all: 0,
            looked_ns: 0,
        }
    }

    /// Gives an insert its key, and what asks for one of the latest the one that it is by now.
    pub(super) fn place(&mut self, draw: &mut Draw, is_latest: bool, now_ns: u64) {
        if draw.kind == Kind::Insert {
            draw.key = self.number(self.worker, self.begun);
            self.begun += 1;
            self.ahead.push_back(false);
        } else if is_latest {
            if now_ns.saturating_sub(self.looked_ns) >= LOOK_EVERY_NS {
                self.look(now_ns);
            }
            draw.key = self.newest(self.count - 1 - draw.key);
        }
    }

    fn number(&self, worker: usize, index: u64) -> u64 {
        self.frontier.first + index * self.settled.len() as u64 + worker as u64
    }

    fn look(&mut self, now_ns: u64) {
        self.looked_ns = now_ns;
        for (known, settled) in self.settled.iter_mut().zip(&self.frontier.settled) {
            *known = settled.load(Ordering::Relaxed);
        }
        self.settled_all = self.settled.iter().sum();
    }

    /// The key that `rank` others are newer than: the workers' in turns, as they insert equally often,
    /// and then those that were there before.
    fn newest(&self, rank: u64) -> u64 {
        if rank >= self.settled_all {
            return self.count - 1 - (rank - self.settled_all);
        }
        let workers = self.settled.len() as u64;
        let (worker, depth) = ((rank % workers) as usize, rank / workers);
        if depth < self.settled[worker] {
            return self.number(worker, self.settled[worker] - 1 - depth);
        }
        // It has not inserted as often as others: one of theirs is as old.
        let most = (0..self.settled.len()).max_by_key(|&worker| self.settled[worker]);
        let worker = most.unwrap_or(0);
        self.number(worker, self.settled[worker] - 1 - depth.min(self.settled[worker] - 1))
    }

    /// An insert of ours has its outcome, whatever that is.
    pub(super) fn settle(&mut self, key: u64) {
        let index = (key - self.frontier.first) / self.settled.len() as u64;
        let own = &mut self.settled[self.worker];
        if let Some(is_settled) = self.ahead.get_mut((index - *own) as usize) {
            *is_settled = true;
        }
        while self.ahead.pop_front_if(|is_settled| *is_settled).is_some() {
            *own += 1;
            self.settled_all += 1;
        }
        self.frontier.settled[self.worker].store(*own, Ordering::Relaxed);
    }

    /// Tells other fleets where they may begin.
    pub(super) fn end(&self, keys: &Keys) {
        keys.unused().fetch_max(self.number(self.worker, self.begun), Ordering::Relaxed);
    }
}
