//! `SCAN` returns every key that is there throughout, whatever happens meanwhile.

mod store;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kv_core::Engine;
use kv_core::resp::reply::Value;
use store::Store;

/// One step of a walk: the next cursor and the keys.
fn scan(engine: &Engine, cursor: &str, options: &[&str]) -> (String, Vec<Vec<u8>>) {
    let reply = store::value(engine, 0, &[&["scan", cursor], options].concat());
    let Value::Array(mut parts) = reply else { panic!("{reply:?}") };
    let (Some(Value::Array(keys)), Some(Value::Bulk(next))) = (parts.pop(), parts.pop()) else {
        panic!("SCAN answers a cursor and keys")
    };
    let keys = keys.into_iter().map(|key| match key {
        Value::Bulk(key) => key,
        other => panic!("{other:?}"),
    });
    (String::from_utf8(next).expect("digits"), keys.collect())
}

/// A whole walk: how often each key came, and the number of calls.
fn walk(engine: &Engine, options: &[&str]) -> (BTreeMap<Vec<u8>, usize>, usize) {
    let mut seen = BTreeMap::new();
    let mut cursor = "0".to_owned();
    for calls in 1.. {
        let (next, keys) = scan(engine, &cursor, options);
        for key in keys {
            *seen.entry(key).or_default() += 1;
        }
        if next == "0" {
            return (seen, calls);
        }
        assert!(next.parse::<u64>().expect("a number") < 1 << 53, "a float keeps it whole");
        cursor = next;
    }
    unreachable!("a walk ends")
}

fn fill(engine: &Engine, prefix: &str, numbers: std::ops::Range<usize>) {
    for n in numbers {
        store::reply(engine, 0, &["set", &format!("{prefix}{n}"), "v"]);
    }
}

#[test]
fn a_quiet_table_is_returned_whole_and_no_key_twice() {
    for keys in [0, 1, 2, 1000, 30_000] {
        let store = Store::new();
        fill(&store.engine, "key:", 0..keys);
        for count in ["1", "10", "1000", "1000000000", "9223372036854775807"] {
            if keys > 1000 && count == "1" {
                continue; // thirty thousand calls prove no more
            }
            let (seen, calls) = walk(&store.engine, &["count", count]);
            assert_eq!(seen.len(), keys, "COUNT {count}");
            assert!(seen.values().all(|&times| times == 1));
            assert!(calls <= keys + 1, "every call but the last returns a key");
        }
    }
}

#[test]
fn patterns_and_types_choose_among_the_keys() {
    let store = Store::new();
    fill(&store.engine, "a:", 0..500);
    fill(&store.engine, "b:", 0..500);
    assert_eq!(walk(&store.engine, &["match", "a:*"]).0.len(), 500);
    assert_eq!(walk(&store.engine, &["match", "?:1"]).0.len(), 2);
    assert_eq!(walk(&store.engine, &["match", "c*", "count", "7"]).0.len(), 0);
    assert_eq!(walk(&store.engine, &["type", "string"]).0.len(), 1000);
    assert_eq!(walk(&store.engine, &["type", "hash"]).0.len(), 0);
}

#[test]
fn a_walk_sees_one_database_and_no_expired_key() {
    let store = Store::new();
    store.line("set here v");
    store.line("set brief v px 5");
    store.reply(1, &["set", "elsewhere", "v"]);
    store.advance_ms(5);
    let (seen, _) = walk(&store.engine, &[]);
    assert_eq!(seen.keys().collect::<Vec<_>>(), [b"here"]);
}

#[test]
fn any_number_is_a_cursor_and_every_walk_from_it_ends() {
    let store = Store::new();
    fill(&store.engine, "key:", 0..5000);
    for cursor in [
        "1",
        "12345",
        "4294967295",
        "4294967296",
        "4398046511103",
        "4398046511104",
        "18446744073709551615",
    ] {
        let mut next = cursor.to_owned();
        let mut calls = 0;
        while next != "0" {
            next = scan(&store.engine, &next, &[]).0;
            calls += 1;
            assert!(calls <= 5000, "a walk from {cursor} ends");
        }
    }
}

#[test]
fn a_table_that_lost_its_keys_is_walked_in_bounded_calls() {
    let store = Store::new();
    fill(&store.engine, "key:", 0..300_000);
    for n in 0..300_000 {
        store.reply(0, &["del", &format!("key:{n}")]);
    }
    let (seen, calls) = walk(&store.engine, &[]);
    assert!(seen.is_empty());
    assert!(calls > 1, "thousands of empty segments are more than one call may visit");
}

#[test]
fn keys_present_throughout_are_returned_while_the_table_grows() {
    const STABLE: usize = 2000;
    let store = Store::new();
    fill(&store.engine, "stable:", 0..STABLE);
    // Between two calls of one walk the table grows to more than 200,000 keys.
    let (mut seen, mut cursor, mut grown) = (BTreeSet::new(), "0".to_owned(), 0);
    loop {
        let (next, keys) = scan(&store.engine, &cursor, &["count", "50"]);
        seen.extend(keys.into_iter().filter(|key| key.starts_with(b"stable:")));
        let goal = (grown + 7000).min(220_000);
        fill(&store.engine, "new:", grown..goal);
        grown = goal;
        cursor = next;
        if cursor == "0" {
            break;
        }
    }
    assert!(grown > 200_000, "grew to {grown} during the walk");
    assert_eq!(seen.len(), STABLE);
}

#[test]
fn keys_present_throughout_are_returned_while_others_come_and_go() {
    const STABLE: usize = 3000;
    let engine = Engine::default();
    fill(&engine, "stable:", 0..STABLE);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !stop.load(Ordering::Relaxed) {
                // The table grows over the rounds, and half of each round's keys go again.
                fill(&engine, "passing:", round * 1000..(round + 1) * 1000);
                for n in (round * 1000..(round + 1) * 1000).step_by(2) {
                    store::reply(&engine, 0, &["del", &format!("passing:{n}")]);
                }
                round += 1;
            }
        });
        for _ in 0..5 {
            let (seen, _) = walk(&engine, &["count", "100"]);
            let stable = seen.keys().filter(|key| key.starts_with(b"stable:")).count();
            assert_eq!(stable, STABLE);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
