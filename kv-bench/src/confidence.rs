//! Between which of the measured values a percentile lies, by their ranks alone.
//!
//! Of *n* independent values, the number below the true *q*-quantile is binomial, whatever their
//! distribution: ranks *l* and *u* with `P(l ≤ B < u) ≥ 95 %` bound it (H. A. David, H. N. Nagaraja,
//! Order Statistics, §7.1). In the tail it is counted from the other end, where numbers are small.

use crate::percentiles::Quantile;

/// Each end is missed in this share of all cases: 95 % in between.
const MISSED: f64 = 0.025;
/// The standard normal's quantile at 1 − [`MISSED`].
const NORMAL: f64 = 1.959_963_985;
/// From this mean on the normal approximation with its first correction is exact to a rank or so,
/// and a tenth of the interval is tens of them.
const LARGE_MEAN: f64 = 500.0;

/// The ranks, counted from 1, of the values between which the percentile lies with a confidence of at
/// least 95 %; `None` where none of `samples` is far enough out.
pub fn ranks(samples: u64, quantile: Quantile) -> (Option<u64>, Option<u64>) {
    let (fewest, most) = binomial_bounds(samples, 1.0 / quantile.one_in as f64);
    let low = samples.checked_sub(most).filter(|&rank| rank > 0);
    (low, (fewest > 0).then(|| samples - fewest + 1))
}

/// The quantiles at 2.5 % and 97.5 % of a binomial of `n` with a `share` of at most a half.
fn binomial_bounds(n: u64, share: f64) -> (u64, u64) {
    let mean = n as f64 * share;
    if mean > LARGE_MEAN {
        let deviation = (mean * (1.0 - share)).sqrt();
        // Cornish and Fisher's term for the skewness, and half a step since counts are whole.
        let skew = (NORMAL * NORMAL - 1.0) * (1.0 - 2.0 * share) / 6.0;
        let at = |z: f64| (mean + z * deviation + skew - 0.5).ceil().max(0.0) as u64;
        return (at(-NORMAL), at(NORMAL).min(n));
    }
    let odds = share / (1.0 - share);
    let mut mass = (n as f64 * (-share).ln_1p()).exp();
    let (mut below, mut fewest) = (mass, None);
    for count in 0..=n {
        if fewest.is_none() && below >= MISSED {
            fewest = Some(count);
        }
        if below >= 1.0 - MISSED {
            return (fewest.unwrap_or(count), count);
        }
        mass *= odds * (n - count) as f64 / (count + 1) as f64;
        below += mass;
    }
    (fewest.unwrap_or(n), n)
}
