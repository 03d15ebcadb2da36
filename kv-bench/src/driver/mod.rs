//! The measured path: worker threads, each one event loop over many clients.
//!
//! A [`Fleet`] connects once and then runs phases (preload, warm-up, measurement) over the same
//! connections. Workers share nothing while a phase runs: each counts and records for itself and
//! hands whole histograms to the collector at interval ends.

mod availability;
mod client;
pub mod clock;
mod collector;
mod connection;
mod feeder;
mod fleet;
mod following;
mod frontier;
mod handover;
mod open_loop;
mod outage;
mod poll;
mod refresher;
mod replay;
mod series;
mod silence;
mod slices;
mod spare_core;
mod strays;
mod thinking;
mod verifier;
mod worker;

pub use availability::{Availability, Gap};
pub use collector::{Keeping, Percentile};
pub use feeder::Replayed;
pub use fleet::{Fleet, LaunchError, Live, Measured};
pub use open_loop::BACKLOG_MAX;
pub use silence::{Hearing, Span};
pub use slices::{SLICE, Slice};
pub use verifier::Verify;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::recorder::Counts;
use crate::schedule::{Schedule, share};
use crate::workload::Workload;
use feeder::Feeds;
use frontier::Frontier;
use handover::Batch;

/// How many callers there are and how they call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Workers, each a thread.
    pub threads: u32,
    /// Clients per worker.
    pub clients: u32,
    /// Operations that each client may have outstanding.
    pub pipeline: u32,
    /// How long an operation may wait for its reply.
    pub timeout: Duration,
}

/// Bytes of values that a preloading client has outstanding at most, but for a single longer one.
const PRELOAD_BYTES: usize = 1024 * 1024;
const PRELOAD_PIPELINE_MAX: usize = 64;
const PRELOAD_CLIENTS: u32 = 4;
const PRELOAD_TIMEOUT_MIN: Duration = Duration::from_secs(5);

impl Shape {
    /// How many sequences of operations there are: each client of a closed loop and of a trace has its
    /// own, and each worker of an open one.
    pub fn streams(&self, schedule: &Schedule) -> u64 {
        let clients = if matches!(schedule, Schedule::Open(_)) { 1 } else { self.clients };
        u64::from(self.threads) * u64::from(clients)
    }

    /// The shape that stores many values of `value_size` bytes soon: each of a few connections is
    /// kept busy, without queueing so many bytes that the last of them run into `timeout`, which is
    /// prolonged to what a server may need that is filled and not measured.
    pub fn preload(threads: u32, value_size: usize, timeout: Duration) -> Self {
        let pipeline = (PRELOAD_BYTES / value_size.max(1)).clamp(1, PRELOAD_PIPELINE_MAX);
        let timeout = timeout.max(PRELOAD_TIMEOUT_MIN);
        Self { threads, clients: PRELOAD_CLIENTS, pipeline: pipeline as u32, timeout }
    }
}

/// When a phase is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After exactly this many operations over all clients.
    Operations(u64),
    /// When this much time has passed and what is outstanding has its outcome.
    Elapsed(Duration),
}

/// The part of sequence number `stream` of `streams` in a run that ends with `until`: the number of
/// its first operation, and how many it has at most.
pub(crate) fn part(workload: &Workload, until: Until, stream: u64, streams: u64) -> (u64, u64) {
    match until {
        Until::Operations(total) => share(total, stream, streams),
        Until::Elapsed(_) => workload.keys.timed_share(stream, streams),
    }
}

/// One phase as every worker sees it.
struct Phase {
    workload: Arc<Workload>,
    schedule: Schedule,
    until: Until,
    /// Where new keys are inserted.
    frontier: Option<Arc<Frontier>>,
    verify: Option<Verify>,
    /// Where slices are counted: the response times beyond which operations are.
    limits_ns: Option<Arc<[u64]>>,
    /// Of a trace.
    feeds: Option<Feeds>,
    /// The clock's reading at which the phase began.
    start_ns: u64,
}

/// What a worker has cost since it began, without what it spent awake for want of anything to do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Effort {
    pub cpu_ns: u64,
    /// Time that the thread was ready to run and waited for a core; `None` where the kernel does
    /// not tell.
    pub run_queue_wait_ns: Option<u64>,
    pub wall_ns: u64,
}

/// What one worker did in a phase, and what it cost.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub counts: Counts,
    /// From the worker's begin to its end, or to the end of the phase if it came before the last
    /// outcome.
    pub effort: Effort,
    /// How often the thread was taken off its core for another; `None` where the kernel does not
    /// tell.
    pub involuntary_switches: Option<u64>,
    /// What it heard of each server, and last of all together.
    pub hearing: Vec<Hearing>,
    /// What it knows of when each server served it.
    pub availability: Vec<Availability>,
    /// The longest time in which it did not run.
    pub absence: Span,
    /// Spent in calls of a target in this process; `None` where there is none.
    pub called_ns: Option<u64>,
    /// Of each of its clients, in the order in which they came to their end.
    pub ends: Vec<ClientEnd>,
}

/// A client that has nothing left to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientEnd {
    /// It was given nothing to do.
    pub idle: bool,
    /// Operations of it that succeeded; of no meaning in an open loop, where they belong to no client.
    pub successes: u64,
    pub end_ns: u64,
}

enum Message {
    Connected,
    Refused(String),
    Batch(Batch),
    Done { worker: usize, outcome: Box<io::Result<Outcome>> },
}
