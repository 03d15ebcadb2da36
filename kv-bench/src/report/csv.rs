//! `points.csv`: one row per point of the curve.

use crate::result::{Percentiles, Point, RunResult};

/// The columns, in this order for good; new ones are added at the end.
const COLUMNS: [&str; 37] = [
    "servers",
    "threads",
    "clients",
    "pipeline",
    "operations",
    "errors",
    "hits",
    "misses",
    "duration_s",
    "rate_asked_ops_s",
    "throughput_ops_s",
    "service_mean_us",
    "service_min_us",
    "service_p50_us",
    "service_p90_us",
    "service_p95_us",
    "service_p99_us",
    "service_p99_9_us",
    "service_p99_99_us",
    "service_max_us",
    "response_mean_us",
    "response_min_us",
    "response_p50_us",
    "response_p90_us",
    "response_p95_us",
    "response_p99_us",
    "response_p99_9_us",
    "response_p99_99_us",
    "response_max_us",
    "verdict",
    "limited_by",
    "lateness_p50_us",
    "lateness_p99_us",
    "lateness_max_us",
    "repeat",
    "saturated",
    "broken_off",
];

/// The points of `result`; of one without a curve, its headline as if it were a point.
///
/// # Errors
/// As [`table`].
pub(super) fn of(result: &RunResult) -> anyhow::Result<Vec<u8>> {
    if !result.points.is_empty() {
        return table(&result.points);
    }
    let (headline, scenario) = (&result.headline, &result.scenario);
    table(&[Point {
        servers: result.servers.len() as u32,
        threads: scenario.threads,
        clients: scenario.threads.saturating_mul(scenario.clients),
        pipeline: scenario.pipeline,
        operations: headline.operations,
        errors: headline.errors,
        hits: headline.hits,
        misses: headline.misses,
        duration_s: headline.duration_s,
        rate_asked_ops_s: headline.rate_asked_ops_s,
        throughput_ops_s: headline.throughput_ops_s,
        achieved_ops_s: None,
        service_us: headline.service_us,
        response_us: headline.response_us,
        lateness_us: headline.lateness_us,
        repeat: None,
        saturated: None,
        broken_off: false,
        trust: result.trust.clone(),
    }])
}

/// The table with its header; what was not measured is an empty cell.
///
/// # Errors
/// Never in practice: the writer is memory and every row has the same length.
pub(super) fn table(points: &[Point]) -> anyhow::Result<Vec<u8>> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    for point in points {
        writer.write_record(row(point))?;
    }
    Ok(writer.into_inner()?)
}

fn row(point: &Point) -> Vec<String> {
    let mut cells: Vec<String> = [
        u64::from(point.servers),
        u64::from(point.threads),
        u64::from(point.clients),
        u64::from(point.pipeline),
        point.operations,
        point.errors,
        point.hits,
        point.misses,
    ]
    .iter()
    .map(u64::to_string)
    .collect();
    cells.push(cell(Some(point.duration_s)));
    cells.push(cell(point.rate_asked_ops_s));
    cells.push(cell(Some(point.throughput_ops_s)));
    cells.extend(distribution(point.service_us.as_ref()));
    cells.extend(distribution(point.response_us.as_ref()));
    cells.push(point.trust.verdict.to_string());
    cells.push(point.trust.limited_by.to_string());
    let lateness = point.lateness_us;
    cells.extend(
        [lateness.map(|l| l.p50), lateness.map(|l| l.p99), lateness.map(|l| l.max)].map(cell),
    );
    cells.push(point.repeat.map_or_else(String::new, |repeat| repeat.to_string()));
    cells.push(point.saturated.map_or_else(String::new, |saturated| saturated.to_string()));
    cells.push(point.broken_off.to_string());
    cells
}

fn distribution(percentiles: Option<&Percentiles>) -> [String; 9] {
    let Some(p) = percentiles else { return Default::default() };
    [p.mean, p.min, p.p50, p.p90, p.p95, p.p99, p.p99_9, p.p99_99, p.max].map(|us| cell(Some(us)))
}

fn cell(value: Option<f64>) -> String {
    value.filter(|number| number.is_finite()).map_or_else(String::new, |number| number.to_string())
}
