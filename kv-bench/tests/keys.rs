//! Keys follow the law that they are said to follow.

mod statistics;

use kv_bench::workload::{
    GrayZipf, Hot, KEYS_MAX, KeyDistribution, Keys, Kind, Mix, Scramble, Values, Workload, Zipf,
    fnv_hash,
};
use proptest::prelude::*;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use statistics::assert_follows;

const DRAWS: usize = 300_000;

/// One of each, with the parameters that people use.
const ALL: [&str; 11] = [
    "uniform",
    "sequential",
    "zipfian:0.99",
    "latest:0.99",
    "hotspot:0.2:0.8",
    "moving-hotspot:0.2:0.8:1000",
    "gaussian:0.2:0.5",
    "exponential:0.857:0.95",
    "ycsb-zipfian:0.99",
    "ycsb-scrambled",
    "mixgraph",
];

fn distribution(text: &str) -> KeyDistribution {
    text.parse().expect(text)
}

/// The numbers of the first keys that client `client` of `clients` asks for.
fn picks(text: &str, count: u64, (client, clients): (u64, u64), seed: u64) -> Vec<u64> {
    picks_of(Keys::new("k", count, distribution(text), clients), client, seed, DRAWS)
}

fn picks_of(keys: Keys, client: u64, seed: u64, draws: usize) -> Vec<u64> {
    let workload = Workload { mix: Mix::only(Kind::Get), keys, values: Values::fixed("v"), seed };
    let (mut stream, mut key) = (workload.stream(client, 0), workload.keys.buffer());
    let mut pick = || {
        workload.next(&mut stream, &mut key);
        let digits = str::from_utf8(&key.bytes()[1..]).expect("digits");
        digits.parse::<u64>().expect("digits")
    };
    (0..draws).map(|_| pick()).collect()
}

/// How often each of `count` keys was picked.
fn counts(picks: impl IntoIterator<Item = u64>, count: u64) -> Vec<u64> {
    let mut counts = vec![0; count as usize];
    picks.into_iter().for_each(|key| counts[key as usize] += 1);
    counts
}

/// The sum of k^−s for k from `first` to `last`: term by term as far as that is quick, then by the
/// Euler-Maclaurin formula, whose remainder is below 10^−15 there.
fn harmonic(first: u64, last: u64, s: f64) -> f64 {
    const TERMS: u64 = 10_000;
    let f = |x: f64| x.powf(-s);
    let is_one = (s - 1.0).abs() < f64::EPSILON;
    let integral = |x: f64| if is_one { x.ln() } else { x.powf(1.0 - s) / (1.0 - s) };
    let middle = last.min(first.max(TERMS));
    let head: f64 = (first..=middle).map(|k| f(k as f64)).sum();
    if middle == last {
        return head;
    }
    let (a, b) = (middle as f64, last as f64);
    let slope = |x: f64| -s * f(x) / x;
    head + integral(b) - integral(a) + (f(b) - f(a)) / 2.0 + (slope(b) - slope(a)) / 12.0
}

#[test]
fn the_harmonic_sums_of_these_tests_are_right() {
    for s in [0.0, 0.5, 1.0, 2.0] {
        let direct: f64 = (1..=1_000_000).map(|k| f64::from(k).powf(-s)).sum();
        assert!((harmonic(1, 1_000_000, s) / direct - 1.0).abs() < 1e-12, "{s}");
    }
    let published = 26.469_028_201_783_02; // 10^10 terms, as YCSB adds them
    assert!((harmonic(1, 10_000_000_000, 0.99) / published - 1.0).abs() < 1e-9);
}

#[test]
fn zipfian_ranks_follow_the_law_for_any_exponent_and_up_to_all_keys() {
    for s in [0.0, 0.5, 0.99, 1.0, 1.2, 2.0, 5.0] {
        for count in [2, 10, 1_000, 100_000, KEYS_MAX] {
            let zipf = Zipf::new(count, s);
            let mut random = Xoshiro256PlusPlus::seed_from_u64(count ^ s.to_bits());
            // The first hundred ranks one by one, then intervals of equal ratio.
            let mut ends: Vec<u64> = (1..=count.min(100)).collect();
            while let Some(&last) = ends.last().filter(|&&last| last < count) {
                ends.push((last * 5 / 4 + 1).min(count));
            }
            let mut seen = vec![0; ends.len()];
            for _ in 0..DRAWS / 3 {
                let rank = zipf.rank(&mut random);
                seen[ends.partition_point(|&end| end <= rank)] += 1;
            }
            let begins = std::iter::once(0).chain(ends.iter().copied());
            let due: Vec<f64> =
                begins.zip(&ends).map(|(begin, &end)| harmonic(begin + 1, end, s)).collect();
            assert_follows(&format!("zipfian:{s} over {count}"), &seen, &due);
        }
    }
}

#[test]
fn zipfian_keys_are_the_ranks_spread_over_the_keys() {
    let count = 1_000;
    let scramble = Scramble::new(count);
    let by_key = counts(picks("zipfian:0.99", count, (0, 1), 1), count);
    let by_rank: Vec<u64> = (0..count).map(|rank| by_key[scramble.apply(rank) as usize]).collect();
    let due: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-0.99)).collect();
    assert_follows("zipfian", &by_rank, &due);
    let hottest = |count: u64| 1.0 / harmonic(1, count, 0.99);
    let per_mille = [1_000, 100_000, 1_000_000].map(|n| (hottest(n) * 1e3).round() as u64);
    assert_eq!(per_mille, [129, 78, 65]);
}

#[test]
fn latest_keys_are_the_law_from_the_last_key_down() {
    let count = 1_000;
    let mut seen = counts(picks("latest:0.8", count, (0, 1), 2), count);
    seen.reverse();
    let due: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-0.8)).collect();
    assert_follows("latest", &seen, &due);
}

#[test]
fn uniform_keys_are_equally_likely() {
    assert_follows("uniform", &counts(picks("uniform", 777, (0, 1), 3), 777), &[1.0; 777]);
}

/// As `RocksDB`'s paper has it: the hotness of the ranges, and within one a·x^b for the first x ranks.
#[test]
fn mixgraph_keys_are_in_hot_ranges_and_hot_within_them() {
    let (ranges, each) = (30, 2_000);
    let seen = counts(picks("mixgraph", ranges * each, (0, 1), 8), ranges * each);
    let hotness = |k: f64| 14.18 * (-2.917 * k).exp() + 0.0164 * (-0.08082 * k).exp();
    let due: Vec<f64> = (1..=30).map(|k| hotness(f64::from(k))).collect();
    let places = Scramble::new(ranges);
    let range = |rank: u64| (places.apply(rank) * each) as usize;
    let of = |rank: u64| &seen[range(rank)..][..each as usize];
    let by_range: Vec<u64> = (0..ranges).map(|rank| of(rank).iter().sum()).collect();
    assert_follows("ranges", &by_range, &due);
    // Where each rank goes is a hash; its share is not.
    let (a, b) = (0.002_312_f64, 0.3467_f64);
    let ranks = a.powf(-1.0 / b).ceil() as u64;
    let share = |rank: u64| a * ((rank as f64).powf(b) - (rank as f64 - 1.0).powf(b));
    let mut due = vec![0.0; each as usize];
    let single = 200_000;
    (1..=single).for_each(|rank| due[(fnv_hash(rank) % each) as usize] += share(rank));
    // The others are many to each key.
    let rest = 1.0 - a * (single as f64).powf(b);
    assert!(ranks > 10 * single && rest > 0.0);
    due = due.into_iter().map(|share| share + rest / each as f64).collect();
    assert_follows("keys of the hottest range", of(0), &due);
}

#[test]
fn hot_keys_get_their_share_and_all_others_the_rest() {
    let due: Vec<f64> =
        (0..500).map(|key| if key < 50 { 0.9 / 50.0 } else { 0.1 / 450.0 }).collect();
    assert_follows("hotspot", &counts(picks("hotspot:10%:90%", 500, (0, 1), 4), 500), &due);
}

#[test]
fn moving_hot_keys_are_replaced_within_the_operations_named() {
    // 100 hot keys of 1,000, replaced within 5,000 operations of 10 clients: 500 of each of them.
    let begin = |operation: usize| operation as u64 * 100 / 500;
    let picks = picks("moving-hotspot:0.1:0.8:5000", 1_000, (3, 10), 5);
    let relative = picks.iter().enumerate().map(|(i, key)| (key + 100_000 - begin(i)) % 1_000);
    let due: Vec<f64> =
        (0..1_000).map(|key| if key < 100 { 0.8 / 100.0 } else { 0.2 / 900.0 }).collect();
    assert_follows("moving-hotspot", &counts(relative, 1_000), &due);
    let overall = counts(picks[..50_000].iter().copied(), 1_000);
    assert_follows("moving-hotspot, ten rounds", &overall, &[1.0; 1_000]);
}

#[test]
fn gaussian_keys_follow_the_bell_cut_off_at_the_ends() {
    for (text, deviation, centre) in
        [("gaussian", 1.0 / 6.0, 0.5), ("gaussian:0.5:0.1", 0.5, 0.1), ("gaussian:5%", 0.05, 0.5)]
    {
        let count = 200;
        // Simpson's rule over each key's interval.
        let density = |x: f64| (-0.5 * ((x - centre) / deviation).powi(2)).exp();
        let due = |key: u64| {
            let at = |part: f64| density((key as f64 + part) / count as f64);
            at(0.0) + 4.0 * at(0.5) + at(1.0)
        };
        let due: Vec<f64> = (0..count).map(due).collect();
        assert_follows(text, &counts(picks(text, count, (0, 1), 6), count), &due);
    }
}

#[test]
fn exponential_keys_fall_evenly_and_give_the_first_ones_the_share_named() {
    for (keys, operations) in [(0.857, 0.95), (0.1, 0.9), (0.5, 0.51), (0.25, 0.999)] {
        let text = format!("exponential:{keys}:{operations}");
        let count = 1_000;
        let seen = counts(picks(&text, count, (0, 1), 7), count);
        let first: u64 = seen[..(keys * 1e3) as usize].iter().sum();
        assert_follows(&text, &[first, DRAWS as u64 - first], &[operations, 1.0 - operations]);
        // The same factor from key to key, found here by halving from both ends.
        let share = |factor: f64| (1.0 - factor.powf(keys * 1e3)) / (1.0 - factor.powf(1e3));
        let (mut low, mut high) = (0.5, 1.0 - 1e-9);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if share(middle) > operations { low = middle } else { high = middle }
        }
        let due: Vec<f64> = (0..1_000).map(|key| low.powi(key)).collect();
        assert_follows(&text, &seen, &due);
    }
}

#[test]
fn ycsb_generators_draw_what_a_second_writing_of_their_formulas_draws() {
    let mut lines = include_str!("data/ycsb.tsv").lines();
    assert_eq!(lines.next(), Some("law\tcount\ttheta\tdraw\tkey"));
    let mut law = (0, 0.0, GrayZipf::scrambled());
    let scrambled = GrayZipf::scrambled();
    let mut checked = 0;
    for line in lines {
        let words: Vec<&str> = line.split('\t').collect();
        let [name, count, theta, draw, key] = words[..] else { panic!("{line}") };
        let number = |word: &str| word.parse::<u64>().expect("a number");
        let (count, draw) = (number(count), number(draw) as f64 / (1_u64 << 53) as f64);
        let ours = if name == "ycsb-zipfian" {
            let theta = theta.parse::<f64>().expect("a number");
            if (law.0, law.1) != (count, theta) {
                law = (count, theta, GrayZipf::new(count, theta));
            }
            law.2.rank(draw)
        } else {
            fnv_hash(scrambled.rank(draw)) % count
        };
        assert_eq!(ours, number(key), "{line}");
        checked += 1;
    }
    assert!(checked > 1_000, "{checked}");
}

#[test]
fn ycsb_draws_are_less_skewed_than_the_law_they_are_named_for() {
    for count in [1_000, 100_000] {
        let seen = counts(picks("ycsb-scrambled", count, (0, 1), 8), count);
        let hottest = *seen.iter().max().expect("keys") as f64 / DRAWS as f64;
        assert!((hottest - 1.0 / 26.469).abs() < 0.002, "{count}: {hottest}");
    }
    let seen = counts(picks("ycsb-zipfian", 1_000, (0, 1), 9), 1_000);
    let third = seen[2] as f64 / DRAWS as f64 * harmonic(1, 1_000, 0.99) * 3_f64.powf(0.99);
    assert!((1.14..1.22).contains(&third), "{third}");
}

#[test]
fn clients_walk_all_keys_in_order_from_places_of_their_own() {
    for client in 0..4 {
        let first = client * 250;
        let expected = (first..1_000).chain(0..first);
        let seen = picks("sequential", 1_000, (client, 4), 1);
        assert!(seen.into_iter().take(1_000).eq(expected), "{client}");
    }
}

#[test]
fn the_same_seed_gives_the_same_keys_and_another_one_others() {
    for text in ALL {
        let picks = |client, seed| {
            let keys = Keys::new("k", 100_000, distribution(text), 2);
            picks_of(keys, client, seed, 10_000)
        };
        let first = picks(0, 1);
        assert_eq!(first, picks(0, 1), "{text}");
        assert_ne!(first, picks(1, 1), "{text}");
        assert_eq!(first != picks(0, 2), text != "sequential", "{text}");
    }
}

#[test]
fn the_hot_keys_stay_the_same_from_seed_to_seed() {
    let hottest = |seed| {
        let seen = counts(picks("zipfian:0.99", 1_000, (0, 1), seed), 1_000);
        (0..1_000).max_by_key(|&key| seen[key])
    };
    assert_eq!(hottest(1), hottest(!1));
}

#[test]
fn few_keys_and_as_many_as_there_can_be_are_drawn_from_in_every_way() {
    for text in ALL {
        for count in [1, 2, 3, 7, 1_000_000_000_001, KEYS_MAX] {
            if text.starts_with("ycsb-zipfian") && count > 1_000 {
                continue; // It is refused: the sum would take hours.
            }
            let keys = Keys::new("k", count, distribution(text), 1);
            let seen = picks_of(keys, 0, 1, 1_000);
            assert!(seen.iter().all(|&key| key < count), "{text} {count}");
        }
    }
}

#[test]
fn more_keys_than_twelve_digits_can_name_have_thirteen_all_of_them() {
    let spelt = |count, number| {
        let mut key = Keys::new("key:", count, KeyDistribution::Uniform, 1).buffer();
        key.set(number);
        String::from_utf8(key.bytes().to_vec()).expect("digits")
    };
    assert_eq!(spelt(1_000_000_000_000, 999_999_999_999), "key:999999999999");
    assert_eq!(spelt(KEYS_MAX, KEYS_MAX - 1), "key:1099511627775");
    assert_eq!(spelt(KEYS_MAX, 7), "key:0000000000007");
}

proptest! {
    #[test]
    fn scrambling_few_numbers_permutes_them(count in 1u64..3_000) {
        let scramble = Scramble::new(count);
        let mut seen: Vec<u64> = (0..count).map(|number| scramble.apply(number)).collect();
        seen.sort_unstable();
        prop_assert!(seen.into_iter().eq(0..count));
    }

    #[test]
    fn scrambling_many_numbers_gives_no_two_the_same_place(
        count in 3_000..=KEYS_MAX, from in 0..KEYS_MAX,
    ) {
        let scramble = Scramble::new(count);
        let from = from % (count - 2_000);
        let mut seen: Vec<u64> = (from..from + 2_000).map(|n| scramble.apply(n)).collect();
        prop_assert!(seen.iter().all(|&place| place < count));
        seen.sort_unstable();
        prop_assert!(seen.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_a_distribution_says_of_itself_can_be_typed_again(
        keys in 0.001f64..0.4, operations in 0.5f64..0.999, every in 1u64..1_000_000, index in 0usize..9,
    ) {
        let hot = Hot { keys, operations };
        let all = [
            KeyDistribution::Uniform,
            KeyDistribution::Sequential,
            KeyDistribution::Zipfian { exponent: keys * 20.0 },
            KeyDistribution::Latest { exponent: operations },
            KeyDistribution::Hotspot(hot),
            KeyDistribution::MovingHotspot { hot, every },
            KeyDistribution::Gaussian { deviation: keys, centre: operations },
            KeyDistribution::Exponential(hot),
            KeyDistribution::YcsbZipfian { theta: operations },
        ];
        prop_assert_eq!(distribution(&all[index].to_string()), all[index]);
    }
}

#[test]
fn scrambled_ranks_lie_everywhere() {
    for count in [1_000, 99_999, 1 << 20, KEYS_MAX] {
        let scramble = Scramble::new(count);
        let mut parts = [0; 10];
        for rank in 0..count.min(10_000) / 5 {
            parts[(u128::from(scramble.apply(rank)) * 10 / u128::from(count)) as usize] += 1;
        }
        assert_follows(&format!("{count} scrambled"), &parts, &[1.0; 10]);
    }
}

#[test]
fn distributions_without_parameters_have_those_of_the_help() {
    for (short, long) in [
        ("zipfian", "zipfian:0.99"),
        ("ZIPF:1.2", "zipfian:1.2"),
        ("latest", "latest:0.99"),
        ("hotspot", "hotspot:0.2:0.8"),
        ("hotspot:10%", "hotspot:0.1:0.8"),
        ("moving-hotspot", "moving-hotspot:0.2:0.8:100000"),
        ("moving-hotspot:1%:90%:2m", "moving-hotspot:0.01:0.9:2000000"),
        ("gaussian:0.1", "gaussian:0.1:0.5"),
        ("exponential", "exponential:0.857:0.95"),
        ("ycsb-zipfian", "ycsb-zipfian:0.99"),
    ] {
        assert_eq!(distribution(short).to_string(), long);
    }
}

#[test]
fn distributions_that_make_no_sense_are_told_what_would() {
    for (text, expected) in [
        ("", "unknown distribution (known: uniform, sequential, zipfian[:EXPONENT]"),
        ("zip", "unknown distribution"),
        ("uniform:1", "'1' is a parameter too many (such as uniform)"),
        (
            "zipfian:",
            "'' is not what belongs there: an exponent from 0 to 10 (such as zipfian:0.99)",
        ),
        ("zipfian:-1", "'-1' is not what belongs there"),
        ("zipfian:11", "an exponent from 0 to 10"),
        ("zipfian:nan", "'nan' is not"),
        ("zipfian:1:2", "'2' is a parameter too many (such as zipfian:0.99)"),
        ("hotspot:0:0.8", "'0' is not what belongs there: a share above 0 and below 1"),
        ("hotspot:20:80", "(such as hotspot:0.2:0.8)"),
        ("moving-hotspot:0.2:0.8:0", "'0' is not a number of operations above 0"),
        ("gaussian:2", "a share above 0 and below 1"),
        ("exponential:0.9:0.5", "OPERATIONS must be more than KEYS"),
        ("ycsb-zipfian:1", "zipfian takes any exponent"),
        ("ycsb-scrambled:0.5", "'0.5' is a parameter too many (such as ycsb-scrambled)"),
    ] {
        let problem = text.parse::<KeyDistribution>().expect_err(text);
        assert!(problem.contains(expected), "{text}: {problem}");
    }
}
