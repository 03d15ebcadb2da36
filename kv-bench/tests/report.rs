//! The files of a run folder, and the summary on the terminal.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod sample;

use std::fs;

use hdrhistogram::Histogram;
use kv_bench::interval_log::IntervalLog;
use kv_bench::percentiles::{QUANTILES, thin_kinds_warning, thin_quantiles, thin_warning};
use kv_bench::report;
use kv_bench::result::{CurvePlan, Limit, Part, Percentiles, RunResult, Verdict};
use tempfile::TempDir;

fn written(result: &RunResult, plots: bool) -> TempDir {
    let dir = TempDir::new().unwrap();
    let paths = report::write_all(result, &sample::intervals(result), dir.path(), plots).unwrap();
    let on_disk = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(paths.len(), on_disk, "every file is told, and no temporary one is left");
    dir
}

fn file(dir: &TempDir, name: &str) -> String {
    fs::read_to_string(dir.path().join(name)).unwrap()
}

#[test]
fn a_result_written_and_loaded_is_the_same() {
    let result = sample::result();
    let dir = written(&result, false);
    assert_eq!(report::json::load(&dir.path().join("result.json")).unwrap(), result);
}

#[test]
fn results_of_newer_and_older_writers_load() {
    let text = fs::read_to_string(sample::data("result-1.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let object = json.as_object_mut().unwrap();
    object.insert("field_of_the_future".into(), 1.into());
    object.remove("histograms");
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result.json");
    fs::write(&path, json.to_string()).unwrap();
    let result = report::json::load(&path).unwrap();
    assert!(result.histograms.is_empty());
    report::write_all(&result, &IntervalLog::default(), dir.path(), false).unwrap();
}

/// A machine that was taken away at single points looked like a server that is slow there.
#[test]
fn what_made_points_untrusted_is_told_once_where_it_was_worst() {
    let mut result = sample::result();
    assert!(result.points.len() >= 3);
    for point in &mut result.points {
        point.trust.verdict = Verdict::Trusted;
        point.trust.reasons.clear();
    }
    for (point, share) in result.points.iter_mut().zip([2.5, 38.0, 9.0]) {
        point.trust.verdict = Verdict::Untrusted;
        point.trust.reasons = vec![
            format!("the hypervisor took {share:.1} % of the cores' time"),
            "be patient".to_owned(),
        ];
    }
    let told = "at 3 points, at most: the hypervisor took 38.0 % of the cores' time";
    let page = file(&written(&result, false), "report.md");
    for text in [report::text::summary(&result), page] {
        assert!(text.contains(told), "{text}");
        assert!(!text.contains("2.5 %") && !text.contains("be patient"), "{text}");
    }
}

#[test]
fn a_warning_that_is_a_reason_of_the_verdict_is_shown_once() {
    let mut result = sample::result();
    result.trust.reasons = vec!["server_1 was silent".to_owned()];
    result.warnings = vec!["server_1 was silent".to_owned(), "it was a closed loop".to_owned()];
    let page = file(&written(&result, false), "report.md");
    for text in [report::text::summary(&result), page] {
        assert_eq!(text.matches("server_1 was silent").count(), 1, "{text}");
        assert_eq!(text.matches("it was a closed loop").count(), 1, "{text}");
    }
}

#[test]
fn what_is_not_a_result_is_refused_by_file_and_reason() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("other.json");
    for (text, reason) in [
        ("{\"schema\":\"kv-bench/result/9\"}", "kv-bench/result/1"),
        ("{\"schema\":\"kv-bench/result/1\"}", "missing field"),
        ("[]", "names no schema"),
        ("PNG", "expected value"),
    ] {
        fs::write(&path, text).unwrap();
        let error = format!("{:#}", report::json::load(&path).unwrap_err());
        assert!(error.contains("other.json") && error.contains(reason), "{error}");
    }
    let missing = format!("{:#}", report::json::load(&dir.path().join("none")).unwrap_err());
    assert!(missing.contains("cannot read"), "{missing}");
}

#[test]
fn points_csv_has_one_row_per_point_and_empty_cells_for_what_was_not_measured() {
    let mut result = sample::result();
    result.points[1].service_us = None;
    let dir = written(&result, false);
    let mut reader = csv::Reader::from_path(dir.path().join("points.csv")).unwrap();
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), result.points.len());
    for (row, point) in rows.iter().zip(&result.points) {
        assert_eq!(row[column("servers")], point.servers.to_string());
        assert_eq!(row[column("throughput_ops_s")].parse::<f64>(), Ok(point.throughput_ops_s));
        let p99 = point.service_us.map(|service| service.p99);
        assert_eq!(row[column("service_p99_us")].parse::<f64>().ok(), p99);
        assert_eq!(&row[column("response_p99_us")], "");
        assert_eq!(&row[column("rate_asked_ops_s")], "");
    }
}

#[test]
fn a_run_without_a_curve_has_the_header_of_points_csv_and_no_curve_plot() {
    let mut result = sample::result();
    result.points.clear();
    let dir = written(&result, true);
    assert_eq!(file(&dir, "points.csv").lines().count(), 1);
    assert!(!dir.path().join("latency-vs-throughput.png").exists());
    assert!(dir.path().join("percentiles.png").exists());
}

#[test]
fn hgrm_is_what_java_prints_byte_for_byte() {
    let dir = written(&sample::result(), false);
    for name in ["GET-service_us.hgrm", "PUT-service_us.hgrm", "DELETE-service_us.hgrm"] {
        let golden = fs::read_to_string(sample::data(name)).unwrap();
        assert_eq!(file(&dir, name), golden, "{name}");
    }
}

#[test]
fn a_tag_cannot_write_outside_its_folder_or_break_the_log() {
    let mut result = sample::result();
    let (_, histogram) = result.histograms.pop_first().unwrap();
    result.histograms.insert("../../GET service".to_owned(), histogram);
    let outer = TempDir::new().unwrap();
    let dir = outer.path().join("a/b/c");
    report::write_all(&result, &IntervalLog::default(), &dir, false).unwrap();
    assert!(dir.join("______GET_service_us.hgrm").exists());
    let error = report::write_all(&result, &sample::intervals(&result), &dir, false).unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("latency.hlog") && text.contains("comma, space or newline"), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_spares_the_others() {
    let dir = TempDir::new().unwrap();
    for name in ["points.csv", "GET-service_us.hgrm"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let error = report::write_all(&sample::result(), &IntervalLog::default(), dir.path(), false)
        .unwrap_err();
    let text = format!("{error:#}");
    assert!(text.contains("points.csv: "), "{text}");
    assert!(text.ends_with("; nor could 1 other file be written"), "{text}");
    assert!(report::json::load(&dir.path().join("result.json")).is_ok());
    let page = file(&dir, "report.md");
    assert!(page.contains("(PUT-service_us.hgrm)") && !page.contains("(points.csv)"), "{page}");
    let names = fs::read_dir(dir.path()).unwrap().map(|f| f.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with('.')).collect();
    assert!(left.is_empty(), "no temporary file stays behind: {left:?}");
}

#[test]
fn the_page_links_every_file_and_repeats_the_command() {
    let result = sample::result();
    let dir = written(&result, true);
    let page = file(&dir, "report.md");
    for entry in fs::read_dir(dir.path()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "report.md" || page.contains(&format!("]({name})")), "{name}");
    }
    assert!(page.contains(&result.scenario.command));
    assert!(page.contains(&result.environment.cpu_model));
    for warning in &result.warnings {
        assert!(page.contains(warning));
    }
}

#[test]
fn the_summary_shows_every_figure_with_its_verdict_and_each_warning_once() {
    let mut result = sample::result();
    result.warnings = vec!["watch out".into(), "watch out".into()];
    result.errors.server.insert("OOM".into(), 3);
    result.errors.timeout = 1_234;
    let text = report::text::summary(&result);
    assert_eq!(text.matches("watch out").count(), 1, "{text}");
    assert!(text.contains("1,234 timeout, 3 OOM replies"), "{text}");
    assert!(text.contains(&result.trust.reasons[0]), "{text}");
    assert!(text.contains("100,000 operations"), "{text}");
    for point in &result.points {
        let clients = format!(" {} ", point.clients);
        assert!(text.lines().any(|line| line.contains(&clients)), "{text}");
    }
    let is_prose = |line: &str| line.starts_with("  - ") || line.starts_with("warning:");
    for line in text.lines().filter(|line| !is_prose(line)) {
        assert!(line.chars().count() <= 110, "too wide for a terminal: {line}");
    }
}

#[test]
fn the_summary_marks_what_is_missing_and_what_is_thin() {
    let mut result = sample::result();
    result.points.clear();
    result.partial = true;
    result.headline.service_us = None;
    let text = report::text::summary(&result);
    assert!(text.starts_with("PARTIAL"), "{text}");
    let row = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(row("all").contains('—'), "{text}");
    assert!(row("delete").contains('*'), "1 % of the operations: {text}");
    assert!(text.contains("fewer than 100 samples"), "{text}");
}

#[test]
fn a_limit_that_was_not_found_is_a_sentence() {
    let mut result = sample::result();
    result.trust.limited_by = Limit::Unknown;
    let cpu_s = result.servers[1].cpu_s;
    for (word, cpu_s, sentence) in [
        (Verdict::Trusted, cpu_s, "rusted: the limit was not found: nothing was saturated\n"),
        (
            Verdict::Trusted,
            None,
            "rusted: the limit was not found: the servers' CPU is not ours to read\n",
        ),
        (Verdict::Untrusted, None, "rusted: the limit was not found\n"),
    ] {
        result.trust.verdict = word;
        result.servers[1].cpu_s = cpu_s;
        let terminal = report::text::summary(&result).replace("TRUSTED", "trusted");
        assert!(terminal.contains(sentence), "{terminal}");
        let page = file(&written(&result, false), "report.md").replace("**", "");
        assert!(page.contains(sentence), "{page}");
    }
}

#[test]
fn a_whole_headline_is_not_called_partial_for_its_curve() {
    let mut result = sample::result();
    (result.partial, result.cut) = (true, Some(Part::Curve));
    let text = report::text::summary(&result);
    assert!(text.lines().next().unwrap().ends_with("; this is whole, the curve was cut short"));
    assert!(!text.contains("PARTIAL"), "{text}");
    result.cut = Some(Part::Headline);
    assert!(report::text::summary(&result).starts_with("PARTIAL"));
}

/// "Up to" was said of what had been measured before Ctrl-C as if there were no more.
#[test]
fn a_curve_says_of_how_much_of_it_its_claim_is() {
    let mut result = sample::result();
    let measured = result.points.len() as u32;
    let claim = |result: &RunResult| {
        let text = report::text::summary(result);
        text.lines().find(|line| line.starts_with("Up to ")).unwrap().to_owned()
    };
    let plan = |points_all, points_planned| Some(CurvePlan { points_all, points_planned });
    let whole = claim(&result);
    assert!(!whole.contains("points"), "{whole}");
    result.curve = plan(measured, measured);
    assert_eq!(claim(&result), whole);
    result.curve = plan(measured + 7, measured);
    let all = measured + 7;
    assert_eq!(claim(&result), format!("{whole}, in {measured} of {all} points"));
    (result.partial, result.cut) = (true, Some(Part::Curve));
    result.curve = plan(all, all);
    assert_eq!(claim(&result), format!("{whole}, in the first {measured} of {all} points"));
    assert!(file(&written(&result, false), "report.md").contains(&claim(&result)));
    result.curve = None;
    let expected = format!("{whole}, in the {measured} points before it was cut short");
    assert_eq!(claim(&result), expected);
}

#[test]
fn latencies_of_failures_have_a_row_of_their_own() {
    let mut result = sample::result();
    let row = |result: &RunResult| {
        let text = report::text::summary(result);
        text.lines().find(|line| line.starts_with("failed ")).map(str::to_owned)
    };
    assert_eq!(row(&result), None);
    result.headline.errors = 7;
    result.headline.error_us =
        result.headline.service_us.map(|us| Percentiles { max: 4_000_000.0, ..us });
    let row = row(&result).unwrap();
    assert!(row.contains(" 7 ") && row.contains("4,000,000"), "{row}");
}

#[test]
fn one_kind_of_operation_has_one_row_and_no_sum() {
    let mut result = sample::result();
    let starts = |result: &RunResult, name: &str| {
        report::text::summary(result).lines().any(|line| line.starts_with(name))
    };
    assert!(starts(&result, "get ") && starts(&result, "put ") && starts(&result, "all "));
    (result.operations.put, result.operations.delete) = (None, None);
    assert!(starts(&result, "get ") && !starts(&result, "all "));
}

#[test]
fn control_characters_of_a_server_do_not_reach_the_terminal() {
    let mut result = sample::result();
    result.errors.server.insert("ERR\u{1b}[2J".into(), 1);
    result.warnings.push("line\nbreak".into());
    let text = report::text::summary(&result);
    assert!(!text.contains('\u{1b}') && text.contains("line break"), "{text}");
}

#[test]
fn percentiles_come_from_the_histogram_in_microseconds() {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    assert_eq!(Percentiles::from_histogram(&histogram), None);
    for us in 1..=1_000 {
        histogram.record(us * 1_000).unwrap();
    }
    let found = Percentiles::from_histogram(&histogram).unwrap();
    for quantile in QUANTILES.into_iter().filter(|quantile| quantile.one_in <= 1_000) {
        let exact = 1_000.0 * quantile.fraction();
        assert!((found.at(quantile) / exact - 1.0).abs() < 0.002, "{quantile:?}: {found:?}");
    }
    assert!((found.mean - 500.5).abs() < 1.0 && found.min <= 1.0 && found.max >= 1_000.0);
}

#[test]
fn a_percentile_needs_a_hundred_samples_beyond_it() {
    let thin = |samples| thin_quantiles(samples).iter().map(|q| q.name).collect::<Vec<_>>();
    assert_eq!(thin(1_000_000), [""; 0]);
    assert_eq!(thin(999_999), ["p99.99"]);
    assert_eq!(thin(100_000), ["p99.99"]);
    assert_eq!(thin(9_999), ["p99", "p99.9", "p99.99"]);
    assert_eq!(thin(199).len(), QUANTILES.len());
    assert_eq!(thin_warning("GET service", 1_000_000), None);
    assert_eq!(thin_warning("GET service", 0), None);
    let warning = thin_warning("GET service", 100_000).unwrap();
    assert!(warning.contains("p99.99") && warning.contains("1,000,000"), "{warning}");
}

#[test]
fn thin_percentiles_of_all_kinds_are_told_in_one_sentence() {
    let kinds = [("GET-service", 90_000), ("PUT-service", 9_000), ("DELETE-service", 1_000_000)];
    assert_eq!(
        thin_kinds_warning(&kinds).unwrap(),
        "by kind, fewer than 100 samples lie beyond p99.9 and up of GET-service (90,000 samples), \
         p99 and up of PUT-service (9,000 samples)"
    );
    let last = thin_kinds_warning(&[("GET-service", 999_999)]).unwrap();
    assert!(last.ends_with("beyond p99.99 of GET-service (999,999 samples)"), "{last}");
    assert_eq!(thin_kinds_warning(&[("GET-service", 1_000_000), ("PUT-service", 0)]), None);
}

#[test]
fn histograms_survive_their_text_form() {
    let result = sample::result();
    for text in result.histograms.values() {
        assert!(text.starts_with("HISTFA"));
        let histogram = report::decode_histogram(text).unwrap();
        let again = report::decode_histogram(&report::encode_histogram(&histogram)).unwrap();
        assert_eq!(histogram, again);
    }
    for nonsense in ["", "HISTFA", "not base64!", "AAAAAAAAAAAAAAAA"] {
        assert!(report::decode_histogram(nonsense).is_err(), "{nonsense}");
    }
}

#[test]
fn the_page_is_titled_by_what_was_measured_and_when() {
    let title = |result: &RunResult| {
        let page = file(&written(result, false), "report.md");
        page.lines().next().unwrap_or_default().to_owned()
    };
    let mut result = sample::result();
    assert_eq!(title(&result), "# curve: 4 × redis 7.0.15, 2026-11-23 01:17 UTC");
    result.name = "nightly".to_owned();
    result.servers.truncate(1);
    result.scenario.targets = vec!["10.0.0.1:6379".to_owned()];
    assert_eq!(title(&result), "# nightly: redis 7.0.15 at 10.0.0.1:6379, 2026-11-23 01:17 UTC");
    result.environment.servers.clear();
    "yesterday".clone_into(&mut result.started_at);
    assert_eq!(title(&result), "# nightly: server at 10.0.0.1:6379, yesterday");
}
