//! A search for the highest rate in words.

use std::time::Duration;

use crate::number::{decimal, duration, grouped, short};
use crate::objective::{Bound, Objective};
use crate::recorder::{Latencies, Time};
use crate::result::{
    FindMax, Point, ProbeOutcome, ProbeRecord, RunResult, SearchLimit, Trust, Verdict,
};
use crate::scenario::plural;

/// What is looked for: `the highest rate that keeps p99=1ms, in 60 s of probes`.
pub(crate) fn search(objectives: &[Objective], time: Duration) -> String {
    let names: Vec<String> = objectives.iter().map(ToString::to_string).collect();
    let time_s = decimal(time.as_secs_f64(), 0);
    format!("the highest rate that keeps {}, in {time_s} s of probes", names.join(" and "))
}

/// What there was to begin with: `in a closed loop, 192 clients get 60,000 ops/s`.
pub(crate) fn closed_loop(clients: u64, ops_s: f64, trust: &Trust) -> String {
    let doubt = if trust.verdict == Verdict::Trusted { "" } else { " (untrusted)" };
    let get = if clients == 1 { "gets" } else { "get" };
    let clients = plural(clients, "client");
    format!("in a closed loop, {clients} {get} {} ops/s{doubt}", grouped(ops_s as u64))
}

/// What a probe measured: `12,000 ops/s, p99 812 µs, errors 0.02 %`.
pub(crate) fn probe(objectives: &[Objective], latencies: &Latencies, point: &Point) -> String {
    let response = latencies.successes(Time::Response);
    let figures = objectives.iter().map(|objective| {
        let name = objective.to_string();
        let name = name.split('=').next().unwrap_or_default();
        match objective.bound {
            Bound::ResponseNs(_) => {
                let ns = response.value_at_quantile(1.0 - objective.allowed);
                format!("{name} {}", duration(ns as f64 / 1e3))
            }
            Bound::Success => {
                let share = point.errors as f64 / point.operations.max(1) as f64;
                format!("{name} {} %", decimal(share * 100.0, 3))
            }
        }
    });
    let figures: Vec<String> = figures.collect();
    let rate = grouped(point.rate_asked_ops_s.unwrap_or_default().round() as u64);
    format!("{rate} ops/s, {}", figures.join(", "))
}

/// What it told, and by what: `0.4 % were late or failed (p99=1ms): kept`.
pub(crate) fn outcome(objectives: &[Objective], record: &ProbeRecord) -> String {
    let beyond = objectives.iter().zip(&record.beyond_shares);
    let beyond = beyond.map(|(objective, share)| {
        let verb = if objective.limit_ns().is_some() { "were late or failed" } else { "failed" };
        format!("{} % {verb} ({objective})", decimal(share * 100.0, 3))
    });
    let beyond: Vec<String> = beyond.collect();
    let mut shares = objectives.iter().zip(&record.beyond_shares);
    let is_more = record.shortfall || shares.any(|(objective, &share)| share > objective.allowed);
    let outcome = match record.outcome {
        ProbeOutcome::Missed if record.shortfall => "missed, the rate is not kept up",
        ProbeOutcome::Missed => "missed",
        ProbeOutcome::Kept => "kept",
        // A pass goes by the share alone: it is to scatter as much as that does.
        ProbeOutcome::Undecided if record.pass.is_some() && is_more => {
            "too near to call, so rather missed"
        }
        ProbeOutcome::Undecided if record.pass.is_some() => "too near to call, so rather kept",
        ProbeOutcome::Undecided => "too near to call",
    };
    format!("{}: {outcome}", beyond.join(", "))
}

/// What a pass found.
pub(crate) fn pass(number: usize, rate_ops_s: f64) -> String {
    format!("   pass {number}: up to {} ops/s", grouped(rate_ops_s.round() as u64))
}

/// What was found, in a sentence.
pub(crate) fn finding(result: &RunResult) -> Option<String> {
    let found = result.find_max.as_ref()?;
    let kept = found.objectives.join(" and ");
    let ops_s = |ops_s: f64| grouped(ops_s.round() as u64);
    let text = match (found.rate_ops_s, found.kept_ops_s, found.missed_ops_s) {
        (Some(rate), ..) => {
            format!(
                "{} ops/s is the highest rate that keeps {kept}; {}",
                ops_s(rate),
                others(found)
            )
        }
        (None, Some(low), Some(high)) => format!(
            "the highest rate that keeps {kept} is between {} ops/s, which do, and {} ops/s, which do \
             not: there was no time for a pass",
            ops_s(low),
            ops_s(high)
        ),
        (None, Some(rate), None) => format!(
            "{} ops/s keep {kept}, and no rate was found that misses it{}",
            ops_s(rate),
            beyond_kept(result, found, rate)
        ),
        (None, None, missed) => {
            let lowest = probed(found).fold(f64::INFINITY, f64::min);
            let is_missed = missed.is_some_and(|missed| missed <= lowest);
            format!(
                "no rate was found that keeps {kept}: {} ops/s, the lowest that was probed, {}",
                ops_s(lowest),
                if is_missed {
                    "do not"
                } else {
                    "could not be decided: give more --time, or other rates (--rate LOW..HIGH)"
                }
            )
        }
    };
    Some(format!("{text}{}", limit(found)))
}

fn probed(found: &FindMax) -> impl Iterator<Item = f64> {
    found.probes.iter().map(|probe| probe.rate_asked_ops_s)
}

/// Why nothing is said of rates above the one that is kept.
fn beyond_kept(result: &RunResult, found: &FindMax, kept_ops_s: f64) -> String {
    let highest = probed(found).fold(0.0, f64::max);
    if result.partial {
        ": the search was cut short".to_owned()
    } else if highest > kept_ops_s {
        format!(": {} ops/s could not be decided", grouped(highest.round() as u64))
    } else {
        String::new()
    }
}

/// What other searches would find.
fn others(found: &FindMax) -> String {
    let count = found.passes.len();
    let Some((low, high)) = found.low_ops_s.zip(found.high_ops_s) else {
        return format!(
            "{} too few to say where another search would find it: give more --time",
            if count == 1 { "one pass is".to_owned() } else { format!("{count} passes are") }
        );
    };
    let interval = format!("{} to {}", grouped(low.round() as u64), grouped(high.round() as u64));
    let doubt = if found.is_disturbed() {
        let (disturbed, probes) = (found.disturbed(), found.probes.len());
        format!("others used the cores in {disturbed} of its {probes} probes")
    } else if found.drifted {
        "what can be done drifted from pass to pass".to_owned()
    } else {
        return format!(
            "95 % of searches under the same conditions would find {interval}, by how {count} passes scatter"
        );
    };
    format!(
        "this search puts it at {interval}, but {doubt}, and another search may find it elsewhere"
    )
}

fn limit(found: &FindMax) -> &'static str {
    match found.limited_by {
        Some(SearchLimit::Objective) => "; limited by the servers, which answered too late",
        Some(SearchLimit::Server) => "; limited by the servers, which had no CPU time to spare",
        Some(SearchLimit::Generator) => {
            "; limited by the generator, which was late itself: servers may do more"
        }
        Some(SearchLimit::Clients) => {
            "; limited by the clients, for which operations waited: give more --clients, servers may do more"
        }
        Some(SearchLimit::Errors) => "; limited by errors",
        None => "",
    }
}

/// What there is for a title: `Up to 12.3 k ops/s keep p99=1ms`.
pub(crate) fn claim(found: &FindMax) -> String {
    let kept = found.objectives.join(" and ");
    match found.rate_ops_s.or(found.kept_ops_s) {
        Some(ops_s) => format!("Up to {} ops/s keep {kept}", short(ops_s)),
        None => format!("No rate that was probed keeps {kept}"),
    }
}
