//! Many threads at once: nothing is lost, nothing half done is seen, nobody waits for ever.

mod store;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use kv_core::engine::{KeysAhead, Tally};
use kv_core::resp::Encoder;
use kv_core::resp::reply::{Value, decode};
use kv_core::resp::request::OwnedArgs;
use kv_core::{Call, Engine};
use store::{Store, call, split};

const THREADS: usize = 8;

fn run(engine: &Engine, line: &str) -> Value {
    store::value(engine, 0, &split(line))
}

/// Runs lines as one batch and decodes the replies.
fn batch(engine: &Engine, lines: &[&str]) -> Vec<Value> {
    let queued: Vec<OwnedArgs> = lines.iter().map(|line| split(line).iter().collect()).collect();
    let calls: Vec<Call<'_>> = queued.iter().map(|args| call(args, 0)).collect();
    let mut out = Encoder::default();
    let mut transaction = engine.transaction(&calls);
    for call in &calls {
        transaction.run(call, &mut out);
    }
    transaction.commit(&mut Tally::default());
    let mut bytes = out.bytes();
    let mut replies = Vec::new();
    while let Some((reply, consumed)) = decode(bytes).expect("RESP") {
        replies.push(reply);
        bytes = &bytes[consumed..];
    }
    replies
}

/// What a pipelined batch is about to ask for may be looked at by its connection while another one
/// writes there; it must neither wait for that nor be noticed.
#[test]
fn bringing_keys_near_waits_for_no_lock_and_changes_nothing() {
    let engine = Arc::new(Engine::default());
    run(&engine, "set here 1");
    let queued: OwnedArgs = split("set here 2").iter().collect();
    let write = [call(&queued, 0)];
    let mut transaction = engine.transaction(&write);
    let mut ahead = KeysAhead::default();
    for key in [&b"here"[..], b"absent", b"", b"here"] {
        engine.expect(&mut ahead, key);
    }
    // This thread holds the lock for writing.
    let (done, is_done) = mpsc::channel();
    let other = Arc::clone(&engine);
    thread::spawn(move || {
        other.warm(0, &mut ahead);
        done.send(ahead).expect("somebody waits");
    });
    let mut ahead = is_done.recv_timeout(Duration::from_mins(1)).expect("it waits for no lock");
    transaction.run(&write[0], &mut Encoder::default());
    transaction.commit(&mut Tally::default());
    for key in (0..100).map(|n| format!("key:{n}")) {
        engine.expect(&mut ahead, key.as_bytes());
    }
    assert!(ahead.is_full(), "a hundred keys are more than it takes");
    engine.warm(3, &mut ahead);
    assert!(!ahead.is_full(), "and then it is ready for the next");
    assert_eq!(run(&engine, "get here"), Value::Bulk(b"2".to_vec()));
    assert_eq!(run(&engine, "dbsize"), Value::Integer(1));
}

#[test]
fn no_increment_is_lost() {
    const ROUNDS: usize = 5000;
    let engine = Engine::default();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let engine = &engine;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    run(engine, "incr shared");
                    run(engine, &format!("incrby key:{} {thread}", round % 100));
                }
            });
        }
    });
    assert_eq!(run(&engine, "get shared"), Value::Bulk(b"40000".to_vec()));
    let total: usize = (0..100)
        .map(|n| match run(&engine, &format!("get key:{n}")) {
            Value::Bulk(value) => {
                String::from_utf8(value).expect("digits").parse::<usize>().expect("a number")
            }
            other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!(total, ROUNDS * (0..THREADS).sum::<usize>());
}

/// Readers run beside the writers until these are done.
fn beside<R: Send>(
    writers: impl Fn(usize) + Sync,
    readers: impl Fn() -> R + Sync,
    check: impl Fn(R) + Sync,
) -> usize {
    const WRITERS: usize = 4;
    let (running, reads) = (AtomicUsize::new(WRITERS), AtomicUsize::new(0));
    let (running, reads, writers, readers, check) = (&running, &reads, &writers, &readers, &check);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                writers(writer);
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        for _ in 0..2 {
            scope.spawn(move || {
                while running.load(Ordering::Relaxed) > 0 {
                    check(readers());
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    reads.load(Ordering::Relaxed)
}

#[test]
fn readers_never_see_half_of_an_mset() {
    let engine = Engine::default();
    let keys: Vec<String> = (0..20).map(|n| format!("key:{n}")).collect();
    let mget = format!("mget {}", keys.join(" "));
    let mset = |value: &str| {
        let pairs = keys.iter().flat_map(|key| [key.as_str(), value]);
        let args: Vec<&str> = std::iter::once("mset").chain(pairs).collect();
        store::reply(&engine, 0, &args)
    };
    mset("0");
    let write = |writer: usize| {
        for round in 0..500 {
            mset(&format!("{writer}:{round}"));
        }
    };
    beside(
        write,
        || run(&engine, &mget),
        |reply| {
            let Value::Array(values) = reply else { panic!("{reply:?}") };
            assert!(values.iter().all(|value| *value == values[0]), "{values:?}");
        },
    );
}

#[test]
fn batches_are_isolated_from_each_other_and_from_single_commands() {
    let engine = Engine::default();
    batch(&engine, &["set from 1000000", "set to 0"]);
    let transfer = |_| {
        for _ in 0..2000 {
            batch(&engine, &["decr from", "incr to"]);
        }
    };
    let number = |value: &Value| match value {
        Value::Bulk(text) => String::from_utf8_lossy(text).parse::<i64>().expect("a number"),
        other => panic!("{other:?}"),
    };
    beside(
        transfer,
        || batch(&engine, &["get from", "get to"]),
        |replies| {
            assert_eq!(number(&replies[0]) + number(&replies[1]), 1_000_000);
        },
    );
    beside(
        transfer,
        || run(&engine, "mget to from"),
        |reply| {
            let Value::Array(values) = reply else { panic!("{reply:?}") };
            assert_eq!(number(&values[0]) + number(&values[1]), 1_000_000);
        },
    );
    assert_eq!(run(&engine, "get to"), Value::Bulk(b"16000".to_vec()));
}

#[test]
fn renames_never_hide_or_double_a_key() {
    let engine = Engine::default();
    run(&engine, "set a v");
    let rename = |_| {
        for _ in 0..2000 {
            run(&engine, "rename a b");
            run(&engine, "rename b a");
        }
    };
    beside(rename, || run(&engine, "exists a b"), |reply| assert_eq!(reply, Value::Integer(1)));
}

#[test]
fn commands_on_the_same_keys_in_opposite_orders_do_not_deadlock() {
    let engine = Engine::default();
    let keys: Vec<String> = (0..50).map(|n| format!("key:{n}")).collect();
    let (forth, back) = (keys.join(" "), keys.iter().rev().cloned().collect::<Vec<_>>().join(" "));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (engine, order) = (&engine, if thread % 2 == 0 { &forth } else { &back });
            scope.spawn(move || {
                for round in 0..300 {
                    run(engine, &format!("mset {}", order.replace(' ', " v ") + " v"));
                    run(engine, &format!("mget {order}"));
                    run(engine, &format!("del {order}"));
                    match round % 50 {
                        0 => drop(run(engine, "flushall")),
                        1 => drop(run(engine, "dbsize")),
                        2 => drop(run(engine, "keys key:1*")),
                        3 => drop(engine.sizes()),
                        _ => {}
                    }
                }
            });
        }
    });
}

#[test]
fn keys_that_expire_under_many_readers_are_removed_once() {
    let store = Store::new();
    for n in 0..2000 {
        store.line(&format!("set key:{n} v px 1"));
    }
    store.advance_ms(1);
    let expired = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut tally = Tally::default();
                let mut out = Encoder::default();
                for n in 0..2000 {
                    let args: OwnedArgs = ["get".to_owned(), format!("key:{n}")].iter().collect();
                    store.engine.run(&call(&args, 0), &mut out, &mut tally);
                }
                expired.fetch_add(tally.expired as usize, Ordering::Relaxed);
            });
        }
        scope.spawn(|| {
            let swept = store.engine.sweep_expired(std::time::Duration::from_mins(1));
            expired.fetch_add(swept.expired as usize, Ordering::Relaxed);
        });
    });
    assert_eq!(expired.load(Ordering::Relaxed), 2000);
    assert_eq!(store.line("dbsize"), Value::Integer(0));
}

/// What happens between a `WATCH` of `k` and its `EXEC`, and whether that still runs.
#[test]
fn exec_runs_only_when_no_watched_key_changed() {
    const CASES: &[(&str, &[&str], bool)] = &[
        ("set k v", &[], true),
        ("set k v", &["get k", "exists k", "ttl k"], true),
        ("set k v", &["set other v", "del another"], true),
        ("set k v", &["set k v"], false),
        ("set k v", &["append k \"\""], false),
        ("set k v", &["expire k 100"], false),
        ("set k v", &["persist k"], true),
        ("set k v", &["setnx k w"], true),
        ("set k v", &["del k"], false),
        ("set k v", &["del k", "set k v"], false),
        ("set k v", &["rename k other"], false),
        ("set k v", &["set other w", "rename other k"], false),
        ("set k v", &["flushdb"], false),
        ("set k v", &["flushall", "set k v"], false),
        ("set k v", &["swapdb 0 1"], false),
        ("set k v", &["swapdb 0 1", "swapdb 1 0"], false),
        ("set k v", &["swapdb 1 2", "swapdb 0 0"], true),
        ("set k v px 10", &["ADVANCE"], false),
        ("set k v px 10", &["ADVANCE", "get k"], false),
        ("set k v px 10", &["ADVANCE", "set k v"], false),
        ("del k", &[], true),
        ("del k", &["get k", "del k", "expire k 100", "getdel k"], true),
        ("del k", &["flushdb"], true),
        ("del k", &["set k v"], false),
        ("del k", &["set k v", "del k"], false),
        ("del k", &["set k v", "flushdb"], false),
        ("del k", &["set k v", "flushall"], false),
        ("del k", &["set k v", "rename k other"], false),
        ("del k", &["swapdb 0 1", "swapdb 0 1"], true),
        ("del k", &["set k v", "swapdb 0 1"], false),
        ("del k", &["swapdb 0 1", "set k v", "swapdb 0 1", "swapdb 0 1"], false),
        ("del k", &["set k v px 10", "ADVANCE"], false),
        ("del k", &["set k v px 10", "ADVANCE", "get k"], false),
        ("del k", &["set k v px 10", "ADVANCE", "SWEEP"], false),
        ("set k v px 5", &["ADVANCE-BEFORE-WATCH"], true),
        ("set k v px 5", &["ADVANCE-BEFORE-WATCH", "get k", "SWEEP"], true),
    ];
    for (before, between, runs) in CASES {
        let store = Store::new();
        store.line(before);
        if between.first() == Some(&"ADVANCE-BEFORE-WATCH") {
            store.advance_ms(10);
        }
        let watches = [store.engine.watch(0, b"unrelated"), store.engine.watch(0, b"k")];
        for line in *between {
            match *line {
                "ADVANCE-BEFORE-WATCH" => {}
                "ADVANCE" => store.advance_ms(10),
                "SWEEP" => drop(store.engine.sweep_expired(std::time::Duration::from_mins(1))),
                line => drop(store.line(line)),
            }
        }
        assert_eq!(store.exec(&watches, &["set done 1"]), *runs, "{before}; WATCH k; {between:?}");
        let done = i64::from(*runs);
        assert_eq!(store.line("exists done"), Value::Integer(done));
    }
}

#[test]
fn a_watch_is_of_one_database() {
    let store = Store::new();
    let watches = [store.engine.watch(3, b"k")];
    store.reply(0, &["set", "k", "v"]);
    assert!(store.exec(&watches, &["get k"]));
    let watches = [store.engine.watch(3, b"k")];
    store.reply(3, &["set", "k", "v"]);
    assert!(!store.exec(&watches, &["get k"]));
}

#[test]
fn optimistic_increments_under_watch_are_exact() {
    const ROUNDS: usize = 300;
    let store = Store::new();
    let retries = AtomicUsize::new(0);
    let go = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !go.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                for _ in 0..ROUNDS {
                    loop {
                        let watches = [store.engine.watch(0, b"n")];
                        let next = match store.line("get n") {
                            Value::Bulk(text) => {
                                String::from_utf8_lossy(&text).parse::<usize>().expect("a number")
                                    + 1
                            }
                            _ => 1,
                        };
                        if store.exec(&watches, &[&format!("set n {next}")]) {
                            break;
                        }
                        retries.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        go.store(true, Ordering::Relaxed);
    });
    let total = (THREADS * ROUNDS).to_string().into_bytes();
    assert_eq!(store.line("get n"), Value::Bulk(total));
}
