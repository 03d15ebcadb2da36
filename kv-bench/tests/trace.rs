//! Traces as a whole: what is in them, when their operations are due, and what is refused.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use indicatif::ProgressBar;
use kv_bench::schedule::Process;
use kv_bench::target::Protocol;
use kv_bench::trace::{
    Action, Block, Format, Key, Payload, Replay, Requests, Speed, Spread, Step, Wish,
};
use proptest::prelude::*;
use tempfile::TempDir;

proptest! {
    /// Operations stay in their order and in their second.
    #[test]
    fn operations_are_spread_over_their_own_second(
        counts in prop::collection::vec((1_u64..4, 1_u32..50), 1..10),
        is_poisson in any::<bool>(),
        speed in prop_oneof![Just(1.0), Just(2.5), Just(0.5)],
    ) {
        let process = if is_poisson { Process::Poisson } else { Process::Constant };
        let mut second = 100;
        let seconds: Vec<(u64, u32)> = counts.iter().map(|&(gap, count)| {
            second += gap;
            (second, count)
        }).collect();
        let first = seconds[0].0;
        let mut spread = Spread::new(Some(seconds.clone().into()), process, speed, 7);
        let mut last_ns = 0;
        for (second, count) in seconds {
            for _ in 0..count {
                let due_ns = spread.due_ns(second * 1_000_000_000);
                prop_assert!(due_ns >= last_ns);
                let in_trace_s = due_ns as f64 * speed / 1e9 - (second - first) as f64;
                prop_assert!((-1e-6..1.0 + 1e-6).contains(&in_trace_s), "{in_trace_s}");
                last_ns = due_ns;
            }
        }
    }
}

#[test]
fn evenly_spread_operations_are_at_equal_distances() {
    let seconds = || Some([(10, 4), (12, 2)].into());
    let due = |speed| {
        let mut spread = Spread::new(seconds(), Process::Constant, speed, 1);
        let at = [10, 10, 10, 10, 12, 12];
        at.map(|second: u64| spread.due_ns(second * 1_000_000_000) / 1_000_000)
    };
    assert_eq!(due(1.0), [0, 250, 500, 750, 2000, 2500]);
    assert_eq!(due(2.5), [0, 100, 200, 300, 800, 1000]);
    // Microseconds are kept.
    let mut spread = Spread::new(None, Process::Poisson, 2.0, 1);
    assert_eq!(
        [5_000_000_000, 5_000_001_000, 6_000_000_000].map(|at| spread.due_ns(at)),
        [0, 500, 500_000_000]
    );
}

#[test]
fn random_times_within_a_second_are_uniform() {
    const COUNT: u32 = 100_000;
    let mut spread = Spread::new(Some([(1, COUNT)].into()), Process::Poisson, 1.0, 1);
    let mut tenths = [0_u32; 10];
    for _ in 0..COUNT {
        tenths[(spread.due_ns(1_000_000_000) / 100_000_000).min(9) as usize] += 1;
    }
    let expected = f64::from(COUNT) / 10.0;
    let chi2: f64 = tenths.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
    // The 99.9th percentile at nine degrees of freedom.
    assert!(chi2 < 27.88, "{tenths:?}: {chi2}");
}

fn wish(path: &Path) -> Wish<'_> {
    Wish {
        path,
        format: None,
        speed: Speed::Max,
        process: None,
        seed: 1,
        protocol: Protocol::Resp,
        prefix: "kvb:",
        operations: None,
        duration: None,
        progress: ProgressBar::hidden(),
    }
}

/// A trace of these bytes, as it is wished.
fn trace(bytes: &[u8], change: impl FnOnce(&mut Wish<'_>)) -> Result<Replay, String> {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("trace");
    fs::write(&path, bytes).expect("room");
    let mut wish = wish(&path);
    change(&mut wish);
    Replay::new(&wish)
}

const TWITTER: &[u8] =
    b"5,a,1,10,1,set,0\n5,a,1,10,1,get,0\n6,b,1,10,1,get,0\n8,c,1,0,1,delete,0\n";

#[test]
fn a_trace_is_looked_at_before_it_is_replayed() {
    let replay = trace(TWITTER, |_| {}).expect("a trace");
    let survey = &replay.survey;
    assert_eq!(replay.format, Format::Twitter);
    assert_eq!((survey.gets, survey.puts, survey.deletes, survey.operations()), (2, 1, 1, 4));
    assert_eq!(survey.length, Duration::from_secs(4), "of which the last second is a whole one");
    assert_eq!(survey.seconds.as_deref(), Some(&[(5, 2), (6, 1), (8, 1)][..]));
    assert_eq!((replay.bytes, replay.is_compressed), (Some(TWITTER.len() as u64), false));
    // sha256sum of it.
    let sum = replay.sha256.clone().expect("a file's");
    assert_eq!(sum.len(), 64);
    assert_eq!(replay.mix().to_string(), "get=2,put=1,delete=1");
    // Cut by a number of operations, and by time at twice the speed.
    let cut = trace(TWITTER, |wish| wish.operations = Some(3)).expect("a trace");
    assert_eq!((cut.survey.operations(), cut.sha256), (3, Some(sum)), "the checksum is of all");
    let cut = trace(TWITTER, |wish| {
        wish.speed = Speed::Times(2.0);
        wish.duration = Some(Duration::from_secs(1));
    });
    assert_eq!(cut.expect("a trace").survey.operations(), 3, "those before 7");
}

/// A thousand operations in each of two seconds.
fn thousands() -> Vec<u8> {
    let lines = (0..2000).map(|number| format!("{},k,1,0,1,get,0\n", 5 + number / 1000));
    lines.collect::<String>().into_bytes()
}

/// A run that ended within a second took the operations up to there for all of it, and spread them over
/// all of it: a hundred at the pace of a thousand became a hundred a second.
#[test]
fn a_second_within_which_a_run_ends_is_as_dense_as_it_was() {
    let replay = trace(&thousands(), |wish| {
        wish.operations = Some(1500);
        wish.speed = Speed::Times(2.0);
        wish.process = Some(Process::Constant);
    });
    let replay = replay.expect("a trace");
    assert_eq!((replay.operations(), replay.survey.tally.lines), (Some(1500), 1500));
    assert_eq!(replay.rate_ops_s(), Some(2000.0));
    let mut spread = replay.spread();
    let seconds = [5_u64; 1000].into_iter().chain([6; 500]);
    let last_ns = seconds.map(|second| spread.due_ns(second * 1_000_000_000)).last();
    assert_eq!(last_ns, Some(749_500_000), "1.499 s at twice the speed");
}

/// The operations of a second that the run's time had only half of were all counted as asked for.
#[test]
fn a_time_that_ends_within_a_second_asks_for_the_part_before() {
    let within = |duration: Duration| {
        let timed = trace(&thousands(), |wish| {
            wish.duration = Some(duration);
            wish.speed = Speed::Times(1.0);
        });
        timed.expect("a trace")
    };
    for milliseconds in [500, 1500] {
        let replay = within(Duration::from_millis(milliseconds));
        assert_eq!((replay.rate_ops_s(), replay.operations()), (Some(1000.0), None));
        assert!(replay.headline().starts_with("trace /"), "{}", replay.headline());
        assert!(replay.headline().contains("(twitter) at its own speed"), "{}", replay.headline());
    }
    for (seconds, operations) in [(1, 1000), (2, 2000), (9, 2000)] {
        let replay = within(Duration::from_secs(seconds));
        assert_eq!((replay.rate_ops_s(), replay.operations()), (Some(1000.0), Some(operations)));
    }
}

/// What had the file's name when the run began was replayed under the checksum of what had it before.
#[test]
fn what_is_replayed_is_what_was_looked_at() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("trace");
    let operations = |replay: &Replay| -> io::Result<u64> {
        let mut reading = replay.reading()?;
        reading.each(|_, _| ControlFlow::Continue(()))?;
        Ok(reading.tally.operations)
    };
    // A file that grows, and another of its name.
    fs::write(&path, TWITTER).expect("room");
    let replay = Replay::new(&wish(&path)).expect("a trace");
    let mut file = OpenOptions::new().append(true).open(&path).expect("it is there");
    file.write_all(TWITTER).expect("room");
    assert_eq!(operations(&replay).expect("what was there"), 4);
    fs::remove_file(&path).expect("it is there");
    fs::write(&path, b"1,x,1,0,1,get,0\n").expect("room");
    assert_eq!(operations(&replay).expect("what was there"), 4);
    // The same file, made shorter: before it is read, and meanwhile.
    let replay = Replay::new(&wish(&path)).expect("a trace");
    let mut reading = replay.reading().expect("a trace");
    fs::write(&path, b"1,x").expect("room");
    let told = |error: io::Error| error.to_string();
    let expected = "the trace's file has changed since it was looked at";
    assert_eq!(operations(&replay).map_err(told), Err(expected.to_owned()));
    let read = reading.each(|_, _| ControlFlow::Continue(()));
    assert_eq!(read.map_err(told), Err(expected.to_owned()));
}

#[test]
fn the_look_at_a_trace_says_how_far_it_is_up_to_the_end_of_the_file() {
    let compressed = zstd::encode_all(&*thousands(), 3).expect("it compresses");
    for bytes in [thousands(), compressed] {
        let progress = ProgressBar::hidden();
        let replay = trace(&bytes, |wish| {
            wish.operations = Some(10);
            wish.progress = progress.clone();
        });
        assert_eq!(replay.expect("a trace").bytes, Some(bytes.len() as u64));
        assert_eq!(progress.length(), Some(bytes.len() as u64));
        assert_eq!(progress.position(), bytes.len() as u64);
    }
}

#[test]
fn compressed_traces_are_known_by_their_first_bytes() {
    let compressed = zstd::encode_all(TWITTER, 3).expect("it compresses");
    let plain = trace(TWITTER, |_| {}).expect("a trace");
    let replay = trace(&compressed, |_| {}).expect("a trace");
    assert!(replay.is_compressed);
    assert_eq!(replay.survey.digest, plain.survey.digest);
    assert_eq!(replay.bytes, Some(compressed.len() as u64));
    // Several frames, as zstd makes them of parts that are put together.
    let twice = trace(&[&*compressed, &*compressed].concat(), |_| {}).expect("a trace");
    assert_eq!((twice.survey.operations(), twice.survey.tally.backwards), (8, 3));
    let cut = trace(&compressed[..compressed.len() - 5], |_| {}).expect_err("cut off");
    assert!(cut.contains("ends too early: it was cut off"), "{cut}");
}

#[test]
fn what_is_no_trace_is_refused_with_what_would_be() {
    let refused = |bytes: &[u8], expected: &str| {
        let told = trace(bytes, |_| {}).expect_err("refused");
        assert!(told.contains(expected), "{told}");
        assert!(!told.contains('\n'), "{told}");
    };
    refused(b"", "it is empty");
    refused(b"\n\n", "its first lines are of no known format: twitter (timestamp,");
    refused(&[0; 5000], "its first lines are of no known format");
    refused(b"op_time,key,key_size,op,op_count,size\n", "there is no operation in it");
    refused(
        b"1.000000 [0 127.0.0.1:1] \"flushall\"\n",
        "none of its operations can be replayed: 1 left out (flushall 1)",
    );
    let as_meta = trace(TWITTER, |wish| wish.format = Some(Format::Meta)).expect_err("no header");
    assert!(
        as_meta.contains("the first line is no header with key, op and size in it"),
        "{as_meta}"
    );
    let as_monitor =
        trace(TWITTER, |wish| wish.format = Some(Format::Monitor)).expect_err("another");
    assert!(as_monitor.contains("4 of 4 lines are none of the format monitor"), "{as_monitor}");
    assert!(as_monitor.contains("line 1: expected 1460100081.165665 [0"), "{as_monitor}");
    let timeless = b"key,op,size\na,GET,1\n";
    trace(timeless, |_| {}).expect("without times at full speed");
    let timed = trace(timeless, |wish| wish.speed = Speed::Times(1.0)).expect_err("no times");
    assert!(timed.contains("no column op_time in it: --trace-speed max replays it"), "{timed}");
    let folder = TempDir::new().expect("a folder");
    assert!(Replay::new(&wish(folder.path())).expect_err("no file").contains("it is a folder"));
    // Neither is one that never ends.
    let zeros = Replay::new(&wish(Path::new("/dev/zero"))).expect_err("no file");
    assert!(zeros.contains("it is no file") && zeros.contains("--trace - < PIPE"), "{zeros}");
    let missing = folder.path().join("none");
    assert!(Replay::new(&wish(&missing)).expect_err("none").contains("No such file"));
}

#[test]
fn one_bad_line_of_a_hundred_is_passed_over_and_more_are_too_many() {
    let lines = |bad: usize, all: usize| {
        let line = |index| if index < bad { "5,a,1\n" } else { "5,a,1,10,1,get,0\n" };
        (0..all).rev().map(line).collect::<String>()
    };
    let kept = trace(lines(2, 200).as_bytes(), |_| {}).expect("a trace");
    assert_eq!((kept.survey.tally.bad, kept.survey.operations()), (2, 198));
    assert_eq!(
        kept.survey.tally.problems[0],
        "line 199: expected timestamp,key,key size,value size,client id,operation,TTL"
    );
    let told = trace(lines(3, 200).as_bytes(), |_| {}).expect_err("too many");
    assert!(
        told.starts_with("3 of 200 lines are none of the format twitter, and more than 1 %"),
        "{told}"
    );
}

#[test]
fn a_line_beyond_all_bounds_is_bad_and_those_behind_it_are_not() {
    let long = [b"5,".as_slice(), &vec![b'k'; 17 << 20], b",2,0,7,get,0\n"].concat();
    let bytes = [&TWITTER.repeat(50), long.as_slice(), TWITTER].concat();
    let replay = trace(&bytes, |_| {}).expect("a trace");
    let tally = &replay.survey.tally;
    assert_eq!((tally.bad, tally.operations), (1, 204));
    assert_eq!(tally.problems, ["line 201: a line of more than 16 MiB"]);
}

#[test]
fn times_that_go_backwards_are_taken_for_the_latest_before() {
    let bytes = b"5,a,1,10,1,get,0\n4,a,1,10,1,get,0\n7,a,1,10,1,get,0\n";
    let replay = trace(bytes, |_| {}).expect("a trace");
    assert_eq!(replay.survey.tally.backwards, 1);
    let seconds = replay.survey.seconds.as_deref();
    assert_eq!(seconds, Some(&[(5, 2), (7, 1)][..]));
}

/// The requests that a trace of these bytes makes, one after the other.
fn requests(bytes: &[u8], protocol: Protocol) -> (Vec<String>, BTreeMap<String, u64>) {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("trace");
    fs::write(&path, bytes).expect("room");
    let replay = Replay::new(&Wish { protocol, ..wish(&path) }).expect("a trace");
    let (mut requests, payload) = (replay.requests(), Payload::new(1));
    let mut block = Block::default();
    let mut reading = replay.reading().expect("it can be read");
    let read = reading.each(|_, step| {
        let Step::Entry(entry) = step else { return ControlFlow::Continue(()) };
        (0..entry.times).for_each(|_| requests.push(&entry.action, &mut block, 0, 0));
        ControlFlow::Continue(())
    });
    read.expect("it can be read");
    let encoded = block.records.iter().map(|record| {
        let mut out = Vec::new();
        block.encode(record, &payload, &mut out);
        out.escape_ascii().to_string()
    });
    (encoded.collect(), reading.tally.left_out.clone())
}

#[test]
fn operations_are_requests_with_the_keys_prefix_and_their_time_to_live() {
    let trace = b"5,ab,4,0,1,get,0\n5,ab,4,5,1,set,60\n5,ab,4,5,1,delete,0\n5,n,1,0,1,incr,0\n5,n,1,0,1,decr,0\n";
    let (resp, _) = requests(trace, Protocol::Resp);
    assert_eq!(resp[0], r"*2\r\n$3\r\nGET\r\n$8\r\nkvb:ab..\r\n");
    assert!(resp[1].starts_with(r"*5\r\n$3\r\nSET\r\n$8\r\nkvb:ab..\r\n$5\r\n"), "{}", resp[1]);
    assert!(resp[1].ends_with(r"\r\n$2\r\nEX\r\n$2\r\n60\r\n"), "{}", resp[1]);
    assert_eq!(resp[2], r"*2\r\n$3\r\nDEL\r\n$8\r\nkvb:ab..\r\n");
    assert_eq!(resp[3], r"*2\r\n$4\r\nINCR\r\n$5\r\nkvb:n\r\n");
    assert_eq!(resp[4], r"*2\r\n$4\r\nDECR\r\n$5\r\nkvb:n\r\n");
    let (meta, left_out) = requests(trace, Protocol::Memcached);
    assert_eq!(meta[0], r"mg kvb:ab.. v\r\n");
    assert!(meta[1].starts_with(r"ms kvb:ab.. 5 T60\r\n"), "{}", meta[1]);
    assert_eq!(meta[2], r"md kvb:ab..\r\n");
    assert_eq!(meta.len(), 3);
    assert_eq!(left_out, BTreeMap::from([("decr".to_owned(), 1), ("incr".to_owned(), 1)]));
}

#[test]
fn memcached_gets_no_key_that_would_break_its_lines() {
    let long = "k".repeat(250);
    let trace = format!("5,a b,3,0,1,get,0\n5,{long},250,0,1,get,0\n5,ok,2,0,1,get,0\n");
    let (encoded, left_out) = requests(trace.as_bytes(), Protocol::Memcached);
    assert_eq!(encoded, [r"mg kvb:ok v\r\n"]);
    assert_eq!(left_out, BTreeMap::from([("keys that memcached does not take".to_owned(), 2)]));
}

#[test]
fn every_key_of_a_command_has_the_prefix_and_nothing_else() {
    let line = |words: &str| format!("1.000000 [0 127.0.0.1:1] {words}\n");
    let words = [
        r#""set" "k" "k" "EX" "9""#,
        r#""mset" "a" "1" "b" "2""#,
        r#""del" "a" "b""#,
        r#""rename" "a" "b""#,
        r#""zunionstore" "d" "2" "a" "b" "WEIGHTS" "1" "2""#,
        r#""bitop" "AND" "d" "a""#,
        r#""object" "encoding" "a""#,
        r#""ping""#,
        r#""zadd" "z" "1" "m\x00""#,
    ];
    let trace: String = words.iter().map(|words| line(words)).collect();
    let plain = |request: &String| {
        let words = request.split(r"\r\n").filter(|word| !word.starts_with(['$', '*']));
        words.collect::<Vec<_>>().join(" ").trim().to_owned()
    };
    let (encoded, left_out) = requests(trace.as_bytes(), Protocol::Resp);
    assert_eq!(
        encoded.iter().map(plain).collect::<Vec<_>>(),
        [
            "set kvb:k k EX 9",
            "mset kvb:a 1 kvb:b 2",
            "del kvb:a kvb:b",
            "rename kvb:a kvb:b",
            "zunionstore kvb:d 2 kvb:a kvb:b WEIGHTS 1 2",
            "bitop AND kvb:d kvb:a",
            "object encoding kvb:a",
            "ping",
            r"zadd kvb:z 1 m\x00",
        ]
    );
    assert!(left_out.is_empty(), "{left_out:?}");
}

#[test]
fn values_have_the_size_that_is_asked_for_and_short_ones_are_numbers() {
    let payload = Payload::new(1);
    for size in [0_u32, 1, 18, 19, 1000, 3_000_000] {
        let mut block = Block::default();
        let action =
            Action::Put { key: Key { text: b"k", bytes: 1 }, value_bytes: size, ttl_s: None };
        Requests::new(Protocol::Resp, "", &[]).push(&action, &mut block, 0, 0);
        let mut out = Vec::new();
        block.encode(&block.records[0], &payload, &mut out);
        let head = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${size}\r\n");
        assert!(out.starts_with(head.as_bytes()), "{size}");
        let value = &out[head.len()..out.len() - 2];
        assert_eq!(value.len(), size as usize);
        let is_number = value.iter().all(u8::is_ascii_digit) && !value.starts_with(b"0");
        assert_eq!(is_number, size <= 18, "{size}");
    }
}

#[test]
fn the_digest_is_of_what_is_replayed_and_how() {
    let of = |bytes: &[u8], change: &dyn Fn(&mut Wish<'_>)| {
        trace(bytes, |wish| change(wish)).expect("a trace").digest(4)
    };
    let plain = of(TWITTER, &|_| {});
    assert_eq!(plain, of(TWITTER, &|_| {}));
    let changes: [&dyn Fn(&mut Wish<'_>); 4] = [
        &|wish| wish.speed = Speed::Times(2.0),
        &|wish| wish.operations = Some(2),
        &|wish| wish.seed = 2,
        &|wish| wish.prefix = "",
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_ne!(plain, of(TWITTER, change), "{index}");
    }
    assert_ne!(plain, of(&TWITTER.repeat(2), &|_| {}));
}
