//! The open loop against a server that does as it is told: what was due is done, however late, and
//! response times count from when it was due.

mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use kv_bench::driver::{BACKLOG_MAX, Measured, Until};
use kv_bench::recorder::Time;
use kv_bench::schedule::{Arrivals, End, Process, Schedule, share};
use kv_bench::workload::Kind;
use run::{Run, assert_accounted};
use scripted::{Answer, Server};

fn seconds(seconds: f64) -> Until {
    Until::Elapsed(Duration::from_secs_f64(seconds))
}

fn response(measured: &Measured) -> Histogram<u64> {
    measured.latencies.successes(Time::Response)
}

#[test]
fn what_becomes_due_is_attempted_and_has_all_its_times() {
    let server = Server::start(|_, _| Answer::Normal);
    for (threads, clients, pipeline) in [(1, 1, 1), (2, 3, 2), (3, 8, 1)] {
        let run = Run::against(&[&server]).shape(threads, clients, pipeline);
        let run = run.mix("get=5,put=4,delete=1").at_rate("3k", Process::Constant, seconds(0.5));
        let measured = run.run(seconds(0.5));
        assert_accounted(&measured, 1500);
        assert_eq!(measured.counts.failed(), 0);
        for kind in [Kind::Get, Kind::Put, Kind::Delete] {
            let of = |time| measured.latencies.of(time, kind).expect("an open loop").len();
            let count = measured.counts.kinds[kind.index()].attempted;
            assert!(count > 0);
            assert_eq!(Time::ALL.map(of), [count; 3]);
        }
    }
}

#[test]
fn a_number_of_operations_is_exact_with_random_gaps_too() {
    let server = Server::start(|_, _| Answer::Normal);
    let until = Until::Operations(1003);
    let run = Run::against(&[&server]).shape(4, 2, 1).at_rate("5k", Process::Poisson, until);
    assert_accounted(&run.run(until), 1003);
}

/// Three times as much as the server can do: nothing is dropped, and nothing forgiven.
#[test]
fn what_waits_for_a_client_is_late_and_not_lost() {
    let server = Server::start(|_, _| Answer::Late(Duration::from_millis(2)));
    let until = seconds(0.5);
    let run = Run::against(&[&server]).at_rate("1500", Process::Constant, until);
    let measured = run.run(until);
    assert_accounted(&measured, 750);
    // One after the other, 2 ms each: the last, due at the end, is answered a second later.
    let response = response(&measured);
    assert!(response.max() >= 950_000_000, "{}", response.max());
    assert!(response.value_at_quantile(0.5) >= 470_000_000);
    let service = measured.latencies.successes(Time::Service);
    assert!(service.value_at_quantile(0.5) < response.value_at_quantile(0.5) / 10);
    let lateness = measured.latencies.all(Time::Lateness);
    assert_eq!(lateness.len(), 750);
    assert!(lateness.max() >= response.max() - service.max());
    assert!(measured.counts.waited_for_client >= 740, "{}", measured.counts.waited_for_client);
    assert!(measured.counts.outstanding_at_end >= 450, "{}", measured.counts.outstanding_at_end);
}

/// A queue whose arrivals and service times are known: Lindley's recursion says who waits how long.
#[test]
fn responses_of_a_single_client_are_those_of_its_queue() {
    let busy_ns = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&busy_ns);
    let server = Server::start(move |_, _| {
        let begin = Instant::now();
        std::thread::sleep(Duration::from_millis(10));
        record.lock().expect("unpoisoned").push(begin.elapsed().as_nanos() as u64);
        Answer::Normal
    });
    let until = Until::Operations(250);
    let run = Run::against(&[&server]).at_rate("50", Process::Poisson, until);
    let Schedule::Open(plan) = run.schedule.clone() else { panic!("it has a rate") };
    let mut arrivals = Arrivals::new(&plan, 0, 1, End::new(&plan, until, 0, 1));
    let measured = run.run(until);
    let busy_ns = busy_ns.lock().expect("unpoisoned").clone();
    let mean_ns = busy_ns.iter().sum::<u64>() / 250;
    // What the way there and back takes besides.
    let way_ns =
        (measured.latencies.successes(Time::Service).mean() as u64).saturating_sub(mean_ns);
    let mut expected = kv_bench::recorder::histogram();
    let mut free_ns = 0;
    for busy_ns in busy_ns {
        let due_ns = arrivals.head().expect("one for each");
        arrivals.take();
        free_ns = due_ns.max(free_ns) + busy_ns + way_ns;
        expected.record(free_ns - due_ns).expect("below a minute");
    }
    let measured = response(&measured);
    assert_eq!(measured.len(), expected.len());
    for quantile in [0.5, 0.9, 0.95] {
        let [measured, expected] = [&measured, &expected].map(|h| h.value_at_quantile(quantile));
        let ratio = measured as f64 / expected as f64;
        assert!((0.9..1.1).contains(&ratio), "{quantile}: {measured} and not {expected} ns");
    }
}

#[test]
fn operations_are_taken_in_their_order_by_whoever_has_room() {
    let server = Server::start(|_, _| Answer::Normal);
    let sent = |clients, pipeline| {
        let until = Until::Operations(300);
        let run = Run::against(&[&server]).shape(1, clients, pipeline).mix("get=5,put=4,delete=1");
        server.seen.lock().expect("unpoisoned").clear();
        run.at_rate("20k", Process::Poisson, until).run(until);
        server.seen.lock().expect("unpoisoned").clone()
    };
    let alone = sent(1, 1);
    assert_eq!(alone, sent(1, 8));
    // Several connections may be read in another order, but carry the same.
    let mut several = sent(5, 2);
    let mut sorted = alone;
    sorted.sort();
    several.sort();
    assert_eq!(several, sorted);
}

/// The operations of all workers, as a server sees them.
fn drawn(run: &Run, operations: u64) -> Vec<Vec<String>> {
    let (workload, workers) = (run.workload(), u64::from(run.shape.threads));
    let of = |worker| {
        let (first, count) = share(operations, worker, workers);
        let (mut stream, mut key) = (workload.stream(worker, first), workload.keys.buffer());
        let mut next = || {
            let (kind, value) = workload.next(&mut stream, &mut key);
            let words = match kind {
                Kind::Get => vec!["GET".as_bytes(), key.bytes()],
                Kind::Put => vec!["SET".as_bytes(), key.bytes(), value],
                _ => vec!["DEL".as_bytes(), key.bytes()],
            };
            words.into_iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        };
        (0..count).map(|_| next()).collect::<Vec<_>>()
    };
    (0..workers).flat_map(of).collect()
}

#[test]
fn what_is_sent_is_what_the_laws_of_keys_and_values_draw_for_each_worker() {
    let server = Server::start(|_, _| Answer::Normal);
    let until = Until::Operations(400);
    for law in ["sequential", "zipfian:0.99", "moving-hotspot:0.05:0.99:200", "ycsb-scrambled"] {
        let mut run = Run::against(&[&server]).shape(2, 3, 2).mix("get=1,put=1");
        run.distribution = law.parse().expect(law);
        run.sizes = "0..300".parse().expect("sizes");
        run = run.at_rate("20k", Process::Poisson, until);
        let mut drawn = drawn(&run, 400);
        server.seen.lock().expect("unpoisoned").clear();
        run.run(until);
        let mut seen = server.seen.lock().expect("unpoisoned").clone();
        seen.sort();
        drawn.sort();
        assert_eq!(seen, drawn, "{law}");
    }
}

#[test]
fn a_server_that_stalls_is_asked_all_the_same() {
    // The second connection's operations go on while the first one waits.
    let server = Server::start(|number, _| match number {
        100 => Answer::Late(Duration::from_millis(300)),
        _ => Answer::Normal,
    });
    let until = seconds(1.0);
    let run = Run::against(&[&server]).shape(1, 4, 1).at_rate("500", Process::Constant, until);
    let measured = run.run(until);
    assert_accounted(&measured, 500);
    let lateness = measured.latencies.all(Time::Lateness);
    assert!(response(&measured).max() >= 300_000_000);
    assert!(lateness.value_at_quantile(0.5) < 100_000_000, "the others had room");
    assert!(measured.counts.waited_for_client < 100);
}

#[test]
fn a_server_that_is_away_fails_what_is_due_and_the_schedule_goes_on() {
    let server =
        Server::start(|number, _| if number < 50 { Answer::Normal } else { Answer::Close });
    let until = seconds(1.0);
    let run = Run::against(&[&server]).shape(1, 4, 1).timeout(Duration::from_millis(20));
    let run = run.at_rate("200", Process::Constant, until);
    let mut fleet = run.launch().expect("the server accepts");
    server.refuse();
    let measured = fleet.run(&run.workload(), &run.schedule, until, |_| ControlFlow::Continue(()));
    let measured = measured.expect("an event loop");
    assert_accounted(&measured, 200);
    assert_eq!(measured.counts.kinds[0].hits, 50);
    assert_eq!(measured.counts.failed(), 150);
    // Failures have times of their own, and are no successes.
    let failed = measured.latencies.tagged().find(|(tag, _)| *tag == "ERROR-response");
    assert_eq!(failed.expect("they were due").1.len(), 150);
    assert_eq!(response(&measured).len(), 50);
    assert_eq!(measured.latencies.all(Time::Lateness).len(), 200);
}

#[test]
fn timeouts_fail_operations_and_the_schedule_goes_on() {
    let server = Server::start(|number, _| match number % 50 {
        49 => Answer::Never,
        _ => Answer::Normal,
    });
    let until = Until::Operations(400);
    let run = Run::against(&[&server]).shape(2, 4, 1).timeout(Duration::from_millis(50));
    let measured = run.at_rate("1k", Process::Poisson, until).run(until);
    assert_accounted(&measured, 400);
    assert_eq!(measured.counts.errors.timeout, 8);
}

#[test]
fn a_backlog_beyond_its_bound_ends_the_run() {
    let server = Server::start(|_, _| Answer::Late(Duration::from_millis(1)));
    let until = Until::Elapsed(Duration::from_hours(1));
    let run = Run::against(&[&server]).shape(2, 2, 1).at_rate("50m", Process::Poisson, until);
    let begin = Instant::now();
    let measured = run.run(until);
    assert!(begin.elapsed() < Duration::from_mins(1));
    assert!(measured.stopped && measured.counts.overflowed);
    assert!(measured.counts.unsent > BACKLOG_MAX / 2, "{}", measured.counts.unsent);
    assert_accounted(&measured, measured.counts.attempted());
}

#[test]
fn a_run_that_is_broken_off_says_what_was_due_and_not_sent() {
    let server = Server::start(|_, _| Answer::Late(Duration::from_millis(5)));
    let until = seconds(600.0);
    let run = Run::against(&[&server]).at_rate("10k", Process::Constant, until);
    let mut fleet = run.launch().expect("the server accepts");
    let measured = fleet
        .run(&run.workload(), &run.schedule, until, |live| {
            if live.backlog >= 1000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("an event loop");
    assert!(measured.stopped && !measured.counts.overflowed);
    assert!(measured.counts.unsent >= 1000);
    assert_accounted(&measured, measured.counts.attempted());
}

/// The second phase began with what the first one had left to do.
#[test]
fn a_phase_ends_when_its_backlog_is_done() {
    let server = Server::start(|_, _| Answer::Late(Duration::from_millis(2)));
    let run = Run::against(&[&server]).shape(1, 1, 1);
    let mut fleet = run.launch().expect("the server accepts");
    let workload = run.workload();
    let mut phase = |rate, until| {
        let schedule = Run::against(&[]).at_rate(rate, Process::Constant, until).schedule;
        let measured = fleet.run(&workload, &schedule, until, |_| ControlFlow::Continue(()));
        measured.expect("an event loop")
    };
    assert_accounted(&phase("2k", seconds(0.2)), 400);
    let light = phase("20", seconds(0.5));
    assert_accounted(&light, 10);
    assert!(response(&light).value_at_quantile(0.5) < 100_000_000, "{}", response(&light).max());
    // And the other way round, from one kind of loop to the other.
    let closed = fleet
        .run(&workload, &Schedule::CLOSED, Until::Operations(10), |_| ControlFlow::Continue(()));
    let closed = closed.expect("an event loop");
    assert_accounted(&closed, 10);
    assert!(!closed.latencies.is_open() && response(&closed).is_empty());
}

#[test]
fn clients_that_think_wait_after_each_reply() {
    let server = Server::start(|_, _| Answer::Normal);
    for (clients, pipeline) in [(1, 1), (2, 1), (1, 3)] {
        let mut run = Run::against(&[&server]).shape(1, clients, pipeline);
        run.schedule = Schedule::Closed { think: Duration::from_millis(20) };
        let begin = Instant::now();
        let measured = run.run(Until::Operations(60));
        assert_accounted(&measured, 60);
        // Each of them does its part one after the other, and thinks in between.
        let each = 60 / (clients * pipeline);
        let least = Duration::from_millis(20) * (each - 2);
        assert!(begin.elapsed() >= least, "{:?} and not {least:?}", begin.elapsed());
        assert!(measured.latencies.successes(Time::Service).value_at_quantile(0.5) < 20_000_000);
    }
}
