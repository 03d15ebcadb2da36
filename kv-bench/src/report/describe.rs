//! What was measured, where, and what came out, each in a line: the same words in every output.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{open_curve, search};
use crate::fairness;
use crate::number::{decimal, duration, grouped, short};
use crate::percentiles::QUANTILES;
use crate::result::{
    Bounds, CurvePlan, Headline, Limit, Part, Point, RunResult, ScenarioRecord, TraceRecord,
    Verdict,
};
use crate::scenario::plural;

/// The loop, in the words of the laws of measuring.
pub(crate) fn load(result: &RunResult) -> String {
    let scenario = &result.scenario;
    match (result.headline.rate_asked_ops_s, &scenario.arrivals) {
        (Some(rate), Some(arrivals)) => {
            let text = scenario.rate.as_deref().filter(|text| text.contains(['.', ':']));
            let course = text.map_or_else(String::new, |text| format!(" ({text})"));
            format!("open loop at {} ops/s{course}, {arrivals} arrivals", short(rate))
        }
        (Some(rate), None) => format!("open loop at {} ops/s", short(rate)),
        (None, _) if scenario.think_time_s > 0.0 => {
            format!("closed loop, think time {}", duration(scenario.think_time_s * 1e6))
        }
        (None, _) => "closed loop".to_owned(),
    }
}

/// Operations, keys and values: `get=90,put=9,delete=1 · 100,000 keys, uniform · 100-byte values`,
/// with the name before them that a workload has.
pub(crate) fn workload(result: &RunResult) -> String {
    let scenario = &result.scenario;
    if let Some(trace) = &scenario.trace {
        let pipeline = grouped(scenario.pipeline.into());
        return format!("{} · {} · pipeline {pipeline}", trace_told(trace), scenario.mix);
    }
    let name = scenario.workload.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    format!(
        "{name}{}{} · {} keys, {} · {} · pipeline {}",
        scenario.mix,
        if scenario.fills { " and a put for each miss" } else { "" },
        grouped(scenario.keys),
        scenario.key_distribution,
        values(scenario),
        grouped(scenario.pipeline.into()),
    )
}

/// `trace web.zst (twitter, 1,234 bytes, sha256 0123456789ab), speed max`
fn trace_told(trace: &TraceRecord) -> String {
    let bytes = trace.bytes.map(|bytes| format!(", {} bytes", grouped(bytes)));
    let sha256 = trace.sha256.as_ref().and_then(|sum| sum.get(..12));
    let sha256 = sha256.map(|sum| format!(", sha256 {sum}"));
    format!(
        "trace {} ({}{}{}), speed {}",
        trace.file,
        trace.format,
        bytes.unwrap_or_default(),
        sha256.unwrap_or_default(),
        trace.speed
    )
}

/// `100-byte values`, or `values of 64..1000 bytes, 532 on average, 50 % of each zeros`.
fn values(scenario: &ScenarioRecord) -> String {
    let bytes = scenario.value_size_bytes;
    let sizes = &scenario.value_sizes;
    let mut text = if sizes.is_empty() || *sizes == bytes.to_string() {
        format!("{}-byte values", grouped(bytes))
    } else {
        format!("values of {sizes} bytes, {} on average", grouped(bytes))
    };
    if let Some(share) = scenario.compressibility {
        let _ = write!(text, ", {} % of each zeros", decimal(share * 100.0, 0));
    }
    if let Some(ttl_s) = scenario.ttl_s {
        let _ = write!(text, " that live {}", duration(ttl_s * 1e6));
    }
    text
}

/// `, 83.1 % hits`, where a read found no key.
pub(crate) fn hits(headline: &Headline) -> String {
    let Headline { hits, misses, .. } = *headline;
    if misses == 0 {
        return String::new();
    }
    format!(", {} % hits", decimal(100.0 * hits as f64 / (hits + misses) as f64, 1))
}

/// What answered and on what machine.
pub(crate) fn environment(result: &RunResult) -> String {
    let environment = &result.environment;
    let mut parts = Vec::new();
    let mut software = environment.servers.clone();
    software.dedup();
    if !software.is_empty() {
        parts.push(software.join(", "));
    }
    if let Some(durability) = &result.scenario.durability {
        parts.push(format!("durability {durability}"));
    }
    let cores = plural(environment.cores.into(), "core");
    parts.push(format!("{} ({cores})", environment.cpu_model.trim()));
    parts.push(format!("{} {}", environment.os, environment.kernel));
    parts.join(" · ")
}

/// The point with the highest throughput; `None` when no point measured any.
pub(crate) fn peak(points: &[Point]) -> Option<&Point> {
    points
        .iter()
        .filter(|point| point.throughput_ops_s.is_finite() && point.throughput_ops_s > 0.0)
        .max_by(|a, b| a.throughput_ops_s.total_cmp(&b.throughput_ops_s))
}

/// What the curve says, as a title, and of how much of it when that is not all.
pub(crate) fn curve_claim(result: &RunResult) -> String {
    if let Some(found) = &result.find_max {
        return search::claim(found);
    }
    if let Some(curve) = &result.open_curve {
        return open_curve::claim(curve, &result.points);
    }
    let Some(peak) = peak(&result.points) else {
        return "No point of the curve measured any throughput".to_owned();
    };
    let mut claim = format!(
        "Up to {} ops/s, with {} and {}",
        short(peak.throughput_ops_s),
        plural(peak.servers.into(), "server"),
        plural(peak.clients.into(), "client"),
    );
    if let Some(latency) = point_latency(peak) {
        let _ = write!(claim, ": p50 {}, p99 {}", duration(latency.p50), duration(latency.p99));
    }
    if peak.trust.verdict == Verdict::Untrusted {
        claim.push_str(" (untrusted)");
    }
    let measured = result.points.len();
    let all = result.curve.map_or(0, |curve| curve.points_all as usize);
    match result.curve {
        _ if is_cut(result) && all > 0 => {
            let _ = write!(claim, ", in the first {measured} of {all} points");
        }
        _ if is_cut(result) => {
            let _ = write!(
                claim,
                ", in the {} before it was cut short",
                plural(measured as u64, "point")
            );
        }
        Some(_) if measured < all => {
            let _ = write!(claim, ", in {measured} of {all} points");
        }
        _ => {}
    }
    claim
}

/// Whether the curve was begun, and ended early.
fn is_cut(result: &RunResult) -> bool {
    result.partial && result.cut == Some(Part::Curve)
}

/// What is not known for want of points, as warnings.
pub(crate) fn curve_gaps(result: &RunResult) -> Vec<String> {
    let Some(CurvePlan { points_all, points_planned }) = result.curve else { return Vec::new() };
    let mut gaps = Vec::new();
    if points_planned < points_all {
        gaps.push(format!(
            "the curve has {points_planned} of {points_all} points, as --curve-time leaves no time for \
             more: the highest throughput may lie between them"
        ));
    }
    let measured = result.points.len();
    match result.points.last() {
        _ if measured >= points_planned as usize => {}
        Some(last) => gaps.push(format!(
            "the curve was cut short after {measured} of {points_planned} points, at {} and {}: of \
             what comes after it says nothing",
            plural(last.servers.into(), "server"),
            plural(last.clients.into(), "client")
        )),
        None => gaps.push(format!(
            "the curve was cut short in the first of {}",
            plural(points_planned.into(), "point")
        )),
    }
    gaps
}

/// What limited the headline: `limited by server`, or that it is not known.
pub(crate) fn limit(result: &RunResult) -> String {
    let trust = &result.trust;
    match (trust.limited_by, trust.verdict) {
        (Limit::Unknown, Verdict::Trusted)
            if result.servers.iter().any(|server| server.cpu_s.is_none()) =>
        {
            "the limit was not found: the servers' CPU is not ours to read".to_owned()
        }
        (Limit::Unknown, Verdict::Trusted) => {
            "the limit was not found: nothing was saturated".to_owned()
        }
        (Limit::Unknown, Verdict::Untrusted) => "the limit was not found".to_owned(),
        (limit, _) => format!("limited by {limit}"),
    }
}

/// Why points of the curve are untrusted: each measured reason once, where it was strongest.
pub(crate) fn point_doubts(points: &[Point]) -> Vec<String> {
    let is_untrusted = |point: &&Point| point.trust.verdict == Verdict::Untrusted;
    let reasons = points.iter().filter(is_untrusted).flat_map(|point| &point.trust.reasons);
    let mut worst: BTreeMap<String, (f64, &str, u64)> = BTreeMap::new();
    for reason in reasons {
        // Reasons with a share of the time are what was found, the others advice.
        let Some((before, _)) = reason.split_once(" %") else { continue };
        let share = before.rsplit(' ').next().and_then(|share| share.parse().ok()).unwrap_or(0.0);
        let words = reason.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        let (most, text, count) = worst.entry(words).or_insert((share, reason, 0));
        *count += 1;
        if share > *most {
            (*most, *text) = (share, reason);
        }
    }
    let line = |&(_, text, count): &(f64, &str, u64)| match count {
        1 => format!("at 1 point {text}"),
        _ => format!("at {count} points, at most: {text}"),
    };
    worst.values().map(line).collect()
}

/// What the result of several measurements is: `the median of 5 measurements by response p99, which is
/// 1.2 ms to 1.9 ms`.
pub(crate) fn repeats(result: &RunResult) -> Option<String> {
    let repeats = &result.repeats;
    let responses: Option<Vec<f64>> =
        repeats.iter().map(|repeat| Some(repeat.headline.response_us?.p99)).collect();
    let (figure, mut values, show): (_, _, fn(f64) -> String) = match responses {
        Some(p99) => ("response p99", p99, duration),
        None => {
            let ops_s = repeats.iter().map(|repeat| repeat.headline.throughput_ops_s).collect();
            ("throughput", ops_s, |ops_s| format!("{} ops/s", short(ops_s)))
        }
    };
    values.sort_by(f64::total_cmp);
    let (least, most) = (values.first()?, values.last()?);
    let count = plural(repeats.len() as u64, "measurement");
    Some(format!("the median of {count} by {figure}, which is {} to {}", show(*least), show(*most)))
}

/// How exact the tail of the headline is: `95 % confidence within this run as if operations were
/// independent, response: p99 1.2 ms to 1.3 ms, p99.9 above 4.1 ms`; `None` of results that do not tell.
pub(crate) fn tail_confidence(result: &RunResult) -> Option<String> {
    let headline = &result.headline;
    let latency = headline.response_us.as_ref().or(headline.service_us.as_ref())?;
    let tail = QUANTILES.into_iter().filter(|quantile| quantile.one_in >= 100);
    let told = tail.filter_map(|quantile| {
        let name = quantile.name;
        Some(match latency.bounds(quantile)? {
            Bounds { low: Some(low), high: Some(high) } => {
                format!("{name} {} to {}", duration(low), duration(high))
            }
            Bounds { low: Some(low), high: None } => format!("{name} above {}", duration(low)),
            _ => format!("{name} unknown"),
        })
    });
    let told: Vec<String> = told.collect();
    let time = if headline.response_us.is_some() { "response" } else { "service" };
    let told = told.join(", ");
    (!told.is_empty()).then(|| {
        format!(
            "95 % confidence within this run, as if operations were independent, {time}: {told}"
        )
    })
}

/// How evenly clients were served, where there are several of a closed loop.
pub(crate) fn fairness(result: &RunResult) -> Option<String> {
    result.generator.as_ref()?.clients.as_ref().map(fairness::told)
}

/// Response time where the loop was open, service time otherwise.
pub(crate) fn point_latency(point: &Point) -> Option<&crate::result::Percentiles> {
    point.response_us.as_ref().or(point.service_us.as_ref())
}

/// What was measured where and when, as the title of a page: `nightly: 4 × kv-server 0.1.0,
/// 2026-11-23 00:36 UTC`.
pub(crate) fn title(result: &RunResult) -> String {
    let mut software = result.environment.servers.clone();
    software.dedup();
    software.retain(|name| !name.is_empty());
    let software = if software.is_empty() { "server".to_owned() } else { software.join(", ") };
    let targets = &result.scenario.targets;
    let what = match (targets.as_slice(), result.servers.len()) {
        ([target], _) => format!("{software} at {target}"),
        ([], 0 | 1) => software,
        ([], count) => format!("{count} × {software}"),
        (several, _) => format!("{software} at {}", several.join(", ")),
    };
    // Whole minutes of `2026-11-23T00:36:11.123Z`; what is no such time is shown as it is.
    let time = result.started_at.get(..16).filter(|_| result.started_at.ends_with('Z'));
    let time = time.map_or_else(
        || result.started_at.clone(),
        |minutes| format!("{} UTC", minutes.replacen('T', " ", 1)),
    );
    format!("{}: {what}, {time}", result.name)
}
