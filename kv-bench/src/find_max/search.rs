//! Which rate to probe next.

use super::estimate::{Estimate, estimate};
use super::judge::{Decision, Probe, judge};
use crate::objective::Objective;

/// How often a rate is probed that is not decided.
const REPEATS_MAX: usize = 3;
/// From one rate that is kept to the next, until one is missed; down from one that is missed it is
/// faster, since the lowest may be far.
const STEP_UP: f64 = 1.5;
const STEP_DOWN: f64 = 0.5;
/// A bracket this narrow is not bisected any more.
const BRACKET: f64 = 1.03;
/// A search is done when the ends of its interval are this near to what it found, …
const EXACT: f64 = 0.01;
/// … and this many probes are near it: a few that agree by chance are not enough.
const NEAR_PROBES: usize = 8;
/// How near they must be.
const NEAR: f64 = 0.08;
/// Rates about the estimate, in turn, in units of its uncertainty, which is never taken for less than
/// 1 % nor more than 5 %.
const ABOUT: [f64; 4] = [-1.0, 1.0, -0.4, 0.4];
const ABOUT_LIMITS: (f64, f64) = (0.01, 0.05);

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// Probe this rate.
    Probe(f64),
    /// It is found as exactly as it is to be.
    Found,
    /// The objectives are missed at the lowest rate.
    MissedAtLowest,
    /// Whether they are kept at the lowest rate is not to be told in the time there is.
    UndecidedAtLowest,
    /// They are kept at the highest.
    KeptAtHighest,
}

/// What a search has found so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// The highest rate that was probed and is surely kept, below all that are missed.
    pub kept_ops_s: Option<f64>,
    /// The lowest that is surely missed.
    pub missed_ops_s: Option<f64>,
    /// Once there are both.
    pub estimate: Option<Estimate>,
}

/// Probes at one rate.
#[derive(Debug, Clone)]
struct Trial {
    rate_ops_s: f64,
    probes: Vec<Probe>,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    objectives: Vec<Objective>,
    lowest_ops_s: f64,
    highest_ops_s: f64,
    start_ops_s: f64,
    trials: Vec<Trial>,
}

impl Search {
    /// One between two rates that begins at a third. It asks for whole operations per second.
    pub fn new(
        objectives: Vec<Objective>,
        (lowest_ops_s, highest_ops_s): (f64, f64),
        start_ops_s: f64,
    ) -> Self {
        let (lowest_ops_s, highest_ops_s) = (whole(lowest_ops_s), whole(highest_ops_s));
        let start_ops_s = whole(start_ops_s).clamp(lowest_ops_s, highest_ops_s);
        Self { objectives, lowest_ops_s, highest_ops_s, start_ops_s, trials: Vec::new() }
    }

    /// What a probe told. Returns what is known of its rate now.
    pub fn add(&mut self, probe: Probe) -> Decision {
        let rate_ops_s = probe.rate_ops_s;
        let known = self.trials.iter().position(|trial| same(trial.rate_ops_s, rate_ops_s));
        // The last one is that of the last probe.
        let mut trial = match known {
            Some(known) => self.trials.remove(known),
            None => Trial { rate_ops_s, probes: Vec::new() },
        };
        trial.probes.push(probe);
        self.trials.push(trial);
        self.trials.last().map_or(Decision::Undecided, |trial| self.decision(trial))
    }

    fn decision(&self, trial: &Trial) -> Decision {
        judge(&self.objectives, &trial.probes)
    }

    /// The highest rate kept below all that are missed, and the lowest that is missed.
    fn bracket(&self) -> (Option<f64>, Option<f64>) {
        let of = |wanted: fn(Decision) -> bool| {
            let decided = self.trials.iter().filter(move |trial| wanted(self.decision(trial)));
            decided.map(|trial| trial.rate_ops_s)
        };
        let missed = of(|decision| matches!(decision, Decision::Missed(_))).reduce(f64::min);
        let kept = of(|decision| decision == Decision::Kept);
        let kept = kept.filter(|&rate| missed.is_none_or(|missed| rate < missed)).reduce(f64::max);
        (kept, missed)
    }

    /// What to do next.
    pub fn next(&self) -> Ask {
        let Some(last) = self.trials.last() else { return Ask::Probe(self.start_ops_s) };
        let undecided = self.decision(last) == Decision::Undecided;
        if undecided && last.probes.len() < REPEATS_MAX && !self.is_bracketed() {
            return Ask::Probe(last.rate_ops_s);
        }
        match self.bracket() {
            // Nothing is decided where it began: less must be.
            (None, None) if same(self.lowest_probed(), self.lowest_ops_s) => Ask::UndecidedAtLowest,
            (None, None) => self.below(self.lowest_probed()),
            (None, Some(missed)) => self.below(missed.min(self.lowest_probed())),
            (Some(_), None) if same(self.highest_probed(), self.highest_ops_s) && !undecided => {
                Ask::KeptAtHighest
            }
            (Some(_), None) => {
                Ask::Probe(whole(self.highest_probed() * STEP_UP).min(self.highest_ops_s))
            }
            (Some(kept), Some(missed)) if missed / kept > BRACKET && !self.is_bracketed() => {
                Ask::Probe(whole((kept * missed).sqrt()))
            }
            // A hiccup in a single probe must not hide all rates above it, nor a single probe at a good
            // moment all those below.
            (_, Some(missed)) if self.is_single(missed) => Ask::Probe(missed),
            (Some(kept), _) if self.is_single(kept) => Ask::Probe(kept),
            _ => self.near(),
        }
    }

    fn is_single(&self, rate_ops_s: f64) -> bool {
        let trial = self.trials.iter().find(|trial| same(trial.rate_ops_s, rate_ops_s));
        trial.is_some_and(|trial| trial.probes.len() == 1)
    }

    fn below(&self, rate_ops_s: f64) -> Ask {
        if same(rate_ops_s, self.lowest_ops_s) {
            return Ask::MissedAtLowest;
        }
        Ask::Probe(whole(rate_ops_s * STEP_DOWN).max(self.lowest_ops_s))
    }

    fn lowest_probed(&self) -> f64 {
        self.trials.iter().map(|trial| trial.rate_ops_s).fold(f64::INFINITY, f64::min)
    }

    fn highest_probed(&self) -> f64 {
        self.trials.iter().map(|trial| trial.rate_ops_s).fold(0.0, f64::max)
    }

    /// Whether bisecting has come as far as it gets: to a narrow bracket, or to a rate within it that
    /// repeating did not decide.
    fn is_bracketed(&self) -> bool {
        let (Some(kept), Some(missed)) = self.bracket() else { return false };
        let within = |trial: &&Trial| trial.rate_ops_s > kept && trial.rate_ops_s < missed;
        let is_open = |trial: &Trial| trial.probes.len() >= REPEATS_MAX;
        missed / kept <= BRACKET || self.trials.iter().filter(within).any(is_open)
    }

    /// Where a probe tells most once the bracket is narrow.
    fn near(&self) -> Ask {
        let Some(Estimate { rate_ops_s, low_ops_s, high_ops_s }) = self.estimate() else {
            return Ask::Found;
        };
        let uncertainty = (high_ops_s / low_ops_s).sqrt() - 1.0;
        let is_near = |trial: &&Trial| (trial.rate_ops_s / rate_ops_s).ln().abs() <= NEAR;
        let near: usize = self.trials.iter().filter(is_near).map(|trial| trial.probes.len()).sum();
        if uncertainty <= EXACT && near >= NEAR_PROBES {
            return Ask::Found;
        }
        let (least, most) = ABOUT_LIMITS;
        let shift = ABOUT[self.trials.len() % ABOUT.len()] * uncertainty.clamp(least, most);
        let rate = rate_ops_s * (1.0 + shift);
        Ask::Probe(whole(rate).clamp(self.lowest_ops_s, self.highest_ops_s))
    }

    fn estimate(&self) -> Option<Estimate> {
        let probes: Vec<Probe> =
            self.trials.iter().flat_map(|trial| trial.probes.iter().cloned()).collect();
        estimate(&self.objectives, &probes)
    }

    /// What has been found so far.
    pub fn finding(&self) -> Finding {
        let (kept_ops_s, missed_ops_s) = self.bracket();
        let both = kept_ops_s.is_some() && missed_ops_s.is_some();
        let estimate = self.estimate().filter(|_| both);
        Finding { kept_ops_s, missed_ops_s, estimate }
    }
}

fn whole(rate_ops_s: f64) -> f64 {
    rate_ops_s.round().max(1.0)
}

fn same(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-9
}
