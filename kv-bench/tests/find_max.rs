//! The search for the highest rate that keeps an objective, on queues whose answer is known.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[allow(dead_code, reason = "one result is enough here")]
mod sample;

use kv_bench::find_max::{Ask, Decision, Probe, Search, Slice, estimate, falls_short, judge};
use kv_bench::objective::{Bound, Objective};
use kv_bench::report;
use kv_bench::result::{FindMax, ProbeOutcome, ProbeRecord, RunResult, SearchLimit, SearchPass};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

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

/// The search that two minutes have time for.
fn search(server: Server, seed: u64) -> Search {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut search = Search::new(objectives("p99=1ms"), (100.0, 100_000.0), 5_000.0);
    for _ in 0..48 {
        let Ask::Probe(rate) = search.next() else { return search };
        search.add(probe(server, rate, 1e-3, &mut random));
    }
    search
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
    let servers: [(_, Server, _, _); 3] = [
        ("constant", constant, 0.03, 1.2),
        ("step", step, 0.03, 1.1),
        ("memoryless", memoryless, 0.05, 1.4),
    ];
    for (name, server, off_max, width_max) in servers {
        let truth = truth(server);
        let mut held = 0;
        for seed in 1..=10 {
            let estimate = search(server, seed).finding().estimate.unwrap();
            let rate_ops_s = estimate.rate_ops_s;
            let (low_ops_s, high_ops_s) = estimate.interval_ops_s.unwrap();
            let off = (rate_ops_s / truth - 1.0).abs();
            assert!(off <= off_max, "{name}: {rate_ops_s}, and not {truth}");
            println!(
                "{name}: {rate_ops_s:.0}, {low_ops_s:.0} to {high_ops_s:.0}, truly {truth:.0}"
            );
            assert!(high_ops_s / low_ops_s < width_max, "{name}: {low_ops_s} to {high_ops_s}");
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
/// `KV_PROBES` lengthens the table, which is in `results/find-max.md`.
#[test]
fn a_probe_at_the_crossing_seldom_decides() {
    let count = std::env::var("KV_PROBES").ok().and_then(|text| text.parse().ok());
    let count: usize = count.unwrap_or(0).max(400);
    println!("| server | ops/s | kept | missed | of |");
    println!("|---|---:|---:|---:|---:|");
    let servers: [(_, Server, _); 3] = [
        ("constant", constant, 7_700.0),
        ("memoryless", memoryless, 5_400.0),
        ("stalling", stalling, 2_000.0),
    ];
    for (name, server, rate) in servers {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let probes: Vec<Probe> =
            (0..count).map(|_| probe(server, rate, 1e-3, &mut random)).collect();
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
        println!("| {name} | {rate} | {kept} | {missed} | {count} |");
        // With this seed, always the same; by chance alone 5 % to within 2.2 %.
        let told = format!("{name}: {kept} kept and {missed} missed of {count}");
        assert!((kept + missed) * 100 <= count * 7, "{told}");
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
    assert_eq!(rates, [5000.0, 2500.0, 1250.0, 625.0, 313.0, 157.0, 100.0, 100.0]);
    assert_eq!((search.finding().kept_ops_s, search.finding().estimate), (None, None));
    // What is never decided is neither, and asked three times at each rate.
    let (rates, end, _) = asked(|rate| told(rate, 100, 1));
    assert_eq!(end, Ask::UndecidedAtLowest);
    assert_eq!(rates[..4], [5000.0, 5000.0, 5000.0, 2500.0]);
}

/// Where 5,000 ops/s missed and the lowest rate was never decided, the end was "missed at the lowest", and
/// the exit code 3.
#[test]
fn a_lowest_rate_that_is_not_decided_is_not_missed() {
    let beyond = |rate: f64| if rate > 1_000.0 { 5_000 } else { 100 };
    let (_, end, search) = asked(|rate| told(rate, 10_000, beyond(rate)));
    assert_eq!(end, Ask::UndecidedAtLowest);
    assert!(search.finding().missed_ops_s > Some(1_000.0), "{:?}", search.finding());
}

#[test]
fn a_highest_rate_that_is_not_decided_is_asked_three_times_and_no_more() {
    let beyond = |rate: f64| if rate < 100_000.0 { 0 } else { 100 };
    let (rates, end, search) = asked(|rate| told(rate, 10_000, beyond(rate)));
    assert_eq!(end, Ask::UndecidedAtHighest);
    assert_eq!(rates.iter().filter(|&&rate| rate > 99_999.0).count(), 3, "{rates:?}");
    assert!(search.finding().kept_ops_s > Some(50_000.0));
}

/// A single probe in a bad, or good, moment ended a search at the lowest, or highest, rate.
#[test]
fn an_end_is_reached_by_no_single_probe() {
    for (first, others, end) in [(9_000, 0, Ask::KeptAtHighest), (0, 9_000, Ask::MissedAtLowest)] {
        let (between, start) = ((1_000.0, 1_001.0), 1_000.0);
        let mut search = Search::new(objectives("p99=1ms"), between, start);
        let mut told_at = [0, 0];
        let ended = loop {
            let Ask::Probe(rate) = search.next() else { break search.next() };
            let count = &mut told_at[usize::from(rate > start)];
            *count += 1;
            assert!(*count <= 3, "{rate} is asked for ever");
            let is_hiccup = *count == 1 && (rate > start) == (end == Ask::KeptAtHighest);
            search.add(told(rate, 10_000, if is_hiccup { first } else { others }));
        };
        assert_ne!(ended, end, "{told_at:?}");
    }
}

/// At rates of some operations per second the middle of two rates is one of them, which was asked again and
/// again.
#[test]
fn the_lowest_rates_are_searched_as_well() {
    for most in 2..40_u32 {
        let mut search = Search::new(objectives("p50=1s"), (1.0, 1_000.0), 20.0);
        for _ in 0..40 {
            let Ask::Probe(rate) = search.next() else { panic!("{most}: {:?}", search.next()) };
            let beyond = if rate <= f64::from(most) { 0 } else { 9_000 };
            search.add(told(rate, 10_000, beyond));
        }
        let rate = search.finding().estimate.unwrap().rate_ops_s;
        let most = f64::from(most);
        assert!((most..=most + 1.0).contains(&rate), "{rate}, and not {most}");
    }
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
    let beyond = |rate: f64| if rate < 6_000.0 { 0 } else { 9_000 };
    let (rates, _, search) = asked(|rate| told(rate, 10_000, beyond(rate)));
    // The ends of the bracket are asked twice, and then it goes to the passes.
    assert_eq!(rates[..5], [5000.0, 7500.0, 6124.0, 6124.0, 5000.0], "{rates:?}");
    let estimate = search.finding().estimate.unwrap();
    assert!((estimate.rate_ops_s / 6_000.0 - 1.0).abs() < 0.01, "{estimate:?}");
    for pass in search.passes() {
        assert!((pass.rate_ops_s / 6_000.0 - 1.0).abs() <= 0.011, "{pass:?}");
        assert!((3..=5).contains(&pass.probes), "{pass:?}");
    }
}

#[test]
fn between_a_rate_that_is_kept_and_one_that_is_missed_nothing_is_repeated() {
    let beyond = |rate: f64| match rate {
        ..=5_000.0 => 0,
        7_000.0.. => 9_000,
        _ => 100,
    };
    let (rates, _, search) = asked(|rate| told(rate, 10_000, beyond(rate)));
    assert_eq!(rates[..5], [5000.0, 7500.0, 6124.0, 7500.0, 5000.0], "{rates:?}");
    assert!(!search.passes().is_empty());
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
    assert!((estimate.rate_ops_s / 4_000.0 - 1.0).abs() < 0.02, "{estimate:?}");
}

/// A pass that remembered what was decided before would stay where that was.
#[test]
fn a_pass_finds_what_can_be_done_now_whatever_was_decided_before() {
    let mut search = Search::new(objectives("p99=1ms"), (100.0, 100_000.0), 5_000.0);
    let mut most_of_passes = Vec::new();
    while search.passes().len() < 6 {
        let Ask::Probe(rate) = search.next() else { panic!("{:?}", search.next()) };
        let number = search.pass().unwrap_or(0);
        let most = 6_000.0 * 1.1_f64.powi(number as i32);
        if most_of_passes.len() == number {
            most_of_passes.push(most);
        }
        search.add(told(rate, 10_000, if rate <= most { 0 } else { 9_000 }));
    }
    for (pass, most) in search.passes().iter().zip(most_of_passes) {
        assert!((pass.rate_ops_s / most - 1.0).abs() <= 0.011, "{pass:?} of {most}");
    }
    assert!(search.finding().estimate.unwrap().drifted);
}

#[test]
fn what_passes_found_tells_what_another_will() {
    assert_eq!(estimate(&[]), None);
    let few = estimate(&[1_000.0, 1_100.0]).unwrap();
    assert_eq!(few.interval_ops_s, None, "two tell nothing of how they scatter");
    assert!((few.rate_ops_s - 1_048.8).abs() < 0.1, "{few:?}");
    // By Python: exp(mean ± 2.7764451 * sqrt(var(ddof=1) + 0.02**2 / 12) * sqrt(1 + 1 / 5)) of the logs.
    let five = estimate(&[970.0, 1_030.0, 1_000.0, 1_060.0, 940.0]).unwrap();
    let (low, high) = five.interval_ops_s.unwrap();
    assert!((low - 863.8).abs() < 1.0 && (high - 1155.6).abs() < 1.0, "{low} to {high}");
    assert!(!five.drifted);
    // Passes that agree are still no finer than their resolution.
    let (low, high) = estimate(&[1_000.0; 5]).unwrap().interval_ops_s.unwrap();
    assert!(low < 990.0 && high > 1_010.0, "{low} to {high}");
    // What rises all the while goes on to do so, or not.
    let risen = [940.0, 970.0, 1_000.0, 1_060.0, 1_030.0];
    assert!(estimate(&risen).unwrap().drifted);
    assert!(!estimate(&risen[..4]).unwrap().drifted, "four are an order by chance");
}

/// A stall of 15 ms at the very end of a probe of one second, 750 operations of the second half, was a rate
/// that is not kept up.
#[test]
fn one_stall_at_the_end_is_no_pile() {
    let due = 5_000;
    let stalled = [&[due; 9][..], &[due - 750]].concat();
    assert!(!falls_short(&stalled, due as f64));
    assert!(falls_short(&[due - 200; 10], due as f64));
    // It began in the second half, or is as small as chance.
    assert!(!falls_short(&[&[due; 8][..], &[due - 750; 2]].concat(), due as f64));
    assert!(!falls_short(&[due - 60; 10], due as f64));
    assert!(!falls_short(&[due; 10], due as f64) && !falls_short(&[], due as f64));
}

/// What a search found, of whose ten probes so many were disturbed.
fn found(disturbed: usize) -> FindMax {
    let probe = |number| ProbeRecord {
        rate_asked_ops_s: 1000.0,
        outcome: ProbeOutcome::Kept,
        beyond_shares: vec![0.0],
        shortfall: false,
        disturbed: number < disturbed,
        pass: Some(1),
    };
    let pass = SearchPass { rate_ops_s: 1000.0, probes: 3, fresh_servers: true };
    FindMax {
        objectives: vec!["p99=1ms".to_owned()],
        rate_ops_s: Some(1000.0),
        low_ops_s: Some(990.0),
        high_ops_s: Some(1010.0),
        passes: vec![pass; 3],
        drifted: false,
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
    let promise =
        "95 % of searches under the same conditions would find 990 to 1,010, by how 3 passes";
    let doubt =
        "this search puts it at 990 to 1,010, but others used the cores in 2 of its 10 probes";
    assert!(told(1).contains(promise) && !told(1).contains("others used"), "{}", told(1));
    assert!(told(2).contains(doubt) && !told(2).contains("95 % of searches"), "{}", told(2));
}

/// What is said of a search that found this.
fn said(find_max: FindMax) -> String {
    report::text::summary(&RunResult { find_max: Some(find_max), ..sample::result() })
}

#[test]
fn a_search_says_what_it_knows_and_no_more() {
    let probe = |rate_asked_ops_s, outcome| ProbeRecord {
        rate_asked_ops_s,
        outcome,
        ..found(0).probes[0].clone()
    };
    let none = || FindMax { rate_ops_s: None, low_ops_s: None, high_ops_s: None, ..found(0) };
    let drifted = said(FindMax { drifted: true, ..found(0) });
    assert!(drifted.contains("puts it at 990 to 1,010, but what can be done drifted"), "{drifted}");
    let passes = found(0).passes[..1].to_vec();
    let few = said(FindMax { passes, low_ops_s: None, high_ops_s: None, ..found(0) });
    assert!(
        few.contains("1,000 ops/s is the highest rate that keeps p99=1ms; one pass is too few"),
        "{few}"
    );
    let bracket = said(none());
    assert!(
        bracket.contains("between 995 ops/s, which do, and 1,005 ops/s, which do not"),
        "{bracket}"
    );
    // 2,000 were missed and 1,000 too near to call: it was said that 1,000 "do not".
    let probes = vec![probe(2000.0, ProbeOutcome::Missed), probe(1000.0, ProbeOutcome::Undecided)];
    let (kept_ops_s, missed_ops_s) = (None, Some(2000.0));
    let undecided = said(FindMax { probes: probes.clone(), kept_ops_s, missed_ops_s, ..none() });
    assert!(
        undecided.contains("1,000 ops/s, the lowest that was probed, could not be decided"),
        "{undecided}"
    );
    let missed = said(FindMax { probes, kept_ops_s, missed_ops_s: Some(1000.0), ..none() });
    assert!(missed.contains("1,000 ops/s, the lowest that was probed, do not"), "{missed}");
    let probes = vec![probe(1000.0, ProbeOutcome::Kept), probe(2000.0, ProbeOutcome::Undecided)];
    let highest = FindMax { probes, kept_ops_s: Some(1000.0), missed_ops_s: None, ..none() };
    let highest = said(highest);
    assert!(highest.contains("misses it: 2,000 ops/s could not be decided"), "{highest}");
}

/// "Limited by the objective" was said of every search that neither errors nor the generator limited.
#[test]
fn a_search_says_what_limited_it() {
    for (limit, text) in [
        (SearchLimit::Objective, "limited by the servers, which answered too late"),
        (SearchLimit::Server, "limited by the servers, which had no CPU time to spare"),
        (SearchLimit::Generator, "limited by the generator"),
        (SearchLimit::Clients, "for which operations waited: give more --clients"),
        (SearchLimit::Errors, "limited by errors"),
    ] {
        let said = said(FindMax { limited_by: Some(limit), ..found(0) });
        assert!(said.contains(text), "{said}");
    }
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

/// A second probe with none late, after one with more than half, was "missed" with 95 % confidence.
#[test]
fn probes_that_contradict_each_other_decide_nothing() {
    let (missed, kept) = (told(1000.0, 7_500, 4_186), told(1000.0, 7_500, 0));
    let decide = |probes: &[Probe]| judge(&objectives("p99=1ms"), probes);
    assert_eq!(decide(std::slice::from_ref(&missed)), Decision::Missed(Some(0)));
    assert_eq!(decide(&[missed, kept]), Decision::Undecided);
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
