//! The real program, for the tests that run it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

mod running;

pub(crate) use running::Running;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use kv_bench::report;
use kv_bench::result::{FindMax, RunResult};

pub(crate) fn kv_bench(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv-bench"));
    command.args(words).stdin(Stdio::null());
    command
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Polls until `ready` has something.
pub(crate) fn wait_for<T>(mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a search leaves that is interrupted once so many passes are done.
pub(crate) fn after_passes(
    command: &mut Command,
    dir: &Path,
    passes: usize,
) -> (Output, RunResult) {
    let run = Running::start(command);
    let path = dir.join("results/result.json");
    let has = |told: &dyn Fn(&FindMax) -> bool| {
        wait_for(|| report::json::load(&path).ok()?.find_max.filter(told));
    };
    // Each of them takes some seconds.
    has(&|_| true);
    has(&|found| found.probes.iter().any(|probe| probe.pass.is_some()));
    (1..=passes).for_each(|passes| has(&|found| found.passes.len() >= passes));
    let pid = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().expect("it runs").success());
    (run.end(), report::json::load(&path).expect("it was written"))
}

/// Asserts that `run` with each of these words is wrong usage, told in one line.
pub(crate) fn assert_refused(cases: &[(&[&str], &str)]) {
    for (words, expected) in cases {
        let output = kv_bench(&["run"]).args(*words).output().expect("it runs");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{words:?}: {message}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
}

/// A run of `words` against `target` by one worker unless they say otherwise, without a warm-up, and
/// its result if there is one. It leaves its folder below `dir`.
pub(crate) fn run(target: &str, dir: &Path, words: &[&str]) -> (Output, Option<RunResult>) {
    let out = dir.join("results");
    let mut command = kv_bench(&["run", "--warmup", "0", "--target", target, "--out"]);
    command.arg(&out);
    command.args(if words.contains(&"--threads") { &[][..] } else { &["--threads", "1"] });
    let output = Running::start(command.args(words)).end();
    let result = report::json::load(&out.join("result.json"));
    (output, result.ok())
}
