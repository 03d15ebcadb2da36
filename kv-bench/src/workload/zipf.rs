//! Zipf's law over any number of keys, exactly, without a table.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::unit;

/// Ranks 0, 1 … *n* − 1, rank *r* with a probability in proportion to (*r* + 1)^−*s*.
///
/// Rejection-inversion (W. Hörmann, G. Derflinger: Rejection-inversion to generate variates from
/// monotone discrete distributions, ACM TOMACS 6(3), 1996): a point below the curve x^−*s* is drawn by
/// inverting its integral, and taken for the nearest rank unless it lies above that rank's share.
/// Nothing is summed, so that 2^40 keys are prepared as soon as two, and *s* may be 1 or more.
#[derive(Debug, Clone, Copy)]
pub struct Zipf {
    count: u64,
    exponent: f64,
    /// 1/(1 − s), where s is far enough from 1 for it: see [`Zipf::point`].
    root: Option<f64>,
    /// The integral where the first rank's share begins, and where the last one's ends.
    integral_first: f64,
    integral_last: f64,
    /// A point that is no further below its rank is always below that rank's share.
    certain: f64,
}

impl Zipf {
    /// The law over `count` ranks. `count` is at least 1 and at most 2^53, `exponent` at least 0.
    pub fn new(count: u64, exponent: f64) -> Self {
        debug_assert!(count > 0 && exponent >= 0.0);
        Self {
            count,
            exponent,
            root: ((1.0 - exponent).abs() > 1e-4).then(|| 1.0 / (1.0 - exponent)),
            integral_first: integral(1.5, exponent) - 1.0,
            integral_last: integral(count as f64 + 0.5, exponent),
            certain: 2.0 - inverse(integral(2.5, exponent) - power(2.0, exponent), exponent),
        }
    }

    /// Draws a rank, the most frequent of which is 0.
    #[inline]
    pub fn rank(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        loop {
            let area =
                self.integral_last + unit(random) * (self.integral_first - self.integral_last);
            let point = self.point(area);
            // Truncated: rounding down is the same from 1 on, and a call on the first x86-64.
            let rank = ((point + 0.5) as u64).clamp(1, self.count);
            let whole = rank as f64;
            if whole - point <= self.certain
                || area >= integral(whole + 0.5, self.exponent) - power(whole, self.exponent)
            {
                return rank - 1;
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
    (-exponent * x.ln()).exp()
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
#[inline]
fn inverse(area: f64, exponent: f64) -> f64 {
    // Below −1 only by rounding, where the integral of a steep curve nears its limit.
    let scaled = (area * (1.0 - exponent)).max(-1.0);
    let slope = if scaled.abs() > 1e-8 { scaled.ln_1p() / scaled } else { 1.0 - scaled / 2.0 };
    (slope * area).exp()
}
