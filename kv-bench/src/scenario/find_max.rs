//! What a search for the highest rate is told.

use std::time::Duration;

use super::error::{ScenarioError, at_most, too_short};
use crate::args::{FindMaxArgs, LoadArgs};
use crate::objective::Objective;
use crate::schedule::Rate;
use crate::workload::Kind;

/// Less is no time for a bracket and a bisection.
const TIME_MIN: Duration = Duration::from_secs(10);
const TIME_MAX: Duration = Duration::from_hours(24);
/// As many probes of the usual length there is time for, but for what they take beside it. A pass takes
/// three or four: of few and long ones, how they scatter is hardly known.
const PROBES: u32 = 45;
/// A probe takes whole seconds, at least the first and usually no more than the second.
const LENGTHS_S: (u64, u64) = (1, 10);
/// No probe takes more than this part of the time, however rare its operations are.
const LONGEST_PART: u32 = 6;
/// As many operations beyond an objective are to be expected in a probe: with fewer than the square of
/// Student's t with four degrees of freedom, 2.776² ≈ 7.7, none at all would not tell that it is kept.
const BEYOND_MIN: f64 = 8.0;

/// A probe is so many times as long as the longest time that an operation may take: servers that are
/// asked for a fiftieth more than they can do are that late only at its end.
const LIMITS_PER_PROBE: f64 = 50.0;

/// A search for the highest rate.
#[derive(Debug, Clone)]
pub struct FindMaxPlan {
    pub objectives: Vec<Objective>,
    /// Where to look, in operations per second.
    pub between: Option<(u64, u64)>,
    pub time: Duration,
}

impl FindMaxPlan {
    /// Checks what was typed. Returns the rest of it as well, for a scenario at any rate.
    ///
    /// # Errors
    ///
    /// Names the flag, the rule and a valid form.
    pub fn new(args: &FindMaxArgs) -> Result<(Self, LoadArgs), ScenarioError> {
        check_flags(&args.load)?;
        if args.time < TIME_MIN {
            return Err(too_short("time", args.time, "10s"));
        }
        at_most("time", args.time, (TIME_MAX, "24h"))?;
        let value = args.slo.join(",");
        let objectives = Objective::parse_all(&args.slo)
            .map_err(|problem| ScenarioError::Value { flag: "slo", value, problem })?;
        let between = args.load.callers.rate.as_deref().map(between).transpose()?;
        let plan = Self { objectives, between, time: args.time };
        let mut load = args.load.clone();
        // The same callers carry all rates: as many as the highest wants, where that is known.
        load.callers.rate = Some(plan.between.map_or(1000, |(_, high)| high).to_string());
        load.callers.duration = Some(plan.length(f64::INFINITY));
        Ok((plan, load))
    }

    /// How long a probe takes at a rate.
    pub fn length(&self, rate_ops_s: f64) -> Duration {
        let usual_s = (self.time / PROBES).as_secs().clamp(LENGTHS_S.0, LENGTHS_S.1);
        let allowed = self.objectives.iter().map(|o| o.allowed).fold(1.0, f64::min);
        let needed_s = (BEYOND_MIN / (allowed * rate_ops_s)).ceil() as u64;
        // Within a time not much longer than the limit, a backlog has no time to reach it.
        let needed_s = needed_s.max((self.limit_s() * LIMITS_PER_PROBE).ceil() as u64);
        let longest_s = (self.time / LONGEST_PART).as_secs().max(usual_s);
        Duration::from_secs(needed_s.clamp(usual_s, longest_s))
    }

    /// The longest time in which an operation is to be answered, 0 where there is none.
    fn limit_s(&self) -> f64 {
        let longest_ns = self.objectives.iter().filter_map(Objective::limit_ns).max();
        longest_ns.unwrap_or(0) as f64 / 1e9
    }
}

fn between(text: &str) -> Result<(u64, u64), ScenarioError> {
    let rate: Rate =
        text.parse().map_err(|source| ScenarioError::Rate { rate: text.to_owned(), source })?;
    let ends = rate.ramp_ops_s().filter(|&(low, _)| low > 0);
    ends.ok_or_else(|| ScenarioError::Value {
        flag: "rate",
        value: text.to_owned(),
        problem: "a search is between two rates (such as --rate 1k..50k)".to_owned(),
    })
}

/// Refuses what a search decides itself.
fn check_flags(load: &LoadArgs) -> Result<(), ScenarioError> {
    let callers = &load.callers;
    let typed = [
        ("requests", callers.requests.map(|count| count.to_string())),
        ("duration", callers.duration.map(|time| format!("{time:?}"))),
        ("think-time", callers.think_time.map(|time| format!("{time:?}"))),
        ("repeat", callers.repeat.filter(|&count| count > 1).map(|count| count.to_string())),
        ("chaos", load.chaos.clone()),
        ("verify", callers.verify.then(String::new)),
        ("trace", load.trace.trace.as_ref().map(|file| file.display().to_string())),
    ];
    if let Some((flag, value)) = typed.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
        let problem =
            "a search decides by itself how often and how long it measures, in an open loop: \
                       it takes --time, and --rate LOW..HIGH"
                .to_owned();
        return Err(ScenarioError::Value { flag, value, problem });
    }
    let mix = load.workload.mix.as_deref().unwrap_or_default();
    if mix.parse::<crate::workload::Mix>().is_ok_and(|mix| mix.is_only(Kind::Delete)) {
        let problem = "deletes alone use up their keys, and a search measures many times (such as \
                       --mix get=90,put=9,delete=1)"
            .to_owned();
        return Err(ScenarioError::Value { flag: "mix", value: mix.to_owned(), problem });
    }
    Ok(())
}
