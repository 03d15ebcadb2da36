//! Our interval log, read by the readers that others use: HdrHistogram's Java (Debian's
//! `libhdrhistogram-java`) and PyPI's `hdrhistogram`.
//!
//! Without a peer its test says so and passes; with `KV_REQUIRE_PEERS=1` it fails. The interpreter
//! with PyPI's package can be named by `KV_PYTHON`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod sample;

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use hdrhistogram::Histogram;
use kv_bench::percentiles::QUANTILES;
use kv_bench::report;
use kv_bench::result::{Percentiles, RunResult};
use peer::skip;
use tempfile::TempDir;

const JAR: &str = "/usr/share/java/hdrhistogram.jar";

/// What a reader found in one interval.
#[derive(Debug)]
struct Found {
    start_ms: f64,
    length_ms: f64,
    count: u64,
    /// p50 … p99.99 as in [`QUANTILES`], then the maximum.
    values_ns: Vec<f64>,
}

fn peer(script: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script)
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn java() -> Option<Command> {
    let runs = Command::new("javac").arg("-version").output().is_ok_and(|o| o.status.success());
    (runs && Path::new(JAR).exists()).then(|| {
        let mut command = Command::new("java");
        command.args(["-cp", JAR]).arg(peer("ReadLog.java"));
        command
    })
}

fn python() -> Option<Command> {
    let interpreter = env::var_os("KV_PYTHON").unwrap_or_else(|| "python3".into());
    let imports = Command::new(&interpreter).args(["-c", "import hdrh"]).output();
    imports.is_ok_and(|output| output.status.success()).then(|| {
        let mut command = Command::new(&interpreter);
        command.arg(peer("read_log.py"));
        command
    })
}

fn parse(output: &str) -> BTreeMap<String, Found> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let tag = words.next().unwrap().to_owned();
        let numbers: Vec<f64> = words.map(|word| word.parse().unwrap()).collect();
        let (head, values_ns) = numbers.split_at(3);
        let found = Found {
            start_ms: head[0],
            length_ms: head[1],
            count: head[2] as u64,
            values_ns: values_ns.to_vec(),
        };
        (tag, found)
    };
    output.lines().map(line).collect()
}

fn agrees(result: &RunResult, found: &BTreeMap<String, Found>) {
    let started_ms = result.started_at.parse::<jiff::Timestamp>().unwrap().as_millisecond() as f64;
    assert_eq!(found.len(), result.histograms.len());
    for (tag, text) in &result.histograms {
        let histogram: Histogram<u64> = report::decode_histogram(text).unwrap();
        let ours = Percentiles::from_histogram(&histogram).unwrap();
        let found = &found[tag];
        assert_eq!(found.count, histogram.len());
        assert!((found.start_ms - started_ms - 500.0).abs() < 1.0, "{tag}: {found:?}");
        assert!((found.length_ms - 500.0).abs() < 1.0, "{tag}: {found:?}");
        let mut pairs: Vec<(&str, f64, f64)> = QUANTILES
            .into_iter()
            .zip(&found.values_ns)
            // Readers round the rank of a percentile differently. By one sample, which shows only
            // where few lie beyond.
            .filter(|(quantile, _)| quantile.is_supported_by(histogram.len()))
            .map(|(quantile, theirs)| (quantile.name, ours.at(quantile), theirs / 1_000.0))
            .collect();
        pairs.push(("max", ours.max, found.values_ns[QUANTILES.len()] / 1_000.0));
        assert!(pairs.len() >= 3, "{tag}: {pairs:?}");
        for (name, ours, theirs) in pairs {
            assert!((ours / theirs - 1.0).abs() <= 0.003, "{tag} {name}: {ours} for {theirs}");
        }
    }
}

fn log_of(result: &RunResult) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    report::write_all(result, &sample::intervals(result), dir.path(), false).unwrap();
    let path = dir.path().join("latency.hlog");
    (dir, path)
}

#[test]
fn java_reads_the_same_percentiles_from_the_interval_log() {
    let Some(mut java) = java() else { return skip("no java with libhdrhistogram-java") };
    let result = sample::result();
    let (_dir, log) = log_of(&result);
    agrees(&result, &parse(&run(java.arg(log))));
}

#[test]
fn java_prints_the_same_distribution_as_our_hgrm() {
    let Some(mut java) = java() else { return skip("no java with libhdrhistogram-java") };
    let mut result = sample::result();
    // Zero, a huge bucket and a lonely maximum: where steps of the distribution are skipped.
    let mut ugly = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    ugly.record(0).unwrap();
    ugly.record(5_000).unwrap();
    ugly.record_n(9_999, 1_000_000).unwrap();
    ugly.record(30_000_000_000).unwrap();
    result.histograms.insert("UGLY-service".into(), report::encode_histogram(&ugly));
    let (dir, log) = log_of(&result);
    let theirs = run(java.arg(log).arg("UGLY-service"));
    let ours = std::fs::read_to_string(dir.path().join("UGLY-service_us.hgrm")).unwrap();
    assert_eq!(ours, theirs);
}

#[test]
fn python_reads_the_same_percentiles_from_the_interval_log() {
    let Some(mut python) = python() else { return skip("no python3 with PyPI's hdrhistogram") };
    let result = sample::result();
    let (_dir, log) = log_of(&result);
    agrees(&result, &parse(&run(python.arg(log))));
}
