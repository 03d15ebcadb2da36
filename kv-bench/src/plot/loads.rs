//! The points of a curve over offered loads, and what its two plots have in common: the knee and the
//! saturated end.

use std::collections::BTreeMap;

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::axis::{Axis, from_zero, positive};
use super::canvas::{Align, BODY, Canvas, GREY, INK, MARKER_RADIUS, Point, Stroke, Type, WHITE};
use super::frame::{Frame, LEFT, Panel, RIGHT, TITLE_GAP};
use super::labels::legible;
use crate::number::short;
use crate::report::describe;
use crate::result::{self, OpenCurve, RunResult, Verdict};

/// The size of these plots in pixels, and the heights between which their panel lies.
pub(super) const SIZE: (u32, u32) = (2_000, 1_240);
pub(super) const PANEL: (f64, f64) = (260.0, 1_112.0);
/// Repeats are smaller than the markers of a line of their own.
const REPEAT_RADIUS: f64 = MARKER_RADIUS - 2.0;
/// Of what is saturated.
const SHADE: RGBColor = RGBColor(213, 94, 0);
const SHADE_OPACITY: f64 = 0.08;
const KNEE: RGBColor = RGBColor(0, 158, 115);
const KNEE_OPACITY: f64 = 0.13;

/// One repeat at one load.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) offered_ops_s: f64,
    pub(super) value: f64,
    pub(super) trusted: bool,
}

/// A figure of every point, and its median at each load.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) color: RGBColor,
    /// Chooses the marker.
    pub(super) series: usize,
    pub(super) marks: Vec<Mark>,
    /// In ascending order of the load.
    medians: Vec<(f64, f64)>,
}

impl Line {
    /// `None` of points without that figure.
    pub(super) fn new(
        (name, color, series): (&'static str, RGBColor, usize),
        points: &[result::Point],
        value: impl Fn(&result::Point) -> Option<f64>,
    ) -> Option<Self> {
        let mark = |point: &result::Point| {
            Some(Mark {
                offered_ops_s: point.rate_asked_ops_s.and_then(positive)?,
                value: value(point).filter(|_| point.operations > 0)?,
                trusted: point.trust.verdict == Verdict::Trusted,
            })
        };
        let marks: Vec<Mark> = points.iter().filter_map(mark).collect();
        let mut by_load: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for mark in &marks {
            by_load.entry(mark.offered_ops_s.to_bits()).or_default().push(mark.value);
        }
        // Positive floats are in the order of their bits.
        let medians = by_load.into_iter().map(|(load, mut values)| {
            values.sort_by(f64::total_cmp);
            let [low, high] = [(values.len() - 1) / 2, values.len() / 2].map(|at| values[at]);
            (f64::from_bits(load), f64::midpoint(low, high))
        });
        let medians: Vec<_> = medians.collect();
        (!marks.is_empty()).then_some(Self { name, color, series, marks, medians })
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f64> + Clone {
        self.marks.iter().map(|mark| mark.value)
    }

    pub(super) fn loads(&self) -> impl Iterator<Item = f64> + Clone {
        self.marks.iter().map(|mark| mark.offered_ops_s)
    }
}

/// The panel with its marks of knee and saturation, of which lines are drawn.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) frame: Frame,
    curve: OpenCurve,
    has_untrusted: bool,
}

impl Field {
    /// `None` of another kind of result.
    pub(super) fn new(
        result: &RunResult,
        lines: &[Line],
        panel: impl FnOnce() -> Panel,
    ) -> Option<Self> {
        let curve = result.open_curve.clone()?;
        let first = lines.first()?;
        let arrivals = result.scenario.arrivals.as_deref().unwrap_or("poisson");
        let frame = Frame {
            size: (f64::from(SIZE.0), f64::from(SIZE.1)),
            title: describe::curve_claim(result),
            subtitles: [
                format!("{} · open loop, {arrivals} arrivals", describe::workload(result)),
                describe::environment(result),
            ],
            x_title: "Offered load, operations per second",
            x_label: short,
            x: Axis::linear(first.loads(), LEFT, RIGHT),
            panels: vec![panel()],
        };
        let has_untrusted = lines.iter().any(|line| line.marks.iter().any(|mark| !mark.trusted));
        Some(Self { frame, curve, has_untrusted })
    }

    pub(super) fn panel(&self) -> &Panel {
        &self.frame.panels[0]
    }

    pub(super) fn at(&self, offered_ops_s: f64, value: f64) -> Point {
        (self.frame.x.at(offered_ops_s), self.panel().y.at(value))
    }

    /// Everything below the lines.
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        self.frame.draw(canvas)?;
        let (top, bottom) = PANEL;
        if let Some(left) = self.saturated_from() {
            canvas.box_filled([(left, top), (RIGHT, bottom)], SHADE, SHADE_OPACITY)?;
        }
        if let Some(knee) = self.curve.knee {
            let [low, high] = [knee.low_ops_s, knee.high_ops_s].map(|ops_s| self.frame.x.at(ops_s));
            canvas.box_filled([(low, top), (high, bottom)], KNEE, KNEE_OPACITY)?;
            let at = self.frame.x.at(knee.rate_ops_s);
            let stroke = Stroke { dash: Some((14.0, 10.0)), ..Stroke::solid(KNEE, 3.5) };
            canvas.line(&[(at, top), (at, bottom)], &stroke)?;
        }
        self.draw_key(canvas)
    }

    /// Between the last load that was kept up and the first that was not, nothing was measured.
    fn saturated_from(&self) -> Option<f64> {
        let found = self.curve.saturation?;
        let middle = found.kept_ops_s.map_or(0.0, |kept| f64::midpoint(kept, found.from_ops_s));
        Some(self.frame.x.at(middle))
    }

    /// What is marked, on top of everything.
    pub(super) fn draw_names<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
    ) -> anyhow::Result<()> {
        let mut free_until = RIGHT;
        if let Some(left) = self.saturated_from() {
            let (text, look) = ("saturated", Type::body(legible(SHADE), Align::Right));
            let width = canvas.text_width(text, look)?;
            let right = (f64::midpoint(left, RIGHT) + width / 2.0).min(RIGHT - BODY / 2.0);
            Self::draw_name(canvas, text, right, look)?;
            free_until = right - width - BODY;
        }
        let Some(knee) = self.curve.knee else { return Ok(()) };
        let [low, high] = [knee.low_ops_s, knee.high_ops_s].map(short);
        let text = format!("knee at {} ({low} to {high})", short(knee.rate_ops_s));
        let look = Type { bold: true, ..Type::body(legible(KNEE), Align::Right) };
        let width = canvas.text_width(&text, look)?;
        let right = (self.frame.x.at(knee.rate_ops_s) + width / 2.0).min(free_until);
        Self::draw_name(canvas, &text, right.max(LEFT + width + BODY / 2.0), look)
    }

    fn draw_name<B: DrawingBackend>(
        canvas: &mut Canvas<B>,
        text: &str,
        right: f64,
        look: Type,
    ) -> anyhow::Result<()> {
        let (y, width) = (PANEL.0 + BODY, canvas.text_width(text, look)?);
        let corners = [(right - width - 8.0, y - BODY * 0.6), (right + 8.0, y + BODY * 0.6)];
        canvas.box_filled(corners, WHITE, 0.75)?;
        canvas.text(text, (right, y), look)
    }

    /// What the markers are.
    fn draw_key<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        let y = PANEL.0 - TITLE_GAP;
        let look = Type::body(INK, Align::Right);
        let mut right = RIGHT;
        for (text, hollow) in [("not trusted", true), ("one measurement; lines: medians", false)] {
            if hollow && !self.has_untrusted {
                continue;
            }
            canvas.text(text, (right, y), look)?;
            right -= canvas.text_width(text, look)? + 24.0;
            canvas.marker_of((right, y), 0, GREY, (REPEAT_RADIUS, hollow))?;
            right -= 44.0;
        }
        Ok(())
    }

    /// The line through the medians, broken where it leads into saturation: between there are no
    /// loads, and what lies beyond depends on how long it was measured.
    pub(super) fn draw_line<B: DrawingBackend>(
        &self,
        canvas: &mut Canvas<B>,
        line: &Line,
    ) -> anyhow::Result<()> {
        for pair in self.path(line).windows(2) {
            let [(_, from), (load, to)] = [pair[0], pair[1]];
            let dash = self.is_saturated(load).then_some((12.0, 12.0));
            let width = if dash.is_some() { 3.0 } else { 5.0 };
            canvas.line(&[from, to], &Stroke { dash, ..Stroke::solid(line.color, width) })?;
        }
        for mark in &line.marks {
            let at = self.at(mark.offered_ops_s, mark.value);
            canvas.marker_of(at, line.series, line.color, (REPEAT_RADIUS, !mark.trusted))?;
        }
        Ok(())
    }

    /// The medians with their loads.
    pub(super) fn path(&self, line: &Line) -> Vec<(f64, Point)> {
        line.medians.iter().map(|&(load, value)| (load, self.at(load, value))).collect()
    }

    fn is_saturated(&self, offered_ops_s: f64) -> bool {
        self.curve.saturation.is_some_and(|found| offered_ops_s >= found.from_ops_s)
    }

    pub(super) fn curve(&self) -> &OpenCurve {
        &self.curve
    }
}

/// A throughput that may stand on an axis.
pub(super) fn achieved(point: &result::Point) -> Option<f64> {
    from_zero(point.achieved_ops_s())
}
