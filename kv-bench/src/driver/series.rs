//! The run over time: what the workers handed over, summed up per second.

use hdrhistogram::Histogram;

use crate::percentiles::add;
use crate::recorder::{Latencies, Tally, Time, histogram};
use crate::report::{decode_histogram, encode_histogram};
use crate::result::{Percentiles, Series, SeriesInterval};

/// How long an interval of the series is at first: two of those that workers hand over.
const SECOND_NS: u64 = 1_000_000_000;
/// With more intervals than this, each two neighbours become one: a run of a day has no more of them
/// than one of half an hour.
const INTERVALS_MAX: usize = 1_800;

/// What happened in one interval of the series.
#[derive(Debug, Default)]
struct Figures {
    successes: u64,
    tally: Tally,
    service: Option<Spread>,
    response: Option<Spread>,
}

/// A distribution whose histogram is packed: 220 KB become one or two.
#[derive(Debug, Clone)]
struct Spread {
    percentiles: Percentiles,
    packed: String,
}

/// A series in the making.
pub(super) struct SeriesMaker {
    interval_ns: u64,
    /// From the beginning on, without gaps.
    closed: Vec<Figures>,
    successes: u64,
    tally: Tally,
    service: Histogram<u64>,
    response: Histogram<u64>,
}

impl SeriesMaker {
    pub(super) fn new() -> Self {
        Self {
            interval_ns: SECOND_NS,
            closed: Vec::new(),
            successes: 0,
            tally: Tally::default(),
            service: histogram(),
            response: histogram(),
        }
    }

    /// Adds what happened from `begin_ns` after the beginning on; never before what was added
    /// last.
    pub(super) fn add(&mut self, begin_ns: u64, latencies: &Latencies, tally: &Tally) {
        while begin_ns / self.interval_ns > self.closed.len() as u64 {
            self.close();
        }
        let service = latencies.successes(Time::Service);
        self.successes += service.len();
        add(&mut self.service, &service);
        if latencies.is_open() {
            add(&mut self.response, &latencies.successes(Time::Response));
        }
        self.tally.add(tally);
    }

    fn close(&mut self) {
        self.closed.push(Figures {
            successes: std::mem::take(&mut self.successes),
            tally: std::mem::take(&mut self.tally),
            service: Spread::of(&self.service),
            response: Spread::of(&self.response),
        });
        for used in [&mut self.service, &mut self.response].into_iter().filter(|h| !h.is_empty()) {
            used.reset();
        }
        if self.closed.len() == INTERVALS_MAX {
            self.interval_ns *= 2;
            let mut closed = std::mem::take(&mut self.closed).into_iter();
            while let Some(mut first) = closed.next() {
                if let Some(second) = closed.next() {
                    first.add(&second);
                }
                self.closed.push(first);
            }
        }
    }

    /// The series of a run that ended `end_ns` after its beginning, over `nodes` nodes.
    pub(super) fn finish(mut self, end_ns: u64, nodes: usize) -> Series {
        self.close();
        while (self.closed.len() as u64) * self.interval_ns < end_ns {
            self.close();
        }
        let interval_ns = self.interval_ns;
        let mut closed = self.closed;
        let begin_ns = |index: usize| index as u64 * interval_ns;
        // What is left over at the end may be a single reply: no interval of its own.
        while closed.len() > 1 && begin_ns(closed.len() - 1) + interval_ns / 2 > end_ns {
            let rest = closed.pop().unwrap_or_default();
            closed.last_mut().into_iter().for_each(|last| last.add(&rest));
        }
        let last = closed.len() - 1;
        let interval = |(index, figures): (usize, Figures)| {
            let begin_ns = begin_ns(index);
            let whole_ns = begin_ns + interval_ns;
            let end_ns = if index == last { end_ns.max(begin_ns + 1) } else { whole_ns };
            figures.told(begin_ns, end_ns, nodes)
        };
        let intervals = closed.into_iter().enumerate().map(interval).collect();
        Series { interval_s: interval_ns as f64 / 1e9, intervals }
    }
}

impl Spread {
    fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let percentiles = Percentiles::from_histogram(histogram)?;
        Some(Self { percentiles, packed: encode_histogram(histogram) })
    }

    /// Of both together; what cannot be unpacked, which no histogram of ours is, adds nothing.
    fn with(&self, other: &Self) -> Option<Self> {
        let mut sum = decode_histogram(&self.packed).ok()?;
        add(&mut sum, &decode_histogram(&other.packed).ok()?);
        Self::of(&sum)
    }
}

fn both(first: Option<&Spread>, second: Option<&Spread>) -> Option<Spread> {
    match (first, second) {
        (Some(first), Some(second)) => first.with(second),
        (one, other) => one.or(other).cloned(),
    }
}

impl Figures {
    fn add(&mut self, later: &Self) {
        self.successes += later.successes;
        self.tally.add(&later.tally);
        self.service = both(self.service.as_ref(), later.service.as_ref());
        self.response = both(self.response.as_ref(), later.response.as_ref());
    }

    fn told(self, begin_ns: u64, end_ns: u64, nodes: usize) -> SeriesInterval {
        let Self { successes, tally: Tally { errors, nodes: mut server_operations }, .. } = self;
        server_operations.resize(nodes, 0);
        let failed = errors.total();
        let length_s = (end_ns - begin_ns) as f64 / 1e9;
        SeriesInterval {
            start_s: begin_ns as f64 / 1e9,
            length_s,
            operations: successes + failed,
            errors: failed,
            errors_by_kind: (failed > 0).then_some(errors),
            throughput_ops_s: successes as f64 / length_s,
            service_us: self.service.map(|service| service.percentiles),
            response_us: self.response.map(|response| response.percentiles),
            server_operations,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorder::Recorder;
    use crate::workload::Kind;

    #[test]
    fn a_run_of_a_day_is_told_in_fewer_intervals_that_are_longer() {
        const DAY_S: u64 = 86_400;
        let mut maker = SeriesMaker::new();
        let mut all = Recorder::default();
        // One operation in each ninth minute, the later the slower, every other one failed.
        for second in (0..DAY_S).step_by(540) {
            let mut recorder = Recorder::default();
            recorder.success(Kind::Get, None, 1_000 * (second + 1));
            all.success(Kind::Get, None, 1_000 * (second + 1));
            let mut tally = Tally { nodes: vec![1, 1], ..Tally::default() };
            tally.errors.timeout = second / 540 % 2;
            maker.add(second * SECOND_NS, &recorder.latencies, &tally);
        }
        let series = maker.finish(DAY_S * SECOND_NS, 2);
        assert_eq!(series.interval_s.to_string(), "64");
        assert_eq!(series.intervals.len(), 1_350);
        let operations: u64 = series.intervals.iter().map(|i| i.operations).sum();
        let errors: u64 = series.intervals.iter().map(|i| i.errors).sum();
        assert_eq!((operations, errors), (160 + 80, 80));
        let last = series.intervals.last().map(|i| i.start_s + i.length_s);
        assert_eq!(last.map(|end_s| end_s as u64), Some(DAY_S));
    }

    #[test]
    fn percentiles_of_merged_intervals_are_those_of_both_histograms() {
        let mut both = histogram();
        let spread = |latencies_ns: std::ops::Range<u64>, both: &mut Histogram<u64>| {
            let mut one = histogram();
            for latency_ns in latencies_ns {
                one.saturating_record(latency_ns);
                both.saturating_record(latency_ns);
            }
            Spread::of(&one)
        };
        let first = spread(1_000..1_900, &mut both);
        let second = spread(50_000..50_100, &mut both);
        let merged = super::both(first.as_ref(), second.as_ref()).map(|spread| spread.percentiles);
        assert_eq!(merged, Percentiles::from_histogram(&both));
    }
}
