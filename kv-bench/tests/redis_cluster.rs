//! A real Redis Cluster under load: its keys lie where its own clients look for them, and keys that
//! move and nodes that die are met on the way.

#[path = "../../kv-server/tests/support/certificates.rs"]
mod certificates;
mod nodes;
#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;

use std::collections::BTreeMap;
use std::path::Path;

use certificates::Certificates;
use kv_bench::report;
use kv_bench::result::{Redirects, RunResult, ServerShare};
use nodes::Nodes;
use program::{Running, assert_refused, kv_bench, stderr, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

fn key(number: u32) -> String {
    format!("kvb:key:{number:012}")
}

/// A run that ends well.
fn measure(target: &str, words: &[&str]) -> RunResult {
    let dir = TempDir::new().expect("a folder");
    let (output, result) = program::run(target, dir.path(), words);
    assert!(output.status.success(), "{}", stderr(&output));
    result.expect("written")
}

/// A run that goes on while the test does something.
fn begin(target: &str, dir: &Path, words: &[&str]) -> Running {
    let mut command =
        kv_bench(&["run", "--warmup", "0", "--threads", "2", "--target", target, "--out"]);
    Running::start(command.arg(dir.join("results")).args(words))
}

/// Waits for its end: whether it was well, what it said, and what it measured.
fn end(run: Running, dir: &Path) -> (bool, String, RunResult) {
    let output = run.end();
    let result = report::json::load(&dir.join("results/result.json"));
    (output.status.success(), stderr(&output), result.expect("written"))
}

fn server<'a>(result: &'a RunResult, nodes: &Nodes, index: usize) -> Option<&'a ServerShare> {
    let address = nodes.address(index).to_string();
    result.servers.iter().find(|server| server.address == address)
}

/// Waits until a node has been asked for keys more often than at first.
fn await_load(nodes: &Nodes, index: usize) {
    let hits = || {
        let stats = nodes.ask(index, &["info", "stats"]);
        stats.lines().find(|line| line.starts_with("keyspace_hits")).map(str::to_owned)
    };
    let before = hits();
    wait_for(|| (hits() != before).then_some(()));
}

#[test]
fn keys_lie_where_the_clusters_own_clients_look_for_them() {
    let Some(nodes) = Nodes::start(3, true) else { return };
    // Any node will do to begin with, a replica as well, and one that is not there beside it.
    let dead = peer::DeadPort::new();
    let seeds = format!("redis-cluster://127.0.0.1:{},{}", dead.port, nodes.address(4));
    let words = ["--preload", "--keys", "600", "--requests", "3000", "--pipeline", "8"];
    let result = measure(&seeds, &words);
    let headline = &result.headline;
    assert_eq!((headline.hits, headline.misses, headline.errors), (3000, 0, 0));
    assert_eq!(result.redirects, Some(Redirects::default()), "it knew who has what");
    let sizes = [0, 1, 2].map(|index| nodes.ask(index, &["dbsize"]).parse::<u64>().expect("keys"));
    assert_eq!(sizes.iter().sum::<u64>(), 600);
    assert!(sizes.iter().all(|&size| size > 100), "{sizes:?}");
    for number in [0, 1, 2, 599] {
        let size = nodes.ask(0, &["-c", "strlen", &key(number)]);
        assert!(size.ends_with("100"), "{number}: {size}");
    }
    let mut roles: BTreeMap<&str, u64> = BTreeMap::new();
    for server in &result.servers {
        *roles.entry(server.role.as_deref().expect("a cluster")).or_default() += 1;
        let is_master = server.role.as_deref() == Some("master");
        assert_eq!(server.operations > 0, is_master, "{server:?}");
        assert!(server.cpu_s.is_some(), "{server:?}");
    }
    assert_eq!(roles, BTreeMap::from([("master", 3), ("replica", 3)]));
    let said: Vec<_> = result.environment.servers.iter().map(|said| said.contains("(re")).collect();
    assert_eq!(said, [false, false, false, true, true, true], "{:?}", result.environment.servers);
}

#[test]
fn a_key_that_is_half_moved_is_asked_for_where_it_is() {
    let Some(nodes) = Nodes::start(3, false) else { return };
    // All operations are for one key.
    let words = ["--keys", "1", "--requests", "500", "--pipeline", "4"];
    let puts = [&words[..], &["--mix", "put=1,get=1"]].concat();
    measure(&nodes.target(0), &[&words[..], &["--preload"]].concat());
    let (key, from) = (key(0), nodes.owner(&key(0)));
    let to = (from + 1) % 3;
    nodes.begin_to_move(&key, from, to);
    nodes.move_key(&key, from, to);
    for (words, open) in [(&words[..], false), (&puts, false), (&puts, true)] {
        let rate: &[&str] = if open { &["--rate", "2k"] } else { &[] };
        let result = measure(&nodes.target(0), &[words, rate].concat());
        let (headline, redirects) = (&result.headline, result.redirects.expect("a cluster"));
        assert_eq!((headline.operations, headline.errors, headline.misses), (500, 0, 0));
        assert_eq!(redirects, Redirects { ask: 500, ..Redirects::default() });
        let told = result.warnings.iter().any(|warning| warning.contains("redirects: 500 ASK"));
        assert!(told, "{:?}", result.warnings);
    }
    nodes.end_to_move(&key, from, to);
    let result = measure(&nodes.target(0), &words);
    assert_eq!((result.headline.hits, result.redirects), (500, Some(Redirects::default())));
}

#[test]
fn slots_that_move_to_a_node_that_joined_meanwhile_are_followed() {
    let Some(mut nodes) = Nodes::start(3, false) else { return };
    let dir = TempDir::new().expect("a folder");
    let keys = ["--keys", "40", "--mix", "get=9,put=1"];
    let run = begin(
        &nodes.target(0),
        dir.path(),
        &[&keys[..], &["--duration", "8s", "--clients", "4", "--preload", "--verify"]].concat(),
    );
    await_load(&nodes, 0);
    let joined = nodes.join();
    for key in (0..40).map(key) {
        let from = nodes.owner(&key);
        nodes.begin_to_move(&key, from, joined);
        nodes.move_key(&key, from, joined);
        nodes.end_to_move(&key, from, joined);
    }
    let (succeeded, message, result) = end(run, dir.path());
    assert!(succeeded, "{message}");
    assert_eq!((result.headline.errors, result.headline.misses), (0, 0), "{:?}", result.errors);
    let redirects = result.redirects.expect("a cluster");
    assert!(redirects.moved > 0, "{redirects:?}");
    let verified = result.verify.as_ref().expect("verified");
    assert!(verified.measured.checked > 1000, "{verified:?}");
    let joined = server(&result, &nodes, joined).expect("it was met");
    assert_eq!(joined.role.as_deref(), Some("master"));
    assert!(joined.operations > 0, "{joined:?}");
}

#[test]
fn a_run_goes_on_when_a_master_is_killed_and_its_replica_takes_over() {
    let Some(mut nodes) = Nodes::start(3, true) else { return };
    let dir = TempDir::new().expect("a folder");
    let keys = ["--keys", "300", "--clients", "4", "--timeout", "1s"];
    measure(&nodes.target(1), &["--keys", "300", "--preload", "--requests", "300"]);
    let run = begin(&nodes.target(1), dir.path(), &[&keys[..], &["--duration", "8s"]].concat());
    await_load(&nodes, 0);
    let killed = nodes.address(0).to_string();
    nodes.kill(0);
    wait_for(|| nodes.ask(3, &["info", "replication"]).contains("role:master").then_some(()));
    await_load(&nodes, 3);
    let (succeeded, message, result) = end(run, dir.path());
    assert!(succeeded, "{message}");
    assert!(!result.partial);
    assert_eq!(result.headline.misses, 0, "the replica had all keys");
    // Who was waiting for it waited, and is told of; who came later did not.
    let lost = result.trust.reasons.iter().find(|reason| reason.contains(&killed));
    let lost = lost.expect("it is told of");
    assert!(lost.contains("connections lost"), "{lost}");
    assert!(
        lost.contains("; other nodes had its slots at the end; its slots were served again after")
    );
    let [recovery] = &result.recoveries[..] else { panic!("{:?}", result.recoveries) };
    assert_eq!(
        (recovery.server.as_str(), recovery.replaced, recovery.recovered),
        (&*killed, true, true)
    );
    // The others wait for half a second before they take a node for dead.
    let unserved = recovery.unserved.expect("it was noticed");
    assert!(unserved.length_s >= 0.5, "{recovery:?}");
    assert!(unserved.start_s + unserved.length_s < result.headline.duration_s, "{recovery:?}");
    let dead = result.servers.iter().find(|server| server.address == killed).expect("listed");
    assert_eq!(dead.role.as_deref(), Some("none"));
    let heir = server(&result, &nodes, 3).expect("listed");
    assert_eq!(heir.role.as_deref(), Some("master"));
    assert!(heir.operations > 0, "{heir:?}");
    let unanswered = result.errors.server.keys().all(|code| code == "CLUSTERDOWN");
    assert!(unanswered, "{:?}", result.errors);
}

#[test]
fn a_cluster_that_is_down_fails_operations_by_that_name_and_the_run_ends() {
    let Some(mut nodes) = Nodes::start(3, false) else { return };
    let dir = TempDir::new().expect("a folder");
    let words = ["--duration", "5s", "--timeout", "1s", "--keys", "100"];
    let run = begin(&nodes.target(1), dir.path(), &words);
    wait_for(|| nodes.ask(1, &["info", "stats"]).contains("keyspace_misses:1").then_some(()));
    nodes.kill(0);
    let (succeeded, message, result) = end(run, dir.path());
    assert!(!succeeded, "a server did not come back");
    assert!(message.contains("does not answer any more"), "{message}");
    let redirects = result.redirects.expect("a cluster");
    assert!(redirects.clusterdown > 0, "{redirects:?}");
    assert!(result.errors.server["CLUSTERDOWN"] > 0, "{:?}", result.errors);
    assert!(result.errors.connection > 0, "{:?}", result.errors);

    let [recovery] = &result.recoveries[..] else { panic!("{:?}", result.recoveries) };
    assert!(!recovery.recovered && !recovery.replaced, "{recovery:?}");

    // Everybody is there, but nobody has the slot any more.
    let Some(nodes) = Nodes::start(1, false) else { return };
    let words = ["--duration", "3s", "--keys", "1", "--timeout", "500ms"];
    let run = begin(&nodes.target(0), dir.path(), &words);
    wait_for(|| nodes.ask(0, &["info", "stats"]).contains("keyspace_misses:1").then_some(()));
    nodes.ask(0, &["cluster", "delslots", &nodes.slot(&key(0))]);
    let (_, message, result) = end(run, dir.path());
    let codes: Vec<_> = result.errors.server.keys().map(String::as_str).collect();
    assert_eq!((codes, result.errors.connection), (vec!["CLUSTERDOWN"], 0), "{message}");
}

/// A connection that was lost while nobody waited for anything was an outage as long as nobody asked,
/// and without an end at the end.
#[test]
fn a_time_in_which_nobody_asked_is_no_outage() {
    let Some(nodes) = Nodes::start(1, false) else { return };
    let dir = TempDir::new().expect("a folder");
    let words = ["--duration", "5s", "--rate", "1", "--arrivals", "constant", "--keys", "10"];
    let run = begin(&nodes.target(0), dir.path(), &[&words[..], &["--preload"]].concat());
    await_load(&nodes, 0);
    let killed = nodes.ask(0, &["client", "kill", "type", "normal"]);
    assert_ne!(killed, "0", "it is connected");
    let (succeeded, message, result) = end(run, dir.path());
    assert!(succeeded, "{message}");
    let [recovery] = &result.recoveries[..] else { panic!("{:?}", result.recoveries) };
    assert!(recovery.recovered && !recovery.replaced, "{recovery:?}");
    assert!(recovery.unserved.is_none_or(|wait| wait.length_s < 0.9), "{recovery:?}");
}

/// Nobody takes over for a node without a replica, until it is there again.
#[test]
fn a_cluster_that_was_down_is_measured_on_and_its_recovery_is_told() {
    let Some(nodes) = Nodes::start(3, false) else { return };
    let dir = TempDir::new().expect("a folder");
    let words = ["--duration", "8s", "--timeout", "300ms", "--keys", "300", "--preload"];
    let run = begin(&nodes.target(1), dir.path(), &words);
    await_load(&nodes, 1);
    let info = nodes.ask(0, &["info", "server"]);
    let pid = info.lines().find_map(|line| line.strip_prefix("process_id:")).expect("a process");
    let pid = Pid::from_raw(pid.trim().parse().expect("a number")).expect("no zero");
    kill_process(pid, Signal::STOP).expect("it runs");
    let state = |state: &str| nodes.ask(1, &["cluster", "info"]).contains(state).then_some(());
    wait_for(|| state("cluster_state:fail"));
    wait_for(|| {
        let errors = nodes.ask(1, &["info", "errorstats"]);
        errors.contains("errorstat_CLUSTERDOWN").then_some(())
    });
    kill_process(pid, Signal::CONT).expect("it stands still");
    wait_for(|| state("cluster_state:ok"));
    await_load(&nodes, 0);
    let (succeeded, message, result) = end(run, dir.path());
    assert!(succeeded, "{message}");
    assert!(result.errors.server["CLUSTERDOWN"] > 0, "{:?}", result.errors);
    assert_eq!(result.headline.misses, 0);
    let stopped = nodes.address(0).to_string();
    let recovery = result.recoveries.iter().find(|recovery| recovery.server == stopped);
    let recovery = recovery.unwrap_or_else(|| panic!("{:?}", result.recoveries));
    assert!(recovery.recovered && !recovery.replaced, "{recovery:?}");
    assert!(recovery.unserved.expect("it was noticed").length_s >= 0.5, "{recovery:?}");
}

#[test]
fn a_cluster_is_reached_with_a_login_and_over_tls() {
    let files = Certificates::new();
    let [tls_port, bus] = [peer::free_port(), peer::free_port()].map(|port| port.to_string());
    let paths = ["server.crt", "server.key", "ca.crt"].map(|file| files.path(file));
    let words = [
        &["--cluster-enabled", "yes", "--cluster-port", &bus, "--requirepass", "s3cret"][..],
        &["--tls-port", &tls_port, "--tls-cluster", "yes", "--tls-auth-clients", "no"],
        &[
            "--tls-cert-file",
            &paths[0],
            "--tls-key-file",
            &paths[1],
            "--tls-ca-cert-file",
            &paths[2],
        ],
    ];
    let Some(redis) = peer::Redis::start(&words.concat()) else { return };
    let ask = |words: &[&str]| redis.ask(&[&["-a", "s3cret", "--no-auth-warning"], words].concat());
    assert_eq!(ask(&["cluster", "addslotsrange", "0", "16383"]), "OK");
    let load = ["--preload", "--keys", "100", "--requests", "1000", "--mix", "get=1,put=1"];
    let words = [&load[..], &["--cacert", &paths[2]]].concat();
    let over_tls = format!("rediss-cluster://s3cret@localhost:{tls_port}");
    let plain = format!("redis-cluster://s3cret@{}", redis.address());
    for (target, words) in [(&over_tls, &words[..]), (&plain, &load[..])] {
        let result = measure(target, words);
        assert_eq!((result.headline.operations, result.headline.errors), (1000, 0), "{target}");
        assert_eq!(result.headline.misses, 0, "{target}");
        let said = serde_json::to_string(&result).expect("JSON");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let dir = TempDir::new().expect("a folder");
    let refused = [
        (format!("redis-cluster://{}", redis.address()), "wants a password"),
        (format!("rediss-cluster://s3cret@localhost:{tls_port}"), "nobody we trust has signed"),
    ];
    for (target, why) in refused {
        let (output, _) = program::run(&target, dir.path(), &[]);
        assert!(stderr(&output).contains(why), "{target}: {}", stderr(&output));
    }
}

#[test]
fn limits_and_curves_are_found_of_a_cluster_too() {
    let Some(nodes) = Nodes::start(3, false) else { return };
    let dir = TempDir::new().expect("a folder");
    let result = |command: &str, words: &[&str]| {
        let out = dir.path().join(command);
        let mut program = kv_bench(&[command, "--keys", "100", "--preload", "--threads", "2"]);
        program.args(["--target", &nodes.target(0), "--out"]).arg(&out).args(words);
        let output = Running::start(&mut program).end();
        assert!(output.status.success(), "{}", stderr(&output));
        report::json::load(&out.join("result.json")).expect("written")
    };
    let words = ["--slo", "p50=1s", "--rate", "1k..2k", "--time", "10s"];
    let found = result("find-max", &words);
    assert!(found.find_max.is_some());
    assert!(found.points.iter().all(|point| point.errors == 0 && point.servers == 3));
    let drawn = result("curve", &["--requests", "500", "--curve-time", "3s"]);
    assert!(!drawn.points.is_empty());
    assert!(drawn.points.iter().all(|point| point.errors == 0 && point.servers == 3));
}

#[test]
fn what_is_no_cluster_or_does_not_go_with_one_is_refused_with_what_to_do() {
    let seed = "redis-cluster://127.0.0.1:7";
    assert_refused(&[
        (
            &["--target", seed, "--ring", "ketama"],
            "--ring ketama: a cluster itself says which node has which keys: leave it out",
        ),
        (&["--target", seed, "--ring", "slots"], "--ring slots: a cluster itself says"),
        (
            &["--target", seed, "--verify", "--mix", "get=1,put=1", "--pipeline", "2"],
            "take --pipeline 1",
        ),
        (&["--target", &format!("{seed}/3")], "a cluster has database 0 alone"),
        (&["--target", "redis-cluster://"], "is not an address"),
        (&["--target", seed, "--target", "127.0.0.1:8"], "one run has one protocol"),
        (&["--target", &format!("{seed},127.0.0.1:7")], "is named twice"),
    ]);
    let Some(redis) = peer::Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let target = format!("redis-cluster://{}", redis.address());
    let (output, _) = program::run(&target, dir.path(), &[]);
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    let told = "is no node of a cluster: ERR This instance has cluster support disabled (a server by \
                itself is redis://host:port)";
    assert!(message.contains(told), "{message}");
    let Some(nodes) = Nodes::start(1, false) else { return };
    // By itself it has all keys, and is a server like any other.
    measure(&format!("redis://{}", nodes.address(0)), &["--requests", "10"]);
    let refused = |told: &str| {
        let (output, _) = program::run(&nodes.target(0), dir.path(), &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(told), "{}", stderr(&output));
    };
    nodes.ask(0, &["cluster", "delslotsrange", "7", "1006"]);
    refused("is not complete: nobody has 1,000 of its 16,384 slots (see redis-cli --cluster check");
    nodes.ask(0, &["cluster", "flushslots"]);
    refused(
        "a cluster in which nobody has slots: make one of them first (redis-cli --cluster create",
    );
}

#[test]
fn a_cluster_with_a_master_away_is_refused_and_so_is_a_part_of_one() {
    let Some(mut nodes) = Nodes::start(3, false) else { return };
    let dir = TempDir::new().expect("a folder");
    let target = format!("redis://{}", nodes.address(1));
    let refused = |target: &str, told: &[&str]| {
        let (output, _) = program::run(target, dir.path(), &[]);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        assert!(told.iter().all(|told| message.contains(told)), "{message}");
    };
    refused(&target, &["is a node of a cluster and has a part of the keys", "as redis-cluster://"]);
    let dead = nodes.address(0).to_string();
    nodes.kill(0);
    wait_for(|| nodes.ask(1, &["cluster", "info"]).contains("cluster_state:fail").then_some(()));
    refused(&nodes.target(1), &["says that it is down (cluster_state:fail)", "--cluster check"]);
    nodes.ask(1, &["config", "set", "cluster-require-full-coverage", "no"]);
    wait_for(|| nodes.ask(1, &["cluster", "info"]).contains("cluster_state:ok").then_some(()));
    refused(&nodes.target(1), &[&dead, "is a master of its cluster: start it"]);
    refused(&format!("redis-cluster://{dead}"), &["cannot reach", &dead]);
}
