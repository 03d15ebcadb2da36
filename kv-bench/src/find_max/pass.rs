//! One look for where the objectives begin to be missed, which knows nothing of the others.

/// The first step, and how near to each other the rates are in the end that are on either side.
/// Logarithms of rates, like all in here.
const STEP: f64 = 0.04;
pub(super) const RESOLUTION: f64 = 0.02;
/// How far from the mean of those before it a look begins, at most. It spreads what the resolution
/// rounds.
const SPREAD: f64 = 0.02;
/// The golden ratio's fraction: its multiples lie evenly over all fractions, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_894_8;

/// A look under way: up or down by steps that double until the other side is found, then halfway
/// between both. What is asked is asked once.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    next: f64,
    step: f64,
    within: Option<f64>,
    beyond: Option<f64>,
    pub(super) probes: u32,
}

impl Pass {
    /// The one after `number` others, about a rate.
    pub(super) fn about(rate_ops_s: f64, number: usize) -> Self {
        let shift = SPREAD * (2.0 * (number as f64 * GOLDEN).fract() - 1.0);
        let next = rate_ops_s.ln() + shift;
        Self { next, step: STEP, within: None, beyond: None, probes: 0 }
    }

    /// The rate to probe.
    pub(super) fn rate_ops_s(&self) -> f64 {
        self.next.exp()
    }

    /// Takes what a probe of a rate told. Returns where it begins to be missed once that is known; where
    /// one side has no more rates `between` which it is looked for, that is its end.
    pub(super) fn add(
        &mut self,
        (rate_ops_s, is_beyond): (f64, bool),
        between: (f64, f64),
    ) -> Option<f64> {
        let probed = rate_ops_s.ln();
        let (lowest, highest) = (between.0.ln(), between.1.ln());
        let side = if is_beyond { &mut self.beyond } else { &mut self.within };
        *side = Some(probed);
        self.probes += 1;
        match (self.within, self.beyond) {
            (Some(within), Some(beyond)) => {
                self.next = f64::midpoint(within, beyond);
                // Halfway between neighbours there is no whole rate.
                let is_narrow =
                    beyond - within <= RESOLUTION * 1.001 || beyond.exp() - within.exp() < 2.0;
                return is_narrow.then(|| self.next.exp());
            }
            (Some(_), None) if probed >= highest => return Some(between.1),
            (None, Some(_)) if probed <= lowest => return Some(between.0),
            (Some(within), None) => self.next = (within + self.step).min(highest),
            (None, beyond) => self.next = (beyond.unwrap_or(probed) - self.step).max(lowest),
        }
        self.step *= 2.0;
        None
    }
}
