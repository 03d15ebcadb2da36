//! Which keys Facebook's UDB asks for, as `RocksDB`'s `db_bench` models it (`mixgraph`).
//!
//! Z. Cao, S. Dong, S. Vemuri, D. Du: Characterizing, modeling, and benchmarking `RocksDB` key-value
//! workloads at Facebook, FAST '20. The keys are in ranges, of which some are hot: the *k*-th hottest in
//! proportion to a·e^(b·k) + c·e^(d·k). Within a range the popularity of keys follows a power law: the
//! *x* most popular get a·x^b of the operations. As in `db_bench`, ranks are hashed to keys, and several
//! may share one.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng as _;

use super::alias::Alias;
use super::scramble::Scramble;
use super::unit;
use super::ycsb::fnv_hash;

/// `--keyrange_num` and `--keyrange_dist_a` to `_d` of the paper's command line.
const RANGES: u64 = 30;
const RANGE_LAW: [(f64, f64); 2] = [(14.18, -2.917), (0.0164, -0.08082)];
/// `--key_dist_a` and `_b`.
const KEY_LAW: (f64, f64) = (0.002_312, 0.3467);

#[derive(Debug, Clone)]
pub(super) struct Mixgraph {
    count: u64,
    ranges: u64,
    /// How hot they are, the hottest first.
    hotness: Arc<Alias>,
    /// Where they lie.
    places: Scramble,
}

impl Mixgraph {
    pub(super) fn new(count: u64) -> Self {
        let ranges = RANGES.min(count);
        let hotness = |rank: u64| RANGE_LAW.iter().map(|(a, b)| a * (b * rank as f64).exp()).sum();
        let hotness: Vec<f64> = (1..=ranges).map(hotness).collect();
        Self {
            count,
            ranges,
            hotness: Arc::new(Alias::new(&hotness)),
            places: Scramble::new(ranges),
        }
    }

    #[inline]
    pub(super) fn pick(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let range = self.places.apply(self.hotness.pick(random.next_u64()));
        let begin = |range: u64| {
            (u128::from(range) * u128::from(self.count) / u128::from(self.ranges)) as u64
        };
        let (begin, end) = (begin(range), begin(range + 1));
        let (a, b) = KEY_LAW;
        let rank = (unit(random) / a).powf(1.0 / b).ceil() as u64;
        begin + fnv_hash(rank) % (end - begin)
    }
}
