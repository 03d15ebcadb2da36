//! Whether probes at one rate kept the objectives.

use crate::objective::Objective;

/// The standard normal's quantile of a two-sided confidence of 95 %.
const NORMAL: f64 = 1.959_963_985;

/// A stretch of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Operations with an outcome.
    pub operations: u64,
    /// Of them, those beyond each objective.
    pub beyond: Vec<u64>,
}

/// An open loop at one rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    pub rate_ops_s: f64,
    pub slices: Vec<Slice>,
    /// The rate was not kept up: objectives are missed, whatever the response times of what there was.
    pub shortfall: bool,
}

/// What probes at one rate tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// No objective is missed.
    Kept,
    /// At least one is; the first of those missed by their percentile, `None` where the rate was not
    /// kept up.
    Missed(Option<usize>),
    Undecided,
}

/// Operations, and those of them beyond one objective, with what the scatter makes of their numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tally {
    operations: f64,
    beyond: f64,
    /// How many times more the counts of slices scatter than those of independent operations would.
    dispersion: f64,
}

impl Tally {
    pub(super) fn new<'a>(
        slices: impl Iterator<Item = &'a Slice> + Clone,
        objective: usize,
    ) -> Self {
        let pairs = slices.filter(|slice| slice.operations > 0);
        let pairs = pairs.map(|slice| (slice.operations as f64, slice.beyond[objective] as f64));
        let (mut operations, mut beyond, mut count) = (0.0, 0.0, 0.0);
        for (n, x) in pairs.clone() {
            (operations, beyond, count) = (operations + n, beyond + x, count + 1.0);
        }
        let share = if operations > 0.0 { beyond / operations } else { 0.0 };
        let independent = share * (1.0 - share) * operations;
        let squares: f64 = pairs.map(|(n, x)| (x - share * n).powi(2)).sum();
        let scatter = if count > 1.0 { squares * count / (count - 1.0) } else { independent };
        let dispersion = if independent > 0.0 { (scatter / independent).max(1.0) } else { 1.0 };
        Self { operations, beyond, dispersion }
    }

    /// The share beyond the objective, of one operation more of which half was beyond.
    pub(super) fn share(self) -> f64 {
        (self.beyond + 0.5) / (self.operations + 1.0)
    }

    /// Between which shares the true one lies (E. B. Wilson, 1927), were there as many fewer operations
    /// as they scatter more.
    fn bounds(self) -> (f64, f64) {
        let n = self.operations / self.dispersion;
        if n <= 0.0 {
            return (0.0, 1.0);
        }
        let share = self.beyond / self.operations;
        let square = NORMAL * NORMAL;
        let centre = share + square / (2.0 * n);
        let width = NORMAL * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
        let whole = 1.0 + square / n;
        ((centre - width) / whole, (centre + width) / whole)
    }
}

/// What `probes`, all of one rate, say together.
pub fn judge(objectives: &[Objective], probes: &[Probe]) -> Decision {
    if probes.iter().filter(|probe| probe.shortfall).count() * 2 > probes.len() {
        return Decision::Missed(None);
    }
    let slices = probes.iter().flat_map(|probe| &probe.slices);
    let mut decision = Decision::Kept;
    for (index, objective) in objectives.iter().enumerate() {
        let (low, high) = Tally::new(slices.clone(), index).bounds();
        if low > objective.allowed {
            return Decision::Missed(Some(index));
        }
        if high > objective.allowed {
            decision = Decision::Undecided;
        }
    }
    // One that did not keep up among several that did.
    if probes.iter().any(|probe| probe.shortfall) { Decision::Undecided } else { decision }
}
