//! Latencies over time on their way into a file.

use kv_bench::interval_log::IntervalLog;
use kv_bench::result::Interval;

fn interval(number: u32) -> Interval {
    Interval {
        tag: "GET-service".to_owned(),
        start_s: f64::from(number),
        length_s: 1.0,
        max_ns: 1_500_000,
        histogram: "HISTFAAA".repeat(128),
    }
}

fn text(log: &IntervalLog) -> String {
    let mut text = Vec::new();
    log.copy_to(&mut text).expect("it was kept");
    String::from_utf8(text).expect("text")
}

#[test]
fn a_log_is_whole_whether_it_is_small_or_in_a_file_and_grows_after_it_was_copied() {
    let mut log = IntervalLog::default();
    let mut pushed = 0;
    for until in [1, 10, 10_000, 20_000] {
        (pushed..until).for_each(|number| log.push(&interval(number)));
        pushed = until;
        let text = text(&log.clone());
        assert_eq!(text.lines().count(), until as usize);
        for (number, line) in text.lines().enumerate() {
            let begin = format!("Tag=GET-service,{number}.000,1.000,1.500,HISTFAAA");
            assert!(line.starts_with(&begin), "{number}: {line}");
        }
    }
}

#[test]
fn an_interval_that_was_not_kept_is_told_when_the_log_is_written_and_not_before() {
    let mut log: IntervalLog = [interval(0)].into_iter().collect();
    log.push(&Interval { tag: "GET service".to_owned(), ..interval(1) });
    log.push(&interval(2));
    let error = log.copy_to(&mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("comma, space or newline"), "{error}");
}
