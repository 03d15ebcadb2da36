//! A drawing surface in logical pixels, over any backend of plotters, and the one style of all
//! plots: colours, markers, font sizes.

use std::sync::OnceLock;

use anyhow::{anyhow, bail};
use plotters::backend::DrawingBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{DashedPathElement, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{
    Color, FontDesc, FontFamily, FontStyle, RGBColor, ShapeStyle, TextStyle, register_font,
};

pub(super) type Point = (f64, f64);

pub(super) const WHITE: RGBColor = RGBColor(255, 255, 255);
pub(super) const INK: RGBColor = RGBColor(34, 34, 34);
pub(super) const GREY: RGBColor = RGBColor(102, 102, 102);
pub(super) const GRID: RGBColor = RGBColor(230, 230, 230);
/// Okabe and Ito, "Color Universal Design", 2008; grey for their yellow, too light for lines.
pub(super) const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
    RGBColor(136, 136, 136),
];

/// Type sizes, in logical pixels per em.
pub(super) const TITLE: f64 = 46.0;
pub(super) const BODY: f64 = 29.0;
const BODY_MIN: f64 = 22.0;

/// What plotters calls the size of a font is its line height; Go's em is this much smaller.
const LINE_PER_EM: f64 = 1.24;
pub(super) const MARKER_RADIUS: f64 = 11.0;

/// SVG viewers pick the first of these that they have; bitmaps use the registered Go fonts, under
/// the same name because plotters knows a font by it.
const FAMILY: &str = "Go, Helvetica, Arial, sans-serif";
static REGULAR: &[u8] = include_bytes!("../../assets/Go-Regular-subset.ttf");
static BOLD: &[u8] = include_bytes!("../../assets/Go-Bold-subset.ttf");

/// A line's look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stroke {
    pub(super) color: RGBColor,
    pub(super) opacity: f64,
    pub(super) width: f64,
    /// Lengths of dash and gap.
    pub(super) dash: Option<(f64, f64)>,
}

impl Stroke {
    pub(super) fn solid(color: RGBColor, width: f64) -> Self {
        Self { color, opacity: 1.0, width, dash: None }
    }
}

/// Where a text stands relative to its point; vertically it is always centred on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Center,
    Right,
}

/// A text's look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    pub(super) size: f64,
    pub(super) bold: bool,
    pub(super) color: RGBColor,
    pub(super) align: Align,
}

impl Type {
    pub(super) fn body(color: RGBColor, align: Align) -> Self {
        Self { size: BODY, bold: false, color, align }
    }

    fn font(self, scale: f64) -> FontDesc<'static> {
        let style = if self.bold { FontStyle::Bold } else { FontStyle::Normal };
        FontDesc::new(FontFamily::Name(FAMILY), self.size * LINE_PER_EM * scale, style)
    }
}

/// The surface.
pub(super) struct Canvas<B: DrawingBackend> {
    area: DrawingArea<B, Shift>,
    scale: f64,
    /// What centring leaves to be corrected, in em: plotters' bitmaps and SVG do it differently.
    nudge_em: f64,
}

impl<B: DrawingBackend> Canvas<B> {
    /// A white canvas; `scale` device pixels make a logical one.
    pub(super) fn new(backend: B, scale: u32) -> anyhow::Result<Self> {
        register_fonts()?;
        let area = backend.into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        // SVG centres on the x-height by itself; a bitmap's box ends above the baseline.
        let nudge_em = if scale == 1 { 0.08 } else { 0.24 };
        Ok(Self { area, scale: f64::from(scale), nudge_em })
    }

    /// Hands everything drawn to the backend.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.area.present().map_err(failed)
    }

    fn device(&self, (x, y): Point) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn style(&self, stroke: &Stroke) -> ShapeStyle {
        stroke
            .color
            .mix(stroke.opacity)
            .stroke_width((stroke.width * self.scale).round().max(1.0) as u32)
    }

    pub(super) fn line(&mut self, points: &[Point], stroke: &Stroke) -> anyhow::Result<()> {
        let mut path: Vec<(i32, i32)> = points.iter().map(|&point| self.device(point)).collect();
        path.dedup();
        // plotters divides by the length of a line.
        if path.len() < 2 {
            return Ok(());
        }
        let style = self.style(stroke);
        match stroke.dash {
            None => self.area.draw(&PathElement::new(path, style)).map_err(failed),
            Some((dash, gap)) => {
                let [dash, gap] = [dash, gap].map(|length| (length * self.scale) as i32);
                self.area.draw(&DashedPathElement::new(path, dash, gap, style)).map_err(failed)
            }
        }
    }

    pub(super) fn box_filled(
        &mut self,
        corners: [Point; 2],
        color: RGBColor,
        opacity: f64,
    ) -> anyhow::Result<()> {
        let corners = corners.map(|corner| self.device(corner));
        self.area.draw(&Rectangle::new(corners, color.mix(opacity).filled())).map_err(failed)
    }

    /// The marker of the `series`-th series; hollow where a point is not to be trusted.
    pub(super) fn marker(
        &mut self,
        at: Point,
        series: usize,
        color: RGBColor,
        hollow: bool,
    ) -> anyhow::Result<()> {
        self.marker_of(at, series, color, (MARKER_RADIUS, hollow))
    }

    /// The same with a radius that is given.
    pub(super) fn marker_of(
        &mut self,
        at: Point,
        series: usize,
        color: RGBColor,
        (radius, hollow): (f64, bool),
    ) -> anyhow::Result<()> {
        self.shape(at, series, radius + 3.0, WHITE)?;
        self.shape(at, series, radius, color)?;
        if hollow {
            self.shape(at, series, radius - 4.5, WHITE)?;
        }
        Ok(())
    }

    fn shape(
        &mut self,
        (x, y): Point,
        series: usize,
        radius: f64,
        color: RGBColor,
    ) -> anyhow::Result<()> {
        /// Corners and the direction of the first, in quarter turns from the right: circle,
        /// square, triangle, diamond, the triangle upside down, pentagon, hexagon, octagon.
        const SHAPES: [(u32, f64); 8] =
            [(48, 0.0), (4, 0.5), (3, -1.0), (4, 0.0), (3, 1.0), (5, -1.0), (6, 0.0), (8, 0.25)];
        let (corners, first) = SHAPES[series % SHAPES.len()];
        // Shapes with few corners look smaller than a circle of the same radius.
        let radius = radius * if corners < 5 { 1.2 } else { 1.0 };
        let outline: Vec<(i32, i32)> = (0..corners)
            .map(|corner| {
                let angle = (first + 4.0 * f64::from(corner) / f64::from(corners))
                    * std::f64::consts::FRAC_PI_2;
                self.device((x + radius * angle.cos(), y + radius * angle.sin()))
            })
            .collect();
        self.area.draw(&Polygon::new(outline, color.filled())).map_err(failed)
    }

    pub(super) fn text(&mut self, text: &str, (x, y): Point, look: Type) -> anyhow::Result<()> {
        let h_pos = match look.align {
            Align::Left => HPos::Left,
            Align::Center => HPos::Center,
            Align::Right => HPos::Right,
        };
        let style = TextStyle::from(look.font(self.scale))
            .color(&look.color)
            .pos(Pos::new(h_pos, VPos::Center));
        let at = self.device((x, y + self.nudge_em * look.size));
        self.area.draw_text(text, &style, at).map_err(failed)
    }

    pub(super) fn text_width(&self, text: &str, look: Type) -> anyhow::Result<f64> {
        let (width, _) = look
            .font(self.scale)
            .box_size(text)
            .map_err(|error| anyhow!("cannot measure a text: {error}"))?;
        Ok(f64::from(width) / self.scale)
    }

    /// A text of any length within `width`: smaller first, then cut with an ellipsis.
    pub(super) fn text_within(
        &mut self,
        text: &str,
        at: Point,
        width: f64,
        mut look: Type,
    ) -> anyhow::Result<()> {
        // A thousand characters are far wider than any plot; longer ones are not measured.
        let mut shown: String = text.chars().filter(|c| !c.is_control()).take(1_000).collect();
        while self.text_width(&shown, look)? > width && look.size > BODY_MIN {
            look.size -= 1.0;
        }
        let mut cut = shown.clone();
        while self.text_width(&cut, look)? > width && shown.pop().is_some() {
            cut = format!("{}…", shown.trim_end());
        }
        self.text(&cut, at, look)
    }
}

fn register_fonts() -> anyhow::Result<()> {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    let registered = REGISTERED.get_or_init(|| {
        register_font(FAMILY, FontStyle::Normal, REGULAR).is_ok()
            && register_font(FAMILY, FontStyle::Bold, BOLD).is_ok()
    });
    if !registered {
        bail!("the fonts that this program was built with are damaged");
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
