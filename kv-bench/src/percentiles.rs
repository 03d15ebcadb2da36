//! From a histogram to the percentiles of a result, and which of those are worth quoting.

use hdrhistogram::Histogram;

use crate::confidence;
use crate::number::grouped;
use crate::result::{Bounds, Confidence, Percentiles};

/// A percentile of a result and how rare the values beyond it are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quantile {
    /// As it stands in tables and plots: `p99.9`.
    pub name: &'static str,
    /// One value in this many lies beyond it: 1,000 for p99.9.
    pub one_in: u64,
}

/// The percentiles of a result, from the middle outwards.
pub const QUANTILES: [Quantile; 6] = [
    Quantile { name: "p50", one_in: 2 },
    Quantile { name: "p90", one_in: 10 },
    Quantile { name: "p95", one_in: 20 },
    Quantile { name: "p99", one_in: 100 },
    Quantile { name: "p99.9", one_in: 1_000 },
    Quantile { name: "p99.99", one_in: 10_000 },
];

/// Fewer samples than this beyond a percentile make it a matter of luck: the relative standard
/// error of the tail count is 1/√n, 10 % at 100.
pub const TAIL_SAMPLES_MIN: u64 = 100;

/// Adds `part`, counter by counter. Latencies have equal bounds by construction, and an addition of
/// equal bounds cannot fail.
pub(crate) fn add(sum: &mut Histogram<u64>, part: &Histogram<u64>) {
    if !part.is_empty() {
        let added = sum.add(part);
        debug_assert!(added.is_ok(), "histograms share their bounds");
    }
}

impl Quantile {
    /// As a fraction of all values: 0.999 for p99.9.
    pub fn fraction(self) -> f64 {
        1.0 - 1.0 / self.one_in as f64
    }

    /// Whether `samples` leave at least [`TAIL_SAMPLES_MIN`] of them beyond this percentile.
    ///
    /// Counted in integers: `n·(1 − 0.9999)` in floats falls short of 100 for a million samples.
    pub fn is_supported_by(self, samples: u64) -> bool {
        samples / self.one_in >= TAIL_SAMPLES_MIN
    }
}

/// The percentiles that fewer than [`TAIL_SAMPLES_MIN`] of `samples` lie beyond; each needs a
/// warning beside it.
pub fn thin_quantiles(samples: u64) -> Vec<Quantile> {
    QUANTILES.into_iter().filter(|quantile| !quantile.is_supported_by(samples)).collect()
}

/// One sentence for the warnings of a result, or `None` when `samples` support every percentile.
///
/// `what` names the distribution, such as `DELETE service`.
pub fn thin_warning(what: &str, samples: u64) -> Option<String> {
    let thin = thin_quantiles(samples);
    if samples == 0 || thin.is_empty() {
        return None;
    }
    let names: Vec<&str> = thin.iter().map(|quantile| quantile.name).collect();
    let enough = thin.last()?.one_in * TAIL_SAMPLES_MIN;
    Some(format!(
        "{what}: fewer than {TAIL_SAMPLES_MIN} of {} samples lie beyond {}; {} would be enough",
        grouped(samples),
        names.join(", "),
        grouped(enough),
    ))
}

/// One sentence for all kinds of operation together, or `None` when each has enough samples.
///
/// `kinds` are names and samples, such as `("DELETE service", 1_000)`; a kind without a sample has no
/// percentiles to warn of.
pub fn thin_kinds_warning(kinds: &[(&str, u64)]) -> Option<String> {
    let thin = kinds.iter().filter(|&&(_, samples)| samples > 0).filter_map(|&(name, samples)| {
        // The rarer a percentile, the more samples it needs: all beyond the first are thin too.
        let first = *thin_quantiles(samples).first()?;
        let beyond = if QUANTILES.last() == Some(&first) { "" } else { " and up" };
        Some(format!("{} of {name} ({} samples)", first.name.to_owned() + beyond, grouped(samples)))
    });
    let thin: Vec<String> = thin.collect();
    (!thin.is_empty()).then(|| {
        format!("by kind, fewer than {TAIL_SAMPLES_MIN} samples lie beyond {}", thin.join(", "))
    })
}

impl Percentiles {
    /// The percentiles of a histogram of nanoseconds, in microseconds; `None` when it is empty.
    ///
    /// Each value is the highest that its bucket stands for, as in every HdrHistogram reader, so
    /// other tools show the same figures for the same file.
    pub fn from_histogram(histogram_ns: &Histogram<u64>) -> Option<Self> {
        if histogram_ns.is_empty() {
            return None;
        }
        let us = |quantile: f64| histogram_ns.value_at_quantile(quantile) as f64 / 1_000.0;
        Some(Self {
            mean: histogram_ns.mean() / 1_000.0,
            min: histogram_ns.min() as f64 / 1_000.0,
            p50: us(0.5),
            p90: us(0.9),
            p95: us(0.95),
            p99: us(0.99),
            p99_9: us(0.999),
            p99_99: us(0.9999),
            max: histogram_ns.max() as f64 / 1_000.0,
            confidence_95: Some(confidence_95(histogram_ns)),
        })
    }

    /// The value of one of [`QUANTILES`].
    pub fn at(&self, quantile: Quantile) -> f64 {
        match quantile.one_in {
            2 => self.p50,
            10 => self.p90,
            20 => self.p95,
            100 => self.p99,
            1_000 => self.p99_9,
            _ => self.p99_99,
        }
    }
}

fn confidence_95(histogram_ns: &Histogram<u64>) -> Confidence {
    let samples = histogram_ns.len();
    // In the middle of a rank, so that no rounding leads to its neighbour.
    let value = |rank: u64| histogram_ns.value_at_quantile((rank as f64 - 0.5) / samples as f64);
    Confidence::new(|quantile| {
        let (low, high) = confidence::ranks(samples, quantile);
        let low = low.map(|rank| histogram_ns.lowest_equivalent(value(rank)) as f64 / 1_000.0);
        Bounds { low, high: high.map(|rank| value(rank) as f64 / 1_000.0) }
    })
}
