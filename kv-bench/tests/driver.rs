//! The measured path against a server that does as it is told: every operation has exactly one
//! outcome, whatever the server does.

mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kv_bench::driver::{Fleet, Until};
use kv_bench::interval_log::IntervalLog;
use kv_bench::recorder::Time;
use kv_bench::report;
use kv_bench::result::RunResult;
use kv_bench::schedule::Schedule;
use kv_bench::target::{Address, Credentials, Endpoint, Protocol, Resp};
use kv_bench::workload::{KeyDistribution, Kind};
use run::{Run, VALUE_SIZE, assert_accounted};
use scripted::{Answer, Server};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

#[test]
fn exactly_the_asked_number_of_operations_is_attempted() {
    let server = Server::start(|_, _| Answer::Normal);
    for (threads, clients, pipeline) in [(1, 1, 1), (3, 2, 1), (2, 5, 7), (1, 4, 1000)] {
        let before = server.seen.lock().expect("unpoisoned").len();
        let run = Run::against(&[&server]).shape(threads, clients, pipeline);
        let measured = run.mix("get=5,put=3,delete=2").operations(1003);
        assert_accounted(&measured, 1003);
        assert_eq!(measured.counts.failed(), 0);
        assert_eq!(server.seen.lock().expect("unpoisoned").len() - before, 1003);
    }
}

#[test]
fn fewer_operations_than_clients_leave_the_others_idle() {
    let server = Server::start(|_, _| Answer::Normal);
    let measured = Run::against(&[&server]).shape(2, 4, 3).operations(3);
    assert_accounted(&measured, 3);
}

#[test]
fn hits_misses_and_stores_are_counted_by_kind() {
    let server = Server::start(|number, words| match words[0].as_str() {
        "GET" if number % 2 == 0 => Answer::Raw(b"$-1\r\n"),
        "DEL" => Answer::Raw(b":0\r\n"),
        _ => Answer::Normal,
    });
    let measured = Run::against(&[&server]).mix("get=1,put=1,delete=1").operations(300);
    assert_accounted(&measured, 300);
    let [get, put, delete, ..] = measured.counts.kinds;
    assert!(get.hits > 0 && get.misses > 0);
    assert_eq!(get.hits + get.misses, get.attempted);
    assert_eq!((put.hits, put.misses), (0, 0));
    assert_eq!((delete.hits, delete.misses), (0, delete.attempted));
}

#[test]
fn a_second_reply_to_one_operation_is_noticed() {
    let server = Server::start(|number, _| {
        if number == 5 { Answer::Raw(b"$1\r\na\r\n$1\r\nb\r\n") } else { Answer::Normal }
    });
    let measured = Run::against(&[&server]).operations(50);
    assert_eq!(measured.counts.attempted(), 50);
    assert_eq!(measured.counts.unsolicited, 1);
}

#[test]
fn an_operation_without_a_reply_times_out_and_the_run_goes_on() {
    let server =
        Server::start(|number, _| if number == 10 { Answer::Never } else { Answer::Normal });
    let run = Run::against(&[&server]).timeout(Duration::from_millis(200));
    let measured = run.operations(50);
    assert_accounted(&measured, 50);
    assert_eq!(measured.counts.errors.timeout, 1);
    assert!(measured.counts.kinds[0].hits >= 10);
    let errors = measured.latencies.tagged().find(|(tag, _)| *tag == "ERROR-service");
    let (_, latencies) = errors.expect("a timed-out operation has a latency");
    assert!(latencies.max() >= 200_000_000, "it counts up to when we gave up");
}

#[test]
fn a_server_that_never_answers_ends_a_run_by_timeouts() {
    let server = Server::start(|_, _| Answer::Never);
    let run = Run::against(&[&server]).shape(2, 2, 2).timeout(Duration::from_millis(50));
    let measured = run.run(Until::Elapsed(Duration::from_millis(300)));
    let attempted = measured.counts.attempted();
    assert!(attempted > 0);
    assert_accounted(&measured, attempted);
    assert_eq!(measured.counts.failed(), attempted);
    assert!(measured.counts.errors.timeout > 0);
}

#[test]
fn what_was_in_flight_on_a_closed_connection_failed_and_the_rest_goes_on() {
    let server =
        Server::start(|number, _| if number % 50 == 49 { Answer::Close } else { Answer::Normal });
    let measured = Run::against(&[&server]).shape(1, 2, 4).operations(400);
    assert_accounted(&measured, 400);
    let counts = &measured.counts;
    assert!(counts.errors.connection > 0);
    assert_eq!(counts.failed(), counts.errors.connection);
    assert!(counts.kinds[0].hits > 100, "the connection came back: {counts:?}");
}

#[test]
fn a_dead_server_fails_its_own_operations_only() {
    let alive = Server::start(|_, _| Answer::Normal);
    // It accepts, and closes at the first operation of each connection.
    let dead = Server::start(|_, _| Answer::Close);
    let measured = Run::against(&[&alive, &dead]).shape(1, 2, 1).operations(200);
    assert_accounted(&measured, 200);
    let counts = &measured.counts;
    assert_eq!(counts.failed(), counts.nodes[1], "all of the dead one's operations");
    assert_eq!(counts.kinds[0].hits, counts.nodes[0], "none of the other's");
}

/// A server of one client that hangs up at the sixth operation, with a reset where `resets`, and is gone.
fn gone_after_five(resets: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        let (stream, _) = listener.accept()?;
        drop(listener);
        let script = |number, _: &[String]| if number < 5 { Answer::Normal } else { Answer::Close };
        let (number, seen) = (AtomicUsize::new(0), Mutex::default());
        scripted::converse(&stream, &stream, &script, &number, &seen)?;
        SockRef::from(&stream).set_linger(resets.then_some(Duration::ZERO))
    });
    address
}

#[test]
fn how_a_connection_was_lost_is_counted() {
    for (resets, expected) in [(false, 0), (true, 1)] {
        let mut run = Run::against(&[]).shape(1, 1, 1).timeout(Duration::from_millis(500));
        run.addresses.push(gone_after_five(resets));
        let measured = run.operations(8);
        assert_accounted(&measured, 8);
        let errors = &measured.counts.errors;
        assert_eq!((errors.connection, errors.refused, errors.reset), (3, 2, expected));
        assert_eq!(errors.total(), 3, "those are parts of it");
    }
}

#[test]
fn a_refused_connection_names_the_server() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("bound");
    drop(closed);
    let mut run = Run::against(&[]);
    run.addresses.push(address);
    let Err(error) = run.launch() else { panic!("nobody listens there") };
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn a_unix_listener_with_a_full_backlog_is_tried_again() {
    let dir = tempfile::TempDir::new().expect("a folder");
    let path = dir.path().join("socket");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&SockAddr::unix(&path).expect("short")).expect("a free path");
    listener.listen(0).expect("bound");
    let run = Run::against(&[]).shape(2, 8, 1);
    let endpoints = [Endpoint {
        name: "unix".to_owned(),
        address: Address::Unix(path.clone()),
        protocol: Protocol::Resp,
        credentials: Credentials::default(),
    }];
    let key_size = run.keys().buffer().bytes().len();
    let target = Arc::new(Resp::new(&endpoints, Box::new(|_: &[u8]| 0), key_size, VALUE_SIZE));
    // The backlog has room for one: this one, which is accepted first and ends at once.
    let first = UnixStream::connect(&path).expect("there is room");
    std::thread::spawn(move || {
        drop(first);
        while let Ok((stream, _)) = listener.accept() {
            std::thread::spawn(move || {
                let (number, seen) = (AtomicUsize::new(0), Mutex::default());
                scripted::converse(&stream, &stream, &|_, _| Answer::Normal, &number, &seen)
            });
        }
    });
    let mut fleet = Fleet::launch(&target, run.shape).expect("it waits for room");
    let measured = fleet.run(&run.workload(), &Schedule::CLOSED, Until::Operations(100), |_| {
        ControlFlow::Continue(())
    });
    assert_accounted(&measured.expect("an event loop"), 100);
}

#[test]
fn every_reply_of_a_pipeline_is_timed_by_itself() {
    let pause = Duration::from_millis(20);
    let server = Server::start(move |_, _| Answer::Late(pause));
    // Twice the pipeline: operations are sent while others are in flight, and must not touch them.
    let measured = Run::against(&[&server]).shape(1, 1, 4).operations(8);
    let latencies = measured.latencies.of(Time::Service, Kind::Get).expect("always");
    // The server answers one after the other: 20, 40, 60 ms, and from the fourth on 80 ms each, less
    // what the worker came late. One time for all would hide that, and a send that touches earlier
    // send times would leave 20 ms to each.
    assert!(latencies.value_at_quantile(0.5) >= 50_000_000, "{}", latencies.value_at_quantile(0.5));
    assert!(latencies.min() < latencies.max());
}

#[test]
fn the_same_seed_sends_the_same_operations() {
    let sent = |seed| {
        let server = Server::start(|_, _| Answer::Normal);
        let mut run = Run::against(&[&server]).mix("get=5,put=4,delete=1");
        run.seed = seed;
        run.operations(500);
        server.seen.lock().expect("unpoisoned").clone()
    };
    assert_eq!(sent(7), sent(7));
    assert_ne!(sent(7), sent(8));
}

#[test]
fn each_key_is_taken_once_when_every_operation_has_its_own() {
    let server = Server::start(|_, _| Answer::Normal);
    let mut run = Run::against(&[&server]).shape(2, 3, 5).mix("put");
    run.distribution = KeyDistribution::OwnKey;
    run.operations(1000);
    let mut keys: Vec<String> =
        server.seen.lock().expect("unpoisoned").iter().map(|words| words[1].clone()).collect();
    keys.sort();
    let expected: Vec<String> = (0..1000).map(|number| format!("key:{number:012}")).collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_run_by_time_ends_with_every_operation_accounted_for() {
    let server = Server::start(|_, _| Answer::Normal);
    let run = Run::against(&[&server]).shape(2, 2, 3);
    let measured = run.run(Until::Elapsed(Duration::from_millis(200)));
    let attempted = measured.counts.attempted();
    assert!(attempted > 0);
    assert_accounted(&measured, attempted);
    assert!(!measured.stopped);
}

#[test]
fn a_run_that_is_broken_off_keeps_what_it_measured() {
    let server = Server::start(|_, _| Answer::Normal);
    let run = Run::against(&[&server]).shape(2, 2, 1);
    let mut fleet = run.launch().expect("the server accepts");
    let measured = fleet
        .run(&run.workload(), &Schedule::CLOSED, Until::Operations(u64::MAX / 2), |live| {
            if live.attempted > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("an event loop");
    assert!(measured.stopped);
    assert_accounted(&measured, measured.counts.attempted());
    assert!(!lines(&measured.intervals).is_empty());
}

#[test]
fn a_run_that_is_broken_off_does_not_wait_for_a_silent_server() {
    let server = Server::start(|number, _| if number < 5 { Answer::Normal } else { Answer::Never });
    let run = Run::against(&[&server]).shape(1, 2, 3).timeout(Duration::from_mins(10));
    let mut fleet = run.launch().expect("the server accepts");
    let until = Until::Operations(1000);
    let measured = fleet.run(&run.workload(), &Schedule::CLOSED, until, |live| {
        if live.attempted == 11 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let measured = measured.expect("an event loop");
    assert!(measured.stopped);
    assert_accounted(&measured, measured.counts.attempted());
    let errors = &measured.counts.errors;
    assert_eq!((errors.timeout, errors.connection), (0, 6), "none was as old as the timeout");
    assert_eq!(measured.counts.failed(), 6, "both pipelines were full");
}

/// Pauses doubled up to a second, of which there are less than 15 in 8 s: an outage seemed longer.
#[test]
fn a_server_that_is_away_is_looked_for_often() {
    let server = Server::start(|_, _| Answer::Close);
    let run = Run::against(&[&server]).shape(1, 1, 1).timeout(Duration::from_secs(10));
    let mut fleet = run.launch().expect("the server accepts");
    server.refuse();
    let looks = || server.turned_away.load(Ordering::SeqCst);
    let measured = fleet.run(&run.workload(), &Schedule::CLOSED, Until::Operations(10), |live| {
        let is_over = looks() >= 30 || live.elapsed > Duration::from_secs(8);
        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(looks() >= 30 && measured.is_ok());
}

/// Who was through, worker or client, passed for one that has a connection.
#[test]
fn a_server_that_is_away_is_seen_when_other_workers_have_finished() {
    assert_seen_away(2, 1);
}

#[test]
fn a_server_that_is_away_is_seen_when_other_clients_have_finished() {
    assert_seen_away(1, 2);
}

/// Runs two clients, of which the second loses a server that accepts nobody any more.
fn assert_seen_away(threads: u32, clients: u32) {
    // The second half of the keys belongs to the second client.
    let server = Server::start(|_, words| {
        if words[1].as_str() >= "key:000000000500" { Answer::Close } else { Answer::Normal }
    });
    let mut run = Run::against(&[&server]).shape(threads, clients, 1);
    run.shape.timeout = Duration::from_millis(100);
    run.distribution = KeyDistribution::OwnKey;
    let mut fleet = run.launch().expect("the server accepts");
    server.refuse();
    let mut away = None;
    let measured = fleet.run(&run.workload(), &Schedule::CLOSED, Until::Operations(1000), |live| {
        away = away.or(live.away);
        if away.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(measured.expect("an event loop").stopped, "nobody was seen to be away");
    assert_eq!(away.map(|(node, _)| node), Some(0));
}

#[test]
fn a_timeout_is_not_told_as_an_outage() {
    let server =
        Server::start(|number, _| if number == 10 { Answer::Never } else { Answer::Normal });
    let measured = Run::against(&[&server]).timeout(Duration::from_millis(100)).operations(50);
    let outage = measured.counts.outages[0];
    assert_eq!((outage.connections_lost, outage.failed, outage.timed_out), (0, 0, 1));
}

/// An idle end made a busy worker look at leisure.
#[test]
fn the_wait_for_the_last_outcome_is_no_part_of_the_workers_time() {
    let server =
        Server::start(|number, _| if number < 50 { Answer::Normal } else { Answer::Never });
    let run = Run::against(&[&server]).timeout(Duration::from_secs(2));
    let measured = run.run(Until::Elapsed(Duration::from_millis(200)));
    assert_eq!(measured.counts.errors.timeout, 1);
    let worked_ns = measured.outcomes[0].effort.wall_ns;
    assert!((200_000_000..1_500_000_000).contains(&worked_ns), "{worked_ns}");
}

#[test]
fn ctrl_c_ends_a_run_whose_connections_are_not_answered() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let dir = tempfile::TempDir::new().expect("a folder");
    let run = Command::new(env!("CARGO_BIN_EXE_kv-bench"))
        .args(["run", "--timeout", "10m", "--target", &address.to_string(), "--out"])
        .arg(dir.path().join("results"))
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    // The first look at the server is answered, the connections of the load are not.
    let (mut first, _) = listener.accept().expect("it connects");
    let mut request = [0; 1024];
    while first.read(&mut request).expect("readable") > 0 {
        first.write_all(b"+PONG\r\n").expect("writable");
    }
    let _second = listener.accept().expect("it connects");
    let pid = run.id().to_string();
    let sent = Command::new("kill").args(["-INT", &pid]).status().expect("kill is everywhere");
    assert!(sent.success());
    let output = run.wait_with_output().expect("it was ours");
    assert_eq!(output.status.code(), Some(1));
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.contains("interrupted while connecting"), "{message}");
}

#[test]
fn phases_over_the_same_connections_do_not_mix() {
    let server = Server::start(|_, _| Answer::Normal);
    let run = Run::against(&[&server]).shape(2, 2, 3);
    let mut fleet = run.launch().expect("the server accepts");
    for operations in [100, 1, 57] {
        let until = Until::Operations(operations);
        let measured =
            fleet.run(&run.workload(), &Schedule::CLOSED, until, |_| ControlFlow::Continue(()));
        assert_accounted(&measured.expect("an event loop"), operations);
    }
}

fn lines(log: &IntervalLog) -> String {
    let mut lines = Vec::new();
    log.copy_to(&mut lines).expect("they were kept");
    String::from_utf8(lines).expect("text")
}

#[test]
fn intervals_add_up_to_the_whole() {
    let server = Server::start(|_, _| Answer::Normal);
    let run = Run::against(&[&server]).shape(2, 2, 1);
    let measured = run.run(Until::Elapsed(Duration::from_millis(1300)));
    let log = lines(&measured.intervals);
    let (mut starts, mut total) = (Vec::new(), 0);
    for line in log.lines() {
        let [tag, start, _length, _max, histogram] = line.split(',').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        assert_eq!(tag, "Tag=GET-service");
        starts.push(start.parse::<f64>().expect("seconds"));
        total += report::decode_histogram(histogram).expect("our encoding").len();
    }
    assert_eq!(total, measured.latencies.successes(Time::Service).len());
    assert!(starts.len() >= 2);
    assert!(starts.is_sorted(), "{starts:?}");
}

#[test]
fn live_percentiles_go_on_when_a_worker_has_finished() {
    // The second half of the keys belongs to the second worker.
    let server = Server::start(|_, words| {
        let slow = words[1].as_str() >= "key:000000000500";
        if slow { Answer::Late(Duration::from_millis(60)) } else { Answer::Normal }
    });
    let mut run = Run::against(&[&server]).shape(2, 1, 1);
    run.distribution = KeyDistribution::OwnKey;
    let mut fleet = run.launch().expect("the server accepts");
    let mut slowest_ns = 0;
    let measured = fleet.run(&run.workload(), &Schedule::CLOSED, Until::Operations(1000), |live| {
        slowest_ns = slowest_ns.max(live.latest.map_or(0, |latest| latest.p50_ns));
        // Seen what was to be seen: an interval that the slow worker filled alone.
        if slowest_ns >= 60_000_000 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(measured.expect("an event loop").stopped, "the median stayed at {slowest_ns} ns");
}

/// A whole run of the program against `server`.
fn result_of(server: &Server, words: &[&str]) -> RunResult {
    let dir = tempfile::TempDir::new().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_kv-bench"))
        .args(["run", "--quiet", "--threads", "1", "--clients", "1", "--warmup", "0"])
        .args(["--target", &server.address.to_string(), "--out"])
        .arg(dir.path())
        .args(words)
        .output()
        .expect("it runs");
    report::json::load(&dir.path().join("result.json"))
        .unwrap_or_else(|error| panic!("{error:?} {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn an_outage_at_the_end_is_told() {
    let server =
        Server::start(|number, _| if number < 50 { Answer::Normal } else { Answer::Never });
    let result = result_of(&server, &["--duration", "2s", "--timeout", "5s"]);
    assert_eq!(result.headline.errors, 1);
    // The client waited until the run was to end, and longer for its reply.
    assert!((0.5..2.5).contains(&result.headline.duration_s), "{:?}", result.headline);
    assert!(!result.partial, "it answers a new connection");
    let told = |text: &String| text.starts_with("no reply for the last ") && text.contains("ops/s");
    assert!(result.warnings.iter().any(told), "{:?}", result.warnings);
    let server = Server::start(|_, _| Answer::Normal);
    let result = result_of(&server, &["--requests", "100"]);
    assert!(!result.warnings.iter().any(told), "{:?}", result.warnings);
}

#[test]
fn a_process_that_is_not_as_old_as_the_server_is_not_taken_for_it() {
    for (uptime_s, expected) in [(0, true), (1_000_000_000, false)] {
        // A child that has just begun.
        let mut child = Command::new("sleep").arg("1000").spawn().expect("sleep is everywhere");
        let pid = child.id();
        let info = format!("process_id:{pid}\r\nuptime_in_seconds:{uptime_s}\r\n");
        let info = format!("${}\r\n{info}\r\n", info.len()).leak().as_bytes();
        let server =
            Server::start(
                move |_, words| {
                    if words[0] == "INFO" { Answer::Raw(info) } else { Answer::Normal }
                },
            );
        let result = result_of(&server, &["--requests", "100"]);
        assert_eq!(result.servers[0].cpu_s.is_some(), expected, "{uptime_s}");
        child.kill().expect("it sleeps");
        child.wait().expect("it was ours");
    }
}
