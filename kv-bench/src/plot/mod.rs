//! Plots of a result, for papers and talks: PNG and SVG from the same drawing.
//!
//! Colours are Okabe and Ito's, told apart by every kind of eye; markers and dashes say the same
//! again for black and white. Labels stand at the lines, not in a legend.

mod achieved;
mod axis;
mod canvas;
mod frame;
mod labels;
mod latency;
mod load_latency;
mod loads;
mod over_time;
mod spectrum;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::anyhow;
use hdrhistogram::Histogram;
use plotters::backend::{BitMapBackend, DrawingBackend, SVGBackend};

use self::canvas::Canvas;
use crate::result::RunResult;

/// The distributions of a result by tag (`GET-service`), in nanoseconds.
pub type Histograms = BTreeMap<String, Histogram<u64>>;

/// PNGs are drawn this much larger and averaged down: the backend places everything on whole
/// pixels, and smooths lines along one axis only.
const OVERSAMPLE: u32 = 2;

/// The names of all plots' files, without extension.
pub(crate) const NAMES: [&str; 4] =
    ["latency-vs-throughput", "achieved-vs-offered", "percentiles", "over-time"];

/// A plot that is ready to be drawn.
#[derive(Debug)]
pub struct Figure(Kind);

#[derive(Debug)]
enum Kind {
    Latency(latency::Plot),
    LoadLatency(load_latency::Plot),
    Achieved(achieved::Plot),
    Spectrum(spectrum::Plot),
    OverTime(over_time::Plot),
}

/// The plots that `result` has data for, each with the name of its file without extension.
pub fn figures(result: &RunResult, histograms: &Histograms) -> Vec<(&'static str, Figure)> {
    let latency = match result.open_curve {
        Some(_) => load_latency::Plot::new(result).map(Kind::LoadLatency),
        None => latency::Plot::new(result).map(Kind::Latency),
    };
    let achieved = achieved::Plot::new(result).map(Kind::Achieved);
    let spectrum = spectrum::Plot::new(result, histograms).map(Kind::Spectrum);
    let over_time = over_time::Plot::new(result).map(Kind::OverTime);
    NAMES
        .into_iter()
        .zip([latency, achieved, spectrum, over_time])
        .filter_map(|(name, kind)| Some((name, Figure(kind?))))
        .collect()
}

impl Figure {
    /// The plot as an SVG document.
    ///
    /// # Errors
    /// When the drawing library fails, which no data should make it do.
    pub fn svg(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        self.draw(SVGBackend::with_string(&mut text, self.size()), 1)?;
        Ok(text)
    }

    /// Writes the plot to `path`, which must end in `.png`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn png(&self, path: &Path) -> anyhow::Result<()> {
        let size = self.size();
        let large = (size.0 * OVERSAMPLE, size.1 * OVERSAMPLE);
        let mut pixels = vec![0; 3 * (large.0 * large.1) as usize];
        self.draw(BitMapBackend::with_buffer(&mut pixels, large), OVERSAMPLE)?;
        let small = average_down(&pixels, large.0 as usize);
        let mut image = BitMapBackend::new(path, size);
        image
            .blit_bitmap((0, 0), size, &small)
            .and_then(|()| image.present())
            .map_err(|error| anyhow!("cannot write the image: {error}"))
    }

    /// Text is legible at half of this.
    fn size(&self) -> (u32, u32) {
        match &self.0 {
            Kind::Latency(_) => latency::SIZE,
            Kind::LoadLatency(_) | Kind::Achieved(_) => loads::SIZE,
            Kind::Spectrum(_) => spectrum::SIZE,
            Kind::OverTime(_) => over_time::SIZE,
        }
    }

    fn draw<B: DrawingBackend>(&self, backend: B, scale: u32) -> anyhow::Result<()> {
        let mut canvas = Canvas::new(backend, scale)?;
        match &self.0 {
            Kind::Latency(plot) => plot.draw(&mut canvas)?,
            Kind::LoadLatency(plot) => plot.draw(&mut canvas)?,
            Kind::Achieved(plot) => plot.draw(&mut canvas)?,
            Kind::Spectrum(plot) => plot.draw(&mut canvas)?,
            Kind::OverTime(plot) => plot.draw(&mut canvas)?,
        }
        canvas.finish()
    }
}

/// An RGB image at half its size: each pixel the mean of the four it covers.
fn average_down(rgb: &[u8], width: usize) -> Vec<u8> {
    let row_bytes = width * 3;
    let mut out = Vec::with_capacity(rgb.len() / 4);
    for rows in rgb.chunks_exact(2 * row_bytes) {
        let (upper, lower) = rows.split_at(row_bytes);
        for (above, below) in upper.chunks_exact(6).zip(lower.chunks_exact(6)) {
            for channel in 0..3 {
                let sum = [above[channel], above[channel + 3], below[channel], below[channel + 3]]
                    .map(u16::from)
                    .iter()
                    .sum::<u16>();
                out.push(((sum + 2) / 4) as u8);
            }
        }
    }
    out
}
