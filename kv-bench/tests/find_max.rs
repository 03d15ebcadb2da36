//! The search for the highest rate that keeps an objective, on queues whose answer is known.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;
#[allow(dead_code, reason = "one result is enough here")]
mod sample;

use std::fs;

use kv_bench::find_max::{Ask, Decision, Estimate, Probe, Search, Slice, estimate, judge};
use kv_bench::objective::{Bound, Objective};
use kv_bench::report;
use kv_bench::result::{FindMax, ProbeOutcome, ProbeRecord, RunResult};
use program::{kv_bench, stderr, wait_for};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

const PROBE_S: f64 = 2.5;
const SLICE_S: f64 = 0.1;

/// How long operations take that are due at random at a rate, one after the other: when each is due,
/// and its response time, in seconds.
type Server = fn(f64, &mut Xoshiro256PlusPlus) -> Vec<(f64, f64)>;

fn exponential(random: &mut Xoshiro256PlusPlus, mean: f64) -> f64 {
    let below_one = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    -(-below_one).ln_1p() * mean
}

/// One server, first come, first served: Lindley's recursion.
fn queue(
    rate: f64,
    random: &mut Xoshiro256PlusPlus,
    mut service: impl FnMut(&mut Xoshiro256PlusPlus) -> f64,
) -> Vec<(f64, f64)> {
    let (mut due, mut free) = (0.0, 0.0_f64);
    let mut all = Vec::new();
    loop {
        due += exponential(random, 1.0 / rate);
        if due >= PROBE_S {
            return all;
        }
        free = free.max(due) + service(random);
        all.push((due, free - due));
    }
}

/// Every operation takes 100 µs.
fn constant(rate: f64, random: &mut Xoshiro256PlusPlus) -> Vec<(f64, f64)> {
    queue(rate, random, |_| 1e-4)
}

/// Operations take 100 µs on average, at random.
fn memoryless(rate: f64, random: &mut Xoshiro256PlusPlus) -> Vec<(f64, f64)> {
    queue(rate, random, |random| exponential(random, 1e-4))
}

/// Up to 7,000 operations per second are answered at once, more take 5 ms.
fn step(rate: f64, random: &mut Xoshiro256PlusPlus) -> Vec<(f64, f64)> {
    let response_s = if rate <= 7_000.0 { 1e-4 } else { 5e-3 };
    queue(rate, random, |_| 0.0).into_iter().map(|(due, _)| (due, response_s)).collect()
}

fn objectives(text: &str) -> Vec<Objective> {
    Objective::parse_all(&[text.to_owned()]).unwrap()
}

fn probe(server: Server, rate: f64, limit_s: f64, random: &mut Xoshiro256PlusPlus) -> Probe {
    let mut slices = vec![Slice { operations: 0, beyond: vec![0] }; (PROBE_S / SLICE_S) as usize];
    let mut late = 0.0;
    let all = server(rate, random);
    for &(due, response) in &all {
        let slice = ((due + response) / SLICE_S) as usize;
        late += f64::from(u8::from(due + response > PROBE_S + limit_s));
        if let Some(slice) = slices.get_mut(slice) {
            slice.operations += 1;
            slice.beyond[0] += u64::from(response > limit_s);
        }
    }
    Probe { rate_ops_s: rate, slices, shortfall: late > 0.01 * all.len() as f64 }
}

/// The search that a minute has time for.
fn search(server: Server, seed: u64) -> (Search, usize) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut search = Search::new(objectives("p99=1ms"), (100.0, 100_000.0), 5_000.0);
    for count in 0..20 {
        let Ask::Probe(rate) = search.next() else { return (search, count) };
        search.add(probe(server, rate, 1e-3, &mut random));
    }
    (search, 20)
}

/// The rate at which one operation in a hundred takes longer than 1 ms, from as many as it takes.
fn truth(server: Server) -> f64 {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(99);
    let (mut low, mut high) = (1_000.0_f64, 10_000.0_f64);
    for _ in 0..14 {
        let middle = f64::midpoint(low, high);
        let (mut operations, mut beyond) = (0, 0);
        for _ in 0..40 {
            for slice in probe(server, middle, 1e-3, &mut random).slices {
                operations += slice.operations;
                beyond += slice.beyond[0];
            }
        }
        if beyond * 100 > operations { high = middle } else { low = middle }
    }
    low
}

#[test]
fn ten_searches_agree_within_three_percent_and_their_intervals_hold_the_truth() {
    // Of the last, a search has seen some twenty bursts that go beyond the objective.
    let servers: [(_, Server, _); 3] =
        [("constant", constant, 0.03), ("step", step, 0.03), ("memoryless", memoryless, 0.05)];
    for (name, server, off_max) in servers {
        let truth = truth(server);
        let mut held = 0;
        for seed in 1..=10 {
            let (search, _) = search(server, seed);
            let Estimate { rate_ops_s, low_ops_s, high_ops_s } = search.finding().estimate.unwrap();
            let off = (rate_ops_s / truth - 1.0).abs();
            assert!(off <= off_max, "{name}: {rate_ops_s}, and not {truth}");
            assert!(high_ops_s / low_ops_s < 1.15, "{name}: {low_ops_s} to {high_ops_s}");
            held += u32::from((low_ops_s..=high_ops_s).contains(&truth));
        }
        assert!(held >= 9, "{name}: {held} of 10 intervals hold {truth}");
    }
}

/// Every operation takes 100 µs, but now and then the server stands still for 3 ms.
fn stalling(rate: f64, random: &mut Xoshiro256PlusPlus) -> Vec<(f64, f64)> {
    let mut untold = exponential(random, 0.02);
    queue(rate, random, |random| {
        untold -= 1e-4;
        let stall = if untold < 0.0 { exponential(random, 3e-3) } else { 0.0 };
        untold = if untold < 0.0 { exponential(random, 0.02) } else { untold };
        1e-4 + stall
    })
}

/// Where as many operations are beyond an objective as may be, any decision is an error, and one probe in
/// twenty may make it. With the normal's 1.96 and slices of half a second it was 14 of a hundred and more.
#[test]
fn a_probe_at_the_crossing_seldom_decides() {
    let servers: [(_, Server, _); 3] = [
        ("constant", constant, 7_700.0),
        ("memoryless", memoryless, 5_400.0),
        ("stalling", stalling, 2_000.0),
    ];
    for (name, server, rate) in servers {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let probes: Vec<Probe> = (0..400).map(|_| probe(server, rate, 1e-3, &mut random)).collect();
        let sum =
            |of: fn(&Slice) -> u64| probes.iter().flat_map(|p| &p.slices).map(of).sum::<u64>();
        let share = sum(|slice| slice.beyond[0]) as f64 / sum(|slice| slice.operations) as f64;
        let objectives = objectives(&format!("p{:.4}=1ms", 100.0 * (1.0 - share)));
        let of = |wanted: fn(Decision) -> bool| {
            let decisions =
                probes.iter().map(|probe| judge(&objectives, std::slice::from_ref(probe)));
            decisions.filter(|&decision| wanted(decision)).count()
        };
        let kept = of(|decision| decision == Decision::Kept);
        let missed = of(|decision| matches!(decision, Decision::Missed(_)));
        println!("{name}, {share:.4} at {rate}: {kept} kept and {missed} missed of 400");
        // With this seed, always the same; by chance alone 5 % to within 2.2 %.
        assert!(kept + missed <= 28, "{name}: {kept} kept and {missed} missed of 400");
    }
}

/// A search on a server of which each probe tells the same: what it asked, and how it ended.
fn asked(mut tells: impl FnMut(f64) -> Probe) -> (Vec<f64>, Ask, Search) {
    let mut search = Search::new(objectives("p99=1ms"), (100.0, 100_000.0), 5_000.0);
    let mut rates = Vec::new();
    loop {
        match search.next() {
            Ask::Probe(rate) if rates.len() < 100 => {
                rates.push(rate);
                search.add(tells(rate));
            }
            end => return (rates, end, search),
        }
    }
}

fn told(rate_ops_s: f64, operations: u64, beyond: u64) -> Probe {
    let slices = vec![Slice { operations, beyond: vec![beyond] }; 20];
    Probe { rate_ops_s, slices, shortfall: false }
}

#[test]
fn an_objective_that_no_rate_keeps_is_missed_at_the_lowest() {
    let (rates, end, search) = asked(|rate| told(rate, 10_000, 5_000));
    assert_eq!(end, Ask::MissedAtLowest);
    assert_eq!(rates, [5000.0, 2500.0, 1250.0, 625.0, 313.0, 157.0, 100.0]);
    assert_eq!((search.finding().kept_ops_s, search.finding().estimate), (None, None));
    // What is never decided is neither, and asked three times at each rate.
    let (rates, end, _) = asked(|rate| told(rate, 100, 1));
    assert_eq!(end, Ask::UndecidedAtLowest);
    assert_eq!(rates[..4], [5000.0, 5000.0, 5000.0, 2500.0]);
}

#[test]
fn an_objective_that_every_rate_keeps_is_kept_at_the_highest() {
    let (rates, end, search) = asked(|rate| told(rate, 10_000, 0));
    assert_eq!(end, Ask::KeptAtHighest);
    assert_eq!(rates[..3], [5000.0, 7500.0, 11_250.0]);
    assert_eq!(rates.last(), Some(&100_000.0));
    assert_eq!(search.finding().kept_ops_s, Some(100_000.0));
}

#[test]
fn only_what_is_undecided_is_repeated() {
    let (rates, end, search) = asked(|rate| {
        let beyond = if rate < 6_000.0 { 0 } else { 9_000 };
        told(rate, 10_000, beyond)
    });
    assert_eq!(end, Ask::Found);
    let bisected = rates.iter().take_while(|&&rate| !(5_990.0..6_300.0).contains(&rate));
    let bisected: Vec<f64> = bisected.copied().collect();
    assert!(bisected.windows(2).all(|pair| (pair[0] - pair[1]).abs() > 1.0), "{bisected:?}");
    let estimate = search.finding().estimate.unwrap();
    assert!((estimate.rate_ops_s / 6_000.0 - 1.0).abs() < 0.02, "{estimate:?}");
}

/// At first up to 5,000 operations per second are answered in time, and from the second probe on 4,000.
#[test]
fn a_rate_that_was_kept_once_is_not_trusted_for_ever() {
    let mut count = 0;
    let (rates, _, search) = asked(|rate| {
        count += 1;
        let most = if count == 1 { 5_000.0 } else { 4_000.0 };
        told(rate, 10_000, if rate <= most { 0 } else { 9_000 })
    });
    assert!(rates[1..].iter().any(|&rate| rate < 4_000.0), "{rates:?}");
    let estimate = search.finding().estimate.unwrap();
    assert!(estimate.low_ops_s <= 4_100.0 && estimate.high_ops_s >= 5_000.0, "{estimate:?}");
}

#[test]
fn an_interval_holds_the_rates_at_which_probes_contradict_each_other() {
    let objectives = objectives("p99=1ms");
    let kept = |rate| told(rate, 10_000, 0);
    let missed = |rate| told(rate, 10_000, 9_000);
    let agreed: Vec<Probe> =
        [5_000.0, 5_500.0].map(kept).into_iter().chain([missed(5_600.0)]).collect();
    let narrow = estimate(&objectives, &agreed).unwrap();
    assert!(narrow.low_ops_s > 5_000.0 && narrow.high_ops_s < 5_700.0, "{narrow:?}");
    let contradicted: Vec<Probe> =
        agreed.into_iter().chain([missed(4_800.0), kept(6_200.0)]).collect();
    let wide = estimate(&objectives, &contradicted).unwrap();
    assert!(wide.low_ops_s <= 4_800.0 && wide.high_ops_s >= 6_200.0, "{wide:?}");
}

/// What a search found, of whose ten probes so many were disturbed.
fn found(disturbed: usize) -> FindMax {
    let probe = |number| ProbeRecord {
        rate_asked_ops_s: 1000.0,
        outcome: ProbeOutcome::Kept,
        beyond_shares: vec![0.0],
        shortfall: false,
        disturbed: number < disturbed,
    };
    FindMax {
        objectives: vec!["p99=1ms".to_owned()],
        rate_ops_s: Some(1000.0),
        low_ops_s: Some(990.0),
        high_ops_s: Some(1010.0),
        kept_ops_s: Some(995.0),
        missed_ops_s: Some(1005.0),
        limited_by: None,
        lowest_ops_s: 10.0,
        highest_ops_s: 10_000.0,
        closed_loop_ops_s: 1000.0,
        time_s: 60.0,
        probes: (0..10).map(probe).collect(),
    }
}

#[test]
fn nothing_is_promised_of_other_searches_where_others_used_the_cores() {
    let told = |disturbed| {
        let find_max = Some(found(disturbed));
        report::text::summary(&RunResult { find_max, ..sample::result() })
    };
    let promise = "95 % of searches under the same conditions would find 990 to 1,010";
    let doubt =
        "this search puts it at 990 to 1,010, but others used the cores in 2 of its 10 probes";
    assert!(told(1).contains(promise) && !told(1).contains("others used"), "{}", told(1));
    assert!(told(2).contains(doubt) && !told(2).contains("95 % of searches"), "{}", told(2));
}

#[test]
fn a_rate_that_is_not_kept_up_is_missed_whatever_its_response_times() {
    let short = Probe { shortfall: true, ..told(1000.0, 10_000, 0) };
    let kept = told(1000.0, 10_000, 0);
    let decide = |probes: &[Probe]| judge(&objectives("p99=1ms"), probes);
    assert_eq!(decide(std::slice::from_ref(&short)), Decision::Missed(None));
    assert_eq!(decide(std::slice::from_ref(&kept)), Decision::Kept);
    assert_eq!(decide(&[short.clone(), kept.clone()]), Decision::Undecided);
    assert_eq!(decide(&[short, kept.clone(), kept]), Decision::Undecided);
}

#[test]
fn a_probe_decides_only_with_confidence() {
    let decide =
        |operations, beyond| judge(&objectives("p99=1ms"), &[told(1e3, operations, beyond)]);
    // Of 763 operations none beyond it is just enough for 1 %: 99 times the square of Student's t with
    // four degrees of freedom, 2.776, those of five groups of slices.
    assert_eq!(decide(38, 0), Decision::Undecided);
    assert_eq!(decide(39, 0), Decision::Kept);
    assert_eq!(decide(10_000, 100), Decision::Undecided);
    assert_eq!(decide(10_000, 120), Decision::Missed(Some(0)));
    assert_eq!(decide(10_000, 80), Decision::Kept);
    let of = |beyond: [u64; 20]| {
        let slices = beyond.map(|beyond| Slice { operations: 10_000, beyond: vec![beyond] });
        let probe = Probe { rate_ops_s: 1e3, slices: slices.to_vec(), shortfall: false };
        judge(&objectives("p99=1ms"), &[probe])
    };
    // The same numbers in one burst are worth less, …
    let at =
        |at: &[usize], beyond| std::array::from_fn(|n| if at.contains(&n) { beyond } else { 0 });
    assert_eq!(of([120; 20]), Decision::Missed(Some(0)));
    assert_eq!(of(at(&[7], 2400)), Decision::Undecided);
    // … and so are those of neighbours: of slices alone these would be enough.
    assert_eq!(of(at(&[0, 4, 8, 12, 16], 100)), Decision::Kept);
    assert_eq!(of(at(&[0, 1, 2, 3, 4], 100)), Decision::Undecided);
    // A few slices tell nothing of how they scatter.
    let few = Probe { slices: told(1e3, 10_000, 0).slices[..7].to_vec(), ..told(1e3, 0, 0) };
    assert_eq!(judge(&objectives("p99=1ms"), &[few]), Decision::Undecided);
    // Further objectives are kept too, or not.
    let both = objectives("p99=1ms,errors=0.1%");
    let slices = vec![Slice { operations: 10_000, beyond: vec![0, 50] }; 20];
    let probe = Probe { rate_ops_s: 1e3, slices, shortfall: false };
    assert_eq!(judge(&both, &[probe]), Decision::Missed(Some(1)));
}

#[test]
fn objectives_are_percentiles_of_response_times_or_a_share_of_errors() {
    let [p99, p9995, errors] = &objectives("p99=1ms, P99.95=2.5ms,errors=0.1%")[..] else {
        panic!("three");
    };
    assert_eq!((p99.allowed, p99.bound), (0.01, Bound::ResponseNs(1_000_000)));
    assert_eq!((p9995.allowed, p9995.bound), (0.0005, Bound::ResponseNs(2_500_000)));
    assert_eq!((errors.allowed, errors.bound), (0.001, Bound::Success));
    assert_eq!(errors.to_string(), "errors=0.1%");
}

#[test]
fn searches_that_make_no_sense_are_refused_in_one_line() {
    let slo = ["--slo", "p99=1ms"];
    let cases: &[(&[&str], &str)] = &[
        (&[], "--slo"),
        (&["--slo", "fast"], "--slo fast: 'fast' is no objective (such as --slo p99=1ms"),
        (&["--slo", "p99=soon"], "'soon' is not a duration"),
        (&["--slo", "p100=1ms"], "'p100' is not between p0.0001 and p99.9999"),
        (&["--slo", "p0=1ms"], "'p0' is not between"),
        (&["--slo", "p101=1ms"], "'p101' is not between p0.0001 and p99.9999"),
        (&["--slo", "p99=1"], "'p99=1' has no unit: write p99=1ms, or us or s"),
        (&["--slo", "p99=0"], "'0' is not between 1us and 60s"),
        (&["--slo", "p99=-1ms"], "'-1ms' is not a duration"),
        (&["--slo", "p99=1ms,"], "'' is no objective"),
        (&["--slo", "p99=0s"], "'0s' is not between 1us and 60s"),
        (&["--slo", "p99=1ms", "--slo", "P99=1ms"], "'p99=1ms' and 'P99=1ms' are the same twice"),
        (&["--slo", "errors=1%,errors=2%"], "are the same twice"),
        (&["--slo", "errors=0"], "'0' is no share of operations"),
        (&["--slo", "p99=2m"], "'2m' is not between 1us and 60s"),
        (&["--slo", "errors=200%"], "'200%' is no share of operations"),
        (&["--slo", "throughput=1k"], "'throughput' is neither a percentile"),
        (&["--slo", "p99=1ms,p99=2ms"], "'p99=1ms' and 'p99=2ms' are the same twice"),
        (&[slo[0], slo[1], "--time", "5s"], "--time 5s: must be at least 10s"),
        (&[slo[0], slo[1], "--time", "48h"], "must be at most 24h"),
        (
            &[slo[0], slo[1], "--rate", "10k"],
            "a search is between two rates (such as --rate 1k..50k)",
        ),
        (&[slo[0], slo[1], "--rate", "0..10k"], "a search is between two rates"),
        (&[slo[0], slo[1], "--rate", "fast"], "no number of ops/s"),
        (&[slo[0], slo[1], "--duration", "5s"], "it takes --time, and --rate LOW..HIGH"),
        (&[slo[0], slo[1], "--requests", "5"], "--requests 5: a search decides by itself"),
        (&[slo[0], slo[1], "--repeat", "5"], "--repeat 5: a search decides by itself"),
        (&[slo[0], slo[1], "--think-time", "5ms"], "a search decides by itself"),
        (&[slo[0], slo[1], "--mix", "delete"], "deletes alone use up their keys"),
        (&[slo[0], slo[1], "--arrivals", "bursts"], "unknown arrivals"),
    ];
    for (words, expected) in cases {
        let output = kv_bench(&["find-max"]).args(*words).output().unwrap();
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {message}");
        assert!(message.contains(expected), "{words:?}: {message}");
        assert_eq!(message.lines().count(), 1, "{words:?}: {message}");
    }
}

fn result_in(dir: &TempDir) -> RunResult {
    report::json::load(&dir.path().join("results/result.json")).unwrap()
}

fn search_in(dir: &TempDir, words: &[&str]) -> std::process::Command {
    let mut command = kv_bench(&["find-max", "--keys", "100", "--warmup", "50ms"]);
    command.args(words).arg("--out").arg(dir.path().join("results")).env("TMPDIR", dir.path());
    command
}

/// Between rates that any machine answers within a second, and one that none sends.
#[test]
fn a_search_leaves_its_probes_and_what_it_found() {
    let dir = TempDir::new().unwrap();
    let words = ["--slo", "p50=1s", "--slo", "errors=50%", "--rate", "50..90m", "--time", "10s"];
    let output = search_in(&dir, &words).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = result_in(&dir);
    let command = &result.scenario.command;
    assert!(
        command.starts_with("kv-bench find-max --keys 100 --warmup 50ms --slo p50=1s"),
        "{command}"
    );
    let found: FindMax = result.find_max.clone().unwrap();
    assert_eq!(found.objectives, ["p50=1s", "errors=50%"]);
    assert!(shown.contains("the highest rate that keeps p50=1s and errors=50%, in 10 s of probes"));
    assert!(shown.contains("in a closed loop as many clients get "), "{shown}");
    assert!(shown.contains("probe 1: "), "{shown}");
    assert_eq!(found.probes.len(), result.points.len());
    assert!(!found.probes.is_empty());
    for (probe, point) in found.probes.iter().zip(&result.points) {
        assert_eq!(Some(probe.rate_asked_ops_s), point.rate_asked_ops_s);
        assert_eq!(probe.beyond_shares.len(), 2);
    }
    let kept = found.probes.iter().filter(|probe| probe.outcome == ProbeOutcome::Kept);
    let highest = kept.map(|probe| probe.rate_asked_ops_s).max_by(f64::total_cmp);
    assert!(highest.is_some(), "so loose an objective is kept at some rate: {shown}");
    assert_eq!(found.kept_ops_s, highest);
    let headline = result.headline.rate_asked_ops_s.unwrap();
    assert!(found.probes.iter().any(|probe| probe.outcome == ProbeOutcome::Kept
        && (probe.rate_asked_ops_s - headline).abs() < 1e-6));
    let table = fs::read_to_string(dir.path().join("results/points.csv")).unwrap();
    assert_eq!(table.lines().count(), result.points.len() + 1);
    let page = fs::read_to_string(dir.path().join("results/report.md")).unwrap();
    assert!(page.contains("## Search"), "{page}");
}

#[test]
fn an_objective_that_is_missed_at_the_lowest_rate_is_exit_code_3() {
    let dir = TempDir::new().unwrap();
    // No server answers within a microsecond.
    let words = ["--slo", "p50=1us", "--rate", "1k..2k", "--time", "10s"];
    let output = search_in(&dir, &words).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{shown}{}", stderr(&output));
    assert!(shown.contains("no rate was found that keeps p50=1us: 1,000 ops/s"), "{shown}");
    let found = result_in(&dir).find_max.unwrap();
    assert_eq!((found.kept_ops_s, found.rate_ops_s), (None, None));
    assert_eq!(found.missed_ops_s, Some(1000.0));
}

#[test]
fn a_search_that_is_interrupted_keeps_what_it_found() {
    let dir = TempDir::new().unwrap();
    let words = ["--slo", "p50=20ms", "--rate", "50..90m", "--time", "30s"];
    let mut run = search_in(&dir, &words).spawn().unwrap();
    let path = dir.path().join("results/result.json");
    let has_probe = || report::json::load(&path).ok().filter(|result| !result.points.is_empty());
    let before = wait_for(has_probe);
    assert!(before.partial, "there is more to come");
    let pid = run.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(1));
    let result = result_in(&dir);
    let found = result.find_max.unwrap();
    assert!(result.partial && !found.probes.is_empty());
    assert!(result.headline.operations > 0);
    let page = fs::read_to_string(dir.path().join("results/report.md")).unwrap();
    assert!(page.contains("the search was cut short"), "{page}");
}
