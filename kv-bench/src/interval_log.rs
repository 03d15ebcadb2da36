//! The latencies of a run over time, on their way into `latency.hlog`.
//!
//! A second of a run takes some ten kilobytes, a day of it a gigabyte: what is more than a few
//! mebibytes waits in a file without a name in the temporary folder (`TMPDIR`).

use std::io::{self, Seek as _, Write};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow};
use tempfile::SpooledTempFile;

use crate::report::interval_line;
use crate::result::Interval;

const IN_MEMORY: usize = 4 << 20;

/// The intervals of one run in the order in which they ended. Clones are the same log.
#[derive(Debug, Clone)]
pub struct IntervalLog {
    shared: Arc<Mutex<Spool>>,
}

#[derive(Debug)]
struct Spool {
    lines: SpooledTempFile,
    /// Why not all lines are there.
    loss: Option<String>,
}

impl Default for IntervalLog {
    fn default() -> Self {
        let spool = Spool { lines: SpooledTempFile::new(IN_MEMORY), loss: None };
        Self { shared: Arc::new(Mutex::new(spool)) }
    }
}

impl IntervalLog {
    /// Adds an interval. What cannot be kept fails [`IntervalLog::copy_to`], not the run.
    pub fn push(&mut self, interval: &Interval) {
        let mut spool = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if spool.loss.is_some() {
            return;
        }
        let kept = interval_line(interval)
            .and_then(|line| spool.lines.write_all(line.as_bytes()).context(TEMPORARY));
        spool.loss = kept.err().map(|error| format!("{error:#}"));
    }

    /// Writes one line for each interval, without what stands before the first.
    ///
    /// # Errors
    /// When `out` fails, when a tag is one that the format cannot hold, and when the temporary file
    /// could not take, or does not give back, what it was given.
    pub fn copy_to(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut spool = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loss) = &spool.loss {
            return Err(anyhow!("{loss}"));
        }
        let lines = &mut spool.lines;
        lines.rewind().context(TEMPORARY)?;
        let copied = io::copy(lines, out);
        // The next interval belongs behind the last.
        lines.seek(io::SeekFrom::End(0)).context(TEMPORARY)?;
        copied.map(drop).map_err(Into::into)
    }
}

const TEMPORARY: &str = "the temporary file of latencies over time (TMPDIR says where)";

impl FromIterator<Interval> for IntervalLog {
    fn from_iter<I: IntoIterator<Item = Interval>>(intervals: I) -> Self {
        let mut log = Self::default();
        intervals.into_iter().for_each(|interval| log.push(&interval));
        log
    }
}
