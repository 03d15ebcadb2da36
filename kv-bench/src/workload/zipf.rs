//! Zipf's law over any number of keys, exactly, prepared at once.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::Rng;

use super::alias::Alias;
use super::unit;

/// So many of the most popular ranks are looked up; of 100,000 keys they get 62 % of the operations
/// at the exponent 0.99. With what lies beyond as one more, the table is a power of two and 8 KiB.
const HEAD: u64 = 1023;

/// Ranks 0, 1 … *n* − 1, rank *r* with a probability in proportion to (*r* + 1)^−*s*.
///
/// The first ranks come from a table, which is much cheaper than a power; what lies beyond, by
/// rejection-inversion. The mass of either is known to 14 digits without summing over all ranks, so
/// that 2^40 keys are prepared as soon as a thousand.
#[derive(Debug, Clone)]
pub struct Zipf {
    head: Arc<Alias>,
    tail: Tail,
}

impl Zipf {
    /// The law over `count` ranks. `count` is at least 1 and at most 2^53, `exponent` at least 0.
    pub fn new(count: u64, exponent: f64) -> Self {
        debug_assert!(count > 0 && exponent >= 0.0);
        let mut weights: Vec<f64> =
            (1..=count.min(HEAD)).map(|rank| power(rank as f64, exponent)).collect();
        let tail = Tail::new(HEAD + 1, count.max(HEAD + 1), exponent);
        if count > HEAD {
            weights.push(tail.mass());
        }
        Self { head: Arc::new(Alias::new(&weights)), tail }
    }

    /// Draws a rank, the most frequent of which is 0.
    #[inline]
    pub fn rank(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let index = self.head.pick(random.next_u64());
        if index < HEAD { index } else { self.tail.rank(random) - 1 }
    }
}

/// Ranks `first`, `first` + 1 … `last`, counted from 1, rank *r* in proportion to *r*^−*s*.
///
/// Rejection-inversion (W. Hörmann, G. Derflinger: Rejection-inversion to generate variates from
/// monotone discrete distributions, ACM TOMACS 6(3), 1996): a point below the curve x^−*s* is drawn by
/// inverting its integral, and taken for the nearest rank unless it lies above that rank's share.
#[derive(Debug, Clone, Copy)]
struct Tail {
    first: u64,
    last: u64,
    exponent: f64,
    /// 1/(1 − s), where s is far enough from 1 for it: see [`Tail::point`].
    root: Option<f64>,
    /// The integral where the first rank's share begins, and where the last one's ends.
    integral_first: f64,
    integral_last: f64,
    /// A point that is no further below its rank is always below that rank's share.
    certain: f64,
}

impl Tail {
    fn new(first: u64, last: u64, exponent: f64) -> Self {
        let begin = first as f64;
        Self {
            first,
            last,
            exponent,
            root: ((1.0 - exponent).abs() > 1e-4).then(|| 1.0 / (1.0 - exponent)),
            integral_first: integral(begin - 0.5, exponent),
            integral_last: integral(last as f64 + 0.5, exponent),
            certain: begin
                - inverse(integral(begin + 0.5, exponent) - power(begin, exponent), exponent),
        }
    }

    /// The sum over all ranks by the Euler-Maclaurin formula, whose next term is below 10^−11 of it.
    fn mass(&self) -> f64 {
        let (a, b, s) = (self.first as f64, self.last as f64, self.exponent);
        let slope = |x: f64| -s * power(x, s) / x;
        integral(b, s) - integral(a, s)
            + f64::midpoint(power(a, s), power(b, s))
            + (slope(b) - slope(a)) / 12.0
    }

    #[inline]
    fn rank(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        loop {
            let area =
                self.integral_last + unit(random) * (self.integral_first - self.integral_last);
            let point = self.point(area);
            // Truncated: rounding down is the same from 1 on, and a call on the first x86-64.
            let rank = ((point + 0.5) as u64).clamp(self.first, self.last);
            let whole = rank as f64;
            if whole - point <= self.certain
                || area >= integral(whole + 0.5, self.exponent) - power(whole, self.exponent)
            {
                return rank;
            }
        }
    }

    /// The inverse of the integral. Away from s = 1 by one power, which costs half as much; near it
    /// that would lose digits. Below 0 only by rounding, where the integral of a steep curve nears
    /// its limit.
    #[inline]
    fn point(&self, area: f64) -> f64 {
        match self.root {
            Some(root) => (1.0 + area * (1.0 - self.exponent)).max(0.0).powf(root),
            None => inverse(area, self.exponent),
        }
    }
}

/// x^−s.
fn power(x: f64, exponent: f64) -> f64 {
    x.powf(-exponent)
}

/// The integral of x^−s from 1 to `x`: (x^(1−s) − 1)/(1 − s), or ln x where s is 1.
fn integral(x: f64, exponent: f64) -> f64 {
    let log = x.ln();
    let scaled = (1.0 - exponent) * log;
    // Near 0 the quotient loses its digits; the next term of the series is below the last of them.
    let slope = if scaled.abs() > 1e-8 { scaled.exp_m1() / scaled } else { 1.0 + scaled / 2.0 };
    slope * log
}

/// The x whose [`integral`] is `area`.
fn inverse(area: f64, exponent: f64) -> f64 {
    // Below −1 only by rounding, where the integral of a steep curve nears its limit.
    let scaled = (area * (1.0 - exponent)).max(-1.0);
    let slope = if scaled.abs() > 1e-8 { scaled.ln_1p() / scaled } else { 1.0 - scaled / 2.0 };
    (slope * area).exp()
}

#[cfg(test)]
#[path = "../../tests/statistics/mod.rs"]
mod statistics;

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn the_mass_beyond_the_table_is_its_sum() {
        for exponent in [0.0, 0.5, 0.99, 1.0, 1.2, 2.0] {
            let last = 500_000;
            // The smallest first, for the sake of the last digits.
            let sum: f64 = (HEAD + 1..=last).rev().map(|k| power(k as f64, exponent)).sum();
            let mass = Tail::new(HEAD + 1, last, exponent).mass();
            assert!((mass / sum - 1.0).abs() < 1e-11, "{exponent}: {mass}, {sum}");
        }
    }

    /// From rank 1 on, where the curve is steep: there a tenth of its points at 0.99 lie above its
    /// share. Beyond the table hardly any do, and no count of draws would show them.
    #[test]
    fn points_above_their_ranks_share_are_drawn_again() {
        for exponent in [0.5, 0.99, 1.0, 2.0] {
            let tail = Tail::new(1, 1_000, exponent);
            let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
            let mut seen = [0; 1_000];
            (0..100_000).for_each(|_| seen[tail.rank(&mut random) as usize - 1] += 1);
            let due: Vec<f64> = (1..=1_000).map(|k| f64::from(k).powf(-exponent)).collect();
            statistics::assert_follows(&format!("zipfian:{exponent}"), &seen, &due);
        }
    }
}
