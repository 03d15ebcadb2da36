//! What a search wants of each of its measurements, and what it reads from them.

use std::sync::Arc;
use std::time::Duration;

use crate::driver::{self, Live, Measured, Until};
use crate::find_max::{LATE_SHARE_MAX, Probe, Slice, falls_short};
use crate::measurement::Measurement;
use crate::objective::{Bound, Objective};
use crate::scenario::FindMaxPlan;

/// How long a probe waits for what became due within its time, at least.
const DRAIN_MIN: Duration = Duration::from_secs(1);

/// What a search wants of each of its measurements.
pub(super) struct Probing {
    /// The response times that operations are counted beyond.
    pub(super) limits_ns: Arc<[u64]>,
    /// How long it waits for what became due within its time. By then it is decided of each.
    pub(super) drain: Duration,
}

impl Probing {
    pub(super) fn new(plan: &FindMaxPlan, timeout: Duration) -> Self {
        let limits_ns: Arc<[u64]> =
            plan.objectives.iter().filter_map(Objective::limit_ns).collect();
        let longest = limits_ns.iter().max().map_or(Duration::ZERO, |&ns| Duration::from_nanos(ns));
        // Whether an operation fails is known when its time is over.
        let fails = plan.objectives.iter().any(|objective| objective.bound == Bound::Success);
        let failing = if fails { timeout } else { Duration::ZERO };
        Self { limits_ns, drain: longest.max(failing).max(DRAIN_MIN) }
    }

    /// Whether what goes on tells no more.
    pub(super) fn is_over(&self, live: &Live, until: Until) -> bool {
        matches!(until, Until::Elapsed(time) if !live.warmup && live.elapsed > time + self.drain)
    }
}

/// What the slices of a measurement tell about the objectives.
pub(super) fn probe_of(measurement: &Measurement, plan: &FindMaxPlan) -> Probe {
    let rate_ops_s = measurement.rate_asked_ops_s.unwrap_or_default();
    let Measured { counts, slices, .. } = &measurement.measured;
    let count = (plan.length(rate_ops_s).as_nanos() / driver::SLICE.as_nanos()) as u64;
    let done = |slice: u64| slices.get(&slice).map_or(0, |slice| slice.operations);
    let done: Vec<u64> = (0..count).map(done).collect();
    let unsent = counts.unsent as f64 > counts.drawn() as f64 * LATE_SHARE_MAX;
    let is_short = falls_short(&done, rate_ops_s * driver::SLICE.as_secs_f64());
    let of = |slice: &driver::Slice| {
        let mut slow = slice.slow.iter();
        let beyond = |objective: &Objective| match objective.bound {
            Bound::ResponseNs(_) => slice.failed + slow.next().copied().unwrap_or_default(),
            Bound::Success => slice.failed,
        };
        let beyond = plan.objectives.iter().map(beyond).collect();
        Slice { operations: slice.operations, beyond }
    };
    let mut slices: Vec<Slice> = slices.values().map(of).collect();
    // What was due and never sent came to no end: it would have been late. Of errors it tells nothing,
    // and of more of it than makes a shortfall, it need not.
    let late = |objective: &Objective| u64::from(objective.limit_ns().is_some()) * counts.unsent;
    let beyond = || plan.objectives.iter().map(late).collect();
    slices
        .extend((counts.unsent > 0).then(|| Slice { operations: counts.unsent, beyond: beyond() }));
    Probe { rate_ops_s, slices, shortfall: counts.overflowed || unsent || is_short }
}

/// Of the operations of a probe, the share that was beyond each objective.
pub(super) fn beyond_shares(probe: &Probe, objectives: usize) -> Vec<f64> {
    let operations: u64 = probe.slices.iter().map(|slice| slice.operations).sum();
    let beyond = |objective: usize| probe.slices.iter().map(move |slice| slice.beyond[objective]);
    let share = |objective| beyond(objective).sum::<u64>() as f64 / operations.max(1) as f64;
    (0..objectives).map(share).collect()
}
