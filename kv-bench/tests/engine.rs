//! kv-core in this process as a target: what is called, in which order, and what is told of it.

mod program;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kv_bench::driver::{Fleet, Measured, Shape, Until};
use kv_bench::recorder::Time;
use kv_bench::result::RunResult;
use kv_bench::schedule::{Plan, Process, Rate, Schedule};
use kv_bench::target::{Codec as _, InProcess, Operation, Target as _};
use kv_bench::workload::{
    Command, Filling, KeyDistribution, Keys, Mix, Request, Sizes, Values, Workload,
};
use kv_core::data_dir::{DataDir, Durability, Progress};
use kv_core::engine::Tally;
use kv_core::resp::Encoder;
use kv_core::resp::request::OwnedArgs;
use kv_core::storage::Disk;
use kv_core::{Call, Engine, Spec};
use program::{assert_refused, kv_bench, stderr};
use tempfile::TempDir;

const KEY_SIZE: usize = 16;

/// What the engine answers, in RESP.
fn ask(engine: &Engine, words: &[&str]) -> String {
    let args: OwnedArgs = words.iter().collect();
    let spec = Spec::find(words[0].as_bytes()).expect("a command");
    let mut out = Encoder::default();
    let call = Call { spec, args: args.view(), db: 0 };
    engine.run(&call, &mut out, &mut Tally::default());
    String::from_utf8_lossy(out.bytes()).into_owned()
}

fn target(engine: &Arc<Engine>, ttl: Option<Duration>, commands: &[Command]) -> InProcess {
    InProcess::new(Arc::clone(engine), KEY_SIZE, ttl, commands).expect("commands of the engine")
}

/// The replies to one batch of these, each with a key and a value.
fn batch(target: &InProcess, calls: &[(Request, String, &str)]) -> String {
    let codec = target.codec();
    let (mut requests, mut replies) = (Vec::new(), Vec::new());
    for (request, key, value) in calls {
        let (key, value) = (key.as_bytes(), value.as_bytes());
        codec.encode(Operation { request: *request, key, value }, &mut requests);
    }
    target.caller().expect("it is called").call(&requests, &mut replies);
    String::from_utf8(replies).expect("text")
}

fn key(number: usize) -> String {
    format!("key:{number:012}")
}

#[test]
fn a_batch_longer_than_what_is_looked_ahead_for_is_called_in_its_order() {
    let engine = Arc::new(Engine::default());
    let target = target(&engine, None, &[]);
    let value = |number: usize| "v".repeat(number);
    let values: Vec<String> = (0..40).map(value).collect();
    let puts = (0..40).map(|number| (Request::Put, key(number), values[number].as_str()));
    let gets = (0..40).map(|number| (Request::Get, key(number), ""));
    let deletes = (0..41).map(|number| (Request::Delete, key(number), ""));
    let again = (Request::Get, key(7), "");
    let calls: Vec<_> = puts.chain(gets).chain(deletes).chain([again]).collect();
    let bulk = |value: &String| format!("${}\r\n{value}\r\n", value.len());
    let expected = [
        "+OK\r\n".repeat(40),
        values.iter().map(bulk).collect(),
        ":1\r\n".repeat(40),
        ":0\r\n$-1\r\n".to_owned(),
    ];
    assert_eq!(batch(&target, &calls), expected.concat());
    assert_eq!(ask(&engine, &["DBSIZE"]), ":0\r\n");
}

#[test]
fn commands_of_the_users_own_get_key_and_value_in_their_places() {
    let engine = Arc::new(Engine::default());
    let texts = ["SET a:__key__:b x__data__y__data__ PX 60000", "object ENCODING __key__", "GET z"];
    let commands: Vec<Command> =
        texts.iter().map(|text| Command::parse(text).expect(text)).collect();
    let target = target(&engine, None, &commands);
    let calls: Vec<_> =
        [(0, "one"), (0, "three")].map(|(n, v)| (Request::Command(n), key(1), v)).into();
    assert_eq!(batch(&target, &calls), "+OK\r\n+OK\r\n");
    let name = format!("a:{}:b", key(1));
    assert_eq!(ask(&engine, &["GET", &name]), "$12\r\nxthreeythree\r\n");
    assert_eq!(ask(&engine, &["TTL", &name]), ":60\r\n");
    let more = [(Request::Command(1), key(1), ""), (Request::Command(2), key(1), "")];
    assert_eq!(batch(&target, &more), "$-1\r\n$-1\r\n");
}

#[test]
fn what_lives_for_a_while_is_put_so() {
    let engine = Arc::new(Engine::default());
    let target = target(&engine, Some(Duration::from_mins(1)), &[]);
    assert_eq!(batch(&target, &[(Request::Put, key(1), "v")]), "+OK\r\n");
    assert_eq!(ask(&engine, &["TTL", &key(1)]), ":60\r\n");
}

#[test]
fn a_batch_whose_changes_are_not_kept_is_answered_with_errors() {
    let folder = TempDir::new().expect("a folder");
    let engine = Arc::new(Engine::default());
    let disk = Arc::new(Disk::open(folder.path()).expect("a folder of our own"));
    let _data_dir = DataDir::open(disk, &engine, Durability::Always, &Progress::default());
    let target = target(&engine, None, &[]);
    assert_eq!(batch(&target, &[(Request::Put, key(1), "v")]), "+OK\r\n");
    engine.log().expect("a log").close().expect("nothing is wrong with it");
    let replies = batch(&target, &[(Request::Put, key(1), "w"), (Request::Put, key(2), "w")]);
    let lines: Vec<&str> = replies.lines().collect();
    assert_eq!(lines.len(), 2, "{replies}");
    assert!(lines.iter().all(|line| line.starts_with("-MISCONF ")), "{replies}");
}

/// Runs so many operations of `mix` on a hundred keys.
fn drive(engine: &Arc<Engine>, mix: Mix, shape: (u32, u32, u32), schedule: &Schedule) -> Measured {
    let (threads, clients, pipeline) = shape;
    let shape = Shape { threads, clients, pipeline, timeout: Duration::from_secs(5) };
    let target = Arc::new(target(engine, None, mix.commands()));
    let workload = Arc::new(Workload {
        mix,
        keys: Keys::new("key:", 100, KeyDistribution::Uniform, shape.streams(schedule)),
        values: Values::new(&Sizes::Fixed(10), Filling::Printable, 1),
        seed: 1,
    });
    let mut fleet = Fleet::launch(&target, shape).expect("nothing to connect to");
    let until = Until::Operations(2_003);
    fleet.run(&workload, schedule, until, |_| ControlFlow::Continue(())).expect("it runs")
}

#[test]
fn every_shape_makes_exactly_the_calls_that_were_asked_for() {
    for shape in [(1, 1, 1), (1, 3, 64), (3, 2, 7), (2, 1, 1)] {
        let engine = Arc::new(Engine::default());
        (0..100).for_each(|number| drop(ask(&engine, &["SET", &key(number), "old"])));
        let mix = "get=2,put=1,insert=1".parse().expect("a mix");
        let counts = drive(&engine, mix, shape, &Schedule::CLOSED).counts;
        assert_eq!((counts.attempted(), counts.failed()), (2_003, 0), "{shape:?}");
        let inserted = counts.kinds[3].attempted;
        assert!(inserted > 400, "{inserted}");
        // The gets found theirs, and each insert has its own.
        assert_eq!(counts.kinds[0].misses, 0, "{shape:?}");
        assert_eq!(ask(&engine, &["DBSIZE"]), format!(":{}\r\n", 100 + inserted), "{shape:?}");
    }
}

#[test]
fn reads_that_are_followed_by_writes_are_so_in_process() {
    let engine = Arc::new(Engine::default());
    let counts = drive(&engine, "rmw".parse().expect("a mix"), (2, 2, 3), &Schedule::CLOSED).counts;
    assert_eq!((counts.attempted(), counts.failed()), (2_003, 0));
    assert_eq!(ask(&engine, &["DBSIZE"]), ":100\r\n");
}

#[test]
fn calls_that_are_due_at_a_rate_have_response_times_and_time_in_the_engine() {
    let engine = Arc::new(Engine::default());
    let course = "50k".parse::<Rate>().expect("a rate").over(Until::Operations(2_003));
    let course = Arc::new(course.expect("operations"));
    let schedule = Schedule::Open(Plan { course, process: Process::Constant, seed: 1 });
    let measured = drive(&engine, "put".parse().expect("a mix"), (2, 4, 2), &schedule);
    assert_eq!((measured.counts.attempted(), measured.counts.failed()), (2_003, 0));
    assert!(measured.latencies.is_open());
    for outcome in &measured.outcomes {
        let called_ns = outcome.called_ns.expect("it was called");
        assert!(called_ns > 0 && called_ns <= outcome.effort.wall_ns, "{called_ns}");
    }
}

/// Times of calls were those of a later call of the same client, when an operation fell due during a
/// call and its client had room: two calls of 30 ms, one after the other, took 70 ms and 30.
#[test]
fn a_call_is_timed_by_itself_whatever_falls_due_during_it() {
    let engine = Arc::new(Engine::default());
    ask(&engine, &["SET", &key(0), &"v".repeat(60_000_000)]);
    let shape = Shape { threads: 1, clients: 1, pipeline: 2, timeout: Duration::from_secs(5) };
    let until = Until::Operations(2);
    let course = Arc::new("200".parse::<Rate>().expect("a rate").over(until).expect("two"));
    let schedule = Schedule::Open(Plan { course, process: Process::Constant, seed: 1 });
    let workload = Arc::new(Workload {
        mix: "get".parse().expect("a mix"),
        keys: Keys::new("key:", 1, KeyDistribution::Uniform, 1),
        values: Values::new(&Sizes::Fixed(10), Filling::Printable, 1),
        seed: 1,
    });
    let target = Arc::new(target(&engine, None, &[]));
    let mut fleet = Fleet::launch(&target, shape).expect("nothing to connect to");
    // A worker that comes to the first too late makes one batch of both, whose times are equal.
    let mut tries = (0..100).filter_map(|_| {
        let measured = fleet.run(&workload, &schedule, until, |_| ControlFlow::Continue(()));
        let measured = measured.expect("it runs");
        let service = measured.latencies.successes(Time::Service);
        let is_apart = service.max() > service.min() * 21 / 20;
        let counts = &measured.counts;
        let run_ns = counts.last_reply_ns.expect("two") - counts.first_send_ns.expect("two");
        is_apart.then_some((service.min() + service.max(), run_ns))
    });
    let (both_ns, run_ns) = tries.next().expect("two calls");
    assert!(both_ns <= run_ns * 101 / 100, "{both_ns} ns of {run_ns}");
}

fn run(target: &str, dir: &Path, words: &[&str]) -> RunResult {
    let (output, result) = program::run(target, dir, words);
    assert!(output.status.success(), "{}", stderr(&output));
    result.expect("written")
}

#[test]
fn a_result_says_that_there_was_no_network() {
    let dir = TempDir::new().expect("a folder");
    let result = run("engine:", dir.path(), &["--requests", "1000", "--keys", "100"]);
    assert_eq!(result.servers[0].address, "in process, no network");
    assert_eq!(result.scenario.targets, ["engine:"]);
    assert_eq!(result.scenario.durability.as_deref(), Some("none"));
    // A store of its own is preloaded and written to, as spawned servers are.
    assert!(result.operations.put.expect("in the mix").count > 0);
    assert!(result.headline.hits > 800, "{:?}", result.headline);
    let told = |texts: &[String]| texts.iter().any(|text| text.starts_with("in process, "));
    assert!(told(&result.warnings), "{:?}", result.warnings);
    assert!(result.environment.servers[0].ends_with("(in process, no network)"));
}

#[test]
fn a_folder_of_ones_own_is_read_alone_unless_writes_are_asked_for_and_keeps_them() {
    let dir = TempDir::new().expect("a folder");
    let target = format!("engine:?data-dir={}", dir.path().join("store").display());
    let keys = ["--keys", "50", "--requests", "200"];
    let empty = run(&target, dir.path(), &keys);
    assert_eq!((empty.headline.hits, empty.headline.misses), (0, 200));
    assert_eq!(empty.scenario.durability.as_deref(), Some("everysec"));
    let put = ["--mix", "put", "--key-distribution", "sequential"];
    run(&target, dir.path(), &[&keys[..], &put].concat());
    let full = run(&target, dir.path(), &keys);
    assert_eq!((full.headline.hits, full.headline.misses), (200, 0));
}

#[test]
fn each_point_of_a_curve_over_the_engine_begins_with_its_keys() {
    let dir = TempDir::new().expect("a folder");
    let output = kv_bench(&["curve", "--target", "engine:?durability=os", "--threads", "1"])
        .args(["--requests", "500", "--keys", "100", "--curve-time", "2s", "--mix", "get", "--out"])
        .arg(dir.path().join("results"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result = kv_bench::report::json::load(&dir.path().join("results/result.json"));
    let points = result.expect("written").points;
    assert!(!points.is_empty() && points.iter().all(|point| point.misses == 0), "{points:?}");
}

#[test]
fn what_makes_no_sense_in_process_is_refused_with_the_reason() {
    let with = |words: &[&'static str]| [&["--target", "engine:"], words].concat();
    let cases: Vec<(Vec<&str>, &str)> = vec![
        (with(&["--target", "127.0.0.1:1"]), "--target 'engine:': it is measured alone"),
        (with(&["--ring", "ketama"]), "--ring ketama: only where several servers share the keys"),
        (with(&["--insecure"]), "--insecure: only for rediss:// targets, and there is none"),
        (with(&["--chaos", "kill:1@1s"]), "--target cannot be used with --chaos"),
        (
            with(&["--command", "PING"]),
            "--command 'PING': PING is for a server to run, and engine: is none: it runs commands",
        ),
        (with(&["--command", "NONE __key__"]), "the engine has no NONE"),
        (
            with(&["--command", "GET"]),
            "--command 'GET': ERR wrong number of arguments for 'get' command",
        ),
        (with(&["--command", "OBJECT NONE __key__"]), "unknown subcommand"),
        (vec!["--servers", "engine:"], "--servers 'engine:': no server, but kv-core in kv-bench"),
        (vec!["--target", "engine://here"], "the engine in kv-bench has no place (valid: engine:"),
        (vec!["--target", "engine:?speed=9"], "'speed=9' makes no sense there (valid: engine:"),
        (vec!["--target", "engine:?data-dir="], "'data-dir=' makes no sense there"),
        (vec!["--target", "engine:?durability=x"], "it is os, everysec, always, or without a data"),
        (vec!["--target", "engine:?durability=snapshot"], "none for an engine without a server"),
        (vec!["--target", "engine:?durability=none&data-dir=x"], "none for an engine without a"),
    ];
    let cases: Vec<(&[&str], &str)> =
        cases.iter().map(|(words, told)| (words.as_slice(), *told)).collect();
    assert_refused(&cases);
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let dir = TempDir::new().expect("a folder");
    let (output, result) = program::run("engine:?data-dir=/dev/null/x", dir.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(result.is_none());
    let message = stderr(&output);
    assert!(message.contains("cannot use the data folder /dev/null/x"), "{message}");
}
