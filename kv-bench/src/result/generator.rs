//! What the generator itself used and was denied, and how it treated its clients.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The facts about the generator that the headline's verdict rests on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Generator {
    pub workers: Vec<WorkerCost>,
    /// Share of the time in which a CPU quota stopped us; `null` without a quota.
    pub throttled_share: Option<f64>,
    /// Share of all cores' time that the hypervisor took.
    pub steal_share: f64,
    /// Share of all cores' time that processes used which are neither ours nor the servers'; `null`
    /// where the process of a server is not known.
    pub others_share: Option<f64>,
    /// How evenly the clients of a closed loop were served; `null` in an open one, where operations
    /// belong to no client.
    pub clients: Option<Fairness>,
}

/// What one worker, a thread, cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerCost {
    pub wall_s: f64,
    /// CPU time, without what was spent awake for want of anything to do.
    pub cpu_s: f64,
    /// How long it was ready to run and waited for a core; `null` where the kernel does not tell.
    pub run_queue_wait_s: Option<f64>,
    /// How often it was taken off its core for somebody else; `null` where the kernel does not tell.
    pub involuntary_switches: Option<u64>,
}

/// How evenly clients were served: operations of each that succeeded, per second of the time that it
/// had any to do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fairness {
    pub clients: u64,
    /// Of the client that was served least, and of the one served most.
    pub min_ops_s: f64,
    pub max_ops_s: f64,
    /// Jain's index, (Σx)² / (n·Σx²): 1 when all get the same, 1/n when one gets everything.
    pub jain_index: f64,
}
