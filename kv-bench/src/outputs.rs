//! Where results go, made and tried before anything is measured.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::args::OutputArgs;
use crate::report;
use crate::result::{Interval, RunResult};

/// The run's folder and the extra JSON file.
pub(crate) struct Outputs {
    dir: PathBuf,
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
        let dir = match &args.out {
            Some(dir) => {
                fs::create_dir_all(dir).with_context(|| refused(dir))?;
                dir.clone()
            }
            None => new_folder(Path::new("results"), name, Timestamp::now())?,
        };
        try_write(&dir).with_context(|| refused(&dir))?;
        // A pipe would wait for its reader: it is tried when there is something to write.
        if let Some(file) = args.json.as_ref().filter(|file| !report::is_stream(file)) {
            let place = report::followed(file);
            let parent = place.parent().filter(|p| !p.as_os_str().is_empty());
            if file.is_dir() {
                bail!("--json {}: it is a folder; name a file in it", file.display());
            }
            try_write(parent.unwrap_or(Path::new(".")))
                .with_context(|| format!("cannot write --json {}", file.display()))?;
        }
        Ok(Self { dir, json: args.json.clone(), plots })
    }

    /// Keeps the headline and its latencies over time, which nothing can make again, in the place
    /// of an earlier run's files.
    pub(crate) fn begin(&self, result: &RunResult, intervals: &[Interval]) -> anyhow::Result<()> {
        let removed = report::remove_earlier(&self.dir);
        self.keep(result)?;
        report::write_latencies(result, intervals, &self.dir)?;
        removed
    }

    /// Keeps what there is so far: whatever fails later, it is not lost.
    pub(crate) fn keep(&self, result: &RunResult) -> anyhow::Result<()> {
        report::json::write(result, &self.dir.join("result.json"))?;
        match &self.json {
            // A stream gets one result, the last.
            Some(file) if !report::is_stream(file) => report::json::write(result, file),
            _ => Ok(()),
        }
    }

    /// Writes everything and returns the folder. One place that cannot be written spares the other.
    pub(crate) fn write(
        &self,
        result: &RunResult,
        intervals: &[Interval],
    ) -> anyhow::Result<&Path> {
        let extra = self.json.as_ref().map_or(Ok(()), |file| report::json::write(result, file));
        report::write_all(result, intervals, &self.dir, self.plots)?;
        extra?;
        Ok(&self.dir)
    }

    /// Removes the folder if nothing was put into it.
    pub(crate) fn discard(&self) {
        // A folder with anything in it is not removed.
        let _ = fs::remove_dir(&self.dir);
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
