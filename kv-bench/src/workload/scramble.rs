//! Spreads neighbouring ranks over the key space.

/// A permutation of 0 … *n* − 1 that looks like none: hot keys lie anywhere, and no two ranks share a
/// key, so that a skew is kept exactly. (YCSB hashes ranks instead, and some keys get several.)
///
/// Multiplying by an odd number and folding high bits into low ones are each reversible among the
/// numbers below a power of two. What falls outside 0 … *n* − 1 goes through again ("cycle walking",
/// J. Black, P. Rogaway: Ciphers with arbitrary finite domains, CT-RSA 2002): less than twice on
/// average, since that power of two is less than 2 *n*.
#[derive(Debug, Clone, Copy)]
pub struct Scramble {
    count: u64,
    mask: u64,
    fold: u32,
}

impl Scramble {
    /// The permutation of `count` numbers, always the same one: the hot keys of a warm-up are those
    /// of its measurement, whatever their seeds. `count` is at least 1.
    pub fn new(count: u64) -> Self {
        let bits = u64::BITS - (count - 1).leading_zeros();
        let mask = if bits == 0 { 0 } else { u64::MAX >> (u64::BITS - bits) };
        Self { count, mask, fold: (bits / 2).max(1) }
    }

    /// Where `number` goes. It must be below the count.
    #[inline]
    pub fn apply(&self, mut number: u64) -> u64 {
        debug_assert!(number < self.count);
        loop {
            number = self.step(number);
            if number < self.count {
                return number;
            }
        }
    }

    /// One pass over the power of two. The odd numbers are those of splitmix64 and murmur3.
    #[inline]
    fn step(&self, number: u64) -> u64 {
        let fold = |x: u64| x ^ (x >> self.fold);
        // Without the addition, 0 would stay where it is.
        let x = number.wrapping_add(0x9e37_79b9_7f4a_7c15) & self.mask;
        let x = fold(x.wrapping_mul(0xbf58_476d_1ce4_e5b9) & self.mask);
        let x = fold(x.wrapping_mul(0x94d0_49bb_1331_11eb) & self.mask);
        fold(x.wrapping_mul(0xff51_afd7_ed55_8ccd) & self.mask)
    }
}
