//! Whether operations are sent when they are due, and whether a server that stalls is seen.

use std::time::Duration;

use super::check::Check;
use super::rig::Rig;
use crate::number::duration;
use crate::recorder::Time;
use crate::result::Selftest;

/// Late at the median; a core that sleeps needs about that to come back.
const LATENESS_P50_US_MAX: f64 = 50.0;
const PUNCTUALITY_TIME: Duration = Duration::from_secs(2);

const PACE: &str = "10k";
const PACE_OPS_S: f64 = 10_000.0;
const PACE_TIME: Duration = Duration::from_secs(2);
/// Of the rate that was asked for.
const PACE_ERROR_MAX: f64 = 0.001;

const STALL: Duration = Duration::from_millis(500);
const STALL_BEGIN: Duration = Duration::from_millis(500);
const STALL_RUN: Duration = Duration::from_secs(3);
const STALL_ERROR_MAX: f64 = 0.05;

pub(super) fn punctuality(rig: &Rig, summary: &mut Selftest) -> anyhow::Result<Check> {
    let measured = rig.open("1k", PUNCTUALITY_TIME, |_| {})?;
    let lateness = measured.latencies.all(Time::Lateness);
    let at_us = |quantile| lateness.value_at_quantile(quantile) as f64 / 1e3;
    summary.lateness_p50_us = at_us(0.5);
    summary.lateness_p99_us = at_us(0.99);
    Ok(Check::judged(
        "punctuality",
        format!(
            "late by {} (p50), {} (p99) at 1,000 operations/s",
            duration(summary.lateness_p50_us),
            duration(summary.lateness_p99_us)
        ),
        summary.lateness_p50_us <= LATENESS_P50_US_MAX,
        format!(
            "at most {} at the median, which takes a core to spare",
            duration(LATENESS_P50_US_MAX)
        ),
    ))
}

pub(super) fn pace(rig: &Rig) -> anyhow::Result<Check> {
    let measured = rig.open(PACE, PACE_TIME, |_| {})?;
    let counts = &measured.counts;
    let last_ns = counts.last_reply_ns.unwrap_or(measured.end_ns);
    // The first is due at once, so that the last is due one gap before the time is over.
    let gaps = counts.attempted().saturating_sub(1);
    let ops_s = gaps as f64 * 1e9 / (last_ns - measured.start_ns) as f64;
    let error = ops_s / PACE_OPS_S - 1.0;
    Ok(Check::judged(
        "pace",
        format!(
            "{ops_s:.1} operations/s where {PACE_OPS_S} were asked for ({:+.3} %)",
            error * 100.0
        ),
        error.abs() <= PACE_ERROR_MAX,
        format!("within {} %", PACE_ERROR_MAX * 100.0),
    ))
}

/// The server does nothing for a while. Who was due `u` into it waits for the rest: so of all
/// operations the part (`STALL` − x) / `STALL_RUN` waits longer than x.
pub(super) fn stall(rig: &Rig) -> anyhow::Result<Check> {
    let mut is_to_come = true;
    // So few that those who waited are done with at once.
    let measured = rig.open("500", STALL_RUN, |live| {
        if is_to_come && live.elapsed >= STALL_BEGIN {
            rig.server.stall(STALL);
            is_to_come = false;
        }
    })?;
    let response = measured.latencies.successes(Time::Response);
    let mut worst = 0.0_f64;
    let mut texts = Vec::new();
    for (name, quantile) in [("p90", 0.9), ("p95", 0.95), ("p99", 0.99)] {
        let expected_us = (STALL.as_secs_f64() - (1.0 - quantile) * STALL_RUN.as_secs_f64()) * 1e6;
        let measured_us = response.value_at_quantile(quantile) as f64 / 1e3;
        let error = measured_us / expected_us - 1.0;
        worst = worst.max(error.abs());
        texts.push(format!("{name} {} of {}", duration(measured_us), duration(expected_us)));
    }
    Ok(Check::judged(
        "stall",
        format!("a server that stalls for 500 ms shows in response times: {}", texts.join(", ")),
        worst <= STALL_ERROR_MAX,
        format!("within {} % of what it must be", STALL_ERROR_MAX * 100.0),
    ))
}
