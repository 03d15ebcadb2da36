//! How long the calls of a command took, in the buckets of `LATENCY HISTOGRAM`.

use std::time::Duration;

use kv_core::resp::Encoder;

/// From 1,024 ns to about a second, each twice as wide as the one before, as in Redis.
const BUCKETS: usize = 21;

/// Nanoseconds up to which the first bucket reaches.
const FIRST_NS: u64 = 1024;

/// Counts of calls; only the buckets between the lowest and the highest used one are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LatencyHistogram {
    counts: [u64; BUCKETS],
    lowest: u8,
    highest: u8,
}

impl Default for LatencyHistogram {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], lowest: BUCKETS as u8, highest: 0 }
    }
}

/// The bucket of a time; what takes longer than all of them is in the last one.
#[inline]
fn bucket(took: Duration) -> usize {
    let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
    let units = ns.saturating_sub(1) / FIRST_NS;
    (u64::BITS - units.leading_zeros()).min(BUCKETS as u32 - 1) as usize
}

/// The microseconds that Redis calls a bucket by: the highest value that its histogram of two
/// significant digits does not tell from the bucket's bound.
fn bound_us(bucket: usize) -> u64 {
    let bound_ns = FIRST_NS << bucket;
    (bound_ns + bound_ns / 128 - 1) / 1000
}

impl LatencyHistogram {
    #[inline]
    pub(crate) fn count(&mut self, took: Duration) {
        let bucket = bucket(took);
        self.counts[bucket] += 1;
        self.lowest = self.lowest.min(bucket as u8);
        self.highest = self.highest.max(bucket as u8);
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for bucket in usize::from(other.lowest)..=usize::from(other.highest) {
            self.counts[bucket] += other.counts[bucket];
        }
        self.lowest = self.lowest.min(other.lowest);
        self.highest = self.highest.max(other.highest);
    }

    /// Each bucket's upper bound in seconds, and what is in it and in no bucket before.
    pub(crate) fn buckets(&self) -> [(f64, u64); BUCKETS] {
        std::array::from_fn(|index| {
            let is_last = index == BUCKETS - 1;
            let bound_s = if is_last { f64::INFINITY } else { (FIRST_NS << index) as f64 / 1e9 };
            (bound_s, self.counts[index])
        })
    }

    /// Writes the used buckets, each with the number of calls up to it.
    pub(crate) fn write(&self, out: &mut Encoder) {
        let used = || (0..BUCKETS).filter(|&bucket| self.counts[bucket] > 0);
        out.map(used().count());
        let mut calls = 0;
        for bucket in used() {
            calls += self.counts[bucket];
            out.integer(bound_us(bucket) as i64);
            out.integer(calls as i64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_reach_as_far_as_redis_says() {
        let named: Vec<u64> = (0..11).map(bound_us).collect();
        // LATENCY HISTOGRAM of Redis 7.0.15 after commands of all sorts, DEBUG SLEEP among them.
        assert_eq!(named, [1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056]);
        assert_eq!([bound_us(14), bound_us(17)], [16_908, 135_266]);
    }

    #[test]
    fn a_time_is_in_the_first_bucket_that_reaches_it() {
        let of = |ns| bucket(Duration::from_nanos(ns));
        assert_eq!([of(0), of(1024), of(1025), of(2048), of(2049)], [0, 0, 1, 1, 2]);
        assert_eq!(of(u64::MAX), BUCKETS - 1);
    }
}
