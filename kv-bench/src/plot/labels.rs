//! Labels at the ends of lines: near their point, on nothing else.

use plotters::backend::DrawingBackend;
use plotters::style::RGBColor;

use super::canvas::{Align, BODY, Canvas, GREY, MARKER_RADIUS, Point, Stroke, Type, WHITE};

/// A rectangle by its corners of least and greatest coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    fn nearest(&self, (x, y): Point) -> Point {
        (x.clamp(self.low.0, self.high.0), y.clamp(self.low.1, self.high.1))
    }

    fn distance(&self, point: Point) -> f64 {
        let near = self.nearest(point);
        (near.0 - point.0).hypot(near.1 - point.1)
    }

    fn with_margin(&self) -> Self {
        Self {
            low: (self.low.0 - MARGIN, self.low.1 - MARGIN),
            high: (self.high.0 + MARGIN, self.high.1 + MARGIN),
        }
    }
}

/// A text of one or more lines, each with its weight and colour, for a point.
#[derive(Debug, Clone)]
pub(super) struct Label {
    pub(super) at: Point,
    pub(super) lines: Vec<(String, bool, RGBColor)>,
}

impl Label {
    fn size<B: DrawingBackend>(&self, canvas: &Canvas<B>) -> anyhow::Result<Point> {
        let mut width: f64 = 0.0;
        for (text, bold, color) in &self.lines {
            width = width.max(canvas.text_width(text, look(*bold, *color))?);
        }
        Ok((width, LEADING * self.lines.len() as f64))
    }
}

/// From line to line of a label.
pub(super) const LEADING: f64 = BODY * 1.15;
/// A label further than this from its point needs a line to it.
const TIED_FROM: f64 = 45.0;
/// How far from its point a label may stand.
const DISTANCES: [f64; 9] = [20.0, 34.0, 52.0, 75.0, 105.0, 145.0, 200.0, 270.0, 360.0];

fn look(bold: bool, color: RGBColor) -> Type {
    Type { bold, ..Type::body(legible(color), Align::Center) }
}

/// Puts labels near their points, each where it covers least: no other label, hardly a line.
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

    /// The place of a label of `size` for the point `at` that covers least, of `taken` too, and is
    /// not nearer to one of the points `others`.
    fn place(&self, at: Point, size: Point, taken: &[Area], others: &[Point]) -> Area {
        const DIRECTIONS: u32 = 24;
        const MISLEADING: f64 = 1_500.0;
        let mut best = (f64::INFINITY, Area::around(at, size));
        for distance in DISTANCES {
            for direction in 0..DIRECTIONS {
                let angle = std::f64::consts::TAU * f64::from(direction) / f64::from(DIRECTIONS);
                let (dx, dy) = (angle.cos(), angle.sin());
                let center =
                    (at.0 + dx * (distance + size.0 / 2.0), at.1 + dy * (distance + size.1 / 2.0));
                let area = Area::around(center, size);
                let misleading = if is_misleading(&area, at, others) { MISLEADING } else { 0.0 };
                // To the right reads best: it is where the line would go on.
                let mut cost = self.cost(&area, taken) + misleading + distance * (1.2 - 0.2 * dx);
                // Looking at lines takes most of the time: only for a place that may be better.
                if cost < best.0 {
                    cost += self.cost_of_lines(&area);
                }
                if cost < best.0 {
                    best = (cost, area);
                }
            }
        }
        best.1
    }

    /// Places for all of `labels` together; `None` when one of them cannot stand beside its own
    /// point, clear of the others and of their points.
    pub(super) fn arrange<B: DrawingBackend>(
        &self,
        canvas: &Canvas<B>,
        labels: &[Label],
    ) -> anyhow::Result<Option<Vec<Area>>> {
        /// Labels make room for each other; it takes two rounds, or never ends.
        const ROUNDS: u32 = 6;
        let sizes: Vec<Point> =
            labels.iter().map(|label| label.size(canvas)).collect::<Result<_, _>>()?;
        let others = |index: usize| -> Vec<Point> {
            let rest = labels.iter().enumerate().filter(|&(other, _)| other != index);
            rest.map(|(_, label)| label.at).collect()
        };
        let mut areas: Vec<Option<Area>> = vec![None; labels.len()];
        for _ in 0..ROUNDS {
            let before = areas.clone();
            for (index, label) in labels.iter().enumerate() {
                areas[index] = None;
                let taken: Vec<Area> = areas.iter().flatten().map(Area::with_margin).collect();
                areas[index] = Some(self.place(label.at, sizes[index], &taken, &others(index)));
            }
            if areas == before {
                break;
            }
        }
        let areas: Vec<Area> = areas.into_iter().flatten().collect();
        let is_plain = areas.iter().enumerate().all(|(index, area)| {
            let at = labels[index].at;
            area.distance(at) <= TIED_FROM
                && !is_misleading(area, at, &others(index))
                && areas[..index].iter().all(|other| !other.overlaps(area))
        });
        Ok(is_plain.then_some(areas))
    }

    /// Draws a label where it covers least, tied to its point by a thin line if that is not beside
    /// it.
    pub(super) fn label<B: DrawingBackend>(
        &mut self,
        canvas: &mut Canvas<B>,
        label: &Label,
    ) -> anyhow::Result<()> {
        let area = self.place(label.at, label.size(canvas)?, &self.taken, &[]);
        if area.distance(label.at) > TIED_FROM {
            canvas.line(&[label.at, area.nearest(label.at)], &Stroke::solid(GREY, 2.0))?;
        }
        self.draw(canvas, label, area)
    }

    /// Draws a label at its place, which is taken from then on.
    pub(super) fn draw<B: DrawingBackend>(
        &mut self,
        canvas: &mut Canvas<B>,
        label: &Label,
        area: Area,
    ) -> anyhow::Result<()> {
        self.taken.push(area.with_margin());
        canvas.box_filled([area.low, area.high], WHITE, 0.75)?;
        let center = f64::midpoint(area.low.0, area.high.0);
        for (index, (text, bold, color)) in label.lines.iter().enumerate() {
            let y = area.low.1 + LEADING * (index as f64 + 0.5);
            canvas.text(text, (center, y), look(*bold, *color))?;
        }
        Ok(())
    }

    fn cost(&self, area: &Area, taken: &[Area]) -> f64 {
        const OUTSIDE: f64 = 1e9;
        const ON_A_LABEL: f64 = 1e6;
        let outside = if area.is_within(&self.bounds) { 0.0 } else { OUTSIDE };
        let labels = taken.iter().filter(|taken| taken.overlaps(area)).count();
        outside + ON_A_LABEL * labels as f64
    }

    fn cost_of_lines(&self, area: &Area) -> f64 {
        const ON_A_LINE: f64 = 60.0;
        let lines = self.lines.iter().filter(|&&point| area.contains(point, MARGIN)).count();
        ON_A_LINE * lines as f64
    }
}

/// Whether a label would be read as that of one of `others`, being as near to it as to its own point.
fn is_misleading(area: &Area, at: Point, others: &[Point]) -> bool {
    const CLEARLY: f64 = 4.0;
    let own = area.distance(at);
    others.iter().any(|&other| area.distance(other) < own + CLEARLY)
}

/// A line's colour for its label: the light ones of the palette are too faint for text.
pub(super) fn legible(RGBColor(red, green, blue): RGBColor) -> RGBColor {
    let [red, green, blue] = [red, green, blue].map(|part| (u16::from(part) * 4 / 5) as u8);
    RGBColor(red, green, blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_labels_for_one_point_do_not_overlap() {
        let placer = Placer::new(Area { low: (0.0, 0.0), high: (2_000.0, 1_000.0) });
        let mut areas: Vec<Area> = Vec::new();
        for index in 0..16 {
            let area = placer.place((1_000.0, 500.0), (180.0, 60.0), &areas, &[]);
            assert!(areas.iter().all(|other| !other.overlaps(&area)), "{index}");
            areas.push(area);
        }
    }

    #[test]
    fn a_label_keeps_away_from_the_point_of_another() {
        let placer = Placer::new(Area { low: (0.0, 0.0), high: (2_000.0, 1_000.0) });
        let (at, other) = ((1_000.0, 500.0), (1_080.0, 500.0));
        let area = placer.place(at, (180.0, 60.0), &[], &[other]);
        assert!(area.distance(at) < area.distance(other), "{area:?}");
    }
}
