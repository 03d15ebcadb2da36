//! The published JSON Schema of results.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod sample;

use std::env;
use std::fs;
use std::path::PathBuf;

use kv_bench::interval_log::IntervalLog;
use kv_bench::report;
use serde_json::{Value, json};

fn published() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("schema/result-1.schema.json")
}

fn written_result() -> Value {
    let dir = tempfile::TempDir::new().unwrap();
    report::write_all(&sample::result(), &IntervalLog::default(), dir.path(), false).unwrap();
    let text = fs::read_to_string(dir.path().join("result.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_published_schema_is_the_one_of_the_code() {
    let current = format!("{:#}\n", report::json::schema());
    if env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(published(), &current).unwrap();
    }
    assert!(
        fs::read_to_string(published()).unwrap_or_default() == current,
        "kv-bench/schema/result-1.schema.json is stale; look at what changed in result.rs, then \
         run: UPDATE_SCHEMA=1 cargo test -p kv-bench --test schema"
    );
}

#[test]
fn a_written_result_is_valid() {
    let validator = jsonschema::validator_for(&report::json::schema()).unwrap();
    let result = written_result();
    let errors: Vec<String> =
        validator.iter_errors(&result).map(|error| error.to_string()).collect();
    assert_eq!(errors, [""; 0]);
}

#[test]
fn what_breaks_the_contract_is_not_valid() {
    let validator = jsonschema::validator_for(&report::json::schema()).unwrap();
    for (pointer, nonsense) in [
        ("/schema", json!("kv-bench/result/2")),
        ("/headline/operations", json!(-1)),
        ("/headline/throughput_ops_s", Value::Null),
        ("/headline/service_us/p99", json!("fast")),
        ("/trust/verdict", json!("maybe")),
        ("/points", Value::Null),
    ] {
        let mut result = written_result();
        *result.pointer_mut(pointer).unwrap() = nonsense;
        assert!(!validator.is_valid(&result), "{pointer}");
    }
}
