//! `report.md`: the run folder's front page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::tables::{self, Medium};
use super::{describe, faults, open_curve, search, text, verification};
use crate::number::grouped;
use crate::result::{RunResult, Verdict};

/// The page; `files` are the names of the other files in the folder, plots among them.
pub(super) fn page(result: &RunResult, files: &[String]) -> String {
    let medium = Medium::Markdown;
    let mut out = format!(
        "# {}\n\n{}\n\n{} · {}\n\n{}\n\n",
        medium.escape(&describe::title(result)),
        text::headline(result),
        medium.escape(&describe::workload(result)),
        medium.escape(&describe::environment(result)),
        trust(result),
    );
    for warning in text::warnings(result) {
        let _ = writeln!(out, "> **Warning:** {}\n", medium.escape(warning));
    }
    curve(&mut out, result, files);
    let _ = writeln!(out, "## Latency by operation\n\n{}\n", tables::latencies(result, medium));
    if let Some(note) = text::thin_note(result) {
        let _ = writeln!(out, "{}\n", note.replace('*', "\\*"));
    }
    for line in describe::tail_confidence(result).iter().chain(&describe::fairness(result)) {
        let _ = writeln!(out, "{line}.\n");
    }
    if let Some(errors) = tables::errors(&result.errors, medium) {
        let _ = writeln!(out, "Errors: {errors}.\n");
    }
    picture(&mut out, files, "percentiles.png", "Latency by percentile, per kind of operation");
    if files.iter().any(|file| file == "over-time.png") {
        out.push_str("## Over time\n\n");
        picture(&mut out, files, "over-time.png", "Throughput and latency over time");
    }
    if let Some(repeats) = describe::repeats(result) {
        let table = tables::repeats(&result.repeats, medium);
        let _ = writeln!(out, "## Measurements\n\nThis is {repeats}.\n\n{table}\n");
    }
    if !result.servers.is_empty() {
        let _ = writeln!(out, "## Servers\n\n{}\n", tables::servers(&result.servers, medium));
    }
    if let Some(found) = &result.verify {
        let line = medium.escape(&verification::line(found));
        let _ = writeln!(out, "## Verification\n\n{line}.\n");
    }
    if !result.chaos.is_empty() {
        let table = faults::table(&result.chaos, medium);
        let _ = writeln!(out, "## Faults\n\n{table}\n");
    }
    reproduce(&mut out, result);
    let _ = writeln!(out, "## Machine\n\n{}", machine(result));
    let _ = writeln!(out, "## Files\n");
    for name in files {
        let _ = writeln!(out, "- [`{name}`]({name})");
    }
    out
}

fn trust(result: &RunResult) -> String {
    let word = match result.trust.verdict {
        Verdict::Trusted => "Trusted",
        Verdict::Untrusted => "Not trusted",
    };
    let mut out = format!("**{word}**: {}", describe::limit(result));
    for reason in text::distinct(&result.trust.reasons) {
        let _ = write!(out, "\n- {}", Medium::Markdown.escape(reason));
    }
    // A list needs an empty line before it to be one.
    out.replacen("\n- ", "\n\n- ", 1)
}

fn curve(out: &mut String, result: &RunResult, files: &[String]) {
    if result.points.is_empty() {
        return;
    }
    let (title, claim) = match (search::finding(result), open_curve::finding(result)) {
        (Some(finding), _) => ("Search", finding),
        (None, Some(finding)) => ("Curve", finding),
        (None, None) => ("Curve", describe::curve_claim(result)),
    };
    let _ = writeln!(out, "## {title}\n\n{claim}.\n");
    picture(out, files, "latency-vs-throughput.png", &claim);
    picture(out, files, "achieved-vs-offered.png", "Achieved against offered load");
    let _ = writeln!(out, "{}\n", tables::points(&result.points, Medium::Markdown));
    let doubts = describe::point_doubts(&result.points);
    if !doubts.is_empty() {
        let text = Medium::Markdown.escape(&doubts.join("; "));
        let _ = writeln!(out, "Untrusted points: {text}.\n");
    }
}

fn picture(out: &mut String, files: &[String], name: &str, caption: &str) {
    if files.iter().any(|file| file == name) {
        let _ = writeln!(out, "![{caption}]({name})\n");
    }
}

fn reproduce(out: &mut String, result: &RunResult) {
    let command = result.scenario.command.replace("```", "'''");
    let _ = writeln!(
        out,
        "## Reproduce\n\n```sh\n{command}\n```\n\nStarted {} with kv-bench {}{}, seed {}.\n",
        Medium::Markdown.escape(&result.started_at),
        result.environment.kv_bench_version,
        result
            .environment
            .git_revision
            .as_ref()
            .map_or_else(String::new, |revision| format!(" ({revision})")),
        result.scenario.seed,
    );
}

fn machine(result: &RunResult) -> String {
    let environment = &result.environment;
    let unknown = || "unknown".to_owned();
    let rows = [
        ("host", environment.hostname.clone()),
        ("system", format!("{}, kernel {}", environment.os, environment.kernel)),
        ("CPU", environment.cpu_model.clone()),
        ("cores", grouped(environment.cores.into())),
        (
            "cgroup quota",
            environment
                .cgroup_cpus
                .map_or_else(|| "unlimited".to_owned(), |cpus| format!("{cpus} CPUs")),
        ),
        (
            "cgroup memory",
            environment.cgroup_memory_bytes.map_or_else(
                || "unlimited".to_owned(),
                |b| format!("{} MB", grouped(b / 1_000_000)),
            ),
        ),
        (
            "SMT",
            match environment.smt {
                Some(true) => "on".to_owned(),
                Some(false) => "off".to_owned(),
                None => unknown(),
            },
        ),
        (
            "mitigations",
            match environment.mitigations.len() {
                0 => "none known".to_owned(),
                _ => mitigations(&environment.mitigations),
            },
        ),
        ("memory", format!("{} MB", grouped(environment.memory_bytes / 1_000_000))),
        ("clock source", environment.clocksource.clone().unwrap_or_else(unknown)),
        ("frequency governor", environment.governor.clone().unwrap_or_else(unknown)),
        ("load average before", format!("{:.2}", environment.load_average)),
        ("servers", environment.servers.join(", ")),
    ];
    rows.into_iter().fold(String::new(), |mut out, (name, value)| {
        let _ = writeln!(out, "- {name}: {}", Medium::Markdown.escape(&value));
        out
    })
}

/// `retbleed: Mitigation: untrained return thunk; …`.
fn mitigations(all: &BTreeMap<String, String>) -> String {
    let lines: Vec<String> = all.iter().map(|(what, how)| format!("{what}: {how}")).collect();
    lines.join("; ")
}
