//! Traces as their user replays them: what servers were asked for, what is counted, what is told.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
#[allow(dead_code, reason = "other tests need more of it")]
mod processes;
mod program;
mod server;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kv_bench::report;
use kv_bench::result::RunResult;
use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::resp::reply::Value;
use peer::{Memcached, Redis};
use processes::script;
use program::{Running, kv_bench, run, stderr};
use server::Server;
use tempfile::TempDir;

/// Operations by their names.
type Counts = BTreeMap<&'static str, u64>;

/// A small trace in Twitter's format, made anew: 2,000 operations on 200 keys in four seconds.
fn twitter() -> (String, Counts) {
    let (mut text, mut counts) = (String::new(), Counts::new());
    for number in 0_u64..2000 {
        let second = 1000 + number / 500;
        let (name, size, ttl) = match number % 20 {
            0 => ("incr", 0, 0),
            1 | 2 => ("delete", 0, 0),
            3..=8 => ("set", 10 + number % 90, if number % 2 == 0 { 3600 } else { 0 }),
            _ => ("get", 0, 0),
        };
        // Counters have keys of their own.
        let key =
            if name == "incr" { "counter".to_owned() } else { format!("key-{}", number % 199) };
        let size_of_key = key.len() + 3;
        writeln!(text, "{second},{key},{size_of_key},{size},{},{name},{ttl}", number % 7)
            .expect("memory");
        *counts.entry(name).or_default() += 1;
    }
    (text, counts)
}

fn write(dir: &Path, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = dir.join("trace");
    fs::write(&path, bytes).expect("room");
    path
}

/// Asserts that a run of [`twitter`] has counted what is in it.
fn assert_counted(result: &RunResult, counts: &Counts) {
    let of = |name: &str| counts.get(name).copied();
    let operations = &result.operations;
    assert_eq!(operations.get.as_ref().map(|get| get.count), of("get"));
    assert_eq!(operations.put.as_ref().map(|put| put.count), of("set"));
    assert_eq!(operations.delete.as_ref().map(|delete| delete.count), of("delete"));
    assert_eq!(operations.commands.get("incr").map(|incr| incr.count), of("incr"));
    assert_eq!(result.headline.operations, counts.values().sum::<u64>());
    assert_eq!(result.headline.errors, 0, "{:?}", result.warnings);
    let trace = result.trace.as_ref().expect("a trace");
    assert_eq!((trace.operations, trace.bad_lines), (result.headline.operations, 0));
    assert_eq!(trace.lines, result.headline.operations);
}

#[test]
fn each_operation_of_a_trace_is_sent_once_to_servers_of_ours() {
    let dir = TempDir::new().expect("a folder");
    let (text, counts) = twitter();
    let path = write(dir.path(), text);
    let out = dir.path().join("results");
    for shape in [["--threads", "1", "--clients", "1"], ["--threads", "2", "--clients", "5"]] {
        let output = kv_bench(&["run", "--servers", "3", "--trace-speed", "max", "--trace"])
            .arg(&path)
            .args(shape)
            .arg("--out")
            .arg(&out)
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        let result = report::json::load(&out.join("result.json")).expect("a result");
        assert_counted(&result, &counts);
        assert!(result.headline.response_us.is_none(), "a closed loop has none");
        assert_eq!(result.servers.iter().map(|server| server.operations).sum::<u64>(), 2000);
        assert!(
            result.servers.iter().all(|server| server.operations > 100),
            "{:?}",
            result.servers
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("(twitter, 2,000 operations) as fast as replies come"), "{text}");
        let trace = result.scenario.trace.expect("its record");
        assert_eq!((trace.format.as_str(), trace.speed.as_str()), ("twitter", "max"));
        assert_eq!((trace.operations, trace.length_s), (Some(2000), Some(4.0)));
        assert_eq!(trace.bytes, fs::metadata(&path).ok().map(|file| file.len()));
    }
}

#[test]
fn a_running_server_holds_afterwards_what_the_trace_has_left() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let trace = "5,a,1,300,1,set,0\n5,a,1,40,1,set,0\n5,b,6,25,1,set,1000\n6,c,1,9,1,set,0\n\
                 6,c,1,0,1,delete,0\n6,n,1,2,1,add,0\n7,n,1,0,1,incr,0\n";
    let path = write(dir.path(), trace);
    let target = format!("redis://127.0.0.1:{}", redis.port);
    let path = path.to_str().expect("UTF-8");
    let words = ["--trace", path, "--trace-speed", "max", "--clients", "4", "--pipeline", "8"];
    let (output, result) = run(&target, dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(result.expect("a result").headline.errors, 0);
    // The later put of a key is what is left, though all of them were under way together.
    assert_eq!(redis.ask(&["strlen", "kvb:a"]), "40");
    assert_eq!(redis.ask(&["strlen", "kvb:b....."]), "25");
    let ttl_s: u64 = redis.ask(&["ttl", "kvb:b....."]).parse().expect("a number");
    assert!((900..=1000).contains(&ttl_s), "{ttl_s}");
    assert_eq!(redis.ask(&["ttl", "kvb:a"]), "-1");
    assert_eq!(redis.ask(&["exists", "kvb:c"]), "0");
    // A value of two digits, and one more.
    let counter: u64 = redis.ask(&["get", "kvb:n"]).parse().expect("a number");
    assert!((12..=100).contains(&counter), "{counter}");
    assert_eq!(redis.ask(&["dbsize"]), "3");
}

#[test]
fn times_are_honoured_and_operations_have_due_times() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let (text, counts) = twitter();
    let path = write(dir.path(), zstd::encode_all(text.as_bytes(), 3).expect("it compresses"));
    let words = ["--trace", path.to_str().expect("UTF-8"), "--trace-speed", "8"];
    let (output, result) = run(&server.address.to_string(), dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("a result");
    assert_counted(&result, &counts);
    let headline = &result.headline;
    assert_eq!(headline.rate_asked_ops_s, Some(4000.0), "2,000 operations in half a second");
    assert!(headline.response_us.is_some() && headline.lateness_us.is_some());
    // The last 500 are due in the last eighth of a second.
    assert!(headline.duration_s >= 0.37, "{}", headline.duration_s);
    assert_eq!(result.scenario.arrivals.as_deref(), Some("poisson"));
    assert!(result.scenario.trace.expect("its record").compressed);
}

#[test]
fn a_run_ends_where_it_is_cut_and_each_repeat_begins_again() {
    let server = Server::ready();
    let address = server.address.to_string();
    let dir = TempDir::new().expect("a folder");
    let (text, _) = twitter();
    let path = write(dir.path(), text);
    let path = path.to_str().expect("UTF-8");
    let words = ["--trace", path, "--trace-speed", "max", "--requests", "777", "--repeat", "2"];
    let (output, result) = run(&address, dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("a result");
    assert_eq!(
        result.repeats.iter().map(|r| r.headline.operations).collect::<Vec<_>>(),
        [777, 777]
    );
    let told = "each of 2 measurements began with what those before it had put into the same servers: \
                later ones find what the trace put at its end";
    assert!(result.warnings.iter().any(|warning| warning == told), "{:?}", result.warnings);
    // What is due in the first half second of the run: at twice the speed, a second of the trace.
    let words =
        ["--trace", path, "--trace-speed", "2", "--arrivals", "constant", "--duration", "500ms"];
    let (output, result) = run(&address, dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(result.expect("a result").headline.operations, 500);
}

/// A repeat was replayed into what those before it had left: of gets before their puts, the first found
/// nothing and the second everything.
#[test]
fn each_repeat_of_a_trace_has_servers_of_its_own() {
    let dir = TempDir::new().expect("a folder");
    let mut text = String::new();
    for (second, operation) in [(5, "get"), (6, "set")] {
        (0..500).for_each(|key| {
            writeln!(text, "{second},key-{key},7,5,1,{operation},0").expect("memory");
        });
    }
    let path = write(dir.path(), text);
    let out = dir.path().join("results");
    let output = kv_bench(&["run", "--servers", "2", "--trace-speed", "max", "--repeat", "2"])
        .args(["--threads", "1", "--clients", "1", "--trace"])
        .arg(&path)
        .arg("--out")
        .arg(&out)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&out.join("result.json")).expect("a result");
    let found = result.repeats.iter().map(|r| (r.headline.hits, r.headline.misses));
    assert_eq!(found.collect::<Vec<_>>(), [(0, 500), (0, 500)]);
    assert!(!result.warnings.iter().any(|w| w.contains("before it")), "{:?}", result.warnings);
}

/// What had been measured was thrown away when the servers of a later repeat did not start.
#[test]
fn a_repeat_whose_servers_do_not_start_keeps_those_before_it() {
    if !peer::is_there("redis-server") {
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let path = write(dir.path(), "5,key,3,5,1,set,0\n".repeat(100));
    let once = "test -e \"$0.ran\" && exit 3; touch \"$0.ran\"; exec redis-server \"$@\"";
    let out = dir.path().join("results");
    let mut run = kv_bench(&["run", "--trace-speed", "max", "--repeat", "2", "--trace"]);
    run.arg(&path).arg("--server-bin").arg(script(dir.path(), once)).arg("--out").arg(&out);
    let output = Running::start(&mut run).end();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("what was measured is kept"), "{told}");
    let result = report::json::load(&out.join("result.json")).expect("a result");
    assert_eq!((result.headline.operations, result.repeats.len()), (100, 1));
}

#[test]
fn standard_input_is_a_trace_too() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    // Longer than what is looked at before.
    let (text, counts) = twitter();
    let text = text.repeat(3);
    let out = dir.path().join("results");
    let pipe = |words: &[&str], bytes: &[u8]| {
        let mut command = kv_bench(&["run", "--trace", "-", "--target"]);
        command.arg(server.address.to_string()).args(words).arg("--out").arg(&out);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        // It may be refused before it has read all.
        drop(stdin.write_all(bytes));
        drop(stdin);
        child.wait_with_output().expect("it ends")
    };
    let max = ["--trace-speed", "max", "--requests"];
    let output = pipe(&[&max[..], &["1m"]].concat(), text.as_bytes());
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&out.join("result.json")).expect("a result");
    assert_eq!(result.headline.operations, 3 * counts.values().sum::<u64>());
    assert_eq!(result.operations.commands["incr"].count, 3 * counts["incr"]);
    assert_eq!(result.scenario.trace.expect("its record").sha256, None);
    for (words, expected) in [
        (&["--trace-speed", "max"][..], "where standard input ends is not known"),
        (&[&max[..], &["10", "--repeat", "2"]].concat(), "standard input cannot be read again"),
        (&["--requests", "10"], "how many there are is not known of standard input"),
    ] {
        let output = pipe(words, text.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    // Compressed, and longer than what is looked at before.
    let mut state = 1_u64;
    let line = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("5,{state:016x}{:016x},32,0,1,get,0\n", state.rotate_left(17).wrapping_mul(state))
    };
    let compressed: String = (0..40_000).map(line).collect();
    let compressed = zstd::encode_all(compressed.as_bytes(), 1).expect("it compresses");
    assert!(compressed.len() > 300_000, "{}", compressed.len());
    let output = pipe(&[&max[..], &["30k"]].concat(), &compressed);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&out.join("result.json")).expect("a result");
    assert_eq!(result.headline.operations, 30_000);
    assert!(result.scenario.trace.expect("its record").compressed);
}

#[test]
fn workers_wait_for_a_pipe_that_is_slow_and_the_result_says_so() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let out = dir.path().join("results");
    let mut command =
        kv_bench(&["run", "--trace", "-", "--trace-speed", "max", "--requests", "1m"]);
    command.args(["--threads", "2", "--target", &server.address.to_string(), "--out"]).arg(&out);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let puts = |from: i64, to: i64| {
        let mut lines = String::new();
        (from..to).for_each(|key| writeln!(lines, "5,key-{key:08},12,5,1,set,0").expect("memory"));
        lines
    };
    // Longer than what is looked at before, and then as much again as has arrived at the server.
    let address = Address::tcp("127.0.0.1", server.address.port());
    let mut client = Client::connect(&address, &ConnectOptions::default()).expect("it listens");
    let mut written = 0;
    for until in [3000, 3010, 3020, 3030] {
        stdin.write_all(puts(written, until).as_bytes()).expect("it reads");
        written = until;
        program::wait_for(|| {
            let size = client.call(&[b"DBSIZE"]).expect("it answers");
            matches!(size, Value::Integer(size) if size == until).then_some(())
        });
    }
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
    let result = report::json::load(&out.join("result.json")).expect("a result");
    assert_eq!((result.headline.operations, result.headline.errors), (3030, 0));
    let trace = result.trace.expect("a trace");
    assert!(trace.waits_for_reader >= 3 && trace.wait_for_reader_s > 0.0, "{trace:?}");
}

/// `redis-cli monitor` on a server, writing to a file.
struct Recording {
    child: Child,
}

impl Recording {
    fn start(redis: &Redis, path: &Path) -> Self {
        let file = fs::File::create(path).expect("room");
        let mut command = Command::new("redis-cli");
        command.args(["-p", &redis.port.to_string(), "monitor"]).stdout(file);
        let child = command.stdin(Stdio::null()).spawn().expect("redis-cli is installed");
        let recording = Self { child };
        program::wait_for(|| fs::metadata(path).ok().filter(|file| file.len() > 2));
        recording
    }

    /// Ends it when a last command has come.
    fn end(mut self, redis: &Redis, path: &Path) {
        redis.ask(&["echo", "the end of it"]);
        program::wait_for(|| fs::read_to_string(path).ok().filter(|t| t.contains("the end of it")));
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Every key with its type, its value and whether it expires, sorted.
fn keyspace(redis: &Redis) -> Vec<String> {
    let keys = redis.ask(&["keys", "*"]);
    let mut lines: Vec<String> = keys
        .lines()
        .map(|key| {
            let kind = redis.ask(&["type", key]);
            let value = match kind.as_str() {
                "string" => redis.ask(&["get", key]),
                "list" => redis.ask(&["lrange", key, "0", "-1"]),
                "set" => redis.ask(&["sort", key, "ALPHA"]),
                "zset" => redis.ask(&["zrange", key, "0", "-1", "WITHSCORES"]),
                _ => redis.ask(&["hgetall", key]),
            };
            let expires = redis.ask(&["ttl", key]) != "-1";
            format!("{} {kind} {expires} {value:?}", key.trim_start_matches("kvb:"))
        })
        .collect();
    lines.sort();
    lines
}

/// Commands with every kind of byte in them, as redis-cli takes them.
fn session() -> String {
    let mut text = String::new();
    let mut say = |line: String| writeln!(text, "{line}").expect("memory");
    for number in 0..60 {
        say(format!("set key:{} \"value {number}\\x00\\xff\\n\\\"quoted\\\"\"", number % 17));
        say(format!("incrby counter {number}"));
        say(format!("rpush list {number}"));
        say(format!("zadd board {number} member:{}", number % 7));
        say(format!("hset hash field:{} {number}", number % 5));
        say(format!("sadd tags a b c{}", number % 3));
        say(format!("get key:{}", number % 20));
    }
    say("mset m1 1 m2 2 m3 3".to_owned());
    say("del m2 m3".to_owned());
    say("rename m1 m4".to_owned());
    say("set short lived EX 3600".to_owned());
    say("zunionstore sums 2 board board WEIGHTS 1 2".to_owned());
    say("eval \"redis.call('set', KEYS[1], ARGV[1])\" 1 scripted yes".to_owned());
    // Which reaches others than the server: it is left out.
    say("publish channel text".to_owned());
    text
}

#[test]
fn what_monitor_recorded_leaves_the_same_keys_behind() {
    let (Some(recorded), Some(replayed)) = (Redis::start(&[]), Redis::start(&[])) else { return };
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("monitor.log");
    let recording = Recording::start(&recorded, &path);
    let mut cli = Command::new("redis-cli");
    cli.args(["-s", &recorded.socket()]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut cli = cli.spawn().expect("redis-cli is installed");
    cli.stdin.take().expect("a pipe").write_all(session().as_bytes()).expect("it listens");
    assert!(cli.wait().expect("it ends").success());
    recording.end(&recorded, &path);
    let target = format!("redis://127.0.0.1:{}", replayed.port);
    // One client: commands with several keys are in their order too.
    let words = ["--trace", path.to_str().expect("UTF-8"), "--trace-speed", "max"];
    let (output, result) = run(&target, dir.path(), &[&words[..], &["--clients", "1"]].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("a result");
    assert_eq!(result.headline.errors, 0, "{:?}", result.warnings);
    let [same, again] = [&recorded, &replayed].map(keyspace);
    assert!(same.len() > 20 && same == again, "{same:#?}\n{again:#?}");
    let commands = &result.operations.commands;
    let counts = ["incrby", "set", "zunionstore", "mset"].map(|name| commands[name].count);
    // One more set is what the script did.
    assert_eq!(counts, [60, 62, 1, 1]);
    // Commands stand under their own names, and GET's is that of gets.
    let gets = result.operations.get.as_ref().expect("some");
    assert_eq!((gets.count, gets.hits + gets.misses), (60, 60));
    let left_out = result.trace.expect("a trace").left_out;
    assert_eq!(left_out.get("publish"), Some(&1), "{left_out:?}");
    let is_told = |w: &String| w.contains(" of the trace left out: ") && w.contains("publish 1");
    assert!(result.warnings.iter().any(is_told), "{:?}", result.warnings);
}

#[test]
fn more_commands_than_there_is_room_for_are_counted_together() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let names = [
        "get", "set", "incr", "decr", "append", "strlen", "getrange", "setrange", "type", "ttl",
        "pttl", "persist", "exists", "touch", "mget", "getdel", "dump", "unlink",
    ];
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        let more = match *name {
            "set" | "append" => " \"1\"",
            "getrange" | "setrange" => " \"0\" \"1\"",
            _ => "",
        };
        // The earlier ones are the more frequent ones.
        for time in 0..(names.len() - index) {
            writeln!(text, "1.{index:03}{time:03} [0 127.0.0.1:1] \"{name}\" \"k{index}\"{more}")
                .expect("memory");
        }
    }
    let path = write(dir.path(), text);
    let target = format!("redis://127.0.0.1:{}", redis.port);
    let words = ["--trace", path.to_str().expect("UTF-8"), "--trace-speed", "max"];
    let (output, result) = run(&target, dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let operations = result.expect("a result").operations;
    let (gets, commands) = (operations.get.expect("some"), operations.commands);
    assert_eq!((gets.count, commands.len()), (18, 15));
    assert_eq!(commands["others"].count, 1 + 2 + 3, "the three rarest");
}

#[test]
fn memcached_is_asked_for_what_it_has() {
    let Some(memcached) = Memcached::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let (text, counts) = twitter();
    let path = write(dir.path(), text);
    let target = format!("memcached://127.0.0.1:{}", memcached.port);
    let words =
        ["--trace", path.to_str().expect("UTF-8"), "--trace-speed", "max", "--clients", "3"];
    let (output, result) = run(&target, dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("a result");
    assert_eq!(result.headline.operations, 2000 - counts["incr"]);
    assert_eq!(result.headline.errors, 0, "{:?}", result.warnings);
    assert_eq!(result.trace.expect("a trace").left_out["incr"], counts["incr"]);
    let monitor = write(dir.path(), "1.000000 [0 127.0.0.1:1] \"get\" \"k\"\n");
    let (output, _) = run(&target, dir.path(), &["--trace", monitor.to_str().expect("UTF-8")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("1 left out (commands 1)"), "{}", stderr(&output));
}

#[test]
fn bad_lines_are_told_by_file_and_number() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let (text, _) = twitter();
    let path = write(dir.path(), format!("{text}1,2,3\n"));
    let words = ["--trace", path.to_str().expect("UTF-8"), "--trace-speed", "max"];
    let (output, result) = run(&server.address.to_string(), dir.path(), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("a result");
    let trace = result.trace.expect("a trace");
    assert_eq!((trace.bad_lines, trace.lines, trace.operations), (1, 2001, 2000));
    assert!(trace.first_bad_lines[0].starts_with("line 2001: expected timestamp"), "{trace:?}");
    let told = "1 of the trace's 2,001 lines are bad and were passed over: line 2001: expected";
    assert!(result.warnings.iter().any(|warning| warning.contains(told)), "{:?}", result.warnings);
}

#[test]
fn what_a_trace_decides_itself_is_refused_beside_it() {
    let dir = TempDir::new().expect("a folder");
    let path = write(dir.path(), twitter().0);
    let path = path.to_str().expect("UTF-8");
    let cases: [(&[&str], &str); 22] = [
        (&["--target", "engine:"], "--target engine:: a trace is of what servers were asked"),
        (&["--target", "redis-cluster://127.0.0.1:1"], "a trace is not led after keys that move"),
        (&["--servers", "2", "--on-node-fail", "next"], "operations of a trace wait for their own"),
        (&["--mix", "get"], "--mix get: a trace says itself which operations there are"),
        (&["--workload", "ycsb-a"], "--workload ycsb-a: a trace says itself"),
        (&["--command", "PING"], "--command 'PING': a trace says itself"),
        (&["--keys", "10"], "--keys 10: a trace says itself"),
        (&["--key-distribution", "latest"], "--key-distribution latest: a trace says itself"),
        (&["--value-size", "10"], "--value-size 10: a trace says itself"),
        (&["--value", "x"], "--value x: a trace says itself"),
        (&["--ttl", "10s"], "--ttl 10s: a trace has times to live of its own"),
        (&["--rate", "10"], "--rate 10: a trace has times of its own: it is --trace-speed"),
        (&["--think-time", "1s"], "--think-time 1s: a trace has times of its own"),
        (&["--warmup", "1s"], "--warmup 1s: a trace is replayed from its beginning, and once"),
        (&["--preload"], "--preload: which keys a trace finds there is part of it"),
        (&["--verify"], "--verify: what a trace must find is known of no key"),
        (&["--trace-speed", "0"], "--trace-speed 0: must be above 0 and up to 1000000, or max"),
        (&["--trace-speed", "-1"], "--trace-speed"),
        (&["--trace-format", "csv"], "--trace-format csv: unknown format (known: auto, twitter"),
        (
            &["--trace-speed", "max", "--arrivals", "constant"],
            "--arrivals is for times that are honoured",
        ),
        (&["--requests", "0"], "--requests 0: must be from 1"),
        (&["--trace-speed", "0.00000001"], "at this speed the trace takes more than a year"),
    ];
    for (words, expected) in cases {
        let output = kv_bench(&["run", "--trace", path]).args(words).output().expect("it runs");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{words:?}: {message}");
    }
    for (subcommand, expected) in [
        (&["curve"][..], "--trace"),
        (&["find-max", "--slo", "p99=1ms"], "a search decides by itself"),
    ] {
        let output = kv_bench(subcommand).args(["--trace", path]).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    let output = kv_bench(&["run", "--trace-speed", "2"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--trace"), "{}", stderr(&output));
    let output = kv_bench(&["run", "--trace", "/nowhere/trace"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--trace /nowhere/trace: No such file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_pipe_that_turns_to_nonsense_ends_the_run_and_keeps_what_was_measured() {
    let server = Server::ready();
    let dir = TempDir::new().expect("a folder");
    let out = dir.path().join("results");
    let mut command =
        kv_bench(&["run", "--trace", "-", "--trace-speed", "max", "--requests", "1m"]);
    command.args(["--target", &server.address.to_string(), "--out"]).arg(&out);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut stdin = child.stdin.take().expect("a pipe");
    let text = twitter().0.repeat(3);
    drop(stdin.write_all(text.as_bytes()));
    drop(stdin.write_all("nonsense\n".repeat(5000).as_bytes()));
    // What follows is no reason to go on.
    drop(stdin.write_all(text.as_bytes()));
    drop(stdin);
    let told: Vec<String> = BufReader::new(child.stderr.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok)
        .collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(1), "{told:?}");
    let told = told.join("\n");
    assert!(
        told.contains("standard input: ") && told.contains("more than 1 % are too many"),
        "{told}"
    );
    let result = report::json::load(&out.join("result.json")).expect("what was measured");
    assert!(result.partial);
    assert_eq!(result.headline.operations, 6000, "those before it");
}

#[test]
fn the_example_of_a_trace_runs() {
    let dir = TempDir::new().expect("a folder");
    let lines = (0..500).map(|number| {
        let micros = number * 1000;
        format!("1000.{micros:06} [0 127.0.0.1:1] \"set\" \"key:{number}\" \"value\"\n")
    });
    fs::write(dir.path().join("monitor.log"), lines.collect::<String>()).expect("room");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/trace.toml");
    let out = dir.path().join("results");
    let output = kv_bench(&["run", "--quiet", "--scenario"])
        .arg(scenario)
        .arg("--out")
        .arg(&out)
        .current_dir(dir.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&out.join("result.json")).expect("a result");
    assert_eq!(result.headline.operations, 500);
    assert_eq!(result.scenario.trace.expect("its record").speed, "2");
}
