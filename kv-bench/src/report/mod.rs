//! A run folder: one result, written in every form that people and tools read.
//!
//! | file | for |
//! |---|---|
//! | `result.json` | programs; `kv-bench report` makes everything else from it |
//! | `repeat-<n>.json` | the same of each measurement, where there were several |
//! | `points.csv` | spreadsheets and scripts: one row per point of the curve |
//! | `latency.hlog` | HdrHistogram tools: latencies over time, one line per interval and tag |
//! | `<tag>_us.hgrm` | HdrHistogram's plotter: one percentile distribution each, in microseconds |
//! | `latency-vs-throughput`, `percentiles`, `over-time` | papers and talks, as `.png` and `.svg` |
//! | `report.md` | people |

pub mod json;
pub mod text;

mod again;
mod csv;
pub(crate) mod describe;
mod faults;
mod file;
mod hgrm;
mod histogram;
mod hlog;
mod markdown;
mod memtier;
pub(crate) mod open_curve;
mod redis_benchmark;
pub(crate) mod search;
mod tables;
mod verification;
mod ycsb;

pub(crate) use again::run as again;
pub(crate) use file::{STANDARD_OUTPUT, followed, is_standard_output, is_stream};
pub use histogram::{decode_histogram, encode_histogram};
pub(crate) use hlog::interval_line;
pub(crate) use verification::wrong_reads;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use rayon::prelude::*;

use crate::interval_log::IntervalLog;
use crate::plot;
use crate::result::RunResult;
use crate::scenario::plural;

const LATENCIES: &str = "latency.hlog";

/// Writes every form of `result` into `dir`, made if need be, and returns their paths, the page for
/// people last. Each file is replaced whole. Plots are left out on request and where there is
/// nothing to draw.
///
/// `result.json` is written first, and a file that cannot be written spares the others.
///
/// # Errors
/// Names the first file that could not be written and says how many others could not, or names the
/// histogram that could not be read.
pub fn write_all(
    result: &RunResult,
    intervals: &IntervalLog,
    dir: &Path,
    plots: bool,
) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let mut folder = Folder { dir, names: Vec::new(), failures: Vec::new() };
    folder.add("result.json", |path| json::write(result, path));
    folder.add("points.csv", |path| file::replace_with(path, csv::table(&result.points)?));
    folder.add(LATENCIES, |_| write_latencies(result, intervals, dir));
    let histograms = decode_all(result)?;
    for (tag, histogram) in &histograms {
        let name = format!("{}_us.hgrm", file_stem(tag));
        folder.add(&name, |path| file::replace_with(path, hgrm::text(histogram)));
    }
    if plots {
        let figures = plot::figures(result, &histograms);
        for (name, drawn) in draw_all(&figures, dir) {
            folder.add(&name, |_| drawn);
        }
    }
    let page = markdown::page(result, &folder.names);
    folder.add("report.md", |path| file::replace_with(path, page));
    folder.paths()
}

/// Removes what [`write_all`] wrote into `dir` for an earlier run, so that no file of that one stands
/// beside the files of the next. Other files stay, and so does `result.json`: it is replaced whole.
///
/// # Errors
/// Names the folder that could not be read or the file that could not be removed.
pub fn remove_earlier(dir: &Path) -> anyhow::Result<()> {
    let entries =
        fs::read_dir(dir).with_context(|| format!("cannot read the folder {}", dir.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_plot = plot::NAMES.iter().any(|plot| {
            name.strip_prefix(plot).is_some_and(|form| [".svg", ".png"].contains(&form))
        });
        let is_table = ["points.csv", LATENCIES, "report.md"].contains(&&*name);
        let number = name.strip_prefix("repeat-").and_then(|name| name.strip_suffix(".json"));
        let is_repeat = number.is_some_and(|number| number.parse::<u32>().is_ok());
        if (is_plot || is_table || is_distribution(&name) || is_repeat) && !path.is_dir() {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Whether a file has the name of a distribution of ours.
fn is_distribution(name: &str) -> bool {
    let tag = name.strip_suffix("_us.hgrm").and_then(|tag| tag.split_once('-'));
    tag.is_some_and(|(operation, time)| {
        ["GET", "PUT", "DELETE", "ERROR"].contains(&operation)
            && ["service", "response", "lateness"].contains(&time)
    })
}

/// Writes the latencies over time alone: they cannot be made again from `result`.
///
/// # Errors
/// Names the file that could not be written, and says why the intervals are not all there.
pub fn write_latencies(
    result: &RunResult,
    intervals: &IntervalLog,
    dir: &Path,
) -> anyhow::Result<()> {
    file::write(&dir.join(LATENCIES), |out| hlog::write(out, intervals, &result.started_at))
}

/// Draws each figure in both forms; answers the names of the files, and whether they were written.
fn draw_all(
    figures: &[(&'static str, plot::Figure)],
    dir: &Path,
) -> Vec<(String, anyhow::Result<()>)> {
    // Drawing takes most of the time of a report, and no figure has to do with the others.
    figures.par_iter().flat_map(|(name, figure)| draw(dir, name, figure)).collect()
}

/// Draws one figure in both forms; answers the names of the files, and whether they were written.
fn draw(dir: &Path, name: &str, figure: &plot::Figure) -> [(String, anyhow::Result<()>); 2] {
    let path = |form: &str| dir.join(format!("{name}.{form}"));
    let svg = figure.svg().and_then(|text| file::replace_with(&path("svg"), text));
    let png = file::replace(&path("png"), |temporary| figure.png(temporary));
    [(format!("{name}.svg"), svg), (format!("{name}.png"), png)]
}

/// What is in the run folder so far, and what could not be put into it.
struct Folder<'a> {
    dir: &'a Path,
    names: Vec<String>,
    failures: Vec<anyhow::Error>,
}

impl Folder<'_> {
    fn add(&mut self, name: &str, write: impl FnOnce(&Path) -> anyhow::Result<()>) {
        match write(&self.dir.join(name)) {
            Ok(()) => self.names.push(name.to_owned()),
            Err(error) => self.failures.push(error),
        }
    }

    fn paths(mut self) -> anyhow::Result<Vec<PathBuf>> {
        let others = self.failures.len().saturating_sub(1) as u64;
        match self.failures.drain(..).next() {
            None => Ok(self.names.iter().map(|name| self.dir.join(name)).collect()),
            Some(first) if others == 0 => Err(first),
            Some(first) => {
                bail!("{first:#}; nor could {} be written", plural(others, "other file"))
            }
        }
    }
}

fn decode_all(result: &RunResult) -> anyhow::Result<plot::Histograms> {
    let decode = |(tag, text): (&String, &String)| {
        let histogram = decode_histogram(text).with_context(|| format!("histogram {tag:?}"))?;
        Ok((tag.clone(), histogram))
    };
    result.histograms.iter().map(decode).collect()
}

/// A tag as part of a file name: tags come from files too, and `../x` is not one of ours.
fn file_stem(tag: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    tag.chars().map(safe).collect()
}
