//! What every plot has around its lines: title, subtitles, and panels with grid and ticks.

use plotters::backend::DrawingBackend;

use super::axis::Axis;
use super::canvas::{Align, BODY, Canvas, GREY, GRID, INK, Stroke, TITLE, Type};
use super::labels::Area;
use crate::number;

/// Where lines are drawn, from left to right.
pub(super) const LEFT: f64 = 150.0;
pub(super) const RIGHT: f64 = 1_730.0;
/// From the left edge to where titles begin, and from the right edge to where they end.
const MARGIN: f64 = 40.0;
/// From the axis of the last panel to the edge of the canvas.
pub(super) const FOOT: f64 = 128.0;
/// From the middle of a panel's title to the panel.
pub(super) const TITLE_GAP: f64 = 44.0;

/// The frame of a plot.
#[derive(Debug)]
pub(super) struct Frame {
    /// The size of the canvas.
    pub(super) size: (f64, f64),
    /// The claim that the plot makes.
    pub(super) title: String,
    /// The workload, and what answered where.
    pub(super) subtitles: [String; 2],
    pub(super) x_title: &'static str,
    /// Ticks of the horizontal axis as text.
    pub(super) x_label: fn(f64) -> String,
    /// Shared by all panels.
    pub(super) x: Axis,
    pub(super) panels: Vec<Panel>,
}

/// One pair of axes.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) y: Axis,
    /// Ticks of it as text.
    y_label: fn(f64) -> String,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Panel {
    /// A panel between two heights, its logarithmic axis wide enough for `latencies_us`.
    pub(super) fn new(
        title: String,
        latencies_us: impl Iterator<Item = f64> + Clone,
        top: f64,
        bottom: f64,
    ) -> Self {
        let y = Axis::log(latencies_us, bottom, top);
        Self { title, y, y_label: number::duration, top, bottom }
    }

    /// A panel between two heights, its axis from zero on.
    pub(super) fn linear(
        title: String,
        values: impl Iterator<Item = f64>,
        (top, bottom): (f64, f64),
    ) -> Self {
        let y = Axis::linear(values, bottom, top);
        Self { title, y, y_label: number::short, top, bottom }
    }

    /// Where labels may stand: the panel and the margin to its right.
    pub(super) fn label_area(&self, canvas_width: f64) -> Area {
        Area { low: (LEFT + 6.0, self.top - 24.0), high: (canvas_width - 15.0, self.bottom - 6.0) }
    }

    fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>, x: &Axis) -> anyhow::Result<()> {
        let grid = Stroke::solid(GRID, 2.0);
        canvas.text(
            &self.title,
            (MARGIN, self.top - TITLE_GAP),
            Type { bold: true, ..Type::body(INK, Align::Left) },
        )?;
        for &tick in &self.y.ticks {
            let y = self.y.at(tick);
            canvas.line(&[(LEFT, y), (RIGHT, y)], &grid)?;
            let at = (LEFT - 16.0, y);
            canvas.text(&(self.y_label)(tick), at, Type::body(INK, Align::Right))?;
        }
        for &tick in &x.ticks {
            canvas.line(&[(x.at(tick), self.top), (x.at(tick), self.bottom)], &grid)?;
        }
        let axes = [(LEFT, self.top), (LEFT, self.bottom), (RIGHT, self.bottom)];
        canvas.line(&axes, &Stroke::solid(GREY, 2.5))
    }
}

impl Frame {
    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        let width = self.size.0 - 2.0 * MARGIN;
        let title = Type { size: TITLE, bold: true, color: INK, align: Align::Left };
        canvas.text_within(&self.title, (MARGIN, 50.0), width, title)?;
        for (subtitle, y) in self.subtitles.iter().zip([104.0, 142.0]) {
            canvas.text_within(subtitle, (MARGIN, y), width, Type::body(GREY, Align::Left))?;
        }
        for panel in &self.panels {
            panel.draw(canvas, &self.x)?;
        }
        let bottom = self.size.1 - FOOT;
        for &tick in &self.x.ticks {
            let at = (self.x.at(tick), bottom + 12.0 + BODY);
            canvas.text(&(self.x_label)(tick), at, Type::body(INK, Align::Center))?;
        }
        let title = Type { bold: true, ..Type::body(INK, Align::Right) };
        canvas.text(self.x_title, (RIGHT, bottom + 92.0), title)
    }
}
