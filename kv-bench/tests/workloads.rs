//! Workloads as their user meets them: flags, messages, and what a real server was asked for.

#[expect(dead_code, reason = "nothing is waited for here")]
mod program;

use program::{kv_bench, stderr};

/// Why `run` with these words is wrong usage, which is one line.
fn refusal(words: &[&str]) -> String {
    let output = kv_bench(&["run"]).args(words).output().expect("it runs");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
    assert_eq!(message.lines().count(), 1, "{words:?}: {message}");
    message
}

#[test]
fn keys_that_make_no_sense_are_refused_with_what_would() {
    let cases: &[(&[&str], &str)] = &[
        (&["--key-distribution", "zip"], "unknown distribution (known: uniform, sequential, zipf"),
        (
            &["--key-distribution", "hotspot:20"],
            "--key-distribution hotspot:20: '20' is not what belongs there: a share above 0 and below 1",
        ),
        (
            &["--key-distribution", "ycsb-zipfian", "--keys", "1g"],
            "too slow for more than 100,000,000 --keys (zipfian:0.99 is at once ready for any number)",
        ),
        (
            &["--key-distribution", "latest", "--mix", "delete"],
            "a delete-only run takes each key once, in order: leave it out",
        ),
        (&["--keys", "2t"], "'2t' is not a count"),
        (&["--keys", "1100g"], "--keys 1,100,000,000,000: must be from 1 to 1,099,511,627,776"),
    ];
    for (words, expected) in cases {
        let message = refusal(words);
        assert!(message.contains(expected), "{words:?}: {message}");
    }
}
