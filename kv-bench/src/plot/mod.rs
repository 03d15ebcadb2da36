//! Plots of a result.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

/// The distributions of a result by tag (`GET-service`), in nanoseconds.
pub type Histograms = BTreeMap<String, Histogram<u64>>;
