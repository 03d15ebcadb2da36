//! The skewed laws of YCSB as YCSB computes them, faults included, so that a run can be compared with
//! one of YCSB's.
//!
//! Neither is what its name says. The method (J. Gray et al.: Quickly generating billion-record
//! synthetic databases, SIGMOD 1994) is exact for the two most frequent ranks only; rank 2 comes 17 to
//! 19 % too often. And the scrambled variant draws from 10^10 ranks whatever the number of keys, and
//! hashes them onto the keys: its hottest key always gets 3.8 %, where Zipf's law over 100,000 keys
//! says 7.8 %. [`super::Zipf`] is the law itself.

/// Ranks below the number that it was made for, as YCSB's `ZipfianGenerator` draws them.
#[derive(Debug, Clone, Copy)]
pub struct GrayZipf {
    count: u64,
    zeta: f64,
    /// 1 + 0.5^theta: below it, zeta times the draw means the second rank.
    second: f64,
    eta: f64,
    alpha: f64,
}

impl GrayZipf {
    /// The law over `count` ranks. `theta` is above 0 and below 1. Takes a power per rank, which is
    /// 1 to 2 s for 10^8 of them: the sum is added up in YCSB's order, since another rounds to
    /// another.
    pub fn new(count: u64, theta: f64) -> Self {
        Self::with_zeta(count, theta, zeta(count, theta))
    }

    /// Those ranks from which YCSB's `ScrambledZipfianGenerator` draws: 0 … 10^10, and zeta as it
    /// stands in YCSB (for one rank less).
    pub fn scrambled() -> Self {
        Self::with_zeta(10_000_000_001, 0.99, 26.469_028_201_783_02)
    }

    fn with_zeta(count: u64, theta: f64, zeta_count: f64) -> Self {
        let zeta_two = zeta(2, theta);
        Self {
            count,
            zeta: zeta_count,
            second: 1.0 + 0.5_f64.powf(theta),
            eta: (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta_two / zeta_count),
            alpha: 1.0 / (1.0 - theta),
        }
    }

    /// The rank for a `draw` of at least 0 and below 1.
    #[inline]
    pub fn rank(&self, draw: f64) -> u64 {
        let scaled = draw * self.zeta;
        if scaled < 1.0 {
            return 0;
        }
        if scaled < self.second {
            return 1;
        }
        let rank = self.count as f64 * (self.eta * draw - self.eta + 1.0).powf(self.alpha);
        // YCSB goes one too far where the sum rounds to 1.
        (rank as u64).min(self.count - 1)
    }
}

/// The sum of i^−theta for i from 1 to `count`, added in that order.
fn zeta(count: u64, theta: f64) -> f64 {
    (1..=count).fold(0.0, |sum, i| sum + 1.0 / (i as f64).powf(theta))
}

/// YCSB's `fnvhash64`: 64-bit FNV-1a over the eight bytes of `number`, the lowest first, without the
/// sign. Constants: G. Fowler, L. C. Noll, K.-P. Vo, draft-eastlake-fnv.
#[inline]
pub fn fnv_hash(number: u64) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let octets = number.to_le_bytes();
    let hash = octets
        .iter()
        .fold(OFFSET_BASIS, |hash, &octet| (hash ^ u64::from(octet)).wrapping_mul(PRIME));
    (hash as i64).unsigned_abs()
}
