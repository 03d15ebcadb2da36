//! What every target must do: the same claims for each kind of server and address, and for scripted
//! servers of each protocol, through the real program.

#[allow(dead_code, reason = "other tests need more of it")]
mod nodes;
#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "other tests need more of it")]
mod processes;
mod program;
#[allow(dead_code, reason = "other tests need more of it")]
mod scripted;
#[allow(dead_code, reason = "other tests need more of it")]
mod server;
mod stores;

use kv_bench::report;
use kv_bench::result::RunResult;
use program::{kv_bench, stderr};
use scripted::{Answer, Dialect, Server};
use stores::Store;
use tempfile::TempDir;

/// A run that ends well.
fn measure(target: &str, words: &[&str]) -> RunResult {
    let dir = TempDir::new().expect("a folder");
    let (output, result) = program::run(target, dir.path(), words);
    assert!(output.status.success(), "{target}: {}", stderr(&output));
    result.expect("written")
}

fn key(number: u32) -> String {
    format!("kvb:key:{number:012}")
}

fn named(count: u32) -> Vec<String> {
    (0..count).map(key).collect()
}

#[test]
fn hits_and_misses_are_those_that_the_server_counts() {
    for store in Store::each() {
        for number in 0..50 {
            store.set(&key(number), b"there");
        }
        for shape in [["1", "1", "1"], ["1", "1", "64"], ["2", "3", "64"]] {
            let [threads, clients, pipeline] = shape;
            let reads = || if store.is_server() { Some(store.reads()) } else { None };
            let before = reads();
            let words = ["--threads", threads, "--clients", clients, "--pipeline", pipeline];
            let result = measure(
                &store.target,
                &[&words[..], &["--keys", "100", "--requests", "1003"]].concat(),
            );
            let headline = &result.headline;
            let (hits, misses) = match (before, reads()) {
                (Some(before), Some(after)) => (after.0 - before.0, after.1 - before.1),
                // What is there and what is not has to do.
                _ => (headline.hits, headline.misses),
            };
            assert_eq!((headline.operations, headline.errors), (1003, 0), "{}", store.target);
            assert_eq!((headline.hits, headline.misses), (hits, misses), "{}", store.target);
            assert_eq!(hits + misses, 1003, "{}", store.target);
            assert!(hits > 0 && misses > 0, "{}", store.target);
        }
    }
}

#[test]
fn deletes_find_the_keys_that_puts_have_stored() {
    for store in Store::each() {
        for pipeline in ["1", "64"] {
            let of = |count, words: &[&str]| {
                let keys = ["--keys", count, "--requests", count, "--pipeline", pipeline, "--mix"];
                measure(&store.target, &[&keys, words].concat())
            };
            let put = of("100", &["put", "--key-distribution", "sequential"]);
            assert_eq!(put.operations.put.expect("measured").count, 100, "{}", store.target);
            assert!(store.get_all(&named(100)).iter().all(Option::is_some), "{}", store.target);
            let emptied = of("150", &["delete"]);
            let deletes = emptied.operations.delete.expect("measured");
            let found = (deletes.count, deletes.errors, deletes.hits, deletes.misses);
            assert_eq!(found, (150, 0, 100, 50), "{}", store.target);
            assert!(store.get_all(&named(100)).iter().all(Option::is_none), "{}", store.target);
        }
    }
}

#[test]
fn values_arrive_as_they_were_given() {
    // What ends a reply, and begins the next, in one protocol or another.
    let odd = "a\r\nEND\r\nVA 2\r\nEN\r\n$-1\r\n+OK\r\n \u{1}\u{7f}\u{ff}\u{1f980}";
    for store in Store::each() {
        for value in ["", "x", odd, &"long".repeat(25_000)] {
            let keys = ["--keys", "10", "--requests", "100", "--pipeline", "16"];
            let put = ["--mix", "put", "--key-distribution", "sequential", "--value", value];
            let result = measure(&store.target, &[&keys[..], &put].concat());
            assert_eq!(result.headline.errors, 0, "{}", store.target);
            for arrived in store.get_all(&named(10)) {
                assert!(arrived.as_deref() == Some(value.as_bytes()), "{}", store.target);
            }
            let read = measure(&store.target, &keys);
            assert_eq!((read.headline.hits, read.headline.errors), (100, 0), "{}", store.target);
        }
    }
}

#[test]
fn a_preload_stores_every_key() {
    for store in Store::each() {
        let words = ["--preload", "--keys", "1000", "--value-size", "64", "--requests", "1000"];
        let result = measure(&store.target, &words);
        assert_eq!((result.headline.hits, result.headline.misses), (1000, 0), "{}", store.target);
        let is_whole = |value: &Option<Vec<u8>>| value.as_ref().is_some_and(|v| v.len() == 64);
        assert!(store.get_all(&named(1000)).iter().all(is_whole), "{}", store.target);
    }
}

#[test]
fn an_open_loop_asks_every_target_for_what_is_due() {
    for store in Store::each() {
        let words = ["--rate", "1k", "--requests", "300", "--keys", "100", "--mix"];
        let result = measure(&store.target, &[&words[..], &["get=1,put=1,delete=1"]].concat());
        let headline = &result.headline;
        assert_eq!((headline.operations, headline.errors), (300, 0), "{}", store.target);
        assert_eq!(headline.rate_asked_ops_s, Some(1000.0), "{}", store.target);
        let [response, lateness] = [&headline.response_us, &headline.lateness_us];
        assert!(response.is_some() && lateness.is_some(), "{}", store.target);
    }
}

#[test]
fn who_serves_stands_in_the_result() {
    for store in Store::each() {
        let result = measure(&store.target, &["--requests", "100"]);
        let [version] = &result.environment.servers[..] else { panic!("one server") };
        let (name, number) = version.split_once(' ').expect("a name and a number");
        let known = ["kv-server", "redis", "memcached", "kv-core"];
        assert!(known.contains(&name), "{version}");
        assert!(number.starts_with(|c: char| c.is_ascii_digit()), "{version}");
        let is_found = result.servers[0].cpu_s.is_some();
        assert_eq!(is_found, store.is_server(), "{}: its process", store.target);
    }
}

#[test]
fn a_server_that_dies_fails_what_was_in_flight_and_ends_the_run() {
    let runs: Vec<_> = Store::each_over_tcp()
        .into_iter()
        .map(|mut store| {
            let dir = TempDir::new().expect("a folder");
            let words = ["--warmup", "0", "--requests", "100g", "--timeout", "300ms"];
            let run = kv_bench(&[&["run"], &words[..], &["--target"]].concat())
                .arg(&store.target)
                .arg("--out")
                .arg(dir.path().join("results"))
                .stderr(std::process::Stdio::piped())
                .stdout(std::process::Stdio::null())
                .spawn()
                .expect("it runs");
            store.await_load();
            store.kill();
            (store.target, dir, run)
        })
        .collect();
    for (target, dir, run) in runs {
        let output = run.wait_with_output().expect("it was ours");
        assert_eq!(output.status.code(), Some(1), "{target}");
        let message = stderr(&output);
        assert!(message.contains("has not answered for"), "{target}: {message}");
        let result = report::json::load(&dir.path().join("results/result.json")).expect("kept");
        assert!(result.partial && result.errors.connection > 0, "{target}: {:?}", result.errors);
        assert!(result.headline.hits + result.headline.misses > 0, "{target}");
    }
}

#[test]
fn replies_split_at_every_byte_are_read_whole() {
    for dialect in Dialect::ALL {
        let server = Server::speaking(dialect, |_, _| Answer::Split);
        let words = ["--clients", "2", "--pipeline", "5", "--mix", "get=1,put=1,delete=1"];
        let words = [&words[..], &["--requests", "300"]].concat();
        let result = measure(&dialect.url(server.address), &words);
        assert_eq!((result.headline.operations, result.headline.errors), (300, 0), "{dialect:?}");
        let [get, delete] = [result.operations.get, result.operations.delete].map(Option::unwrap);
        assert_eq!((get.hits, delete.hits), (get.count, delete.count), "{dialect:?}");
    }
}

#[test]
fn replies_longer_than_a_read_are_read_whole_with_what_follows_them() {
    for dialect in Dialect::ALL {
        let long: &[u8] = dialect.hit(&"x".repeat(300_000)).leak();
        let server = Server::speaking(dialect, move |number, words| match words[0].as_str() {
            "GET" if number % 3 == 0 => Answer::Raw(long),
            _ => Answer::Normal,
        });
        let words = ["--clients", "2", "--pipeline", "5", "--requests", "200"];
        let result = measure(&dialect.url(server.address), &words);
        assert_eq!((result.headline.hits, result.headline.errors), (200, 0), "{dialect:?}");
    }
}

#[test]
fn an_error_reply_is_an_outcome_with_its_code_and_the_connection_goes_on() {
    let resp: [&[u8]; 3] = [b"-OOM command not allowed\r\n", b"-ERR no\r\n", b"-what is this\r\n"];
    let memcached: [&[u8]; 3] =
        [b"SERVER_ERROR out of memory\r\n", b"CLIENT_ERROR bad\r\n", b"ERROR\r\n"];
    for (dialect, replies, codes) in [
        (Dialect::Resp, resp, ["ERR", "OOM", "OTHER"]),
        (Dialect::Memcached, memcached, ["CLIENT_ERROR", "ERROR", "SERVER_ERROR"]),
    ] {
        // From the 200th on: what is asked before the operations is past by then.
        let server = Server::speaking(dialect, move |number, _| match number {
            200..500 if number % 10 < 3 => Answer::Raw(replies[number % 10]),
            _ => Answer::Normal,
        });
        let words = ["--pipeline", "4", "--requests", "1000", "--mix", "get=1,put=1,delete=1"];
        let result = measure(&dialect.url(server.address), &words);
        assert_eq!((result.headline.operations, result.headline.errors), (1000, 90));
        let counted: Vec<_> = result.errors.server.into_iter().collect();
        assert_eq!(counted, codes.map(|code| (code.to_owned(), 30)), "{dialect:?}");
        assert_eq!((result.errors.connection, result.errors.protocol), (0, 0), "{dialect:?}");
    }
}

/// Runs so many operations, of which the 30th is answered with `garbage`: it alone fails.
fn assert_garbage(dialect: Dialect, garbage: &'static [u8], words: &[&str]) {
    let server = Server::speaking(dialect, move |number, _| match number {
        30 => Answer::Raw(garbage),
        _ => Answer::Normal,
    });
    let words = [words, &["--requests", "100"]].concat();
    let result = measure(&dialect.url(server.address), &words);
    let shown = String::from_utf8_lossy(garbage);
    assert_eq!((result.headline.operations, result.headline.errors), (100, 1), "{shown:?}");
    assert_eq!(result.errors.protocol, 1, "{shown:?}: {:?}", result.errors);
}

#[test]
fn garbage_fails_the_operation_it_answers_and_the_connection_is_replaced() {
    for dialect in Dialect::ALL {
        assert_garbage(dialect, b"HTTP/1.1 400 Bad Request\r\n", &[]);
        assert_garbage(dialect, b"\0\xff\n", &[]);
    }
    assert_garbage(Dialect::Memcached, b"VA five\r\nhello\r\n", &[]);
    assert_garbage(Dialect::Memcached, b"VA 3\r\nhello\r\n", &[]);
    assert_garbage(Dialect::Memcached, b"VA 99999999999999999999\r\n", &[]);
    assert_garbage(Dialect::Memcached, b"EN\n", &[]);
}

#[test]
fn a_reply_to_something_else_is_garbage() {
    assert_garbage(Dialect::Resp, b":42\r\n", &[]);
    assert_garbage(Dialect::Resp, b"+OK\r\n", &["--mix", "delete"]);
    for (mix, replies) in [
        ("get", [&b"HD\r\n"[..], b"NF\r\n", b"MN\r\n", b"VALUE k 0 5\r\n"]),
        ("put", [&b"EN\r\n"[..], b"NF\r\n", b"EX\r\n", b"STORED\r\n"]),
        ("delete", [&b"EN\r\n"[..], b"NS\r\n", b"VA 0\r\n\r\n", b"DELETED\r\n"]),
    ] {
        for reply in replies {
            assert_garbage(Dialect::Memcached, reply, &["--mix", mix]);
        }
    }
}

#[test]
fn the_beginning_of_a_reply_is_no_reply() {
    for (dialect, beginning) in
        [(Dialect::Resp, &b"$5\r\nhe"[..]), (Dialect::Memcached, b"VA 5\r\nhe")]
    {
        let server = Server::speaking(dialect, move |number, _| match number {
            30 => Answer::Raw(beginning),
            _ => Answer::Normal,
        });
        let words = ["--timeout", "200ms", "--requests", "100"];
        let result = measure(&dialect.url(server.address), &words);
        assert_eq!((result.headline.operations, result.errors.timeout), (100, 1), "{dialect:?}");
    }
}
