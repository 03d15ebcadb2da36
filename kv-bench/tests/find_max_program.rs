//! The search for the highest rate by the program: what it refuses, leaves and ends with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;

use std::fs;

use kv_bench::report;
use kv_bench::result::{FindMax, ProbeOutcome, RunResult};
use program::{kv_bench, stderr, wait_for};
use tempfile::TempDir;

#[test]
fn searches_that_make_no_sense_are_refused_in_one_line() {
    let slo = ["--slo", "p99=1ms"];
    let cases: &[(&[&str], &str)] = &[
        (&[], "--slo"),
        (&["--slo", "fast"], "--slo fast: 'fast' is no objective (such as --slo p99=1ms"),
        (&["--slo", "p99=soon"], "'soon' is not a duration"),
        (&["--slo", "p100=1ms"], "'p100' is not between p0.0001 and p99.9999"),
        (&["--slo", "p0=1ms"], "'p0' is not between"),
        (&["--slo", "p101=1ms"], "'p101' is not between p0.0001 and p99.9999"),
        (&["--slo", "p99=1"], "'p99=1' has no unit: write p99=1ms, or us or s"),
        (&["--slo", "p99=0"], "'0' is not between 1us and 60s"),
        (&["--slo", "p99=-1ms"], "'-1ms' is not a duration"),
        (&["--slo", "p99=1ms,"], "'' is no objective"),
        (&["--slo", "p99=0s"], "'0s' is not between 1us and 60s"),
        (&["--slo", "p99=1ms", "--slo", "P99=1ms"], "'p99=1ms' and 'P99=1ms' are the same twice"),
        (&["--slo", "errors=1%,errors=2%"], "are the same twice"),
        (&["--slo", "errors=0"], "'0' is no share of operations"),
        (&["--slo", "p99=2m"], "'2m' is not between 1us and 60s"),
        (&["--slo", "errors=200%"], "'200%' is no share of operations"),
        (&["--slo", "throughput=1k"], "'throughput' is neither a percentile"),
        (&["--slo", "p99=1ms,p99=2ms"], "'p99=1ms' and 'p99=2ms' are the same twice"),
        (&[slo[0], slo[1], "--time", "5s"], "--time 5s: must be at least 10s"),
        (&[slo[0], slo[1], "--time", "48h"], "must be at most 24h"),
        (
            &[slo[0], slo[1], "--rate", "10k"],
            "a search is between two rates (such as --rate 1k..50k)",
        ),
        (&[slo[0], slo[1], "--rate", "0..10k"], "a search is between two rates"),
        (&[slo[0], slo[1], "--rate", "fast"], "no number of ops/s"),
        (&[slo[0], slo[1], "--duration", "5s"], "it takes --time, and --rate LOW..HIGH"),
        (&[slo[0], slo[1], "--requests", "5"], "--requests 5: a search decides by itself"),
        (&[slo[0], slo[1], "--repeat", "5"], "--repeat 5: a search decides by itself"),
        (&[slo[0], slo[1], "--think-time", "5ms"], "a search decides by itself"),
        (&[slo[0], slo[1], "--mix", "delete"], "deletes alone use up their keys"),
        (&[slo[0], slo[1], "--arrivals", "bursts"], "unknown arrivals"),
    ];
    for (words, expected) in cases {
        let output = kv_bench(&["find-max"]).args(*words).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{words:?}: {message}");
    }
}

fn result_in(dir: &TempDir) -> RunResult {
    report::json::load(&dir.path().join("results/result.json")).unwrap()
}

fn search_in(dir: &TempDir, words: &[&str]) -> std::process::Command {
    let mut command = kv_bench(&["find-max", "--keys", "100", "--warmup", "50ms"]);
    command.args(words).arg("--out").arg(dir.path().join("results")).env("TMPDIR", dir.path());
    command
}

/// Between rates that any machine answers within a second, and one that none sends.
#[test]
fn a_search_leaves_its_probes_and_what_it_found() {
    let dir = TempDir::new().unwrap();
    let words = ["--slo", "p50=1s", "--slo", "errors=50%", "--rate", "50..90m", "--time", "10s"];
    let output = search_in(&dir, &words).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = result_in(&dir);
    let command = &result.scenario.command;
    assert!(
        command.starts_with("kv-bench find-max --keys 100 --warmup 50ms --slo p50=1s"),
        "{command}"
    );
    let found: FindMax = result.find_max.clone().unwrap();
    assert_eq!(found.objectives, ["p50=1s", "errors=50%"]);
    assert!(shown.contains("the highest rate that keeps p50=1s and errors=50%, in 10 s of probes"));
    assert!(shown.contains("in a closed loop, "), "{shown}");
    assert!(shown.contains("probe 1: "), "{shown}");
    assert_eq!(found.probes.len(), result.points.len());
    assert!(!found.probes.is_empty());
    for (probe, point) in found.probes.iter().zip(&result.points) {
        assert_eq!(Some(probe.rate_asked_ops_s), point.rate_asked_ops_s);
        assert_eq!(probe.beyond_shares.len(), 2);
    }
    let kept = found.probes.iter().filter(|probe| probe.outcome == ProbeOutcome::Kept);
    let highest = kept.map(|probe| probe.rate_asked_ops_s).max_by(f64::total_cmp);
    assert!(highest.is_some(), "so loose an objective is kept at some rate: {shown}");
    // What was probed again may have been missed then.
    assert!(found.kept_ops_s <= highest, "{:?} {highest:?}", found.kept_ops_s);
    let headline = result.headline.rate_asked_ops_s.unwrap();
    assert!(found.probes.iter().any(|probe| probe.outcome == ProbeOutcome::Kept
        && (probe.rate_asked_ops_s - headline).abs() < 1e-6));
    let table = fs::read_to_string(dir.path().join("results/points.csv")).unwrap();
    assert_eq!(table.lines().count(), result.points.len() + 1);
    let page = fs::read_to_string(dir.path().join("results/report.md")).unwrap();
    assert!(page.contains("## Search"), "{page}");
}

#[test]
fn an_objective_that_is_missed_at_the_lowest_rate_is_exit_code_3() {
    let dir = TempDir::new().unwrap();
    // No server answers within a microsecond.
    let words = ["--slo", "p50=1us", "--rate", "1k..2k", "--time", "10s"];
    let output = search_in(&dir, &words).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{shown}{}", stderr(&output));
    assert!(shown.contains("no rate was found that keeps p50=1us: 1,000 ops/s"), "{shown}");
    let found = result_in(&dir).find_max.unwrap();
    assert_eq!((found.kept_ops_s, found.rate_ops_s), (None, None));
    assert_eq!(found.missed_ops_s, Some(1000.0));
}

#[test]
fn a_search_that_is_interrupted_keeps_what_it_found() {
    let dir = TempDir::new().unwrap();
    let words = ["--slo", "p50=20ms", "--rate", "50..90m", "--time", "30s"];
    let mut run = search_in(&dir, &words).spawn().unwrap();
    let path = dir.path().join("results/result.json");
    let has_probe = || report::json::load(&path).ok().filter(|result| !result.points.is_empty());
    let before = wait_for(has_probe);
    assert!(before.partial, "there is more to come");
    let pid = run.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let result = result_in(&dir);
    let found = result.find_max.unwrap();
    assert!(result.partial && !found.probes.is_empty());
    assert!(result.headline.operations > 0);
    let page = fs::read_to_string(dir.path().join("results/report.md")).unwrap();
    assert!(page.contains("the search was cut short"), "{page}");
}
