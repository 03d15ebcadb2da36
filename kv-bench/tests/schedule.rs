//! When operations of an open loop are due: the law of their arrivals, and rates as they are typed.

use std::sync::Arc;
use std::time::Duration;

use kv_bench::driver::Until;
use kv_bench::schedule::{Arrivals, Course, End, Plan, Process, Rate};
use proptest::prelude::*;

fn course(rate: &str, until: Until) -> Course {
    rate.parse::<Rate>().expect(rate).over(until).expect(rate)
}

/// The due times of each worker.
fn due_ns(rate: &str, process: Process, until: Until, workers: u64, seed: u64) -> Vec<Vec<u64>> {
    let plan = Plan { course: Arc::new(course(rate, until)), process, seed };
    let of = |worker| {
        let end = End::new(&plan, until, worker, workers);
        let mut arrivals = Arrivals::new(&plan, worker, workers, end);
        let mut due_ns = Vec::new();
        while let Some(next_ns) = arrivals.head() {
            // Made ahead of their need or not, they are the same.
            if due_ns.len() % 3 == 0 {
                arrivals.prepare();
            }
            arrivals.take();
            due_ns.push(next_ns);
        }
        due_ns
    };
    (0..workers).map(of).collect()
}

fn merged(workers: &[Vec<u64>]) -> Vec<u64> {
    let mut all: Vec<u64> = workers.concat();
    all.sort_unstable();
    all
}

fn seconds(seconds: f64) -> Until {
    Until::Elapsed(Duration::from_secs_f64(seconds))
}

/// Kolmogorov and Smirnov's distance between `gaps` and the exponential law of mean 1, over the
/// distance that one in a thousand true samples exceeds (1.95/√n).
fn distance_from_exponential(mut gaps: Vec<f64>) -> f64 {
    gaps.sort_by(f64::total_cmp);
    let n = gaps.len() as f64;
    let distance = gaps.iter().enumerate().map(|(index, gap)| {
        let law = 1.0 - (-gap).exp();
        (law - index as f64 / n).abs().max((law - (index + 1) as f64 / n).abs())
    });
    distance.fold(0.0, f64::max) * n.sqrt() / 1.95
}

fn gaps(points: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut last = 0.0;
    points.map(|point| point - std::mem::replace(&mut last, point)).collect()
}

#[test]
fn gaps_of_poisson_arrivals_are_exponential_for_each_worker_and_for_all_together() {
    let workers = due_ns("100k", Process::Poisson, seconds(2.0), 4, 7);
    let in_means = |due_ns: &[u64], mean_ns: f64| {
        distance_from_exponential(gaps(due_ns.iter().map(|&ns| ns as f64 / mean_ns)))
    };
    for worker in &workers {
        assert!(in_means(worker, 40_000.0) < 1.0);
    }
    let all = merged(&workers);
    assert!(in_means(&all, 10_000.0) < 1.0);
    // The test can tell: even gaps and a rate one per cent off are far away.
    let even: Vec<u64> = (1..=200_000).map(|number| number * 10_000).collect();
    assert!(in_means(&even, 10_000.0) > 10.0);
    assert!(in_means(&all, 10_150.0) > 1.0);
}

#[test]
fn gaps_of_poisson_arrivals_are_independent() {
    let all = merged(&due_ns("100k", Process::Poisson, seconds(2.0), 4, 7));
    let gaps = gaps(all.iter().map(|&ns| ns as f64 / 10_000.0));
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    let product = |lag: usize| {
        gaps.iter().zip(&gaps[lag..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>()
    };
    for lag in 1..=5 {
        // The standard error of a correlation is 1/√n: 0.0022 here.
        let correlation = product(lag) / product(0);
        assert!(correlation.abs() < 4.0 * 0.0023, "lag {lag}: {correlation}");
    }
}

#[test]
fn poisson_arrivals_follow_a_rate_that_changes() {
    for rate in ["1k..200k", "0..100k", "200k..0", "10k:500ms,0:500ms,50k..150k"] {
        let until = seconds(2.0);
        let course = course(rate, until);
        let all = merged(&due_ns(rate, Process::Poisson, until, 3, 11));
        // Counted in operations of the rate, and not in time, the gaps are exponential of mean 1.
        let points = all.iter().map(|&ns| course.operations_at(ns as f64));
        assert!(distance_from_exponential(gaps(points)) < 1.0, "{rate}");
        let (count, mean) = (all.len() as f64, course.operations());
        assert!((count - mean).abs() < 4.0 * mean.sqrt(), "{rate}: {count} of {mean}");
    }
}

#[test]
fn nothing_is_due_in_a_pause() {
    let pause = 500_000_000..1_000_000_000;
    for process in [Process::Poisson, Process::Constant] {
        let all = merged(&due_ns("10k:500ms,0:500ms,10k", process, seconds(1.5), 3, 1));
        assert!(!all.iter().any(|ns| pause.contains(ns)));
        assert!(all.iter().any(|&ns| ns < pause.start) && all.iter().any(|&ns| ns >= pause.end));
    }
}

#[test]
fn constant_arrivals_are_even_over_all_workers_and_exact_in_number() {
    for (rate, time_s, workers) in
        [("1k", 10.0, 1), ("10k", 1.0, 3), ("33333", 3.0, 7), ("7", 1.0, 32)]
    {
        let all = merged(&due_ns(rate, Process::Constant, seconds(time_s), workers, 1));
        let ops_s: f64 = rate.replace('k', "000").parse().expect("a number");
        assert_eq!(all.len(), (ops_s * time_s) as usize, "{rate}");
        for (number, &due_ns) in all.iter().enumerate() {
            assert!((number as f64 * 1e9 / ops_s - due_ns as f64).abs() < 2.0, "{rate}: {number}");
        }
    }
}

#[test]
fn a_ramp_sends_as_many_as_are_below_its_line() {
    let until = seconds(10.0);
    let all = merged(&due_ns("1k..9k", Process::Constant, until, 4, 1));
    assert_eq!(all.len(), 50_000);
    // Half of the time is at less than half of the rate: 1k·5 + 0.8k·25/2.
    assert_eq!(all.iter().filter(|&&ns| ns < 5_000_000_000).count(), 15_000);
    let steps = merged(&due_ns("1k:10s,5k:10s", Process::Constant, seconds(20.0), 2, 1));
    assert_eq!(steps.iter().filter(|&&ns| ns < 10_000_000_000).count(), 10_000);
    assert_eq!(steps.len(), 60_000);
}

#[test]
fn a_last_step_without_a_length_takes_what_the_others_leave() {
    for until in [seconds(12.0), Until::Operations(20_000)] {
        let operations = course("1k:10s,5k", until).operations();
        assert!((operations - 20_000.0).abs() < 1e-6, "{operations}");
    }
    // A ramp over the whole run, however its end is given.
    let by_time = course("1k..3k", seconds(10.0));
    let by_count = course("1k..3k", Until::Operations(20_000));
    assert!((by_time.operations_at(5e9) - by_count.operations_at(5e9)).abs() < 1e-6);
    assert!((by_time.mean_ops_s() - 2_000.0).abs() < 1e-9);
}

#[test]
fn the_same_seed_makes_the_same_times_and_another_others() {
    let of = |seed| due_ns("10k", Process::Poisson, seconds(1.0), 2, seed);
    assert_eq!(of(1), of(1));
    assert_ne!(of(1), of(2));
    let workers = of(1);
    assert_ne!(workers[0], workers[1]);
}

#[test]
fn a_rate_that_makes_no_sense_is_refused_with_one_that_does() {
    let cases = [
        ("", "'' is no number of ops/s"),
        ("fast", "'fast' is no number of ops/s"),
        ("-1", "'-1' is no number"),
        ("0", "nothing to do"),
        ("0..0", "nothing to do"),
        ("10k:1s,0", "nothing to do"),
        ("1.5", "'1.5' is no number"),
        ("101m", "above 100m"),
        ("1k..", "'' is no number"),
        ("..1k", "'' is no number"),
        ("1k...2k", "'.2k' is no number"),
        ("1k..2k..3k", "'2k..3k' is no number"),
        ("1k,2k", "'1k' has no length"),
        ("1k:10s,2k,3k", "'2k' has no length"),
        ("1k:soon", "'soon' is no length"),
        ("1k:0s", "shorter than 1ms"),
        ("1k:10s,", "'' is no number"),
    ];
    for (text, expected) in cases {
        let error = text.parse::<Rate>().expect_err(text).to_string();
        assert!(error.contains(expected) && error.contains("such as 10k"), "{text}: {error}");
    }
}

#[test]
fn a_rate_and_an_end_that_do_not_go_together_say_which_to_leave_out() {
    let refused = |rate: &str, until| {
        rate.parse::<Rate>().expect(rate).over(until).expect_err(rate).to_string()
    };
    for (rate, time_s) in [("1k:10s,5k:10s", 15.0), ("1k:10s,5k:10s", 25.0), ("1k:10s,5k", 10.0)] {
        let error = refused(rate, seconds(time_s));
        assert!(error.contains("leave out the length of the last step, or --duration"), "{error}");
    }
    assert!(refused("1k:10s", Until::Operations(10_000)).contains("or --requests"));
    assert!(refused("1k:10s,5k", Until::Operations(10_000)).contains("ask for more than 10000"));
    assert!(refused("5k..0", Until::Operations(100)).contains("it ends at 0"));
    assert!(refused("1", seconds(0.5)).contains("there is no operation in it"));
}

proptest! {
    #[test]
    fn exactly_the_asked_number_of_operations_becomes_due(
        count in 2u64..5_000, workers in 1u64..40, is_poisson: bool,
    ) {
        let process = if is_poisson { Process::Poisson } else { Process::Constant };
        // The first step of the last has one operation, and is refused to a run of no more.
        for rate in ["1k", "10..5k", "100:10ms,3k"] {
            let all = due_ns(rate, process, Until::Operations(count), workers, count);
            prop_assert_eq!(all.iter().map(Vec::len).sum::<usize>() as u64, count);
            prop_assert!(all.iter().all(|worker| worker.is_sorted()));
        }
    }

    #[test]
    fn a_rate_reads_back_what_it_prints(from in 0u64..1_000_000, to in 1u64..1_000_000, ms in 1u64..10_000) {
        let rate: Rate = format!("{from}..{to}:{ms}ms, {to}").parse().expect("valid");
        prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
    }

    #[test]
    fn no_text_breaks_the_parser(text in "[0-9kmg.:,s -]{0,20}") {
        if let Ok(rate) = text.parse::<Rate>() {
            let _ = rate.over(seconds(1.0));
            let _ = rate.over(Until::Operations(1));
            let _ = rate.at_begin();
        }
    }
}
