//! Achieved throughput against offered load, with the diagonal that a service follows while it keeps up.

use plotters::backend::DrawingBackend;

use super::canvas::{Align, Canvas, GREY, PALETTE, Stroke, Type};
use super::frame::{LEFT, Panel, RIGHT};
use super::labels::{Label, Placer};
use super::loads::{Field, Line, PANEL, achieved};
use crate::number::short;
use crate::result::RunResult;

/// The plot, its data checked.
#[derive(Debug)]
pub(super) struct Plot {
    field: Field,
    line: Line,
}

impl Plot {
    /// `None` of a result that is no curve over offered loads.
    pub(super) fn new(result: &RunResult) -> Option<Self> {
        let line = Line::new(("achieved", PALETTE[0], 0), &result.points, achieved)?;
        let lines = [line];
        let title = "Achieved throughput, operations per second".to_owned();
        // The diagonal belongs to it, so that the axis reaches as far as what was offered.
        let values = || lines[0].values().chain(lines[0].loads());
        let field = Field::new(result, &lines, || Panel::linear(title, values(), PANEL))?;
        let [line] = lines;
        Some(Self { field, line })
    }

    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        self.field.draw(canvas)?;
        let most = self.line.loads().fold(0.0, f64::max);
        let (begin, end) = (self.field.at(0.0, 0.0), self.field.at(most, most));
        let diagonal = Stroke { dash: Some((18.0, 14.0)), ..Stroke::solid(GREY, 3.0) };
        canvas.line(&[begin, end], &diagonal)?;
        if let Some(found) = self.field.curve().saturation {
            let (_, y) = self.field.at(0.0, found.achieved_ops_s);
            let level = Stroke { dash: Some((6.0, 12.0)), ..Stroke::solid(PALETTE[1], 3.0) };
            canvas.line(&[(LEFT, y), (RIGHT, y)], &level)?;
            let text = format!("saturated at {} ops/s", short(found.achieved_ops_s));
            canvas.text(&text, (LEFT + 24.0, y - 26.0), Type::body(PALETTE[1], Align::Left))?;
        }
        self.field.draw_line(canvas, &self.line)?;
        let mut placer = Placer::new(self.field.panel().label_area(self.field.frame.size.0));
        placer.avoid_line(begin, end);
        let path = self.field.path(&self.line);
        path.windows(2).for_each(|ends| placer.avoid_line(ends[0].1, ends[1].1));
        for mark in &self.line.marks {
            placer.avoid_marker(self.field.at(mark.offered_ops_s, mark.value));
        }
        let label = |text: &str, color| vec![(text.to_owned(), true, color)];
        placer.label(canvas, &Label { at: end, lines: label("= offered", GREY) })?;
        if let Some(&(_, at)) = path.last() {
            placer.label(canvas, &Label { at, lines: label(self.line.name, self.line.color) })?;
        }
        self.field.draw_names(canvas)
    }
}
