//! What an operator does to a running server: watch it, slow it down, cut connections.

mod support;

use std::time::Instant;

use kv_core::resp::reply::Value;
use support::{Redis, Served, Wire, eventually};

/// All that a server answers to these lines.
fn answers(wire: &mut Wire, lines: &[&str]) -> Vec<u8> {
    for line in lines {
        wire.send(format!("{line}\r\n"));
    }
    wire.send("QUIT\r\n").rest()
}

/// The replies without the numbers that differ from run to run: each `:N` becomes `:`.
fn without_numbers(replies: &[u8]) -> Vec<u8> {
    let lines = replies.split_inclusive(|&byte| byte == b'\n');
    lines.flat_map(|line| if line.starts_with(b":") { b":\r\n" } else { line }).copied().collect()
}

#[test]
fn the_slowlog_shows_what_redis_shows() {
    let Some(redis) = Redis::start(&[]) else { return };
    let ours = Served::start();
    let long = "x".repeat(200);
    let many = (0..40).map(|number| number.to_string()).collect::<Vec<_>>().join(" ");
    let (long, many) = (format!("SET k {long}"), format!("DEL {many}"));
    let lines = [
        "CONFIG SET slowlog-log-slower-than 0 slowlog-max-len 30",
        "SLOWLOG RESET",
        "CLIENT SETNAME me",
        "SET k v",
        &long,
        &many,
        "AUTH default secret",
        "HELLO 2 AUTH default secret SETNAME you",
        "CONFIG SET requirepass \"\"",
        "GET",
        "NOSUCH",
        "MULTI",
        "INCR k",
        "GET k",
        "EXEC",
        "SLOWLOG GET 25",
        "CONFIG SET slowlog-max-len 4",
        "SLOWLOG LEN",
        "SLOWLOG GET -1",
        "CONFIG SET slowlog-log-slower-than -1",
        "SET k v",
        "SLOWLOG GET 100",
        "SLOWLOG RESET",
        "SLOWLOG GET",
    ];
    let said = [redis.address(), ours.address].map(|address| {
        let mut wire = Wire::to(address);
        let me = wire.stream.local_addr().expect("a socket").to_string();
        let replies = String::from_utf8(without_numbers(&answers(&mut wire, &lines)));
        // No two servers share the version, nor two clients the port.
        let replies = replies.expect("text").replace("$6\r\n7.0.15", "$5\r\n7.2.4");
        replies.replace(&format!("${}\r\n{me}", me.len()), "ME")
    });
    assert_eq!(said[1], said[0]);
}

#[test]
fn only_what_takes_long_is_slow() {
    let served = Served::with(|config| config.slowlog_slower_than_us = 50_000_000);
    let mut wire = served.connect();
    wire.send("SET k v\r\n".repeat(100)).expect("+OK\r\n".repeat(100));
    wire.ask("SLOWLOG LEN", ":0\r\n");
}

#[test]
fn a_killed_client_is_gone_and_others_stay() {
    let served = Served::start();
    let (mut one, mut two, mut three) = (served.connect(), served.connect(), served.connect());
    for wire in [&mut one, &mut two, &mut three] {
        wire.ask("PING", "+PONG\r\n");
    }
    one.ask("CLIENT KILL ID 2", ":1\r\n");
    two.expect_end();
    let address = three.stream.local_addr().expect("a socket");
    one.ask(&format!("CLIENT KILL {address}"), "+OK\r\n");
    three.expect_end();
    eventually("both are gone", || one.info("connected_clients") == 1);
    one.ask("CLIENT KILL TYPE normal", ":0\r\n").ask("PING", "+PONG\r\n");
    let mut four = served.connect();
    four.ask("PING", "+PONG\r\n");
    four.ask("CLIENT KILL SKIPME no TYPE normal", ":2\r\n").expect_end();
    one.expect_end();
}

#[test]
fn client_list_shows_those_asked_for() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    two.ask("PING", "+PONG\r\n");
    let ids = |text: String| text.lines().map(|line| line[..5].to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(one.text("CLIENT LIST TYPE NORMAL")), ["id=1 ", "id=2 "]);
    assert_eq!(ids(one.text("CLIENT LIST ID 2 7")), ["id=2 "]);
}

#[test]
fn in_a_pause_writes_wait_and_reads_do_not() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    two.ask("SET k 1", "+OK\r\n");
    one.ask("CLIENT PAUSE 600000 WRITE", "+OK\r\n");
    two.ask("GET k", "$1\r\n1\r\n").ask("MULTI", "+OK\r\n").ask("SET k 2", "+QUEUED\r\n");
    two.send("EXEC\r\n");
    one.ask("GET k", "$1\r\n1\r\n").ask("CLIENT UNPAUSE", "+OK\r\n");
    two.expect("*1\r\n+OK\r\n");
    one.ask("GET k", "$1\r\n2\r\n");
}

/// As in Redis 7.
#[test]
fn what_expires_in_a_pause_cannot_be_seen_and_goes_when_it_is_over() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.ask("SET k v PX 100", "+OK\r\n").ask("CLIENT PAUSE 600000 WRITE", "+OK\r\n");
    eventually("the key expires", || wire.send("EXISTS k\r\n").line() == ":0");
    wire.ask("DBSIZE", ":1\r\n").ask("CLIENT UNPAUSE", "+OK\r\n");
    eventually("the key goes", || wire.send("DBSIZE\r\n").line() == ":0");
}

#[test]
fn a_pause_of_everything_ends_by_itself() {
    let served = Served::start();
    let mut wire = served.connect();
    let began = Instant::now();
    wire.ask("CLIENT PAUSE 50", "+OK\r\n").ask("PING", "+PONG\r\n");
    assert!(began.elapsed().as_millis() >= 50, "it was no pause");
}

#[test]
fn a_pause_does_not_keep_a_server_from_ending() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.ask("CLIENT PAUSE 600000", "+OK\r\n").send("PING\r\n");
    drop(served);
    wire.expect("+PONG\r\n").expect_end();
}

#[test]
fn info_counts_each_command_and_each_error() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    one.ask("SET k x", "+OK\r\n").ask("GET k", "$1\r\nx\r\n");
    for line in ["INCR k", "GET", "NOSUCH", "OBJECT ENCODING", "SELECT 99"] {
        one.send(format!("{line}\r\n")).line();
    }
    one.ask("MULTI", "+OK\r\n").ask("GET k", "+QUEUED\r\n").ask("INCR k", "+QUEUED\r\n");
    one.send("EXEC\r\n").expect("*2\r\n$1\r\nx\r\n");
    one.line();
    one.send("QUIT\r\n").rest();
    two.ask("GET k", "$1\r\nx\r\n");
    eventually("the first one is gone", || two.info("connected_clients") == 1);
    let text = two.text("INFO commandstats errorstats");
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("");
    let calls = |name: &str| field(name).split(',').next().unwrap_or_default().to_owned();
    assert_eq!(calls("cmdstat_get:"), "calls=3", "{text}");
    assert_eq!(calls("cmdstat_incr:"), "calls=2", "{text}");
    assert!(field("cmdstat_incr:").ends_with("rejected_calls=0,failed_calls=2"), "{text}");
    assert!(field("cmdstat_get:").ends_with("rejected_calls=1,failed_calls=0"), "{text}");
    assert_eq!(calls("cmdstat_exec:"), "calls=1", "{text}");
    assert_eq!(field("errorstat_ERR:"), "count=6", "{text}");
    assert!(!two.text("INFO").contains("cmdstat_"), "not by default");
    assert!(two.text("INFO all").contains("cmdstat_get:"));
    two.ask("CONFIG RESETSTAT", "+OK\r\n");
    assert!(!two.text("INFO all").contains("cmdstat_get:"));
}

/// The lines of a monitor, each without its time and with its address cut down to its kind.
fn watched(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let parts = |line: &str| {
        let (time, rest) = line.split_once(" [")?;
        let (place, request) = rest.split_once("] ")?;
        let digits =
            time.trim_start_matches('+').split('.').all(|part| part.parse::<u64>().is_ok());
        let (db, address) = place.split_once(' ')?;
        Some(format!("{digits} {db} {} {request}", address.split(':').next()?))
    };
    text.lines().map(|line| parts(line).unwrap_or_else(|| line.to_owned())).collect()
}

#[test]
fn a_monitor_sees_what_redis_shows() {
    let Some(redis) = Redis::start(&[]) else { return };
    let ours = Served::start();
    let seen = [redis.address(), ours.address].map(|address| {
        let mut monitor = Wire::to(address);
        monitor.ask("MONITOR", "+OK\r\n").send("MONITOR\r\n");
        let lines = [
            "SET k \"a\\x01\\n\\t\\r\\a\\b\\\"\\\\\\xffb\"",
            "AUTH default secret",
            "HELLO 2 AUTH default x SETNAME n",
            "CONFIG SET timeout 0",
            "SLOWLOG GET",
            "SELECT 3",
            "NOSUCH",
            "GET",
            "MULTI",
            "SET a 1",
            "GET a",
            "MONITOR",
            "CONFIG GET save",
            "EXEC",
            "CLIENT LIST",
            "CLIENT ID",
            "OBJECT ENCODING a",
            "FLUSHALL",
        ];
        answers(&mut Wire::to(address), &lines);
        monitor.send("ECHO between\r\nGET k\r\nMULTI\r\nSET k 1\r\nEXEC\r\nRESET\r\n");
        watched(&answers(&mut monitor, &["GET k"]))
    });
    assert_eq!(seen[1], seen[0]);
}

#[test]
fn a_monitor_that_does_not_read_is_closed_and_nobody_waits_for_it() {
    let served = Served::with(|config| config.limits.output_bytes_max = 1024 * 1024);
    let (mut monitor, mut busy) = (served.connect(), served.connect());
    monitor.ask("MONITOR", "+OK\r\n");
    // More than the sockets between them hold.
    let request = format!("ECHO {}\r\n", "x".repeat(60_000));
    let reply = format!("$60000\r\n{}\r\n", "x".repeat(60_000));
    for _ in 0..400 {
        busy.send(&request).expect(&reply);
    }
    eventually("it is closed", || busy.info("connected_clients") == 1);
    assert_eq!(busy.info("client_output_buffer_limit_disconnections"), 1);
}

#[test]
fn a_monitor_ends_with_the_server() {
    let served = Served::start();
    let mut monitor = served.connect();
    monitor.ask("MONITOR", "+OK\r\n");
    served.connect().ask("PING", "+PONG\r\n");
    drop(served);
    assert!(monitor.line().ends_with("\"PING\""));
    monitor.expect_end();
}

#[test]
fn latency_histograms_count_every_call_of_a_command() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    two.send("GET k\r\n".repeat(3)).expect("$-1\r\n".repeat(3));
    two.ask("CLIENT NO-EVICT on", "+OK\r\n").ask("GET", WRONG_GET);
    one.send("GET k\r\n".repeat(2)).expect("$-1\r\n".repeat(2));
    let figures = one.send("LATENCY HISTOGRAM get nosuch CLIENT set\r\n").value().0;
    let Value::Array(fields) = figures else { panic!("{figures:?}") };
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    assert_eq!((fields.len(), &fields[0], &fields[2]), (4, &bulk("get"), &bulk("client|no-evict")));
    let Value::Array(get) = &fields[1] else { panic!("{fields:?}") };
    assert_eq!(get[..3], [bulk("calls"), Value::Integer(5), bulk("histogram_usec")]);
    let Value::Array(buckets) = &get[3] else { panic!("{get:?}") };
    assert_eq!(buckets.last(), Some(&Value::Integer(5)), "each counts those before it");
    one.ask("LATENCY RESET", ":0\r\n").ask("CONFIG RESETSTAT", "+OK\r\n");
    one.ask("LATENCY HISTOGRAM get", "*0\r\n");
}

const WRONG_GET: &str = "-ERR wrong number of arguments for 'get' command\r\n";

#[test]
fn who_sleeps_lets_others_work_and_ends_with_its_client() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    one.send("SET k 1\r\nDEBUG SLEEP 100000\r\n");
    eventually("it sleeps", || {
        two.send("EXISTS k\r\n");
        two.line() == ":1"
    });
    let mut three = served.connect();
    three.ask("DEBUG SLEEP 0.001", "+OK\r\n").send("DEBUG SLEEP 1e300\r\n");
    two.ask("CLIENT KILL ID 3", ":1\r\n");
    drop(one);
    eventually("both have given up their places", || two.info("connected_clients") == 1);
    two.send("DEBUG SLEEP 100000\r\n");
    drop(served);
    two.expect("+OK\r\n").expect_end();
}

#[test]
fn reading_is_no_use_of_a_key_for_who_does_not_touch() {
    fn idle_s(wire: &mut Wire) -> u64 {
        wire.send("OBJECT IDLETIME k\r\n").line()[1..].parse().expect("a number")
    }
    let served = Served::start();
    let mut wire = served.connect();
    wire.ask("SET k v", "+OK\r\n").ask("CLIENT NO-TOUCH on", "+OK\r\n");
    eventually("it is idle", || {
        wire.ask("GET k", "$1\r\nv\r\n").ask("MULTI", "+OK\r\n").ask("GET k", "+QUEUED\r\n");
        wire.ask("EXEC", "*1\r\n$1\r\nv\r\n");
        idle_s(&mut wire) >= 2
    });
    wire.ask("TOUCH k", ":1\r\n");
    assert!(idle_s(&mut wire) < 2, "TOUCH touches whoever asks");
    eventually("it is idle again", || idle_s(&mut wire) >= 2);
    wire.ask("CLIENT NO-TOUCH OFF", "+OK\r\n").ask("GET k", "$1\r\nv\r\n");
    assert!(idle_s(&mut wire) < 2);
}

#[test]
fn help_names_every_subcommand() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.ask("OBJECT HELP", "*11\r\n");
    let help: Vec<String> = (0..11).map(|_| wire.line()).collect();
    assert_eq!(help[0], "+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    assert_eq!(help[1], "+ENCODING key");
    assert!(help.contains(&"+HELP".to_owned()));
}
