//! A server whose memory is limited: what it refuses, what goes, and what of that a restart brings
//! back.

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::Signal;
use support::{Process, Redis, Served, Wire, eventually, request, shown};

const MIB: u64 = 1024 * 1024;

/// Sets so many keys in one pipeline, and answers how many of them were refused for want of memory.
fn fill(wire: &mut Wire, keys: std::ops::Range<u32>, value_bytes: usize) -> usize {
    let value = vec![b'v'; value_bytes];
    let mut refused = 0;
    for chunk in keys.collect::<Vec<_>>().chunks(500) {
        let requests: Vec<Vec<u8>> = chunk
            .iter()
            .map(|key| request(&[b"SET", format!("key:{key}").as_bytes(), &value]))
            .collect();
        wire.send(requests.concat());
        for _ in chunk {
            match wire.line().as_str() {
                "+OK" => {}
                "-OOM command not allowed when used memory > 'maxmemory'." => refused += 1,
                other => panic!("SET answers {other}"),
            }
        }
    }
    refused
}

/// Every key in the database.
fn keys(wire: &mut Wire) -> BTreeSet<String> {
    wire.send("KEYS *\r\n");
    let header = wire.line();
    let count: usize =
        header.strip_prefix('*').and_then(|count| count.parse().ok()).expect(&header);
    let mut line = || wire.line();
    (0..count).map(|_| (line(), line()).1).collect()
}

fn serve(folder: &Path, args: &[&str]) -> Process {
    let folder = folder.to_str().expect("a plain path");
    Process::start(&[&["--data-dir", folder], args].concat())
}

fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    process.ended();
}

/// All that a server says to these lines, on a connection that it then ends.
fn answers(wire: &mut Wire, lines: &[&str]) -> String {
    shown(&wire.send(format!("{}\r\nQUIT\r\n", lines.join("\r\n"))).rest())
}

#[test]
fn what_needs_memory_is_refused_as_redis_refuses_it() {
    let Some(redis) = Redis::start(&[]) else { return };
    let ours = Served::start();
    let conversations: [&[&str]; 4] = [
        &[
            "SET k v",
            "CONFIG SET maxmemory 1",
            "CONFIG GET maxmemory",
            "SET k w",
            "SET",
            "GET k",
            "APPEND k w",
            "SETRANGE k 0 w",
            "INCR n",
            "MSET a 1",
            "COPY k other",
            "BITOP NOT to k",
            "EXPIRE k 1000",
            "RENAME k moved",
            "MOVE moved 1",
            "SWAPDB 0 1",
            "GETEX moved PERSIST",
            "DEL moved",
            "DBSIZE",
        ],
        // What is queued may need memory whatever it is.
        &["MULTI", "GET k", "EXEC", "MULTI", "SET k v", "DISCARD", "SET k v", "MULTI", "EXEC"],
        &["MULTI", "GET k", "RESET", "CONFIG SET maxmemory 0", "MULTI", "SET k v"],
        // The limit is looked at before the transaction.
        &[
            "MULTI",
            "CONFIG SET maxmemory 1",
            "SET k v",
            "EXEC",
            "SET k w",
            "CONFIG SET maxmemory 0",
        ],
    ];
    let said = [redis.address(), ours.address]
        .map(|address| conversations.map(|lines| answers(&mut Wire::to(address), lines)));
    assert_eq!(said[1], said[0]);

    // Queued while there was room, and run when there is none.
    let late = [redis.address(), ours.address].map(|address| {
        let (mut one, mut other) = (Wire::to(address), Wire::to(address));
        one.ask("MULTI", "+OK\r\n").ask("SET k late", "+QUEUED\r\n");
        other.ask("CONFIG SET maxmemory 1", "+OK\r\n");
        let late = answers(&mut one, &["EXEC", "EXEC", "GET k"]);
        other.ask("CONFIG SET maxmemory 0", "+OK\r\n");
        late
    });
    assert_eq!(late[1], late[0]);
    assert!(late[0].contains("EXECABORT Transaction discarded because of: OOM "), "{}", late[0]);
}

#[test]
fn settings_of_memory_are_read_changed_and_refused() {
    let ours = Process::start(&[
        "--maxmemory",
        "3mb",
        "--maxmemory-policy",
        "volatile-ttl",
        "--maxmemory-samples",
        "7",
    ]);
    let mut wire = ours.connect();
    wire.ask("CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$7\r\n3145728\r\n");
    wire.ask("CONFIG GET *-policy", "*2\r\n$16\r\nmaxmemory-policy\r\n$12\r\nvolatile-ttl\r\n");
    wire.ask("CONFIG GET *-samples", "*2\r\n$17\r\nmaxmemory-samples\r\n$1\r\n7\r\n");
    assert_eq!(wire.info("maxmemory"), 3 * MIB);
    assert!(wire.text("INFO memory").contains("\r\nmaxmemory_policy:volatile-ttl\r\n"));
    wire.ask(
        "CONFIG SET maxmemory 1gb maxmemory-policy ALLKEYS-LRU maxmemory-samples 9",
        "+OK\r\n",
    );
    wire.ask("CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$10\r\n1073741824\r\n");
    wire.ask("CONFIG GET *-policy", "*2\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n");
    for (setting, reason) in [
        ("maxmemory x", "argument must be a memory value"),
        ("maxmemory -1", "argument must be a memory value"),
        ("maxmemory-samples 0", "argument must be between 1 and 2147483647 inclusive"),
        (
            "maxmemory-policy allkeys-lfu",
            "argument(s) must be one of the following: noeviction, allkeys-lru, allkeys-random, \
             volatile-lru, volatile-random, volatile-ttl",
        ),
    ] {
        let name = setting.split(' ').next().expect("a name");
        wire.ask(
            &format!("CONFIG SET {setting}"),
            &format!(
                "-ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}\r\n"
            ),
        );
    }
    for (flag, value) in
        [("--maxmemory", "much"), ("--maxmemory-policy", "lfu"), ("--maxmemory-samples", "0")]
    {
        let mut command = Process::command();
        command.args(["--port", "0", flag, value]);
        let output = Process::outcome(command);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(flag), "{output:?}");
    }
}

#[test]
fn the_counted_memory_is_what_the_allocator_gives() {
    let ours = Process::start(&[]);
    let mut wire = ours.connect();
    let figures = |wire: &mut Wire| (wire.info("used_memory"), wire.info("allocator_allocated"));
    let before = figures(&mut wire);
    for (range, value_bytes) in [(0..30_000, 64), (30_000..40_000, 1000), (40_000..41_000, 5)] {
        fill(&mut wire, range, value_bytes);
    }
    let after = figures(&mut wire);
    let (counted, allocated) = (after.0 - before.0, after.1 - before.1);
    assert!(counted.abs_diff(allocated) < allocated / 50, "{counted} counted of {allocated}");
    assert_eq!(wire.info("used_memory_dataset"), wire.info("used_memory") - before.0);
    wire.ask("FLUSHALL", "+OK\r\n");
    assert_eq!(figures(&mut wire).0, before.0);
}

#[test]
fn evicted_keys_are_counted_and_stay_away_after_a_restart() {
    for mode in ["everysec", "always"] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let args =
            ["--durability", mode, "--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru"];
        let process = serve(folder.path(), &args);
        let mut wire = process.connect();
        assert_eq!(fill(&mut wire, 0..20_000, 200), 0);
        // The ticker goes on with what the last write began.
        eventually("all that went is counted", || {
            wire.info("evicted_keys") as usize == 20_000 - keys(&mut wire).len()
        });
        let left = keys(&mut wire);
        assert!(left.len() > 4000, "{} keys are left", left.len());
        assert!(wire.info("used_memory") < 2 * MIB + 2 * MIB / 64);
        wire.ask("CONFIG RESETSTAT", "+OK\r\n");
        assert_eq!(wire.info("evicted_keys"), 0);
        // Whatever went before this write is in the log before its reply, and nothing goes after it.
        wire.ask("CONFIG SET maxmemory 0", "+OK\r\n");
        wire.ask("SET last one", "+OK\r\n");
        let left = keys(&mut wire);
        kill(process);

        let process = serve(folder.path(), &["--durability", mode]);
        let mut wire = process.connect();
        assert!(keys(&mut wire) == left, "other keys than before are there");
    }
}

#[test]
fn a_store_larger_than_its_limit_is_loaded_whole_and_then_made_to_fit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let process = serve(folder.path(), &[]);
    fill(&mut process.connect(), 0..20_000, 200);
    kill(process);

    let process = serve(folder.path(), &["--maxmemory", "2mb"]);
    let mut wire = process.connect();
    wire.ask("DBSIZE", ":20000\r\n");
    assert_eq!(fill(&mut wire, 0..10, 200), 10);
    wire.ask("DBSIZE", ":20000\r\n").ask("STRLEN key:1", ":200\r\n");
    kill(process);

    let process =
        serve(folder.path(), &["--maxmemory", "2mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut wire = process.connect();
    // Nobody has to write for that.
    eventually("the store fits", || wire.info("used_memory") <= 2 * MIB + 2 * MIB / 64);
    assert!(keys(&mut wire).len() > 4000);
    assert_eq!(fill(&mut wire, 0..100, 200), 0);
}

#[test]
fn many_connections_together_keep_the_limit() {
    let ours = Served::start();
    let limit = 4 * MIB;
    let mut wire = Wire::to(ours.address);
    wire.ask(&format!("CONFIG SET maxmemory {limit} maxmemory-policy allkeys-lru"), "+OK\r\n");
    std::thread::scope(|scope| {
        for client in 0..8 {
            let address = ours.address;
            scope.spawn(move || {
                fill(&mut Wire::to(address), client * 10_000..client * 10_000 + 5000, 300)
            });
        }
    });
    let used = wire.info("used_memory");
    assert!(used < limit + limit / 64, "{used}");
    assert!(used > limit - limit / 16, "{used}: more went than had to");
}

/// As in Redis 7: what is paused must not change, not even to make room.
#[test]
fn nothing_is_evicted_in_a_pause_and_nothing_refused_for_want_of_room() {
    let served = Served::start();
    let (mut wire, mut writer) = (served.connect(), served.connect());
    assert_eq!(fill(&mut wire, 0..2000, 1000), 0);
    for policy in ["allkeys-lru", "noeviction"] {
        wire.ask("CLIENT PAUSE 600000 WRITE", "+OK\r\n");
        wire.ask(&format!("CONFIG SET maxmemory 1mb maxmemory-policy {policy}"), "+OK\r\n");
        writer.send("SET later v\r\n");
        let now = wire.info("uptime_in_seconds");
        // By then the ticker has come by ten times.
        eventually("time passes", || wire.info("uptime_in_seconds") > now + 1);
        assert_eq!(wire.info("evicted_keys"), 0, "{policy}");
        wire.ask("CONFIG SET maxmemory 0", "+OK\r\n").ask("CLIENT UNPAUSE", "+OK\r\n");
        writer.expect("+OK\r\n");
    }
    wire.ask("CLIENT PAUSE 600000 WRITE", "+OK\r\n");
    wire.ask("CONFIG SET maxmemory 1mb maxmemory-policy allkeys-lru", "+OK\r\n");
    writer.send("SET later v\r\n");
    wire.ask("CLIENT UNPAUSE", "+OK\r\n");
    writer.expect("+OK\r\n");
    eventually("keys go once it is over", || wire.info("evicted_keys") > 900);
}
