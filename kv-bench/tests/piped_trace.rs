//! Traces that come on standard input, of which nobody knows how much there is and when it comes.

mod program;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;
mod server;

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Output, Stdio};

use kv_bench::report;
use kv_bench::result::RunResult;
use program::{kv_bench, stderr, wait_for};
use scripted::Answer;
use server::Server;
use tempfile::TempDir;

/// A run that reads a trace from a pipe.
struct Piped {
    child: Child,
    /// Open until it is dropped: more may come.
    stdin: Option<ChildStdin>,
    out: PathBuf,
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Piped {
    fn start(target: &str, dir: &Path, words: &[&str]) -> Self {
        let out = dir.join("results");
        let mut command = kv_bench(&["run", "--threads", "1", "--trace", "-", "--target", target]);
        command.args(words).arg("--out").arg(&out);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let stdin = child.stdin.take();
        Self { child, stdin, out }
    }

    fn write(&mut self, lines: &str) {
        let stdin = self.stdin.as_mut().expect("it is open");
        // It may be over before it has read all.
        drop(stdin.write_all(lines.as_bytes()));
    }

    /// Waits for its end, with the pipe as it is.
    fn end(mut self) -> (Output, Option<RunResult>) {
        let status = wait_for(|| self.child.try_wait().expect("it is ours"));
        let mut stderr = Vec::new();
        let pipe = self.child.stderr.as_mut().expect("a pipe");
        pipe.read_to_end(&mut stderr).expect("it has ended");
        let result = report::json::load(&self.out.join("result.json"));
        (Output { status, stdout: Vec::new(), stderr }, result.ok())
    }
}

/// Gets as MONITOR prints them, one every `gap_us`.
fn gets(count: u64, gap_us: u64) -> String {
    let mut lines = String::new();
    for number in 0..count {
        let at_us = number * gap_us;
        let (seconds, micros) = (1000 + at_us / 1_000_000, at_us % 1_000_000);
        writeln!(lines, "{seconds}.{micros:06} [0 127.0.0.1:1] \"get\" \"key:{}\"", number % 100)
            .expect("memory");
    }
    lines
}

/// More was due than could wait, and the run was broken off for it: but it ended as if all were well,
/// because an overflow was told by the rate that was asked for, and nobody knows that of a pipe. The same
/// held for a file of one moment.
#[test]
fn a_backlog_of_a_trace_without_a_rate_is_an_error_too() {
    let server = scripted::Server::start(|_, words| match words[0].as_str() {
        "get" => Answer::Never,
        _ => Answer::Normal,
    });
    let dir = TempDir::new().expect("a folder");
    let words = ["--timeout", "60s", "--duration", "40s"];
    let mut run = Piped::start(&server.address.to_string(), dir.path(), &words);
    run.write(&gets(45_000, 0));
    let (output, result) = run.end();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("operations of the trace had waited for more than 10 s"), "{told}");
    assert!(told.contains("answered 0 ops/s; ask for a lower --trace-speed"), "{told}");
    assert!(result.expect("what was measured").partial);
}

/// Whether it kept its schedule was asked only where the rate was known: one from a pipe was trusted
/// however late it was.
#[test]
fn a_timed_trace_from_a_pipe_is_judged_by_its_lateness() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let words = ["--duration", "10s"];
    let mut run = Piped::start(&server.address.to_string(), dir.path(), &words);
    run.write(&gets(3000, 100));
    run.stdin = None;
    let (output, result) = run.end();
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("a result");
    assert_eq!((result.headline.operations, result.headline.rate_asked_ops_s), (3000, None));
    let evidence = "99 % of operations were sent within";
    assert!(result.trust.reasons.iter().any(|r| r.contains(evidence)), "{:?}", result.trust);
}

/// A pipe that nobody writes to and nobody closes held up a run beyond its time, and beyond the number of
/// operations that it had asked for: its reader looked at both when the next line had come.
#[test]
fn a_run_ends_though_its_pipe_stays_open() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let cases: [(&[&str], u64); 3] = [
        (&["--duration", "1s"], 3000),
        (&["--requests", "3000"], 3000),
        (&["--trace-speed", "max", "--requests", "2900"], 2900),
    ];
    for (words, operations) in cases {
        let mut run = Piped::start(&server.address.to_string(), dir.path(), words);
        run.write(&gets(operations, 100));
        let (output, result) = run.end();
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
        let result = result.expect("a result");
        assert_eq!(result.headline.operations, operations, "{words:?}");
        assert!(!result.partial, "{words:?}");
        // What its reader says of itself, it says before it waits.
        let trace = result.trace.expect("a trace");
        assert_eq!((trace.operations, trace.lines), (operations, operations), "{words:?}");
    }
}

/// The due time of a line that a pipe brought was beyond what nanoseconds in 64 bits hold, and the worker
/// that was to wait for it panicked.
#[test]
fn a_time_more_than_a_year_away_ends_the_trace_with_an_error() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let words = ["--trace-speed", "0.1", "--requests", "1m"];
    let mut run = Piped::start(&server.address.to_string(), dir.path(), &words);
    run.write(&gets(3000, 10));
    run.write("9999999999.000000 [0 127.0.0.1:1] \"get\" \"late\"\n");
    let (output, result) = run.end();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let told = "standard input: the time of line 3001 is more than a year away";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
    assert_eq!(result.expect("what was measured").headline.operations, 3000);
}
