//! Operations that a cluster sends elsewhere: each is done once, where it belongs, counts once, and
//! takes its time for it.

#[allow(dead_code, reason = "other tests need more of it")]
mod nodes;
#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;
mod run;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use kv_bench::driver::{Fleet, Measured, Until};
use kv_bench::recorder::Time;
use kv_bench::result::Redirects;
use kv_bench::schedule::Process;
use kv_bench::target::{
    Codec as _, Credentials, Redirect, RedisCluster, Reply, SlotRange, Target as _, Topology,
};
use kv_bench::workload::Request;
use kv_core::ring::key_slot;
use nodes::Nodes;
use run::{Run, VALUE_SIZE, assert_accounted};
use scripted::{Answer, Server};

/// A cluster whose slots are said to be all with the first of `nodes`.
fn all_with_the_first(nodes: &[SocketAddr]) -> Arc<Topology> {
    let [first, ..] = nodes else { panic!("no nodes") };
    Arc::new(Topology::new(&[SlotRange { first: 0, last: 16383, nodes: vec![*first] }]))
}

fn target(topology: &Arc<Topology>, run: &Run) -> Arc<RedisCluster> {
    let key_size = run.keys().buffer().bytes().len();
    let login = Credentials::default();
    Arc::new(RedisCluster::new(Arc::clone(topology), &login, key_size, VALUE_SIZE))
}

fn measure(topology: &Arc<Topology>, run: &Run, operations: u64) -> Measured {
    let mut fleet = Fleet::launch(&target(topology, run), run.shape).expect("they accept");
    let measured = fleet
        .run(&run.workload(), &run.schedule, Until::Operations(operations), |_| {
            ControlFlow::Continue(())
        })
        .expect("an event loop");
    assert_accounted(&measured, operations);
    measured
}

fn a_run() -> Run {
    Run::against(&[]).shape(1, 1, 4).mix("get=1,put=1")
}

/// A reply such as `-MOVED 12 127.0.0.1:7000`, with the slot of the key.
fn sent_to(word: &str, key: &str, node: SocketAddr) -> Answer {
    let slot = key_slot(key.as_bytes());
    Answer::Raw(format!("-{word} {slot} {node}\r\n").leak().as_bytes())
}

#[test]
fn an_operation_whose_slot_has_moved_counts_once_and_is_sent_there_from_then_on() {
    let second = Server::start(|_, _| Answer::Normal);
    let there = second.address;
    let first = Server::start(move |_, words| sent_to("MOVED", &words[1], there));
    for run in [a_run(), a_run().at_rate("2k", Process::Poisson, Until::Operations(300))] {
        let topology = all_with_the_first(&[first.address]);
        for seen in [&first.seen, &second.seen] {
            seen.lock().expect("unpoisoned").clear();
        }
        let measured = measure(&topology, &run, 300);
        assert_eq!(measured.counts.failed(), 0);
        let [asked, done] = [&first, &second].map(|s| s.seen.lock().expect("unpoisoned").clone());
        assert_eq!(done.len(), 300, "each was done once");
        let moved = measured.counts.redirects.moved;
        assert_eq!((moved, measured.counts.redirects.ask), (asked.len() as u64, 0));
        // Three others were on their way when the first of a slot came back.
        let mut slots: BTreeMap<u16, u32> = BTreeMap::new();
        for words in &asked {
            *slots.entry(key_slot(words[1].as_bytes())).or_default() += 1;
        }
        assert!(slots.values().all(|&times| times <= 4), "{slots:?}");
        let is_open = measured.latencies.is_open();
        let scheduled = measured.latencies.successes(Time::Response).len();
        assert_eq!(scheduled, if is_open { 300 } else { 0 });
    }
}

#[test]
fn who_is_asked_for_this_once_is_told_so_and_keeps_no_slot() {
    let second = Server::start(|_, words| match words[0].as_str() {
        "ASKING" => Answer::Raw(b"+OK\r\n"),
        _ => Answer::Split,
    });
    let there = second.address;
    let first = Server::start(move |_, words| sent_to("ASK", &words[1], there));
    let topology = all_with_the_first(&[first.address]);
    let measured = measure(&topology, &a_run(), 200);
    assert_eq!(measured.counts.failed(), 0);
    let redirects = Redirects { ask: 200, ..Redirects::default() };
    assert_eq!(measured.counts.redirects, redirects, "all of them: no slot was moved");
    let seen = second.seen.lock().expect("unpoisoned");
    assert_eq!(seen.len(), 400);
    for pair in seen.chunks(2) {
        assert_eq!((pair[0].len(), pair[0][0].as_str()), (1, "ASKING"));
        assert!(["GET", "SET"].contains(&pair[1][0].as_str()), "{pair:?}");
    }
}

#[test]
fn patience_with_a_cluster_is_part_of_the_service_time() {
    let server = Server::start(|number, _| match number % 3 {
        0 => Answer::Raw(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"),
        1 => Answer::Raw(b"-CLUSTERDOWN The cluster is down\r\n"),
        _ => Answer::Normal,
    });
    let topology = all_with_the_first(&[server.address]);
    let closed = a_run().shape(1, 1, 1);
    let open = a_run().shape(1, 1, 1).at_rate("20", Process::Constant, Until::Operations(6));
    for (run, operations, time) in [(closed, 6, Time::Service), (open, 6, Time::Response)] {
        let measured = measure(&topology, &run, operations);
        assert_eq!(measured.counts.failed(), 0);
        let redirects = Redirects { tryagain: 6, clusterdown: 6, ..Redirects::default() };
        assert_eq!(measured.counts.redirects, redirects);
        // The pauses are of 10 and of 20 ms.
        let quickest_ns = measured.latencies.successes(time).min();
        assert!(quickest_ns >= 29_900_000, "{time:?}: {quickest_ns} ns");
    }
}

#[test]
fn an_operation_that_is_sent_to_and_fro_fails_by_that_name_after_a_while() {
    let places = Arc::new(std::sync::OnceLock::<[SocketAddr; 2]>::new());
    let [one, other] = [1, 0].map(|there: usize| {
        let places = Arc::clone(&places);
        Server::start(move |_, words| {
            sent_to("MOVED", &words[1], places.get().expect("set before")[there])
        })
    });
    places.set([one.address, other.address]).expect("set once");
    let topology = all_with_the_first(&[one.address]);
    let measured = measure(&topology, &a_run(), 4);
    assert_eq!(measured.counts.errors.server, BTreeMap::from([("MOVED".to_owned(), 4)]));
    assert_eq!(measured.counts.redirects.moved, 4 * 16);
    let seen = [&one, &other].map(|server| server.seen.lock().expect("unpoisoned").len());
    assert_eq!(seen.iter().sum::<usize>(), 4 * 16);
    assert!(measured.counts.last_reply_ns.is_some(), "they are replies");
}

#[test]
fn a_node_that_hangs_up_fails_what_was_in_flight_there_and_nothing_else() {
    let second =
        Server::start(|number, _| if number == 20 { Answer::Close } else { Answer::Normal });
    let there = second.address;
    let first = Server::start(move |_, words| sent_to("MOVED", &words[1], there));
    let topology = all_with_the_first(&[first.address]);
    let measured = measure(&topology, &a_run(), 200);
    let failed = measured.counts.failed();
    assert_eq!(measured.counts.errors.connection, failed, "{:?}", measured.counts.errors);
    assert!((1..=4).contains(&failed), "{failed}");
}

#[test]
fn an_operation_does_not_wait_for_a_dead_node_for_longer_than_its_timeout() {
    let dead = peer::DeadPort::new();
    let there = SocketAddr::from(([127, 0, 0, 1], dead.port));
    let first = Server::start(move |_, words| sent_to("MOVED", &words[1], there));
    let topology = all_with_the_first(&[first.address]);
    let run = a_run().timeout(Duration::from_millis(100));
    let measured = measure(&topology, &run, 8);
    assert_eq!(measured.counts.failed(), 8);
    assert_eq!(measured.counts.errors.connection, 8, "{:?}", measured.counts.errors);
}

/// Nodes were said not to agree, when it was one more than there were places for.
#[test]
fn a_redirect_to_a_node_too_many_fails_by_that_reason() {
    let server = Server::start(|number, words| {
        // The first sixteen join, and nobody is there.
        let port = 20_000 + number.min(16) as u16;
        sent_to("MOVED", &words[1], SocketAddr::from(([127, 0, 0, 2], port)))
    });
    let topology = all_with_the_first(&[server.address]);
    let run = a_run().shape(1, 1, 32).timeout(Duration::from_secs(5));
    let measured = measure(&topology, &run, 32);
    let told = measured.counts.first_error.expect("it is told");
    assert_eq!(told, "MOVED to one node more than may join during a run: begin a new one");
    assert!(measured.counts.errors.server["MOVED"] > 0, "{:?}", measured.counts.errors);
}

/// What was just then on its way to another node failed as a redirect that had come again and again.
#[test]
fn a_run_that_is_broken_off_still_follows_redirects() {
    let server = Server::start(|number, _| match number % 4 {
        0 => Answer::Raw(b"-TRYAGAIN Multiple keys request during rehashing of slot\r\n"),
        _ => Answer::Normal,
    });
    let topology = all_with_the_first(&[server.address]);
    let run = a_run().shape(2, 4, 4);
    let mut fleet = Fleet::launch(&target(&topology, &run), run.shape).expect("they accept");
    let measured = fleet
        .run(&run.workload(), &run.schedule, Until::Elapsed(Duration::from_hours(1)), |live| {
            if live.attempted > 100 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .expect("an event loop");
    assert!(measured.stopped && measured.counts.redirects.tryagain > 0);
    assert_eq!(measured.counts.failed(), 0, "{:?}", measured.counts.first_error);
}

/// Who took over was blamed for what had waited for the node before.
#[test]
fn an_operation_that_was_never_sent_is_charged_to_the_node_that_it_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let first = listener.local_addr().expect("bound");
    // It answers the greeting, takes an operation, and is gone.
    let dying = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut bytes = [0; 1024];
        assert!(stream.read(&mut bytes).expect("a greeting") > 0);
        stream.write_all(b"+PONG\r\n").expect("it listens");
        assert!(stream.read(&mut bytes).expect("an operation") > 0);
    });
    let dead = peer::DeadPort::new();
    let heir = SocketAddr::from(([127, 0, 0, 1], dead.port));
    let topology = all_with_the_first(&[first]);
    let run = a_run().shape(1, 1, 1).timeout(Duration::from_secs(1));
    let mut fleet = Fleet::launch(&target(&topology, &run), run.shape).expect("it accepts");
    let measured = fleet
        .run(&run.workload(), &run.schedule, Until::Operations(3), |live| {
            // The first has failed, and the second waits.
            if live.failed == 1 && dying.is_finished() {
                topology.apply(&[SlotRange { first: 0, last: 16383, nodes: vec![heir] }]);
            }
            ControlFlow::Continue(())
        })
        .expect("an event loop");
    let failed: Vec<u64> = measured.counts.outages.iter().map(|outage| outage.failed).collect();
    assert_eq!(failed[..2], [2, 1], "{:?}", measured.counts.outages);
}

/// The first node took most of the time before it sent the operation on, and the second one never
/// answered: it failed when both had had a timeout of their own.
#[test]
fn the_timeout_counts_from_when_an_operation_was_sent_first() {
    let second = Server::start(|_, _| Answer::Never);
    let there = second.address;
    let first = Server::start(move |number, words| {
        // The server has one thread for a connection, and nothing else comes.
        if number == 0 {
            std::thread::sleep(Duration::from_millis(1700));
        }
        sent_to("MOVED", &words[1], there)
    });
    let topology = all_with_the_first(&[first.address]);
    let run = a_run().shape(1, 1, 1).timeout(Duration::from_secs(2));
    let measured = measure(&topology, &run, 1);
    assert_eq!((measured.counts.errors.timeout, measured.counts.redirects.moved), (1, 1));
    let failed_after_ns = measured.latencies.failures().max();
    assert!((1_900_000_000..3_400_000_000).contains(&failed_after_ns), "{failed_after_ns} ns");
}

#[test]
fn nodes_that_go_by_the_names_of_their_hosts_are_looked_up() {
    let second = Server::start(|_, words| match words[0].as_str() {
        "ASKING" => Answer::Raw(b"+OK\r\n"),
        _ => Answer::Normal,
    });
    let port = second.address.port();
    for word in ["MOVED", "ASK"] {
        let first = Server::start(move |_, words| {
            let slot = key_slot(words[1].as_bytes());
            Answer::Raw(format!("-{word} {slot} localhost:{port}\r\n").leak().as_bytes())
        });
        // That it is known by its address tells which of the name's is meant.
        let nodes = vec![first.address, second.address];
        let topology = Arc::new(Topology::new(&[SlotRange { first: 0, last: 16383, nodes }]));
        let measured = measure(&topology, &a_run(), 200);
        assert_eq!(measured.counts.failed(), 0, "{word}: {:?}", measured.counts.errors);
    }
}

#[test]
fn what_is_no_redirect_is_an_error_like_any_other() {
    let topology = all_with_the_first(&[([127, 0, 0, 1], 7).into()]);
    let codec = target(&topology, &a_run()).codec();
    let decoded = |reply: &str| match codec.decode(Request::Get, reply.as_bytes()) {
        Ok(Some((size, Reply::Error(message)))) if size == reply.len() => {
            codec.redirect(message).is_some()
        }
        other => panic!("{reply}: {other:?}"),
    };
    for reply in ["-MOVED 16383 a:1\r\n", "-ASK 0 ::1:7\r\n", "-MOVED 1 :7\r\n", "-TRYAGAIN x\r\n"]
    {
        assert!(decoded(reply), "{reply}");
    }
    let errors =
        ["MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED -1 a:1", "MOVED 1 a", "MOVED 1 a:b"];
    for error in
        errors.into_iter().chain(["ASK", "ASK 1 a:65536", "MOVEDX 1 a:1", "ERR MOVED 1 a:1"])
    {
        assert!(!decoded(&format!("-{error}\r\n")), "{error}");
    }
    let moved = codec.redirect(b"MOVED 7 ::1:6380");
    assert_eq!(moved, Some(Redirect::Moved { slot: 7, host: "::1", port: 6380 }));
}

/// The driver had to learn who has what from nothing but replies.
#[test]
fn a_wrong_topology_is_put_right_by_the_nodes_themselves() {
    let Some(nodes) = Nodes::start(3, false) else { return };
    let topology = all_with_the_first(&[nodes.address(0)]);
    let run = a_run().shape(2, 2, 8).mix("put");
    let measured = measure(&topology, &run, 5000);
    assert_eq!(measured.counts.failed(), 0, "{:?}", measured.counts.first_error);
    let moved = measured.counts.redirects.moved;
    assert!((1..2500).contains(&moved), "{moved}: it did not learn");
    let sizes = [0, 1, 2].map(|index| nodes.ask(index, &["dbsize"]).parse::<u64>().expect("keys"));
    assert!(sizes.iter().all(|&size| size > 200), "{sizes:?}");
    let known = topology.nodes();
    assert!((0..3).all(|index| known.contains(&nodes.address(index))), "{known:?}");
    assert!(topology.is_master(2));
}
