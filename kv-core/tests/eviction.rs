//! A store whose memory is limited: what it refuses, and what goes to make room.

mod store;

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use kv_core::CommandError;
use kv_core::engine::EvictionPolicy;
use kv_core::resp::reply::Value;
use kv_core::resp::request::OwnedArgs;
use store::{Store, call};

const MIB: usize = 1024 * 1024;

/// Longer than anything here takes.
const FOREVER: Duration = Duration::from_mins(1);

fn limited(bytes: usize, policy: EvictionPolicy) -> Store {
    let store = Store::new();
    store.engine.set_memory_limit(bytes);
    store.engine.set_eviction_policy(policy);
    store
}

/// Runs a line as a server does: after making room for it.
fn write(store: &Store, line: &str) -> Result<Value, CommandError> {
    store.engine.make_room(line.len())?;
    Ok(store.line(line))
}

fn keys(store: &Store) -> usize {
    store.engine.sizes().iter().map(|size| size.keys).sum()
}

#[test]
fn without_eviction_writes_are_refused_at_the_limit_until_keys_are_deleted() {
    let limit = 2 * MIB;
    let store = limited(limit, EvictionPolicy::NoEviction);
    let mut written = 0;
    let refused = loop {
        if let Err(error) = write(&store, &format!("set key:{written} {:v>100}", "v")) {
            break error;
        }
        written += 1;
        assert!(written < 100_000, "the limit is never reached");
    };
    assert_eq!(refused.to_string(), "OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!((keys(&store), store.engine.evicted_keys()), (written, 0));
    // The shards tell their bytes only now and then.
    assert!(
        store.engine.used_bytes().abs_diff(limit) < limit / 100,
        "{}",
        store.engine.used_bytes()
    );
    for key in 0..written / 10 {
        store.line(&format!("del key:{key}"));
    }
    assert!(write(&store, "set again v").is_ok());
    store.engine.set_memory_limit(0);
    store.engine.make_room(3 * MIB).expect("no limit");
    assert_eq!(store.value(&["set", "big", &"v".repeat(3 * MIB)]), Value::Simple(b"OK".to_vec()));
}

#[test]
fn with_eviction_every_write_is_taken_and_the_limit_is_kept() {
    for policy in [EvictionPolicy::AllKeysLru, EvictionPolicy::AllKeysRandom] {
        let limit = 2 * MIB;
        let store = limited(limit, policy);
        for n in 0..50_000usize {
            let len = if n.is_multiple_of(1000) { 20_000 } else { n % 200 };
            write(&store, &format!("set key:{n} {:v>len$}", "v")).expect("there is always room");
            if n.is_multiple_of(500) {
                let used = store.engine.used_bytes();
                assert!(used < limit + limit / 100 + 30_000, "{used} after {n} writes");
            }
        }
        assert_eq!(keys(&store) + store.engine.evicted_keys() as usize, 50_000);
        store.engine.forget_evicted_keys();
        assert_eq!(store.engine.evicted_keys(), 0);
    }
}

#[test]
fn a_request_larger_than_the_limit_is_refused_and_nothing_goes_for_it() {
    let store = limited(2 * MIB, EvictionPolicy::AllKeysLru);
    write(&store, "set k v").expect("there is room");
    assert_eq!(store.engine.make_room(2 * MIB + 1), Err(CommandError::OutOfMemory));
    assert_eq!((keys(&store), store.engine.evicted_keys()), (1, 0));
}

#[test]
fn a_limit_that_nothing_keeps_empties_the_store_and_refuses() {
    let store = limited(1, EvictionPolicy::AllKeysLru);
    store.line("set k v");
    assert_eq!(store.engine.make_room(0), Err(CommandError::OutOfMemory));
    assert_eq!((keys(&store), store.engine.evicted_keys()), (0, 1));
}

#[test]
fn volatile_policies_take_only_what_expires_wherever_it_is() {
    let policies =
        [EvictionPolicy::VolatileLru, EvictionPolicy::VolatileRandom, EvictionPolicy::VolatileTtl];
    for policy in policies {
        let store = Store::new();
        for n in 0..3000 {
            store.line(&format!("set stays:{n} v"));
        }
        for db in [0, 9] {
            for n in 0..50 {
                store.reply(db, &["set", &format!("goes:{n}"), "v", "ex", "1000"]);
            }
        }
        store.engine.set_eviction_policy(policy);
        store.engine.set_memory_limit(1);
        store.engine.evict(FOREVER);
        assert_eq!(store.engine.make_room(0), Err(CommandError::OutOfMemory));
        assert_eq!((keys(&store), store.engine.evicted_keys()), (3000, 100));
        assert_eq!(store.line("exists stays:0 stays:2999 goes:0"), Value::Integer(2));
    }
}

/// Each refused write once took all locks in turn, to look for what was not there.
#[test]
fn a_write_that_is_refused_for_want_of_keys_that_expire_takes_no_locks() {
    let store = limited(1, EvictionPolicy::VolatileLru);
    store.line("set stays v");
    assert_eq!(store.engine.make_room(1), Err(CommandError::OutOfMemory));
    let flush: OwnedArgs = ["flushall"].iter().collect();
    let calls = [call(&flush, 0)];
    let all_locks = store.engine.transaction_with(&calls, &[]);
    let (refused, was_refused) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| refused.send(store.engine.make_room(1)));
        let answer = was_refused.recv_timeout(FOREVER);
        drop(all_locks);
        assert_eq!(answer, Ok(Err(CommandError::OutOfMemory)));
    });
}

#[test]
fn a_key_that_gets_an_expiry_in_any_way_can_go_though_none_could_before() {
    let ways = [
        "expire k 1000",
        "set k v ex 1000",
        "getex k ex 1000",
        "setex other 1000 v",
        "set other v px 1000000",
        "pexpireat k 9999999999999",
    ];
    for way in ways {
        let store = Store::new();
        store.line("set k v");
        store.engine.set_eviction_policy(EvictionPolicy::VolatileTtl);
        store.engine.set_memory_limit(1);
        for _ in 0..2 {
            assert_eq!(store.engine.make_room(0), Err(CommandError::OutOfMemory));
        }
        store.line(way);
        assert_eq!(store.engine.make_room(0), Err(CommandError::OutOfMemory), "it is not enough");
        assert_eq!(store.engine.evicted_keys(), 1, "{way}");
        store.line("mset a 1 b 2");
        store.line("expire b 1000");
        let _ = store.engine.make_room(0);
        assert_eq!(store.engine.evicted_keys(), 2, "{way}, and once more");
    }
}

/// Writers and searches in vain cross in every order; afterwards whatever expires can go.
#[test]
fn a_search_in_vain_misses_no_key_that_gets_an_expiry_meanwhile() {
    for round in 0..50 {
        let store = limited(1, EvictionPolicy::VolatileRandom);
        let writer = |name: &str| {
            for n in 0..20 {
                store.line(&format!("set {name}:{n} v ex 1000"));
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| writer("a"));
            scope.spawn(|| writer("b"));
            for _ in 0..2 {
                scope.spawn(|| (0..20).for_each(|_| store.engine.evict(FOREVER)));
            }
        });
        store.engine.evict(FOREVER);
        assert_eq!((keys(&store), store.engine.evicted_keys()), (0, 40), "round {round}");
    }
}

#[test]
fn what_expires_next_goes_first_by_that_policy() {
    let store = Store::new();
    let total = 20_000;
    for n in 0..total {
        store.line(&format!("set key:{n} v ex {}", 1000 + n));
    }
    store.engine.set_eviction_policy(EvictionPolicy::VolatileTtl);
    store.engine.set_eviction_samples(10);
    store.engine.set_memory_limit(store.engine.used_bytes() - MIB / 2);
    store.engine.evict(FOREVER);
    let left = |range: std::ops::Range<usize>| {
        range.filter(|n| store.line(&format!("exists key:{n}")) == Value::Integer(1)).count()
    };
    let (sooner, later) = (left(0..total / 4), left(total * 3 / 4..total));
    assert!(sooner * 2 < later, "{sooner} of the first quarter and {later} of the last are left");
}

#[test]
fn a_limit_that_was_lowered_is_reached_step_by_step() {
    let store = Store::new();
    for n in 0..40_000 {
        store.line(&format!("set key:{n} {:v>100}", "v"));
    }
    let limit = 3 * MIB;
    assert!(store.engine.used_bytes() > 2 * limit);
    store.engine.set_eviction_policy(EvictionPolicy::AllKeysLru);
    store.engine.set_memory_limit(limit);
    let before = keys(&store);
    store.engine.make_room(10).expect("something goes");
    assert!(keys(&store) < before);
    store.engine.evict(FOREVER);
    assert!(store.engine.used_bytes() <= limit + limit / 100);
    assert!(store.engine.used_bytes() > limit - limit / 10, "more went than had to");
}

#[test]
fn an_evicted_key_has_changed_for_who_watches_it() {
    let store = limited(0, EvictionPolicy::AllKeysLru);
    store.line("set k v");
    let watches = [store.engine.watch(0, b"k")];
    store.engine.set_memory_limit(1);
    store.engine.evict(FOREVER);
    assert!(!store.exec(&watches, &["set done 1"]));
}

/// Hits of 300,000 reads, each of which writes what it misses, where four of five want one of 1,000
/// keys and the fifth any of 19,000 others, and about a tenth of all fits.
fn hits(policy: EvictionPolicy) -> usize {
    let store = limited(9 * MIB / 10, policy);
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut hits = 0;
    for read in 0..300_000 {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        let uniform =
            (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64;
        let key = match uniform < 0.8 {
            true => (uniform / 0.8 * 1000.0) as u32,
            false => 1000 + ((uniform - 0.8) / 0.2 * 19_000.0) as u32,
        };
        if read % 20 == 0 {
            store.advance_ms(100);
            store.engine.tick();
        }
        if store.reply(0, &["get", &key.to_string()]) != b"$-1\r\n" {
            hits += 1;
            continue;
        }
        write(&store, &format!("set {key} {:v>200}", "v")).expect("there is always room");
    }
    assert!(store.engine.evicted_keys() > 10_000, "too little went to tell");
    hits
}

#[test]
fn what_was_used_lately_stays_so_that_more_reads_hit_than_with_random_eviction() {
    let (lru, random) = (hits(EvictionPolicy::AllKeysLru), hits(EvictionPolicy::AllKeysRandom));
    println!("hits of 300,000: least recently used {lru}, random {random}");
    assert!(lru > random + random / 20, "least recently used {lru}, random {random}");
}

#[test]
fn policies_have_redis_names() {
    for policy in EvictionPolicy::ALL {
        assert_eq!(policy.name().to_uppercase().parse(), Ok(policy));
    }
    assert!("allkeys-lfu".parse::<EvictionPolicy>().is_err());
}
