//! What the generator costs: its clock, its recording, an operation as a whole.

use std::time::Duration;

use super::check::Check;
use super::rig::Rig;
use crate::driver::clock::now_ns;
use crate::machine;
use crate::number::{duration, short};
use crate::recorder::{Latencies, Recorder};
use crate::result::Selftest;
use crate::workload::Kind;

/// Two readings of the clock per operation must not be felt; a system call would be ten times this.
const CLOCK_NS_MAX: f64 = 100.0;
const RECORDING_NS_MAX: f64 = 30.0;

/// The best of so many batches: what disturbs only adds.
const BATCHES: usize = 9;
const BATCH: u64 = 50_000;

const PIPELINES: [u32; 3] = [1, 16, 64];
const CEILING_TIME: Duration = Duration::from_millis(500);

/// Nanoseconds per call of what is called with the numbers of a batch.
fn cost_ns(mut call: impl FnMut(u64)) -> f64 {
    let batch_ns = |_| {
        let begin_ns = now_ns();
        (0..BATCH).for_each(&mut call);
        now_ns() - begin_ns
    };
    (0..BATCHES).map(batch_ns).min().unwrap_or(0) as f64 / BATCH as f64
}

pub(super) fn clock(summary: &mut Selftest) -> Check {
    summary.clock_ns = cost_ns(|_| {
        std::hint::black_box(now_ns());
    });
    let source = machine::clocksource().unwrap_or_else(|| "unknown".to_owned());
    Check::judged(
        "clock",
        format!("{:.0} ns to read it (source: {source})", summary.clock_ns),
        summary.clock_ns <= CLOCK_NS_MAX,
        format!("at most {CLOCK_NS_MAX:.0} ns; a clock that needs a system call is slower"),
    )
}

/// Latencies over many of the histogram's counters, as they come.
pub(super) fn recording(summary: &mut Selftest) -> Check {
    let latency_ns = |number: u64| 30_000 + (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44);
    let mut recorder = Recorder::default();
    summary.recording_ns =
        cost_ns(|number| recorder.success(Kind::Get, Some(true), latency_ns(number)));
    let mut recorder =
        Recorder { latencies: Box::new(Latencies::new(true)), ..Recorder::default() };
    let open_ns = cost_ns(|number| {
        let latency_ns = latency_ns(number);
        recorder.success(Kind::Get, Some(true), latency_ns);
        recorder.scheduled(Some(Kind::Get), latency_ns + number % 1_000, number % 1_000);
    });
    Check::judged(
        "recording",
        format!(
            "{:.0} ns an operation, {open_ns:.0} ns with the three times of an open loop",
            summary.recording_ns
        ),
        summary.recording_ns <= RECORDING_NS_MAX,
        format!("at most {RECORDING_NS_MAX:.0} ns"),
    )
}

/// How fast one worker is when the server does nothing: a server that is faster cannot be measured
/// with one.
pub(super) fn ceiling(rig: &Rig, summary: &mut Selftest) -> anyhow::Result<Check> {
    let mut texts = Vec::new();
    for pipeline in PIPELINES {
        let measured = rig.closed(pipeline, CEILING_TIME)?;
        let operations = measured.counts.attempted();
        let spent_ns: u64 = measured.outcomes.iter().map(|outcome| outcome.effort.cpu_ns).sum();
        let wall_ns = measured.end_ns - measured.start_ns;
        let cpu_us = spent_ns as f64 / 1e3 / operations.max(1) as f64;
        let ops_s = operations as f64 * 1e9 / wall_ns as f64;
        if pipeline == PIPELINES[0] {
            summary.cpu_us = cpu_us;
        }
        summary.ceiling_ops_s = ops_s;
        let processor = duration(cpu_us);
        texts.push(format!("{}/s at pipeline {pipeline} ({processor})", short(ops_s)));
    }
    let figures = format!(
        "one worker does {}; in parentheses the processor time of one operation",
        texts.join(", ")
    );
    Ok(Check::told("ceiling", figures))
}
