//! What a search for the highest rate found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The highest rate at which objectives are kept. Its probes are the result's points, in their order;
/// the headline is the probe at the highest rate that was kept, or the last one where none was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindMax {
    /// As they were typed: `p99=1ms`, `errors=0.1%`.
    pub objectives: Vec<String>,
    /// From where on objectives are missed; `null` where that was not found.
    pub rate_ops_s: Option<f64>,
    /// Between these, 95 % of other searches would find it.
    pub low_ops_s: Option<f64>,
    pub high_ops_s: Option<f64>,
    /// The highest rate that was probed and kept every objective with a confidence of 95 %, and the
    /// lowest that missed one.
    pub kept_ops_s: Option<f64>,
    pub missed_ops_s: Option<f64>,
    /// What came to its end first; `null` where nothing did.
    pub limited_by: Option<SearchLimit>,
    /// Between which rates it was looked for.
    pub lowest_ops_s: f64,
    pub highest_ops_s: f64,
    /// What as many clients got in a closed loop, each asking as soon as it was answered.
    pub closed_loop_ops_s: f64,
    /// The time that there was for it.
    pub time_s: f64,
    /// One per point.
    pub probes: Vec<ProbeRecord>,
}

/// What one probe told, alone and with those before it at its rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeRecord {
    pub rate_asked_ops_s: f64,
    pub outcome: ProbeOutcome,
    /// Of each objective, the share of the operations that were beyond it.
    pub beyond_shares: Vec<f64>,
    /// The rate was not kept up: 1 % of what was due came after its time, or more waited than can.
    pub shortfall: bool,
}

/// Whether a rate keeps the objectives, with a confidence of 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeOutcome {
    Kept,
    Missed,
    Undecided,
}

/// What kept a search from a higher rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SearchLimit {
    /// The servers answered too late.
    Objective,
    /// The generator was late itself, or had no cores: servers may do more.
    Generator,
    /// Operations failed.
    Errors,
}
