//! `.hgrm`: one distribution as the percentile text of HdrHistogram's plotter.
//!
//! Line for line what Java's `AbstractHistogram.outputPercentileDistribution` prints, five steps
//! per half distance, which is `HistogramLogProcessor`'s default. Values are in microseconds: the
//! format prints three decimals, and in milliseconds those would round 49.6 µs to 0.050.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

const NS_PER_US: f64 = 1_000.0;
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// The text of one histogram of nanoseconds.
pub(super) fn text(histogram_ns: &Histogram<u64>) -> String {
    let digits = usize::from(histogram_ns.sigfig());
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut total = 0;
    for step in histogram_ns.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value_us = step.value_iterated_to() as f64 / NS_PER_US;
        let quantile = step.quantile_iterated_to();
        let _ = write!(out, "{value_us:12.digits$} {quantile:2.12} {total:10}");
        if quantile < 1.0 {
            let _ = write!(out, " {:14.2}", 1.0 / (1.0 - quantile));
        }
        out.push('\n');
    }
    out.push_str(&footer(histogram_ns, digits));
    out
}

fn footer(histogram_ns: &Histogram<u64>, digits: usize) -> String {
    let mean_us = histogram_ns.mean() / NS_PER_US;
    let deviation_us = histogram_ns.stdev() / NS_PER_US;
    let max_us = if histogram_ns.is_empty() { 0.0 } else { histogram_ns.max() as f64 / NS_PER_US };
    let buckets = usize::from(histogram_ns.buckets());
    // Each bucket but the first adds half a set of sub-buckets, so `(buckets + 1) / 2` sets exist.
    let sub_buckets = histogram_ns.distinct_values() * 2 / (buckets + 1);
    format!(
        "#[Mean    = {mean_us:12.digits$}, StdDeviation   = {deviation_us:12.digits$}]\n\
         #[Max     = {max_us:12.digits$}, Total count    = {:12}]\n\
         #[Buckets = {buckets:12}, SubBuckets     = {sub_buckets:12}]\n",
        histogram_ns.len(),
    )
}
