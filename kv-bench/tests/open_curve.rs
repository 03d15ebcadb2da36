//! Curves over offered loads: which are measured in which order, what they tell, and the whole of it on
//! a server whose capacity is known.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;
#[allow(dead_code, reason = "other tests need other dialects")]
mod scripted;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kv_bench::open_curve::knee::{Load, knee};
use kv_bench::open_curve::saturation::{Achieved, saturation};
use kv_bench::open_curve::{Layout, Loads, order};
use kv_bench::plot;
use kv_bench::report;
use kv_bench::result::{Part, Point, RunResult};
use program::{Running, kv_bench, stderr, wait_for};
use scripted::{Answer, Server};
use tempfile::TempDir;

fn loads(text: &str) -> Loads {
    text.parse().unwrap()
}

#[test]
fn loads_are_listed_spread_between_two_or_around_what_a_closed_loop_does() {
    assert_eq!(loads("5k, 1k,2k").spread(3, 0.0), [1_000, 2_000, 5_000]);
    assert_eq!(loads("1k..5k/5").spread(5, 0.0), [1_000, 2_000, 3_000, 4_000, 5_000]);
    assert_eq!(loads("1k..100k").spread(3, 0.0), [1_000, 10_000, 100_000], "in proportion");
    let auto = loads("auto").spread(12, 10_000.0);
    assert_eq!((auto[0], auto[11], auto.len()), (1_000, 12_000, 12));
    assert_eq!(loads("auto").spread(12, 3.0), [1, 2, 3, 4], "no load twice");
}

#[test]
fn the_time_decides_how_many_loads_and_how_long_each() {
    let warmup = Duration::from_millis(200);
    let of = |text, repeats, seconds| {
        Layout::new(&loads(text), repeats, warmup, Duration::from_secs(seconds))
            .map(|layout| (layout.count, layout.length.as_millis()))
    };
    assert_eq!(of("auto", 2, 30), Ok((10, 1_000)));
    assert_eq!(of("auto", 2, 120), Ok((12, 4_400)));
    assert_eq!(of("auto", 2, 100_000), Ok((12, 10_000)), "no point is longer than ten seconds");
    assert_eq!(of("1..3", 1, 30), Ok((3, 8_800)), "there are no more rates between them");
    assert_eq!(of("1k,2k", 1, 10), Ok((2, 3_800)));
    // What is asked for and does not fit is told with the time that it takes, which will do.
    let needed = of("auto/12", 3, 30).unwrap_err();
    assert_eq!(needed.as_secs(), 50);
    assert_eq!(of("auto/12", 3, needed.as_secs()), Ok((12, 1_000)));
    assert!(of("auto", 2, 5).is_err());
}

#[test]
fn every_round_has_every_load_once_in_an_order_that_the_seed_decides() {
    let loads: Vec<u64> = (1..=10).map(|load| load * 1_000).collect();
    let first = order(&loads, 3, 1);
    for round in first.chunks(10) {
        let mut sorted = round.to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, loads);
        assert_ne!(round, loads, "shuffled");
    }
    assert_ne!(first[..10], first[10..20]);
    assert_eq!(first, order(&loads, 3, 1));
    assert_ne!(first, order(&loads, 3, 2));
    // Each load comes first about as often as any other.
    let firsts: Vec<u64> = (0..2_000).map(|seed| order(&loads, 1, seed)[0]).collect();
    for load in loads {
        let count = firsts.iter().filter(|&&first| first == load).count();
        assert!((150..=250).contains(&count), "{load}: {count} of 2000");
    }
}

fn curve(p99_us: &[[f64; 3]]) -> Vec<Load> {
    let load = |(index, p99_us): (usize, &[f64; 3])| Load {
        rate_ops_s: (index + 1) as f64 * 1_000.0,
        p99_us: p99_us.to_vec(),
    };
    p99_us.iter().enumerate().map(load).collect()
}

#[test]
fn the_knee_is_the_last_load_before_the_tail_climbs() {
    let flat = [100.0, 103.0, 98.0];
    let high = [90_000.0, 100_000.0, 110_000.0];
    let found = knee(&curve(&[flat, flat, flat, flat, flat, flat, high, high]), 1).unwrap();
    assert_eq!(found.rate_ops_s.to_string(), "6000");
    // Between its neighbours nothing is known.
    assert_eq!((found.low_ops_s as u64, found.high_ops_s as u64), (5_000, 7_000));
    assert!(found.found_share > 0.999);
}

#[test]
fn a_knee_that_repeats_disagree_about_has_a_wide_interval() {
    let flat = [100.0, 103.0, 98.0];
    let torn = [100.0, 2_000.0, 60_000.0];
    let high = [90_000.0, 100_000.0, 110_000.0];
    let found = knee(&curve(&[flat, flat, flat, torn, torn, torn, high, high]), 1).unwrap();
    assert!(found.low_ops_s <= 3_000.0 && found.high_ops_s >= 6_000.0, "{found:?}");
}

#[test]
fn a_tail_that_does_not_climb_has_no_knee() {
    let flat = [100.0, 103.0, 98.0];
    assert_eq!(knee(&curve(&[flat; 8]), 1), None);
    // Kneedle alone finds one in any noise.
    let noisy = [[100.0, 180.0, 140.0], [260.0, 90.0, 120.0], [150.0, 200.0, 110.0]];
    let noisy: Vec<_> = noisy.into_iter().cycle().take(9).collect();
    assert_eq!(knee(&curve(&noisy), 1), None);
    // A load that was slow every time, between others that were not, is no end of anything.
    let mut bump = [flat; 8];
    bump[4] = [2_000.0; 3];
    assert_eq!(knee(&curve(&bump), 1), None);
    // Nor has one that climbs as evenly as can be drawn.
    let even: Vec<_> = (0..8).map(|step| [100.0 * 2.0_f64.powi(step); 3]).collect();
    assert_eq!(knee(&curve(&even), 1), None);
    for few in [&[][..], &[flat], &[flat, [9_000.0; 3]]] {
        assert_eq!(knee(&curve(few), 1), None, "{few:?}");
    }
    let unmeasured = Load { rate_ops_s: 1.0, p99_us: Vec::new() };
    assert_eq!(knee(&[unmeasured], 1), None);
}

#[test]
fn less_than_offered_is_told_from_chance_and_from_the_last_replies() {
    let achieved = |due, succeeded, duration_s, service_p50_s| {
        Achieved { due, length_s: 1.0, succeeded, duration_s, service_p50_s }.falls_short()
    };
    assert!(!achieved(10_000, 10_000, 1.0, 1e-4));
    // 1 % and three times the hundred that ten thousand arrivals scatter by.
    assert!(!achieved(10_000, 10_000, 1.041, 1e-4));
    assert!(achieved(10_000, 10_000, 1.043, 1e-4));
    assert!(!achieved(1_000_000, 1_000_000, 1.012, 1e-4));
    assert!(achieved(1_000_000, 1_000_000, 1.014, 1e-4));
    // A tenth of a second in which the last replies were on their way is no backlog.
    assert!(!achieved(10_000, 10_000, 1.1, 0.1));
    assert!(achieved(10_000, 9_000, 1.0, 1e-4), "what failed was not achieved");
    assert!(!achieved(0, 0, 0.0, 0.0));
}

#[test]
fn saturation_begins_where_most_repeats_fall_short_and_all_loads_above_do() {
    let from = |short: &[&[bool]]| {
        let loads: Vec<(f64, Vec<bool>)> =
            short.iter().enumerate().map(|(at, s)| (at as f64, s.to_vec())).collect();
        saturation(&loads)
            .map(|found| (found.from_ops_s as u64, found.kept_ops_s.map(|k| k as u64)))
    };
    let (kept, torn, short) = (&[false, false][..], &[true, false][..], &[true, true][..]);
    assert_eq!(from(&[kept, kept, short, short]), Some((2, Some(1))));
    assert_eq!(from(&[kept, short, kept, short]), Some((3, Some(2))), "one bad load is no end");
    assert_eq!(from(&[kept, torn]), None);
    assert_eq!(from(&[short, short]), Some((0, None)));
    assert_eq!(from(&[]), None);
}

#[test]
fn curves_that_make_no_sense_are_refused_in_one_line() {
    let cases: &[(&[&str], &str)] = &[
        (&["--rates", "fast"], "--rates fast: 'fast' is no number of ops/s (such as auto, 1k..50k"),
        (&["--rates", ""], "--rates '': '' is no number of ops/s (such as auto"),
        (&["--rates", "10k"], "'10k' is one load, and a curve has several"),
        (&["--rates", "0..10k"], "'0..10k' is not from a lower rate above 0 to a higher one"),
        (&["--rates", "10k..1k"], "'10k..1k' is not from a lower rate above 0 to a higher one"),
        (&["--rates", "1k..50k:10"], "'1k..50k:10' has a length, as steps of --rate have"),
        (&["--rates", "1k..50k/1"], "'/1' is no number of loads from 2 to 100"),
        (&["--rates", "auto/many"], "'/many' is no number of loads from 2 to 100"),
        (&["--rates", "1..3/8"], "between 1..3 there are no more than 3 rates"),
        (&["--rates", "1k,1k"], "1000 is listed twice: --repeat measures each again"),
        (&["--rates", "1k,0"], "'0' is no number of ops/s"),
        (&["--rates", "1k..2k,5k"], "'1k..2k' is no load of a list"),
        (&["--rates", "1k,"], "'' is no number of ops/s"),
        (&["--rates", "1..2g"], "is no number of ops/s"),
        (
            &["--rates", "auto/20", "--repeat", "5"],
            "measuring each load 5 times takes 137 s, and --curve-time is 30s: give --curve-time 137s",
        ),
        (&["--rates", "auto", "--curve-time", "10ms"], "--curve-time 10ms: must be at least 1s"),
        (&["--rates", "auto", "--curve-time", "25h"], "must be at most 24h"),
        (&["--rates", "auto", "--repeat", "0"], "--repeat 0: must be from 1 to 1,000"),
        (&["--rates", "auto", "--rate", "5k"], "--rate 5k: a curve over --rates measures each"),
        (&["--rates", "auto", "--requests", "5"], "--requests 5: a curve over --rates"),
        (&["--rates", "auto", "--duration", "5s"], "it takes --curve-time and --repeat"),
        (&["--rates", "auto", "--think-time", "5ms"], "--think-time 5ms: a curve over --rates"),
        (&["--rates", "auto", "--chaos", "kill:1@1s"], "--chaos kill:1@1s: a curve over --rates"),
        (&["--rates", "auto", "--on-node-fail", "eject"], "--on-node-fail eject: a curve over"),
        (&["--rates", "auto", "--verify"], "--verify: a curve over --rates"),
        (&["--rates", "auto", "--mix", "delete"], "deletes alone use up their keys"),
        (&["--rate", "5k"], "run --rate 5k, for a curve over loads --rates auto\n"),
        (&["--repeat", "3"], "run --repeat 3, for a curve over loads --rates auto\n"),
        // It ended with a blank.
        (&["--verify"], "for one measurement it is kv-bench run --verify\n"),
    ];
    for (words, expected) in cases {
        let output = kv_bench(&["curve"]).args(*words).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{words:?}: {message}");
    }
}

#[test]
fn the_help_of_a_curve_offers_only_what_it_takes() {
    let help = |words: &[&str]| {
        let output = kv_bench(words).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    for curve in [help(&["curve", "--help"]), help(&["curve", "-h"]), help(&["--help"])] {
        for refused in ["--rate <", "--chaos <", "--on-node-fail <", "--verify\n", "--trace <"] {
            assert!(!curve.contains(refused), "{refused}: {curve}");
        }
        assert!(curve.contains("--rates <LOADS>"), "{curve}");
    }
    let run = help(&["run", "--help"]);
    assert!(["--rate <", "--chaos <", "--verify\n"].iter().all(|flag| run.contains(flag)), "{run}");
}

/// A curve of one worker against `server`, in `dir`.
fn curve_of(server: &Server, dir: &Path, words: &[&str]) -> Command {
    let target = format!("redis://{}", server.address);
    let mut command = kv_bench(&["curve", "--target", &target, "--threads", "1", "--keys", "100"]);
    command.args(words).arg("--out").arg(dir);
    command
}

fn result_in(dir: &Path) -> RunResult {
    report::json::load(&dir.join("result.json")).unwrap()
}

fn texts(result: &RunResult, name: &str) -> String {
    let figures = plot::figures(result, &plot::Histograms::new());
    let (_, figure) = figures.iter().find(|(figure, _)| *figure == name).unwrap();
    figure.svg().unwrap()
}

/// Four clients, each answered after 20 ms: 200 operations per second and no more. Arrivals at even
/// times meet a client with room up to there, so the tail is flat and then climbs.
#[test]
fn the_curve_of_a_known_server_has_its_knee_and_its_end_at_its_capacity() {
    let server = Server::start(|_, _| Answer::Late(Duration::from_millis(20)));
    let dir = TempDir::new().unwrap();
    let words = [
        "--rates",
        "50..400/8",
        "--clients",
        "4",
        "--arrivals",
        "constant",
        "--seed",
        "7",
        "--warmup",
        "50ms",
        "--curve-time",
        "21s",
    ];
    let output = curve_of(&server, dir.path(), &words).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown}{}", stderr(&output));
    let result = result_in(dir.path());
    let found = result.open_curve.clone().unwrap();
    let asked: Vec<u64> = found.loads_ops_s.iter().map(|&load| load as u64).collect();
    assert_eq!(asked, [50, 100, 150, 200, 250, 300, 350, 400]);
    let measured: Vec<u64> =
        result.points.iter().map(|point| point.rate_asked_ops_s.unwrap() as u64).collect();
    assert_eq!(measured, order(&asked, 2, 7), "in that order");
    assert!(shown.contains("each measured 2 times for 1 s, shuffled with seed 7"), "{shown}");
    for point in &result.points {
        let rate = point.rate_asked_ops_s.unwrap();
        if !point.broken_off {
            assert_eq!(point.operations, (rate * found.length_s) as u64, "every one that was due");
        }
        assert!(point.throughput_ops_s <= 201.0 || point.saturated == Some(false), "{point:?}");
        assert!(point.lateness_us.is_some() && point.response_us.is_some());
    }
    let of = |rate: u64, end: bool| {
        let of_rate = |point: &&Point| point.rate_asked_ops_s == Some(rate as f64);
        let points: Vec<_> = result.points.iter().filter(of_rate).collect();
        let repeats: BTreeSet<_> = points.iter().filter_map(|point| point.repeat).collect();
        assert_eq!(repeats, BTreeSet::from([1, 2]));
        assert!(points.iter().all(|point| point.saturated == Some(end)), "{rate}: {points:?}");
    };
    of(50, false);
    of(100, false);
    of(300, true);
    of(400, true);
    let end = found.saturation.unwrap();
    assert!(end.from_ops_s <= 300.0 && end.kept_ops_s >= Some(100.0), "{end:?}");
    assert!(end.achieved_ops_s <= 201.0, "{end:?}");
    let knee = found.knee.unwrap();
    assert!((knee.low_ops_s..=knee.high_ops_s).contains(&200.0), "{knee:?} {shown}");
    assert!((100.0..=250.0).contains(&knee.rate_ops_s), "{knee:?} {shown}");
    assert!(result.headline.rate_asked_ops_s <= end.kept_ops_s, "the highest that was kept up");
    check_outputs(&result, dir.path());
}

/// Tables, pages and plots of a curve, and what is rendered from its result alone.
fn check_outputs(result: &RunResult, dir: &Path) {
    let page = fs::read_to_string(dir.join("report.md")).unwrap();
    for part in ["p99 begins to climb at", "less is achieved than offered from", " saturated |"] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let table = fs::read_to_string(dir.join("points.csv")).unwrap();
    let header = table.lines().next().unwrap();
    assert!(header.ends_with("lateness_max_us,repeat,saturated,broken_off"), "{header}");
    assert_eq!(table.lines().count(), 17);
    for (name, parts) in [
        ("latency-vs-throughput", &["p50", "p99", "p99.9", "saturated", "knee at "][..]),
        ("achieved-vs-offered", &["achieved", "= offered", "saturated", "saturated at "]),
    ] {
        let drawn = texts(result, name);
        assert!(parts.iter().all(|part| drawn.contains(part)), "{name}: {drawn}");
    }
    let pictures = ["latency-vs-throughput.png", "achieved-vs-offered.png"].map(|n| dir.join(n));
    let before = pictures.clone().map(|file| fs::read(file).unwrap());
    for picture in &pictures {
        fs::remove_file(picture).unwrap();
    }
    let again = kv_bench(&["report", "--plots"]).arg(dir).output().unwrap();
    assert!(again.status.success(), "{}", stderr(&again));
    assert!(pictures.map(|file| fs::read(file).unwrap()) == before, "from the result alone");
}

/// The limit of a point's time was applied to its warm-up: each point was broken off before it began,
/// and the curve said that nothing was achieved at any load.
#[test]
fn a_warm_up_may_take_longer_than_its_point() {
    let server = Server::start(|_, _| Answer::Normal);
    let dir = TempDir::new().unwrap();
    let words = ["--rates", "50,100", "--repeat", "1", "--warmup", "2500ms", "--curve-time", "11s"];
    let output = curve_of(&server, dir.path(), &words).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result_in(dir.path());
    assert!(result.open_curve.unwrap().length_s * 2.0 < 2.5);
    for point in result.points {
        assert!(!point.broken_off && point.operations > 10, "{point:?}");
    }
}

/// Puts that fill a cache were counted as what had been asked for: of 100 operations per second 200 were
/// achieved.
#[test]
fn what_is_achieved_of_a_load_does_not_count_the_fills_after_misses() {
    let server = Server::start(|_, words| match words[0].as_str() {
        "GET" => Answer::Raw(b"$-1\r\n"),
        _ => Answer::Normal,
    });
    let dir = TempDir::new().unwrap();
    let words =
        ["--workload", "cache", "--rates", "100,200", "--repeat", "1", "--curve-time", "4s"];
    let output = curve_of(&server, dir.path(), &words).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    for point in result_in(dir.path()).points {
        let (asked, achieved) = (point.rate_asked_ops_s.unwrap(), point.achieved_ops_s.unwrap());
        assert!(achieved < asked * 1.1, "{point:?}");
        assert!((point.throughput_ops_s / achieved - 2.0).abs() < 0.1, "{point:?}");
    }
}

/// A server that hung was told as the end of what it can do.
#[test]
fn a_server_that_is_lost_is_no_saturation() {
    let hangs = Arc::new(AtomicBool::new(false));
    let is_hung = Arc::clone(&hangs);
    let server = Server::start(move |_, _| match is_hung.load(Ordering::SeqCst) {
        true => Answer::Never,
        false => Answer::Normal,
    });
    let dir = TempDir::new().unwrap();
    let words = ["--rates", "100,200", "--curve-time", "7s"];
    let curve = Running::start(&mut curve_of(&server, dir.path(), &words));
    let path = dir.path().join("result.json");
    wait_for(|| report::json::load(&path).ok().filter(|result| !result.points.is_empty()));
    // Behind the next point's warm-up, and before its end.
    let seen = || server.seen.lock().unwrap().len();
    let before = seen();
    wait_for(|| (seen() > before + 60).then_some(()));
    server.refuse();
    hangs.store(true, Ordering::SeqCst);
    let output = curve.end();
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("does not answer any more"), "{told}");
    let result = result_in(dir.path());
    assert!(result.partial && result.open_curve.unwrap().saturation.is_none());
    assert_eq!(result.points.len(), 1);
}

#[test]
fn a_curve_that_is_interrupted_keeps_its_points() {
    let server = Server::start(|_, _| Answer::Normal);
    let dir = TempDir::new().unwrap();
    let words = ["--rates", "100,200,300", "--curve-time", "20s"];
    let run = Running::start(&mut curve_of(&server, dir.path(), &words));
    let path = dir.path().join("result.json");
    let has_point = || report::json::load(&path).ok().filter(|result| !result.points.is_empty());
    let before = wait_for(has_point);
    assert!(before.partial, "there is more to come");
    let pid = run.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(run.end().status.code(), Some(1));
    let result = result_in(dir.path());
    assert_eq!((result.partial, result.cut), (true, Some(Part::Curve)));
    assert!((1..6).contains(&result.points.len()), "{}", result.points.len());
    assert!(result.headline.operations > 0);
    let page = fs::read_to_string(dir.path().join("report.md")).unwrap();
    assert!(page.contains("the curve was cut short after "), "{page}");
}

#[test]
fn loads_are_found_by_themselves_for_servers_of_our_own() {
    let dir = TempDir::new().unwrap();
    let words = ["--servers", "2", "--rates", "auto/2", "--repeat", "1", "--curve-time", "5s"];
    let output =
        kv_bench(&words).args(["--keys", "100", "--out"]).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result_in(dir.path());
    let found = result.open_curve.clone().unwrap();
    let parts: Vec<f64> =
        found.loads_ops_s.iter().map(|load| load / found.closed_loop_ops_s).collect();
    assert!((parts[0] - 0.6).abs() < 0.01 && (parts[1] - 1.2).abs() < 0.01, "{parts:?}");
    assert_eq!((result.points.len(), result.servers.len(), found.knee), (2, 2, None));
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("no knee found: p99 does not climb to 3 times"), "{shown}");
    assert!(result.points.iter().all(|point| point.servers == 2));
}
