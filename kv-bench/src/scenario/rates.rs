//! What a curve over offered loads is told.

use std::time::Duration;

use super::error::{ScenarioError, at_most, range, too_short};
use super::load::REPEATS_MAX;
use crate::args::{CurveArgs, LoadArgs};
use crate::open_curve::{Layout, Loads};
use crate::workload::{Kind, Mix};

/// Two tell whether they agree.
const REPEATS: u32 = 2;
const TIME_MIN: Duration = Duration::from_secs(1);
const TIME_MAX: Duration = Duration::from_hours(24);

/// A curve over offered loads.
#[derive(Debug, Clone)]
pub struct RatesPlan {
    /// As it was typed.
    pub text: String,
    pub loads: Loads,
    pub repeats: u32,
    pub layout: Layout,
    pub time: Duration,
}

impl RatesPlan {
    /// Checks what was typed beside `rates`. Returns the rest of it as well, for a scenario at any
    /// rate.
    ///
    /// # Errors
    ///
    /// Names the flag, the rule and a valid form.
    pub fn new(args: &CurveArgs, rates: &str) -> Result<(Self, LoadArgs), ScenarioError> {
        check_flags(&args.load)?;
        let callers = &args.load.callers;
        let refused = |problem| ScenarioError::Value {
            flag: "rates",
            value: if rates.is_empty() { "''".to_owned() } else { rates.to_owned() },
            problem,
        };
        let loads: Loads = rates
            .parse()
            .map_err(|error: crate::open_curve::LoadsError| refused(error.to_string()))?;
        let repeats = callers.repeat.unwrap_or(REPEATS);
        range("repeat", repeats.into(), (1, REPEATS_MAX.into()), 3)?;
        if args.curve_time < TIME_MIN {
            return Err(too_short("curve-time", args.curve_time, "1s"));
        }
        at_most("curve-time", args.curve_time, (TIME_MAX, "24h"))?;
        let layout = Layout::new(&loads, repeats, callers.warmup, args.curve_time);
        let layout = layout.map_err(|needed| {
            refused(format!(
                "measuring each load {repeats} times takes {} s, and --curve-time is {:?}: give \
                 --curve-time {}s, or ask for fewer loads or repeats (such as --rates auto/6 \
                 --repeat 1)",
                needed.as_secs(),
                args.curve_time,
                needed.as_secs()
            ))
        })?;
        let plan = Self { text: rates.to_owned(), loads, repeats, layout, time: args.curve_time };
        let mut load = args.load.clone();
        // The same callers carry all loads: as many as the highest wants, where that is known.
        load.callers.rate = Some(plan.loads.highest_ops_s().unwrap_or(1_000).to_string());
        load.callers.duration = Some(layout.length);
        load.callers.repeat = None;
        Ok((plan, load))
    }
}

/// Refuses what such a curve decides itself, or cannot do.
fn check_flags(load: &LoadArgs) -> Result<(), ScenarioError> {
    let callers = &load.callers;
    let typed = [
        ("rate", callers.rate.clone()),
        ("requests", callers.requests.map(|count| count.to_string())),
        ("duration", callers.duration.map(|time| format!("{time:?}"))),
        ("think-time", callers.think_time.map(|time| format!("{time:?}"))),
        ("chaos", load.chaos.clone()),
        ("on-node-fail", (load.on_node_fail != "error").then(|| load.on_node_fail.clone())),
        ("verify", callers.verify.then(String::new)),
        ("trace", load.trace.trace.as_ref().map(|trace| trace.display().to_string())),
    ];
    if let Some((flag, value)) = typed.into_iter().find_map(|(flag, value)| Some((flag, value?))) {
        let problem = "a curve over --rates measures each load for a time of its own, in an open \
                       loop: it takes --curve-time and --repeat (for one measurement it is \
                       kv-bench run)";
        return Err(ScenarioError::Value { flag, value, problem: problem.to_owned() });
    }
    let mix = load.workload.mix.as_deref().unwrap_or_default();
    if mix.parse::<Mix>().is_ok_and(|mix| mix.is_only(Kind::Delete)) {
        let problem = "deletes alone use up their keys, and a curve over --rates measures many \
                       times after one preload (such as --mix get=90,put=9,delete=1)";
        return Err(ScenarioError::Value {
            flag: "mix",
            value: mix.to_owned(),
            problem: problem.to_owned(),
        });
    }
    Ok(())
}
