//! Confidence intervals of percentiles: by ranks, whatever the distribution.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod sample;

use hdrhistogram::Histogram;
use kv_bench::confidence::ranks;
use kv_bench::percentiles::{QUANTILES, Quantile};
use kv_bench::recorder::histogram;
use kv_bench::report;
use kv_bench::result::{Bounds, Percentiles};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

fn quantile(one_in: u64) -> Quantile {
    QUANTILES.into_iter().find(|quantile| quantile.one_in == one_in).unwrap()
}

/// From sums of the binomial's terms in double precision (Python's `math.lgamma`); those of the median
/// of up to 100 values are those of every table.
#[test]
fn ranks_are_those_of_the_binomial() {
    type Ranks = (Option<u64>, Option<u64>);
    let expected: &[(u64, u64, Ranks)] = &[
        (5, 2, (None, None)),
        (6, 2, (Some(1), Some(6))),
        (10, 2, (Some(2), Some(9))),
        (20, 2, (Some(6), Some(15))),
        (50, 2, (Some(18), Some(33))),
        (100, 2, (Some(40), Some(61))),
        (1_000, 2, (Some(469), Some(532))),
        (100, 100, (Some(97), None)),
        (299, 100, (Some(292), None)),
        (369, 100, (Some(361), Some(369))),
        (49_900, 100, (Some(49_357), Some(49_445))),
        (1_000_000, 10_000, (Some(999_880), Some(999_920))),
        // By the approximation.
        (1_002, 2, (Some(470), Some(533))),
        (50_100, 100, (Some(49_555), Some(49_643))),
        (1_000_000, 100, (Some(989_805), Some(990_196))),
        (20_000_000, 10_000, (Some(19_997_912), Some(19_998_088))),
        (3_000_000, 2, (Some(1_498_303), Some(1_501_698))),
    ];
    for &(samples, one_in, ranks_of_it) in expected {
        assert_eq!(
            ranks(samples, quantile(one_in)),
            ranks_of_it,
            "{samples} values, 1 in {one_in}"
        );
    }
    assert_eq!(ranks(0, quantile(2)), (None, None));
}

fn exponential_ns(random: &mut Xoshiro256PlusPlus) -> u64 {
    let below_one = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    (-(-below_one).ln_1p() * 1e6) as u64 + 1
}

#[test]
fn nineteen_of_twenty_measurements_hold_the_true_percentile() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let shown = [quantile(2), quantile(100)];
    let mut held = [0; 2];
    for _ in 0..1000 {
        let mut values: Histogram<u64> = histogram();
        (0..2000).for_each(|_| values.record(exponential_ns(&mut random)).unwrap());
        let percentiles = Percentiles::from_histogram(&values).unwrap();
        for (quantile, held) in shown.into_iter().zip(&mut held) {
            let truth_us = (quantile.one_in as f64).ln() * 1e3;
            let Bounds { low, high } = percentiles.bounds(quantile).unwrap();
            *held += u32::from(low.unwrap() <= truth_us && truth_us <= high.unwrap());
        }
    }
    // With this seed, always the same; by chance alone 95 % to within 1.4 %.
    assert!(held.iter().all(|&held| (936..=985).contains(&held)), "{held:?}");
}

#[test]
fn a_percentile_lies_within_its_bounds_and_too_few_values_bound_nothing() {
    let mut values: Histogram<u64> = histogram();
    (1..=2000_u64).for_each(|us| values.record(us * 1000).unwrap());
    let percentiles = Percentiles::from_histogram(&values).unwrap();
    for quantile in QUANTILES {
        let Bounds { low, high } = percentiles.bounds(quantile).unwrap();
        assert!(low.unwrap() <= percentiles.at(quantile), "{quantile:?}");
        assert!(high.is_none_or(|high| percentiles.at(quantile) <= high), "{quantile:?}");
        assert_eq!(high.is_none(), quantile.one_in >= 1000, "{quantile:?}");
    }
    let Bounds { low, high } = percentiles.bounds(quantile(100)).unwrap();
    // Ranks 1971 and 1990 of 2000, whose true places are the same numbers.
    assert!((low.unwrap() - 1971.0).abs() < 2.0 && (high.unwrap() - 1990.0).abs() < 2.0);
    values.reset();
    values.record(1).unwrap();
    let only = Percentiles::from_histogram(&values).unwrap();
    assert_eq!(only.bounds(quantile(2)), Some(Bounds { low: None, high: None }));
}

#[test]
fn the_tail_of_a_summary_says_how_exact_it_is() {
    let mut result = sample::result();
    assert!(
        !report::text::summary(&result).contains("95 % confidence"),
        "an older kv-bench wrote it"
    );
    let mut values: Histogram<u64> = histogram();
    (1..=2000_u64).for_each(|us| values.record(us * 1000).unwrap());
    result.headline.response_us = None;
    result.headline.service_us = Percentiles::from_histogram(&values);
    let summary = report::text::summary(&result);
    let line = "95 % confidence within this run, as if operations were independent, service: p99 1.97 ms to \
                1.99 ms, p99.9 above 1.99 ms";
    assert!(summary.contains(line), "{summary}");
}
