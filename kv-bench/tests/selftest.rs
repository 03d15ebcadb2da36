//! `kv-bench selftest` as its users meet it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

fn kv_bench(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-bench"));
    command.env("XDG_CACHE_HOME", cache);
    command
}

/// A short run's result.
fn result(cache: &Path) -> Value {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("result.json");
    let mut run = kv_bench(cache);
    run.current_dir(dir.path()).args([
        "run",
        "--servers",
        "1",
        "--requests",
        "100",
        "--keys",
        "10",
    ]);
    assert!(
        run.args(["--warmup", "0s", "--quiet", "--json"]).arg(&file).status().unwrap().success()
    );
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// What it finds out about the time depends on who else uses the machine; the rest does not.
#[test]
fn every_check_is_told_and_the_summary_stands_in_later_results() {
    let cache = TempDir::new().unwrap();
    assert_eq!(result(cache.path())["environment"]["selftest"], Value::Null);

    let output = kv_bench(cache.path()).arg("selftest").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["clock", "recording", "ceiling", "punctuality", "pace", "stall"] {
        assert!(text.lines().any(|line| line[8..].starts_with(name)), "{name}: {text}");
    }
    for name in ["arrivals", "keys"] {
        assert!(text.contains(&format!("passed  {name}")), "{text}");
    }
    let errors = String::from_utf8(output.stderr).unwrap();
    let failed = text.lines().filter(|line| line.starts_with("failed")).count();
    assert_eq!(output.status.code(), Some(i32::from(failed > 0)), "{text}{errors}");

    let kept = &result(cache.path())["environment"]["selftest"];
    assert_eq!(kept["failed"].as_array().unwrap().len(), failed);
    assert!(kept["ceiling_ops_s"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_summary_of_another_machine_is_none() {
    let cache = TempDir::new().unwrap();
    let folder = cache.path().join("kv-bench");
    fs::create_dir(&folder).unwrap();
    let of = |machine: &str| {
        format!(
            r#"{{"at":"","machine":"{machine}","failed":[],"clock_ns":1.0,"recording_ns":1.0,"cpu_us":1.0,"ceiling_ops_s":1.0,"lateness_p50_us":1.0,"lateness_p99_us":1.0}}"#
        )
    };
    for text in [of("another"), "no JSON".to_owned(), String::new()] {
        fs::write(folder.join("selftest.json"), text).unwrap();
        assert_eq!(result(cache.path())["environment"]["selftest"], Value::Null);
    }
}

#[test]
fn a_seed_that_is_none_is_refused_before_anything_is_done() {
    let cache = TempDir::new().unwrap();
    let output = kv_bench(cache.path()).args(["selftest", "--seed", "x"]).output().unwrap();
    assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()));
    assert!(!cache.path().join("kv-bench").exists());
}
