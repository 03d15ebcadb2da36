//! Labels at the ends of lines: near their point, on nothing else.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Align, BODY, Canvas, GREY, MARKER_RADIUS, Point, Stroke, Type, WHITE};

/// A rectangle by its corners of least and greatest coordinates.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    pub(super) low: Point,
    pub(super) high: Point,
}

impl Area {
    fn around((x, y): Point, (width, height): Point) -> Self {
        let half = (width / 2.0, height / 2.0);
        Self { low: (x - half.0, y - half.1), high: (x + half.0, y + half.1) }
    }

    fn contains(&self, (x, y): Point, margin: f64) -> bool {
        (self.low.0 - margin..=self.high.0 + margin).contains(&x)
            && (self.low.1 - margin..=self.high.1 + margin).contains(&y)
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.low.0 < other.high.0
            && other.low.0 < self.high.0
            && self.low.1 < other.high.1
            && other.low.1 < self.high.1
    }

    fn is_within(&self, outer: &Self) -> bool {
        outer.contains(self.low, 0.0) && outer.contains(self.high, 0.0)
    }

    /// The point of the rectangle that is nearest to `point`.
    pub(super) fn nearest(&self, (x, y): Point) -> Point {
        (x.clamp(self.low.0, self.high.0), y.clamp(self.low.1, self.high.1))
    }
}

/// Puts labels of the given sizes near their points, one after the other, each where it covers
/// least: no other label, hardly a line. What is taken stays taken, so the first are nearest.
#[derive(Debug)]
pub(super) struct Placer {
    bounds: Area,
    /// Points on the lines, dense enough that no label slips between two of them.
    lines: Vec<Point>,
    taken: Vec<Area>,
}

/// Lines are looked at every so many pixels.
const SPACING: f64 = 8.0;
/// Distance that a label keeps from lines and other labels.
const MARGIN: f64 = 5.0;

impl Placer {
    pub(super) fn new(bounds: Area) -> Self {
        Self { bounds, lines: Vec::new(), taken: Vec::new() }
    }

    /// Keeps labels off the line from `from` to `to`.
    pub(super) fn avoid_line(&mut self, from: Point, to: Point) {
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let steps = (dx.hypot(dy) / SPACING).ceil().max(1.0);
        self.lines.extend((0..=steps as u32).map(|step| {
            let part = f64::from(step) / steps;
            (from.0 + dx * part, from.1 + dy * part)
        }));
    }

    /// Keeps labels off the marker at `at`.
    pub(super) fn avoid_marker(&mut self, at: Point) {
        const CORNERS: u32 = 8;
        self.lines.extend((0..CORNERS).map(|corner| {
            let angle = std::f64::consts::TAU * f64::from(corner) / f64::from(CORNERS);
            (at.0 + MARKER_RADIUS * angle.cos(), at.1 + MARKER_RADIUS * angle.sin())
        }));
    }

    /// The place of a label of `size` for the point `at`.
    fn place(&mut self, at: Point, size: Point) -> Area {
        const DISTANCES: [f64; 9] = [20.0, 34.0, 52.0, 75.0, 105.0, 145.0, 200.0, 270.0, 360.0];
        const DIRECTIONS: u32 = 24;
        let mut best = (f64::INFINITY, Area::around(at, size));
        for distance in DISTANCES {
            for direction in 0..DIRECTIONS {
                let angle = std::f64::consts::TAU * f64::from(direction) / f64::from(DIRECTIONS);
                let (dx, dy) = (angle.cos(), angle.sin());
                let center =
                    (at.0 + dx * (distance + size.0 / 2.0), at.1 + dy * (distance + size.1 / 2.0));
                let area = Area::around(center, size);
                // To the right reads best: it is where the line would go on.
                let cost = self.cost(&area) + distance * (1.2 - 0.2 * dx);
                if cost < best.0 {
                    best = (cost, area);
                }
            }
        }
        let (low, high) = (best.1.low, best.1.high);
        self.taken.push(Area {
            low: (low.0 - MARGIN, low.1 - MARGIN),
            high: (high.0 + MARGIN, high.1 + MARGIN),
        });
        best.1
    }

    /// Draws lines of text, each with its weight and colour, near `at`, tied to it by a thin line
    /// where they had to move away.
    pub(super) fn label<B: DrawingBackend>(
        &mut self,
        canvas: &mut Canvas<B>,
        at: Point,
        lines: &[(&str, bool, RGBColor)],
    ) -> anyhow::Result<()> {
        const LEADING: f64 = BODY * 1.15;
        const TIED_FROM: f64 = 45.0;
        let look = |bold, color| Type { bold, ..Type::body(color, Align::Center) };
        let mut width: f64 = 0.0;
        for &(text, bold, color) in lines {
            width = width.max(canvas.text_width(text, look(bold, color))?);
        }
        let area = self.place(at, (width, LEADING * lines.len() as f64));
        let near = area.nearest(at);
        if (near.0 - at.0).hypot(near.1 - at.1) > TIED_FROM {
            canvas.line(&[at, near], &Stroke::solid(GREY, 2.0))?;
        }
        canvas.box_filled([area.low, area.high], WHITE, 0.75)?;
        let center = f64::midpoint(area.low.0, area.high.0);
        for (index, &(text, bold, color)) in lines.iter().enumerate() {
            let y = area.low.1 + LEADING * (index as f64 + 0.5);
            canvas.text(text, (center, y), look(bold, legible(color)))?;
        }
        Ok(())
    }

    fn cost(&self, area: &Area) -> f64 {
        const OUTSIDE: f64 = 1e9;
        const ON_A_LABEL: f64 = 1e6;
        const ON_A_LINE: f64 = 60.0;
        let outside = if area.is_within(&self.bounds) { 0.0 } else { OUTSIDE };
        let labels = self.taken.iter().filter(|taken| taken.overlaps(area)).count();
        let lines = self.lines.iter().filter(|&&point| area.contains(point, MARGIN)).count();
        outside + ON_A_LABEL * labels as f64 + ON_A_LINE * lines as f64
    }
}

/// A line's colour for its label: the light ones of the palette are too faint for text.
fn legible(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let [red, green, blue] = [red, green, blue].map(|part| (u16::from(part) * 4 / 5) as u8);
    RGBColor(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_labels_for_one_point_do_not_overlap() {
        let mut placer = Placer::new(Area { low: (0.0, 0.0), high: (2_000.0, 1_000.0) });
        let areas: Vec<Area> =
            (0..16).map(|_| placer.place((1_000.0, 500.0), (180.0, 60.0))).collect();
        for (index, area) in areas.iter().enumerate() {
            assert!(areas[..index].iter().all(|other| !other.overlaps(area)), "{index}");
        }
    }
}
