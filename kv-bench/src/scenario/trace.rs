//! What a command line says of a trace.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::error::{ScenarioError, range, too_short};
use super::place::{Place, trace_prefix};
use crate::args::LoadArgs;
use crate::driver::Until;
use crate::progress::looking;
use crate::target::{Protocol, redacted};
use crate::trace::{Format, LENGTH_MAX, Replay, Speed, Wish};

/// More operations than any trace has.
const REQUESTS_MAX: u64 = 1_000_000_000_000;
/// The last operation is due within the run.
const LAST: Duration = Duration::from_millis(1);

const OWN_CONTENT: &str = "a trace says itself which operations there are, on which keys, and of which \
                           sizes: leave it out, or --trace";
const OWN_TIMES: &str = "a trace has times of its own: it is --trace-speed that changes them";

/// Looks at the trace that was asked for, if one was.
pub(super) fn replay(args: &LoadArgs, place: &Place) -> Result<Option<Arc<Replay>>, ScenarioError> {
    let Some(path) = args.trace.trace.as_deref() else { return Ok(None) };
    check_flags(args)?;
    check_place(args, place)?;
    let refused = |flag, value: &str, problem: String| {
        Err(ScenarioError::Value { flag, value: value.to_owned(), problem })
    };
    let name = args.trace.trace_format.as_deref().filter(|name| !name.eq_ignore_ascii_case("auto"));
    let format = match name.map(str::parse::<Format>) {
        Some(Err(problem)) => return refused("trace-format", name.unwrap_or_default(), problem),
        format => format.and_then(Result::ok),
    };
    let typed = args.trace.trace_speed.as_deref().unwrap_or("1");
    let speed: Speed = match typed.parse() {
        Ok(speed) => speed,
        Err(problem) => return refused("trace-speed", typed, problem),
    };
    let callers = &args.callers;
    if let Some(requests) = callers.requests {
        range("requests", requests, (1, REQUESTS_MAX), 100_000)?;
    }
    if let Some(duration) = callers.duration.filter(|&time| time < Duration::from_millis(100)) {
        return Err(too_short("duration", duration, "100ms"));
    }
    let protocol = if place.is_memcached() { Protocol::Memcached } else { Protocol::Resp };
    let wish = Wish {
        path,
        format,
        speed,
        process: super::load::process_typed(callers)?,
        seed: args.workload.seed,
        protocol,
        prefix: trace_prefix(place),
        operations: callers.requests,
        duration: callers.duration,
        progress: looking(args.output.quiet),
    };
    let replay = Replay::new(&wish);
    wish.progress.finish_and_clear();
    let replay = match replay {
        Ok(replay) => replay,
        Err(problem) => return refused("trace", &path.display().to_string(), problem),
    };
    check(&replay, args, path)?;
    Ok(Some(Arc::new(replay)))
}

/// When a run of it is over at the latest.
pub(super) fn until(replay: &Replay, args: &LoadArgs) -> Until {
    let callers = &args.callers;
    if replay.is_timed() && replay.source.is_whole() {
        return Until::Elapsed(replay.length().saturating_add(LAST));
    }
    match (callers.duration, callers.requests) {
        (Some(duration), _) => Until::Elapsed(duration),
        (None, Some(requests)) if !replay.source.is_whole() => Until::Operations(requests),
        _ => Until::Operations(replay.survey.operations()),
    }
}

fn check(replay: &Replay, args: &LoadArgs, path: &Path) -> Result<(), ScenarioError> {
    let refused = |flag, value: String, problem: &str| {
        Err(ScenarioError::Value { flag, value, problem: problem.to_owned() })
    };
    let callers = &args.callers;
    if !replay.source.is_whole() {
        if callers.requests.is_none() && callers.duration.is_none() {
            let problem = "where standard input ends is not known: say how much of it is replayed, with \
                           --requests or --duration";
            return refused("trace", path.display().to_string(), problem);
        }
        if let Some(repeat) = callers.repeat.filter(|&repeat| repeat > 1) {
            let problem = "standard input cannot be read again: give a file";
            return refused("repeat", repeat.to_string(), problem);
        }
    }
    if replay.length() > LENGTH_MAX {
        let problem =
            "at this speed the trace takes more than a year: give a higher one, or --duration";
        return refused("trace-speed", replay.speed.to_string(), problem);
    }
    Ok(())
}

/// Refuses targets of which more is to be known than where a key is.
fn check_place(args: &LoadArgs, place: &Place) -> Result<(), ScenarioError> {
    let target = args.target.first().map(|target| redacted(target)).unwrap_or_default();
    let (flag, value, problem) = match place {
        Place::InProcess { .. } => (
            "target",
            target,
            "a trace is of what servers were asked: it is replayed to one of these",
        ),
        _ if place.is_redis_cluster() => (
            "target",
            target,
            "a trace is not led after keys that move: name the nodes of a ring, or one server",
        ),
        _ if args.on_node_fail != "error" => (
            "on-node-fail",
            args.on_node_fail.clone(),
            "operations of a trace wait for their own server: leave it out, or --trace",
        ),
        _ => return Ok(()),
    };
    Err(ScenarioError::Value { flag, value, problem: problem.to_owned() })
}

/// Refuses what a trace decides itself.
fn check_flags(args: &LoadArgs) -> Result<(), ScenarioError> {
    let (callers, workload) = (&args.callers, &args.workload);
    let text = |time: Option<Duration>| time.map(|time| format!("{time:?}"));
    let typed = [
        ("mix", workload.mix.clone(), OWN_CONTENT),
        ("workload", workload.workload.clone(), OWN_CONTENT),
        ("command", workload.command.first().map(|text| format!("'{text}'")), OWN_CONTENT),
        ("keys", typed(args, &["keys", "key-maximum"]), OWN_CONTENT),
        ("key-distribution", workload.key_distribution.clone(), OWN_CONTENT),
        ("value-size", workload.value_size.clone(), OWN_CONTENT),
        ("compressibility", workload.compressibility.clone(), OWN_CONTENT),
        ("value", workload.value.clone(), OWN_CONTENT),
        ("ttl", text(workload.ttl), "a trace has times to live of its own, which are kept"),
        ("rate", callers.rate.clone(), OWN_TIMES),
        ("think-time", text(callers.think_time), OWN_TIMES),
        (
            "warmup",
            typed(args, &["warmup"]).filter(|_| !callers.warmup.is_zero()),
            "a trace is replayed from its beginning, and once: it has nothing to warm up with",
        ),
        (
            "preload",
            workload.preload.then(String::new),
            "which keys a trace finds there is part of it: what it puts itself, or what a run of an \
             earlier part has left on a running server",
        ),
        (
            "verify",
            callers.verify.then(String::new),
            "what a trace must find is known of no key that was there before, or that expires: it is \
             for --mix",
        ),
    ];
    match typed.into_iter().find_map(|(flag, value, problem)| Some((flag, value?, problem))) {
        Some((flag, value, problem)) => {
            Err(ScenarioError::Value { flag, value, problem: problem.to_owned() })
        }
        None => Ok(()),
    }
}

/// What was typed for a flag that has a default, under any of its names.
fn typed(args: &LoadArgs, names: &[&str]) -> Option<String> {
    let mut words = args.words.iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v)));
        if names.contains(&name) {
            let value = value.map(str::to_owned).or_else(|| words.next().cloned());
            return Some(value.unwrap_or_default());
        }
    }
    None
}
