//! Response times against offered load: three percentiles, every repeat, knee and saturation.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::axis::positive;
use super::canvas::Canvas;
use super::frame::Panel;
use super::labels::{Label, Placer};
use super::loads::{Field, Line, PANEL};
use crate::result::{Percentiles, Point, RunResult};

/// One hue, the darker the rarer.
const P50: RGBColor = RGBColor(86, 180, 233);
const P99: RGBColor = RGBColor(0, 114, 178);
const P99_9: RGBColor = RGBColor(0, 52, 96);

/// The plot, its data checked.
#[derive(Debug)]
pub(super) struct Plot {
    field: Field,
    lines: Vec<Line>,
}

impl Plot {
    /// `None` of a result that is no curve over offered loads, or one without any response.
    pub(super) fn new(result: &RunResult) -> Option<Self> {
        let line = |look, of: fn(&Percentiles) -> f64| {
            let value = |point: &Point| positive(of(point.response_us.as_ref()?));
            Line::new(look, &result.points, value)
        };
        let lines: Vec<Line> = [
            line(("p99.9", P99_9, 3), |response| response.p99_9),
            line(("p99", P99, 0), |response| response.p99),
            line(("p50", P50, 1), |response| response.p50),
        ]
        .into_iter()
        .flatten()
        .collect();
        let values = || lines.iter().flat_map(Line::values);
        let panel = || Panel::new("Response time".to_owned(), values(), PANEL.0, PANEL.1);
        let field = Field::new(result, &lines, panel)?;
        Some(Self { field, lines })
    }

    pub(super) fn draw<B: DrawingBackend>(&self, canvas: &mut Canvas<B>) -> anyhow::Result<()> {
        self.field.draw(canvas)?;
        let mut placer = Placer::new(self.field.panel().label_area(self.field.frame.size.0));
        for line in &self.lines {
            let path = self.field.path(line);
            path.windows(2).for_each(|ends| placer.avoid_line(ends[0].1, ends[1].1));
            for mark in &line.marks {
                placer.avoid_marker(self.field.at(mark.offered_ops_s, mark.value));
            }
        }
        // The rarest at last, below the others nobody would see it.
        for line in self.lines.iter().rev() {
            self.field.draw_line(canvas, line)?;
        }
        for line in &self.lines {
            let Some(&(_, at)) = self.field.path(line).last() else { continue };
            let lines = vec![(line.name.to_owned(), true, line.color)];
            placer.label(canvas, &Label { at, lines })?;
        }
        self.field.draw_names(canvas)
    }
}
