//! Workloads as their user meets them: flags, messages, and what a real server was asked for.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;

use std::path::Path;

use kv_bench::report;
use kv_bench::result::{OperationResult, RunResult};
use peer::Redis;
use program::{assert_refused, kv_bench, stderr};
use tempfile::TempDir;

/// The result of a `run` with these words against `redis`.
fn run(redis: &Redis, words: &[&str]) -> RunResult {
    let dir = TempDir::new().expect("a folder");
    let target = format!("redis://127.0.0.1:{}", redis.port);
    let mut command = kv_bench(&["run", "--target", &target, "--warmup", "0", "--threads", "1"]);
    let output = command.args(words).arg("--out").arg(dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = std::fs::read_to_string(dir.path().join("report.md")).expect("a report");
    let result = result(dir.path());
    assert!(text.contains(&result.scenario.key_distribution), "{text}");
    result
}

fn result(dir: &Path) -> RunResult {
    report::json::load(&dir.join("result.json")).expect("a result")
}

fn key(number: u32) -> String {
    format!("kvb:key:{number:012}")
}

#[test]
fn workloads_that_make_no_sense_are_refused_with_what_would() {
    let cases: &[(&[&str], &str)] = &[
        (&["--key-distribution", "zip"], "unknown distribution (known: uniform, sequential, zipf"),
        (
            &["--key-distribution", "hotspot:20"],
            "--key-distribution hotspot:20: '20' is not what belongs there: a share above 0 and below 1",
        ),
        (
            &["--key-distribution", "ycsb-zipfian", "--keys", "1g"],
            "too slow for more than 100,000,000 --keys (zipfian:0.99 is at once ready for any number)",
        ),
        (
            &["--key-distribution", "latest", "--mix", "delete"],
            "a delete-only run takes each key once, in order: leave it out",
        ),
        (
            &["--value-size", "10g"],
            "--value-size 10g: 10,000,000,000 bytes: must be from 0 to 536,870,912",
        ),
        (&["--value-size", "1k..64"], "the first size is above the second (such as 64..1k)"),
        (&["--value", "x", "--value-size", "9"], "cannot be used with"),
        (&["--value", "x", "--compressibility", "0.5"], "cannot be used with"),
        (
            &["--compressibility", "2"],
            "--compressibility 2: must be a share from 0 to 1, or in percent (such as",
        ),
        (
            &["--workload", "ycsb-e"],
            "--workload ycsb-e: it scans keys in their order, and SCAN of Redis goes through them in \
             none (known: ycsb-a, ycsb-b, ycsb-c, ycsb-d, ycsb-f, facebook-etc, mixgraph, \
             cache)",
        ),
        (&["--workload", "ycsb-z"], "no such workload (known: ycsb-a, "),
        (&["--mix", "insert=1,get=9", "--keys", "200g"], "must be from 1 to 100,000,000,000"),
        (&["--mix", "scan"], "unknown operation 'scan' (known: get, put, delete, insert, rmw;"),
        (
            &["--verify", "--workload", "ycsb-f"],
            "--verify: only for gets, puts and deletes without",
        ),
        (&["--verify", "--workload", "cache"], "--verify: only for gets, puts and deletes without"),
        (&["--verify", "--command", "GET __key__"], "--verify: only for gets, puts and deletes"),
        (&["--ttl", "0"], "--ttl 0s: must be whole milliseconds, from 1ms to 8760h (such as"),
        (&["--ttl", "1.5ms"], "--ttl 1.5ms: must be whole milliseconds"),
        (&["--keys", "2t"], "'2t' is not a count"),
        (&["--keys", "1100g"], "--keys 1,100,000,000,000: must be from 1 to 1,099,511,627,776"),
    ];
    assert_refused(cases);
}

#[test]
fn a_skewed_run_meets_as_many_different_keys_as_its_law_says() {
    let Some(redis) = Redis::start(&[]) else { return };
    let (keys, puts) = (10_000, 20_000);
    let words = ["--mix", "put", "--keys", "10k", "--requests", "20k", "--key-distribution"];
    let met = |law: &str| {
        redis.ask(&["flushall"]);
        let result = run(&redis, &[words.as_slice(), &[law]].concat());
        assert_eq!(result.scenario.key_distribution, law);
        redis.ask(&["dbsize"]).parse::<f64>().expect("a number")
    };
    // A key of probability p is met with 1 - (1 - p)^puts.
    let due = |weight: &dyn Fn(i32) -> f64| {
        let whole: f64 = (1..=keys).map(weight).sum();
        (1..=keys).map(|key| 1.0 - (1.0 - weight(key) / whole).powi(puts)).sum::<f64>()
    };
    for (law, due) in [
        ("uniform", due(&|_| 1.0)),
        ("zipfian:0.99", due(&|rank| f64::from(rank).powf(-0.99))),
        ("zipfian:1.5", due(&|rank| f64::from(rank).powf(-1.5))),
        ("hotspot:0.1:0.95", due(&|key| if key <= 1_000 { 0.95 / 1e3 } else { 0.05 / 9e3 })),
    ] {
        let met = met(law);
        assert!((met / due - 1.0).abs() < 0.05, "{law}: {met} keys, due {due}");
    }
}

#[test]
fn hot_keys_move_with_the_operations_of_a_given_rate_however_many_clients_carry_them() {
    let Some(redis) = Redis::start(&[]) else { return };
    let law = ["--key-distribution", "moving-hotspot:0.01:0.999:1k", "--keys", "10k"];
    let load = ["--mix", "put", "--rate", "20k", "--requests", "10k", "--clients", "4"];
    run(&redis, &[law.as_slice(), &load].concat());
    // A hundred hot keys that move on by a hundred within a thousand operations, and ten cold ones.
    let met: u64 = redis.ask(&["dbsize"]).parse().expect("a number");
    assert!((1_000..1_150).contains(&met), "{met}");
}

#[test]
fn values_of_several_sizes_arrive_whole() {
    let Some(redis) = Redis::start(&[]) else { return };
    let sizes = "0=1,9=1,10=1,100=1,70k=1";
    let words = ["--keys", "200", "--preload", "--requests", "2000", "--value-size", sizes];
    let result = run(&redis, &[words.as_slice(), &["--compressibility", "25%"]].concat());
    assert_eq!(result.headline.hits, 2_000);
    let scenario = result.scenario;
    assert_eq!(scenario.value_sizes, "0=1,9=1,10=1,100=1,70000=1");
    assert_eq!((scenario.value_size_bytes, scenario.compressibility), (14_024, Some(0.25)));
    let lengths = (0..200).map(|number| redis.ask(&["strlen", &key(number)]));
    let mut lengths: Vec<u64> = lengths.map(|text| text.parse().expect("a number")).collect();
    lengths.sort_unstable();
    lengths.dedup();
    assert_eq!(lengths, [0, 9, 10, 100, 70_000]);
}

#[test]
fn inserts_grow_the_key_space_and_the_latest_of_them_are_there() {
    let Some(redis) = Redis::start(&[]) else { return };
    let words = ["--keys", "1k", "--preload", "--requests", "20k", "--workload", "ycsb-d"];
    let result = run(&redis, &[words.as_slice(), &["--clients", "3", "--pipeline", "2"]].concat());
    let [get, insert] =
        [result.operations.get, result.operations.insert].map(|kind| kind.expect("ycsb-d"));
    assert_eq!(get.count + insert.count, 20_000);
    assert!((800..1_200).contains(&insert.count), "{}", insert.count);
    assert_eq!((get.misses, result.headline.errors), (0, 0), "{:?}", result.warnings);
    let stored: u64 = redis.ask(&["dbsize"]).parse().expect("a number");
    assert_eq!(stored, 1_000 + insert.count);
}

#[test]
fn a_read_modify_write_is_one_operation_and_shown_with_its_parts() {
    let Some(redis) = Redis::start(&[]) else { return };
    let words = ["--keys", "1k", "--preload", "--requests", "10k", "--workload", "ycsb-f"];
    for load in [["--pipeline", "3"], ["--rate", "20k"]] {
        let result = run(&redis, &[words.as_slice(), &load].concat());
        let operations = &result.operations;
        let [get, put, rmw] = [&operations.get, &operations.put, &operations.read_modify_write]
            .map(|kind| kind.as_ref().expect("ycsb-f"));
        assert_eq!((result.headline.operations, get.count), (10_000, 10_000));
        assert!((4_800..5_200).contains(&rmw.count), "{}", rmw.count);
        assert_eq!(
            (put.count, get.misses, result.servers[0].operations),
            (rmw.count, 0, 10_000 + rmw.count)
        );
        let shares: f64 = result.servers.iter().map(|server| server.share).sum();
        assert!((shares - 1.0).abs() < 1e-9, "{shares}");
        let p50 = |kind: &OperationResult| kind.service_us.expect("successes").p50;
        assert!(p50(rmw) >= p50(get).max(p50(put)));
        let tags: Vec<_> =
            result.histograms.keys().filter(|tag| tag.ends_with("service")).collect();
        assert_eq!(tags, ["GET-service", "PUT-service", "READ-MODIFY-WRITE-service"]);
    }
}

#[test]
fn a_cache_puts_what_a_get_has_missed_for_a_while() {
    let Some(redis) = Redis::start(&[]) else { return };
    let words = ["--workload", "cache", "--keys", "1k", "--requests", "5k", "--clients", "4"];
    for load in [&["--pipeline", "3"][..], &["--rate", "10k", "--ttl", "90s"]] {
        redis.ask(&["flushall"]);
        let result = run(&redis, &[words.as_slice(), load].concat());
        let [get, put] = [&result.operations.get, &result.operations.put]
            .map(|kind| kind.as_ref().expect("a cache"));
        assert_eq!((get.count, get.hits + get.misses), (5_000, 5_000));
        assert_eq!((put.count, result.headline.operations), (get.misses, 5_000 + put.count));
        // Each key is missed once, and now and then by several at the same time.
        let stored: u64 = redis.ask(&["dbsize"]).parse().expect("a number");
        assert!((stored..stored + 100).contains(&get.misses), "{} of {stored}", get.misses);
        let ttl_s: f64 = redis.ask(&["ttl", &key_there(&redis)]).parse().expect("seconds");
        let asked_s = if load[0] == "--rate" { 90.0 } else { 60.0 };
        assert!((asked_s - 30.0..=asked_s).contains(&ttl_s), "{ttl_s} s of {asked_s} s");
        assert_eq!((result.scenario.ttl_s, result.scenario.fills), (Some(asked_s), true));
        assert!(!result.warnings.iter().any(|text| text.contains("found no key")));
    }
}

#[test]
fn a_cache_that_several_measurements_fill_is_told_of() {
    let Some(redis) = Redis::start(&[]) else { return };
    let words = ["--workload", "cache", "--keys", "100", "--requests", "500"];
    for (repeats, told) in [("1", false), ("2", true)] {
        let result = run(&redis, &[&words[..], &["--repeat", repeats]].concat());
        let is_told = result.warnings.iter().any(|text| text.contains("later ones miss less"));
        assert_eq!(is_told, told, "{:?}", result.warnings);
    }
}

/// Any key that `redis` has.
fn key_there(redis: &Redis) -> String {
    redis.ask(&["randomkey"])
}

/// A server that was too small for its keys said so in a number of errors that nobody saw.
#[test]
fn a_fill_that_fails_is_an_operation_that_failed() {
    let Some(redis) = Redis::start(&["--maxmemory", "1"]) else { return };
    let words = ["--workload", "cache", "--keys", "100", "--requests", "200"];
    let result = run(&redis, &words);
    let put = result.operations.put.expect("a cache");
    assert_eq!((put.count, put.errors, result.headline.errors), (200, 200, 200));
    assert_eq!(result.errors.server.get("OOM"), Some(&200));
}

#[test]
fn what_is_put_lives_as_long_as_it_is_told() {
    let Some(redis) = Redis::start(&[]) else { return };
    let words = ["--ttl", "1500s", "--keys", "100", "--preload", "--requests", "500"];
    for sizes in ["100", "1..200"] {
        let result = run(&redis, &[&words[..], &["--mix", "put", "--value-size", sizes]].concat());
        assert_eq!((result.headline.errors, result.scenario.ttl_s), (0, Some(1_500.0)));
        for number in 0..100 {
            let ttl_ms: u64 = redis.ask(&["pttl", &key(number)]).parse().expect("it expires");
            assert!((1_400_000..=1_500_000).contains(&ttl_ms), "{ttl_ms} ms");
        }
    }
}

#[test]
fn a_named_workload_is_its_flags_unless_others_are_typed() {
    let Some(redis) = Redis::start(&[]) else { return };
    let words = ["--keys", "1k", "--preload", "--requests", "4000", "--workload"];
    let ycsb = run(&redis, &[words.as_slice(), &["YCSB-A"]].concat());
    let said = |result: &RunResult| {
        let scenario = result.scenario.clone();
        let name = scenario.workload.expect("a name");
        [name, scenario.mix, scenario.key_distribution, scenario.value_sizes]
    };
    assert_eq!(said(&ycsb), ["ycsb-a", "get=50,put=50", "ycsb-scrambled", "1000"]);
    let puts = ycsb.operations.put.expect("a half").count;
    assert!((1_800..2_200).contains(&puts), "{puts}");
    assert_eq!(redis.ask(&["strlen", &key(7)]), "1000");
    let mixgraph = run(&redis, &[words.as_slice(), &["mixgraph"]].concat());
    let law = "pareto:0:25.45:0.2615:1024";
    assert_eq!(said(&mixgraph), ["mixgraph", "get=83,put=14", "mixgraph", law]);
    assert!(
        mixgraph
            .warnings
            .iter()
            .any(|text| text.contains("without its seeks") && text.contains("48 bytes"))
    );
    let other = ["facebook-etc", "--value-size", "8", "--mix", "get=1,put=1"];
    let other = run(&redis, &[words.as_slice(), &other].concat());
    assert_eq!(said(&other), ["facebook-etc", "get=1,put=1", "zipfian:0.99", "8"]);
}
