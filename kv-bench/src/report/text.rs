//! What the terminal shows when a run ends.

use std::fmt::Write as _;

use super::tables::{self, Medium, THIN};
use super::{describe, faults, open_curve, search, verification};
use crate::number::{decimal, duration};
use crate::percentiles::TAIL_SAMPLES_MIN;
use crate::result::{ErrorCounts, Part, RunResult, Verdict};
use crate::scenario::plural;

/// The result as text: what was measured, per operation, per server, per point; whether to believe
/// it and why; what to know before quoting it. Ends with a newline.
pub fn summary(result: &RunResult) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}\n", headline(result));
    push_block(&mut out, &tables::latencies(result, Medium::Terminal));
    if let Some(note) = thin_note(result) {
        let _ = writeln!(out, "{note}");
    }
    for line in describe::tail_confidence(result).iter().chain(&describe::fairness(result)) {
        let _ = writeln!(out, "{line}");
    }
    out.push('\n');
    if let Some(errors) = errors(&result.errors) {
        let _ = writeln!(out, "errors: {errors}\n");
    }
    if !result.servers.is_empty() {
        push_block(&mut out, &tables::servers(&result.servers, Medium::Terminal));
    }
    if let Some(found) = &result.verify {
        let _ = writeln!(out, "{}\n", Medium::Terminal.escape(&verification::line(found)));
    }
    if !result.chaos.is_empty() {
        push_block(&mut out, &faults::table(&result.chaos, Medium::Terminal));
    }
    if let Some(repeats) = describe::repeats(result) {
        push_block(&mut out, &tables::repeats(&result.repeats, Medium::Terminal));
        let _ = writeln!(out, "This is {repeats}\n");
    }
    if !result.points.is_empty() {
        push_block(&mut out, &tables::points(&result.points, Medium::Terminal));
        let finding = search::finding(result).or_else(|| open_curve::finding(result));
        let claim = finding.unwrap_or_else(|| describe::curve_claim(result));
        let _ = writeln!(out, "{claim}");
        for (index, doubt) in describe::point_doubts(&result.points).iter().enumerate() {
            let before = if index == 0 { "untrusted points:\n" } else { "" };
            let _ = writeln!(out, "{before}  - {}", Medium::Terminal.escape(doubt));
        }
        out.push('\n');
    }
    out.push_str(&verdict(result));
    for (index, warning) in warnings(result).enumerate() {
        let before = if index == 0 { "\n" } else { "" };
        let _ = writeln!(out, "{before}warning: {}", Medium::Terminal.escape(warning));
    }
    out
}

/// `100,000 operations in 1.93 s: 51,813 ops/s (closed loop), 0 errors`.
pub(super) fn headline(result: &RunResult) -> String {
    let all = &result.headline;
    let of_curve = matches!(result.cut, Some(Part::Curve | Part::Search));
    let cut = if result.partial && !of_curve { "PARTIAL, cut short: " } else { "" };
    let silent = all.silent_s.map_or_else(String::new, |silent_s| {
        format!(", no reply in the last {}", duration(silent_s * 1e6))
    });
    let rest = match result.cut {
        Some(Part::Curve) => "; this is whole, the curve was cut short",
        Some(Part::Search) => "; this is whole, the search was cut short",
        _ => "",
    };
    format!(
        "{cut}{} in {}: {} ops/s ({}), {}{}{silent}{rest}",
        plural(all.operations, "operation"),
        duration(all.duration_s * 1e6),
        decimal(all.throughput_ops_s, 0),
        describe::load(result),
        plural(all.errors, "error"),
        describe::hits(all),
    )
}

/// What went wrong how often: `12 timeout, 3 ERR replies`.
pub fn errors(errors: &ErrorCounts) -> Option<String> {
    tables::errors(errors, Medium::Terminal)
}

/// What the mark [`THIN`] means, when some row of the headline carries it.
pub(super) fn thin_note(result: &RunResult) -> Option<String> {
    let kinds = result.operations.named();
    let all = &result.headline;
    let rows = kinds
        .map(|(_, kind)| (kind.count, kind.errors, kind.service_us.or(kind.response_us)))
        .chain([(all.operations, all.errors, all.service_us.or(all.response_us))])
        .chain([(all.errors, 0, all.error_us)]);
    let points = result
        .points
        .iter()
        .map(|point| (point.operations, point.errors, describe::point_latency(point).copied()));
    let is_thin = |(count, errors, latency): (u64, u64, Option<_>)| {
        latency.is_some()
            && !crate::percentiles::thin_quantiles(count.saturating_sub(errors)).is_empty()
    };
    rows.chain(points)
        .any(is_thin)
        .then(|| format!("{THIN} fewer than {TAIL_SAMPLES_MIN} samples lie beyond this percentile"))
}

fn push_block(out: &mut String, block: &str) {
    let _ = writeln!(out, "{block}\n");
}

fn verdict(result: &RunResult) -> String {
    let word = match result.trust.verdict {
        Verdict::Trusted => "TRUSTED",
        Verdict::Untrusted => "NOT TRUSTED",
    };
    let mut out = format!("{word}: {}\n", describe::limit(result));
    for reason in distinct(&result.trust.reasons) {
        let _ = writeln!(out, "  - {}", Medium::Terminal.escape(reason));
    }
    out
}

/// The warnings, but for those that the verdict gives as reasons just above.
pub(super) fn warnings(result: &RunResult) -> impl Iterator<Item = &String> {
    distinct(&result.warnings).filter(|warning| !result.trust.reasons.contains(warning))
}

/// Each line once, in the order of its first appearance.
pub(crate) fn distinct(lines: &[String]) -> impl Iterator<Item = &String> {
    lines.iter().enumerate().filter(|&(at, line)| !lines[..at].contains(line)).map(|(_, line)| line)
}
