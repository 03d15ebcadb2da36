//! What was measured, where, and what came out, each in a line: the same words in every output.

use std::fmt::Write as _;

use crate::number::{duration, grouped, short};
use crate::result::{Limit, Point, RunResult, Trust, Verdict};

/// The loop, in the words of the laws of measuring.
pub(crate) fn load(result: &RunResult) -> String {
    match result.headline.rate_asked_ops_s {
        Some(rate) => format!("open loop at {} ops/s", short(rate)),
        None => "closed loop".to_owned(),
    }
}

/// Operations, keys and values: `get=90,put=9,delete=1 · 100,000 keys, uniform · 100-byte values`.
pub(crate) fn workload(result: &RunResult) -> String {
    let scenario = &result.scenario;
    format!(
        "{} · {} keys, {} · {}-byte values · pipeline {}",
        scenario.mix,
        grouped(scenario.keys),
        scenario.key_distribution,
        grouped(scenario.value_size_bytes),
        scenario.pipeline,
    )
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
    let cores = environment.cores;
    parts.push(format!("{} ({cores} core{})", environment.cpu_model.trim(), plural(cores)));
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

/// What the curve says, as a title.
pub(crate) fn curve_claim(points: &[Point]) -> String {
    let Some(peak) = peak(points) else {
        return "No point of the curve measured any throughput".to_owned();
    };
    let (servers, clients) = (peak.servers, peak.clients);
    let mut claim = format!(
        "Up to {} ops/s, with {servers} server{} and {clients} client{}",
        short(peak.throughput_ops_s),
        plural(servers),
        plural(clients),
    );
    if let Some(latency) = point_latency(peak) {
        let _ = write!(claim, ": p50 {}, p99 {}", duration(latency.p50), duration(latency.p99));
    }
    if peak.trust.verdict == Verdict::Untrusted {
        claim.push_str(" (untrusted)");
    }
    claim
}

/// What limited a measurement: `limited by server`, or that it is not known.
pub(crate) fn limit(trust: &Trust) -> String {
    match (trust.limited_by, trust.verdict) {
        (Limit::Unknown, Verdict::Trusted) => {
            "the limit was not found: nothing was saturated".to_owned()
        }
        (Limit::Unknown, Verdict::Untrusted) => "the limit was not found".to_owned(),
        (limit, _) => format!("limited by {limit}"),
    }
}

/// Response time where the loop was open, service time otherwise.
pub(crate) fn point_latency(point: &Point) -> Option<&crate::result::Percentiles> {
    point.response_us.as_ref().or(point.service_us.as_ref())
}

/// The ending of a noun that there are `count` of.
pub(crate) fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
