//! Commands of the user's own, as a server gets them and a result tells of them.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;

use std::path::Path;

use kv_bench::report;
use kv_bench::result::{OperationResult, RunResult};
use kv_bench::target::{
    Address, Codec, Credentials, Endpoint, Operation, Protocol, Reply, Resp, Target,
};
use kv_bench::workload::{Command, Request};
use peer::Redis;
use program::{assert_refused, kv_bench, stderr};
use scripted::{Answer, Server};
use tempfile::TempDir;

fn run(target: &str, words: &[&str]) -> RunResult {
    let dir = TempDir::new().expect("a folder");
    let mut command = kv_bench(&["run", "--target", target, "--warmup", "0", "--threads", "1"]);
    let output = command.args(words).arg("--out").arg(dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let report = std::fs::read_to_string(dir.path().join("report.md")).expect("a report");
    let result = result(dir.path());
    for name in result.operations.commands.keys() {
        assert!(report.contains(&format!("| {name} ")), "{report}");
    }
    result
}

fn result(dir: &Path) -> RunResult {
    report::json::load(&dir.join("result.json")).expect("a result")
}

/// A target of one server for each owner, keys being `key_size` bytes long.
fn target(commands: &[&str], key_size: usize) -> Resp {
    let commands: Vec<_> = commands.iter().map(|c| Command::parse(c).expect(c)).collect();
    let endpoint = |number: u16| Endpoint {
        name: format!("server_{number}"),
        address: Address::Tcp(([127, 0, 0, 1], number).into()),
        protocol: Protocol::Resp,
        credentials: Credentials::default(),
    };
    // The length of the word that places it, odd or even.
    let owner = Box::new(|word: &[u8]| word.len() % 2);
    Resp::new(&[endpoint(1), endpoint(2)], owner, key_size, 3).with_commands(&commands)
}

fn encoded(command: &str, key: &str, value: &str) -> String {
    let mut out = Vec::new();
    let (key, value) = (key.as_bytes(), value.as_bytes());
    let operation = Operation { request: Request::Command(0), key, value };
    target(&[command], key.len()).codec().encode(operation, &mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_command_is_sent_word_by_word_with_its_places_filled() {
    let cases = [
        ("PING", "*1\r\n$4\r\nPING\r\n"),
        (
            "set __key__ __data__ EX 10",
            "*5\r\n$3\r\nset\r\n$2\r\nk1\r\n$3\r\nabc\r\n$2\r\nEX\r\n$2\r\n10\r\n",
        ),
        (
            "ZADD z:{__key__} 1 __data__",
            "*4\r\n$4\r\nZADD\r\n$6\r\nz:{k1}\r\n$1\r\n1\r\n$3\r\nabc\r\n",
        ),
        (
            "MGET __key__ '' \"a b\\x00\"",
            "*4\r\n$4\r\nMGET\r\n$2\r\nk1\r\n$0\r\n\r\n$4\r\na b\0\r\n",
        ),
        (
            "SET __key__ <__data____key____data__>",
            "*3\r\n$3\r\nSET\r\n$2\r\nk1\r\n$10\r\n<abck1abc>\r\n",
        ),
    ];
    for (command, request) in cases {
        assert_eq!(encoded(command, "k1", "abc"), request, "{command}");
    }
    assert!(encoded("SET __key__ __data__", "k1", "").ends_with("$0\r\n\r\n"));
}

#[test]
fn a_command_goes_to_the_server_of_the_word_that_its_key_is_in() {
    let commands =
        ["PING", "GET __key__", "GET z:__key__", "GET z:__key__z", "SET __data__ __key__"];
    let target = target(&commands, 3);
    let routes = (0..5).map(|index| target.route_request(Request::Command(index), b"abc"));
    assert_eq!(routes.collect::<Vec<_>>(), [1, 1, 1, 0, 1]);
    assert_eq!(target.route_request(Request::Get, b"abcd"), 0);
}

#[test]
fn a_reply_that_is_no_error_is_a_success_and_nil_a_miss() {
    let codec = target(&["GET __key__"], 2).codec();
    let cases: [(&[u8], Reply); 9] = [
        (b"+OK\r\n", Reply::Stored),
        (b":7\r\n", Reply::Stored),
        (b"$1\r\nx\r\n", Reply::Hit),
        (b"$-1\r\n", Reply::Miss),
        (b"_\r\n", Reply::Miss),
        (b"*2\r\n:1\r\n$1\r\na\r\n", Reply::Stored),
        (b"*0\r\n", Reply::Stored),
        (b"%1\r\n+a\r\n:1\r\n", Reply::Stored),
        (b"-WRONGTYPE no\r\n", Reply::Error(b"WRONGTYPE no")),
    ];
    for (bytes, reply) in cases {
        let decoded = codec.decode(Request::Command(0), bytes).expect("RESP");
        assert_eq!(decoded, Some((bytes.len(), reply)), "{}", bytes.escape_ascii());
        for end in 0..bytes.len() {
            assert_eq!(codec.decode(Request::Command(0), &bytes[..end]), Ok(None));
        }
    }
    assert!(codec.decode(Request::Command(0), b"?\r\n").is_err());
}

#[test]
fn commands_are_drawn_by_their_ratios_and_told_by_their_names() {
    let Some(redis) = Redis::start(&[]) else { return };
    let target = format!("redis://127.0.0.1:{}", redis.port);
    let commands = [
        ["--command", "ZADD z:__key__ 1 __data__", "--command-ratio", "1"],
        ["--command", "ZRANGE z:__key__ 0 -1", "--command-ratio", "3"],
        ["--command", "GET nothing:__key__", "--command-ratio", "1"],
        ["--command", "get z:__key__", "--command-ratio", "1"],
    ];
    for load in [["--pipeline", "4"], ["--rate", "20k"]] {
        redis.ask(&["flushall"]);
        let load = [&load[..], &["--keys", "100", "--requests", "6k"]].concat();
        let result = run(&target, &[commands.concat(), load].concat());
        assert_eq!(result.headline.operations, 6_000);
        let operations = &result.operations;
        let of =
            |name: &str| operations.commands.get(name).or(operations.get.as_ref()).expect(name);
        let near = |kind: &OperationResult, due: u64| kind.count.abs_diff(due) < 200;
        assert!(near(of("zadd"), 1_000) && near(of("zrange"), 3_000), "{operations:?}");
        let get = operations.get.as_ref().expect("by its name");
        assert_eq!((get.misses, get.hits, get.errors), (get.count, 0, 0));
        // Strings are not there yet when the first come.
        let wrong = of("get-2");
        assert!(wrong.errors > wrong.count * 8 / 10, "{wrong:?}");
        assert_eq!(result.errors.server.get("WRONGTYPE"), Some(&wrong.errors));
        assert_eq!(result.scenario.mix, "zadd=1,zrange=3,get=1,get-2=1");
        assert_eq!(result.scenario.commands[1].command, "ZRANGE z:__key__ 0 -1");
        assert!(result.histograms.contains_key("ZRANGE-service"), "{:?}", result.histograms.keys());
        assert_eq!(redis.ask(&["type", "z:kvb:key:000000000007"]), "zset");
    }
}

#[test]
fn a_command_is_the_first_word_that_a_server_sees() {
    let server = Server::start(|_, _| Answer::Normal);
    let words = ["--command", "HSET h __key__ '__data__ !'", "--value", "v", "--requests", "50"];
    let result = run(&server.address.to_string(), &words);
    assert_eq!((result.headline.errors, result.operations.commands["hset"].count), (0, 50));
    let seen = server.seen.lock().expect("unpoisoned").clone();
    let sent: Vec<_> = seen.iter().filter(|words| words[0] == "HSET").collect();
    assert_eq!(sent.len(), 50);
    assert!(sent.iter().all(|w| w[1] == "h" && w[2].starts_with("kvb:key:") && w[3] == "v !"));
}

/// A cache's puts are never late: they are due when they are wanted.
#[test]
fn fills_do_not_hide_that_gets_waited_for_a_client() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => {
            std::thread::sleep(std::time::Duration::from_millis(4));
            Answer::Raw(b"$-1\r\n")
        }
        _ => Answer::Normal,
    });
    let words = ["--workload", "cache", "--rate", "150", "--duration", "3s", "--clients", "1"];
    let result = run(&server.address.to_string(), &words);
    let reasons = result.trust.reasons.join("\n");
    let (before, _) = reasons
        .split_once(" % of the operations waited for a client")
        .unwrap_or_else(|| panic!("{reasons}"));
    let share: f64 = before.rsplit(['\n', ' ']).next().expect("a share").parse().expect("a number");
    // More than half of the gets find the one client busy, and each put makes two operations of one.
    assert!(share > 45.0, "{reasons}");
}

#[test]
fn commands_that_make_no_sense_are_refused_with_what_would() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--command", ""],
            "--command '': the command is missing (such as --command 'GET __key__')",
        ),
        (&["--command", "GET 'a"], "--command 'GET 'a': unbalanced quotes"),
        (&["--command", "GET __key__\nDEL __key__"], "a line break: write it as \"\\n\""),
        (&["--command", "SET __key__ 'a\nb'"], "a line break"),
        (&["--command", "GET __key__:__key__"], "no second __key__ and no __data__"),
        (&["--command", "SET __data____key__ __key__"], "no second __key__ and no __data__"),
        (&["--command", "__key__ a"], "'__key__' is no name of a command"),
        (
            &["--command", "Subscribe __key__"],
            "SUBSCRIBE changes which replies come to which requests",
        ),
        (&["--command", "CLIENT REPLY OFF"], "CLIENT REPLY changes which replies"),
        (&["--command", "GET __key__", "--mix", "get"], "cannot be used with"),
        (&["--command-ratio", "9"], "--command <COMMAND> is missing"),
        (
            &["--command", "GET __key__", "--command", "PING", "--command-ratio", "9"],
            "--command-ratio: 1 are given for 2 commands: give one behind each --command, or none",
        ),
        (
            &["--command", "GET __key__", "--command-ratio", "0"],
            "--command: every --command-ratio is 0",
        ),
        (&["--command", "GET __key__", "--command-ratio", "2m"], "must be from 0 to 1,000,000"),
    ];
    assert_refused(cases);
    let many = ["--command", "PING"].repeat(17);
    assert_refused(&[(&many, "17 commands are more than 16")]);
}
