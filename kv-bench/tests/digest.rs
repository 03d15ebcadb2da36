//! The fingerprint of what a run asks for is equal for equal operations, and for them alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kv_bench::digest::operations_digest;
use kv_bench::driver::{Shape, Until};
use kv_bench::schedule::{Plan, Process, Rate, Schedule};
use kv_bench::workload::{Filling, Keys, Values, Workload};

const UNTIL: Until = Until::Operations(3_000);

fn shape(threads: u32, clients: u32) -> Shape {
    Shape { threads, clients, pipeline: 1, timeout: Duration::from_secs(1) }
}

fn at_rate() -> Schedule {
    let course = "10k".parse::<Rate>().expect("a rate").over(UNTIL).expect("operations");
    Schedule::Open(Plan { course: Arc::new(course), process: Process::Poisson, seed: 1 })
}

/// The digest of gets and puts on a thousand keys by these laws.
fn digest(keys: &str, sizes: &str, filling: Filling, schedule: &Schedule, shape: Shape) -> String {
    let distribution = keys.parse().expect(keys);
    let workload = Workload {
        mix: "get=1,put=1".parse().expect("a mix"),
        keys: Keys::new("key:", 1_000, distribution, shape.streams(schedule)),
        values: Values::new(&sizes.parse().expect(sizes), filling, 1),
        seed: 1,
    };
    operations_digest(&workload, schedule, UNTIL, shape, None)
}

#[test]
fn what_lives_for_a_while_and_what_is_filled_have_their_own_digests() {
    let plain = Workload {
        mix: "get=1,put=1".parse().expect("a mix"),
        keys: Keys::new("key:", 1_000, "uniform".parse().expect("a law"), 1),
        // Else what a fill would put tells of it.
        values: Values::new(&"0".parse().expect("a size"), Filling::Printable, 1),
        seed: 1,
    };
    let filling = Workload { mix: plain.mix.clone().filling(), ..plain.clone() };
    let of = |workload, ttl_s: Option<u64>| {
        let ttl = ttl_s.map(Duration::from_secs);
        operations_digest(workload, &Schedule::CLOSED, UNTIL, shape(1, 1), ttl)
    };
    let mut digests: Vec<_> = [&plain, &filling]
        .into_iter()
        .flat_map(|workload| [None, Some(1), Some(2)].map(|ttl| of(workload, ttl)))
        .collect();
    digests.sort();
    digests.dedup();
    assert_eq!(digests.len(), 6);
}

#[test]
fn every_law_of_keys_and_values_and_each_parameter_of_it_has_its_own_digest() {
    let keys = [
        "uniform",
        "sequential",
        "zipfian:0.99",
        "zipfian:1.01",
        "latest:0.99",
        "hotspot:0.2:0.8",
        "hotspot:0.2:0.81",
        "moving-hotspot:0.2:0.8:1000",
        "moving-hotspot:0.2:0.8:1001",
        "gaussian:0.2:0.5",
        "exponential:0.857:0.95",
        "ycsb-zipfian:0.99",
        "ycsb-scrambled",
        "mixgraph",
    ]
    .map(|law| (law, "100", Filling::Printable));
    let sizes = ["101", "64..1k", "64..1001", "64=9,1k=1", "64=8,1k=1", "facebook-etc"]
        .map(|law| ("uniform", law, Filling::Printable));
    let fillings = [("100", 0.5), ("100", 0.51), ("1000", 0.5), ("64..1k", 0.5), ("64..1k", 0.75)]
        .map(|(law, share)| ("uniform", law, Filling::Compressible(share)));
    for schedule in [Schedule::CLOSED, at_rate()] {
        let mut known = HashMap::new();
        for laws @ (keys, sizes, filling) in keys.iter().chain(&sizes).chain(&fillings) {
            let digest = || digest(keys, sizes, *filling, &schedule, shape(2, 3));
            assert_eq!(digest(), digest(), "{laws:?}");
            let other = known.insert(digest(), laws);
            assert!(other.is_none(), "{laws:?} as {other:?}");
        }
    }
}

#[test]
fn an_open_loop_asks_for_the_same_however_many_clients_carry_it() {
    let by_clients = |law, schedule: &Schedule| {
        [1, 8].map(|clients| digest(law, "64..1k", Filling::Printable, schedule, shape(2, clients)))
    };
    for law in ["uniform", "sequential", "zipfian:0.99", "moving-hotspot:0.2:0.8:1000"] {
        let [few, many] = by_clients(law, &at_rate());
        assert_eq!(few, many, "{law}");
        let [few, many] = by_clients(law, &Schedule::CLOSED);
        assert_ne!(few, many, "{law}");
    }
}
