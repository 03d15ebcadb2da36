//! `--on-node-fail`: servers that are away, and others that stand in for them.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "other tests need more of it")]
mod processes;
mod program;
mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::ops::ControlFlow;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use kv_bench::driver::{Fleet, Measured, Until};
use kv_bench::recorder::{Counts, Time};
use kv_bench::report;
use kv_bench::result::{Ejected, NodeFailures, RunResult};
use kv_bench::target::{
    Address, Credentials, Detours, Ejection, Endpoint, OnNodeFail, Protocol, Rerouted, Resp,
};
use kv_core::ring::{Ring, RingMode};
use processes::signal;
use program::{Running, assert_refused, kv_bench, stderr, wait_for};
use run::{Run, VALUE_SIZE, assert_accounted};
use scripted::{Answer, Server};
use tempfile::TempDir;

/// Attempts that fail before a server is taken for down.
const FAILURES: usize = 3;

fn names(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("server_{number}")).collect()
}

fn detours(rule: OnNodeFail, mode: RingMode, count: usize) -> Detours {
    Detours::new(rule, mode, &names(count)).expect("a ring")
}

fn fail(detours: &Detours, node: usize) {
    (0..FAILURES).for_each(|_| detours.failed(node));
}

#[test]
fn keys_of_a_server_that_is_ejected_go_where_the_ring_without_it_has_them() {
    for mode in [RingMode::Slots, RingMode::Ketama, RingMode::Uhashring] {
        let detours = detours(OnNodeFail::Eject, mode, 4);
        (0..FAILURES - 1).for_each(|_| detours.failed(1));
        detours.review(5);
        assert!(!detours.is_ejected(1), "it may be a moment's");
        detours.connected(1);
        detours.failed(1);
        detours.review(6);
        assert!(!detours.is_ejected(1), "not in a row");
        fail(&detours, 1);
        detours.review(7);
        assert!(detours.is_ejected(1) && !detours.is_ejected(0));
        let left = ["server_1", "server_3", "server_4"];
        let ring = Ring::new(mode, &left).expect("a ring");
        let around = detours.around();
        for number in 0..1000 {
            let key = format!("key:{number:012}");
            let expected = left[ring.owner(key.as_bytes())];
            assert_eq!(names(4)[around.owner(key.as_bytes())], expected, "{mode}");
        }
        detours.connected(1);
        detours.review(9);
        assert!(!detours.is_ejected(1), "it is back");
        let ejection = Ejection { node: 1, from_ns: 7, until_ns: Some(9) };
        assert_eq!(detours.ejections(), [ejection]);
    }
}

#[test]
fn the_last_server_is_never_ejected() {
    let detours = detours(OnNodeFail::Eject, RingMode::Slots, 3);
    (0..3).for_each(|node| fail(&detours, node));
    detours.review(1);
    let ejected: Vec<_> = (0..3).filter(|&node| detours.is_ejected(node)).collect();
    assert_eq!(ejected.len(), 2);
    // Somebody else can answer: now the one that had stayed goes.
    detours.connected(ejected[0]);
    detours.review(2);
    let now: Vec<_> = (0..3).filter(|&node| detours.is_ejected(node)).collect();
    assert_eq!(now.len(), 2);
    assert!(!now.contains(&ejected[0]), "{now:?}");
}

/// Keys whose last digit is even belong to the first of two servers.
fn measure(rule: OnNodeFail, servers: [&Server; 2], run: &Run, operations: u64) -> Measured {
    let endpoint = |server: &&Server| Endpoint {
        name: server.address.to_string(),
        address: Address::Tcp(server.address),
        protocol: Protocol::Resp,
        credentials: Credentials::default(),
    };
    let endpoints: Vec<Endpoint> = servers.iter().map(endpoint).collect();
    let owner = Box::new(|key: &[u8]| usize::from(key[key.len() - 1] - b'0') % 2);
    let key_size = run.keys().buffer().bytes().len();
    let resp = Resp::new(&endpoints, owner, key_size, VALUE_SIZE);
    let target = Rerouted::new(resp, Arc::new(detours(rule, RingMode::Slots, 2)));
    let mut fleet = Fleet::launch(&Arc::new(target), run.shape).expect("they accept");
    let watch = |_: &_| ControlFlow::Continue(());
    let until = Until::Operations(operations);
    let measured = fleet.run(&run.workload(), &run.schedule, until, watch).expect("an event loop");
    assert_accounted(&measured, operations);
    measured
}

fn a_run() -> Run {
    Run::against(&[]).shape(1, 1, 4).mix("get=1,put=1")
}

fn normal() -> Server {
    Server::start(|_, _| Answer::Normal)
}

#[test]
fn what_is_in_flight_to_a_server_that_hangs_up_is_done_by_the_next_one() {
    let first = Server::start(|number, _| match number {
        20 => Answer::Close,
        _ => Answer::Normal,
    });
    let second = normal();
    let measured = measure(OnNodeFail::Next, [&first, &second], &a_run(), 400);
    assert_eq!(measured.counts.failed(), 0, "{:?}", measured.counts.errors);
    let [retried, elsewhere] = [measured.counts.retried, measured.counts.elsewhere[0]];
    assert!((1..=4).contains(&retried), "{retried}");
    assert!(elsewhere >= retried, "{elsewhere}");
    // Each was answered once; the first server had seen those that it did not answer.
    let seen = [&first, &second].map(|server| server.seen.lock().expect("unpoisoned").len() as u64);
    assert!(seen[0] + seen[1] <= 400 + retried && seen[0] + seen[1] > 400, "{seen:?}");
    // Each counts for who did it.
    assert_eq!(measured.counts.nodes[1], seen[1]);
    assert_eq!(measured.counts.elsewhere[1], 0);

    let first = Server::start(|number, _| match number {
        20 => Answer::Close,
        _ => Answer::Normal,
    });
    let measured = measure(OnNodeFail::Error, [&first, &second], &a_run(), 400);
    assert!((1..=4).contains(&measured.counts.failed()), "by default, they are errors");
    assert_eq!((measured.counts.retried, measured.counts.elsewhere[0]), (0, 0));
}

#[test]
fn the_time_of_an_operation_that_is_tried_again_has_both_tries_in_it() {
    let first = Server::start(|_, _| Answer::Never);
    let second = normal();
    for open in [false, true] {
        let mut run = a_run().shape(1, 1, 1).timeout(Duration::from_millis(200));
        if open {
            let process = kv_bench::schedule::Process::Constant;
            run = run.at_rate("100", process, Until::Operations(10));
        }
        let measured = measure(OnNodeFail::Next, [&first, &second], &run, 10);
        assert_eq!(measured.counts.failed(), 0, "{:?}", measured.counts.errors);
        assert!(measured.counts.retried > 0);
        let time = if open { Time::Response } else { Time::Service };
        assert!(measured.latencies.successes(time).max() >= 199_000_000);
    }
}

#[test]
fn an_operation_that_is_sent_from_one_to_the_next_counts_once_and_for_the_last() {
    let mut counts = Counts::new(3);
    counts.nodes[0] = 1;
    for (course, nodes, elsewhere) in [
        ((0, 1), [0, 1, 0], 1),
        ((1, 2), [0, 0, 1], 1),
        ((2, 2), [0, 0, 1], 1),
        ((2, 0), [1, 0, 0], 0),
    ] {
        counts.reroute(course, 0);
        assert_eq!(
            (&counts.nodes[..], &counts.elsewhere[..]),
            (&nodes[..], &[elsewhere, 0, 0][..])
        );
    }
}

#[test]
fn an_operation_that_fails_twice_is_one_error() {
    let [first, second] = [(), ()].map(|()| Server::start(|_, _| Answer::Close));
    let run = a_run().shape(1, 1, 1).timeout(Duration::from_millis(300));
    let measured = measure(OnNodeFail::Next, [&first, &second], &run, 10);
    assert_eq!(measured.counts.failed(), 10);
    assert_eq!(measured.counts.errors.connection, 10, "{:?}", measured.counts.errors);
}

/// A run of three spawned servers in `dir`.
fn spawned(dir: &TempDir, words: &[&str]) -> (Output, RunResult) {
    let out = dir.path().join("results");
    let mut command = kv_bench(&["run", "--warmup", "0", "--threads", "2", "--clients", "2"]);
    command.args(["--servers", "3", "--keys", "1000", "--mix", "get=100", "--out"]);
    command.arg(&out).args(words).env("TMPDIR", dir.path());
    let output = Running::start(&mut command).end();
    assert!(output.status.success(), "{}", stderr(&output));
    (output, report::json::load(&out.join("result.json")).expect("written"))
}

fn failures(result: &RunResult) -> &NodeFailures {
    result.node_failures.as_ref().expect("a rule was given")
}

#[test]
fn a_killed_server_is_ejected_until_it_is_back() {
    let dir = TempDir::new().expect("a folder");
    let faults = ["--chaos", "kill:2@500ms, restart:2@1500ms", "--duration", "5s"];
    let rate = ["--rate", "2k"];
    for words in [&faults[..], &[&faults[..], &rate].concat()] {
        let (output, result) = spawned(&dir, &[words, &["--on-node-fail", "eject"]].concat());
        // What was in flight when it was killed, or on its way before it was found down.
        assert!(result.headline.errors <= 4, "{:?}", result.errors);
        let [failure] = &failures(&result).servers[..] else { panic!("{:?}", failures(&result)) };
        assert!(failure.server.starts_with("server_2"), "{failure:?}");
        let [Ejected { time, is_back: true }] = failure.ejections[..] else {
            panic!("{failure:?}")
        };
        assert!(time.start_s >= 0.5 && time.start_s + time.length_s >= 1.5, "{time:?}");
        assert!(failure.sent_elsewhere > 0 && failures(&result).retried == 0);
        // Its keys are not there, and not with itself any more, which had promised nothing.
        assert!(result.headline.misses >= failure.sent_elsewhere, "{:?}", result.headline);
        let told = result.warnings.iter().any(|warning| {
            warning.contains("ejected") && warning.contains("of its operations went to others")
        });
        assert!(told, "{:?}", result.warnings);
        assert_eq!(result.scenario.on_node_fail, "eject");
        let all = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(all.contains("went to others"), "{all}");
    }
}

#[test]
fn the_next_server_is_asked_while_one_is_away() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--chaos", "kill:2@500ms", "--duration", "2s", "--on-node-fail", "next"];
    let (_, result) = spawned(&dir, &words);
    assert_eq!(result.headline.errors, 0, "{:?}", result.errors);
    let [failure] = &failures(&result).servers[..] else { panic!("{:?}", failures(&result)) };
    assert!(failure.server.starts_with("server_2") && failure.ejections.is_empty(), "{failure:?}");
    assert_eq!(failures(&result).sent_elsewhere, failure.sent_elsewhere);
    assert_eq!(result.headline.misses, failure.sent_elsewhere, "those, and no others");
    // Others got more than their keys' share, and no key of theirs is popular.
    let popular = |text: &String| text.contains("popular");
    assert!(!result.warnings.iter().any(popular), "{:?}", result.warnings);
    // As many as before: nobody waits for it.
    let before = result.servers[1].operations;
    assert!(failure.sent_elsewhere > before / 10, "{failure:?}, {before} before");

    let words = ["--chaos", "kill:2@500ms", "--duration", "2s", "--timeout", "200ms"];
    let (_, result) = spawned(&dir, &words);
    assert!(result.headline.errors > 0 && result.headline.misses == 0);
    assert!(result.node_failures.is_none());
}

/// Waits until a server has been asked for some keys.
fn await_load(redis: &peer::Redis) {
    let is_many = |line: &str| {
        let (name, count) = line.trim().split_once(':')?;
        Some(name.starts_with("keyspace_") && count.parse::<u64>().ok()? >= 10)
    };
    let asked = |line: &str| is_many(line).unwrap_or(false);
    wait_for(|| redis.ask(&["info", "stats"]).lines().any(asked).then_some(()));
}

/// A running server that dies and stays away ends no run that was told what to do then.
#[test]
fn a_run_goes_on_without_a_running_server_that_dies() {
    let Some((one, other)) = peer::Redis::start(&[]).zip(peer::Redis::start(&[])) else { return };
    for rule in ["eject", "next"] {
        let Some(dying) = peer::Redis::start(&[]) else { return };
        // What the run before had put there would be found.
        for redis in [&one, &other] {
            redis.ask(&["flushall"]);
        }
        let dir = TempDir::new().expect("a folder");
        let out = dir.path().join("results");
        let all = [&one, &other, &dying].map(|redis| redis.address().to_string());
        let mut run = kv_bench(&["run", "--servers", &all.join(","), "--on-node-fail", rule]);
        run.args(["--warmup", "0", "--requests", "30000", "--rate", "6k", "--timeout", "500ms"]);
        run.args(["--threads", "1", "--keys", "1000", "--preload", "--out"]).arg(&out);
        let run = Running::start(&mut run);
        await_load(&dying);
        let dead = dying.address().to_string();
        let _dead = dying.kill();
        let output = run.end();
        assert!(output.status.success(), "{rule}: {}", stderr(&output));
        let result = report::json::load(&out.join("result.json")).expect("written");
        assert_eq!(result.headline.operations, 30000);
        assert!(!result.partial);
        let [failure] = &failures(&result).servers[..] else { panic!("{:?}", failures(&result)) };
        assert_eq!(failure.server, dead);
        assert_eq!(result.headline.misses, failure.sent_elsewhere, "{rule}");
        if rule == "eject" {
            assert!(matches!(failure.ejections[..], [Ejected { is_back: false, .. }]));
        }
    }
}

/// What was measured was lost when the next measurement could not connect.
#[test]
fn a_measurement_is_repeated_without_a_server_that_died_before() {
    for rule in ["eject", "next"] {
        let started = [(), (), ()].map(|()| peer::Redis::start(&[]));
        let [Some(one), Some(dying), Some(other)] = started else { return };
        let all = [&one, &dying, &other].map(|redis| redis.address().to_string());
        let (dir, dead) = (TempDir::new().expect("a folder"), dying.address().to_string());
        let mut run = kv_bench(&["run", "--servers", &all.join(","), "--on-node-fail", rule]);
        run.args(["--warmup", "0", "--duration", "2s", "--repeat", "2", "--threads", "1"]);
        let run = Running::start(run.args(["--out"]).arg(dir.path().join("results")));
        await_load(&dying);
        let _dead = dying.kill();
        let output = run.end();
        assert!(output.status.success(), "{rule}: {}", stderr(&output));
        let loaded = |file: &str| report::json::load(&dir.path().join("results").join(file));
        let [first, second, median] = ["repeat-1.json", "repeat-2.json", "result.json"]
            .map(|file| loaded(file).unwrap_or_else(|error| panic!("{file}: {error:?}")));
        assert!(!median.partial && median.repeats.len() == 2);
        assert!(first.servers[1].operations > 0, "{:?}", first.servers);
        assert_eq!(second.servers[1].operations, 0, "{rule}: {:?}", second.servers);
        let absence = format!("{dead}: no connection; it was away at the end");
        let told = |text: &String| text.starts_with(&absence);
        assert!(second.warnings.iter().any(told), "{:?}", second.warnings);
    }
}

/// A slip in an address is no server that is away.
#[test]
fn a_server_that_never_was_there_is_refused_whoever_might_stand_in() {
    let Some(one) = peer::Redis::start(&[]) else { return };
    let dead = peer::DeadPort::new();
    let all = format!("{},127.0.0.1:{}", one.address(), dead.port);
    for rule in ["eject", "next"] {
        let dir = TempDir::new().expect("a folder");
        let mut run = kv_bench(&["run", "--servers", &all, "--on-node-fail", rule]);
        let run = Running::start(run.args(["--requests", "100", "--out"]).arg(dir.path()));
        let output = run.end();
        let told = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(&format!("127.0.0.1:{}", dead.port)), "{told}");
    }
}

/// Of a server that others stood in for it was said that it was back, which nobody had looked for.
#[test]
fn a_server_that_others_stand_in_for_when_the_run_is_interrupted_is_not_said_to_be_back() {
    for rule in ["eject", "next"] {
        let started = [(), (), ()].map(|()| peer::Redis::start(&[]));
        let [Some(one), Some(dying), Some(other)] = started else { return };
        let all = [&one, &dying, &other].map(|redis| redis.address().to_string());
        let dir = TempDir::new().expect("a folder");
        let mut run = kv_bench(&["run", "--servers", &all.join(","), "--on-node-fail", rule]);
        run.args(["--warmup", "0", "--duration", "10m", "--threads", "1"]);
        let run = Running::start(run.args(["--out"]).arg(dir.path().join("results")));
        await_load(&dying);
        let dead = dying.address().to_string();
        let _dead = dying.kill();
        one.ask(&["config", "resetstat"]);
        await_load(&one);
        signal(run.id(), "INT");
        let output = run.end();
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let result = report::json::load(&dir.path().join("results/result.json")).expect("kept");
        let reasons = &result.trust.reasons;
        let told = reasons.iter().find(|reason| reason.starts_with(&dead)).expect("it is told of");
        assert!(told.ends_with("; it was away when the run was interrupted"), "{rule}: {told}");
    }
}

/// Keys whose own server and the next one are both dead waited for a timeout each, for hours.
#[test]
fn a_number_of_operations_is_given_up_when_two_servers_stay_away_and_none_is_next() {
    let started = [(), (), ()].map(|()| peer::Redis::start(&[]));
    let [Some(one), Some(dying), Some(other)] = started else { return };
    let all = [&one, &dying, &other].map(|redis| redis.address().to_string());
    let dir = TempDir::new().expect("a folder");
    let mut run = kv_bench(&["run", "--servers", &all.join(","), "--on-node-fail", "next"]);
    run.args(["--warmup", "0", "--requests", "100g", "--timeout", "100ms", "--threads", "1"]);
    let run = Running::start(run.args(["--out"]).arg(dir.path().join("results")));
    await_load(&dying);
    drop((dying, other));
    let output = run.end();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("has not answered for "), "{}", stderr(&output));
}

#[test]
fn rules_that_make_no_sense_are_refused_in_one_line() {
    let two = ["--servers", "2"];
    assert_refused(&[
        (
            &[&two[..], &["--on-node-fail", "retry"]].concat(),
            "--on-node-fail retry: no such rule (valid: error, eject, next)",
        ),
        (&["--on-node-fail", "eject"], "there is one server, and nobody to stand in for it"),
        (
            &[&two[..], &["--on-node-fail", "next", "--verify", "--mix", "get=1,put=1"]].concat(),
            "what --verify finds says nothing of the servers",
        ),
        (
            &["--target", "redis-cluster://127.0.0.1:7", "--on-node-fail", "eject"],
            "a Redis Cluster fails over by itself",
        ),
    ]);
    let output =
        kv_bench(&["--servers", "2", "--on-node-fail", "eject"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("kv-bench run --on-node-fail eject"), "{}", stderr(&output));
}
