//! What was typed behind `report`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

const EXAMPLES: &str = "\
Examples:
  kv-bench report results/20261123T003611Z-run
  kv-bench report run-1 --format markdown --plots --out run-1/report.md
  kv-bench report run-1/repeat-2.json --format hgrm --tag GET-response

Exit codes: 0 fine; 1 the result cannot be read or the output written; 2 wrong usage.";

#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportArgs {
    /// A folder of results, or a result.json.
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,

    /// What to make of it.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Table)]
    pub format: Format,

    /// Write it to this file, replaced whole; `-` is standard output, the default.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,

    /// Draw the plots too, beside --out or else beside the result.
    #[arg(long)]
    pub plots: bool,

    /// The distribution that hgrm is of. Default: all successes, by response time in an open loop.
    ///
    /// Valid: an operation and a time, such as `GET-service` or `PUT-response`, or `ERROR-service`.
    #[arg(long, value_name = "TAG")]
    pub tag: Option<String>,
}

impl ReportArgs {
    /// What of it makes no sense together, if anything does.
    pub fn nonsense(&self) -> Option<String> {
        let tag = self.tag.as_ref().filter(|_| self.format != Format::Hgrm)?;
        Some(format!("--tag {tag:?} chooses what --format hgrm is of: give that, or no --tag"))
    }
}

/// Forms of a result. The documentation of each is its help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// As the terminal showed it when the run ended.
    Table,
    /// The page for people, with links to the plots that are in the folder.
    Markdown,
    /// The result itself, with every field that this kv-bench knows.
    Json,
    /// A row for each point of the curve, or one for a run without; no kinds of operation, no errors
    /// by kind.
    Csv,
    /// What `memtier_benchmark` writes with --json-out-file --hide-histogram: service times in ms.
    /// Failed operations are not counted, lateness and trust are left out; bytes were not measured
    /// and are null, and only Totals has a Time-Serie, and knows of other than gets, puts and deletes.
    Memtier,
    /// What `redis-benchmark --csv` prints: service times in ms. A row for each kind of operation, whose
    /// rates add up, since they ran side by side: gets, puts and deletes; no errors, no response times.
    RedisBenchmark,
    /// What YCSB prints: service times in µs, and response times as Intended. Gets are READ, puts
    /// UPDATE; misses are OK; latencies of failures are left out, and so are commands of your own.
    Ycsb,
    /// A percentile distribution for HdrHistogram's plotter, in µs.
    Hgrm,
    /// An interval log of HdrHistogram, in ns: one interval per distribution, the whole run. Shorter ones
    /// are in the folder's latency.hlog and nowhere else.
    Hlog,
}
