//! The open loop through real processes: a server that is stopped, killed or too slow, and what the
//! program says and writes.

#[allow(dead_code, reason = "the servers here are ours")]
mod processes;
mod program;
mod run;
#[allow(dead_code, reason = "the servers here are real")]
mod scripted;
mod server;

use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kv_bench::driver::{Measured, Until};
use kv_bench::recorder::Time;
use kv_bench::report;
use kv_bench::result::{Limit, RunResult, Verdict};
use kv_bench::schedule::Process;
use processes::{servers_in, signal};
use program::{assert_refused, kv_bench, stderr, wait_for};
use run::{Run, assert_accounted};
use server::Server;
use tempfile::TempDir;

/// Runs three seconds at 200 operations per second, and stops the server for half a second of them.
/// Returns for how long it was stopped.
fn stalled(server: &Server, clients: u32) -> (Measured, f64) {
    let until = Until::Elapsed(Duration::from_secs(3));
    let mut run = Run::against(&[]).shape(1, clients, 1).at_rate("200", Process::Constant, until);
    run.addresses.push(server.address);
    let mut fleet = run.launch().expect("the server accepts");
    let (mut stopped, mut stall_s) = (None, None);
    let measured = fleet.run(&run.workload(), &run.schedule, until, |live| {
        match stopped {
            None if live.attempted >= 100 => {
                signal(server.child.id(), "STOP");
                stopped = Some(Instant::now());
            }
            Some(at) if stall_s.is_none() && at.elapsed() >= Duration::from_millis(500) => {
                signal(server.child.id(), "CONT");
                stall_s = Some(at.elapsed().as_secs_f64());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    (measured.expect("an event loop"), stall_s.expect("there was time for it"))
}

/// Response times of a run with a stall, as parts of what they must be: of what comes evenly for T
/// seconds, the part `q` is answered within S − (1 − q)·T when the server does not answer for S of
/// them.
fn stalled_ratios(server: &Server, clients: u32) -> [f64; 3] {
    let (measured, stall_s) = stalled(server, clients);
    assert_accounted(&measured, 600);
    assert_eq!(measured.counts.failed(), 0);
    let response = measured.latencies.successes(Time::Response);
    [0.95, 0.98, 0.99].map(|quantile| {
        let expected_s = stall_s - (1.0 - quantile) * 3.0;
        response.value_at_quantile(quantile) as f64 / 1e9 / expected_s
    })
}

/// A machine that is busy with others may stall the server a second time; then it is tried again.
#[test]
fn a_stalled_server_shows_in_the_response_times_as_it_must() {
    let server = Server::ready();
    for clients in [1, 128] {
        let mut tries = (0..3).map(|_| stalled_ratios(&server, clients));
        let is_true = |ratios: &[f64; 3]| ratios.iter().all(|ratio| (0.95..1.05).contains(ratio));
        assert!(tries.any(|ratios| is_true(&ratios)), "{clients} clients: none of three is true");
    }
    // A single client met it once: its service times hide what everybody waited.
    let (measured, _) = stalled(&server, 1);
    let service = measured.latencies.successes(Time::Service);
    assert!(service.value_at_quantile(0.99) < 100_000_000 && service.max() > 450_000_000);
}

fn result_in(dir: &Path) -> RunResult {
    report::json::load(&dir.join("result.json")).expect("it was written")
}

/// A run with its servers and results in `dir`.
fn run_in(dir: &Path, words: &[&str]) -> Command {
    let mut command = kv_bench(&["run", "--keys", "100"]);
    command.args(words).arg("--out").arg(dir.join("results")).env("TMPDIR", dir);
    command
}

#[test]
fn rates_that_make_no_sense_are_refused_in_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["--rate", "fast"], "--rate fast: 'fast' is no number of ops/s (such as 10k, a ramp"),
        (&["--rate", "0"], "nothing to do"),
        (&["--rate", "1k:5s", "--duration", "9s"], "leave out the length of the last step"),
        (&["--rate", "1k:5s", "--requests", "9"], "or --requests"),
        (&["--rate", "9..0", "--requests", "9"], "it ends at 0"),
        (&["--rate", "1", "--duration", "500ms"], "there is no operation in it"),
        (&["--rate", "1k", "--arrivals", "bursts"], "unknown arrivals (known: poisson, constant)"),
        (&["--arrivals", "constant"], "--rate"),
        (&["--rate", "1k", "--think-time", "1ms"], "cannot be used with"),
        (&["--think-time", "soon"], "'soon' is not a duration"),
        (&["--think-time", "2h"], "--think-time 7200s: must be at most 1h"),
        (&["--repeat", "0"], "--repeat 0: must be from 1 to 1,000"),
        (&["--repeat", "1001"], "--repeat 1,001: must be from 1 to 1,000"),
        (&["--rate", "1k", "--requests", "1", "--duration", "1s"], "cannot be used with"),
    ];
    assert_refused(cases);
    for flag in [["--rate", "1k"], ["--repeat", "3"]] {
        let output = kv_bench(&flag).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(&format!("kv-bench run {}", flag.join(" "))));
    }
}

#[test]
fn an_open_loop_leaves_all_its_times_in_every_form() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--rate", "1k..3k", "--duration", "1s", "--mix", "get=1,put=1", "--plots"];
    let output = run_in(dir.path(), &words).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("1 s at 1k..3k ops/s, poisson arrivals"), "{shown}");
    assert!(shown.contains("open loop at 2 k ops/s (1k..3k), poisson arrivals"), "{shown}");
    assert!(!shown.contains("closed loop"), "{shown}");
    let results = dir.path().join("results");
    let result = result_in(&results);
    let asked_ops_s = result.headline.rate_asked_ops_s.expect("it was asked for");
    assert!((asked_ops_s - 2000.0).abs() < 1e-6);
    let (get, put) = (result.operations.get.expect("mixed"), result.operations.put.expect("mixed"));
    for of in [&get, &put] {
        let (response, service) = (of.response_us.expect("open"), of.service_us.expect("always"));
        assert!(of.lateness_us.is_some() && response.p50 >= service.p50);
    }
    assert_eq!(result.scenario.rate.as_deref(), Some("1k..3k"));
    assert_eq!(result.scenario.arrivals.as_deref(), Some("poisson"));
    let log = fs::read_to_string(results.join("latency.hlog")).expect("it was written");
    let page = fs::read_to_string(results.join("report.md")).expect("it was written");
    for time in ["service", "response", "lateness"] {
        assert!(log.contains(&format!("Tag=GET-{time},")) && page.contains(time));
        assert!(results.join(format!("PUT-{time}_us.hgrm")).exists());
    }
    assert!(results.join("percentiles.png").exists());
}

#[test]
fn the_digest_tells_whether_the_same_operations_were_asked_for() {
    let dir = TempDir::new().expect("a folder");
    let digest = |words: &[&str]| {
        let fixed = ["--warmup", "0", "--threads", "2", "--clients", "2", "--quiet"];
        let output = run_in(dir.path(), words).args(fixed).output().expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        result_in(&dir.path().join("results")).scenario.operations_digest.expect("it has one")
    };
    let open = digest(&["--rate", "2k", "--requests", "200"]);
    assert_eq!(open, digest(&["--rate", "2k", "--requests", "200"]));
    let others: [&[&str]; 5] = [
        &["--rate", "2k", "--requests", "200", "--seed", "2"],
        &["--rate", "3k", "--requests", "200"],
        &["--rate", "2k", "--requests", "200", "--arrivals", "constant"],
        &["--rate", "2k", "--requests", "200", "--mix", "get"],
        &["--requests", "200"],
    ];
    for other in others {
        assert_ne!(open, digest(other), "{other:?}");
    }
}

#[test]
fn servers_that_are_asked_for_too_much_end_the_run_with_a_rate_that_they_keep() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--rate", "90m", "--duration", "1h", "--warmup", "0", "--clients", "2"];
    let output = run_in(dir.path(), &words).output().expect("it runs");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("1,000,000 operations were due and waited"), "{message}");
    assert!(message.contains("such as --rate ") && message.contains("more --clients"), "{message}");
    let result = result_in(&dir.path().join("results"));
    assert!(result.partial && result.headline.operations > 0);
    assert_eq!(result.trust.verdict, Verdict::Untrusted);
    assert!(result.warnings.iter().any(|text| text.contains("due and not sent")));
    // In the warm-up, too.
    let words = ["--rate", "90m", "--duration", "1h", "--warmup", "1m", "--clients", "2"];
    let output = run_in(dir.path(), &words).output().expect("it runs");
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("1,000,000 operations were due") && message.contains("nothing was"));
}

#[test]
fn a_server_that_is_killed_at_a_given_rate_ends_the_run_and_what_was_measured_is_kept() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--rate", "2k", "--duration", "10m", "--warmup", "0"];
    let mut command = run_in(dir.path(), &words);
    let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let server = wait_for(|| servers_in(dir.path()).first().copied());
    wait_for(|| processes::cpu_ticks(server).filter(|&ticks| ticks >= 20));
    signal(server, "KILL");
    let output = run.wait_with_output().expect("it was ours");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let result = result_in(&dir.path().join("results"));
    assert!(result.partial && result.headline.operations > 0);
    assert_eq!(
        (result.trust.verdict, result.trust.limited_by),
        (Verdict::Untrusted, Limit::Server)
    );
}

#[test]
fn repeats_leave_each_measurement_and_the_median_as_the_result() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--requests", "500", "--rate", "5k", "--repeat", "3", "--warmup", "0"];
    let output = run_in(dir.path(), &words).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("the median of 3 measurements by response p99"), "{shown}");
    let results = dir.path().join("results");
    let median = result_in(&results);
    let p99 = |result: &RunResult| result.headline.response_us.expect("open").p99;
    let mut all = Vec::new();
    for (number, repeat) in median.repeats.iter().enumerate() {
        assert_eq!(repeat.file, format!("repeat-{}.json", number + 1));
        let own = report::json::load(&results.join(&repeat.file)).expect("it was written");
        assert_eq!(own.headline, repeat.headline);
        assert_eq!(own.headline.operations, 500);
        all.push(p99(&own));
    }
    all.sort_by(f64::total_cmp);
    assert_eq!(all.len(), 3);
    assert!((p99(&median) - all[1]).abs() < 1e-9);
    // What a run with fewer leaves does not stand beside those of an earlier one.
    let once = run_in(dir.path(), &["--requests", "500", "--warmup", "0"]).output();
    assert!(once.expect("it runs").status.success());
    assert!(!results.join("repeat-1.json").exists());
    assert!(result_in(&results).repeats.is_empty());
}

/// With 32 at any rate, half of 50,000 operations per second waited for a client, a millisecond at the
/// median, before servers had anything to do with it.
#[test]
fn a_high_rate_has_more_clients_to_carry_it() {
    let server = Server::ready();
    let target = server.address.to_string();
    let cases = [("1", "10k", 32), ("1", "50k", 160), ("2", "1k..50k", 80), ("1", "100m", 256)];
    for (threads, rate, clients) in cases {
        let dir = TempDir::new().expect("a folder");
        let words = ["--threads", threads, "--rate", rate, "--requests", "1"];
        let (output, result) = program::run(&target, dir.path(), &words);
        let result = result.unwrap_or_else(|| panic!("{}", stderr(&output)));
        assert_eq!(result.scenario.clients, clients, "{rate}");
    }
}
