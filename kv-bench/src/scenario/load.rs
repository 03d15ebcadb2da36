//! How much is asked for, by whom and when.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Place;
use super::error::{ScenarioError, at_most, range, too_short};
use crate::args::{CallerArgs, LoadArgs};
use crate::chaos::Chaos;
use crate::curve;
use crate::driver::{Shape, Until};
use crate::machine;
use crate::schedule::{Plan, Process, Rate, Schedule};

/// More workers than anyone has cores for: beyond it, threads measure the scheduler.
const THREADS_MAX: u32 = 1024;
const CLOSED_THREADS: u32 = 4;
const PIPELINE_MAX: u32 = 10_000;
/// Who waits longer for one reply waits for nobody.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);
/// Who measures for longer than a year measures for ever.
const TIME_MAX: Duration = Duration::from_hours(365 * 24);
/// More repeats than anyone waits for.
pub(super) const REPEATS_MAX: u32 = 1000;
/// Clients per worker that carry an open loop: as many as there are operations under way when replies
/// take 3.2 ms, within these bounds. With 32 at 50,000 operations per second, half of them waited for
/// a client, a millisecond at the median; with 160 hardly one did.
const OPEN_CLIENTS: (u64, u64) = (32, 256);
const OPEN_REPLY_US: u64 = 3_200;
/// How long an open loop lasts unless it is told.
const OPEN_TIME: Duration = Duration::from_secs(10);
/// A closed loop over more connections is beyond any descriptor limit that we could raise to.
pub(super) const CONNECTIONS_MAX: u64 = 1 << 20;

pub(super) fn shape(
    callers: &CallerArgs,
    rate: Option<&Rate>,
    place: &Place,
) -> Result<Shape, ScenarioError> {
    let threads = callers.threads.unwrap_or_else(|| match (rate, place) {
        // Workers of an open loop must run when it is time, and the servers need the other cores.
        (Some(_), _) => (machine::cores() / 2).max(1),
        // Who calls the engine is all that runs, and wants a core.
        (None, Place::InProcess { .. }) => CLOSED_THREADS.min(machine::cores()),
        (None, _) => CLOSED_THREADS,
    });
    let clients = rate.map_or(1, |rate| open_clients(rate.peak_ops_s(), threads));
    let clients = callers.clients.unwrap_or(clients);
    range("threads", threads.into(), (1, THREADS_MAX.into()), 4)?;
    range("clients", clients.into(), (1, CONNECTIONS_MAX), 8)?;
    range("pipeline", callers.pipeline.into(), (1, PIPELINE_MAX.into()), 16)?;
    if callers.timeout < Duration::from_millis(1) {
        return Err(too_short("timeout", callers.timeout, "1ms"));
    }
    at_most("timeout", callers.timeout, (TIMEOUT_MAX, "1h"))?;
    at_most("warmup", callers.warmup, (TIME_MAX, "8760h"))?;
    Ok(Shape { threads, clients, pipeline: callers.pipeline, timeout: callers.timeout })
}

/// Clients of each of so many workers that carry an open loop at a rate.
pub(super) fn open_clients(peak_ops_s: u64, threads: u32) -> u32 {
    let under_way = peak_ops_s.saturating_mul(OPEN_REPLY_US) / 1_000_000;
    let clients = under_way.div_ceil(u64::from(threads.max(1)));
    clients.clamp(OPEN_CLIENTS.0, OPEN_CLIENTS.1) as u32
}

/// Reads what was typed for `--rate`.
pub(super) fn rate(text: Option<&str>) -> Result<Option<Rate>, ScenarioError> {
    let refused = |text: &str, source| ScenarioError::Rate { rate: text.to_owned(), source };
    text.map(|text| text.parse().map_err(|source| refused(text, source))).transpose()
}

/// When operations are due, in the measurement and in the warm-up before it.
pub(super) fn schedules(
    callers: &CallerArgs,
    rate: Option<&Rate>,
    until: Until,
    seed: u64,
) -> Result<(Schedule, Option<Schedule>), ScenarioError> {
    let Some(rate) = rate else {
        if let Some(value) = callers.arrivals.clone() {
            let problem = "only at a --rate (such as --rate 10k --arrivals constant)".to_owned();
            return Err(ScenarioError::Value { flag: "arrivals", value, problem });
        }
        let think = callers.think_time.unwrap_or_default();
        at_most("think-time", think, (TIMEOUT_MAX, "1h"))?;
        return Ok((Schedule::Closed { think }, Some(Schedule::Closed { think })));
    };
    let process = process(callers)?;
    // One too short for an operation at this rate is none.
    let warmup = open(&rate.at_begin(), process, Until::Elapsed(callers.warmup), !seed).ok();
    Ok((open(rate, process, until, seed)?, warmup))
}

fn process(callers: &CallerArgs) -> Result<Process, ScenarioError> {
    Ok(process_typed(callers)?.unwrap_or(Process::Poisson))
}

/// That which was typed.
pub(super) fn process_typed(callers: &CallerArgs) -> Result<Option<Process>, ScenarioError> {
    let Some(text) = &callers.arrivals else { return Ok(None) };
    let refused = |problem| ScenarioError::Value { flag: "arrivals", value: text.clone(), problem };
    text.parse().map(Some).map_err(refused)
}

/// An open loop.
pub(super) fn open(
    rate: &Rate,
    process: Process,
    until: Until,
    seed: u64,
) -> Result<Schedule, ScenarioError> {
    let course = rate.over(until).map(Arc::new);
    let plan = course.map(|course| Plan { course, process, seed });
    let refused = |source| ScenarioError::Rate { rate: rate.to_string(), source };
    plan.map(Schedule::Open).map_err(refused)
}

pub(super) fn until(callers: &CallerArgs, rate: Option<&Rate>) -> Result<Until, ScenarioError> {
    if let Some(duration) = callers.duration {
        if duration < Duration::from_millis(100) {
            return Err(too_short("duration", duration, "100ms"));
        }
        at_most("duration", duration, (TIME_MAX, "8760h"))?;
        return Ok(Until::Elapsed(duration));
    }
    if let (Some(rate), None) = (rate, callers.requests) {
        return Ok(Until::Elapsed(rate.length().unwrap_or(OPEN_TIME)));
    }
    let requests = callers.requests.unwrap_or(100_000);
    range("requests", requests, (1, 1_000_000_000_000), 100_000)?;
    Ok(Until::Operations(requests))
}

/// What is done to the servers meanwhile.
pub(super) fn chaos(
    args: &LoadArgs,
    place: &Place,
    until: Until,
) -> Result<Option<Chaos>, ScenarioError> {
    let Some(text) = &args.chaos else { return Ok(None) };
    let refused = |problem: &str| ScenarioError::Value {
        flag: "chaos",
        value: text.clone(),
        problem: problem.to_owned(),
    };
    let Place::Spawned { count, .. } = place else {
        let problem = match place {
            Place::InProcess { .. } => {
                "only for servers that kv-bench spawns (such as --servers 4): engine: would end \
                 with kv-bench itself"
            }
            _ => {
                "only for servers that kv-bench spawns (such as --servers 4), and these run already"
            }
        };
        return Err(refused(problem));
    };
    if args.callers.repeat.is_some_and(|count| count > 1) {
        return Err(refused("measured once: what is left after it is not what was there before"));
    }
    let chaos: Chaos = text.parse()?;
    let length = match until {
        Until::Elapsed(length) => Some(length),
        Until::Operations(_) => None,
    };
    chaos.check(*count, length)?;
    Ok(Some(chaos))
}

/// Refuses what a curve, which has loads of its own, cannot be told.
///
/// # Errors
///
/// Names the flag, and the subcommand that takes it.
pub fn check_curve_load(args: &LoadArgs) -> Result<(), ScenarioError> {
    let callers = &args.callers;
    let repeat = callers.repeat.filter(|&count| count > 1);
    let (flag, value) = match &callers.rate {
        Some(rate) => ("rate", rate.clone()),
        None if args.trace.trace.is_some() => {
            let file = args.trace.trace.as_deref().unwrap_or(Path::new(""));
            ("trace", file.display().to_string())
        }
        None if args.chaos.is_some() => ("chaos", args.chaos.clone().unwrap_or_default()),
        None if args.on_node_fail != "error" => ("on-node-fail", args.on_node_fail.clone()),
        None if callers.verify => ("verify", String::new()),
        None if repeat.is_some() => ("repeat", repeat.unwrap_or_default().to_string()),
        None => return Ok(()),
    };
    let blank = if value.is_empty() { "" } else { " " };
    let open = match flag {
        "rate" | "repeat" => ", for a curve over loads --rates auto",
        _ => "",
    };
    let problem = format!(
        "this curve is of closed loops, each measured once: for one measurement it is kv-bench run \
         --{flag}{blank}{value}{open}"
    );
    Err(ScenarioError::Value { flag, value, problem })
}

/// Refuses a time for the curve in which nothing can be measured.
///
/// # Errors
///
/// Names the shortest, or the longest, that will do.
pub fn check_curve_time(time: Duration) -> Result<(), ScenarioError> {
    let min = curve::WARMUP + curve::LENGTH;
    if time >= min {
        return at_most("curve-time", time, (TIME_MAX, "8760h"));
    }
    Err(ScenarioError::Value {
        flag: "curve-time",
        value: if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") },
        problem: format!(
            "must be at least {min:?}, for one point (such as --curve-time 10s; without a curve it \
             is kv-bench run)"
        ),
    })
}
