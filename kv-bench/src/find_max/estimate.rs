//! What independent looks say together.

use super::judge::student_t;
use super::pass::RESOLUTION;

/// Fewer tell nothing of how they scatter.
pub const PASSES_MIN: usize = 3;
/// From so many on, an order among them is told from chance, …
const TREND_PASSES_MIN: usize = 5;
/// … when their rank correlation with time (C. Spearman, 1904) is at least this. Of five without any, one
/// series in twelve has as much.
const TREND: f64 = 0.9;

/// A rate at which the objectives begin to be missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The geometric mean of the passes.
    pub rate_ops_s: f64,
    /// Between these the next pass would find it, with a confidence of 95 %; `None` of fewer than
    /// [`PASSES_MIN`]. Another search is the mean of several such passes, and what has changed until
    /// then is in it as far as it does within this one.
    pub interval_ops_s: Option<(f64, f64)>,
    /// What can be done rose, or fell, all the while: another search may find it elsewhere.
    pub drifted: bool,
}

/// The prediction interval of one more value (R. A. Fisher, 1935) of what passes found. `None` of none.
pub fn estimate(passes_ops_s: &[f64]) -> Option<Estimate> {
    let logs: Vec<f64> = passes_ops_s.iter().map(|ops_s| ops_s.ln()).collect();
    if logs.is_empty() {
        return None;
    }
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let interval_ops_s = (logs.len() >= PASSES_MIN).then(|| {
        let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
        // Passes that agree by chance are still no finer than their resolution.
        let variance = squares / (count - 1.0) + RESOLUTION.powi(2) / 12.0;
        let width = student_t(logs.len() - 1) * (variance * (1.0 + 1.0 / count)).sqrt();
        ((mean - width).exp(), (mean + width).exp())
    });
    let drifted = logs.len() >= TREND_PASSES_MIN && rank_correlation(&logs).abs() >= TREND;
    Some(Estimate { rate_ops_s: mean.exp(), interval_ops_s, drifted })
}

/// Of values with their places.
fn rank_correlation(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let rank = |value: f64| {
        let below = values.iter().filter(|&&other| other < value).count() as f64;
        let up_to = values.iter().filter(|&&other| other <= value).count() as f64;
        f64::midpoint(below, up_to - 1.0)
    };
    let squares =
        values.iter().enumerate().map(|(place, &value)| (rank(value) - place as f64).powi(2));
    1.0 - 6.0 * squares.sum::<f64>() / (count * (count * count - 1.0))
}
