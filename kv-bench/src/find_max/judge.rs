//! Whether probes at one rate kept the objectives.

use crate::objective::Objective;

/// The standard normal's quantile of a two-sided confidence of 95 %.
const NORMAL: f64 = 1.959_963_985;
/// Fewer slices with any operation tell too little of how they scatter for a decision.
const SLICES_MIN: usize = 8;
/// Slices are also looked at in groups of two, four and so on, as long as there are so many of them.
const GROUPS_MIN: usize = 5;

/// More of the operations than this after their time are a rate that is not kept up.
pub const LATE_SHARE_MAX: f64 = 0.01;
/// By how many standard deviations of a Poisson count fewer are done than is chance in half of a probe,
/// and in each half of that.
const SHORT_DEVIATIONS: (f64, f64) = (3.0, 1.5);

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

/// Student's t with so many degrees of freedom, at a two-sided confidence of 95 %, from four on to a tenth
/// of a percent, with two to a percent (R. A. Fisher and E. A. Cornish; Abramowitz and Stegun, 26.7.5).
pub(super) fn student_t(freedom: usize) -> f64 {
    let (z, freedom) = (NORMAL, freedom as f64);
    let [z3, z5, z7, z9] = [3, 5, 7, 9].map(|power| z.powi(power));
    z + (z3 + z) / (4.0 * freedom)
        + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / (384.0 * freedom.powi(3))
        + (79.0 * z9 + 776.0 * z7 + 1482.0 * z5 - 1920.0 * z3 - 945.0 * z)
            / (92_160.0 * freedom.powi(4))
}

/// Whether an objective is rather missed than kept in `probe`, however surely.
pub(super) fn is_beyond(objectives: &[Objective], probe: &Probe) -> bool {
    let more = |(index, objective): (usize, &Objective)| {
        let (operations, beyond) = Counts::new(probe.slices.iter(), index).sums();
        beyond > objective.allowed * operations
    };
    probe.shortfall || objectives.iter().enumerate().any(more)
}

/// What `probes`, all of one rate, say together. Where some of them decide by themselves, and do not
/// agree, more changed between them than their slices tell of, and nothing is decided.
pub fn judge(objectives: &[Objective], probes: &[Probe]) -> Decision {
    let alone = |probe| judge_together(objectives, std::slice::from_ref(probe));
    let is_kept = probes.iter().map(alone).filter(|&decision| decision != Decision::Undecided);
    let is_kept = is_kept.map(|decision| decision == Decision::Kept);
    let (kept, missed): (Vec<bool>, Vec<bool>) = is_kept.partition(|&kept| kept);
    match (kept.is_empty(), missed.is_empty()) {
        (false, false) => Decision::Undecided,
        _ => judge_together(objectives, probes),
    }
}

fn judge_together(objectives: &[Objective], probes: &[Probe]) -> Decision {
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

/// Whether fewer operations had their outcome than became due in the second half of a probe, by more than
/// one in a hundred and what chance does to arrivals: then they pile up, however long each may take. What
/// one moment at the end holds up is no pile, so it must be seen in both halves of that. `done` is told of
/// each slice, and so many were `due` in each.
pub fn falls_short(done: &[u64], due: f64) -> bool {
    let (half, quarter) = SHORT_DEVIATIONS;
    let is_short = |done: &[u64], deviations: f64| {
        let due = due * done.len() as f64;
        let done = done.iter().sum::<u64>() as f64;
        done < due * (1.0 - LATE_SHARE_MAX) - deviations * due.sqrt()
    };
    let second = &done[done.len() / 2..];
    let (third, fourth) = second.split_at(second.len() / 2);
    is_short(second, half) && is_short(third, quarter) && is_short(fourth, quarter)
}
