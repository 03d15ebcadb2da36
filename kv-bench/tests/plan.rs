//! Pure parts of a run's plan: units, addresses, shares of work, the ladder of a curve, keys.

use std::time::Duration;

use kv_bench::curve::{Ladder, Level};
use kv_bench::driver::Shape;
use kv_bench::schedule::share;
use kv_bench::target::{Address, Endpoint, Protocol};
use kv_bench::units;
use kv_bench::workload::{KeyDistribution, Keys, Mix, Sizes};
use proptest::prelude::*;

#[test]
fn counts_take_k_m_and_g() {
    let good =
        [("7", 7), ("100k", 100_000), ("1.5m", 1_500_000), ("2G", 2_000_000_000), ("1_000", 1000)];
    for (text, expected) in good {
        assert_eq!(units::count(text), Ok(expected), "{text}");
    }
    for text in ["", "k", "-1", "1.5", "1e3", "inf", "1kb", "99999999999g", "0x10", "1 k"] {
        assert!(units::count(text).is_err(), "{text}");
    }
}

#[test]
fn durations_take_units_and_mean_seconds_without() {
    let good = [
        ("10s", 10_000_000),
        ("5ms", 5_000),
        ("250us", 250),
        ("2m", 120_000_000),
        ("3", 3_000_000),
        ("1.5s", 1_500_000),
    ];
    for (text, us) in good {
        assert_eq!(units::duration(text), Ok(Duration::from_micros(us)), "{text}");
    }
    for text in ["", "s", "-1s", "1e3s", "NaN", "5 parsecs", "99999999999999999999s"] {
        assert!(units::duration(text).is_err(), "{text}");
    }
}

#[test]
fn addresses_are_read_in_every_form() {
    let parse = |text| Endpoint::parse(text).expect(text);
    let plain = parse("127.0.0.1:7000");
    assert_eq!(
        (plain.name.as_str(), plain.address.to_string().as_str()),
        ("127.0.0.1:7000", "127.0.0.1:7000")
    );
    assert_eq!(parse("redis://127.0.0.1").address.to_string(), "127.0.0.1:6379");
    assert_eq!(parse("[::1]:7000").address.to_string(), "[::1]:7000");
    assert_eq!(parse("blue=127.0.0.1:7000").name, "blue");
    let full = parse("redis://ann:p%40ss=1@127.0.0.1:7000/3");
    assert_eq!(full.name, "127.0.0.1:7000");
    assert_eq!(full.credentials.username.as_deref(), Some("ann"));
    assert_eq!(full.credentials.password.as_deref(), Some("p@ss=1"));
    assert_eq!(full.credentials.database, 3);
    assert_eq!(parse("memcached://127.0.0.1").address.to_string(), "127.0.0.1:11211");
    assert_eq!(parse("memcached://127.0.0.1").protocol, Protocol::Memcached);
    assert_eq!(parse("unix:///run/kv.sock").address, Address::Unix("/run/kv.sock".into()));
}

#[test]
fn addresses_that_are_none_say_why_and_keep_passwords_to_themselves() {
    let cases = [
        ("", "port is missing"),
        ("host", "port is missing"),
        (":7000", "host is missing"),
        ("host:0", "port is not a number"),
        ("host:70000", "port is not a number"),
        ("unix://", "path is missing"),
        ("redis://127.0.0.1:7000/x", "database is not a number"),
        ("redis://u:secret%zz@127.0.0.1:1", "% is not followed by hex"),
        ("etcd://127.0.0.1:1", "not supported"),
        ("memcached://u:secret@127.0.0.1/0", "no databases"),
    ];
    for (text, expected) in cases {
        let error = Endpoint::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// Callers in all, level by level.
fn callers(ladder: &Ladder) -> Vec<u32> {
    ladder.levels.iter().map(|level| level.threads * level.clients).collect()
}

#[test]
fn the_main_job_measures_every_number_of_servers_with_doubling_callers() {
    let ladder = |servers, threads, clients| {
        Ladder::new((1..=servers).collect(), Level { threads, clients }, Duration::from_secs(30))
    };
    assert_eq!(ladder(4, 32, 1).servers, [1, 2, 3, 4]);
    assert_eq!(callers(&ladder(4, 32, 1)), [1, 2, 4, 8, 16, 32]);
    assert_eq!(callers(&ladder(1, 12, 1)), [1, 2, 4, 8, 12]);
}

#[test]
fn a_curve_climbs_over_clients_when_the_workers_are_used_up() {
    let ladder = |threads, clients| {
        Ladder::new(vec![1], Level { threads, clients }, Duration::from_secs(30))
    };
    let few = ladder(1, 32);
    assert_eq!(callers(&few), [1, 2, 4, 8, 16, 32]);
    assert!(few.levels.iter().all(|level| level.threads == 1));
    assert_eq!(callers(&ladder(4, 8)), [1, 2, 4, 8, 16, 32]);
    assert_eq!(ladder(4, 8).levels.last(), Some(&Level { threads: 4, clients: 8 }));
    assert_eq!(callers(&ladder(3, 5)), [1, 2, 3, 6, 12, 15]);
}

proptest! {
    #[test]
    fn shares_cover_the_total_exactly_and_evenly(total in 0u64..1_000_000, parts in 1u64..200) {
        let shares: Vec<(u64, u64)> = (0..parts).map(|part| share(total, part, parts)).collect();
        let mut next = 0;
        for (first, size) in &shares {
            prop_assert_eq!(*first, next);
            next += size;
        }
        prop_assert_eq!(next, total);
        let sizes = shares.iter().map(|(_, size)| *size);
        prop_assert!(sizes.clone().max().unwrap_or(0) - sizes.min().unwrap_or(0) <= 1);
    }

    #[test]
    fn a_thinned_curve_keeps_to_its_time_and_to_the_full_load(
        servers in 1u32..65, threads in 1u32..1025, clients in 1u32..1025, seconds in 0u64..120,
    ) {
        let full = Level { threads, clients };
        let ladder = Ladder::new((1..=servers).collect(), full, Duration::from_secs(seconds));
        let points = ladder.points();
        prop_assert!(points == 1 || points as f64 * 1.2 <= seconds as f64);
        prop_assert_eq!(ladder.servers.last(), Some(&servers));
        prop_assert_eq!(ladder.levels.last(), Some(&full));
        prop_assert!(callers(&ladder).is_sorted() && ladder.servers.is_sorted());
    }

    #[test]
    fn keys_spell_their_number(number in 0u64..1_000_000_000_000) {
        let keys = Keys::new("key:", 1, KeyDistribution::Uniform, 1);
        let mut buffer = keys.buffer();
        buffer.set(number);
        let expected = format!("key:{number:012}");
        prop_assert_eq!(buffer.bytes(), expected.as_bytes());
    }

    #[test]
    fn a_mix_reads_back_what_it_prints(get in 0u32..1000, put in 0u32..1000, delete in 1u32..1000) {
        let mix: Mix = format!("get={get},put={put},delete={delete}").parse().expect("valid");
        prop_assert_eq!(mix.to_string().parse::<Mix>(), Ok(mix));
    }

    #[test]
    fn no_text_breaks_a_parser(text in ".{0,40}") {
        let _ = units::count(&text);
        let _ = units::duration(&text);
        let _ = text.parse::<Mix>();
        let _ = text.parse::<KeyDistribution>();
        let _ = text.parse::<Sizes>();
        // Without dots and letters there is no host to look up.
        let _ = Endpoint::parse(&text.replace(|c: char| c.is_alphanumeric() || c == '.', "/"));
    }
}

#[test]
fn a_preload_queues_fewer_long_values_and_waits_for_them() {
    let pipeline = |size| Shape::preload(2, size, Duration::from_millis(1)).pipeline;
    let sizes = [0, 1, 16 << 10, (16 << 10) + 1, 1 << 20, 512 << 20];
    assert_eq!(sizes.map(pipeline), [64, 64, 64, 63, 1, 1]);
    let timeout = |timeout| Shape::preload(2, 1, timeout).timeout;
    assert_eq!(timeout(Duration::from_millis(1)), Duration::from_secs(5));
    assert_eq!(timeout(Duration::from_mins(1)), Duration::from_mins(1));
}

#[test]
fn a_mix_draws_in_its_proportions() {
    let mix: Mix = "get=90,put=9,delete=1".parse().expect("a mix");
    let mut drawn = [0u32; 3];
    let step = u64::from(u32::MAX) / 99_999;
    for number in 0..100_000u64 {
        drawn[mix.pick((number * step) as u32).index()] += 1;
    }
    for (count, expected) in drawn.into_iter().zip([90_000i64, 9_000, 1_000]) {
        assert!((i64::from(count) - expected).abs() < 10, "{drawn:?}");
    }
}
