//! `latency.hlog`: latencies over time, HdrHistogram interval log 1.3.
//!
//! Our own writer, not `hdrhistogram`'s `IntervalLogWriter`: that one writes neither the version
//! nor the legend that other readers look for, and wants histograms that here are text already.

use std::fmt::Write as _;
use std::io::Write;

use anyhow::ensure;
use jiff::Timestamp;

use crate::interval_log::IntervalLog;

use crate::result::Interval;

const NS_PER_MS: f64 = 1_000_000.0;
const LEGEND: &str =
    r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;

/// Writes the log of a measurement that began at `started_at` (RFC 3339). Starts are seconds since
/// then; the third column is in milliseconds, the histograms are in nanoseconds.
///
/// # Errors
/// When `out` fails, and when `intervals` have not all been kept.
pub(super) fn write(
    out: &mut dyn Write,
    intervals: &IntervalLog,
    started_at: &str,
) -> anyhow::Result<()> {
    out.write_all(head(started_at).as_bytes())?;
    intervals.copy_to(out)
}

fn head(started_at: &str) -> String {
    let mut out = format!(
        "#[Logged with kv-bench {}; histograms are in nanoseconds, Interval_Max in milliseconds]\n\
         #[Histogram log format version 1.3]\n",
        env!("CARGO_PKG_VERSION"),
    );
    if let Ok(start) = started_at.parse::<Timestamp>() {
        let seconds = start.as_millisecond() as f64 / 1_000.0;
        let _ = writeln!(out, "#[BaseTime: {seconds:.3} (seconds since epoch)]");
        let _ = writeln!(out, "#[StartTime: {seconds:.3} (seconds since epoch), {start}]");
    }
    out.push_str(LEGEND);
    out.push('\n');
    out
}

/// An interval as a line of the log.
///
/// # Errors
/// When a tag holds a character that the format cannot: it has no escapes.
pub(crate) fn interval_line(interval: &Interval) -> anyhow::Result<String> {
    let Interval { tag, start_s, length_s, max_ns, histogram } = interval;
    ensure!(
        !tag.is_empty() && !tag.contains([',', ' ', '\n', '\r']),
        "the tag {tag:?} of an interval must have no comma, space or newline",
    );
    let max_ms = *max_ns as f64 / NS_PER_MS;
    Ok(format!("Tag={tag},{start_s:.3},{length_s:.3},{max_ms:.3},{histogram}\n"))
}
