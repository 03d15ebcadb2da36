//! A result as a run leaves it, for the tests of everything that reads one.

use std::path::PathBuf;

use kv_bench::interval_log::IntervalLog;
use kv_bench::report;
use kv_bench::result::{Interval, RunResult};

/// A file of `tests/data`; its README says where each comes from.
pub(crate) fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

pub(crate) fn result() -> RunResult {
    report::json::load(&data("result-1.json")).expect("the sample is a result")
}

/// Eight seconds of an open loop over two servers, of which one was stopped for one.
#[allow(dead_code, reason = "not every test is of the run over time")]
pub(crate) fn open_loop() -> RunResult {
    report::json::load(&data("open-loop.json")).expect("the sample is a result")
}

/// The sample's distributions as if each had been recorded in the half second from 0.5 s.
#[allow(dead_code, reason = "tests of results alone have no intervals")]
pub(crate) fn intervals(result: &RunResult) -> IntervalLog {
    let interval = |(tag, text): (&String, &String)| Interval {
        tag: tag.clone(),
        start_s: 0.5,
        length_s: 0.5,
        max_ns: report::decode_histogram(text).expect("the sample's histograms are ours").max(),
        histogram: text.clone(),
    };
    result.histograms.iter().map(interval).collect()
}
