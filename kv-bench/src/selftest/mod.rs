//! `kv-bench selftest`: what this generator costs, can do and sees on this machine.
//!
//! ```text
//! Rig (one worker, a server that does nothing) ─▶ Check × 8 ─▶ lines, exit code
//!                                                     └──────▶ Selftest ─▶ memory ─▶ results
//! ```
//!
//! The summary is kept in the user's cache folder, and each later result of the same version on the
//! same machine carries it.

mod check;
mod costs;
mod laws;
mod memory;
mod null_server;
mod rig;
mod timing;

use std::process::ExitCode;

use jiff::Timestamp;

use crate::args::SelftestArgs;
use crate::machine;
use crate::progress::{complain, say};
use crate::result::Selftest;
use check::{Check, Verdict};
pub(crate) use memory::remembered;
use rig::Rig;

/// Something failed.
const FAILED: u8 = 1;

/// Runs every check and says what it found.
///
/// # Errors
///
/// When a check could not be made.
pub(crate) fn run(args: &SelftestArgs) -> anyhow::Result<ExitCode> {
    let mut summary = Selftest {
        at: Timestamp::now().to_string(),
        machine: machine::fingerprint(),
        failed: Vec::new(),
        clock_ns: 0.0,
        recording_ns: 0.0,
        cpu_us: 0.0,
        ceiling_ops_s: 0.0,
        lateness_p50_us: 0.0,
        lateness_p99_us: 0.0,
    };
    say("kv-bench selftest: this generator on this machine, in about 10 s\n")?;
    let rig = Rig::new(args.seed)?;
    let summary_ref = &mut summary;
    let mut failed = Vec::new();
    let mut tell = |check: Check| {
        if check.verdict == Verdict::Failed {
            failed.push(check.name.to_owned());
        }
        say(check.line())
    };
    tell(costs::clock(summary_ref))?;
    tell(costs::recording(summary_ref))?;
    tell(laws::arrivals(&rig)?)?;
    tell(laws::keys(&rig))?;
    tell(costs::ceiling(&rig, summary_ref)?)?;
    tell(timing::punctuality(&rig, summary_ref)?)?;
    tell(timing::pace(&rig)?)?;
    tell(timing::stall(&rig)?)?;
    summary.failed = failed;
    conclude(&summary)
}

fn conclude(summary: &Selftest) -> anyhow::Result<ExitCode> {
    match memory::keep(summary) {
        Ok(path) => say(format!("kept in {}; results from now on say so\n", path.display()))?,
        Err(error) => complain(format_args!("warning: results will not say so: {error:#}")),
    }
    if summary.failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    complain(format_args!(
        "error: failed: {}; with nothing else running, on cores that are not shared, it may pass",
        summary.failed.join(", ")
    ));
    Ok(ExitCode::from(FAILED))
}
