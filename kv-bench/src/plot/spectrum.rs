//! The percentile spectrum: latency by how rare it is, one line per kind of operation.
//!
//! The horizontal axis is 1/(1 − q), logarithmic, so that each nine takes the same room. A line
//! ends where fewer than ten samples lie beyond: what follows would be chance.

use std::cmp::Reverse;

use hdrhistogram::Histogram;
use plotters::backend::DrawingBackend;

use super::Histograms;
use super::axis::{Axis, positive};
use super::canvas::{Canvas, GREY, PALETTE, Point, Stroke};
use super::frame::{FOOT, Frame, LEFT, Panel, RIGHT};
use super::labels::{Label, Placer};
use crate::number::{duration, grouped};
use crate::percentiles::{QUANTILES, Quantile};
use crate::report::describe;
use crate::result::{RunResult, Verdict};

/// The size of this plot in pixels, and where its panel begins.
pub(super) const SIZE: (u32, u32) = (2_000, 1_250);
const TOP: f64 = 250.0;
const SAMPLES_BEYOND_MIN: f64 = 10.0;

/// The plot, its data checked.
#[derive(Debug)]
pub(super) struct Plot {
    frame: Frame,
    lines: Vec<Line>,
}

/// One distribution.
#[derive(Debug)]
struct Line {
    /// `GET`, or `GET service` where the plot also shows response times.
    name: String,
    samples: u64,
    /// Chooses colour and marker: one per kind of operation.
    series: usize,
    /// Service time beside response time: thinner, with hollow marks.
    secondary: bool,
    /// One in how many, and the latency in microseconds.
    path: Vec<(f64, f64)>,
    /// The percentiles of the tables, as far as the line goes.
    marks: Vec<(Quantile, f64)>,
}

impl Plot {
    /// `None` when no distribution has enough samples for a line.
    pub(super) fn new(result: &RunResult, histograms: &Histograms) -> Option<Self> {
        let lines = lines(histograms);
        let rarest = lines.iter().filter_map(|line| line.path.last()).map(|end| end.0);
        let rarest = rarest.fold(0.0, f64::max);
        if lines.is_empty() {
            return None;
        }
        let ticks: Vec<f64> = std::iter::once(1.0)
            .chain([2.0])
            .chain((1..16).map(|nines| 10_f64.powi(nines)))
            .filter(|&tick| tick <= rarest * 1.05)
            .collect();
        let latencies = lines.iter().flat_map(|line| line.path.iter().map(|step| step.1));
        let is_open = histograms.keys().any(|tag| tag.ends_with("-response"));
        let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
        let y_title = if is_open { "Latency" } else { "Service time" }.to_owned();
        let frame = Frame {
            size: (width, height),
            title: claim(&lines, result.trust.verdict == Verdict::Trusted),
            subtitles: [
                format!("{} · {}", describe::workload(result), describe::load(result)),
                describe::environment(result),
            ],
            x_title: "Percentile of operations",
            x_label: percentile,
            x: Axis::log_with(1.0, rarest.max(2.0), ticks, LEFT, RIGHT),
            panels: vec![Panel::new(y_title, latencies, TOP, height - FOOT)],
        };
        Some(Self { frame, lines })
    }

    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        self.frame.draw(canvas)?;
        for panel in &self.frame.panels {
            self.draw_panel(canvas, panel)?;
        }
        Ok(())
    }

    fn draw_panel<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        panel: &Panel,
    ) -> anyhow::Result<()> {
        let at =
            |(one_in, latency_us): (f64, f64)| (self.frame.x.at(one_in), panel.y.at(latency_us));
        let mut placer = Placer::new(panel.label_area(self.frame.size.0));
        for line in &self.lines {
            let path: Vec<Point> = line.path.iter().map(|&step| at(step)).collect();
            canvas.line(&path, &line.stroke())?;
            for ends in path.windows(2) {
                placer.avoid_line(ends[0], ends[1]);
            }
        }
        for line in &self.lines {
            for &(quantile, latency_us) in &line.marks {
                let mark = (quantile.one_in as f64, latency_us);
                canvas.marker(at(mark), line.series, line.stroke().color, line.secondary)?;
                placer.avoid_marker(at(mark));
            }
        }
        for line in &self.lines {
            let Some(&end) = line.path.last() else { continue };
            let samples = format!("{} samples", grouped(line.samples));
            let color = line.stroke().color;
            let lines = vec![(line.name.clone(), true, color), (samples, false, GREY)];
            placer.label(canvas, &Label { at: at(end), lines })?;
        }
        Ok(())
    }
}

impl Line {
    fn stroke(&self) -> Stroke {
        /// Dashes over a solid line leave it to be seen: distributions often coincide.
        const DASHES: [Option<(f64, f64)>; 4] =
            [None, Some((26.0, 20.0)), Some((7.0, 13.0)), Some((40.0, 10.0))];
        Stroke {
            dash: DASHES[self.series % DASHES.len()],
            ..Stroke::solid(
                PALETTE[self.series % PALETTE.len()],
                if self.secondary { 3.0 } else { 5.5 },
            )
        }
    }
}

/// Lines in the order in which they are drawn, the kind with the most samples first.
fn lines(histograms: &Histograms) -> Vec<Line> {
    let mut tags: Vec<(&str, &str, &Histogram<u64>)> = histograms
        .iter()
        .filter_map(|(tag, histogram)| Some((tag.rsplit_once('-')?, histogram)))
        .filter(|((_, time), _)| matches!(*time, "service" | "response"))
        .map(|((kind, time), histogram)| (kind, time, histogram))
        .collect();
    tags.sort_by_key(|(kind, time, histogram)| (Reverse(histogram.len()), *kind, *time));
    let is_open = tags.iter().any(|(_, time, _)| *time == "response");
    let mut kinds: Vec<&str> = Vec::new();
    let mut lines = Vec::new();
    for (kind, time, histogram) in tags {
        let series = kinds.iter().position(|&known| known == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        let Some((path, marks)) = spectrum(histogram) else { continue };
        lines.push(Line {
            name: if is_open { format!("{kind} {time}") } else { kind.to_owned() },
            samples: histogram.len(),
            series,
            secondary: is_open && time == "service",
            path,
            marks,
        });
    }
    lines
}

type Steps = Vec<(f64, f64)>;
type Marks = Vec<(Quantile, f64)>;

/// The line of a histogram of nanoseconds and the marks on it; `None` when no percentile above the
/// median has enough samples beyond it.
fn spectrum(histogram_ns: &Histogram<u64>) -> Option<(Steps, Marks)> {
    /// Steps to each halving of the distance to 100 %: finer than a pixel of the plot is wide.
    const STEPS: u32 = 40;
    let rarest = histogram_ns.len() as f64 / SAMPLES_BEYOND_MIN;
    if rarest <= 2.0 {
        return None;
    }
    let at = |one_in: f64| {
        positive(histogram_ns.value_at_quantile(1.0 - 1.0 / one_in) as f64 / 1_000.0)
            .map(|latency_us| (one_in, latency_us))
    };
    let mut path: Steps = histogram_ns
        .iter_quantiles(STEPS)
        .map(|step| 1.0 / (1.0 - step.quantile_iterated_to()))
        .take_while(|&one_in| one_in < rarest)
        .chain([rarest])
        .filter_map(at)
        .collect();
    path.dedup();
    let marks = QUANTILES
        .into_iter()
        .filter(|quantile| quantile.one_in != 20 && quantile.one_in as f64 <= rarest)
        .filter_map(|quantile| Some((quantile, at(quantile.one_in as f64)?.1)))
        .collect();
    Some((path, marks))
}

/// The two rarest percentiles of the tables that the most frequent operation supports.
fn claim(lines: &[Line], trusted: bool) -> String {
    let Some(line) = lines.iter().max_by_key(|line| (line.samples, !line.secondary)) else {
        return String::new();
    };
    let supported = QUANTILES
        .into_iter()
        .filter(|quantile| quantile.one_in != 20 && quantile.is_supported_by(line.samples));
    let parts: Vec<String> = supported
        .filter_map(|quantile| {
            let mark = line.marks.iter().find(|mark| mark.0 == quantile)?;
            Some(format!("{} within {}", percentile(mark.0.one_in as f64), duration(mark.1)))
        })
        .collect();
    let shown = &parts[parts.len().saturating_sub(2)..];
    if shown.is_empty() {
        return format!("{}: too few operations to speak of percentiles", line.name);
    }
    format!("{}: {}", line.name, shown.join(", ")) + if trusted { "" } else { " (untrusted)" }
}

/// One in a thousand as `99.9 %`.
fn percentile(one_in: f64) -> String {
    let nines = one_in.log10().round();
    let decimals = if one_in >= 100.0 { (nines - 2.0) as usize } else { 0 };
    format!("{:.decimals$} %", 100.0 * (1.0 - 1.0 / one_in))
}
