//! One worker's part of a schedule: due times, made in blocks ahead of their need.

use std::collections::VecDeque;
use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::{Course, Plan, Process, share};
use crate::driver::Until;

/// Due times made at once: a microsecond's work, which may delay an operation that becomes due
/// meanwhile by as much.
const BLOCK: usize = 64;

/// Sets the gaps' random numbers apart from those of the operations, which have the same seed.
const GAPS: u64 = 0x6172_7269_7661_6c73;

/// What ends a worker's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// After this many operations.
    pub operations: u64,
    /// Before this time, in nanoseconds after the start.
    pub before_ns: u64,
}

impl End {
    /// The part of worker `worker` of `workers` in a run that ends with `until`. A run by time has as
    /// many operations as are due within it; with constant gaps their number is exact.
    pub fn new(plan: &Plan, until: Until, worker: u64, workers: u64) -> Self {
        /// What floats add to a whole number of operations.
        const NOISE: f64 = 1e-6;
        let part = |operations| share(operations, worker, workers).1;
        match (until, plan.process) {
            (Until::Operations(operations), _) => {
                Self { operations: part(operations), before_ns: u64::MAX }
            }
            (Until::Elapsed(_), Process::Constant) => {
                let operations = (plan.course.operations() - NOISE).ceil() as u64;
                Self { operations: part(operations), before_ns: u64::MAX }
            }
            (Until::Elapsed(time), Process::Poisson) => {
                Self { operations: u64::MAX, before_ns: time.as_nanos() as u64 }
            }
        }
    }
}

/// The due times of one worker's operations, in nanoseconds after the start and in their order.
///
/// Of constant arrivals, worker *w* of *n* has every *n*-th of all operations, from number *w* on, so
/// that all workers together send evenly. Of Poisson arrivals each worker has its own, at its share of
/// the rate: together they are Poisson arrivals at the whole rate.
#[derive(Debug, Clone)]
pub struct Arrivals {
    course: Arc<Course>,
    process: Process,
    random: Xoshiro256PlusPlus,
    workers: f64,
    end: End,
    /// Operations over all workers, at this worker's next one.
    reached: f64,
    segment: usize,
    ready: VecDeque<u64>,
}

impl Arrivals {
    /// Those of worker `worker` of `workers`.
    pub fn new(plan: &Plan, worker: u64, workers: u64, end: End) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(plan.seed ^ GAPS);
        // Jumps lead to sequences that do not overlap.
        (0..worker).for_each(|_| random.jump());
        let mut arrivals = Self {
            course: Arc::clone(&plan.course),
            process: plan.process,
            random,
            workers: workers as f64,
            end,
            reached: worker as f64,
            segment: 0,
            ready: VecDeque::with_capacity(2 * BLOCK),
        };
        if plan.process == Process::Poisson {
            arrivals.reached = arrivals.gap();
        }
        arrivals
    }

    /// When the next operation is due; `None` when there is none any more.
    #[inline]
    pub fn head(&mut self) -> Option<u64> {
        if self.ready.is_empty() {
            self.extend();
        }
        self.ready.front().copied()
    }

    /// Takes the next operation.
    #[inline]
    pub fn take(&mut self) {
        self.ready.pop_front();
    }

    /// Makes the next block of due times, if there is room for one: to be called when nothing is due.
    #[inline]
    pub fn prepare(&mut self) {
        if self.ready.len() <= BLOCK {
            self.extend();
        }
    }

    /// There are no more operations after those taken. Returns whether there would have been.
    pub fn cut(&mut self) -> bool {
        let had_more = self.head().is_some();
        self.ready.clear();
        self.end.operations = 0;
        had_more
    }

    fn extend(&mut self) {
        for _ in 0..BLOCK {
            if self.end.operations == 0 {
                return;
            }
            let due_ns = self.course.reaches(self.reached, &mut self.segment) as u64;
            if due_ns >= self.end.before_ns {
                self.end.operations = 0;
                return;
            }
            self.end.operations -= 1;
            self.ready.push_back(due_ns);
            self.reached += match self.process {
                Process::Constant => self.workers,
                Process::Poisson => self.gap(),
            };
        }
    }

    /// An exponential gap by inversion, from 53 random bits, in operations over all workers.
    fn gap(&mut self) -> f64 {
        let below_one = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        -(-below_one).ln_1p() * self.workers
    }
}
