//! Which rate to probe next, and what has been found.

use super::estimate::{Estimate, estimate};
use super::judge::{Decision, Probe, is_beyond, judge};
use super::pass::Pass;
use crate::objective::Objective;

/// How often a rate is probed that is not decided.
const REPEATS_MAX: usize = 3;
/// From one rate that is kept to the next, until one is missed; down from one that is missed it is
/// faster, since the lowest may be far.
const STEP_UP: f64 = 1.5;
const STEP_DOWN: f64 = 0.5;
/// A bracket this narrow is not bisected any more: passes find the rest.
const BRACKET: f64 = 1.25;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Ask {
    /// Probe this rate. A search that has come to passes asks for as long as there is time.
    Probe(f64),
    /// The objectives are missed at the lowest rate.
    MissedAtLowest,
    /// Whether they are kept at the lowest rate is not to be told in the time there is.
    UndecidedAtLowest,
    /// They are kept at the highest.
    KeptAtHighest,
    /// Whether they are kept at the highest is not to be told.
    UndecidedAtHighest,
}

/// What a search has found so far.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finding {
    /// The highest rate that was probed and is surely kept, below all that are missed.
    pub kept_ops_s: Option<f64>,
    /// The lowest that is surely missed.
    pub missed_ops_s: Option<f64>,
    /// Once there is a pass.
    pub estimate: Option<Estimate>,
}

/// What one pass found, and from how many probes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundPass {
    pub rate_ops_s: f64,
    pub probes: u32,
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
    passes: Vec<FoundPass>,
    /// The one under way, once the rates are bracketed.
    pass: Option<Pass>,
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
        Self {
            objectives,
            lowest_ops_s,
            highest_ops_s,
            start_ops_s,
            trials: Vec::new(),
            passes: Vec::new(),
            pass: None,
        }
    }

    /// What a probe told. Returns what is known of its rate now.
    pub fn add(&mut self, probe: Probe) -> Decision {
        let rate_ops_s = probe.rate_ops_s;
        let is_beyond = is_beyond(&self.objectives, &probe);
        let known = self.trials.iter().position(|trial| same(trial.rate_ops_s, rate_ops_s));
        // The last one is that of the last probe.
        let mut trial = match known {
            Some(known) => self.trials.remove(known),
            None => Trial { rate_ops_s, probes: Vec::new() },
        };
        trial.probes.push(probe);
        self.trials.push(trial);
        self.go_on(rate_ops_s, is_beyond);
        self.trials.last().map_or(Decision::Undecided, |trial| self.decision(trial))
    }

    /// Takes the last probe for the pass under way, or begins the first.
    fn go_on(&mut self, rate_ops_s: f64, is_beyond: bool) {
        let between = (self.lowest_ops_s, self.highest_ops_s);
        let Some(pass) = &mut self.pass else {
            if let (None, (Some(kept), Some(missed))) = (self.bracketing(), self.bracket()) {
                self.pass = Some(Pass::about((kept * missed).sqrt(), 0));
            }
            return;
        };
        if let Some(rate_ops_s) = pass.add((rate_ops_s, is_beyond), between) {
            self.passes.push(FoundPass { rate_ops_s, probes: pass.probes });
            let mean = self.estimate().map_or(rate_ops_s, |estimate| estimate.rate_ops_s);
            self.pass = Some(Pass::about(mean, self.passes.len()));
        }
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
        if let Some(pass) = &self.pass {
            let rate_ops_s = whole(pass.rate_ops_s());
            return Ask::Probe(rate_ops_s.clamp(self.lowest_ops_s, self.highest_ops_s));
        }
        self.bracketing().unwrap_or(Ask::Probe(self.start_ops_s))
    }

    /// The number of the pass that asks next, from 0 on; `None` before the first.
    pub fn pass(&self) -> Option<usize> {
        self.pass.as_ref().map(|_| self.passes.len())
    }

    /// Those that are done.
    pub fn passes(&self) -> &[FoundPass] {
        &self.passes
    }

    /// What to do next before the first pass; `None` where that can begin.
    fn bracketing(&self) -> Option<Ask> {
        let Some(last) = self.trials.last() else { return Some(Ask::Probe(self.start_ops_s)) };
        let bracket = self.bracket();
        let is_undecided = self.decision(last) == Decision::Undecided;
        // Between rates on either side, passes tell more than repeats.
        let is_bracketed =
            matches!(bracket, (Some(kept), Some(missed)) if self.is_bracketed(kept, missed));
        if is_undecided && last.probes.len() < REPEATS_MAX && !is_bracketed {
            return Some(Ask::Probe(last.rate_ops_s));
        }
        let (lowest, highest) = (self.lowest_probed(), self.highest_probed());
        Some(match bracket {
            (None, _) if !same(lowest, self.lowest_ops_s) => {
                Ask::Probe(whole(lowest * STEP_DOWN).max(self.lowest_ops_s))
            }
            (None, Some(missed)) if !same(missed, lowest) => Ask::UndecidedAtLowest,
            (None, None) => Ask::UndecidedAtLowest,
            (Some(_), None) if !same(highest, self.highest_ops_s) => {
                Ask::Probe(whole(highest * STEP_UP).min(self.highest_ops_s))
            }
            (Some(kept), None) if !same(kept, highest) => Ask::UndecidedAtHighest,
            (Some(kept), Some(missed)) if !is_bracketed => {
                Ask::Probe(whole((kept * missed).sqrt()))
            }
            // A hiccup in a single probe must not hide all rates above it, nor a single probe at a good
            // moment all those below.
            (_, Some(missed)) if self.is_single(missed) => Ask::Probe(missed),
            (Some(kept), _) if self.is_single(kept) => Ask::Probe(kept),
            (None, Some(_)) => Ask::MissedAtLowest,
            (Some(_), None) => Ask::KeptAtHighest,
            (Some(_), Some(_)) => return None,
        })
    }

    fn is_single(&self, rate_ops_s: f64) -> bool {
        let trial = self.trials.iter().find(|trial| same(trial.rate_ops_s, rate_ops_s));
        trial.is_some_and(|trial| trial.probes.len() == 1)
    }

    fn lowest_probed(&self) -> f64 {
        self.trials.iter().map(|trial| trial.rate_ops_s).fold(f64::INFINITY, f64::min)
    }

    fn highest_probed(&self) -> f64 {
        self.trials.iter().map(|trial| trial.rate_ops_s).fold(0.0, f64::max)
    }

    /// Whether bisecting has come as far as it gets: to a narrow bracket, to one without a whole rate in
    /// it, or to a rate within it that is not decided.
    fn is_bracketed(&self, kept: f64, missed: f64) -> bool {
        let within = |trial: &&Trial| trial.rate_ops_s > kept && trial.rate_ops_s < missed;
        missed / kept <= BRACKET || missed - kept < 2.0 || self.trials.iter().any(|t| within(&t))
    }

    fn estimate(&self) -> Option<Estimate> {
        let rates: Vec<f64> = self.passes.iter().map(|pass| pass.rate_ops_s).collect();
        estimate(&rates)
    }

    /// What has been found so far.
    pub fn finding(&self) -> Finding {
        let (kept_ops_s, missed_ops_s) = self.bracket();
        Finding { kept_ops_s, missed_ops_s, estimate: self.estimate() }
    }
}

fn whole(rate_ops_s: f64) -> f64 {
    rate_ops_s.round().max(1.0)
}

fn same(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < 1e-9
}
