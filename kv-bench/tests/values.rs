//! Values have the sizes and the contents that they are said to have.

mod statistics;

use kv_bench::workload::{
    Filling, KeyDistribution, Keys, Kind, Mix, Sizes, VALUE_BYTES_MAX, Values, Workload,
};
use statistics::assert_follows;

const DRAWS: usize = 100_000;

fn sizes(text: &str) -> Sizes {
    text.parse().expect(text)
}

/// Calls `look` with each of the values that a client puts first.
fn put(values: Values, draws: usize, mut look: impl FnMut(&[u8])) {
    let keys = Keys::new("k", 10, KeyDistribution::Uniform, 1);
    let workload = Workload { mix: Mix::only(Kind::Put), keys, values, seed: 1 };
    let (mut stream, mut key) = (workload.stream(0, 0), workload.keys.buffer());
    for _ in 0..draws {
        look(workload.next(&mut stream, &mut key).1);
    }
}

fn lengths(text: &str) -> Vec<u64> {
    let mut lengths = Vec::with_capacity(DRAWS);
    put(Values::new(&sizes(text), Filling::Printable, 1), DRAWS, |value| {
        lengths.push(value.len() as u64);
    });
    lengths
}

/// Asserts that the sizes of `text` fall between `ends` as the law's distribution function says.
fn assert_sizes(text: &str, ends: &[u64], below: impl Fn(f64) -> f64) {
    let lengths = lengths(text);
    let mut seen = vec![0; ends.len() + 1];
    for &length in &lengths {
        seen[ends.partition_point(|&end| end <= length)] += 1;
    }
    let sums = ends.iter().map(|&end| below(end as f64)).chain([1.0]);
    let due: Vec<f64> =
        sums.scan(0.0, |before, sum| Some(sum - std::mem::replace(before, sum))).collect();
    assert_follows(text, &seen, &due);
    let mean = lengths.iter().sum::<u64>() as f64 / DRAWS as f64;
    let said = sizes(text).mean();
    assert!((mean / said - 1.0).abs() < 0.02, "{text}: {mean}, said {said}");
}

#[test]
fn a_single_size_is_what_every_value_has() {
    assert_eq!(lengths("0")[..10], [0; 10]);
    assert!(lengths("1.5k").iter().all(|&length| length == 1_500));
}

#[test]
fn every_size_of_a_range_is_equally_likely() {
    assert_sizes("10..29", &(11..30).collect::<Vec<_>>(), |end| (end - 10.0) / 20.0);
    assert_eq!(sizes("64-1k"), sizes("64..1000"));
}

#[test]
fn listed_sizes_come_by_their_weights() {
    let seen = lengths("64=90,1k=9,10k=1,7=0");
    let count = |size| seen.iter().filter(|&&length| length == size).count() as u64;
    let counts = [64, 1_000, 10_000].map(count);
    assert_eq!(counts.iter().sum::<u64>(), DRAWS as u64);
    assert_follows("a list", &counts, &[90.0, 9.0, 1.0]);
    assert_eq!(sizes("64:90,1k:10"), sizes("64=90,1000=10"));
    assert!((sizes("100=1,200=3").mean() - 175.0).abs() < 1e-9);
}

#[test]
fn pareto_sizes_follow_the_law_and_end_at_the_longest() {
    // db_bench's mixgraph, then a tail without a mean of its own, and the exponential limit.
    for (scale, shape, max) in
        [(25.45, 0.2615, 1_024.0), (100.0, 1.0, 5_000.0), (50.0, 0.0, 1e6), (90.0, 0.9, 2_000.0)]
    {
        let text = format!("pareto:10:{scale}:{shape}:{max}");
        let below = |end: f64| {
            let x = (end - 10.0) / scale;
            1.0 - if shape == 0.0 { (-x).exp() } else { (1.0 + shape * x).powf(-1.0 / shape) }
        };
        assert_sizes(&text, &[11, 12, 15, 20, 30, 50, 100, 200, 400, 800], below);
        assert!(lengths(&text).iter().all(|&length| (10..=max as u64).contains(&length)));
    }
}

#[test]
fn facebook_etc_sizes_have_the_quantiles_of_the_model() {
    // The shares of 0 to 14 bytes as published; the rest is the generalized Pareto law from 15 on.
    let head = [
        0.00536, 0.00047, 0.17820, 0.09239, 0.00018, 0.02740, 0.00065, 0.00606, 0.00023, 0.00837,
        0.00837, 0.08989, 0.00092, 0.00326, 0.01980,
    ];
    let short: f64 = head.iter().sum();
    assert!((short - 0.44155).abs() < 1e-9);
    let below = |end: f64| {
        if end <= 15.0 {
            return head[..end as usize].iter().sum();
        }
        let longer = (1.0 + 0.348_238 * (end - 15.0) / 214.476).powf(-1.0 / 0.348_238);
        1.0 - (1.0 - short) * longer
    };
    let ends: Vec<u64> = (1..=15).chain([16, 20, 50, 100, 200, 300, 500, 1_000, 5_000]).collect();
    assert_sizes("facebook-etc", &ends, below);
    // Half of all values are shorter than 39 bytes, a tenth longer than 520.
    assert!((below(39.0) - 0.5).abs() < 0.001 && (below(520.0) - 0.9).abs() < 0.001);
}

#[test]
fn values_compress_by_the_share_that_was_asked_for() {
    for (text, share) in [("100", 0.5), ("100", 0.0), ("100", 1.0), ("64k", 0.25), ("1..1k", 0.75)]
    {
        let (mut zeros, mut bytes, mut widest) = (0, 0, 0.0_f64);
        put(Values::new(&sizes(text), Filling::Compressible(share), 1), 2_000, |value| {
            let here: usize = value.iter().map(|&byte| usize::from(byte == 0)).sum();
            zeros += here;
            bytes += value.len();
            widest = widest.max((here as f64 - share * value.len() as f64).abs());
        });
        assert!(
            (zeros as f64 / bytes as f64 - share).abs() < 0.01,
            "{text} {share}: {zeros}/{bytes}"
        );
        // A fixed size to the byte; of several sizes, within a quarter of the period of 64.
        let slack = if text == "100" { 0.5 } else { 0.02 * sizes(text).max() as f64 };
        assert!(widest <= slack.max(0.5), "{text} {share}: {widest}");
    }
}

#[test]
fn values_are_printable_and_vary_and_stay_the_same_for_a_seed() {
    let first = |seed| {
        let mut first = Vec::new();
        put(Values::new(&sizes("20..40"), Filling::Printable, seed), 100, |value| {
            first.push(String::from_utf8(value.to_vec()).expect("text"));
        });
        first
    };
    assert_eq!(first(1), first(1));
    assert_ne!(first(1), first(2));
    let mut distinct = first(1);
    assert!(distinct.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_graphic())));
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 95, "{}", distinct.len());
}

#[test]
fn what_sizes_say_of_themselves_can_be_typed_again() {
    for (short, long) in [
        ("1k", "1000"),
        ("64..1k", "64..1000"),
        ("64=1, 1k=2", "64=1,1000=2"),
        ("FACEBOOK-ETC", "facebook-etc"),
        ("pareto:0:25.45:0.2615", "pareto:0:25.45:0.2615:1048576"),
    ] {
        assert_eq!(sizes(short).to_string(), long);
        assert_eq!(sizes(long), sizes(short));
    }
    assert_eq!(sizes("512m").max(), 512_000_000);
    assert_eq!(sizes(&VALUE_BYTES_MAX.to_string()).max(), VALUE_BYTES_MAX);
}

#[test]
fn sizes_that_make_no_sense_are_told_what_would() {
    for (text, expected) in [
        ("", "'' is no size (known: BYTES, MIN..MAX, BYTES=WEIGHT"),
        ("big", "such as 100, 1k or 64..1k"),
        ("-1", "'' is no size"),
        ("1x", "'1x' is not a count"),
        ("10g", "10,000,000,000 bytes: must be from 0 to 536,870,912"),
        ("2k..1k", "the first size is above the second (such as 64..1k)"),
        ("1..2..3", "'2..3' is not a count"),
        ("64=1,1k", "'1k' has no weight (such as 64=90,1k=10)"),
        ("64=x", "'x' is not a whole weight"),
        ("64=0", "every weight is 0"),
        ("pareto", "LOCATION, SCALE and SHAPE are needed (such as pareto:0:25.45:0.2615"),
        ("pareto:0:0:1", "SCALE must be above 0"),
        ("pareto:0:x:1", "'x' is not a number from 0 to 10^9"),
        ("pareto:0:1:1:1k:1", "a parameter too many"),
        ("pareto:2000:1:1:1k", "LOCATION is above the longest, 1,000"),
    ] {
        let problem = text.parse::<Sizes>().expect_err(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}
