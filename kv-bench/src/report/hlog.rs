//! `latency.hlog`: latencies over time, HdrHistogram interval log 1.3.
//!
//! Our own writer, not `hdrhistogram`'s `IntervalLogWriter`: that one writes neither the version
//! nor the legend that other readers look for, and wants histograms that here are text already.

use std::fmt::Write as _;

use anyhow::ensure;
use jiff::Timestamp;

use crate::result::Interval;

const NS_PER_MS: f64 = 1_000_000.0;
const LEGEND: &str =
    r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;

/// The log of a measurement that began at `started_at` (RFC 3339). Starts are seconds since then; the
/// third column is in milliseconds, the histograms are in nanoseconds.
///
/// # Errors
/// When a tag holds a character that the format cannot: it has no escapes.
pub(super) fn text(intervals: &[Interval], started_at: &str) -> anyhow::Result<String> {
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
    for interval in intervals {
        let tag = &interval.tag;
        ensure!(
            !tag.is_empty() && !tag.contains([',', ' ', '\n', '\r']),
            "the tag {tag:?} of an interval must have no comma, space or newline",
        );
        let _ = writeln!(
            out,
            "Tag={tag},{:.3},{:.3},{:.3},{}",
            interval.start_s,
            interval.length_s,
            interval.max_ns as f64 / NS_PER_MS,
            interval.histogram,
        );
    }
    Ok(out)
}
