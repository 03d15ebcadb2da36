//! The tables of a result, for the terminal and for Markdown alike.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::describe::point_latency;
use crate::number::{NOTHING, decimal, grouped, table_us};
use crate::percentiles::{QUANTILES, Quantile};
use crate::result::{
    ErrorCounts, Limit, Percentiles, Point, Repeat, RunResult, ServerShare, Trust, Verdict,
};

/// Stands after a percentile that too few samples lie beyond.
pub(super) const THIN: &str = "*";

/// A last column of words.
pub(super) const TRUST: &str = "trust";

/// Where a table will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Medium {
    Terminal,
    Markdown,
}

impl Medium {
    /// Text from outside, such as a server's error word, that may not break out of its cell.
    pub(super) fn escape(self, text: &str) -> String {
        let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        match self {
            Self::Terminal => plain,
            Self::Markdown => plain.replace('|', "\\|").replace('<', "&lt;"),
        }
    }

    /// A table whose first `names` columns are text and whose others are numbers.
    pub(super) fn table(self, names: usize, header: &[&str], rows: Vec<Vec<String>>) -> String {
        let mut table = Table::new();
        table.load_style(match self {
            Self::Terminal => {
                TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'))
            }
            Self::Markdown => ASCII_MARKDOWN,
        });
        table.set_header(header.iter().map(|title| match self {
            Self::Terminal => (*title).to_owned(),
            Self::Markdown => title.replace('\n', " "),
        }));
        table.add_rows(rows);
        for (index, column) in table.column_iter_mut().enumerate() {
            if self == Self::Terminal {
                column.set_padding((0, 1));
            }
            if index >= names && header[index] != TRUST {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let text = table.trim_fmt();
        match self {
            Self::Terminal => text,
            Self::Markdown => align_right(&text, |index| index >= names && header[index] != TRUST),
        }
    }
}

/// `comfy-table` pads the cells but leaves Markdown's own alignment row neutral.
fn align_right(markdown: &str, is_number: impl Fn(usize) -> bool) -> String {
    let mut lines: Vec<String> = markdown.lines().map(str::to_owned).collect();
    if let Some(rule) = lines.get_mut(1) {
        let cells = rule.trim_matches('|').split('|').enumerate().map(|(index, cell)| {
            let dashes = "-".repeat(cell.len().saturating_sub(1).max(2));
            if is_number(index) { format!("{dashes}:") } else { format!("{dashes}-") }
        });
        *rule = format!("|{}|", cells.collect::<Vec<_>>().join("|"));
    }
    lines.join("\n")
}

/// One row per kind of operation and kind of time, the sum of all kinds last where there are several.
pub(super) fn latencies(result: &RunResult, medium: Medium) -> String {
    let mut rows = Vec::new();
    for (name, kind) in result.operations.named() {
        let counts = [kind.count, kind.errors, kind.hits, kind.misses];
        let times = [&kind.response_us, &kind.service_us, &kind.lateness_us];
        rows.extend(latency_rows(name, counts, times));
    }
    let all = &result.headline;
    let counts = [all.operations, all.errors, all.hits, all.misses];
    let times = [&all.response_us, &all.service_us, &all.lateness_us];
    if result.operations.named().count() != 1 {
        rows.extend(latency_rows("all", counts, times));
    }
    if let Some(errors) = &all.error_us {
        let mut row = vec!["failed".to_owned(), "to failure".to_owned()];
        row.extend([String::new(), grouped(all.errors), String::new(), String::new()]);
        row.extend(latency_cells(Some(errors), all.errors));
        rows.push(row);
    }
    let header = [
        "operation",
        "time",
        "count",
        "errors",
        "hits",
        "misses",
        "min\nµs",
        "p50\nµs",
        "p90\nµs",
        "p99\nµs",
        "p99.9\nµs",
        "p99.99\nµs",
        "max\nµs",
    ];
    medium.table(2, &header, rows)
}

fn latency_rows(
    name: &str,
    counts: [u64; 4],
    times: [&Option<Percentiles>; 3],
) -> Vec<Vec<String>> {
    let samples = counts[0].saturating_sub(counts[1]);
    let mut measured: Vec<(&str, Option<&Percentiles>)> = ["response", "service", "lateness"]
        .into_iter()
        .zip(times.map(Option::as_ref))
        .filter(|(_, percentiles)| percentiles.is_some())
        .collect();
    if measured.is_empty() {
        measured.push((NOTHING, None));
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (time, percentiles) in measured {
        let first = rows.is_empty();
        let mut row = vec![if first { name.to_owned() } else { String::new() }, time.to_owned()];
        row.extend(counts.map(|count| if first { grouped(count) } else { String::new() }));
        row.extend(latency_cells(percentiles, samples));
        rows.push(row);
    }
    rows
}

fn latency_cells(percentiles: Option<&Percentiles>, samples: u64) -> Vec<String> {
    let Some(p) = percentiles else { return vec![NOTHING.to_owned(); 7] };
    let mut cells = vec![table_us(p.min)];
    // p95 is in the JSON; a row must fit a terminal.
    let shown = QUANTILES.into_iter().filter(|quantile| quantile.one_in != 20);
    cells.extend(shown.map(|quantile| percentile_cell(p, quantile, samples)));
    cells.push(table_us(p.max));
    cells
}

fn percentile_cell(percentiles: &Percentiles, quantile: Quantile, samples: u64) -> String {
    let mark = if quantile.is_supported_by(samples) { "" } else { THIN };
    format!("{}{mark}", table_us(percentiles.at(quantile)))
}

/// The points of the curve in the order in which they were measured.
pub(super) fn points(points: &[Point], medium: Medium) -> String {
    if points.iter().any(|point| point.saturated.is_some()) {
        return super::open_curve::table(points, medium);
    }
    if points.iter().all(|point| point.rate_asked_ops_s.is_some()) {
        return rates(points, medium);
    }
    let rows = points.iter().map(|point| {
        let samples = point.operations.saturating_sub(point.errors);
        let latency = point_latency(point);
        let mut row: Vec<String> = [point.servers, point.threads, point.clients, point.pipeline]
            .iter()
            .map(|&count| grouped(count.into()))
            .collect();
        row.push(decimal(point.throughput_ops_s, 0));
        row.extend(shown_percentiles(latency, samples));
        row.push(grouped(point.errors));
        row.push(trust(&point.trust));
        row
    });
    let header = [
        "servers",
        "threads",
        "clients",
        "pipeline",
        "throughput\nops/s",
        "p50\nµs",
        "p99\nµs",
        "p99.9\nµs",
        "errors",
        TRUST,
    ];
    medium.table(0, &header, rows.collect())
}

/// Points of an open loop: what was asked, and what came of it.
fn rates(points: &[Point], medium: Medium) -> String {
    let rows = points.iter().map(|point| {
        let samples = point.operations.saturating_sub(point.errors);
        let mut row = vec![
            decimal(point.rate_asked_ops_s.unwrap_or(f64::NAN), 0),
            decimal(point.throughput_ops_s, 0),
        ];
        row.extend(shown_percentiles(point_latency(point), samples));
        row.push(grouped(point.errors));
        row.push(trust(&point.trust));
        row
    });
    let header =
        ["asked\nops/s", "achieved\nops/s", "p50\nµs", "p99\nµs", "p99.9\nµs", "errors", TRUST];
    medium.table(0, &header, rows.collect())
}

/// Each of several measurements, in their order.
pub(super) fn repeats(repeats: &[Repeat], medium: Medium) -> String {
    let rows = repeats.iter().enumerate().map(|(index, repeat)| {
        let headline = &repeat.headline;
        let latency = headline.response_us.as_ref().or(headline.service_us.as_ref());
        let samples = headline.operations.saturating_sub(headline.errors);
        let mut row = vec![grouped(index as u64 + 1), decimal(headline.throughput_ops_s, 0)];
        row.extend(shown_percentiles(latency, samples));
        row.push(grouped(headline.errors));
        row.push(trust(&repeat.trust));
        row
    });
    let header =
        ["measurement", "throughput\nops/s", "p50\nµs", "p99\nµs", "p99.9\nµs", "errors", TRUST];
    medium.table(0, &header, rows.collect())
}

/// The percentiles that a table has room for beside other columns.
pub(super) fn shown_percentiles(
    latency: Option<&Percentiles>,
    samples: u64,
) -> impl Iterator<Item = String> {
    let shown = QUANTILES.into_iter().filter(|q| [2, 100, 1_000].contains(&q.one_in));
    shown.map(move |quantile| {
        latency.map_or_else(|| NOTHING.to_owned(), |p| percentile_cell(p, quantile, samples))
    })
}

pub(super) fn trust(trust: &Trust) -> String {
    match trust.verdict {
        Verdict::Trusted => "trusted".to_owned(),
        Verdict::Untrusted if trust.limited_by == Limit::Unknown => "untrusted".to_owned(),
        Verdict::Untrusted => format!("untrusted: {}", trust.limited_by),
    }
}

/// The share of the work that each server got, and what it cost it.
pub(super) fn servers(servers: &[ServerShare], medium: Medium) -> String {
    let rows = servers.iter().map(|server| {
        vec![
            medium.escape(&server.name),
            medium.escape(&server.address),
            grouped(server.operations),
            decimal(server.share * 100.0, 1),
            server.ring_share.map_or_else(|| NOTHING.to_owned(), |share| decimal(share * 100.0, 1)),
            server.cpu_s.map_or_else(|| NOTHING.to_owned(), |cpu_s| decimal(cpu_s, 2)),
        ]
    });
    medium.table(
        2,
        &["server", "address", "operations", "share\n%", "keys\n%", "CPU\ns"],
        rows.collect(),
    )
}

/// `12 timeouts, 3 ERR replies`; `None` when nothing went wrong.
pub(super) fn errors(errors: &ErrorCounts, medium: Medium) -> Option<String> {
    let of = [("refused", errors.refused), ("reset", errors.reset)];
    let of = of.iter().filter(|(_, count)| *count > 0);
    let of: Vec<String> = of.map(|&(how, count)| format!("{} {how}", grouped(count))).collect();
    let connection = match of.is_empty() {
        true => "connection".to_owned(),
        false => format!("connection ({})", of.join(", ")),
    };
    let kinds = [
        ("timeout", errors.timeout),
        (&connection, errors.connection),
        ("protocol", errors.protocol),
        ("verify", errors.verify),
    ];
    let mut parts: Vec<String> = kinds
        .into_iter()
        .filter(|&(_, count)| count > 0)
        .map(|(kind, count)| format!("{} {kind}", grouped(count)))
        .collect();
    parts.extend(
        errors
            .server
            .iter()
            .map(|(word, &count)| format!("{} {} replies", grouped(count), medium.escape(word))),
    );
    (!parts.is_empty()).then(|| parts.join(", "))
}
