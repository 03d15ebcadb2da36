//! What is to be told of a trace that was replayed.

use super::Measurement;
use crate::number::{decimal, grouped};
use crate::result::TraceReplay;
use crate::scenario::plural;
use crate::trace::left_out_names;
use crate::trust::SUSTAINED;

impl Measurement {
    /// As a result records it.
    pub(crate) fn trace_replay(&self) -> Option<TraceReplay> {
        let replayed = self.measured.replayed.as_ref()?;
        let (tally, counts) = (&replayed.tally, &self.measured.counts);
        Some(TraceReplay {
            lines: tally.lines,
            operations: replayed.operations,
            bad_lines: tally.bad,
            first_bad_lines: tally.problems.clone(),
            left_out: tally.left_out.clone(),
            times_backwards: tally.backwards,
            waits_for_reader: counts.hungers,
            wait_for_reader_s: counts.hungry_ns as f64 / 1e9,
        })
    }

    /// Why it could not be read to its end.
    pub(crate) fn lost_trace(&self) -> Option<String> {
        self.measured.replayed.as_ref()?.failure.clone()
    }

    /// What the reader should know of it.
    pub(super) fn trace_warnings(&self) -> Vec<String> {
        let Some(replayed) = &self.measured.replayed else { return Vec::new() };
        let tally = &replayed.tally;
        let bad = (tally.bad > 0).then(|| {
            format!(
                "{} of the trace's {} lines are bad and were passed over: {}{}",
                grouped(tally.bad),
                grouped(tally.lines),
                tally.problems.join("; "),
                if tally.bad > tally.problems.len() as u64 { "; ..." } else { "" }
            )
        });
        let left_out: u64 = tally.left_out.values().sum();
        let left_out = (left_out > 0).then(|| {
            let names = left_out_names(tally);
            format!("{} of the trace left out: {names}", plural(left_out, "operation"))
        });
        let backwards = (tally.backwards > 0).then(|| {
            format!(
                "{} in the trace had a time before that of the line before, and were taken to be of \
                 that time",
                plural(tally.backwards, "line")
            )
        });
        bad.into_iter().chain(left_out).chain(backwards).collect()
    }
}

/// Why the run was broken off, when operations waited for too long.
pub(super) fn trace_overflow(speed: f64, asked_ops_s: Option<f64>, achieved_ops_s: f64) -> String {
    let achieved = grouped(achieved_ops_s as u64);
    let (answered, slower) = match asked_ops_s {
        Some(asked_ops_s) => {
            let lower = speed * SUSTAINED * (achieved_ops_s / asked_ops_s).min(1.0);
            (
                format!(
                    "{achieved} of the {} ops/s that it has at this speed",
                    grouped(asked_ops_s as u64)
                ),
                format!("--trace-speed {}", decimal(lower.max(0.001), 3)),
            )
        }
        None => (format!("{achieved} ops/s"), "a lower --trace-speed".to_owned()),
    };
    format!(
        "operations of the trace had waited for more than 10 s, and no more could: the servers answered \
         {answered}; ask for {slower}, or, if the servers are not busy, for more --clients or a --pipeline"
    )
}
