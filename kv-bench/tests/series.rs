//! The headline over time: each second in its own figures, and all of them together the headline.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;
mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::time::Duration;

use kv_bench::driver::{Measured, Until};
use kv_bench::recorder::Time;
use kv_bench::report;
use kv_bench::schedule::Process;
use run::{Run, assert_accounted};
use scripted::{Answer, Server};
use tempfile::TempDir;

/// Whatever happened is in one interval, and the intervals follow each other without a gap.
fn assert_whole(measured: &Measured) {
    let intervals = &measured.series.intervals;
    assert!(intervals[0].start_s.abs() < 1e-9);
    for pair in intervals.windows(2) {
        assert!((pair[0].length_s - measured.series.interval_s).abs() < 1e-9);
        assert!((pair[0].start_s + pair[0].length_s - pair[1].start_s).abs() < 1e-9);
    }
    let sum = |of: fn(&kv_bench::result::SeriesInterval) -> u64| -> u64 {
        intervals.iter().map(of).sum()
    };
    assert_eq!(sum(|interval| interval.operations), measured.counts.attempted());
    assert_eq!(sum(|interval| interval.errors), measured.counts.failed());
    let mut errors = kv_bench::result::ErrorCounts::default();
    intervals.iter().flat_map(|interval| &interval.errors_by_kind).for_each(|e| errors.add(e));
    assert_eq!(errors, measured.counts.errors);
    for (node, &operations) in measured.counts.nodes.iter().enumerate() {
        let sent: u64 = intervals.iter().map(|i| i.server_operations[node]).sum();
        assert_eq!(sent, operations, "node {node}");
    }
    let longest = intervals.iter().filter_map(|i| Some(i.service_us?.max)).fold(0.0, f64::max);
    let service = measured.latencies.successes(Time::Service);
    assert!((longest - service.max() as f64 / 1e3).abs() < 1e-6);
}

#[test]
fn the_seconds_of_a_run_add_up_to_all_of_it() {
    let fail = |number: usize, _: &[String]| match number % 100 {
        7 => Answer::Raw(b"-OOM command not allowed\r\n"),
        9 => Answer::Raw(b"-ERR no\r\n"),
        _ => Answer::Normal,
    };
    let servers = [Server::start(fail), Server::start(|_, _| Answer::Normal)];
    let run = Run::against(&[&servers[0], &servers[1]]).shape(2, 4, 2).mix("get=1,put=1");
    let measured = run.run(Until::Elapsed(Duration::from_millis(2_200)));
    assert_accounted(&measured, measured.counts.attempted());
    assert_whole(&measured);
    // The last fifth of a second is no interval of its own.
    let intervals = &measured.series.intervals;
    assert_eq!(intervals.len(), 2, "{intervals:?}");
    assert!(intervals[1].length_s > 1.1, "{intervals:?}");
    assert!(intervals.iter().all(|interval| interval.errors_by_kind.is_some()));
    assert!(intervals.iter().all(|interval| interval.response_us.is_none()));
}

#[test]
fn a_second_without_a_reply_has_no_percentiles_and_no_throughput() {
    let server = Server::start(|number, _| match number {
        50 => Answer::Late(Duration::from_millis(3_200)),
        _ => Answer::Normal,
    });
    let until = Until::Elapsed(Duration::from_secs(4));
    let run = Run::against(&[&server]).at_rate("100", Process::Constant, until);
    let measured = run.run(until);
    assert_whole(&measured);
    let intervals = &measured.series.intervals;
    let silent = &intervals[2];
    assert_eq!((silent.operations, silent.throughput_ops_s), (0, 0.0), "{intervals:?}");
    assert!(silent.service_us.is_none() && silent.response_us.is_none());
    let first = intervals[0].response_us.unwrap();
    let after = intervals[3].response_us.unwrap();
    assert!(after.max > 3e6 && first.max < 3e6, "{intervals:?}");
}

#[test]
fn a_short_run_is_one_interval() {
    let server = Server::start(|_, _| Answer::Normal);
    let measured = Run::against(&[&server]).operations(10);
    assert_whole(&measured);
    let [interval] = &measured.series.intervals[..] else { panic!("{:?}", measured.series) };
    assert!(interval.length_s < 1.0 && interval.throughput_ops_s > 10.0);
}

#[test]
fn the_result_of_a_run_holds_its_seconds_and_the_report_draws_them() {
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("out");
    let words = ["run", "--servers", "2", "--duration", "2s", "--quiet", "--plots", "--out"];
    let output = program::kv_bench(&words).arg(&out).output().unwrap();
    assert!(output.status.success(), "{}", program::stderr(&output));
    let result = report::json::load(&out.join("result.json")).unwrap();
    let series = result.series.unwrap();
    assert!((series.interval_s - 1.0).abs() < 1e-9);
    let operations: u64 = series.intervals.iter().map(|interval| interval.operations).sum();
    assert_eq!(operations, result.headline.operations);
    for (node, server) in result.servers.iter().enumerate() {
        let sent: u64 = series.intervals.iter().map(|i| i.server_operations[node]).sum();
        assert_eq!(sent, server.operations);
    }
    assert!(out.join("over-time.png").is_file() && out.join("over-time.svg").is_file());
    let page = std::fs::read_to_string(out.join("report.md")).unwrap();
    assert!(page.contains("(over-time.png)"), "{page}");
}
