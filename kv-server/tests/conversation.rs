//! What is said on a connection, byte for byte as a real Redis 7.0 says it, in both protocols.
//!
//! The transcripts below go to a redis-server and to ours, each over a connection of its own that
//! ends with `QUIT`. Where the answers may differ is listed in `conversation/differences.rs`, with
//! reasons.

mod conversation {
    pub(crate) mod differences;
    pub(crate) mod transcripts;
}
mod support;

use conversation::differences::{DIFFERENCES, alike};
use conversation::transcripts::{ALONE, GUARDED, OPEN};
use kv_core::command::COMMANDS;
use kv_core::resp::reply::Value;
use support::{Process, Redis, Served, Wire, eventually, shown};

const PASSWORD: &str = "secret";

/// All that a server answers to these bytes, and then to `QUIT` unless it has closed before.
fn answer(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut wire = Wire::to(address);
    let mut all = b"FLUSHALL\r\n".to_vec();
    all.extend_from_slice(bytes);
    all.extend_from_slice(b"\r\nQUIT\r\n");
    wire.send(all).rest()
}

fn compare(redis: &Redis, ours: &Served, transcripts: &[(&str, &[u8])], greeting: &str) {
    let mut wrong = Vec::new();
    for (name, bytes) in transcripts {
        println!("{name}");
        let bytes = [greeting.as_bytes(), bytes].concat();
        let expected = alike(&answer(redis.address(), &bytes));
        let got = alike(&answer(ours.address, &bytes));
        if got != expected {
            wrong.push(format!(
                "{name}: to {}\n--- redis\n{}\n--- ours\n{}\n",
                shown(&bytes),
                shown(&expected),
                shown(&got)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn answers_are_those_of_redis_in_resp2() {
    let Some(redis) = Redis::start(&[]) else { return };
    compare(&redis, &Served::start(), OPEN, "");
}

#[test]
fn answers_are_those_of_redis_in_resp3() {
    let Some(redis) = Redis::start(&[]) else { return };
    compare(&redis, &Served::start(), OPEN, "HELLO 3\r\n");
}

#[test]
fn kills_are_counted_as_in_redis() {
    for greeting in ["", "HELLO 3\r\n"] {
        for transcript in ALONE.chunks(1) {
            let Some(redis) = Redis::start(&[]) else { return };
            compare(&redis, &Served::start(), transcript, greeting);
        }
    }
}

#[test]
fn who_is_not_authenticated_hears_what_redis_says() {
    let Some(redis) = Redis::start(&["--requirepass", PASSWORD]) else { return };
    let ours = Served::with(|config| config.password = Some(PASSWORD.to_owned()));
    compare(&redis, &ours, GUARDED, "");
}

#[test]
fn each_difference_is_one_and_is_as_listed() {
    let redis = Redis::start(&[]);
    let ours = Served::start();
    for difference in DIFFERENCES {
        let got = answer(ours.address, difference.request);
        let wanted = [b"+OK\r\n", difference.reply].concat();
        assert_eq!(shown(&got), shown(&wanted), "{}", difference.reason);
        if let Some(redis) = &redis {
            let theirs = answer(redis.address(), difference.request);
            assert_ne!(shown(&theirs), shown(&wanted), "no longer: {}", difference.reason);
        }
    }
}

/// What came after 7.0.
const LATER: [&str; 3] = ["client|no-touch", "client|setinfo", "waitaof"];

/// What we refuse in a transaction and Redis does not, as `DIFFERENCES` says.
const NOT_IN_TRANSACTIONS: [&str; 1] = ["config|rewrite"];

/// What `COMMAND INFO` says of a command, with its words in order: no two hash tables have the same.
/// Of subcommands we have fewer; their names alone are left.
fn info_of(wire: &mut Wire, name: &str, known: &[&str]) -> String {
    wire.send(format!("COMMAND INFO {name}\r\n"));
    let (Value::Array(infos), _) = wire.value() else { panic!("no array for {name}") };
    let Value::Array(mut info) = infos[0].clone() else { panic!("nothing of {name}") };
    for words in [2, 6] {
        let (Value::Array(words) | Value::Set(words)) = &mut info[words] else {
            panic!("{info:?}")
        };
        if NOT_IN_TRANSACTIONS.contains(&name) {
            words.retain(|word| *word != Value::Simple(b"no_multi".to_vec()));
        }
        words.sort_by_key(|word| format!("{word:?}"));
    }
    if let Value::Array(subcommands) = &info[9] {
        let names = subcommands.iter().filter_map(|subcommand| match subcommand {
            Value::Array(fields) => Some(format!("{:?}", fields[0])),
            _ => None,
        });
        let bulk = |name: &&str| format!("{:?}", Value::Bulk(name.as_bytes().to_vec()));
        let known: Vec<String> = known.iter().map(bulk).collect();
        let mut names: Vec<String> = names.filter(|name| known.contains(name)).collect();
        names.sort();
        info[9] = Value::Simple(names.concat().into_bytes());
    }
    let fields: Vec<String> = info.iter().map(|field| format!("{field:?}\n")).collect();
    fields.concat()
}

#[test]
fn command_info_says_of_each_command_what_redis_says() {
    let Some(redis) = Redis::start(&[]) else { return };
    let ours = Served::start();
    for protocol in ["2", "3"] {
        let mut wires = [redis.address(), ours.address].map(Wire::to);
        for wire in &mut wires {
            wire.send(format!("HELLO {protocol}\r\n")).value();
        }
        let all = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        for spec in all.filter(|spec| !LATER.contains(&spec.name)) {
            let known: Vec<&str> = spec.subcommands.iter().map(|spec| spec.name).collect();
            let known: Vec<&str> = known.into_iter().filter(|name| !LATER.contains(name)).collect();
            let [theirs, ours] = wires.each_mut().map(|wire| info_of(wire, spec.name, &known));
            assert_eq!(ours, theirs, "{} in protocol {protocol}", spec.name);
        }
    }
}

#[test]
fn a_conversation_in_single_bytes_is_the_same() {
    let served = Served::start();
    let script =
        b"SET k 'a b'\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nMULTI\r\nINCR n\r\nEXEC\r\nPING\r\n*1\r\n!";
    let mut wire = served.connect();
    for byte in script {
        wire.send([*byte]);
    }
    wire.send("\r\n");
    let replies = "+OK\r\n$3\r\na b\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n+PONG\r\n";
    wire.expect(replies).expect("-ERR Protocol error: expected '$', got '!'\r\n").expect_end();
}

/// Redis searches lines as C strings, and so waits for ever behind a NUL: nothing to compare with.
#[test]
fn a_flood_of_nul_bytes_is_a_line_too_long() {
    let served = Served::start();
    let mut flood = served.connect();
    flood
        .send(vec![0; 70_000])
        .expect("-ERR Protocol error: too big inline request\r\n")
        .expect_end();
}

#[test]
fn replies_arrive_before_the_protocol_error_behind_them() {
    let served = Served::start();
    let mut wire = served.connect();
    let mut bytes = b"PING\r\n".repeat(10_000);
    bytes.extend_from_slice(b"*x\r\n");
    bytes.extend(b"PING\r\n".repeat(10_000));
    let mut replies = b"+PONG\r\n".repeat(10_000);
    replies.extend_from_slice(b"-ERR Protocol error: invalid multibulk length\r\n");
    wire.send(bytes).expect(replies).expect_end();
}

#[test]
fn a_client_that_is_done_sending_still_gets_its_replies() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.send(b"ECHO 0123456789\r\n".repeat(50_000)).done_sending();
    wire.expect(b"$10\r\n0123456789\r\n".repeat(50_000)).expect_end();
}

#[test]
fn each_client_has_its_own_number_and_line() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    one.send("CLIENT ID\r\n").expect(":1\r\n");
    two.send("CLIENT ID\r\n").expect(":2\r\n");
    two.ask("CLIENT SETNAME second", "+OK\r\n").ask("SELECT 3", "+OK\r\n");
    two.ask("CLIENT SETINFO LIB-NAME it", "+OK\r\n").ask("CLIENT SETINFO lib-ver 1.0", "+OK\r\n");
    let list = one.text("CLIENT LIST");
    assert_eq!(list.lines().count(), 2, "{list}");
    let line = list.lines().nth(1).expect("two lines");
    let addr = format!("addr={} ", two.stream.local_addr().expect("a socket"));
    for field in ["id=2 ", &addr, "name=second ", "db=3 ", "resp=2 ", "lib-name=it lib-ver=1.0 "] {
        assert!(line.contains(field), "{field} in {line}");
    }
    assert!(two.text("CLIENT INFO").starts_with("id=2 "));
}

#[test]
fn put_delete_and_their_case_are_as_in_the_original() {
    let served = Served::start();
    let mut wire = served.connect();
    for (put, delete, get) in
        [("PUT", "DELETE", "GET"), ("put", "delete", "get"), ("Put", "dElEtE", "gEt")]
    {
        wire.ask(&format!("{put} key1 value1"), "+OK\r\n")
            .ask(&format!("{get} key1"), "$6\r\nvalue1\r\n");
        wire.ask(&format!("{delete} key1"), ":1\r\n").ask(&format!("{get} key1"), "$-1\r\n");
        wire.ask(&format!("{put} key1"), "-ERR wrong number of arguments for 'put' command\r\n");
        wire.ask(&delete.to_uppercase(), "-ERR wrong number of arguments for 'delete' command\r\n");
    }
}

#[test]
fn end_answers_and_stops_the_server_at_the_first_call() {
    for line in ["END", "end", "End", "END now please", "eNd $%&"] {
        let mut process = Process::start(&[]);
        process.connect().ask(line, "+OK\r\n").expect_end();
        assert_eq!(process.ended().code(), Some(0), "{line}");
    }
}

#[test]
fn shutdown_closes_without_a_reply() {
    for line in ["SHUTDOWN", "shutdown NOSAVE", "SHUTDOWN SAVE NOW FORCE"] {
        let mut process = Process::start(&[]);
        process.connect().send(format!("{line}\r\n")).expect_end();
        assert_eq!(process.ended().code(), Some(0), "{line}");
    }
}

#[test]
fn a_browser_is_cut_off_before_its_body_runs() {
    let served = Served::start();
    for line in ["POST / HTTP/1.1", "post /", "Host: 127.0.0.1:65432", "HOST: x"] {
        let mut wire = served.connect();
        wire.send(format!("{line}\r\nContent-Length: 20\r\n\r\nSET stolen 1\r\n")).expect_end();
    }
    let mut wire = served.connect();
    wire.ask("GET / HTTP/1.1", "-ERR wrong number of arguments for 'get' command\r\n");
    wire.send("Host: 127.0.0.1:65432\r\nSET stolen 1\r\n").expect_end();
    served.connect().ask("EXISTS stolen", ":0\r\n");
}

#[test]
fn info_counts_what_came_before_it_in_the_same_pipeline() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.send("SET k v\r\nGET k\r\nGET none\r\n").expect("+OK\r\n$1\r\nv\r\n$-1\r\n");
    wire.send("GET k\r\nNOSUCH\r\n").expect("$1\r\nv\r\n");
    assert!(wire.line().starts_with("-ERR unknown command"));
    wire.send("GET k\r\n");
    let hits = wire.expect("$1\r\nv\r\n").info("keyspace_hits");
    assert_eq!(hits, 3);
    wire.send("GET k\r\n");
    wire.send("INFO stats\r\nQUIT\r\n");
    let text = String::from_utf8(wire.rest()).expect("text");
    for field in ["keyspace_hits:4\r\n", "keyspace_misses:1\r\n", "total_error_replies:1\r\n"] {
        assert!(text.contains(field), "{field} in {text}");
    }
    let mut other = served.connect();
    eventually("the first has gone", || other.info("connected_clients") == 1);
}

#[test]
fn a_password_set_at_run_time_asks_the_next_client_and_its_removal_none() {
    let served = Served::start();
    let mut before = served.connect();
    before.ask("CONFIG SET requirepass x", "+OK\r\n").ask("PING", "+PONG\r\n");
    let mut after = served.connect();
    after.ask("PING", "-NOAUTH Authentication required.\r\n");
    before.ask("CONFIG SET requirepass ''", "+OK\r\n");
    after.ask("PING", "+PONG\r\n");
}

#[test]
fn a_watched_key_changed_by_another_client_undoes_exec() {
    let served = Served::start();
    let (mut one, mut two) = (served.connect(), served.connect());
    one.ask("SET k 1", "+OK\r\n").ask("WATCH k none", "+OK\r\n").ask("MULTI", "+OK\r\n");
    one.ask("INCR k", "+QUEUED\r\n");
    two.ask("INCR k", ":2\r\n");
    one.ask("EXEC", "*-1\r\n").ask("GET k", "$1\r\n2\r\n");
    one.ask("WATCH none", "+OK\r\n").ask("MULTI", "+OK\r\n").ask("INCR k", "+QUEUED\r\n");
    two.ask("SET none 1", "+OK\r\n").ask("DEL none", ":1\r\n");
    one.ask("EXEC", "*-1\r\n");
    one.ask("WATCH k", "+OK\r\n");
    two.ask("SET k 5", "+OK\r\n");
    one.ask("UNWATCH", "+OK\r\n").ask("MULTI", "+OK\r\n").ask("INCR k", "+QUEUED\r\n");
    one.ask("EXEC", "*1\r\n:6\r\n");
    one.ask("SELECT 1", "+OK\r\n").ask("WATCH k", "+OK\r\n").ask("MULTI", "+OK\r\n");
    two.ask("SET k 7", "+OK\r\n");
    one.ask("PING", "+QUEUED\r\n").ask("EXEC", "*1\r\n+PONG\r\n");
}

#[test]
fn a_connection_that_goes_takes_its_watches_along() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.ask("WATCH none", "+OK\r\n").ask("MULTI", "+OK\r\n").ask("SET none 1", "+QUEUED\r\n");
    drop(wire);
    let mut other = served.connect();
    eventually("only one client is left", || other.info("connected_clients") == 1);
    other.ask("EXISTS none", ":0\r\n");
}
