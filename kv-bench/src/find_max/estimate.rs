//! Where between rates that are kept and rates that are missed the objectives begin to be missed.

use super::judge::{Decision, Probe, judge, share};
use crate::objective::Objective;

/// How far beyond or within an objective a probe can be and still tell of its distance: the logarithm
/// of the share beyond it, over the share that may be. From 4.5 times as many on, or a 4.5th, it is
/// only on its side.
const NEAR: f64 = 1.5;
/// Steepness of the crossing: by how much that logarithm may grow when the rate grows e-fold. A server
/// far from its end grows as slowly, a step as steeply.
const STEEPNESS: (f64, f64) = (3.0, 600.0);
const STEEPNESS_STEPS: usize = 20;
/// Rates are told apart to this part of them.
const RATE_STEP: f64 = 0.001;
/// What scatter is supposed before any was seen, and how many probes that is worth.
const PRIOR_SCATTER: f64 = 0.3;
const PRIOR_PROBES: f64 = 2.0;
/// What a search finds scatters about the truth, and so does what another one finds: between two of
/// them it is √2 times as much as from one to the truth.
const BETWEEN_SEARCHES: f64 = std::f64::consts::SQRT_2;
const MISSED: f64 = 0.025;

/// A rate at which the objectives begin to be missed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    pub rate_ops_s: f64,
    /// Another search would find one in between, with a confidence of 95 %.
    pub low_ops_s: f64,
    pub high_ops_s: f64,
}

/// The model: the logarithm grows evenly with that of the rate, up to `NEAR` on either side of the
/// crossing. Its place and steepness are weighed on a grid by how well they explain all probes, with a
/// scatter that is not known (Student's t). `None` without probes at two rates.
pub fn estimate(objectives: &[Objective], probes: &[Probe]) -> Option<Estimate> {
    let seen: Vec<(f64, f64)> =
        probes.iter().map(|probe| (probe.rate_ops_s.ln(), distance(objectives, probe))).collect();
    let least = seen.iter().map(|&(rate, _)| rate).fold(f64::INFINITY, f64::min);
    let most = seen.iter().map(|&(rate, _)| rate).fold(f64::NEG_INFINITY, f64::max);
    if most <= least || !least.is_finite() {
        return None;
    }
    let steps = ((most - least) / RATE_STEP).ceil() as usize;
    let place = |step: usize| least + (most - least) * step as f64 / steps as f64;
    let power = f64::midpoint(seen.len() as f64, PRIOR_PROBES);
    // Logarithms: the powers of many probes are too small for a float.
    let logs: Vec<Vec<f64>> = (0..=steps)
        .map(|step| {
            let of = |steepness| squares(&seen, place(step), steepness);
            let prior = PRIOR_PROBES * PRIOR_SCATTER.powi(2);
            steepnesses().map(|s| -power * (of(s) + prior).ln()).collect()
        })
        .collect();
    let largest = logs.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> =
        logs.iter().map(|logs| logs.iter().map(|log| (log - largest).exp()).sum()).collect();
    let whole: f64 = weights.iter().sum();
    let mean = (0..=steps).map(|step| place(step) * weights[step]).sum::<f64>() / whole;
    let quantile = |share: f64| {
        let mut below = 0.0;
        let reached = weights.iter().position(|weight| {
            below += weight;
            below >= share * whole
        });
        place(reached.unwrap_or(steps))
    };
    let wider = |end: f64| mean + (end - mean) * BETWEEN_SEARCHES;
    // Between its neighbours nothing was probed: of where a step lies there, the model only guesses.
    let rates = || seen.iter().map(|&(rate, _)| rate);
    let below = rates().filter(|&rate| rate <= mean).fold(least, f64::max);
    let above = rates().filter(|&rate| rate >= mean).fold(most, f64::min);
    let (least_missed, most_kept) = contradictions(objectives, probes);
    Some(Estimate {
        rate_ops_s: mean.exp(),
        low_ops_s: wider(quantile(MISSED)).min(below).exp().min(least_missed),
        high_ops_s: wider(quantile(1.0 - MISSED)).max(above).exp().max(most_kept),
    })
}

/// The lowest rate that a single probe missed for sure, and the highest that one kept. Where the first
/// is below the second, what can be done has changed between probes, and may have as much until another
/// search.
fn contradictions(objectives: &[Objective], probes: &[Probe]) -> (f64, f64) {
    let (mut least_missed, mut most_kept) = (f64::INFINITY, 0.0_f64);
    for probe in probes {
        match judge(objectives, std::slice::from_ref(probe)) {
            Decision::Missed(_) => least_missed = least_missed.min(probe.rate_ops_s),
            Decision::Kept => most_kept = most_kept.max(probe.rate_ops_s),
            Decision::Undecided => {}
        }
    }
    (least_missed, most_kept)
}

/// How far beyond its objectives a probe is, at most [`NEAR`] on either side: the furthest of them.
fn distance(objectives: &[Objective], probe: &Probe) -> f64 {
    if probe.shortfall {
        return NEAR;
    }
    let of =
        |(index, objective): (usize, &Objective)| (share(probe, index) / objective.allowed).ln();
    let furthest = objectives.iter().enumerate().map(of).fold(f64::NEG_INFINITY, f64::max);
    furthest.clamp(-NEAR, NEAR)
}

fn steepnesses() -> impl Iterator<Item = f64> {
    let (least, most) = STEEPNESS;
    let step = (most / least).powf(1.0 / (STEEPNESS_STEPS - 1) as f64);
    (0..STEEPNESS_STEPS as i32).map(move |index| least * step.powi(index))
}

fn squares(seen: &[(f64, f64)], place: f64, steepness: f64) -> f64 {
    let of = |&(rate, distance): &(f64, f64)| {
        (distance - ((rate - place) * steepness).clamp(-NEAR, NEAR)).powi(2)
    };
    seen.iter().map(of).sum()
}
