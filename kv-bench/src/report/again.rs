//! `kv-bench report`: a result that is there, rendered again. Nothing is measured.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;

use super::file::{self, STANDARD_OUTPUT};
use super::{csv, decode_all, draw_all, file_stem, hgrm, hlog, json, markdown};
use super::{memtier, redis_benchmark, text, ycsb};
use crate::args::{Format, ReportArgs};
use crate::interval_log::IntervalLog;
use crate::percentiles::add;
use crate::plot::{self, Histograms};
use crate::recorder::histogram;
use crate::result::{Interval, RunResult};

/// Reads the result that `args` names, and writes what is made of it.
///
/// # Errors
/// When the result cannot be read, does not hold what the format needs, or the output cannot be
/// written; names the file.
pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let path =
        if args.result.is_dir() { args.result.join("result.json") } else { args.result.clone() };
    let result = json::load(&path)?;
    let out = args.out.as_deref().filter(|out| *out != Path::new("-"));
    let folder = folder_of(out.filter(|out| !file::is_stream(out)).unwrap_or(&path));
    if args.plots {
        let histograms = decode_all(&result)?;
        let figures = plot::figures(&result, &histograms);
        if figures.is_empty() {
            bail!("{} holds nothing that could be drawn", path.display());
        }
        for (_, drawn) in draw_all(&figures, &folder) {
            drawn?;
        }
    }
    let text = render(&result, args, &folder)
        .with_context(|| format!("cannot make that of {}", path.display()))?;
    file::replace_with(out.unwrap_or(Path::new(STANDARD_OUTPUT)), text)
}

fn folder_of(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new(".")).to_owned()
}

fn render(result: &RunResult, args: &ReportArgs, folder: &Path) -> anyhow::Result<Vec<u8>> {
    Ok(match args.format {
        Format::Table => text::summary(result).into_bytes(),
        Format::Markdown => markdown::page(result, &names(folder)?).into_bytes(),
        Format::Json => json::text(result)?.into_bytes(),
        Format::Csv => csv::of(result)?,
        Format::Memtier => memtier::text(result)?.into_bytes(),
        Format::RedisBenchmark => redis_benchmark::table(result)?,
        Format::Ycsb => ycsb::text(result).into_bytes(),
        Format::Hgrm => hgrm::text(&distribution(result, args.tag.as_deref())?).into_bytes(),
        Format::Hlog => hlog_of(result)?,
    })
}

/// The files of a run that are in `folder`, as its page lists them.
fn names(folder: &Path) -> anyhow::Result<Vec<String>> {
    let known = ["result.json", "points.csv", super::LATENCIES].map(str::to_owned);
    let plots = plot::NAMES.iter().flat_map(|n| [format!("{n}.svg"), format!("{n}.png")]);
    let mut names: Vec<String> = known.into_iter().chain(plots).collect();
    names.retain(|name| folder.join(name).is_file());
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read the folder {}", folder.display()))?;
    let found = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut distributions: Vec<String> = found.filter(|n| super::is_distribution(n)).collect();
    distributions.sort();
    names.extend(distributions);
    Ok(names)
}

/// The distribution with that tag, or of all successes.
fn distribution(result: &RunResult, tag: Option<&str>) -> anyhow::Result<Histogram<u64>> {
    let histograms = decode_all(result)?;
    let Some(all) = all(&histograms) else { bail!("it holds no distribution in full") };
    let Some(tag) = tag else { return Ok(all) };
    histograms.get(tag).cloned().with_context(|| {
        let known: Vec<String> = histograms.keys().map(|tag| file_stem(tag)).collect();
        format!("it has no distribution {tag:?}; --tag may be one of {}", known.join(", "))
    })
}

/// All successes together, by response time where there are such.
fn all(histograms: &Histograms) -> Option<Histogram<u64>> {
    let of = |time: &str| {
        let mut parts = histograms.iter().filter_map(|(tag, histogram)| {
            let kind = tag.strip_suffix(time)?.strip_suffix('-')?;
            (kind != "ERROR").then_some(histogram)
        });
        let mut sum = histogram();
        add(&mut sum, parts.next()?);
        parts.for_each(|part| add(&mut sum, part));
        Some(sum)
    };
    of("response").or_else(|| of("service"))
}

/// The log with each distribution as one interval that lasts all of the run.
fn hlog_of(result: &RunResult) -> anyhow::Result<Vec<u8>> {
    let interval = |(tag, histogram): (String, Histogram<u64>)| Interval {
        histogram: result.histograms[&tag].clone(),
        tag,
        start_s: 0.0,
        length_s: result.headline.duration_s,
        max_ns: histogram.max(),
    };
    let intervals: IntervalLog = decode_all(result)?.into_iter().map(interval).collect();
    let mut out = Vec::new();
    hlog::write(&mut out, &intervals, &result.started_at)?;
    Ok(out)
}
