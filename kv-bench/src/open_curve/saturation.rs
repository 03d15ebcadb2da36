//! Whether as much was achieved as was offered.

/// Less than this part of what was offered, beyond what chance does, is not what was offered.
pub const SHORTFALL_MAX: f64 = 0.01;
/// What chance does: so many standard deviations of a Poisson count, which is what arrivals, and the
/// queue that happens to be there at the end, scatter by.
pub const DEVIATIONS: f64 = 3.0;

/// What one measurement at a rate achieved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Achieved {
    /// Operations that became due within `length_s`.
    pub due: u64,
    pub length_s: f64,
    /// Of these, successes.
    pub succeeded: u64,
    /// From the first send to the last outcome.
    pub duration_s: f64,
    /// Half of the replies took longer: that much of the duration is no backlog, but the last
    /// operations on their way.
    pub service_p50_s: f64,
}

impl Achieved {
    /// Whether it is less than was offered, beyond chance.
    pub fn falls_short(&self) -> bool {
        if self.due == 0 {
            return false;
        }
        let due = self.due as f64;
        let working_s = (self.duration_s - self.service_p50_s).max(self.length_s);
        let achieved = self.succeeded as f64 * self.length_s / working_s;
        achieved < due * (1.0 - SHORTFALL_MAX) - DEVIATIONS * due.sqrt()
    }
}

/// The end of what can be achieved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Saturation {
    /// The lowest load from which on most repeats achieved less than was offered.
    pub from_ops_s: f64,
    /// The load below it, where they did not; `None` where it is the lowest of all.
    pub kept_ops_s: Option<f64>,
}

/// Of loads in ascending order, each with whether its repeats fell short.
pub fn saturation(loads: &[(f64, Vec<bool>)]) -> Option<Saturation> {
    let is_short =
        |repeats: &[bool]| 2 * repeats.iter().filter(|&&short| short).count() > repeats.len();
    let kept = loads.iter().rposition(|(_, repeats)| !is_short(repeats));
    let from = kept.map_or(0, |kept| kept + 1);
    let &(from_ops_s, _) = loads.get(from)?;
    Some(Saturation { from_ops_s, kept_ops_s: kept.map(|kept| loads[kept].0) })
}
