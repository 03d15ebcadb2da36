//! What `redis-benchmark --csv` prints, of a result.

use crate::result::{OperationResult, RunResult};

const COLUMNS: [&str; 8] = [
    "test",
    "rps",
    "avg_latency_ms",
    "min_latency_ms",
    "p50_latency_ms",
    "p95_latency_ms",
    "p99_latency_ms",
    "max_latency_ms",
];

/// A row for each kind of operation that succeeded, every cell quoted as there.
///
/// # Errors
/// Never in practice: the writer is memory and every row has the same length.
pub(super) fn table(result: &RunResult) -> anyhow::Result<Vec<u8>> {
    let mut writer =
        ::csv::WriterBuilder::new().quote_style(::csv::QuoteStyle::Always).from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let operations = &result.operations;
    let tests = [("SET", &operations.put), ("GET", &operations.get), ("DEL", &operations.delete)];
    for (test, kind) in tests {
        let Some(OperationResult { count, errors, service_us: Some(us), .. }) = kind else {
            continue;
        };
        let rps = count.saturating_sub(*errors) as f64 / result.headline.duration_s;
        let times = [us.mean, us.min, us.p50, us.p95, us.p99, us.max];
        let times = times.map(|us| format!("{:.3}", us / 1e3));
        writer.write_record([test.to_owned(), format!("{rps:.2}")].into_iter().chain(times))?;
    }
    Ok(writer.into_inner()?)
}
