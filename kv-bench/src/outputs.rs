//! Where results go, made and tried before anything is measured.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::args::OutputArgs;
use crate::interval_log::IntervalLog;
use crate::report;
use crate::result::RunResult;
use crate::scenario::ScenarioError;

/// Refuses places that nobody can have meant: a folder of other things, which results would bury, or
/// a folder where a file is to be.
///
/// # Errors
///
/// Names the flag and a place that would do. What cannot be read is left to [`Outputs::prepare`].
pub(crate) fn check(args: &OutputArgs) -> Result<(), ScenarioError> {
    let refused = |flag, place: &Path, problem| {
        Err(ScenarioError::Value { flag, value: place.display().to_string(), problem })
    };
    if let Some(dir) = args.out.as_deref().filter(|dir| *dir == Path::new("-")) {
        let problem = "a folder is meant here: name one, such as --out run-1 (the result alone goes \
                       to standard output with --json -)";
        return refused("out", dir, problem.to_owned());
    }
    // A folder in the place of the result is complained of when that is to be written.
    let is_ours = |place: PathBuf| place.is_dir() || report::json::is_result(&place);
    if let Some(dir) = &args.out
        && !is_ours(dir.join("result.json"))
        && let Some(other) = fs::read_dir(dir).ok().and_then(|mut names| names.next()?.ok())
    {
        let other = other.file_name();
        let problem = format!(
            "this folder holds other things than a result ({}, ...): name a new one, such as --out {}",
            other.display(),
            dir.join("run-1").display()
        );
        return refused("out", dir, problem);
    }
    match &args.json {
        Some(file) if file.is_dir() => {
            let problem = "it is a folder; name a file in it, such as result.json".to_owned();
            refused("json", file, problem)
        }
        _ => Ok(()),
    }
}

/// Where run folders are made unless `--out` says otherwise.
const RESULTS: &str = "results";

/// The run's folder and the extra JSON file.
pub(crate) struct Outputs {
    dir: PathBuf,
    /// The folders made for this run, the innermost first.
    made: Vec<PathBuf>,
    json: Option<PathBuf>,
    plots: bool,
}

impl Outputs {
    /// Makes the folder and checks that everything can be written.
    ///
    /// # Errors
    ///
    /// Names the flag and the path that cannot be written.
    pub(crate) fn prepare(
        args: &OutputArgs,
        subcommand: &str,
        plots: bool,
    ) -> anyhow::Result<Self> {
        let name = args.name.as_deref().unwrap_or(subcommand);
        let refused = |dir: &Path| {
            format!("cannot write results to {} (choose another --out)", dir.display())
        };
        // A pipe would wait for its reader: it is tried when there is something to write.
        let json = args.json_file();
        if let Some(file) = json.filter(|file| !report::is_stream(file)) {
            let place = report::followed(file);
            let parent = place.parent().filter(|p| !p.as_os_str().is_empty());
            try_write(parent.unwrap_or(Path::new(".")))
                .with_context(|| format!("cannot write --json {}", file.display()))?;
        }
        let wanted = args.out.as_deref().unwrap_or(Path::new(RESULTS));
        let is_new = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
        let mut made: Vec<PathBuf> =
            wanted.ancestors().take_while(is_new).map(Path::to_owned).collect();
        let dir = match &args.out {
            Some(dir) => {
                fs::create_dir_all(dir).with_context(|| refused(dir))?;
                dir.clone()
            }
            None => {
                let dir = new_folder(Path::new(RESULTS), name, Timestamp::now())?;
                made.insert(0, dir.clone());
                dir
            }
        };
        try_write(&dir).with_context(|| refused(&dir))?;
        Ok(Self { dir, made, json: json.map(Path::to_owned), plots })
    }

    /// Keeps the headline and its latencies over time, which nothing can make again, in the place
    /// of an earlier run's files.
    ///
    /// Those are removed, unless something of this run is there before (`is_first` is false).
    pub(crate) fn begin(
        &self,
        result: &RunResult,
        intervals: &IntervalLog,
        is_first: bool,
    ) -> anyhow::Result<()> {
        let removed = if is_first { report::remove_earlier(&self.dir) } else { Ok(()) };
        let kept = self.keep(result);
        // What cannot be made again is tried whatever else fails.
        report::write_latencies(result, intervals, &self.dir)?;
        kept.and(removed)
    }

    /// Keeps one of several measurements in a file of its own, the first in the place of an earlier
    /// run's files.
    pub(crate) fn keep_repeat(
        &self,
        file: &str,
        is_first: bool,
        result: &RunResult,
    ) -> anyhow::Result<()> {
        let removed = if is_first { report::remove_earlier(&self.dir) } else { Ok(()) };
        report::json::write(result, &self.dir.join(file)).and(removed)
    }

    /// Keeps what there is so far: whatever fails later, it is not lost.
    pub(crate) fn keep(&self, result: &RunResult) -> anyhow::Result<()> {
        let kept = report::json::write(result, &self.dir.join("result.json"));
        match &self.json {
            // A stream gets one result, the last.
            Some(file) if !report::is_stream(file) => kept.and(report::json::write(result, file)),
            _ => kept,
        }
    }

    /// Writes everything and returns the folder. One place that cannot be written spares the other.
    pub(crate) fn write(
        &self,
        result: &RunResult,
        intervals: &IntervalLog,
    ) -> anyhow::Result<&Path> {
        let extra = self.json.as_ref().map_or(Ok(()), |file| report::json::write(result, file));
        report::write_all(result, intervals, &self.dir, self.plots)?;
        extra?;
        Ok(&self.dir)
    }

    /// Removes the folders that were made, if nothing was put into them.
    pub(crate) fn discard(&self) {
        for dir in &self.made {
            // A folder with anything in it is not removed.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Makes `results/20261123T003611Z-curve`, with a number if another run has taken that name.
fn new_folder(results: &Path, name: &str, now: Timestamp) -> anyhow::Result<PathBuf> {
    let first = format!("{}-{name}", now.strftime("%Y%m%dT%H%M%SZ"));
    let refused = |path: &Path| format!("cannot make {} (choose an --out)", path.display());
    fs::create_dir_all(results).with_context(|| refused(results))?;
    let mut path = results.join(&first);
    for number in 2u32.. {
        // Made and not looked for: of two runs that begin together, one is told that it exists.
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                path = results.join(format!("{first}-{number}"));
            }
            made => {
                made.with_context(|| refused(&path))?;
                break;
            }
        }
    }
    Ok(path)
}

fn try_write(dir: &Path) -> std::io::Result<()> {
    let file = dir.join(format!(".kv-bench-{}", std::process::id()));
    fs::write(&file, b"")?;
    fs::remove_file(&file)
}
