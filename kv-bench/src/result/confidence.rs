//! How exact the percentiles of one measurement are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Percentiles;
use crate::percentiles::{QUANTILES, Quantile};

/// Where each percentile lies with a confidence of 95 %, in microseconds: between two of the values
/// that were measured, by their ranks alone, whatever their distribution. It tells of chance within
/// this measurement, as if operations were independent, and not of what another one would find.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Confidence {
    pub p50: Bounds,
    pub p90: Bounds,
    pub p95: Bounds,
    pub p99: Bounds,
    pub p99_9: Bounds,
    pub p99_99: Bounds,
}

/// An interval; `null` where too few values were measured to bound it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bounds {
    pub low: Option<f64>,
    pub high: Option<f64>,
}

impl Confidence {
    /// Of each of [`QUANTILES`].
    pub fn new(of: impl Fn(Quantile) -> Bounds) -> Self {
        let [p50, p90, p95, p99, p99_9, p99_99] = QUANTILES.map(of);
        Self { p50, p90, p95, p99, p99_9, p99_99 }
    }

    /// Of one of [`QUANTILES`].
    pub fn at(&self, quantile: Quantile) -> Bounds {
        let all = [self.p50, self.p90, self.p95, self.p99, self.p99_9, self.p99_99];
        let index = QUANTILES.iter().position(|&other| other == quantile);
        index.map_or(Bounds { low: None, high: None }, |index| all[index])
    }
}

impl Percentiles {
    /// Where one of [`QUANTILES`] lies; `None` in results of an older kv-bench.
    pub fn bounds(&self, quantile: Quantile) -> Option<Bounds> {
        Some(self.confidence_95.as_ref()?.at(quantile))
    }
}
