//! How times spread, in buckets that Prometheus can add up.

use hdrhistogram::Histogram;
use kv_server::metrics::Buckets;

use crate::recorder::{Latencies, Time};

/// From 10 µs to 10 s in steps of 1, 2 and 5, which are read off most easily, and what is beyond.
const BOUNDS_NS: [u64; 19] = [
    10_000,
    20_000,
    50_000,
    100_000,
    200_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    20_000_000,
    50_000_000,
    100_000_000,
    200_000_000,
    500_000_000,
    1_000_000_000,
    2_000_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Counts of times by bucket; the last is beyond all bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Spread {
    counts: [u64; BOUNDS_NS.len() + 1],
    sum_ns: f64,
}

impl Spread {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        let mut spread =
            Self { sum_ns: histogram.mean() * histogram.len() as f64, ..Self::default() };
        for value in histogram.iter_recorded() {
            let bucket = BOUNDS_NS.partition_point(|&bound| bound < value.value_iterated_to());
            spread.counts[bucket] += value.count_since_last_iteration();
        }
        spread
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sum_ns += other.sum_ns;
        for (sum, part) in self.counts.iter_mut().zip(&other.counts) {
            *sum += part;
        }
    }

    /// In seconds.
    pub(super) fn buckets(&self) -> Buckets {
        let bounds = BOUNDS_NS.iter().map(|&ns| ns as f64 / 1e9).chain([f64::INFINITY]);
        Buckets {
            sum: self.sum_ns / 1e9,
            count: self.counts.iter().sum(),
            counts: bounds.zip(self.counts).collect(),
        }
    }
}

/// Of successes: service times, and of an open loop response times and lateness.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spreads {
    pub(super) service: Spread,
    pub(super) response: Spread,
    pub(super) lateness: Spread,
}

impl Spreads {
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let of = |time| Spread::of(&latencies.successes(time));
        let mut spreads = Self { service: of(Time::Service), ..Self::default() };
        if latencies.is_open() {
            (spreads.response, spreads.lateness) = (of(Time::Response), of(Time::Lateness));
        }
        spreads
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.service.add(&other.service);
        self.response.add(&other.response);
        self.lateness.add(&other.lateness);
    }
}
