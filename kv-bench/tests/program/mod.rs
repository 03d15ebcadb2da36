//! The real program, for the tests that run it.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

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

/// Asserts that `run` with each of these words is wrong usage, told in one line.
#[allow(dead_code, reason = "not every test is of nonsense")]
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
