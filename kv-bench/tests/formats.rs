//! `kv-bench report`: a result rendered again, in our formats and in those of other load generators.
//! Theirs are compared with what those wrote themselves; `tests/data/README.md` says how.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;
mod sample;

use std::fs;
use std::path::Path;
use std::process::Command;

use kv_bench::report;
use kv_bench::result::RunResult;
use peer::{Redis, is_there};
use program::{kv_bench, stderr};
use serde_json::Value;
use tempfile::TempDir;

/// What `report` prints of a file of the test data.
fn rendered(name: &str, words: &[&str]) -> String {
    let output = kv_bench(&["report"]).arg(sample::data(name)).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn in_folder(result: &RunResult) -> TempDir {
    let dir = TempDir::new().unwrap();
    report::json::write(result, &dir.path().join("result.json")).unwrap();
    dir
}

/// That `ours` has each key that `theirs` has, with a value of the same type or, where it was not
/// measured, `null`.
fn assert_same_shape(ours: &Value, theirs: &Value, place: &str) {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => {
            for (key, theirs) in theirs {
                let place = format!("{place}/{key}");
                let ours = ours.get(key).unwrap_or_else(|| panic!("{place} is missing"));
                assert_same_shape(ours, theirs, &place);
            }
        }
        (Value::Null, _)
        | (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_)) => {}
        _ => panic!("{place}: {ours} for {theirs}"),
    }
}

#[test]
fn memtiers_json_has_what_readers_of_memtiers_look_for() {
    let theirs: Value =
        serde_json::from_str(&fs::read_to_string(sample::data("memtier.json")).unwrap()).unwrap();
    let ours: Value =
        serde_json::from_str(&rendered("open-loop.json", &["--format", "memtier"])).unwrap();
    for part in ["Runtime", "Sets", "Gets", "Totals"] {
        let place = format!("/ALL STATS/{part}");
        let (ours, mut theirs) =
            (ours.pointer(&place).unwrap(), theirs.pointer(&place).unwrap().clone());
        if part != "Totals" && part != "Runtime" {
            theirs["Time-Serie"] = serde_json::json!({});
        }
        assert_same_shape(ours, &theirs, &place);
    }
    // Of its settings those that mean something here, and no others.
    let settings = ours["configuration"].as_object().unwrap();
    for (key, value) in settings {
        let theirs = theirs["configuration"].get(key).unwrap_or_else(|| panic!("{key}"));
        assert!(theirs.is_null() || value.is_null() || theirs.is_string() == value.is_string());
    }
    assert_eq!(settings["ratio"], "10:90");
    assert_eq!(ours["run information"]["Format version"], 2);
    assert_eq!(ours["run information"]["Seconds"], 8);
}

#[test]
fn memtiers_json_counts_successes_in_milliseconds_with_histograms_in_microseconds() {
    let result = sample::open_loop();
    let ours: Value =
        serde_json::from_str(&rendered("open-loop.json", &["--format", "memtier"])).unwrap();
    let totals = &ours["ALL STATS"]["Totals"];
    let successes = result.headline.operations - result.headline.errors;
    assert_eq!(totals["Count"], successes);
    let service = result.headline.service_us.unwrap();
    let p99_ms = totals["Percentile Latencies"]["p99.00"].as_f64().unwrap();
    assert!((p99_ms * 1e3 - service.p99).abs() < 1.0, "{p99_ms}");
    let packed = totals["Percentile Latencies"]["Histogram log format"]["Compressed Histogram"]
        .as_str()
        .unwrap();
    let spread_us = report::decode_histogram(packed).unwrap();
    assert_eq!(spread_us.len(), successes);
    let tail_us = spread_us.value_at_quantile(0.99) as f64;
    assert!((tail_us / service.p99 - 1.0).abs() < 0.002, "{tail_us} {}", service.p99);
    let seconds = totals["Time-Serie"].as_object().unwrap();
    assert_eq!(seconds.len(), 8);
    let counted: u64 = seconds.values().map(|second| second["Count"].as_u64().unwrap()).sum();
    assert_eq!(counted, successes);
    assert!(seconds["6"]["p99.90"].as_f64().unwrap() > seconds["0"]["p99.90"].as_f64().unwrap());
}

#[test]
fn ycsbs_text_is_what_ycsb_prints_of_the_same_latencies() {
    let ours = rendered("open-loop.json", &["--format", "ycsb"]);
    let theirs = fs::read_to_string(sample::data("ycsb.txt")).unwrap();
    assert_eq!(ours.lines().count(), theirs.lines().count(), "{ours}");
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        let ((what, number), (expected, exact)) =
            (ours.rsplit_once(", ").unwrap(), theirs.rsplit_once(", ").unwrap());
        assert_eq!(what, expected);
        // Longs stay longs, for readers that ask for one; histograms of other units differ by a
        // bucket.
        assert_eq!(number.contains('.'), exact.contains('.'), "{ours}");
        let [number, exact]: [f64; 2] = [number, exact].map(|text| text.parse().unwrap());
        assert!((number / exact - 1.0).abs() < 0.01, "{ours}, and YCSB: {theirs}");
    }
}

#[test]
fn redis_benchmarks_csv_has_the_columns_and_decimals_of_redis_benchmark() {
    if !is_there("redis-benchmark") {
        return;
    }
    let Some(server) = Redis::start(&[]) else { return };
    let port = server.port.to_string();
    let words = ["-p", port.as_str(), "-t", "get,set", "-n", "1000", "--csv"];
    let output = Command::new("redis-benchmark").args(words).output().unwrap();
    let theirs = String::from_utf8(output.stdout).unwrap();
    let ours = rendered("open-loop.json", &["--format", "redis-benchmark"]);
    let mut rows = 0;
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        let cells = |line: &str| line.split(',').map(|cell| shape(cell.trim())).collect::<Vec<_>>();
        assert_eq!(cells(ours), cells(theirs), "{ours}\n{theirs}");
        rows += 1;
    }
    assert_eq!((rows, ours.lines().count()), (3, 3), "{ours}");
    let p99_ms = sample::open_loop().operations.get.unwrap().service_us.unwrap().p99 / 1e3;
    let get = ours.lines().find(|line| line.starts_with("\"GET\"")).unwrap();
    assert!(get.contains(&format!("\"{p99_ms:.3}\"")), "{ours}");
}

/// A text with every digit that leads a number left out: `"0.262"` is `".###"`.
fn shape(cell: &str) -> String {
    match cell.trim_matches('"').split_once('.') {
        Some((whole, decimals)) if whole.parse::<u64>().is_ok() => {
            format!("\".{}\"", "#".repeat(decimals.len()))
        }
        _ => cell.to_owned(),
    }
}

#[test]
fn an_hgrm_is_of_the_distribution_that_was_asked_for() {
    let one = rendered("result-1.json", &["--format", "hgrm", "--tag", "GET-service"]);
    assert_eq!(one, fs::read_to_string(sample::data("GET-service_us.hgrm")).unwrap());
    let all = rendered("open-loop.json", &["--format", "hgrm"]);
    let result = sample::open_loop();
    let successes = result.headline.operations - result.headline.errors;
    assert!(all.contains(&format!("Total count    = {successes:12}]")), "{all}");
    let max_us = result.headline.response_us.unwrap().max;
    assert!(all.contains(&format!("#[Max     = {max_us:12.3}")), "{all}");
}

#[test]
fn an_hlog_has_each_distribution_once_over_the_whole_run() {
    let log = rendered("open-loop.json", &["--format", "hlog"]);
    let result = sample::open_loop();
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("Tag=")).collect();
    assert_eq!(lines.len(), result.histograms.len());
    let head = format!("Tag=GET-response,0.000,{:.3},", result.headline.duration_s);
    let line = lines.iter().find(|line| line.starts_with(&head)).unwrap();
    assert!(line.ends_with(&result.histograms["GET-response"]));
}

#[test]
fn json_and_the_table_are_the_result_as_it_is() {
    let result = sample::open_loop();
    let json = rendered("open-loop.json", &["--format", "json"]);
    assert_eq!(serde_json::from_str::<RunResult>(&json).unwrap(), result);
    assert_eq!(rendered("open-loop.json", &[]), report::text::summary(&result));
}

#[test]
fn csv_of_a_run_without_a_curve_is_its_headline() {
    let csv = rendered("open-loop.json", &["--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let columns = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let [row] = &rows[..] else { panic!("{csv}") };
    let cell = |name: &str| &row[columns.iter().position(|column| column == name).unwrap()];
    assert_eq!(cell("operations"), "32030");
    assert_eq!((cell("servers"), cell("clients")), ("2", "64"));
    let curve = rendered("result-1.json", &["--format", "csv"]);
    assert_eq!(curve.lines().count(), sample::result().points.len() + 1);
}

#[test]
fn a_page_with_plots_is_made_beside_the_file_that_is_asked_for() {
    let (dir, other) = (in_folder(&sample::open_loop()), TempDir::new().unwrap());
    let page = other.path().join("page.md");
    let output = kv_bench(&["report", "--format", "markdown", "--plots", "--out"])
        .args([&page, dir.path()])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stdout.is_empty(), "{}", stderr(&output));
    let text = fs::read_to_string(&page).unwrap();
    for name in ["over-time.png", "percentiles.svg"] {
        assert!(other.path().join(name).is_file() && text.contains(name), "{name}: {text}");
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "the folder of the result is as it was");
}

#[test]
fn what_cannot_be_rendered_is_told_with_a_fix() {
    let dir = in_folder(&sample::open_loop());
    let folder = dir.path().to_str().unwrap().to_owned();
    let missing = dir.path().join("none").to_str().unwrap().to_owned();
    let nowhere = format!("{missing}/page.md");
    let cases: [(&[&str], i32, &str); 7] = [
        (&[], 2, "RESULT"),
        (&[&folder, "--format", "xml"], 2, "redis-benchmark"),
        (&[&folder, "--tag", "GET-service"], 2, "--format hgrm"),
        (&[&folder, "--format", "hgrm", "--tag", "SCAN"], 1, "GET-service"),
        (&[&missing], 1, "cannot read"),
        (&[&folder, "--out", &nowhere], 1, "cannot write"),
        (&["/dev/null"], 1, "not a result"),
    ];
    for (words, code, expected) in cases {
        let output = kv_bench(&["report"]).args(words).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

#[test]
fn a_result_without_distributions_renders_in_all_formats_that_need_none() {
    let mut result = sample::result();
    result.histograms.clear();
    let dir = in_folder(&result);
    for format in ["table", "markdown", "json", "csv", "memtier", "redis-benchmark", "ycsb", "hlog"]
    {
        let output = output_of(dir.path(), format);
        assert!(output.status.success(), "{format}: {}", stderr(&output));
    }
    let output = output_of(dir.path(), "hgrm");
    assert!(stderr(&output).contains("no distribution in full"), "{}", stderr(&output));
}

fn output_of(dir: &Path, format: &str) -> std::process::Output {
    kv_bench(&["report", "--format", format]).arg(dir).output().unwrap()
}
