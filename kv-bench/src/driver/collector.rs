//! Merges what the workers hand over, interval by interval.

use std::collections::BTreeMap;

use crossbeam::channel::Sender;

use super::Effort;
use super::handover::{Batch, INTERVAL};
use super::series::SeriesMaker;
use super::slices::Slice;
use crate::interval_log::IntervalLog;
use crate::metrics::Spreads;
use crate::recorder::{Latencies, Tally, Time};
use crate::report::encode_histogram;
use crate::result::{Interval, Series};

/// Percentiles of the last interval, for the eye: of response times in an open loop, of service times
/// in a closed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentile {
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p99_9_ns: u64,
    pub max_ns: u64,
}

/// How an open loop has kept its schedule so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keeping {
    pub lateness_p99_ns: u64,
    pub response_p50_ns: u64,
}

/// One interval on its way to completion.
struct Open {
    latencies: Box<Latencies>,
    tally: Tally,
    end_ns: u64,
}

pub(super) struct Collector {
    start_ns: u64,
    total: Box<Latencies>,
    open: BTreeMap<u64, Open>,
    /// The interval that each worker is in.
    reached: Vec<u64>,
    /// What each worker had counted when it last handed over.
    tallies: Vec<Tally>,
    closed: IntervalLog,
    slices: BTreeMap<u64, Slice>,
    series: SeriesMaker,
    end_ns: u64,
    efforts: Vec<Effort>,
    latest: Option<Percentile>,
    keeping: Option<Keeping>,
    /// Of all complete intervals, where somebody wants to know.
    spreads: Option<Spreads>,
    recycle: Sender<Box<Latencies>>,
}

impl Collector {
    pub(super) fn new(
        workers: usize,
        start_ns: u64,
        empty: Latencies,
        recycle: Sender<Box<Latencies>>,
    ) -> Self {
        Self {
            start_ns,
            total: Box::new(empty),
            open: BTreeMap::new(),
            reached: vec![0; workers],
            tallies: vec![Tally::default(); workers],
            closed: IntervalLog::default(),
            slices: BTreeMap::new(),
            series: SeriesMaker::new(),
            end_ns: start_ns,
            efforts: vec![Effort::default(); workers],
            latest: None,
            keeping: None,
            spreads: None,
            recycle,
        }
    }

    /// Has it add up how times spread, where that is wanted.
    pub(super) fn tell_spreads(&mut self, wanted: bool) {
        self.spreads = wanted.then(Spreads::default);
    }

    pub(super) fn spreads(&self) -> Option<Spreads> {
        self.spreads
    }

    pub(super) fn take(&mut self, batch: Batch) {
        let Batch { worker, interval, end_ns, mut latencies, slices, tally, effort } = batch;
        self.total.add(&latencies);
        self.end_ns = self.end_ns.max(end_ns);
        let fresh = tally.since(&self.tallies[worker]);
        self.tallies[worker] = tally;
        self.efforts[worker] = effort;
        for (number, slice) in slices {
            self.slices.entry(number).or_default().add(&slice);
        }
        match self.open.get_mut(&interval) {
            Some(open) => {
                open.latencies.add(&latencies);
                open.tally.add(&fresh);
                open.end_ns = open.end_ns.max(end_ns);
                latencies.clear();
                // The workers may have gone; then nobody needs the empty one.
                let _ = self.recycle.send(latencies);
            }
            None => {
                self.open.insert(interval, Open { latencies, tally: fresh, end_ns });
            }
        }
        self.reach(worker, interval + 1);
    }

    /// The worker is through: no interval waits for it any more.
    pub(super) fn done(&mut self, worker: usize) {
        self.reach(worker, u64::MAX);
    }

    /// Closes what is complete now that `worker` is in `interval`.
    fn reach(&mut self, worker: usize, interval: u64) {
        self.reached[worker] = interval;
        let complete = self.reached.iter().copied().min().unwrap_or(0);
        while let Some(entry) = self.open.first_entry() {
            if *entry.key() >= complete {
                break;
            }
            let (interval, open) = entry.remove_entry();
            self.close(interval, open);
        }
    }

    fn close(&mut self, interval: u64, open: Open) {
        let Open { mut latencies, tally, end_ns } = open;
        let begin_ns = interval * INTERVAL.as_nanos() as u64;
        self.series.add(begin_ns, &latencies, &tally);
        let length_ns = end_ns.saturating_sub(self.start_ns + begin_ns);
        for (tag, histogram) in latencies.tagged() {
            self.closed.push(&Interval {
                tag,
                start_s: begin_ns as f64 / 1e9,
                length_s: length_ns as f64 / 1e9,
                max_ns: histogram.max(),
                histogram: encode_histogram(&histogram),
            });
        }
        let time = if latencies.is_open() { Time::Response } else { Time::Service };
        let successes = latencies.successes(time);
        if !successes.is_empty() {
            self.latest = Some(Percentile {
                p50_ns: successes.value_at_quantile(0.5),
                p99_ns: successes.value_at_quantile(0.99),
                p99_9_ns: successes.value_at_quantile(0.999),
                max_ns: successes.max(),
            });
        }
        if latencies.is_open() {
            self.keeping = self.keep();
        }
        if let Some(spreads) = &mut self.spreads {
            spreads.add(&Spreads::of(&latencies));
        }
        latencies.clear();
        let _ = self.recycle.send(latencies);
    }

    /// What all workers have counted and cost, each when it last handed over.
    pub(super) fn progress(&self) -> (Tally, Vec<Effort>) {
        let mut tally = Tally::default();
        self.tallies.iter().for_each(|part| tally.add(part));
        (tally, self.efforts.clone())
    }

    pub(super) fn keeping(&self) -> Option<Keeping> {
        self.keeping
    }

    /// `None` in a closed loop, and before the first reply.
    fn keep(&self) -> Option<Keeping> {
        let response = self.total.drawn_successes(Time::Response);
        (!response.is_empty()).then(|| Keeping {
            lateness_p99_ns: self.total.all_drawn(Time::Lateness).value_at_quantile(0.99),
            response_p50_ns: response.value_at_quantile(0.5),
        })
    }

    pub(super) fn latest(&self) -> Option<Percentile> {
        self.latest
    }

    /// Closes every interval and returns the totals with them, and with the run over time.
    pub(super) fn finish(mut self) -> (Box<Latencies>, IntervalLog, BTreeMap<u64, Slice>, Series) {
        while let Some((interval, open)) = self.open.pop_first() {
            self.close(interval, open);
        }
        let nodes = self.tallies.iter().map(|tally| tally.nodes.len()).max().unwrap_or(0);
        let series = self.series.finish(self.end_ns - self.start_ns, nodes);
        (self.total, self.closed, self.slices, series)
    }
}
