//! Where response times begin to climb.
//!
//! The knee is Kneedle's (V. Satopää, J. Albrecht, D. Irwin, B. Raghavan, "Finding a 'Kneedle' in a
//! Haystack", 2011), offline and for a curve that bends upwards: offered load against the logarithm of
//! p99, since that is how times are drawn and how they grow. In the place of Kneedle's smoothing, the curve is made one
//! that never falls (isotonic regression by pooling adjacent violators: M. Ayer and others, 1955), as waiting
//! never becomes shorter with more load, and a single slow second is no knee. It always finds the place that is furthest
//! below the straight line between the ends, be that only noise; so a knee is one only where p99 climbs
//! to [`RISE_MIN`] times what it was at the lowest load.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// Kneedle's sensitivity S: by how many mean steps the distance must fall again after its maximum.
const SENSITIVITY: f64 = 1.0;
/// A tail that climbs by less has no knee.
pub const RISE_MIN: f64 = 3.0;
/// Curves that could have been measured as well: the repeats of each load drawn with replacement
/// (Efron's bootstrap).
const RESAMPLES: usize = 1_000;
/// A knee that fewer of them have is none.
const FOUND_SHARE_MIN: f64 = 0.5;
const BEYOND: f64 = 0.025;

/// What was measured at one load, once per repeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    pub rate_ops_s: f64,
    pub p99_us: Vec<f64>,
}

/// The load at which p99 begins to climb.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knee {
    pub rate_ops_s: f64,
    /// In between it lies in 95 % of the resampled curves that have one, and at least up to the loads
    /// beside it, between which nothing was measured.
    pub low_ops_s: f64,
    pub high_ops_s: f64,
    /// The part of the resampled curves that have one.
    pub found_share: f64,
}

/// The knee of `loads`, in ascending order; `None` where there is none.
pub fn knee(loads: &[Load], seed: u64) -> Option<Knee> {
    let loads: Vec<&Load> = loads.iter().filter(|load| !load.p99_us.is_empty()).collect();
    let rates: Vec<f64> = loads.iter().map(|load| load.rate_ops_s).collect();
    let curve: Vec<f64> = loads.iter().map(|load| median_ln(&mut load.p99_us.clone())).collect();
    let at = bend(&rates, &curve)?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut found: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let curve: Vec<f64> = loads.iter().map(|load| resampled(load, &mut random)).collect();
            bend(&rates, &curve).map(|at| rates[at])
        })
        .collect();
    let found_share = found.len() as f64 / RESAMPLES as f64;
    if found_share < FOUND_SHARE_MIN {
        return None;
    }
    found.sort_by(f64::total_cmp);
    let quantile = |share: f64| found[(share * (found.len() - 1) as f64).round() as usize];
    Some(Knee {
        rate_ops_s: rates[at],
        low_ops_s: quantile(BEYOND).min(rates[at - 1]),
        high_ops_s: quantile(1.0 - BEYOND).max(rates[at + 1]),
        found_share,
    })
}

/// The index of the knee; neither the first nor the last.
fn bend(rates: &[f64], ln_p99: &[f64]) -> Option<usize> {
    let ln_p99 = never_falling(ln_p99);
    let (begin, end) = (*rates.first()?, *rates.last()?);
    let least = ln_p99.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ln_p99.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most - ln_p99[0] < RISE_MIN.ln() {
        return None;
    }
    let below: Vec<f64> = rates
        .iter()
        .zip(&ln_p99)
        .map(|(rate, ln)| (rate - begin) / (end - begin) - (ln - least) / (most - least))
        .collect();
    let at = (1..below.len() - 1).max_by(|&a, &b| below[a].total_cmp(&below[b]))?;
    let mean_step = 1.0 / (rates.len() - 1) as f64;
    let threshold = below[at] - SENSITIVITY * mean_step;
    let falls = below[at + 1..].iter().any(|&later| later < threshold);
    (below[at] > 0.0 && falls).then_some(at)
}

/// The closest curve that never falls: neighbours that do are replaced by their mean.
fn never_falling(values: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for &value in values {
        let mut pool = (value, 1);
        while let Some(&(before, count)) = pools.last().filter(|(before, _)| *before > pool.0) {
            let together = count + pool.1;
            pool = ((before * count as f64 + pool.0 * pool.1 as f64) / together as f64, together);
            pools.pop();
        }
        pools.push(pool);
    }
    pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

fn resampled(load: &Load, random: &mut Xoshiro256PlusPlus) -> f64 {
    let count = load.p99_us.len();
    let mut draw = || load.p99_us[(random.next_u64() % count as u64) as usize];
    let mut drawn: Vec<f64> = (0..count).map(|_| draw()).collect();
    median_ln(&mut drawn)
}

/// The logarithm of the median; of two in the middle, the mean of theirs.
fn median_ln(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let [low, high] = [(values.len() - 1) / 2, values.len() / 2].map(|at| values[at].ln());
    f64::midpoint(low, high)
}
