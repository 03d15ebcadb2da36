//! The measured path: worker threads, each one event loop over many clients.
//!
//! A [`Fleet`] connects once and then runs phases (preload, warm-up, measurement) over the same
//! connections. Workers share nothing while a phase runs: each counts and records for itself and
//! hands whole histograms to the collector at interval ends.

mod client;
pub mod clock;
mod collector;
mod connection;
mod fleet;
mod handover;
mod poll;
mod worker;

pub use collector::Percentile;
pub use fleet::{Fleet, LaunchError, Live, Measured};

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::recorder::Counts;
use crate::workload::Workload;
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

/// When a phase is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After exactly this many operations over all clients.
    Operations(u64),
    /// When this much time has passed and what is outstanding has its outcome.
    Elapsed(Duration),
}

/// One phase as every worker sees it.
struct Phase {
    workload: Arc<Workload>,
    until: Until,
    /// The clock's reading at which the phase began.
    start_ns: u64,
}

/// What one worker did in a phase, and what it cost.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub counts: Counts,
    /// CPU time of the worker's thread.
    pub cpu_ns: u64,
    /// Time that the thread was ready to run and waited for a core; `None` where the kernel does
    /// not tell.
    pub run_queue_wait_ns: Option<u64>,
    /// From the worker's begin to its end.
    pub wall_ns: u64,
}

enum Message {
    Connected,
    Refused(String),
    Batch(Batch),
    Done { worker: usize, outcome: Box<io::Result<Outcome>> },
}
