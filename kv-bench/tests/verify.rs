//! `--verify`: what it finds in values that were tampered with, and that it finds nothing in those
//! that were not, through real servers.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "other tests need more of it")]
mod processes;
mod program;
mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;
mod server;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;

use kv_bench::driver::{Measured, Until, Verify};
use kv_bench::report;
use kv_bench::result::{FindingCounts, RunResult};
use kv_bench::schedule::Process;
use kv_bench::verify::{Finding, Ledger, STAMP_BYTES, Stamp};
use kv_bench::workload::{KeyDistribution, Sizes};
use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::resp::reply::Value;
use peer::Redis;
use program::{assert_refused, kv_bench, stderr};
use proptest::prelude::*;
use run::Run;
use server::Server;
use tempfile::TempDir;

/// As many keys as a [`Run`] has.
const KEYS: u64 = 1000;

/// A run of all keys, one by one, against a real server.
fn each_once(server: &Server, mix: &'static str) -> Run {
    let mut run = Run::against(&[]).shape(2, 2, 4).mix(mix);
    run.addresses.push(server.address);
    run.distribution = KeyDistribution::OwnKey;
    run.sizes = Sizes::Fixed(50);
    run
}

fn verified(run: &Run, ledger: &Arc<Ledger>, each_once: bool, until: Until) -> Measured {
    let mut fleet = run.launch().expect("the server accepts");
    fleet.verify(Some(Verify { ledger: Arc::clone(ledger), each_once }));
    let watch = |_: &_| ControlFlow::Continue(());
    fleet.run(&run.workload(), &run.schedule, until, watch).expect("an event loop")
}

fn findings(measured: &Measured) -> FindingCounts {
    measured.counts.findings.counts
}

fn client(server: &Server) -> Client {
    let address = Address::tcp("127.0.0.1", server.address.port());
    Client::connect(&address, &ConnectOptions::default()).expect("it listens")
}

fn value_of(client: &mut Client, key: &str) -> Vec<u8> {
    match client.call(&["GET", key]).expect("it answers") {
        Value::Bulk(bytes) => bytes.clone(),
        other => panic!("{key} is {other:?}"),
    }
}

fn set(client: &mut Client, key: &str, value: &[u8]) {
    client.call(&[b"SET", key.as_bytes(), value]).expect("it answers");
}

#[test]
fn what_was_tampered_with_is_found_and_called_by_its_name() {
    let (server, ledger) = (Server::ready(), Arc::new(Ledger::new(KEYS, 7)));
    let all = Until::Operations(KEYS);
    let [lost, foreign, corrupt, short, stale] =
        [3, 500, 999, 17, 42].map(|number| format!("key:{number:012}"));
    verified(&each_once(&server, "put"), &ledger, true, all);
    let mut client = client(&server);
    let old = value_of(&mut client, &stale);
    verified(&each_once(&server, "put"), &ledger, true, all);
    let whole = verified(&each_once(&server, "get"), &ledger, true, all);
    assert_eq!(findings(&whole), FindingCounts { checked: KEYS, ..FindingCounts::default() });

    client.call(&["DEL", &lost]).expect("it answers");
    set(&mut client, &stale, &old);
    let mut flipped = value_of(&mut client, &corrupt);
    set(&mut client, &foreign, &flipped);
    // Behind the stamp.
    flipped[STAMP_BYTES + 5] ^= 1;
    set(&mut client, &corrupt, &flipped);
    set(&mut client, &short, b"x");

    let read = verified(&each_once(&server, "get"), &ledger, true, all);
    let expected =
        FindingCounts { checked: KEYS, stale: 1, lost: 1, foreign: 1, corrupt: 2, unknown: 0 };
    assert_eq!(findings(&read), expected);
    assert_eq!((read.counts.errors.verify, read.counts.failed()), (5, 5));
    // Whose first read it was depends on the clients, but it names a key.
    assert!(read.counts.findings.first.is_some_and(|first| first.starts_with("key number ")));
}

/// A delete that finds nothing is all that a run of deletes can learn from.
#[test]
fn deletes_that_do_not_find_what_was_stored_are_told() {
    let (server, ledger) = (Server::ready(), Arc::new(Ledger::new(KEYS, 7)));
    let all = Until::Operations(KEYS);
    verified(&each_once(&server, "put"), &ledger, true, all);
    client(&server).call(&["DEL", "key:000000000001", "key:000000000999"]).expect("it answers");
    let deleted = verified(&each_once(&server, "delete"), &ledger, true, all);
    assert_eq!((findings(&deleted).lost, deleted.counts.errors.verify), (2, 2));
}

/// Many clients with deep pipelines write, delete and read few keys: were two of them to write the
/// same one, nobody could know what a read must find.
#[test]
fn an_honest_server_is_never_accused() {
    let server = Server::ready();
    for schedule in ["closed", "open"] {
        let ledger = Arc::new(Ledger::new(KEYS, 7));
        let mut run = each_once(&server, "get=50,put=40,delete=10").shape(2, 8, 16);
        run.distribution = KeyDistribution::Zipfian { exponent: 1.2 };
        let mut until = Until::Operations(40_000);
        if schedule == "open" {
            until = Until::Operations(10_000);
            run = run.at_rate("10k", Process::Poisson, until);
        }
        let measured = verified(&run, &ledger, false, until);
        assert_eq!(measured.counts.failed(), 0, "{schedule}: {:?}", measured.counts.findings);
        assert!(findings(&measured).checked > 1000, "{schedule}: {:?}", measured.counts.findings);
        // The next run knows nothing of the last one's keys.
        let mut client = client(&server);
        client.call(&["FLUSHALL"]).expect("it answers");
    }
}

#[test]
fn a_write_without_an_answer_may_turn_up_at_any_time() {
    let ledger = Ledger::new(2, 7);
    let put = |is_delete| ledger.issue(1, is_delete);
    let value_of = |write| {
        let mut value = vec![0; STAMP_BYTES];
        ledger.stamp(1, write).write(&mut value);
        value
    };
    let (first, doubtful, last) = (put(false), put(false), put(false));
    ledger.acknowledge(1, first);
    ledger.doubt(1, doubtful);
    ledger.acknowledge(1, last);
    let floor = ledger.floor(1);
    assert_eq!(ledger.judge_value(1, floor, &value_of(first)), Finding::Stale);
    assert_eq!(ledger.judge_value(1, floor, &value_of(doubtful)), Finding::Good);
    assert_eq!(ledger.judge_value(1, floor, &value_of(last)), Finding::Good);
    assert_eq!(ledger.judge_miss(1, floor), Finding::Lost);
    // A delete that is on its way, and one that may come late.
    let delete = put(true);
    assert_eq!(ledger.judge_miss(1, floor), Finding::Good);
    ledger.doubt(1, delete);
    let again = put(false);
    ledger.acknowledge(1, again);
    assert_eq!(ledger.judge_miss(1, ledger.floor(1)), Finding::Good);
    // What nobody stored in this run is not known; what is from another is told from ours.
    assert_eq!(ledger.judge_miss(0, ledger.floor(0)), Finding::Unknown);
    let mut others = vec![0; STAMP_BYTES];
    Stamp { run: 8, key: 1, version: 1 }.write(&mut others);
    assert_eq!(ledger.judge_value(1, ledger.floor(1), &others), Finding::Foreign);
    assert_eq!(ledger.judge_value(0, ledger.floor(0), &others), Finding::Unknown);
    // And a version that nobody has sent yet is made up.
    let mut next = vec![0; STAMP_BYTES];
    Stamp { run: 7, key: 1, version: again.version + 1 }.write(&mut next);
    assert_eq!(ledger.judge_value(1, ledger.floor(1), &next), Finding::Corrupt);
}

proptest! {
    #[test]
    fn a_stamp_comes_back_and_no_changed_bit_goes_unseen(
        (run, key, version) in any::<(u64, u64, u64)>(),
        mut value in proptest::collection::vec(any::<u8>(), STAMP_BYTES..200),
        bit in any::<prop::sample::Index>(),
    ) {
        let stamp = Stamp { run, key, version };
        stamp.write(&mut value);
        prop_assert_eq!(Stamp::read(&value), Some(stamp));
        prop_assert_eq!(Stamp::read(&value[..value.len() - 1]), None);
        let bit = bit.index(value.len() * 8);
        value[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(Stamp::read(&value), None);
    }
}

fn run_in(dir: &Path, words: &[&str]) -> (Output, RunResult) {
    let mut command = kv_bench(&["run", "--verify", "--warmup", "0", "--keys", "500"]);
    command.args(words).arg("--out").arg(dir.join("results")).env("TMPDIR", dir);
    let output = command.output().expect("it runs");
    let result = report::json::load(&dir.join("results/result.json"));
    let result = result.unwrap_or_else(|error| panic!("{error:?} {}", stderr(&output)));
    (output, result)
}

const KILLED: [&str; 6] =
    ["--mix", "get=50,put=50", "--duration", "2s", "--chaos", "kill:1@500ms,restart:1@700ms"];

#[test]
fn a_server_that_forgets_is_caught_and_makes_the_run_fail() {
    let dir = TempDir::new().expect("a folder");
    let (output, result) = run_in(dir.path(), &KILLED);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let verify = result.verify.expect("it was asked for");
    assert!(verify.measured.lost > 0, "{verify:?}");
    assert_eq!(result.errors.verify, verify.measured.wrong());
    assert!(stderr(&output).contains(" lost (key number "), "{}", stderr(&output));
    assert!(!result.partial);
    let page = std::fs::read_to_string(dir.path().join("results/report.md")).expect("written");
    assert!(page.contains("## Verification"), "{page}");
}

#[test]
fn a_server_that_keeps_its_word_through_kills_is_not_accused() {
    let dir = TempDir::new().expect("a folder");
    let words = ["--durability", "os", "--timeout", "500ms", "--clients", "8"];
    let (output, result) = run_in(dir.path(), &[&KILLED[..], &words].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let verify = result.verify.expect("it was asked for");
    assert_eq!((verify.measured.wrong(), verify.audit.map(|audit| audit.wrong())), (0, Some(0)));
    let audited = verify.audit.map(|audit| audit.checked + verify.unread.unwrap_or(0));
    assert_eq!(audited, Some(500), "{verify:?}");
}

#[test]
fn redis_is_verified_over_several_repeats() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let target = redis.address().to_string();
    let words = ["--target", &target, "--preload", "--requests", "5000", "--repeat", "2"];
    let mix = ["--mix", "get=60,put=30,delete=10", "--value-size", "10..300"];
    let (output, result) = run_in(dir.path(), &[&words[..], &mix].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let verify = result.verify.expect("it was asked for");
    assert!(verify.measured.checked > 1000 && verify.measured.unknown == 0, "{verify:?}");
    // Without a preload, what lies there from the run before is nobody's business.
    let words = ["--target", &target, "--requests", "2000", "--mix", "get"];
    let (output, result) = run_in(dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let verify = result.verify.expect("it was asked for");
    assert_eq!((verify.measured.checked, verify.measured.unknown), (0, 2000));
}

#[test]
fn what_cannot_be_verified_is_refused_in_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["--verify", "--keys", "3"], "--verify: each of 4 clients needs a key of its own"),
        (&["--verify", "--value-size", "10"], "values of at least 32 bytes are needed"),
        (&["--verify", "--value", "hello"], "values of at least 32 bytes are needed"),
        (&["--verify", "--keys", "1g"], "--verify: at most 100,000,000 keys"),
    ];
    assert_refused(cases);
    let output = kv_bench(&["--verify"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("kv-bench run --verify"), "{}", stderr(&output));
}
