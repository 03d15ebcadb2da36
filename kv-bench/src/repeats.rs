//! Several measurements of the same: which of them is the result.
//!
//! The result of a run with `--repeat` is one of its measurements, whole: that in the middle. Figures of
//! several are not mixed, since the percentiles of one have nothing to do with the throughput of
//! another. The others stand beside it, so that a reader sees how far they lie apart.

use crate::interval_log::IntervalLog;
use crate::result::{Repeat, RunResult};

/// The measurements of a run so far, with their latencies over time.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    results: Vec<RunResult>,
    intervals: Vec<IntervalLog>,
}

impl Repeats {
    /// Adds one and returns the name of its file.
    pub(crate) fn push(&mut self, result: RunResult, intervals: IntervalLog) -> String {
        self.results.push(result);
        self.intervals.push(intervals);
        file(self.results.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// The median, which lists all of `asked` that there are, when there were to be several.
    pub(crate) fn into_median(mut self, asked: u32) -> Option<(RunResult, IntervalLog)> {
        let index = median(&self.results)?;
        let list = if asked > 1 { list(&self.results) } else { Vec::new() };
        let mut result = self.results.swap_remove(index);
        if list.len() < asked as usize {
            let warning =
                format!("the run was cut short after {} of {asked} measurements", list.len());
            result.warnings.extend((asked > 1).then_some(warning));
        }
        result.repeats = list;
        Some((result, self.intervals.swap_remove(index)))
    }
}

/// The file of measurement number `number`, counted from 1.
fn file(number: usize) -> String {
    format!("repeat-{number}.json")
}

/// What the median is taken by: the 99th percentile of response time in an open loop, whose rate was
/// given, and throughput in a closed one.
fn figure(result: &RunResult) -> f64 {
    let headline = &result.headline;
    headline.response_us.map_or(headline.throughput_ops_s, |response| response.p99)
}

/// The index of the median among `results`; of two in the middle it is that with the lower figure.
/// Measurements that were cut short count only when there are no others. `None` of no results.
pub fn median(results: &[RunResult]) -> Option<usize> {
    let has_whole = results.iter().any(|result| !result.partial);
    let mut order: Vec<usize> =
        (0..results.len()).filter(|&index| !(has_whole && results[index].partial)).collect();
    order.sort_by(|&a, &b| figure(&results[a]).total_cmp(&figure(&results[b])));
    order.get(order.len().saturating_sub(1) / 2).copied()
}

fn list(results: &[RunResult]) -> Vec<Repeat> {
    let repeat = |(index, result): (usize, &RunResult)| Repeat {
        file: file(index + 1),
        headline: result.headline.clone(),
        trust: result.trust.clone(),
    };
    results.iter().enumerate().map(repeat).collect()
}
