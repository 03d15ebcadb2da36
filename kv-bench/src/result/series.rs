//! The headline over time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ErrorCounts, Percentiles};

/// The headline, interval by interval, without gaps: what happened in each, in its own figures. Sums
/// over all of them are the headline's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// How long each interval is: 1 s, or in a run of more than half an hour 2, 4, 8 … s, so that
    /// there are 1,800 at most. The last one takes what is left of the run, up to half an interval
    /// more or less.
    pub interval_s: f64,
    pub intervals: Vec<SeriesInterval>,
}

/// What happened in one interval; each worker's bounds lie up to 0.1 s later when it is idle.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesInterval {
    /// Seconds since the headline began to be measured.
    pub start_s: f64,
    pub length_s: f64,
    /// Operations that had their outcome in it.
    pub operations: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// The errors by kind; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors_by_kind: Option<ErrorCounts>,
    /// Successes per second of `length_s`.
    pub throughput_ops_s: f64,
    /// Of its successes: sent → reply; `null` where nothing succeeded.
    pub service_us: Option<Percentiles>,
    /// Of its successes: intended start → reply; `null` in a closed loop.
    pub response_us: Option<Percentiles>,
    /// Operations sent in it to each server, in the order of the result's `servers`.
    pub server_operations: Vec<u64>,
}
