//! Keys end at their time, whether anybody looks or not.

mod store;

use std::time::Duration;

use kv_core::resp::reply::Value;
use store::{BEGIN_MS, Store};

const FOREVER: Duration = Duration::from_mins(10);

#[test]
fn a_key_is_there_until_the_millisecond_of_its_expiry() {
    for (line, lives_ms) in
        [("set k v px 1", 1), ("set k v ex 1", 1000), ("psetex k 7 v", 7), ("setex k 2 v", 2000)]
    {
        let store = Store::new();
        store.line(line);
        store.advance_ms(lives_ms - 1);
        assert_eq!(store.line("exists k"), Value::Integer(1), "{line}");
        store.advance_ms(1);
        assert_eq!(store.line("get k"), Value::Null, "{line}");
        assert_eq!(store.line("dbsize"), Value::Integer(0), "a look removes what expired");
    }
}

#[test]
fn times_to_live_are_rounded_to_the_nearest_second() {
    let store = Store::new();
    for (left_ms, ttl) in [(1, 0), (499, 0), (500, 1), (1499, 1), (1500, 2), (10_000, 10)] {
        store.line(&format!("set k v px {left_ms}"));
        assert_eq!(store.line("ttl k"), Value::Integer(ttl), "{left_ms} ms");
        assert_eq!(store.line("pttl k"), Value::Integer(left_ms));
        let at_ms = BEGIN_MS as i64 + left_ms;
        assert_eq!(store.line("pexpiretime k"), Value::Integer(at_ms));
        assert_eq!(store.line("expiretime k"), Value::Integer((at_ms + 500) / 1000));
    }
}

/// Whether `EXPIRE` with these options changes a key without an expiry, one that expires sooner, at
/// the same time, and later.
#[test]
fn the_options_of_expire_decide_by_the_present_expiry() {
    for (options, changes) in [
        ("", [true, true, true, true]),
        ("nx", [true, false, false, false]),
        ("xx", [false, true, true, true]),
        ("gt", [false, true, false, false]),
        ("lt", [true, false, false, true]),
        ("xx gt", [false, true, false, false]),
        ("xx lt", [false, false, false, true]),
    ] {
        for (present_s, changes) in [None, Some(50), Some(100), Some(200)].iter().zip(changes) {
            let store = Store::new();
            store.line("set k v");
            if let Some(present_s) = present_s {
                store.line(&format!("expire k {present_s}"));
            }
            let reply = store.line(&format!("expire k 100 {options}"));
            assert_eq!(reply, Value::Integer(changes.into()), "{options}, {present_s:?}");
            let left_s = if changes { Some(100) } else { *present_s };
            assert_eq!(store.line("ttl k"), Value::Integer(left_s.unwrap_or(-1)));
        }
    }
}

#[test]
fn an_expiry_in_the_past_removes_the_key_at_once() {
    for line in ["expire k 0", "expire k -1", "pexpire k -5", "expireat k 1", "getex k exat 1"] {
        let store = Store::new();
        store.line("set k v");
        store.line(line);
        assert_eq!(store.line("dbsize"), Value::Integer(0), "{line}");
    }
}

#[test]
fn sweeps_find_every_expired_key_of_every_database_and_no_other() {
    const KEYS: usize = 20_000;
    let store = Store::new();
    for n in 0..KEYS {
        // One in four never expires, one in four later than the others.
        let line = match n % 4 {
            0 => format!("set key:{n} v"),
            1 => format!("set key:{n} v px 2000"),
            _ => format!("set key:{n} v px 1000"),
        };
        store.reply((n % 16) as u8, &store::split(&line));
    }
    let sizes = || store.engine.sizes().iter().map(|size| size.keys).sum::<usize>();
    let swept = || {
        // Each sweep does a bounded part; enough of them go all the way round.
        let mut expired = 0;
        for _ in 0..kv_core::table::SHARDS {
            expired += store.engine.sweep_expired(Duration::ZERO).expired as usize;
        }
        expired
    };
    assert_eq!((swept(), sizes()), (0, KEYS));
    store.advance_ms(1000);
    assert_eq!((swept(), sizes()), (KEYS / 2, KEYS / 2));
    store.advance_ms(1000);
    assert_eq!((swept(), sizes()), (KEYS / 4, KEYS / 4));
    assert_eq!(store.engine.sizes().iter().map(|size| size.expiring).sum::<usize>(), 0);
    store.advance_ms(100_000);
    assert_eq!((swept(), sizes()), (0, KEYS / 4));
}

#[test]
fn a_sweep_goes_on_while_many_of_the_expiring_keys_have_expired() {
    let store = Store::new();
    // Few keys expire at all, but of those every one has.
    for n in 0..50_000 {
        let expiry = if n % 50 == 0 { "px 1" } else { "" };
        store.line(&format!("set key:{n} v {expiry}"));
    }
    store.advance_ms(1);
    assert_eq!(store.engine.sweep_expired(FOREVER).expired, 1000);
}

#[test]
fn a_sweep_of_a_store_without_expiring_keys_looks_at_none() {
    let store = Store::new();
    for n in 0..5000 {
        store.line(&format!("set key:{n} v"));
    }
    assert_eq!(store.engine.sweep_expired(FOREVER), kv_core::engine::SweepReport::default());
}

#[test]
fn a_clock_set_back_keeps_keys_longer_and_harms_nothing() {
    let store = Store::new();
    store.line("set k v px 1000");
    store.set_now_ms(BEGIN_MS - 5000);
    assert_eq!(store.line("pttl k"), Value::Integer(6000));
    store.engine.tick();
    assert_eq!(store.engine.access_now(), 0);
    store.set_now_ms(BEGIN_MS + 1000);
    assert_eq!(store.line("get k"), Value::Null);
}
