//! How evenly load falls on clients and on servers, and what is told of it.

mod run;
#[allow(dead_code, reason = "nobody is turned away here")]
mod scripted;

use std::time::Duration;

use kv_bench::driver::{Measured, Until};
use kv_bench::fairness::{of_clients, ring_shares, warnings};
use kv_bench::result::{Fairness, ServerShare};
use kv_bench::schedule::Process;
use kv_bench::target::{Address, Credentials, Endpoint, Protocol, Resp};
use kv_bench::workload::{KeyDistribution, Keys};
use run::{Run, VALUE_SIZE};
use scripted::{Answer, Server};

fn fairness(measured: &Measured) -> Fairness {
    let ends = measured.outcomes.iter().flat_map(|outcome| &outcome.ends).filter(|end| !end.idle);
    let busy_s = |end_ns: u64| (end_ns - measured.start_ns) as f64 / 1e9;
    of_clients(ends.map(|end| (end.successes, busy_s(end.end_ns)))).expect("several clients")
}

/// Each of two clients takes its half of the keys, or of the operations, in their order.
fn two_clients(slow: Duration, until: Until) -> Measured {
    let first_of_second = match until {
        Until::Elapsed(_) => "key:000000000500",
        Until::Operations(_) => "key:000000000030",
    };
    let server = Server::start(move |_, words| {
        let is_second = words[1].as_str() >= first_of_second;
        Answer::Late(if is_second { slow } else { Duration::from_millis(5) })
    });
    let mut run = Run::against(&[&server]).shape(1, 2, 1);
    run.distribution = KeyDistribution::OwnKey;
    run.run(until)
}

#[test]
fn a_client_that_is_served_less_shows_whether_time_or_operations_end_the_run() {
    for until in [Until::Elapsed(Duration::from_millis(500)), Until::Operations(60)] {
        let measured = two_clients(Duration::from_millis(50), until);
        let successes: u64 =
            measured.outcomes.iter().flat_map(|o| &o.ends).map(|end| end.successes).sum();
        assert_eq!(successes, measured.counts.attempted());
        let uneven = fairness(&measured);
        assert!(uneven.min_ops_s * 2.0 < uneven.max_ops_s, "{uneven:?}");
        assert!(uneven.jain_index < 0.9, "{uneven:?}");
        let told = warnings(Some(&uneven), &[]);
        assert!(told[0].starts_with("clients were served unevenly, "), "{told:?}");
        let even = fairness(&two_clients(Duration::from_millis(5), until));
        assert!(even.jain_index > 0.9 && even.clients == 2, "{even:?}");
        assert!(warnings(Some(&even), &[]).is_empty());
    }
}

#[test]
fn a_client_that_gets_only_errors_is_not_served_and_one_without_work_does_not_count() {
    let server = Server::start(|_, words| match words[1].as_str() < "key:000000000500" {
        true => Answer::Raw(b"-ERR no\r\n"),
        false => Answer::Late(Duration::from_millis(2)),
    });
    let mut run = Run::against(&[&server]).shape(1, 2, 1);
    run.distribution = KeyDistribution::OwnKey;
    let fairness = fairness(&run.run(Until::Elapsed(Duration::from_millis(200))));
    assert!(fairness.min_ops_s.abs() < 1e-9, "{fairness:?}");
    assert!((fairness.jain_index - 0.5).abs() < 1e-9, "{fairness:?}");
    let server = Server::start(|_, _| Answer::Normal);
    let measured = Run::against(&[&server]).shape(1, 3, 1).run(Until::Operations(2));
    let idle = measured.outcomes.iter().flat_map(|outcome| &outcome.ends).filter(|end| end.idle);
    assert_eq!(idle.count(), 1);
}

#[test]
fn the_index_is_jains() {
    // R. Jain, D. Chiu, W. Hawe, DEC-TR-301 (1984): of n users one gets all, or k of n get the same.
    let of = |operations: &[u64]| of_clients(operations.iter().map(|&count| (count, 2.0)));
    let index = |operations: &[u64]| of(operations).expect("two or more").jain_index;
    assert!((index(&[7, 7, 7, 7]) - 1.0).abs() < 1e-12);
    assert!((index(&[1, 2, 3]) - 36.0 / 42.0).abs() < 1e-12);
    assert!((index(&[1_000_000_000, 1, 1, 1]) - 0.25).abs() < 1e-6);
    assert_eq!(of(&[7]), None, "one alone is neither");
    assert!((index(&[7, 0]) - 0.5).abs() < 1e-12, "who got nothing was served badly");
    assert_eq!(of(&[0, 0]), None, "there is nothing to share");
    let rates = of(&[2, 6]).expect("two");
    assert_eq!((rates.min_ops_s as u64, rates.max_ops_s as u64), (1, 3));
}

fn shares(owner: fn(&[u8]) -> usize, keys: u64) -> Vec<f64> {
    let endpoint = |port: u16| Endpoint {
        name: port.to_string(),
        address: Address::Tcp(([127, 0, 0, 1], port).into()),
        credentials: Credentials::default(),
        protocol: Protocol::Resp,
    };
    let keys = Keys::new("key:", keys, KeyDistribution::Uniform, 1);
    let key_size = keys.buffer().bytes().len();
    let target = Resp::new(&[endpoint(1), endpoint(2)], Box::new(owner), key_size, VALUE_SIZE);
    ring_shares(&target, &keys)
}

#[test]
fn what_the_ring_gives_is_counted_over_all_keys() {
    let last_digit = |key: &[u8]| usize::from(key[key.len() - 1] >= b'7');
    assert_eq!(shares(last_digit, 1000), [0.7, 0.3]);
    assert_eq!(shares(last_digit, 1), [1.0, 0.0]);
    // Of more keys than are looked up, some from everywhere.
    let first_digits = |key: &[u8]| usize::from(key >= b"key:000005000000".as_slice());
    assert_eq!(shares(first_digits, 10_000_000), [0.5, 0.5]);
}

#[test]
fn a_server_with_hot_keys_is_named() {
    let server = |name: &str, share: f64, ring_share| ServerShare {
        name: name.to_owned(),
        address: String::new(),
        operations: (share * 2000.0) as u64,
        share,
        ring_share,
        role: None,
        cpu_s: None,
    };
    let told = warnings(None, &[server("a", 0.65, Some(0.5)), server("b", 0.35, Some(0.5))]);
    assert_eq!(
        told,
        ["a got 65 % of the operations with 50 % of the keys: its keys are the popular ones"]
    );
    let few = ServerShare { operations: 999, ..server("a", 0.65, Some(0.5)) };
    assert!(warnings(None, &[few]).is_empty(), "that may be chance");
    for ring_share in [Some(0.55), None] {
        assert!(warnings(None, &[server("a", 0.65, ring_share)]).is_empty());
    }
}

#[test]
fn the_kernel_tells_of_every_worker_what_it_was_denied() {
    let server = Server::start(|_, _| Answer::Normal);
    let until = Until::Operations(500);
    for run in
        [Run::against(&[&server]), Run::against(&[&server]).at_rate("5k", Process::Poisson, until)]
    {
        let measured = run.shape(2, 1, 1).run(until);
        assert!(measured.outcomes.iter().all(|outcome| outcome.involuntary_switches.is_some()));
    }
}
