//! What a search for the highest rate found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The highest rate at which objectives are kept. Its probes are the result's points, in their order;
/// the headline is the probe at the highest rate that was kept, or the last one where none was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FindMax {
    /// As they were typed: `p99=1ms`, `errors=0.1%`.
    pub objectives: Vec<String>,
    /// From where on objectives are missed, the geometric mean of what `passes` found; `null` without any.
    pub rate_ops_s: Option<f64>,
    /// Between these, 95 % of further passes would find it, and so of other searches, whose rates are means
    /// of theirs; `null` of fewer than three. It is as wide as passes scatter: what changes more slowly than
    /// a search lasts is not in it, nor what others did to the machine meanwhile, so that where it `drifted`
    /// or was disturbed ([`FindMax::is_disturbed`]) another search may find it elsewhere.
    pub low_ops_s: Option<f64>,
    pub high_ops_s: Option<f64>,
    /// What each look for it found that was finished, in their order.
    #[serde(default)]
    pub passes: Vec<SearchPass>,
    /// From pass to pass it rose, or fell.
    #[serde(default)]
    pub drifted: bool,
    /// The highest rate that was probed and kept every objective, below all that missed one: each with a
    /// confidence of 95 %, as far as the tenths of seconds of its own probes tell.
    pub kept_ops_s: Option<f64>,
    /// The lowest that missed one.
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

/// One look for the rate, which knows nothing of what others decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SearchPass {
    /// From where on more was beyond an objective than may be, to within 1 %.
    pub rate_ops_s: f64,
    pub probes: u32,
    /// On servers that were started and filled for it.
    pub fresh_servers: bool,
}

/// What one probe told, alone and with those before it at its rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeRecord {
    pub rate_asked_ops_s: f64,
    pub outcome: ProbeOutcome,
    /// Of each objective, the share of the operations that were beyond it.
    pub beyond_shares: Vec<f64>,
    /// The rate was not kept up: what was due piled up, by more than chance, or was not sent at all.
    pub shortfall: bool,
    /// Others took CPU time meanwhile: the hypervisor or a quota 1 % of it, or other processes 10 %.
    #[serde(default)]
    pub disturbed: bool,
    /// The number of the pass it belongs to, from 1 on; `null` of those that bracketed the rates before.
    #[serde(default)]
    pub pass: Option<u32>,
}

impl FindMax {
    /// How many of the probes were disturbed.
    pub fn disturbed(&self) -> usize {
        self.probes.iter().filter(|probe| probe.disturbed).count()
    }

    /// More than one in ten were.
    pub fn is_disturbed(&self) -> bool {
        self.disturbed() * 10 > self.probes.len()
    }
}

/// Whether a rate keeps the objectives, with a confidence of 95 % as far as its tenths of seconds tell:
/// what slows the servers less often than some times in a probe is not in them.
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
    /// The servers answered too late, or less than was asked for, and why is not known.
    Objective,
    /// The servers had no CPU time to spare.
    Server,
    /// The generator was late itself, or had no cores: servers may do more.
    Generator,
    /// Operations waited for a client, while servers kept up: they may do more.
    Clients,
    /// Operations failed.
    Errors,
}
