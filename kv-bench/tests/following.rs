//! Operations that others give rise to, and keys that nobody had before, against a server that does
//! as it is told.

mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_bench::driver::{Measured, Until};
use kv_bench::recorder::Time;
use kv_bench::schedule::{Process, Schedule};
use kv_bench::workload::Kind;
use run::Run;
use scripted::{Answer, Server};

/// The words of all operations that `server` saw.
fn seen(server: &Server) -> Vec<Vec<String>> {
    std::mem::take(&mut server.seen.lock().expect("unpoisoned"))
}

/// As [`run::assert_accounted`], where an operation may be more than one request.
fn assert_counted(measured: &Measured, operations: u64) {
    let counts = &measured.counts;
    assert_eq!(counts.drawn(), operations);
    let errors = &counts.errors;
    let by_kind =
        errors.timeout + errors.connection + errors.protocol + errors.server.values().sum::<u64>();
    assert_eq!(by_kind, counts.failed(), "{errors:?}");
    let successes = counts.attempted() - counts.failed();
    let times = if measured.latencies.is_open() { &Time::ALL[..] } else { &[Time::Service] };
    for &time in times {
        assert_eq!(measured.latencies.successes(time).len(), successes, "{time:?}");
        let failures = counts.failed() * u64::from(time != Time::Service);
        let all = measured.latencies.all(time).len();
        assert!(all == successes + counts.failed() || failures == 0, "{time:?}: {all}");
    }
}

/// A client that thinks for longer than the run lasts begins one operation, and ends it.
#[test]
fn nobody_thinks_between_the_get_and_the_put_of_a_read_modify_write() {
    let server = Server::start(|_, _| Answer::Normal);
    let mut run = Run::against(&[&server]).mix("rmw");
    run.schedule = Schedule::Closed { think: Duration::from_hours(1) };
    let measured = run.run(Until::Elapsed(Duration::from_millis(300)));
    let whole = measured.counts.of(Kind::ReadModifyWrite);
    assert_eq!((whole.attempted, whole.errors), (1, 0));
    let seen = seen(&server);
    let [get, put] = &seen[..] else { panic!("a get and a put: {seen:?}") };
    assert_eq!((get[0].as_str(), put[0].as_str()), ("GET", "SET"));
    assert_eq!(get[1], put[1]);
}

#[test]
fn no_two_inserts_take_the_same_key_in_all_phases_and_fleets_of_a_run() {
    let server = Server::start(|_, _| Answer::Normal);
    let run = Run::against(&[&server]).shape(3, 2, 2).mix("insert=1,get=1");
    let workload = run.workload();
    for _ in 0..2 {
        let mut fleet = run.launch().expect("the server accepts");
        for schedule in [Schedule::CLOSED, run_at_rate().schedule] {
            let until = Until::Operations(1_000);
            let measured = fleet.run(&workload, &schedule, until, |_| ControlFlow::Continue(()));
            assert_counted(&measured.expect("an event loop"), 1_000);
        }
    }
    let inserted = seen(&server).into_iter().filter(|words| words[0] == "SET");
    let mut keys: Vec<String> = inserted.map(|words| words[1].clone()).collect();
    assert!((1_800..2_200).contains(&keys.len()), "{}", keys.len());
    assert!(keys.iter().all(|key| key.as_str() >= "key:000000001000"), "{keys:?}");
    let inserts = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), inserts);
    // Dense, but for the ends of the workers' progressions.
    assert!(keys.last().expect("some").as_str() < "key:000000003400", "{:?}", keys.last());
}

fn run_at_rate() -> Run {
    Run::against(&[]).at_rate("50k", Process::Poisson, Until::Operations(1_000))
}

/// YCSB's acknowledged counter: a key may be asked for when its put was answered.
#[test]
fn the_latest_keys_are_those_that_are_stored() {
    let stored = Arc::new(Mutex::new(HashSet::new()));
    let (early, late) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    let (known, too_early, in_time) = (Arc::clone(&stored), Arc::clone(&early), Arc::clone(&late));
    let server = Server::start(move |number, words| {
        let key = words[1].clone();
        if words[0] == "SET" {
            // Later ones are stored before it.
            std::thread::sleep(Duration::from_millis(if number % 3 == 0 { 5 } else { 0 }));
            known.lock().expect("unpoisoned").insert(key);
        } else if key.as_str() >= "key:000000001000" {
            let is_stored = known.lock().expect("unpoisoned").contains(&key);
            *(if is_stored { &in_time } else { &too_early }).lock().expect("unpoisoned") += 1;
        }
        Answer::Normal
    });
    for rate in [None, Some("4k")] {
        let mut run = Run::against(&[&server]).shape(2, 4, 1).mix("insert=1,get=4");
        run.distribution = "latest:0.99".parse().expect("a law");
        let until = Until::Operations(2_000);
        if let Some(rate) = rate {
            run = run.at_rate(rate, Process::Poisson, until);
        }
        stored.lock().expect("unpoisoned").clear();
        assert_counted(&run.run(until), 2_000);
        let early = std::mem::take(&mut *early.lock().expect("unpoisoned"));
        let late = std::mem::take(&mut *late.lock().expect("unpoisoned"));
        assert_eq!(early, 0, "{rate:?}: asked for before they were stored, and {late} after");
        // The newest of a thousand keys and up to four hundred new ones get most of the gets.
        assert!(late > 400, "{rate:?}: {late}");
    }
}

#[test]
fn an_insert_that_fails_does_not_hold_up_those_after_it() {
    let server = Server::start(|number, words| match words[0].as_str() {
        "SET" if number % 5 == 0 => Answer::Raw(b"-OOM no room\r\n"),
        "SET" if number % 31 == 0 => Answer::Close,
        _ => Answer::Normal,
    });
    let mut run = Run::against(&[&server]).shape(1, 2, 1).mix("insert=1,get=1");
    run.distribution = "latest:2".parse().expect("a law");
    let measured = run.operations(2_000);
    assert_counted(&measured, 2_000);
    let seen = seen(&server);
    let [inserted, asked] = ["SET", "GET"].map(|name| {
        let keys = seen.iter().filter(|words| words[0] == name).map(|words| words[1].clone());
        keys.max().expect("some")
    });
    assert!(measured.counts.failed() > 100 && asked.as_str() > "key:000000001900", "{asked}");
    assert!(inserted >= asked, "{inserted} {asked}");
}

#[test]
fn a_read_modify_write_puts_the_key_that_it_got_and_lasts_until_that_is_answered() {
    let server = Server::start(|_, _| Answer::Late(Duration::from_millis(1)));
    for (clients, pipeline, rate) in [(1, 1, None), (2, 3, None), (1, 1, Some("300"))] {
        let until = Until::Operations(60);
        let mut run = Run::against(&[&server]).shape(1, clients, pipeline).mix("rmw");
        if let Some(rate) = rate {
            run = run.at_rate(rate, Process::Constant, until);
        }
        let measured = run.run(until);
        assert_counted(&measured, 60);
        let [get, put, whole] = [Kind::Get, Kind::Put, Kind::ReadModifyWrite].map(|kind| {
            assert_eq!(measured.counts.of(kind).attempted, 60);
            measured.latencies.of(Time::Service, kind).expect("always").min()
        });
        assert!(whole >= get + put && get >= 1_000_000 && put >= 1_000_000);
        let seen = seen(&server);
        let keys = |name| seen.iter().filter(move |words| words[0] == name).map(|words| &words[1]);
        let (mut got, mut stored): (Vec<_>, Vec<_>) =
            (keys("GET").collect(), keys("SET").collect());
        if clients * pipeline == 1 {
            assert!(seen.chunks(2).all(|two| two[0][1] == two[1][1]), "one after the other");
        }
        got.sort();
        stored.sort();
        assert_eq!(got, stored);
    }
}

#[test]
fn a_read_modify_write_fails_as_a_whole_with_either_part() {
    let server = Server::start(|number, words| match (words[0].as_str(), number % 10) {
        (_, 3) => Answer::Raw(b"-ERR no\r\n"),
        ("SET", 7) => Answer::Close,
        _ => Answer::Normal,
    });
    for rate in [None, Some("5k")] {
        let until = Until::Operations(500);
        let mut run = Run::against(&[&server]).shape(2, 2, 2).mix("rmw=1,get=1");
        if let Some(rate) = rate {
            run = run.at_rate(rate, Process::Poisson, until);
        }
        let measured = run.run(until);
        assert_counted(&measured, 500);
        let of = |kind| measured.counts.of(kind);
        let (whole, put) = (of(Kind::ReadModifyWrite), of(Kind::Put));
        assert!(put.errors > 10 && whole.errors > put.errors, "{put:?} {whole:?}");
        let gets = of(Kind::Get);
        assert_eq!(gets.attempted, 500);
        // What was got without an error is put.
        let alone = measured.counts.kinds[Kind::Get.index()];
        let parts = (gets.attempted - alone.attempted, gets.errors - alone.errors);
        assert_eq!((parts.0, parts.0 - parts.1), (whole.attempted, put.attempted));
        let wholes = measured.latencies.of(Time::Service, Kind::ReadModifyWrite);
        assert_eq!(wholes.expect("always").len(), whole.attempted - whole.errors);
    }
}

#[test]
fn a_write_that_fails_after_its_read_took_as_long_as_both() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => Answer::Late(Duration::from_millis(5)),
        _ => Answer::Raw(b"-ERR no\r\n"),
    });
    let measured = Run::against(&[&server]).mix("rmw").operations(10);
    assert_eq!(measured.counts.failed(), 10);
    assert!(measured.latencies.failures().min() >= 5_000_000);
}

/// A client that meets a miss goes on with its fill before it thinks, and then for as long as after
/// any other reply.
#[test]
fn clients_think_after_an_operation_and_not_within_one() {
    let server = Server::start(|_, _| Answer::Normal);
    let mut run = Run::against(&[&server]).mix("rmw");
    run.schedule = Schedule::Closed { think: Duration::from_millis(50) };
    let measured = run.operations(5);
    let whole = measured.latencies.of(Time::Service, Kind::ReadModifyWrite).expect("always");
    assert!(whole.value_at_quantile(0.5) < 50_000_000, "{}", whole.max());
}

#[test]
fn fills_are_operations_beyond_those_that_were_drawn() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => Answer::Raw(b"$-1\r\n"),
        _ => Answer::Normal,
    });
    let run = Run::against(&[&server]).shape(2, 2, 2);
    let mut workload = (*run.workload()).clone();
    workload.mix = workload.mix.filling();
    let mut fleet = run.launch().expect("the server accepts");
    let until = Until::Operations(3_000);
    let mut drawn = 0;
    let measured = fleet.run(&Arc::new(workload), &Schedule::CLOSED, until, |live| {
        drawn = drawn.max(live.attempted);
        ControlFlow::Continue(())
    });
    let measured = measured.expect("an event loop");
    assert_counted(&measured, 3_000);
    assert_eq!(measured.counts.attempted(), 6_000);
    assert!(drawn <= 3_000, "{drawn} of 3000 operations, as the progress tells");
    let seen = seen(&server);
    let keys = |name| {
        let keys = seen.iter().filter(|words| words[0] == name).map(|words| words[1].as_str());
        let mut keys: Vec<&str> = keys.collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys("GET"), keys("SET"));
}

/// Whether a rate was kept is a question of what was asked for.
#[test]
fn what_others_give_rise_to_is_no_response_to_what_was_due() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => Answer::Raw(b"$-1\r\n"),
        _ => Answer::Normal,
    });
    for mix in ["get", "rmw"] {
        let until = Until::Operations(300);
        let run = Run::against(&[&server]).shape(2, 2, 2).mix(mix);
        let run = run.at_rate("5k", Process::Poisson, until);
        let mut workload = (*run.workload()).clone();
        workload.mix = workload.mix.filling();
        let mut fleet = run.launch().expect("the server accepts");
        fleet.count_slices(Some(Arc::new([])));
        let workload = Arc::new(workload);
        let measured = fleet.run(&workload, &run.schedule, until, |_| ControlFlow::Continue(()));
        let measured = measured.expect("an event loop");
        assert_counted(&measured, 300);
        for time in [Time::Response, Time::Lateness] {
            assert_eq!(measured.latencies.all_drawn(time).len(), 300);
        }
        let counted = measured.slices.values().map(|slice| slice.operations);
        assert_eq!(counted.sum::<u64>(), 300, "{mix}");
        assert!(measured.slices.values().all(|slice| slice.failed == 0));
    }
}

/// Its put finds the connection down: it waits for it as any operation does.
#[test]
fn what_follows_waits_for_a_connection_that_is_down() {
    // Three gets are answered with one packet, and the fourth takes the connection with it.
    const THREE: &[u8] = b"$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n";
    let held = (0..100).any(|_| {
        let server = Server::start(|number, _| match number {
            0 | 1 => Answer::Never,
            2 => Answer::Raw(THREE),
            3 => Answer::Close,
            _ => Answer::Normal,
        });
        let run = Run::against(&[&server]).shape(1, 1, 4).mix("rmw");
        let measured = run.timeout(Duration::from_secs(5)).operations(40);
        assert_counted(&measured, 40);
        let of = |kind| measured.counts.of(kind);
        let (get, put) = (of(Kind::Get), of(Kind::Put));
        assert_eq!((get.errors, put.attempted), (1, get.attempted - 1));
        // Else they had been sent when the end of the connection came.
        put.errors == 0
    });
    assert!(held, "no put came after the end of its connection");
}
