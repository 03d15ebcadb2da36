//! The headline over time: throughput above, percentiles below, errors marked.

use plotters::backend::DrawingBackend;

use super::axis::{Axis, from_zero, positive};
use super::canvas::{Align, Canvas, INK, PALETTE, Point, Stroke, Type};
use super::frame::{Frame, LEFT, Panel, RIGHT, TITLE_GAP};
use super::labels::{Label, Placer};
use crate::number::{self, decimal, duration, short};
use crate::report::describe;
use crate::result::{RunResult, Series, SeriesInterval};

/// The size of this plot in pixels, and the heights between which its two panels lie.
pub(super) const SIZE: (u32, u32) = (2_000, 1_424);
const THROUGHPUT_PANEL: (f64, f64) = (250.0, 650.0);
const LATENCY_PANEL: (f64, f64) = (760.0, 1_296.0);

/// The colour and marker of intervals with errors.
const ERRORS: usize = 1;
/// Fewer intervals than this are marked one by one.
const MARKED_MAX: usize = 60;

/// The plot, its data checked.
#[derive(Debug)]
pub(super) struct Plot {
    frame: Frame,
    throughput: Line,
    /// Intervals in which operations failed, on the line of throughput.
    errors: Vec<(f64, f64)>,
    latencies: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    name: &'static str,
    /// Chooses colour and marker.
    series: usize,
    dash: Option<(f64, f64)>,
    /// Seconds and value, in stretches without a gap.
    stretches: Vec<Vec<(f64, f64)>>,
}

impl Plot {
    /// `None` of fewer than two intervals, which are no course of anything.
    pub(super) fn new(result: &RunResult) -> Option<Self> {
        let series = result.series.as_ref().filter(|series| series.intervals.len() > 1)?;
        let intervals = &series.intervals;
        let is_open = intervals.iter().any(|interval| interval.response_us.is_some());
        let line = |name, series, dash, value: &dyn Fn(&SeriesInterval) -> Option<f64>| {
            Line::new(name, series, dash, intervals, value)
        };
        let throughput = line("all", 0, None, &|i| from_zero(i.throughput_ops_s));
        let time = |i: &SeriesInterval| if is_open { i.response_us } else { i.service_us };
        let latencies = vec![
            line("max", 7, Some((7.0, 13.0)), &|i| positive(time(i)?.max)),
            line("p99", 0, None, &|i| positive(time(i)?.p99)),
            line("p50", 2, Some((26.0, 12.0)), &|i| positive(time(i)?.p50)),
        ];
        let failed = intervals.iter().filter(|interval| interval.errors > 0);
        let errors = failed.filter_map(|i| Some((middle_s(i), from_zero(i.throughput_ops_s)?)));
        let end_s = intervals.last().map(|last| last.start_s + last.length_s);
        let heights = throughput.values();
        let tail = latencies.iter().flat_map(Line::values);
        let time = if is_open { "Response time" } else { "Service time" };
        let every = match series.interval_s {
            1.0 => "in each second".to_owned(),
            longer => format!("in each {} s", decimal(longer, 0)),
        };
        let frame = Frame {
            size: (f64::from(SIZE.0), f64::from(SIZE.1)),
            title: claim(series, is_open),
            subtitles: [
                format!("{} · {}", describe::workload(result), describe::load(result)),
                describe::environment(result),
            ],
            x_title: "Time, seconds",
            x_label: seconds,
            x: Axis::linear(end_s.and_then(positive).into_iter(), LEFT, RIGHT),
            panels: vec![
                Panel::linear(
                    format!("Throughput {every}, operations per second"),
                    heights,
                    THROUGHPUT_PANEL,
                ),
                Panel::new(format!("{time} {every}"), tail, LATENCY_PANEL.0, LATENCY_PANEL.1),
            ],
        };
        Some(Self { frame, errors: errors.collect(), throughput, latencies })
    }

    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        self.frame.draw(canvas)?;
        let [throughput, latency] = &self.frame.panels[..] else { return Ok(()) };
        self.draw_line(canvas, throughput, &self.throughput)?;
        for &(at_s, ops_s) in &self.errors {
            let at = (self.frame.x.at(at_s), throughput.y.at(ops_s));
            canvas.marker(at, ERRORS, PALETTE[ERRORS], false)?;
        }
        self.draw_key(canvas, throughput)?;
        let mut placer = Placer::new(latency.label_area(self.frame.size.0));
        for line in &self.latencies {
            self.draw_line(canvas, latency, line)?;
            for path in self.paths(latency, line) {
                path.windows(2).for_each(|ends| placer.avoid_line(ends[0], ends[1]));
            }
        }
        for line in &self.latencies {
            let Some(&at) = self.paths(latency, line).iter().flatten().last() else { continue };
            let name = (line.name.to_owned(), true, line.stroke().color);
            placer.label(canvas, &Label { at, lines: vec![name] })?;
        }
        Ok(())
    }

    fn paths(&self, panel: &Panel, line: &Line) -> Vec<Vec<Point>> {
        let at = |&(at_s, value): &(f64, f64)| (self.frame.x.at(at_s), panel.y.at(value));
        line.stretches.iter().map(|stretch| stretch.iter().map(at).collect()).collect()
    }

    fn draw_line<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        panel: &Panel,
        line: &Line,
    ) -> anyhow::Result<()> {
        let paths = self.paths(panel, line);
        let marks_all = paths.iter().map(Vec::len).sum::<usize>() <= MARKED_MAX;
        for path in paths {
            canvas.line(&path, &line.stroke())?;
            // One between two gaps is no line.
            for &at in path.iter().filter(|_| marks_all || path.len() == 1) {
                canvas.marker(at, line.series, line.stroke().color, false)?;
            }
        }
        Ok(())
    }

    /// What the marked intervals are, where there are any.
    fn draw_key<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        panel: &Panel,
    ) -> anyhow::Result<()> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let (text, look, y) = ("errors", Type::body(INK, Align::Right), panel.top - TITLE_GAP);
        canvas.text(text, (RIGHT, y), look)?;
        let x = RIGHT - canvas.text_width(text, look)? - 26.0;
        canvas.marker((x, y), ERRORS, PALETTE[ERRORS], false)
    }
}

impl Line {
    fn new(
        name: &'static str,
        series: usize,
        dash: Option<(f64, f64)>,
        intervals: &[SeriesInterval],
        value: &dyn Fn(&SeriesInterval) -> Option<f64>,
    ) -> Self {
        let points: Vec<Option<(f64, f64)>> =
            intervals.iter().map(|i| Some((from_zero(middle_s(i))?, value(i)?))).collect();
        let stretches = points
            .split(Option::is_none)
            .map(|stretch| stretch.iter().copied().flatten().collect::<Vec<_>>())
            .filter(|stretch| !stretch.is_empty())
            .collect();
        Self { name, series, dash, stretches }
    }

    fn values(&self) -> impl Iterator<Item = f64> + Clone {
        self.stretches.iter().flatten().map(|&(_, value)| value)
    }

    fn stroke(&self) -> Stroke {
        Stroke { dash: self.dash, ..Stroke::solid(PALETTE[self.series % PALETTE.len()], 4.5) }
    }
}

fn middle_s(interval: &SeriesInterval) -> f64 {
    interval.start_s + interval.length_s / 2.0
}

fn seconds(at_s: f64) -> String {
    let decimals = usize::from((at_s - at_s.round()).abs() >= 1e-9);
    number::decimal(at_s, decimals)
}

/// What the plot says.
fn claim(series: &Series, is_open: bool) -> String {
    let rates = series.intervals.iter().map(|interval| interval.throughput_ops_s);
    let (low, high) = (rates.clone().fold(f64::INFINITY, f64::min), rates.fold(0.0, f64::max));
    let times = series.intervals.iter().map(|i| if is_open { i.response_us } else { i.service_us });
    let worst_us = times.flatten().map(|time| time.p99).fold(0.0, f64::max);
    let tail = if worst_us > 0.0 {
        format!(", p99 at most {}", duration(worst_us))
    } else {
        String::new()
    };
    let failed = series.intervals.iter().filter(|interval| interval.errors > 0).count();
    let errors = match failed {
        0 => String::new(),
        _ => format!(", errors in {failed} of {} intervals", series.intervals.len()),
    };
    format!("{} to {} ops/s{tail}{errors}", short(low), short(high))
}
