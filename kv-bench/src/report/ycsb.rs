//! What YCSB's `TextMeasurementsExporter` prints with `measurementtype=hdrhistogram`, of a result.

use std::fmt::Write as _;

use crate::result::{OperationResult, Percentiles, RunResult};

/// `[READ], Operations, 28839` and so on: times in whole microseconds, but the mean.
pub(super) fn text(result: &RunResult) -> String {
    let all = &result.headline;
    let mut out = format!(
        "[OVERALL], RunTime(ms), {:.0}\n[OVERALL], Throughput(ops/sec), {:?}\n",
        all.duration_s * 1e3,
        all.throughput_ops_s,
    );
    let operations = &result.operations;
    let kinds = [
        ("READ", &operations.get),
        ("UPDATE", &operations.put),
        ("INSERT", &operations.insert),
        ("READ-MODIFY-WRITE", &operations.read_modify_write),
        ("DELETE", &operations.delete),
    ];
    for (name, kind) in kinds.into_iter().filter_map(|(name, kind)| Some((name, kind.as_ref()?))) {
        let OperationResult { count, errors, service_us, response_us, .. } = kind;
        let successes = count.saturating_sub(*errors);
        push_times(&mut out, name, successes, service_us.as_ref());
        for (status, count) in [("OK", successes), ("ERROR", *errors)] {
            if count > 0 {
                let _ = writeln!(out, "[{name}], Return={status}, {count}");
            }
        }
        if response_us.is_some() {
            push_times(&mut out, &format!("Intended-{name}"), successes, response_us.as_ref());
        }
    }
    out
}

fn push_times(out: &mut String, name: &str, successes: u64, time: Option<&Percentiles>) {
    let _ = writeln!(out, "[{name}], Operations, {successes}");
    let Some(us) = time else { return };
    let _ = writeln!(out, "[{name}], AverageLatency(us), {:?}", us.mean);
    let whole = [
        ("MinLatency", us.min),
        ("MaxLatency", us.max),
        ("50thPercentileLatency", us.p50),
        ("95thPercentileLatency", us.p95),
        ("99thPercentileLatency", us.p99),
    ];
    for (what, us) in whole {
        let _ = writeln!(out, "[{name}], {what}(us), {:.0}", us.floor());
    }
}
