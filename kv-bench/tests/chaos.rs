//! Faults that are asked for: servers killed, started again and stopped while they are measured,
//! through the real program.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "other tests need more of it")]
mod processes;
mod program;
mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kv_bench::driver::Until;
use kv_bench::report;
use kv_bench::result::{ChaosEvent, Ejected, RunResult};
use processes::{servers_in, signal};
use program::{Running, assert_refused, kv_bench, stderr, wait_for};
use run::Run;
use scripted::{Answer, Server};
use tempfile::TempDir;

/// A run with its servers and results in `dir`.
fn run_in(dir: &Path, words: &[&str]) -> Command {
    let mut command = kv_bench(&["run", "--warmup", "0", "--threads", "2", "--clients", "2"]);
    command.args(["--keys", "1000"]).args(words);
    if !words.contains(&"--timeout") {
        command.args(["--timeout", "500ms"]);
    }
    command.arg("--out").arg(dir.join("results")).env("TMPDIR", dir);
    command
}

fn result_in(dir: &Path, output: &Output) -> RunResult {
    let result = report::json::load(&dir.join("results/result.json"));
    result.unwrap_or_else(|error| panic!("{error:?} {}", stderr(output)))
}

/// The result of a run that went to its end.
fn whole(dir: &Path, words: &[&str]) -> (RunResult, Output) {
    let output = Running::start(&mut run_in(dir, words)).end();
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result_in(dir, &output);
    assert!(!result.partial);
    (result, output)
}

fn length_s(event: &ChaosEvent) -> f64 {
    event.unavailable.expect("it was noticed").length_s
}

#[test]
fn faults_that_make_no_sense_are_refused_in_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["--chaos", "kill"], "--chaos: 'kill' is no fault (such as kill:2@10s"),
        (&["--chaos", ""], "'' is no fault"),
        (&["--chaos", "maim:1@1s"], "'maim:1@1s' is no fault"),
        (&["--chaos", "kill:1@soon"], "'soon' is not a duration"),
        (&["--chaos", "kill:1@1s+1s"], "only a pause has a length"),
        (&["--chaos", "pause:1@1s+0s"], "a pause of no time is none"),
        (&["--chaos", "pause:1@1s"], "a pause needs its length (such as pause:1@1s+500ms)"),
        (&["--chaos", "kill:2@1s"], "there is no server 2, they are 1 to 1"),
        (&["--chaos", "kill:0@1s"], "there is no server 0"),
        (&["--chaos", "restart:1@1s"], "it runs then (kill:1@… comes first)"),
        (
            &["--chaos", "kill:1@1s,kill:1@2s", "--duration", "5s"],
            "it has been killed by then (restart:1@… comes first)",
        ),
        (
            &["--chaos", "pause:1@1s+3s,kill:1@2s", "--duration", "5s"],
            "it is paused then, until 4s",
        ),
        (&["--chaos", "kill:1@5s", "--duration", "5s"], "the measurement is over after 5s"),
        (&["--chaos", "kill:1@1s"], "give --duration, or restart:1@… later"),
        (&["--chaos", "pause:1@1s+1s", "--repeat", "2"], "measured once"),
        (&["--chaos", "pause:1@1s+1s", "--servers", "127.0.0.1:1"], "these run already"),
        (&["--chaos", "pause:1@1s+1s", "--target", "127.0.0.1:1"], "cannot be used with"),
    ];
    assert_refused(cases);
    let output = kv_bench(&["--chaos", "pause:1@1s+1s"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("kv-bench run --chaos"), "{}", stderr(&output));
}

#[test]
fn a_server_that_is_killed_and_started_again_serves_what_it_had_promised_to_keep() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--servers", "2", "--durability", "os", "--mix", "get=50,put=50"];
    let faults = ["--duration", "3s", "--chaos", "restart:2@1500ms, kill:2@500ms"];
    let (result, output) = whole(dir.path(), &[&words[..], &faults].concat());
    let [kill, restart] = result.chaos.as_slice() else { panic!("{:?}", result.chaos) };
    assert_eq!((kill.action.as_str(), restart.action.as_str()), ("kill", "restart"));
    assert!(kill.server.starts_with("server_2") && restart.server == kill.server);
    assert!(kill.done_s >= Some(0.5) && restart.done_s >= Some(1.5), "{:?}", result.chaos);
    assert!(length_s(kill) >= 0.9, "{kill:?}");
    assert!(restart.recovery_s > Some(0.0) && kill.recovery_s.is_none(), "{restart:?}");
    // All keys had been stored, and nothing that was acknowledged may be gone.
    assert_eq!(result.headline.misses, 0);
    // What was wanted is no reason for doubt, nor for a warning.
    let texts = result.trust.reasons.iter().chain(&result.warnings);
    assert!(!texts.into_iter().any(|text| text.contains("server_2")), "{:?}", result.warnings);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.lines().any(|line| line.starts_with("restart ")), "{table}");
    let page = std::fs::read_to_string(dir.path().join("results/report.md")).expect("written");
    assert!(page.contains("## Faults"), "{page}");
    assert_eq!(result.scenario.chaos.as_deref(), Some("kill:2@500ms,restart:2@1.5s"));
}

#[test]
fn a_server_that_is_paused_shows_it_at_a_given_rate() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--rate", "500", "--duration", "2s", "--chaos", "pause:1@500ms+500ms"];
    // Whoever waits for the whole of it has no timeout.
    let (result, _) = whole(dir.path(), &[&words[..], &["--timeout", "10s"]].concat());
    let [pause] = result.chaos.as_slice() else { panic!("{:?}", result.chaos) };
    let resumed_s = pause.unavailable.map_or(0.0, |gap| gap.start_s + gap.length_s);
    assert!(resumed_s >= 1.0 && pause.recovery_s.is_some(), "{pause:?}");
    let response = result.headline.response_us.expect("an open loop");
    let paused_s = 1.0 - pause.done_s.expect("there was time");
    assert!(response.max >= paused_s * 0.9e6 && result.headline.errors == 0, "{response:?}");
}

#[test]
fn a_server_that_stays_dead_by_order_does_not_end_the_run() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--servers", "2", "--duration", "1500ms", "--chaos", "kill:1@500ms"];
    let (result, _) = whole(dir.path(), &words);
    let [kill] = result.chaos.as_slice() else { panic!("{:?}", result.chaos) };
    assert!(length_s(kill) >= 0.9 && kill.recovery_s.is_none(), "{kill:?}");
    assert!(result.headline.errors > 0);
}

/// Of two that were due at once, the second was done first: the server stayed stopped, or dead.
#[test]
fn what_is_due_at_the_same_moment_is_done_in_its_order() {
    for faults in
        ["pause:1@200ms+300ms,kill:1@500ms,restart:1@500ms", "kill:1@300ms,restart:1@300ms"]
    {
        let dir = TempDir::new().expect("a folder");
        let (result, _) = whole(dir.path(), &["--duration", "1500ms", "--chaos", faults]);
        let restart = result.chaos.last().expect("a fault");
        assert_eq!(restart.action, "restart");
        assert!(restart.recovery_s.is_some(), "{faults}: {:?}", result.chaos);
    }
}

#[test]
fn the_only_server_may_stay_dead_by_order() {
    let dir = TempDir::new().expect("a folder");
    let (result, _) = whole(dir.path(), &["--duration", "4s", "--chaos", "kill:1@200ms"]);
    assert!(result.headline.errors > 0 && result.chaos[0].recovery_s.is_none());
}

#[test]
fn a_pause_that_outlasts_the_measurement_ends_with_it() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--verify", "--duration", "1s", "--chaos", "pause:1@500ms+1h"];
    let (result, output) = whole(dir.path(), &words);
    assert!(result.chaos[0].done_s.is_some() && result.chaos[0].recovery_s.is_none());
    let verify = result.verify.expect("it was asked for");
    assert!(verify.audit.is_some(), "{}", stderr(&output));
}

#[test]
fn faults_for_which_there_was_no_time_are_told() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--requests", "500", "--chaos", "kill:1@1h,restart:1@2h"];
    let (result, _) = whole(dir.path(), &words);
    assert_eq!(result.chaos.iter().filter(|event| event.done_s.is_none()).count(), 2);
    let told = |text: &&String| text.starts_with("the measurement was over before ");
    assert_eq!(result.warnings.iter().filter(told).count(), 2, "{:?}", result.warnings);
}

/// It had no end: each of the operations that were due held a client for a whole timeout, and a
/// server that was away by order was never given up.
#[test]
fn a_given_rate_over_a_given_time_ends_though_servers_stay_dead_by_order() {
    let words = ["--rate", "1k", "--duration", "1s"];
    let one = ["--servers", "3", "--chaos", "kill:2@500ms"];
    let both = ["--servers", "2", "--chaos", "kill:1@500ms,kill:2@600ms"];
    for faults in [&one[..], &[&both[..], &["--on-node-fail", "eject"]].concat()] {
        let dir = TempDir::new().expect("a folder");
        let command = [&words[..], faults].concat();
        let output = Running::start(&mut run_in(dir.path(), &command)).end();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(message.contains("has not answered for "), "{message}");
        let result = result_in(dir.path(), &output);
        assert!(result.partial, "{:?}", result.headline);
        let told = |text: &String| text.contains(" due and not sent when the run ended");
        assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
        // What came after the end is no part of it.
        let failures = result.node_failures.into_iter().flat_map(|all| all.servers);
        for Ejected { time, .. } in failures.flat_map(|server| server.ejections) {
            let end_s = time.start_s + time.length_s;
            assert!(end_s < result.headline.duration_s + 0.5, "{time:?}, {:?}", result.headline);
        }
    }
}

/// Three seconds without an answer are more than a run waits for a server.
#[test]
fn a_server_that_is_stopped_by_order_is_not_given_up() {
    let dir = TempDir::new().expect("a folder");
    let (result, _) = whole(dir.path(), &["--duration", "4s", "--chaos", "pause:1@100ms+3500ms"]);
    assert!(result.headline.errors > 0 && result.chaos[0].recovery_s.is_some());
}

#[test]
fn a_foreign_server_is_stopped_killed_and_started_again() {
    if !peer::is_there("redis-server") {
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let words = ["--server-bin", "redis-server", "--duration", "3s", "--mix", "put"];
    let faults = ["--chaos", "pause:1@300ms+300ms,kill:1@1s,restart:1@1500ms"];
    let (result, _) = whole(dir.path(), &[&words[..], &faults].concat());
    let [pause, kill, restart] = result.chaos.as_slice() else { panic!("{:?}", result.chaos) };
    assert!(length_s(pause) >= 0.25 && length_s(kill) >= 0.45, "{:?}", result.chaos);
    assert!(restart.recovery_s.is_some());
}

#[test]
fn an_interrupt_while_a_server_is_stopped_leaves_no_process() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--duration", "1m", "--chaos", "pause:1@100ms+1h"];
    let run = Running::start(&mut run_in(dir.path(), &words));
    let stopped = |pid: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, state)| state.trim_start().starts_with('T'))
    };
    wait_for(|| servers_in(dir.path()).iter().any(stopped).then_some(()));
    signal(run.id(), "INT");
    let output = run.end();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(servers_in(dir.path()), Vec::<u32>::new());
    let result = result_in(dir.path(), &output);
    let [pause] = result.chaos.as_slice() else { panic!("one fault") };
    assert_eq!(pause.recovery_s, None);
}

/// A server that loads its data replies to everybody, with errors.
#[test]
fn replies_that_are_errors_are_no_service() {
    let (begin, loading) = (OnceLock::new(), Duration::from_millis(300));
    let server = Server::start(move |number, _| match number {
        200.. if begin.get_or_init(Instant::now).elapsed() < loading => {
            Answer::Raw(b"-LOADING the data\r\n")
        }
        _ => Answer::Normal,
    });
    let measured = Run::against(&[&server]).shape(2, 1, 1).run(Until::Elapsed(loading * 3));
    assert!(measured.counts.errors.server["LOADING"] > 0);
    let longest_ns = measured.unserved[0]
        .iter()
        .map(|gap| gap.span.end_ns.min(measured.end_ns) - gap.span.begin_ns);
    let longest_ns = longest_ns.max().expect("a gap");
    assert!(longest_ns >= 250_000_000, "{longest_ns}");
    assert!(measured.silence.length_ns() < longest_ns, "errors are replies");
}
