//! Servers that die, stall, come back or come late, and a machine that is busy: what a run says of
//! them, through the real program.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod processes;
mod program;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;
mod server;

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use kv_bench::report;
use kv_bench::result::{Limit, Part, RunResult, Verdict};
use processes::{cpu_ticks, script, servers_in, signal};
use program::{Running, kv_bench, stderr, wait_for};
use scripted::Answer;
use server::Server;
use tempfile::TempDir;

/// Waits until a server has answered for a while: 50 ms of CPU time are more than its start takes.
fn await_load(server: &Server) {
    let before = cpu_ticks(server.child.id()).expect("it runs");
    wait_for(|| cpu_ticks(server.child.id()).filter(|&ticks| ticks >= before + 5));
}

fn kill(server: &mut Server) {
    signal(server.child.id(), "KILL");
    server.child.wait().expect("it was ours");
}

/// Whether a process uses no CPU time for a while.
fn is_idle(pid: u32) -> bool {
    let ticks = || cpu_ticks(pid);
    let before = ticks();
    std::thread::sleep(Duration::from_millis(200));
    ticks() == before
}

/// A run of `words` with its results in `dir`.
fn start(dir: &Path, words: &[&str]) -> Running {
    let mut command = kv_bench(&["run", "--warmup", "0", "--threads", "2", "--clients", "2"]);
    command.args(words).arg("--out").arg(dir.join("results"));
    Running::start(command.env("TMPDIR", dir))
}

fn finish(run: Running, dir: &Path) -> (Output, RunResult) {
    let output = run.end();
    let result = report::json::load(&dir.join("results/result.json"));
    let result = result.unwrap_or_else(|error| panic!("{error:?} {}", stderr(&output)));
    (output, result)
}

/// Asserts that a run was cut short by the loss of the server that `name` names.
fn assert_lost(output: &Output, result: &RunResult, name: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    assert!(stderr(output).contains(name), "{}", stderr(output));
    assert!(result.partial);
    assert_eq!(result.cut, Some(Part::Headline));
    assert_eq!(
        (result.trust.verdict, result.trust.limited_by),
        (Verdict::Untrusted, Limit::Server)
    );
    let told = |texts: &[String]| {
        texts.iter().any(|text| text.starts_with(name) && text.contains("it did not come back"))
    };
    assert!(told(&result.trust.reasons), "{:?}", result.trust.reasons);
    assert!(told(&result.warnings), "{:?}", result.warnings);
    assert_no_other_command_is_advised(result);
}

/// No command makes a dead server answer.
fn assert_no_other_command_is_advised(result: &RunResult) {
    let reasons = result.trust.reasons.join("\n");
    assert!(!reasons.contains("likely trusted"), "{reasons}");
    assert!(reasons.contains("measure again when it does, whatever the command"), "{reasons}");
}

/// A server that answers nobody for `pause`, from operation `first` on.
fn stalling(first: usize, pause: Duration) -> scripted::Server {
    let end = OnceLock::new();
    scripted::Server::start(move |number, _| {
        if number < first {
            return Answer::Normal;
        }
        let end: &Instant = end.get_or_init(|| Instant::now() + pause);
        Answer::Late(end.saturating_duration_since(Instant::now()))
    })
}

fn silence_s(result: &RunResult) -> f64 {
    result.headline.longest_silence.map_or(0.0, |silence| silence.length_s)
}

/// It ended as a success, its duration with the last reply: a run with a dead server looked better
/// than one without. And each of its clients had counted a failed operation per millisecond.
#[test]
fn a_running_server_that_dies_is_named_and_its_absence_counts() {
    let (dir, mut server) = (TempDir::new().expect("a folder"), Server::ready());
    let words = ["--target", &server.address.to_string(), "--duration", "10s", "--timeout", "5s"];
    let run = start(dir.path(), &words);
    await_load(&server);
    kill(&mut server);
    let killed = Instant::now();
    let (output, result) = finish(run, dir.path());
    let away_s = killed.elapsed().as_secs_f64();
    assert_lost(&output, &result, &server.address.to_string());
    let all = &result.headline;
    assert!(all.duration_s > 9.9, "clients waited until the end: {all:?}");
    assert!(all.silent_s.is_some(), "{all:?}");
    let silent = result.warnings.iter().any(|text| text.starts_with("no reply for the last "));
    assert!(silent, "{:?}", result.warnings);
    // Four clients, each with one in flight and then one per timeout, and one at the end.
    let most = 4.0 * (2.0 + away_s / 5.0);
    assert!(all.errors > 0 && all.errors as f64 <= most, "{:?} in {away_s} s", result.errors);
}

#[test]
fn a_number_of_operations_is_given_up_when_one_server_of_several_stays_away() {
    let dir = TempDir::new().expect("a folder");
    let (one, mut other) = (Server::ready(), Server::ready());
    let list = format!("a={},b={}", one.address, other.address);
    let words = ["--servers", &list, "--requests", "100g", "--timeout", "200ms"];
    let run = start(dir.path(), &words);
    await_load(&other);
    kill(&mut other);
    let (output, result) = finish(run, dir.path());
    let name = format!("b ({})", other.address);
    assert_lost(&output, &result, &name);
    assert!(stderr(&output).contains("has not answered for"), "{}", stderr(&output));
    assert!(stderr(&output).contains("see whether it runs"), "{}", stderr(&output));
}

#[test]
fn a_run_of_a_given_time_is_given_up_when_nobody_answers() {
    let (dir, mut server) = (TempDir::new().expect("a folder"), Server::ready());
    let words =
        ["--target", &server.address.to_string(), "--duration", "10m", "--timeout", "200ms"];
    let run = start(dir.path(), &words);
    await_load(&server);
    kill(&mut server);
    let (output, result) = finish(run, dir.path());
    assert_lost(&output, &result, &server.address.to_string());
}

#[test]
fn an_outage_with_a_recovery_is_told_and_is_no_failure() {
    let (dir, mut server) = (TempDir::new().expect("a folder"), Server::ready());
    let words = ["--target", &server.address.to_string(), "--duration", "10s"];
    let run = start(dir.path(), &words);
    await_load(&server);
    kill(&mut server);
    let server = Server::at(server.address.port());
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!result.partial && result.cut.is_none());
    // None, when nothing was in flight at that moment.
    assert!(result.headline.errors <= 4, "what was in flight: {:?}", result.errors);
    let told = |text: &String| {
        text.starts_with(&server.address.to_string()) && text.contains("; it was back at the end")
    };
    assert!(result.trust.reasons.iter().any(told), "{:?}", result.trust.reasons);
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
}

/// It was said to be back, which nobody had looked at.
#[test]
fn a_server_that_is_away_when_the_run_is_interrupted_is_not_said_to_be_back() {
    let dir = TempDir::new().expect("a folder");
    let (one, mut other) = (Server::ready(), Server::ready());
    let list = format!("a={},b={}", one.address, other.address);
    let words = ["--servers", &list, "--duration", "10m", "--timeout", "10m"];
    let run = start(dir.path(), &words);
    await_load(&other);
    kill(&mut other);
    // All clients wait for it: the other one has nothing to do.
    wait_for(|| is_idle(one.child.id()).then_some(()));
    signal(run.id(), "INT");
    let (output, result) = finish(run, dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let end = "; it was away when the run was interrupted";
    let told = |text: &String| text.starts_with("b (") && text.ends_with(end);
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
    let all = format!("{:?}{:?}", result.warnings, result.trust.reasons);
    assert!(!all.contains("back at the end"), "{all}");
    assert_eq!(result.errors.timeout, 0, "none was as old as the timeout: {:?}", result.errors);
}

/// Nothing was away, nothing had failed, and the figures of the other one were TRUSTED.
#[test]
fn a_server_that_hangs_when_the_run_is_interrupted_makes_it_untrusted() {
    let dir = TempDir::new().expect("a folder");
    let (one, other) = (Server::ready(), Server::ready());
    let list = format!("a={},b={}", one.address, other.address);
    let run = start(dir.path(), &["--servers", &list, "--duration", "10m", "--timeout", "10m"]);
    await_load(&other);
    signal(other.child.id(), "STOP");
    wait_for(|| is_idle(one.child.id()).then_some(()));
    signal(run.id(), "INT");
    let (output, result) = finish(run, dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let verdict = (result.trust.verdict, result.trust.limited_by);
    assert_eq!(verdict, (Verdict::Untrusted, Limit::Server), "{:?}", result.trust);
    let told = |text: &String| {
        text.starts_with("b (")
            && text.contains("4 operations unanswered, no reply for ")
            && text.ends_with("; it was away when the run was interrupted")
    };
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
    assert!(!result.warnings.iter().any(|text| text.starts_with("a (")), "{:?}", result.warnings);
    assert_no_other_command_is_advised(&result);
}

/// A stop of the server well below the timeout was in the maximum alone.
#[test]
fn a_silence_in_which_all_clients_waited_is_told() {
    let dir = TempDir::new().expect("a folder");
    let server = stalling(300, Duration::from_millis(600));
    let target = server.address.to_string();
    let run = start(dir.path(), &["--target", &target, "--requests", "3000"]);
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(result.headline.errors, 0);
    assert!(silence_s(&result) >= 0.5, "{:?}", result.headline.longest_silence);
    let told = |text: &String| {
        text.starts_with(&format!("{target}: no reply for "))
            && text.contains(" s into the run, while all 4 clients waited; ")
            && text.contains("see what it did then")
    };
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
    assert!(result.trust.reasons.iter().any(told), "{:?}", result.trust.reasons);
}

/// It was told of all clients, when the others had nothing left to do.
#[test]
fn a_silence_for_the_last_client_is_told_of_it_alone() {
    let dir = TempDir::new().expect("a folder");
    // The first that comes is the look at the server.
    let server = stalling(400, Duration::from_millis(800));
    let target = server.address.to_string();
    let run = start(dir.path(), &["--target", &target, "--requests", "400"]);
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let told = |text: &String| text.contains("while the last 1 of 4 clients waited");
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
}

#[test]
fn a_client_that_waits_while_others_are_answered_is_no_silence() {
    let dir = TempDir::new().expect("a folder");
    let pause = Duration::from_secs(1);
    let server =
        scripted::Server::start(
            move |number, _| {
                if number == 300 { Answer::Late(pause) } else { Answer::Normal }
            },
        );
    // The others have enough to do meanwhile.
    let target = server.address.to_string();
    let run = start(dir.path(), &["--target", &target, "--duration", "2s"]);
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(result.headline.service_us.is_some_and(|us| us.max >= 1e6), "{:?}", result.headline);
    assert!(silence_s(&result) < 0.9, "{:?}", result.headline.longest_silence);
}

/// It was said to be away for as long as its connections were, which is not before the timeout.
#[test]
fn a_silence_goes_on_through_timeouts() {
    let dir = TempDir::new().expect("a folder");
    let server = stalling(300, Duration::from_millis(1500));
    let target = server.address.to_string();
    let words = ["--target", &target, "--duration", "4s", "--timeout", "500ms"];
    let (output, result) = finish(start(dir.path(), &words), dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(result.errors.timeout > 0, "{:?}", result.errors);
    assert!(silence_s(&result) >= 1.4, "{:?}", result.headline.longest_silence);
    let told = |text: &String| {
        text.contains(" timed out, no reply for ") && text.ends_with("; it answered again")
    };
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
}

/// A run of two seconds took as much longer as its timeout, without a word.
#[test]
fn the_wait_for_the_last_outcome_beyond_the_duration_is_told_and_shown() {
    if !peer::is_there("script") {
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let server = scripted::Server::start(
        |number, _| {
            if number < 300 { Answer::Normal } else { Answer::Never }
        },
    );
    let run = format!(
        "{} run --warmup 0 --threads 2 --clients 2 --target {} --duration 1s --timeout 3s --out {}",
        env!("CARGO_BIN_EXE_kv-bench"),
        server.address,
        dir.path().join("results").display()
    );
    // The live line is for terminals.
    let mut terminal = Command::new("script");
    let output = terminal.args(["-qec", &run, "/dev/null"]).stdin(Stdio::null()).output();
    let output = output.expect("it runs");
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}");
    // How much of it is left when the line is drawn first depends on how busy the machine is.
    assert!(
        shown.contains(" · waiting up to ") && shown.contains(" s for the last 4 op"),
        "{shown}"
    );
    let result = report::json::load(&dir.path().join("results/result.json")).expect("a result");
    let told = |text: &String| {
        text.starts_with("4 operations had no outcome at the end of the 1 s: the run waited ")
            && text.ends_with(" longer (an operation has --timeout, 3 s)")
    };
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
}

/// What a stopped generator did not take was told of the server, and what it did not send was
/// trusted.
#[test]
fn a_generator_that_was_stopped_blames_itself() {
    let (dir, server) = (TempDir::new().expect("a folder"), Server::ready());
    let words = ["--target", &server.address.to_string(), "--duration", "3s", "--timeout", "600ms"];
    let run = start(dir.path(), &words);
    await_load(&server);
    signal(run.id(), "STOP");
    // Longer than the timeout: what was answered meanwhile has not timed out.
    std::thread::sleep(Duration::from_secs(1));
    signal(run.id(), "CONT");
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(result.headline.errors, 0, "{:?}", result.errors);
    let verdict = (result.trust.verdict, result.trust.limited_by);
    assert_eq!(verdict, (Verdict::Untrusted, Limit::Generator), "{:?}", result.trust);
    let reasons = result.trust.reasons.join("\n");
    assert!(reasons.contains("kv-bench itself did not run for "), "{reasons}");
    assert!(silence_s(&result) < 0.9, "{:?}", result.headline.longest_silence);
}

/// A stall of four seconds left no trace in the latencies: what the timeout had cut was in none.
#[test]
fn what_a_timeout_cut_is_in_the_latencies_of_failures() {
    let (dir, server) = (TempDir::new().expect("a folder"), Server::ready());
    let words = ["--target", &server.address.to_string(), "--duration", "2s", "--timeout", "300ms"];
    let run = start(dir.path(), &words);
    await_load(&server);
    signal(server.child.id(), "STOP");
    let (output, result) = finish(run, dir.path());
    assert_lost(&output, &result, &server.address.to_string());
    let failures = result.headline.error_us.expect("their latencies");
    assert!(failures.max >= 300_000.0, "{failures:?}");
    assert!(result.errors.timeout > 0, "{:?}", result.errors);
    let told = |text: &String| {
        text.contains("took longer than --timeout (0.3 s)") && text.contains("of successes")
    };
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.lines().any(|line| line.starts_with("failed ")), "{table}");
    let page = std::fs::read_to_string(dir.path().join("results/report.md")).expect("written");
    assert!(page.contains("| failed"), "{page}");
}

#[test]
fn a_server_that_is_just_starting_is_waited_for() {
    let dir = TempDir::new().expect("a folder");
    let port = peer::free_port();
    let target = format!("127.0.0.1:{port}");
    let run = start(dir.path(), &["--target", &target, "--requests", "100"]);
    // The folder is made just before the first look at the server.
    wait_for(|| dir.path().join("results").exists().then_some(()));
    let _server = Server::at(port);
    let (output, result) = finish(run, dir.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!((result.headline.operations, result.headline.errors), (100, 0));
}

#[test]
fn what_other_processes_use_is_told() {
    let (dir, server) = (TempDir::new().expect("a folder"), Server::ready());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("a shell");
    let mut others: Vec<Child> = (0..cores * 2).map(|_| spin()).collect();
    let run = start(dir.path(), &["--target", &server.address.to_string(), "--duration", "1s"]);
    let (_, result) = finish(run, dir.path());
    for other in &mut others {
        other.kill().expect("it spins");
        other.wait().expect("it was ours");
    }
    let told = |text: &String| text.starts_with("other processes used ");
    assert!(result.trust.reasons.iter().any(told), "{:?}", result.trust.reasons);
}

#[test]
fn a_curve_that_is_cut_short_leaves_its_headline_whole() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--servers", "1", "--threads", "2", "--requests", "1000", "--keys", "1k"];
    let mut command = kv_bench(&words);
    command.args(["--curve-time", "10m", "--out"]).arg(dir.path().join("results"));
    let run = Running::start(command.env("TMPDIR", dir.path()));
    let file = dir.path().join("results/result.json");
    wait_for(|| report::json::load(&file).ok());
    signal(run.id(), "INT");
    let (output, result) = finish(run, dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!((result.partial, result.cut), (true, Some(Part::Curve)));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("this is whole, the curve was cut short"), "{text}");
    let planned = result.curve.expect("its plan").points_planned;
    assert_eq!(planned, 2);
    let cut = match result.points.len() {
        0 => "the curve was cut short in the first of 2 points".to_owned(),
        _ => "the curve was cut short after 1 of 2 points, at 1 server and 1 client".to_owned(),
    };
    assert!(result.warnings.iter().any(|text| text.starts_with(&cut)), "{:?}", result.warnings);
    assert!(!text.contains("PARTIAL"), "{text}");
}

/// The message named the process above the server, and quoted what the server had said at its start.
#[test]
fn the_end_of_a_server_below_a_script_is_told_of_the_server() {
    if !peer::is_there("redis-server") {
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let wrapper = script(dir.path(), "redis-server \"$@\"");
    let wrapper = wrapper.to_string_lossy();
    let run = start(dir.path(), &["--server-bin", &wrapper, "--duration", "10m", "--keys", "1k"]);
    let is_redis = |pid: &u32| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        name.is_ok_and(|name| name.starts_with("redis-server"))
    };
    let server = wait_for(|| servers_in(dir.path()).into_iter().find(is_redis));
    wait_for(|| cpu_ticks(server).filter(|&ticks| ticks >= 20));
    signal(server, "KILL");
    let (output, result) = finish(run, dir.path());
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let told = format!("server_1 (pid {server}): it ended with exit code 137 (killed by signal 9)");
    assert!(message.contains(&told), "{message}");
    assert!(!message.contains("Ready to accept"), "{message}");
    assert_eq!(result.cut, Some(Part::Headline));
}
