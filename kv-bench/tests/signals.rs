//! Signals that end a run, or do not, through the real program.

mod processes;
mod program;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use kv_bench::report;
use kv_bench::result::{Part, RunResult};
use processes::{cpu_ticks, script, servers_in, signal};
use program::{kv_bench, stderr, wait_for};
use tempfile::TempDir;

/// Starts `command`, a run with its results and its temporary folders in `dir`.
fn start(command: &mut Command, dir: &Path) -> Child {
    command.arg("--out").arg(dir.join("results")).env("TMPDIR", dir);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}

fn finish(run: Child, dir: &Path) -> (Output, RunResult) {
    let output = run.wait_with_output().expect("it was ours");
    let result = report::json::load(&dir.join("results/result.json"));
    let result = result.unwrap_or_else(|error| panic!("{error:?} {}", stderr(&output)));
    (output, result)
}

/// Waits until a server has answered for a while, which is after its preload of few keys.
fn await_load(dir: &Path) {
    let server = wait_for(|| servers_in(dir).first().copied());
    wait_for(|| cpu_ticks(server).filter(|&ticks| ticks >= 10));
}

#[test]
fn ctrl_c_keeps_a_partial_result_and_ends_the_servers() {
    let dir = TempDir::new().expect("a folder");
    let mut command = kv_bench(&["run", "--servers", "2", "--duration", "10m", "--keys", "10"]);
    let run = start(command.args(["--warmup", "0"]), dir.path());
    await_load(dir.path());
    signal(run.id(), "INT");
    let (output, result) = finish(run, dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted: what was measured is kept"));
    assert!(result.partial && result.headline.operations > 0);
    assert!(servers_in(dir.path()).is_empty());
    let left = fs::read_dir(dir.path()).expect("readable").flatten().map(|entry| entry.file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["results"], "no temporary folder");
}

#[test]
fn ctrl_c_in_the_warm_up_leaves_no_result_of_nothing() {
    let dir = TempDir::new().expect("a folder");
    let mut command = kv_bench(&["run", "--keys", "10", "--warmup", "10m"]);
    let run = start(&mut command, dir.path());
    await_load(dir.path());
    signal(run.id(), "INT");
    let output = run.wait_with_output().expect("it was ours");
    assert_eq!(output.status.code(), Some(1));
    let told = "error: interrupted while warming up; nothing was measured\n";
    assert_eq!(stderr(&output), told);
    assert!(!dir.path().join("results").exists());
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_leaves_no_server() {
    let dir = TempDir::new().expect("a folder");
    let stuck = script(dir.path(), "exec sleep 1000");
    let run = start(kv_bench(&["run", "--server-bin"]).arg(stuck), dir.path());
    // It never answers: kv-bench is waiting for it when the signals come.
    wait_for(|| Some(servers_in(dir.path())).filter(|pids| pids.len() == 1));
    signal(run.id(), "INT");
    signal(run.id(), "INT");
    let output = run.wait_with_output().expect("it was ours");
    assert!(matches!(output.status.code(), Some(130 | 1)), "{:?}", output.status);
    wait_for(|| servers_in(dir.path()).is_empty().then_some(()));
}

/// What was measured was lost with the connection to the machine.
#[test]
fn a_terminal_that_goes_away_ends_the_run_and_what_was_measured_is_kept() {
    let dir = TempDir::new().expect("a folder");
    // The tests themselves may run below nohup.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_kv-bench")]);
    command.args(["run", "--duration", "10m", "--keys", "10", "--warmup", "0"]);
    let run = start(&mut command, dir.path());
    await_load(dir.path());
    // The shell tells, and so does the kernel.
    signal(run.id(), "HUP");
    signal(run.id(), "HUP");
    let (output, result) = finish(run, dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(result.partial && result.headline.operations > 0);
    assert!(servers_in(dir.path()).is_empty());
}

#[test]
fn a_run_below_nohup_outlives_its_terminal() {
    let dir = TempDir::new().expect("a folder");
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_kv-bench")]);
    command.args(["run", "--duration", "1s", "--keys", "10", "--warmup", "0"]);
    let run = start(&mut command, dir.path());
    await_load(dir.path());
    signal(run.id(), "HUP");
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!result.partial);
}

/// It was told as an error of the server that started just then.
#[test]
fn ctrl_c_between_the_points_of_a_curve_is_no_error() {
    let dir = TempDir::new().expect("a folder");
    let (begun, again) = (dir.path().join("begun"), dir.path().join("again"));
    // The servers of the headline start, those of the curve do not.
    let body = format!(
        "if [ -e {begun} ]; then touch {again}; exec sleep 600; fi\ntouch {begun}\n\
         sleep 600 | {program} serve --parent $$ -- \"$@\"",
        begun = begun.display(),
        again = again.display(),
        program = env!("CARGO_BIN_EXE_kv-bench"),
    );
    let server = script(dir.path(), &body);
    let mut command = kv_bench(&["curve", "--requests", "100", "--keys", "10", "--server-bin"]);
    let run = start(command.arg(server), dir.path());
    wait_for(|| fs::exists(&again).ok().filter(|&there| there));
    signal(run.id(), "INT");
    let (output, result) = finish(run, dir.path());
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.ends_with("interrupted: what was measured is kept\n"), "{message}");
    assert!(!message.contains("error:"), "{message}");
    assert_eq!((result.partial, result.cut), (true, Some(Part::Curve)));
    assert_eq!(result.headline.operations, 100);
}
