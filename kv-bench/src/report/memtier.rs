//! What `memtier_benchmark --json-out-file` writes, format version 2, of a result.
//!
//! Times are in milliseconds, histograms in microseconds. What was not measured is `null`, not
//! left out: readers look for the keys.

use hdrhistogram::Histogram;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{decode_all, encode_histogram};
use crate::percentiles::add;
use crate::plot::Histograms;
use crate::recorder::histogram;
use crate::result::{OperationResult, Percentiles, RunResult, ScenarioRecord, Series};

/// The document, with a newline at its end.
///
/// # Errors
/// When a histogram of the result cannot be read.
pub(super) fn text(result: &RunResult) -> anyhow::Result<String> {
    let histograms = decode_all(result)?;
    let scenario = &result.scenario;
    let length = match scenario.duration_s {
        Some(seconds) => ("Seconds", json!(whole(seconds))),
        None => ("Requests per client", json!(per_client(scenario))),
    };
    let mut information = Map::new();
    information.insert("Threads".into(), scenario.threads.into());
    information.insert("Connections per thread".into(), scenario.clients.into());
    information.insert(length.0.into(), length.1);
    information.insert("Format version".into(), 2.into());
    let document = json!({
        "configuration": configuration(result),
        "run information": information,
        "ALL STATS": statistics(result, &histograms),
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// What of its settings there is here; its other settings are left out.
fn configuration(result: &RunResult) -> Value {
    let scenario = &result.scenario;
    let address = result.servers.first().map_or("", |server| server.address.as_str());
    let tcp = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    let (host, port): (&str, u16) = tcp.unwrap_or(("", 0));
    let socket = tcp.is_none().then_some(address);
    let connections = f64::from(scenario.threads) * f64::from(scenario.clients);
    let rate = result.headline.rate_asked_ops_s.unwrap_or(0.0) / connections;
    json!({
        "server": host,
        "port": port,
        "unix socket": socket,
        "protocol": "redis",
        "run_count": result.repeats.len().max(1),
        "requests": scenario.requests.map_or(0, |_| per_client(scenario)),
        "rate_limit": whole(rate),
        "clients": scenario.clients,
        "threads": scenario.threads,
        "test_time": whole(scenario.duration_s.unwrap_or(0.0)),
        "ratio": ratio(&scenario.mix),
        "pipeline": scenario.pipeline,
        "data_size": scenario.value_size_bytes,
        "key_minimum": 0,
        "key_maximum": scenario.keys.saturating_sub(1),
    })
}

fn whole(number: f64) -> u64 {
    number.round() as u64
}

fn per_client(scenario: &ScenarioRecord) -> u64 {
    let clients = u64::from(scenario.threads) * u64::from(scenario.clients);
    scenario.requests.unwrap_or(0) / clients.max(1)
}

/// Puts to gets: `9:90`.
fn ratio(mix: &str) -> String {
    let share = |kind: &str| {
        let of = |part: &str| part.strip_prefix(kind)?.strip_prefix('=').map(str::to_owned);
        let alone = if mix == kind { "1" } else { "0" };
        mix.split(',').find_map(of).unwrap_or_else(|| alone.to_owned())
    };
    format!("{}:{}", share("put"), share("get"))
}

fn statistics(result: &RunResult, histograms: &Histograms) -> Value {
    let operations = &result.operations;
    let kinds = [
        ("Sets", "PUT", &operations.put),
        ("Gets", "GET", &operations.get),
        ("Dels", "DELETE", &operations.delete),
    ];
    let mut all = Map::new();
    all.insert("Runtime".into(), runtime(result));
    let mut sum = histogram();
    for (name, tag, kind) in kinds {
        let Some(kind) = kind else { continue };
        let spread = histograms.get(&format!("{tag}-service"));
        if let Some(spread) = spread {
            add(&mut sum, spread);
        }
        let OperationResult { count, errors, hits, misses, service_us, .. } = kind;
        let figures = Figures {
            successes: count.saturating_sub(*errors),
            // A delete's are no hits of a cache.
            hits: if tag == "GET" { (*hits, *misses) } else { (0, 0) },
            connection_errors: None,
            service_us: service_us.as_ref(),
            spread,
            series: None,
        };
        all.insert(name.into(), figures.told(result.headline.duration_s));
    }
    let headline = &result.headline;
    let totals = Figures {
        successes: headline.operations.saturating_sub(headline.errors),
        hits: (headline.hits, headline.misses),
        connection_errors: Some(result.errors.connection),
        service_us: headline.service_us.as_ref(),
        spread: (!sum.is_empty()).then_some(&sum),
        series: result.series.as_ref(),
    };
    all.insert("Totals".into(), totals.told(headline.duration_s));
    all.into()
}

fn runtime(result: &RunResult) -> Value {
    let start_ms = result.started_at.parse::<Timestamp>().map(Timestamp::as_millisecond).ok();
    let length_ms = (result.headline.duration_s * 1e3).round() as i64;
    json!({
        "Start time": start_ms,
        "Finish time": start_ms.and_then(|start_ms| start_ms.checked_add(length_ms)),
        "Total duration": length_ms,
        "Time unit": "MILLISECONDS",
        "Interrupted": if result.partial { "true" } else { "false" },
    })
}

/// One kind of operation, or all.
struct Figures<'a> {
    successes: u64,
    /// And misses.
    hits: (u64, u64),
    /// `None` where they are not known by kind.
    connection_errors: Option<u64>,
    service_us: Option<&'a Percentiles>,
    spread: Option<&'a Histogram<u64>>,
    series: Option<&'a Series>,
}

impl Figures<'_> {
    fn told(&self, duration_s: f64) -> Value {
        let per_second = |count: u64| hundredths(count as f64 / duration_s);
        let time = |of: fn(&Percentiles) -> f64| self.service_us.map(|us| ms(of(us)));
        let mut figures = json!({
            "Count": self.successes,
            "Ops/sec": per_second(self.successes),
            "Hits/sec": per_second(self.hits.0),
            "Misses/sec": per_second(self.hits.1),
            "Connection Errors/sec": self.connection_errors.map(per_second),
            "Connection Errors": self.connection_errors,
            "Latency": time(|us| us.mean),
            "Average Latency": time(|us| us.mean),
            "Accumulated Latency": self.service_us.map(|us| accumulated_ms(us, self.successes)),
            "Min Latency": time(|us| us.min),
            "Max Latency": time(|us| us.max),
            "Time-Serie": self.series.map_or_else(|| json!({}), time_serie),
            "Percentile Latencies": {
                "p50.00": time(|us| us.p50),
                "p99.00": time(|us| us.p99),
                "p99.90": time(|us| us.p99_9),
                "Histogram log format": {
                    "Compressed Histogram":
                        self.spread.map(|spread| encode_histogram(&in_microseconds(spread))),
                },
            },
        });
        for bytes in ["KB/sec", "KB/sec RX/TX", "KB/sec RX", "KB/sec TX"] {
            figures[bytes] = Value::Null;
        }
        figures
    }
}

/// By the second in which each interval begins; one without a success has no latencies, as there.
fn time_serie(series: &Series) -> Value {
    let intervals = series.intervals.iter().map(|interval| {
        let successes = interval.operations.saturating_sub(interval.errors);
        let mut second = json!({ "Bytes RX": null, "Bytes TX": null, "Count": successes });
        if let Some(us) = &interval.service_us {
            second["Average Latency"] = ms(us.mean).into();
            second["Accumulated Latency"] = accumulated_ms(us, successes).into();
            second["Min Latency"] = ms(us.min).into();
            second["Max Latency"] = ms(us.max).into();
            second["p50.00"] = ms(us.p50).into();
            second["p99.00"] = ms(us.p99).into();
            second["p99.90"] = ms(us.p99_9).into();
        }
        (whole(interval.start_s).to_string(), second)
    });
    Value::Object(intervals.collect())
}

/// Milliseconds with three decimals.
fn ms(us: f64) -> f64 {
    us.round() / 1e3
}

fn accumulated_ms(us: &Percentiles, successes: u64) -> u64 {
    whole(us.mean * successes as f64 / 1e3)
}

fn hundredths(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

/// The same latencies in microseconds.
fn in_microseconds(nanoseconds: &Histogram<u64>) -> Histogram<u64> {
    let mut microseconds = histogram();
    for bucket in nanoseconds.iter_recorded() {
        let us = bucket.value_iterated_to() / 1_000;
        microseconds.saturating_record_n(us, bucket.count_at_value());
    }
    microseconds
}
