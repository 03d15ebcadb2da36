//! `.hgrm`: one distribution as the percentile text of HdrHistogram's plotter.
//!
//! Byte for byte what Java's `AbstractHistogram.outputPercentileDistribution` prints, five ticks
//! per half distance, which is `HistogramLogProcessor`'s default. Values are in microseconds: the
//! format prints three decimals, and in milliseconds those would round 49.6 µs to 0.050.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

const NS_PER_US: f64 = 1_000.0;

/// The text of one histogram of nanoseconds.
pub(super) fn text(histogram_ns: &Histogram<u64>) -> String {
    let digits = usize::from(histogram_ns.sigfig());
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let total = histogram_ns.len() as f64;
    let mut count = 0;
    let mut percent = 0.0;
    for bucket in histogram_ns.iter_recorded() {
        count += bucket.count_at_value();
        let value_us = bucket.value_iterated_to() as f64 / NS_PER_US;
        while percent < 100.0 && 100.0 * count as f64 / total >= percent {
            let quantile = percent / 100.0;
            let rarity = 1.0 / (1.0 - quantile);
            let quantile = half_up(quantile);
            let _ = writeln!(out, "{value_us:12.digits$} {quantile} {count:10} {rarity:14.2}");
            percent = next_tick(percent);
            if count == histogram_ns.len() {
                break;
            }
        }
        if count == histogram_ns.len() {
            let _ = writeln!(out, "{value_us:12.digits$} {:2.12} {count:10}", 1.0);
        }
    }
    out.push_str(&footer(histogram_ns, digits));
    out
}

/// The next percentage to print: a fifth of the way to where the distance to 100 % has halved.
///
/// In percent and not with `Histogram::iter_quantiles`: that counts in fractions, and 1/5 adds up
/// to a little more than 98.4375 % where 20 % does not, which shifts a line by a bucket.
fn next_tick(percent: f64) -> f64 {
    const TICKS_PER_HALF_DISTANCE: f64 = 5.0;
    let halvings = (100.0 / (100.0 - percent)).log2().floor();
    percent + 100.0 / (TICKS_PER_HALF_DISTANCE * 2_f64.powf(halvings + 1.0))
}

/// A quantile with twelve decimals as Java rounds it: the shortest decimal that means the number,
/// half up; Rust rounds the binary number itself, which may lie just below that half.
fn half_up(quantile: f64) -> String {
    const DECIMALS: usize = 12;
    let shortest = quantile.to_string();
    let dropped = shortest.split_once('.').and_then(|(_, fraction)| fraction.get(DECIMALS..));
    let rounded = if dropped == Some("5") { quantile.next_up() } else { quantile };
    format!("{rounded:.DECIMALS$}")
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
