//! What a curve over offered loads found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A curve over offered loads. Its measurements are the result's points, in the order in which they
/// were made; the headline is the one at the highest load that was kept up, or at the lowest where none
/// was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenCurve {
    /// As typed for `--rates`.
    pub rates: String,
    /// The loads that were to be measured, in ascending order.
    pub loads_ops_s: Vec<f64>,
    /// How often each.
    pub repeats: u32,
    /// What their order was drawn from.
    pub order_seed: u64,
    /// How long each point was measured.
    pub length_s: f64,
    /// What as many clients achieved in a closed loop, each asking as soon as it was answered.
    pub closed_loop_ops_s: f64,
    /// Where response times begin to climb; `null` where they do not, or not clearly.
    pub knee: Option<CurveKnee>,
    /// From where on less was achieved than was offered; `null` where that was never so.
    pub saturation: Option<CurveSaturation>,
}

/// The knee, by Kneedle on the logarithm of response p99 against offered load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveKnee {
    pub rate_ops_s: f64,
    /// In between it lies in 95 % of the curves that other draws of the repeats would have made, and at
    /// least up to the loads beside it.
    pub low_ops_s: f64,
    pub high_ops_s: f64,
    /// The part of these curves that have a knee at all.
    pub found_share: f64,
}

/// Saturation: achieved is below offered by more than 1 % and three standard deviations of a Poisson
/// count, in most repeats of a load and of all above it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CurveSaturation {
    pub from_ops_s: f64,
    /// The load below it; `null` where it is the lowest of all.
    pub kept_ops_s: Option<f64>,
    /// What was achieved from there on: the median.
    pub achieved_ops_s: f64,
}
