//! Plots: that they say what they must, and that no data breaks them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod sample;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use kv_bench::interval_log::IntervalLog;
use kv_bench::plot::{self, Figure, Histograms};
use kv_bench::report;
use kv_bench::result::{Percentiles, Point, RunResult, Series, SeriesInterval, Verdict};
use proptest::prelude::*;

fn histograms(result: &RunResult) -> Histograms {
    let decode = |(tag, text): (&String, &String)| {
        (tag.clone(), report::decode_histogram(text).expect("the sample's histograms are ours"))
    };
    result.histograms.iter().map(decode).collect()
}

fn figures(result: &RunResult) -> BTreeMap<&'static str, Figure> {
    plot::figures(result, &histograms(result)).into_iter().collect()
}

fn svg(result: &RunResult, name: &str) -> String {
    figures(result)[name].svg().unwrap()
}

/// The text elements of an SVG.
fn texts(svg: &str) -> Vec<String> {
    svg.split("<text ")
        .skip(1)
        .filter_map(|element| Some(element.split_once('>')?.1.split_once("</text>")?.0))
        .map(|text| text.trim().to_owned())
        .collect()
}

#[test]
fn the_curve_names_each_number_of_servers_and_both_ends() {
    let result = sample::result();
    let texts = texts(&svg(&result, "latency-vs-throughput"));
    let last = result.points.iter().map(|point| point.clients).max().unwrap();
    let mut expected: Vec<String> =
        vec!["1 server".into(), "1 client".into(), format!("{last} clients")];
    expected.extend(
        result
            .points
            .iter()
            .map(|p| p.servers)
            .filter(|&servers| servers > 1)
            .map(|servers| format!("{servers} servers")),
    );
    expected.push("p99 service time".into());
    expected.push("p50 service time".into());
    for label in expected {
        assert!(texts.contains(&label), "{label}: {texts:?}");
    }
    assert!(texts.iter().any(|text| text.ends_with(" µs")), "{texts:?}");
    assert!(texts[0].starts_with("Up to "), "the title is a claim: {texts:?}");
}

#[test]
fn untrusted_points_are_explained_only_where_there_are_any() {
    let mut result = sample::result();
    for (verdict, expected) in [(Verdict::Untrusted, true), (Verdict::Trusted, false)] {
        for point in &mut result.points {
            point.trust.verdict = verdict;
        }
        let texts = texts(&svg(&result, "latency-vs-throughput"));
        assert_eq!(texts.contains(&"not trusted".to_owned()), expected);
        assert_eq!(texts[0].ends_with("(untrusted)"), expected);
    }
}

#[test]
fn the_spectrum_ends_where_ten_samples_are_left() {
    let result = sample::result();
    let texts = texts(&svg(&result, "percentiles"));
    for label in ["GET", "PUT", "DELETE", "50 %", "90 %", "99 %", "99.9 %"] {
        assert!(texts.iter().any(|text| text == label), "{label}: {texts:?}");
    }
    assert!(!texts.iter().any(|text| text == "99.99 %"), "too few operations: {texts:?}");
}

#[test]
fn a_png_is_large_and_has_ink_in_plot_and_labels() {
    let result = sample::result();
    let dir = tempfile::TempDir::new().unwrap();
    for (name, figure) in figures(&result) {
        let path = dir.path().join(format!("{name}.png"));
        figure.png(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(&bytes[1..4], b"PNG");
        let size = |at: usize| {
            u32::from_le_bytes([bytes[at + 3], bytes[at + 2], bytes[at + 1], bytes[at]])
        };
        assert!(size(16) >= 1_600 && size(20) >= 1_000, "{name}: {} × {}", size(16), size(20));
        assert!(bytes.len() > 30_000, "{name} is nearly empty: {} bytes", bytes.len());
    }
}

#[test]
fn the_course_of_a_run_shows_throughput_tail_and_where_operations_failed() {
    let mut result = sample::open_loop();
    let drawn = texts(&svg(&result, "over-time"));
    assert!(drawn[0].ends_with("errors in 2 of 8 intervals"), "{drawn:?}");
    for label in ["Response time in each second", "errors", "p50", "p99", "max", "6", "4 k"] {
        assert!(drawn.iter().any(|text| text == label), "{label}: {drawn:?}");
    }
    let series = result.series.as_mut().unwrap();
    series.interval_s = 4.0;
    // A second without a reply is a gap in the latencies, and what stands alone is still drawn.
    for interval in &mut series.intervals {
        interval.errors = 0;
        interval.response_us = interval.response_us.filter(|_| interval.start_s % 2.0 == 0.0);
    }
    let drawn = texts(&svg(&result, "over-time"));
    assert!(!drawn.contains(&"errors".to_owned()) && !drawn[0].contains("errors"), "{drawn:?}");
    assert!(drawn.contains(&"Response time in each 4 s".to_owned()), "{drawn:?}");
    result.series.as_mut().unwrap().intervals.truncate(1);
    assert!(!figures(&result).contains_key("over-time"));
}

#[test]
fn a_result_without_points_or_histograms_has_no_figures() {
    let mut result = sample::result();
    result.points.clear();
    result.histograms.clear();
    assert!(figures(&result).is_empty());
}

#[test]
fn an_open_loop_is_drawn_by_response_time() {
    let mut result = sample::result();
    for point in &mut result.points {
        point.response_us = point.service_us.map(|service| Percentiles { p99: 1e6, ..service });
    }
    let service = result.histograms["GET-service"].clone();
    result.histograms.insert("GET-response".into(), service);
    assert!(svg(&result, "latency-vs-throughput").contains("p99 response time"));
    let spectrum = svg(&result, "percentiles");
    assert!(spectrum.contains("GET response") && spectrum.contains("GET service"));
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => 1.0..1e6,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![0.0, -1.0, f64::NAN, f64::INFINITY, 1e-300, 1e300]),
    ]
}

fn any_point() -> impl Strategy<Value = Point> {
    let clients = prop_oneof![1..64u32, any::<u32>()];
    (1..9u32, clients, any_float(), prop::option::of((any_float(), any_float())), any::<bool>())
        .prop_map(|(servers, clients, throughput_ops_s, latency, trusted)| {
            let mut point = sample::result().points.swap_remove(0);
            point.servers = servers;
            point.clients = clients;
            point.throughput_ops_s = throughput_ops_s;
            point.service_us = latency.map(|(p50, p99)| Percentiles {
                p50,
                p99,
                ..point.service_us.expect("the sample's points are measured")
            });
            if !trusted {
                point.trust.verdict = Verdict::Untrusted;
            }
            point
        })
}

fn any_interval() -> impl Strategy<Value = SeriesInterval> {
    let time = prop::option::of((any_float(), any_float()));
    (any_float(), any_float(), any_float(), any::<u64>(), time).prop_map(
        |(start_s, length_s, throughput_ops_s, errors, time)| {
            let mut interval = sample::open_loop().series.unwrap().intervals.swap_remove(0);
            let service = interval.service_us.expect("the sample's seconds are measured");
            interval.service_us = time.map(|(p50, max)| Percentiles { p50, max, ..service });
            let response_us = interval.service_us;
            SeriesInterval { start_s, length_s, throughput_ops_s, errors, response_us, ..interval }
        },
    )
}

fn any_histogram() -> impl Strategy<Value = String> {
    let values = prop::collection::vec((0..60_000_000_000_u64, 1..1_000_000_u64), 0..20);
    values.prop_map(|values| {
        let mut histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap();
        for (value, count) in values {
            histogram.saturating_record_n(value, count);
        }
        report::encode_histogram(&histogram)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn no_data_breaks_a_renderer(
        points in prop::collection::vec(any_point(), 0..12),
        intervals in prop::collection::vec(any_interval(), 0..6),
        histograms in prop::collection::btree_map("[A-Z]{0,6}-(service|response)", any_histogram(), 0..4),
        numbers in prop::collection::vec(any_float(), 4),
        words in prop::collection::vec(".{0,200}", 4),
        counts in prop::collection::vec(any::<u64>(), 4),
    ) {
        let mut result = sample::result();
        result.points = points;
        result.series = Some(Series { interval_s: numbers[3], intervals });
        result.histograms = histograms;
        result.headline.throughput_ops_s = numbers[0];
        result.headline.duration_s = numbers[1];
        result.headline.rate_asked_ops_s = Some(numbers[2]);
        result.environment.load_average = numbers[3];
        [result.name, result.started_at, result.environment.cpu_model, result.scenario.mix] =
            words.try_into().unwrap();
        result.headline.operations = counts[0];
        result.headline.errors = counts[1];
        result.environment.memory_bytes = counts[2];
        result.scenario.keys = counts[3];
        for figure in figures(&result).values() {
            figure.svg().unwrap();
        }
        report::text::summary(&result);
        let dir = tempfile::TempDir::new().unwrap();
        report::write_all(&result, &IntervalLog::default(), dir.path(), false).unwrap();
    }
}
