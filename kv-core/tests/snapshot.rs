//! A snapshot is the store as it was at one moment, whatever goes on meanwhile.

mod saved;
mod store;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use kv_core::engine::{PointInTime, Tally};
use kv_core::resp::Encoder;
use kv_core::resp::reply::Value;
use kv_core::resp::request::OwnedArgs;
use kv_core::snapshot::{
    Entries, EntryBuffer, Fill, Header, SnapshotError, SnapshotReader, StoredEntry, write,
};
use kv_core::{Call, Clock, Engine};
use proptest::prelude::*;
use saved::{Folder, State, collect, read};
use store::{BEGIN_MS, Store, call, split};

const SHARDS: usize = kv_core::table::SHARDS;

/// Gives out a little more, and collects it; answers whether there may be more.
fn step(moment: &mut PointInTime<'_>, state: &mut State) -> bool {
    let mut out = EntryBuffer::default();
    let fill = moment.fill(&mut out);
    collect(&mut Entries::new(out.bytes()), state);
    fill == Fill::More
}

/// All that is left of a moment.
fn give_out(moment: &mut PointInTime<'_>, state: &mut State) {
    while step(moment, state) {}
}

fn write_and_read(folder: &Folder, engine: &Engine) -> State {
    let written =
        engine.write_snapshot(&folder.disk, &AtomicBool::new(false)).expect("a folder to write to");
    let state = read(&folder.disk, &written.name).expect("as it was written");
    assert_eq!(state.len() as u64, written.entries);
    state
}

/// Every live key as the commands show it.
fn visible(store: &Store) -> State {
    let mut state = State::new();
    for db in 0..16 {
        let ask = |args: &[&[u8]]| store::value(&store.engine, db, args);
        let Value::Array(keys) = ask(&[b"keys", b"*"]) else { panic!("KEYS answers an array") };
        for key in keys {
            let Value::Bulk(key) = key else { panic!("{key:?}") };
            let Value::Bulk(value) = ask(&[b"get", &key]) else { panic!("it was there") };
            let Value::Integer(at_ms) = ask(&[b"pexpiretime", &key]) else { panic!("a number") };
            state.insert((db, key), (value, u64::try_from(at_ms).ok()));
        }
    }
    state
}

fn without_expired(mut state: State, now_ms: u64) -> State {
    state.retain(|_, (_, expires_at_ms)| expires_at_ms.is_none_or(|at_ms| at_ms > now_ms));
    state
}

#[derive(Debug, Clone)]
enum Step {
    AdvanceMs(u64),
    Sweep,
    Fill(usize),
    Command { db: u8, line: String },
}

fn any_step() -> impl Strategy<Value = Step> {
    let db = prop_oneof![4 => Just(0u8), 1 => Just(1u8), 1 => Just(15u8)];
    let command = (db, 0..40u32, 0..40u32, 0..1000u64).prop_flat_map(|(db, key, other, n)| {
        let at_ms = BEGIN_MS + n;
        let line = prop::sample::select(vec![
            format!("set k{key} {n}"),
            format!("set k{key} {n} px {}", n + 1),
            format!("mset k{key} {n} k{other} {n}"),
            format!("append k{key} {n}"),
            format!("setrange k{key} 3 {n}"),
            format!("incrby k{key} {n}"),
            format!("del k{key} k{other}"),
            format!("getdel k{key}"),
            format!("rename k{key} k{other}"),
            format!("pexpireat k{key} {at_ms}"),
            format!("pexpireat k{other} {at_ms}"),
            format!("persist k{key}"),
            format!("getex k{key} px 50"),
        ]);
        line.prop_map(move |line| Step::Command { db, line })
    });
    prop_oneof![
        40 => command,
        2 => (0..300u64).prop_map(Step::AdvanceMs),
        1 => Just(Step::Sweep),
        1 => (0..5u8).prop_map(|db| Step::Command { db, line: "flushdb".to_owned() }),
        1 => Just(Step::Command { db: 0, line: "flushall".to_owned() }),
        10 => (1..500usize).prop_map(Step::Fill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Commands, a cut, and commands between the steps of giving it out.
    #[test]
    fn it_is_the_moment_of_the_cut_whatever_comes_after(
        before in prop::collection::vec(any_step(), 0..150),
        after in prop::collection::vec(any_step(), 0..150),
    ) {
        let store = Store::new();
        let (mut moment, mut given_out) = (None, State::new());
        let (mut expected, mut cut_ms) = (State::new(), 0);
        for (number, step_) in before.iter().chain(&after).enumerate() {
            if number == before.len() {
                (expected, cut_ms) = (visible(&store), store.now_ms());
                moment = store.engine.point_in_time();
            }
            match step_ {
                Step::AdvanceMs(ms) => store.advance_ms(*ms),
                Step::Sweep => drop(store.engine.sweep_expired(Duration::from_mins(1))),
                Step::Command { db, line } => drop(store.reply(*db, &split(line))),
                Step::Fill(times) => {
                    if let Some(moment) = &mut moment {
                        (0..*times).for_each(|_| _ = step(moment, &mut given_out));
                    }
                }
            }
        }
        if let Some(mut moment) = moment {
            give_out(&mut moment, &mut given_out);
            prop_assert_eq!(without_expired(given_out, cut_ms), expected);
        }
    }
}

/// Runs lines as one batch.
fn batch(engine: &Engine, lines: &[String]) {
    let queued: Vec<OwnedArgs> = lines.iter().map(|line| split(line).iter().collect()).collect();
    let calls: Vec<Call<'_>> = queued.iter().map(|args| call(args, 0)).collect();
    let mut transaction = engine.transaction(&calls);
    for call in &calls {
        transaction.run(call, &mut Encoder::default());
    }
    transaction.commit(&mut Tally::default());
}

/// Changes `a<n>` and `b<n>`, which lie in different shards, always together.
fn change_pair(engine: &Engine, round: u64, pair: u64) {
    let (a, b) = (format!("a{pair}"), format!("b{pair}"));
    let both = |command: &str, rest: &str| {
        batch(engine, &[&a, &b].map(|key| format!("{command} {key} {rest}")));
    };
    match round % 64 {
        0 if pair.is_multiple_of(8) => drop(store::value(engine, 0, &["flushdb"])),
        0..10 => drop(store::value(engine, 0, &["del", &a, &b])),
        10..20 => both("append", "x"),
        20..30 => both("pexpireat", &(BEGIN_MS + round).to_string()),
        30..35 => both("persist", ""),
        _ => {
            let value = round.to_string();
            drop(store::value(engine, 0, &["mset", &a, &value, &b, &value]));
        }
    }
}

#[test]
fn what_changes_together_is_there_together() {
    const RUNS: usize = 210;
    const PAIRS: u64 = 100;
    let store = Store::new();
    let (engine, folder) = (&store.engine, Folder::new());
    // So that giving out takes a while.
    for n in 0..2000 {
        store::reply(engine, 1, &["set", &format!("other:{n}"), "v"]);
    }
    let (stop, changes) = (AtomicBool::new(false), AtomicUsize::new(0));
    let differing = AtomicUsize::new(0);
    thread::scope(|scope| {
        for thread in 0..3u64 {
            let (stop, changes) = (&stop, &changes);
            scope.spawn(move || {
                let mut random = thread * 2 + 1;
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    change_pair(engine, round, random % PAIRS);
                    changes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut last = State::new();
        let check = |run: usize, last: &mut State| {
            let state = write_and_read(&folder, engine);
            for pair in 0..PAIRS {
                let of = |name: char| state.get(&(0, format!("{name}{pair}").into_bytes()));
                assert_eq!(of('a'), of('b'), "run {run}, pair {pair}");
            }
            assert_eq!(state.keys().filter(|(db, _)| *db == 1).count(), 2000);
            differing.fetch_add(usize::from(state != *last), Ordering::Relaxed);
            *last = state;
        };
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..RUNS).for_each(|run| check(run, &mut last));
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = checked {
            std::panic::resume_unwind(panic);
        }
    });
    assert!(differing.into_inner() > RUNS / 2, "the pairs changed all the time");
}

#[test]
fn a_loaded_snapshot_is_the_store_again() {
    let store = Store::new();
    for db in 0..16 {
        for n in 0..200 {
            store.reply(db, &["set", &format!("key:{n}"), &format!("{db}:{n}")]);
        }
        store.reply(db, &["set", "brief", "v", "px", &(1000 + u64::from(db)).to_string()]);
    }
    let big = vec![b'b'; 5 * 1024 * 1024];
    store.value(&[&b"set"[..], b"big", &big]);
    let folder = Folder::new();
    let abandon = AtomicBool::new(false);
    let written = store.engine.write_snapshot(&folder.disk, &abandon).expect("written");
    assert_eq!(written.sequence, store.engine.sequence());

    let loaded = Store::new();
    let reader = SnapshotReader::open(&folder.disk, &written.name).expect("readable");
    let bytes = AtomicUsize::new(0);
    let progress = |block: u64| {
        bytes.fetch_add(block as usize, Ordering::Relaxed);
        true
    };
    loaded.engine.load_snapshot(&reader, progress).expect("as it was written");
    assert_eq!(bytes.into_inner() as u64, reader.bytes());
    assert_eq!(loaded.engine.sequence(), store.engine.sequence());
    let counts = |store: &Store| store.engine.sizes().map(|size| (size.keys, size.expiring));
    assert_eq!(counts(&loaded), counts(&store));
    assert!(visible(&loaded) == visible(&store));
    assert_eq!(reader.header().created_ms, BEGIN_MS);
    // And once more, from what was loaded.
    assert!(write_and_read(&folder, &loaded.engine) == visible(&store));
}

/// The table is made for them before they come: in segments of two sizes, and too few of them where
/// more entries than the average fall into one shard.
#[test]
fn many_entries_are_loaded_into_a_table_of_their_size() {
    const KEYS: u32 = 230_000;
    let folder = Folder::new();
    let mut keys = 0..KEYS;
    let header = Header::new(7, BEGIN_MS);
    let written = write(&folder.disk, &header, |out| {
        for n in keys.by_ref().take(1000) {
            let (key, value) = (format!("key:{n}"), n.to_le_bytes());
            let expires_at_ms = n.is_multiple_of(1000).then_some(u64::MAX);
            out.push(&StoredEntry { db: 3, key: key.as_bytes(), value: &value, expires_at_ms });
        }
        if keys.is_empty() { Fill::End } else { Fill::More }
    });
    let written = written.expect("a folder to write to");
    let loaded = Engine::default();
    let reader = SnapshotReader::open(&folder.disk, &written.name).expect("readable");
    loaded.load_snapshot(&reader, |_| true).expect("as it was written");
    assert_eq!(loaded.sequence(), 7);
    let size = loaded.sizes()[3];
    assert_eq!((size.keys, size.expiring), (KEYS as usize, KEYS as usize / 1000));
    for n in (0..KEYS).step_by(97) {
        let value = store::value(&loaded, 3, &["get", &format!("key:{n}")]);
        assert_eq!(value, Value::Bulk(n.to_le_bytes().to_vec()));
    }
    let (mut given_out, mut moment) = (State::new(), loaded.point_in_time().expect("the first"));
    give_out(&mut moment, &mut given_out);
    assert_eq!(given_out.len(), KEYS as usize);
}

#[test]
fn an_empty_store_has_a_snapshot_too() {
    let (store, folder) = (Store::new(), Folder::new());
    assert_eq!(write_and_read(&folder, &store.engine), State::new());
    store.line("set k v");
    store.line("flushall");
    assert_eq!(write_and_read(&folder, &store.engine), State::new());
}

/// A log that follows the snapshot may say that the expiry was put off before it came; an entry that
/// was left out would be lost.
#[test]
fn expired_keys_are_loaded_and_not_seen() {
    let (store, folder) = (Store::new(), Folder::new());
    store.line("set brief v px 10");
    let abandon = AtomicBool::new(false);
    let written = store.engine.write_snapshot(&folder.disk, &abandon).expect("written");
    store.advance_ms(10);
    let reader = SnapshotReader::open(&folder.disk, &written.name).expect("readable");
    let loaded = Engine::new(Clock::Manual(std::sync::Arc::new((store.now_ms()).into())));
    loaded.load_snapshot(&reader, |_| true).expect("as it was written");
    assert_eq!(loaded.sizes()[0].keys, 1);
    assert_eq!(store::value(&loaded, 0, &["get", "brief"]), Value::Null);
}

#[test]
fn a_key_that_is_there_twice_is_refused() {
    let (store, folder) = (Store::new(), Folder::new());
    store.line("set k v");
    let abandon = AtomicBool::new(false);
    let written = store.engine.write_snapshot(&folder.disk, &abandon).expect("written");
    let reader = SnapshotReader::open(&folder.disk, &written.name).expect("readable");
    let error = store.engine.load_snapshot(&reader, |_| true).expect_err("it is there already");
    assert!(error.to_string().contains("at byte 52: a key is there twice"), "{error}");
}

#[test]
fn one_snapshot_at_a_time_and_the_next_after_it_was_dropped() {
    let (store, folder) = (Store::new(), Folder::new());
    for n in 0..3000 {
        store.line(&format!("set key:{n} before"));
    }
    let mut moment = store.engine.point_in_time().expect("none is under way");
    assert!(store.engine.point_in_time().is_none());
    let abandon = AtomicBool::new(false);
    let second = store.engine.write_snapshot(&folder.disk, &abandon);
    assert!(matches!(second, Err(SnapshotError::UnderWay)), "{second:?}");
    store.line("set key:0 between");
    (0..SHARDS).for_each(|_| _ = step(&mut moment, &mut State::new()));
    drop(moment);
    store.line("set key:0 after");
    let state = write_and_read(&folder, &store.engine);
    assert!(state == visible(&store));
}

#[test]
fn an_abandoned_snapshot_leaves_no_file() {
    let (store, folder) = (Store::new(), Folder::new());
    store.line("set k v");
    let abandoned = store.engine.write_snapshot(&folder.disk, &AtomicBool::new(true));
    assert!(matches!(abandoned, Err(SnapshotError::Abandoned { .. })), "{abandoned:?}");
    let names = std::fs::read_dir(folder.dir.path()).expect("the folder");
    assert_eq!(names.map(|file| file.expect("a file").file_name()).collect::<Vec<_>>(), ["LOCK"]);
    write_and_read(&folder, &store.engine);
}

/// What changes ahead of the walk is kept in memory; beyond 64 MiB it is fetched from all shards
/// before the walk goes on.
#[test]
fn a_burst_of_changes_is_given_out_before_the_walk_goes_on() {
    const KEYS: usize = 1100;
    let store = Store::new();
    let old = vec![b'o'; 64 * 1024];
    let set = |value: &[u8]| {
        for n in 0..KEYS {
            store.value(&[b"set", format!("key:{n}").as_bytes(), value]);
        }
    };
    set(&old);
    let mut moment = store.engine.point_in_time().expect("none is under way");
    set(b"new");
    let mut state = State::new();
    for _ in 0..SHARDS {
        step(&mut moment, &mut state);
    }
    assert_eq!(state.len(), KEYS);
    assert!(state.values().all(|(value, _)| *value == old));
    give_out(&mut moment, &mut state);
    assert_eq!(state.len(), KEYS);
}
