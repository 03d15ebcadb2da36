//! The search for the highest rate that keeps the objectives: probes until the time is over.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::hunt::Hunt;
use super::probing::{Probing, probe_of};
use super::{FAILED, Frame, Halt, INCONCLUSIVE, MISSED, Session, UNTRUSTED, check_room};
use crate::args::LoadArgs;
use crate::cluster::{AnyTarget, Cluster};
use crate::find_max::{Ask, Search};
use crate::machine;
use crate::outputs::Outputs;
use crate::progress::complain;
use crate::record::record;
use crate::report::search as describe;
use crate::result::{Environment, RunResult, SearchLimit, Verdict};
use crate::scenario::{FindMaxPlan, Scenario};

/// How long the closed loop is measured that says where to begin.
const CLOSED_LENGTH: Duration = Duration::from_secs(1);
/// Where to look, and to begin, in parts of what it does.
const BETWEEN: (f64, f64) = (0.01, 10.0);
const BEGIN: f64 = 0.5;
/// What a probe takes beside its length and its warm-up: connections, and what is left to do.
const OVERHEAD: Duration = Duration::from_millis(200);

/// Servers that take longer to start and to fill than one part of so many of the time stay.
const RENEWALS: u32 = 30;

/// Searches, writes the results and says what they are.
///
/// # Errors
///
/// When nothing could be measured.
pub(crate) fn find_max(
    args: &LoadArgs,
    scenario: &Scenario,
    plan: &FindMaxPlan,
) -> anyhow::Result<ExitCode> {
    let (mut session, outputs) = Session::begin(args, scenario, "find-max", args.output.plots)?;
    let searched = session.search(plan, &outputs);
    session.progress.clear();
    let (hunt, mut failure) = match searched {
        Ok(found) => found,
        Err(error) => {
            outputs.discard();
            return Err(error);
        }
    };
    // Who ends it while servers start, or keys are stored, ends it like anybody.
    if failure.is_some() && session.interrupt.is_wanted() {
        session.halt.get_or_insert(Halt::Interrupted);
        failure = None;
    }
    let (result, intervals) = hunt.result(session.halt.is_some() || failure.is_some())?;
    session.intervals = intervals;
    let finished = session.finish(&result, &outputs);
    if let Some(error) = failure {
        finished?;
        return Err(error.context("the search is incomplete; what was measured is kept"));
    }
    finished.map(|()| exit_code(&hunt, &session, &result))
}

/// Servers with their keys, and how long it took to have them.
struct Filled {
    cluster: Cluster,
    target: AnyTarget,
    took: Duration,
}

impl Session<'_> {
    /// Servers, preload, and probes. What fails after the first probe leaves what there was before.
    fn search<'p>(
        &mut self,
        plan: &'p FindMaxPlan,
        outputs: &Outputs,
    ) -> anyhow::Result<(Hunt<'p>, Option<anyhow::Error>)> {
        check_room(self.scenario)?;
        let mut filled = self.filled(Some(plan))?;
        let environment = machine::environment(filled.cluster.versions());
        let begun = Instant::now();
        self.probing = Some(Probing::new(plan, self.scenario.shape.timeout));
        let mut hunt = self.begin_search(plan, &mut filled)?;
        loop {
            let rate_ops_s = match hunt.search.next() {
                Ask::Probe(rate_ops_s) => rate_ops_s,
                decided => {
                    hunt.outcome = Some(decided);
                    return Ok((hunt, None));
                }
            };
            let restarts = hunt.begins_pass() && filled.is_renewed(plan);
            let starts = if restarts { filled.took } else { Duration::ZERO };
            let needed = starts + self.probe_time(&hunt, rate_ops_s);
            if hunt.is_begun() && begun.elapsed() + needed > plan.time {
                return Ok((hunt, None));
            }
            if hunt.begins_pass() {
                hunt.fresh_servers.push(restarts);
            }
            if restarts {
                drop(filled);
                filled = match self.filled(None) {
                    Ok(filled) => filled,
                    Err(error) => return Ok((hunt, Some(error))),
                };
            }
            let probed = self.probe(&mut hunt, &mut filled, rate_ops_s, &environment);
            match probed {
                Err(error) if hunt.is_begun() && self.halt.is_none() => {
                    return Ok((hunt, Some(error)));
                }
                Err(error) if !hunt.is_begun() => return Err(error),
                _ => {}
            }
            if self.halt.is_some() {
                return Ok((hunt, None));
            }
            let (result, intervals) = hunt.result(true)?;
            // A failure ends nothing: the last write tries again, and tells.
            let _ = match hunt.points.len() {
                1 => outputs.begin(&result, &intervals, true),
                _ => outputs.keep(&result),
            };
        }
    }

    /// Servers with their keys. The first time, what is looked for is said in between.
    fn filled(&mut self, announced: Option<&FindMaxPlan>) -> anyhow::Result<Filled> {
        let begun = Instant::now();
        let mut cluster = self.open(self.scenario.servers() as u32)?;
        if let Some(plan) = announced {
            let line =
                self.scenario.headline(&cluster.describe(&self.args.durability), cluster.count());
            // The rate and the length of a measurement are no fixed ones here.
            let callers = line.rsplit_once(" · ").map_or(line.as_str(), |(callers, _)| callers);
            let search = describe::search(&plan.objectives, plan.time);
            self.progress.print(&format!("{callers} · {search}\n"))?;
        }
        let target = cluster.target(self.scenario)?;
        if self.scenario.preload {
            self.preload(&target, &mut cluster)?;
        }
        Ok(Filled { cluster, target, took: begun.elapsed() })
    }

    /// How long a probe takes. After its time, what servers do not keep up with is left to do, and they
    /// do no more than in the closed loop.
    fn probe_time(&self, hunt: &Hunt<'_>, rate_ops_s: f64) -> Duration {
        let length = hunt.plan.length(rate_ops_s);
        let excess = (rate_ops_s / hunt.closed_loop_ops_s - 1.0).max(0.0);
        let longest = self.probing.as_ref().map_or(Duration::ZERO, |probing| probing.drain);
        let left = Duration::try_from_secs_f64(length.as_secs_f64() * excess);
        let left = left.map_or(longest, |left| left.min(longest));
        length + self.scenario.warmup + left + OVERHEAD
    }

    /// A closed loop says where to begin.
    fn begin_search<'p>(
        &mut self,
        plan: &'p FindMaxPlan,
        filled: &mut Filled,
    ) -> anyhow::Result<Hunt<'p>> {
        let Filled { cluster, target, .. } = filled;
        let are_rates_typed = plan.between.is_some();
        let calibration = self.calibrate(CLOSED_LENGTH, are_rates_typed, target, cluster)?;
        let closed_loop_ops_s = calibration.closed_loop_ops_s;
        let (low, high) = BETWEEN;
        let between = plan.between.map_or(
            ((closed_loop_ops_s * low).max(1.0), closed_loop_ops_s * high),
            |(low, high)| (low as f64, high as f64),
        );
        let search = Search::new(plan.objectives.clone(), between, closed_loop_ops_s * BEGIN);
        Ok(Hunt::new(plan, (search, between), calibration.scenario, closed_loop_ops_s))
    }

    /// One probe. One that is cut short tells nothing.
    fn probe(
        &mut self,
        hunt: &mut Hunt<'_>,
        filled: &mut Filled,
        rate_ops_s: f64,
        environment: &Environment,
    ) -> anyhow::Result<()> {
        let number = hunt.points.len() as u64 + 1;
        let name = format!("probe {number}");
        let length = hunt.plan.length(rate_ops_s);
        let at = hunt.scenario.at_rate(rate_ops_s.round() as u64, length, number)?;
        let measured = self.measure(&name, &filled.target, &mut filled.cluster, &at)?;
        // What cannot be kept up is what is looked for.
        if matches!(self.halt, Some(Halt::Overflowed(_))) {
            self.halt = None;
        }
        if let Some(halt) = &self.halt {
            if !hunt.is_begun() {
                bail!("{}; nothing was found", halt.loss().unwrap_or("interrupted"));
            }
            return Ok(());
        }
        let measurement = &measured.0;
        // Of a cluster, more servers than were named.
        let point = measurement.point(filled.cluster.count() as u32);
        let (objectives, passes) = (&hunt.plan.objectives, hunt.search.passes().len());
        let line = describe::probe(objectives, &measurement.measured.latencies, &point);
        let probed = hunt.add(probe_of(measurement, hunt.plan), point, measurement);
        let told = describe::outcome(objectives, probed);
        self.progress.print(&format!("{name:>9}: {line}: {told}\n"))?;
        if let Some(pass) = hunt.search.passes().get(passes) {
            self.progress.print(&format!("{}\n", describe::pass(passes + 1, pass.rate_ops_s)))?;
        }
        let frame = Frame {
            name: self.args.output.name.clone().unwrap_or_else(|| "find-max".to_owned()),
            environment: environment.clone(),
            scenario: record(self.args, &at, &self.arguments),
        };
        let (result, intervals) = self.result_of(measured, &filled.target, (&at, &frame))?;
        hunt.keep(result, intervals);
        Ok(())
    }
}

impl Filled {
    /// Whether servers are started anew for each pass: as one start of a server differs from the next,
    /// so would that of another search.
    fn is_renewed(&self, plan: &FindMaxPlan) -> bool {
        self.cluster.is_spawned() && self.took <= plan.time / RENEWALS
    }
}

fn exit_code(hunt: &Hunt<'_>, session: &Session<'_>, result: &RunResult) -> ExitCode {
    let estimate = hunt.search.finding().estimate;
    let strict = session.args.output.strict;
    let untrusted = result.trust.verdict == Verdict::Untrusted;
    let limited_by = result.find_max.as_ref().and_then(|found| found.limited_by);
    let by_us = matches!(limited_by, Some(SearchLimit::Generator | SearchLimit::Clients));
    let is_decided = hunt.outcome.is_some() || estimate.is_some();
    if session.halt.is_none() && !is_decided {
        complain(format_args!(
            "error: the time was over before the highest rate was found: give more --time, or \
             --rate LOW..HIGH"
        ));
    }
    ExitCode::from(match hunt.outcome {
        _ if session.halt.is_some() || !is_decided => FAILED,
        // What was not asked for says nothing of the servers.
        _ if strict && by_us => UNTRUSTED,
        Some(Ask::MissedAtLowest) => MISSED,
        Some(Ask::UndecidedAtLowest | Ask::UndecidedAtHighest) if strict => INCONCLUSIVE,
        Some(Ask::UndecidedAtLowest) => FAILED,
        _ if strict && untrusted => UNTRUSTED,
        None if strict && estimate.and_then(|found| found.interval_ops_s).is_none() => INCONCLUSIVE,
        _ => 0,
    })
}
