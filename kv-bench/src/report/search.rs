//! A search for the highest rate in words.

use std::time::Duration;

use crate::number::{decimal, duration, grouped, short};
use crate::objective::{Bound, Objective};
use crate::recorder::{Latencies, Time};
use crate::result::{
    FindMax, Point, ProbeOutcome, ProbeRecord, RunResult, SearchLimit, Trust, Verdict,
};

/// What is looked for: `the highest rate that keeps p99=1ms, in 60 s of probes`.
pub(crate) fn search(objectives: &[Objective], time: Duration) -> String {
    let names: Vec<String> = objectives.iter().map(ToString::to_string).collect();
    let time_s = decimal(time.as_secs_f64(), 0);
    format!("the highest rate that keeps {}, in {time_s} s of probes", names.join(" and "))
}

/// What there was to begin with.
pub(crate) fn closed_loop(ops_s: f64, trust: &Trust) -> String {
    let doubt = if trust.verdict == Verdict::Trusted { "" } else { " (untrusted)" };
    format!("in a closed loop as many clients get {} ops/s{doubt}", grouped(ops_s as u64))
}

/// What a probe measured: `12,000 ops/s: p99 812 µs, 0.02 % errors`.
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

/// What it told.
pub(crate) fn outcome(record: &ProbeRecord) -> &'static str {
    match record.outcome {
        ProbeOutcome::Missed if record.shortfall => "missed, the rate is not kept up",
        ProbeOutcome::Missed => "missed",
        ProbeOutcome::Kept => "kept",
        ProbeOutcome::Undecided => "too near to call",
    }
}

/// What was found, in a sentence.
pub(crate) fn finding(result: &RunResult) -> Option<String> {
    let found = result.find_max.as_ref()?;
    let kept = found.objectives.join(" and ");
    let ops_s = |ops_s: f64| grouped(ops_s.round() as u64);
    let estimate = found.rate_ops_s.zip(found.low_ops_s).zip(found.high_ops_s);
    Some(match (estimate, found.kept_ops_s) {
        (Some(((rate, low), high)), _) => format!(
            "{} ops/s is the highest rate that keeps {kept}; {}{}",
            ops_s(rate),
            others(found, &format!("{} to {}", ops_s(low), ops_s(high))),
            limit(found)
        ),
        (None, Some(rate)) => format!(
            "{} ops/s keep {kept}, and no rate was found that misses it{}",
            ops_s(rate),
            if result.partial { ": the search was cut short" } else { "" }
        ),
        (None, None) => {
            let lowest = found.probes.iter().map(|probe| probe.rate_asked_ops_s);
            let lowest = lowest.fold(f64::INFINITY, f64::min);
            format!(
                "no rate was found that keeps {kept}: {} ops/s, the lowest that was probed, {}{}",
                ops_s(lowest),
                match found.missed_ops_s {
                    Some(_) => "do not",
                    None =>
                        "could not be decided: give more --time, or higher rates (--rate LOW..HIGH)",
                },
                limit(found)
            )
        }
    })
}

/// What other searches would find.
fn others(found: &FindMax, interval: &str) -> String {
    if !found.is_disturbed() {
        return format!("95 % of searches under the same conditions would find {interval}");
    }
    format!(
        "this search puts it at {interval}, but others used the cores in {} of its {} probes, and \
         another search may find it elsewhere",
        found.disturbed(),
        found.probes.len()
    )
}

fn limit(found: &FindMax) -> &'static str {
    match found.limited_by {
        Some(SearchLimit::Objective) => "; limited by the objective",
        Some(SearchLimit::Generator) => {
            "; limited by the generator, which was late itself: servers may do more"
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
