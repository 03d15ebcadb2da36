//! Whether probes at one rate kept the objectives.

use crate::objective::Objective;

/// The standard normal's quantile of a two-sided confidence of 95 %.
const NORMAL: f64 = 1.959_963_985;
/// Fewer slices with any operation tell too little of how they scatter for a decision.
const SLICES_MIN: usize = 8;
/// Slices are also looked at in groups of two, four and so on, as long as there are so many of them.
const GROUPS_MIN: usize = 5;

/// A stretch of a probe, a tenth of a second.
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

/// Operations, and those of them beyond one objective, of each slice of a time.
#[derive(Debug, Clone)]
struct Counts(Vec<(f64, f64)>);

impl Counts {
    /// Of slices in which anything ended.
    fn new<'a>(slices: impl Iterator<Item = &'a Slice>, objective: usize) -> Self {
        let some = slices.filter(|slice| slice.operations > 0);
        Self(some.map(|slice| (slice.operations as f64, slice.beyond[objective] as f64)).collect())
    }

    fn sums(&self) -> (f64, f64) {
        self.0.iter().fold((0.0, 0.0), |(n, x), slice| (n + slice.0, x + slice.1))
    }

    /// The same in groups of so many slices.
    fn grouped(&self, size: usize) -> Self {
        let group = |group: &[(f64, f64)]| Self(group.to_vec()).sums();
        Self(self.0.chunks(size).map(group).collect())
    }

    /// How many times more they scatter than those of independent operations would.
    fn dispersion(&self) -> f64 {
        let (operations, beyond) = self.sums();
        let share = beyond / operations;
        let independent = share * (1.0 - share) * operations;
        let squares: f64 = self.0.iter().map(|(n, x)| (x - share * n).powi(2)).sum();
        let count = self.0.len() as f64;
        let scatter = squares * count / (count - 1.0);
        // Of none, and of all, nothing is known but that they are the same.
        if independent > 0.0 { (scatter / independent).max(1.0) } else { 1.0 }
    }

    /// Between which shares the true one lies, as far as these slices tell: E. B. Wilson's interval
    /// (1927) of as many fewer operations as they scatter more. The scatter is itself estimated from
    /// few slices, so that Student's t takes the normal's place.
    fn bounds(&self) -> (f64, f64) {
        let (operations, beyond) = self.sums();
        let n = operations / self.dispersion();
        let share = beyond / operations;
        let width = student_t(self.0.len() - 1);
        let square = width * width;
        let centre = share + square / (2.0 * n);
        let width = width * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
        let whole = 1.0 + square / n;
        ((centre - width) / whole, (centre + width) / whole)
    }

    /// The widest of what slices and groups of them tell: where slow operations come in bursts longer
    /// than a slice, neighbours are alike, and only groups of them scatter as much as they should.
    fn widest_bounds(&self) -> (f64, f64) {
        let sizes = (0..).map(|power| 1 << power);
        let sizes = sizes.take_while(|size| self.0.len() / size >= GROUPS_MIN);
        let all = sizes.map(|size| self.grouped(size).bounds());
        all.fold((1.0, 0.0), |(low, high), bounds| (bounds.0.min(low), bounds.1.max(high)))
    }
}

/// Student's t with so many degrees of freedom, at least four, at a two-sided confidence of 95 %, to a
/// tenth of a percent (R. A. Fisher and E. A. Cornish; Abramowitz and Stegun, 26.7.5).
fn student_t(freedom: usize) -> f64 {
    let (z, freedom) = (NORMAL, freedom as f64);
    let [z3, z5, z7, z9] = [3, 5, 7, 9].map(|power| z.powi(power));
    z + (z3 + z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * freedom.powi(3))
        + (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z)
            / (92_160.0 * freedom.powi(4))
}

/// The share of the operations of `probe` that were beyond an objective, with one operation more of
/// which half was.
pub(super) fn share(probe: &Probe, objective: usize) -> f64 {
    let (operations, beyond) = Counts::new(probe.slices.iter(), objective).sums();
    (beyond + 0.5) / (operations + 1.0)
}

/// What `probes`, all of one rate, say together.
pub fn judge(objectives: &[Objective], probes: &[Probe]) -> Decision {
    if probes.iter().filter(|probe| probe.shortfall).count() * 2 > probes.len() {
        return Decision::Missed(None);
    }
    let mut decision = Decision::Kept;
    for (index, objective) in objectives.iter().enumerate() {
        let counts = Counts::new(probes.iter().flat_map(|probe| &probe.slices), index);
        if counts.0.len() < SLICES_MIN {
            return Decision::Undecided;
        }
        let (low, high) = counts.widest_bounds();
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
