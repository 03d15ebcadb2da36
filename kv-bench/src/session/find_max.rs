//! The search for the highest rate that keeps the objectives: probes until it is found, or the time is
//! over.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::{FAILED, Frame, Halt, INCONCLUSIVE, MISSED, Session, UNTRUSTED, check_room};
use crate::args::LoadArgs;
use crate::cluster::{AnyTarget, Cluster};
use crate::driver::{self, Live, Measured, Until};
use crate::find_max::{Ask, Decision, Finding, Probe, Search, Slice};
use crate::interval_log::IntervalLog;
use crate::machine;
use crate::measurement::Measurement;
use crate::objective::{Bound, Objective};
use crate::outputs::Outputs;
use crate::progress::complain;
use crate::record::record;
use crate::report::search as describe;
use crate::result::{
    FindMax, Limit, Part, Point, ProbeOutcome, ProbeRecord, RunResult, SearchLimit, Trust, Verdict,
};
use crate::scenario::{FindMaxPlan, Scenario};
use crate::trust::is_disturbed;

/// How long the closed loop is measured that says where to begin.
const CLOSED_LENGTH: Duration = Duration::from_secs(1);
/// Where to look, and to begin, in parts of what it does.
const BETWEEN: (f64, f64) = (0.01, 10.0);
const BEGIN: f64 = 0.5;
/// What a probe takes beside its length and its warm-up: connections, and what is left to do.
const OVERHEAD: Duration = Duration::from_millis(200);
/// More of the operations than this after their time are a rate that is not kept up.
const LATE_SHARE_MAX: f64 = 0.01;

/// How long a probe waits for what became due within its time, at least.
const DRAIN_MIN: Duration = Duration::from_secs(1);

/// What a search wants of each of its measurements.
pub(super) struct Probing {
    /// The response times that operations are counted beyond.
    pub(super) limits_ns: Arc<[u64]>,
    /// How long it waits for what became due within its time. By then it is decided of each.
    drain: Duration,
}

impl Probing {
    fn new(plan: &FindMaxPlan, timeout: Duration) -> Self {
        let limits_ns: Arc<[u64]> =
            plan.objectives.iter().filter_map(Objective::limit_ns).collect();
        let longest = limits_ns.iter().max().map_or(Duration::ZERO, |&ns| Duration::from_nanos(ns));
        // Whether an operation fails is known when its time is over.
        let fails = plan.objectives.iter().any(|objective| objective.bound == Bound::Success);
        let failing = if fails { timeout } else { Duration::ZERO };
        Self { limits_ns, drain: longest.max(failing).max(DRAIN_MIN) }
    }

    /// Whether what goes on tells no more.
    pub(super) fn is_over(&self, live: &Live, until: Until) -> bool {
        matches!(until, Until::Elapsed(time) if !live.warmup && live.elapsed > time + self.drain)
    }
}

/// A search with what it has measured.
struct Hunt<'a> {
    plan: &'a FindMaxPlan,
    search: Search,
    between: (f64, f64),
    closed_loop_ops_s: f64,
    points: Vec<Point>,
    probes: Vec<ProbeRecord>,
    limits: Vec<SearchLimit>,
    /// The headline: of the highest rate that was kept, or the last one, and its rate if it was.
    best: Option<(Option<f64>, RunResult, IntervalLog)>,
    /// It was decided and not cut short.
    outcome: Option<Ask>,
}

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
    let (hunt, failure) = match searched {
        Ok(found) => found,
        Err(error) => {
            outputs.discard();
            return Err(error);
        }
    };
    let (result, intervals) = hunt.result(session.halt.is_some() || failure.is_some())?;
    session.intervals = intervals;
    let finished = session.finish(&result, &outputs);
    if let Some(error) = failure {
        finished?;
        return Err(error.context("the search is incomplete; what was measured is kept"));
    }
    finished.map(|()| hunt.exit_code(&session, &result))
}

impl Session<'_> {
    /// Servers, preload, and probes. What fails after the first probe leaves what there was before.
    fn search<'p>(
        &mut self,
        plan: &'p FindMaxPlan,
        outputs: &Outputs,
    ) -> anyhow::Result<(Hunt<'p>, Option<anyhow::Error>)> {
        check_room(self.scenario)?;
        let mut cluster = self.open(self.scenario.servers() as u32)?;
        let line =
            self.scenario.headline(&cluster.describe(&self.args.durability), cluster.count());
        // The rate and the length of a measurement are no fixed ones here.
        let callers = line.rsplit_once(" · ").map_or(line.as_str(), |(callers, _)| callers);
        let search = describe::search(&plan.objectives, plan.time);
        self.progress.print(&format!("{callers} · {search}\n"))?;
        let environment = machine::environment(cluster.versions());
        let target = cluster.target(self.scenario)?;
        if self.scenario.preload {
            self.preload(&target, &mut cluster)?;
        }
        let begun = Instant::now();
        self.probing = Some(Probing::new(plan, self.scenario.shape.timeout));
        let mut hunt = self.begin_search(plan, &target, &mut cluster)?;
        let frame = |arguments: &[String], args: &LoadArgs, scenario: &Scenario| Frame {
            name: args.output.name.clone().unwrap_or_else(|| "find-max".to_owned()),
            environment: environment.clone(),
            scenario: record(args, scenario, arguments),
        };
        loop {
            let rate_ops_s = match hunt.search.next() {
                Ask::Probe(rate_ops_s) => rate_ops_s,
                decided => {
                    hunt.outcome = Some(decided);
                    return Ok((hunt, None));
                }
            };
            let number = hunt.points.len() as u64 + 1;
            let length = plan.length(rate_ops_s);
            let needed = length + self.scenario.warmup + self.drain(&hunt, rate_ops_s) + OVERHEAD;
            if number > 1 && begun.elapsed() + needed > plan.time {
                return Ok((hunt, None));
            }
            let at = self.scenario.at_rate(rate_ops_s.round() as u64, length, number)?;
            let frame = frame(&self.arguments, self.args, &at);
            let probed = self.probe(&mut hunt, (&target, &mut cluster), (&at, &frame));
            match probed {
                Err(error) if hunt.best.is_some() && self.halt.is_none() => {
                    return Ok((hunt, Some(error)));
                }
                Err(error) if hunt.best.is_none() => return Err(error),
                _ => {}
            }
            if self.halt.is_some() {
                return Ok((hunt, None));
            }
            let (result, intervals) = hunt.result(true)?;
            // A failure ends nothing: the last write tries again, and tells.
            let _ = match number {
                1 => outputs.begin(&result, &intervals, true),
                _ => outputs.keep(&result),
            };
        }
    }

    /// How long a probe will take after its time: what servers do not keep up with is left to do, and
    /// they do no more than in the closed loop.
    fn drain(&self, hunt: &Hunt<'_>, rate_ops_s: f64) -> Duration {
        let excess = (rate_ops_s / hunt.closed_loop_ops_s - 1.0).max(0.0);
        let left = hunt.plan.length(rate_ops_s).as_secs_f64() * excess;
        let longest = self.probing.as_ref().map_or(Duration::ZERO, |probing| probing.drain);
        Duration::try_from_secs_f64(left).map_or(longest, |left| left.min(longest))
    }

    /// A closed loop says where to begin.
    fn begin_search<'p>(
        &mut self,
        plan: &'p FindMaxPlan,
        target: &AnyTarget,
        cluster: &mut Cluster,
    ) -> anyhow::Result<Hunt<'p>> {
        let closed = self.scenario.closed(CLOSED_LENGTH);
        let (measurement, ..) = self.measure("closed loop", target, cluster, &closed)?;
        if let Some(halt) = &self.halt {
            bail!("{}; nothing was found", halt.loss().unwrap_or("interrupted in the beginning"));
        }
        let closed_loop_ops_s = measurement.headline().throughput_ops_s;
        if closed_loop_ops_s <= 0.0 {
            let first = measurement.measured.counts.first_error.unwrap_or_default();
            bail!("no operation succeeded: {first}");
        }
        let text = describe::closed_loop(closed_loop_ops_s, &measurement.trust);
        self.progress.print(&format!("{text}\n"))?;
        let (low, high) = BETWEEN;
        let between = plan.between.map_or(
            ((closed_loop_ops_s * low).max(1.0), closed_loop_ops_s * high),
            |(low, high)| (low as f64, high as f64),
        );
        let search = Search::new(plan.objectives.clone(), between, closed_loop_ops_s * BEGIN);
        Ok(Hunt {
            plan,
            search,
            between,
            closed_loop_ops_s,
            points: Vec::new(),
            probes: Vec::new(),
            limits: Vec::new(),
            best: None,
            outcome: None,
        })
    }

    /// One probe. One that is cut short tells nothing.
    fn probe(
        &mut self,
        hunt: &mut Hunt<'_>,
        (target, cluster): (&AnyTarget, &mut Cluster),
        (at, frame): (&Scenario, &Frame),
    ) -> anyhow::Result<()> {
        let name = format!("probe {}", hunt.points.len() + 1);
        let measured = self.measure(&name, target, cluster, at)?;
        // Of a cluster, more than were named.
        let servers = cluster.count() as u32;
        // What cannot be kept up is what is looked for.
        if matches!(self.halt, Some(Halt::Overflowed(_))) {
            self.halt = None;
        }
        if let Some(halt) = &self.halt {
            if hunt.best.is_none() {
                bail!("{}; nothing was found", halt.loss().unwrap_or("interrupted"));
            }
            return Ok(());
        }
        let measurement = &measured.0;
        let probe = probe_of(measurement, hunt.plan);
        let (trust, point) = (measurement.trust.clone(), measurement.point(servers));
        let line = describe::probe(&hunt.plan.objectives, &measurement.measured.latencies, &point);
        let is_kept = hunt.add(probe, point, (&trust, is_disturbed(&measurement.facts)));
        let outcome = hunt.probes.last().map_or("", |record| describe::outcome(record));
        self.progress.print(&format!("{name:>9}: {line}: {outcome}\n"))?;
        let kept = at.rate.as_ref().and_then(crate::schedule::Rate::constant_ops_s);
        let kept = kept.map(|ops_s| ops_s as f64).filter(|_| is_kept);
        if hunt.is_better(kept) {
            let (result, intervals) = self.result_of(measured, target, (at, frame))?;
            hunt.best = Some((kept, result, intervals));
        }
        Ok(())
    }
}

impl Hunt<'_> {
    /// Takes a probe. Returns whether its rate is kept.
    fn add(&mut self, probe: Probe, point: Point, (trust, disturbed): (&Trust, bool)) -> bool {
        let objectives = &self.plan.objectives;
        let shares: Vec<f64> = (0..objectives.len()).map(|index| share(&probe, index)).collect();
        let shortfall = probe.shortfall;
        let failed_share = point.errors as f64 / point.operations.max(1) as f64;
        let by_generator = trust.verdict == Verdict::Untrusted
            && matches!(trust.limited_by, Limit::Generator | Limit::SharedCores);
        self.limits.push(match objectives.iter().any(|o| failed_share > o.allowed) {
            true => SearchLimit::Errors,
            false if by_generator => SearchLimit::Generator,
            false => SearchLimit::Objective,
        });
        let rate_asked_ops_s = probe.rate_ops_s;
        let decision = self.search.add(probe);
        let outcome = match decision {
            Decision::Kept => ProbeOutcome::Kept,
            Decision::Missed(_) => ProbeOutcome::Missed,
            Decision::Undecided => ProbeOutcome::Undecided,
        };
        let beyond_shares = shares;
        let record = ProbeRecord { rate_asked_ops_s, outcome, beyond_shares, shortfall, disturbed };
        self.probes.push(record);
        self.points.push(point);
        decision == Decision::Kept
    }

    /// Whether a probe, kept at a rate or not, is rather the headline than what there is.
    fn is_better(&self, kept: Option<f64>) -> bool {
        let before = self.best.as_ref().map(|(before, ..)| *before);
        before.is_none_or(|before| before.is_none() || kept.is_some_and(|kept| Some(kept) > before))
    }

    /// What kept the rate from being higher: of the probe next above it that was not kept.
    fn limited_by(&self, rate_ops_s: f64) -> Option<SearchLimit> {
        let above = self.probes.iter().zip(&self.limits).filter(|(probe, _)| {
            probe.rate_asked_ops_s >= rate_ops_s && probe.outcome != ProbeOutcome::Kept
        });
        let next = above.min_by(|(a, _), (b, _)| a.rate_asked_ops_s.total_cmp(&b.rate_asked_ops_s));
        next.map(|(_, &limit)| limit)
    }

    /// All that is known, as a result.
    fn result(&self, partial: bool) -> anyhow::Result<(RunResult, IntervalLog)> {
        let (_, result, intervals) = self.best.as_ref().context("nothing was measured")?;
        let Finding { kept_ops_s, missed_ops_s, estimate } = self.search.finding();
        let found_ops_s = estimate.map(|estimate| estimate.rate_ops_s);
        let find_max = FindMax {
            objectives: self.plan.objectives.iter().map(ToString::to_string).collect(),
            rate_ops_s: found_ops_s,
            low_ops_s: estimate.map(|estimate| estimate.low_ops_s),
            high_ops_s: estimate.map(|estimate| estimate.high_ops_s),
            kept_ops_s,
            missed_ops_s,
            limited_by: self.limited_by(found_ops_s.or(kept_ops_s).unwrap_or(0.0)),
            lowest_ops_s: self.between.0,
            highest_ops_s: self.between.1,
            closed_loop_ops_s: self.closed_loop_ops_s,
            time_s: self.plan.time.as_secs_f64(),
            probes: self.probes.clone(),
        };
        let result = RunResult {
            partial,
            cut: partial.then_some(Part::Search),
            points: self.points.clone(),
            find_max: Some(find_max),
            ..result.clone()
        };
        Ok((result, intervals.clone()))
    }

    fn exit_code(&self, session: &Session<'_>, result: &RunResult) -> ExitCode {
        let Finding { kept_ops_s, estimate, .. } = self.search.finding();
        let untrusted = result.trust.verdict == Verdict::Untrusted;
        let limited_by = result.find_max.as_ref().and_then(|found| found.limited_by);
        let by_generator = limited_by == Some(SearchLimit::Generator);
        if session.halt.is_none() && self.outcome.is_none() && estimate.is_none() {
            complain(format_args!(
                "error: the time was over before the highest rate was found: give more --time, or \
                 --rate LOW..HIGH"
            ));
        }
        ExitCode::from(match self.outcome {
            _ if session.halt.is_some() => FAILED,
            // What the generator could not ask for says nothing of the servers.
            Some(_) if session.args.output.strict && by_generator => UNTRUSTED,
            Some(Ask::MissedAtLowest) => MISSED,
            Some(Ask::UndecidedAtLowest) if session.args.output.strict => INCONCLUSIVE,
            Some(Ask::UndecidedAtLowest) => FAILED,
            None if estimate.is_none() => FAILED,
            _ if kept_ops_s.is_none() => FAILED,
            _ if session.args.output.strict && untrusted => UNTRUSTED,
            _ => 0,
        })
    }
}

fn share(probe: &Probe, objective: usize) -> f64 {
    let (operations, beyond) = probe.slices.iter().fold((0, 0), |(operations, beyond), slice| {
        (operations + slice.operations, beyond + slice.beyond[objective])
    });
    if operations > 0 { beyond as f64 / operations as f64 } else { 0.0 }
}

/// What the slices of a measurement tell about the objectives.
fn probe_of(measurement: &Measurement, plan: &FindMaxPlan) -> Probe {
    let rate_ops_s = measurement.rate_asked_ops_s.unwrap_or_default();
    let Measured { counts, slices, .. } = &measurement.measured;
    let length = plan.length(rate_ops_s);
    let unsent = counts.unsent as f64 > counts.drawn() as f64 * LATE_SHARE_MAX;
    let shortfall = counts.overflowed || unsent || falls_short(slices, length, rate_ops_s);
    let of = |slice: &driver::Slice| {
        let mut slow = slice.slow.iter();
        let beyond = |objective: &Objective| match objective.bound {
            Bound::ResponseNs(_) => slice.failed + slow.next().copied().unwrap_or_default(),
            Bound::Success => slice.failed,
        };
        let beyond = plan.objectives.iter().map(beyond).collect();
        Slice { operations: slice.operations, beyond }
    };
    let mut slices: Vec<Slice> = slices.values().map(of).collect();
    // What was due and never sent came to no end: it would have been late.
    slices.extend((counts.unsent > 0).then(|| {
        Slice {
            operations: counts.unsent,
            beyond: plan
                .objectives
                .iter()
                .map(|o| if o.limit_ns().is_some() { counts.unsent } else { 0 })
                .collect(),
        }
    }));
    Probe { rate_ops_s, slices, shortfall }
}

/// Whether fewer operations had their outcome in the second half of a probe than became due, by more
/// than one in a hundred and what chance does to arrivals (three standard deviations): then they pile
/// up, however long each may take.
fn falls_short(slices: &BTreeMap<u64, driver::Slice>, length: Duration, rate_ops_s: f64) -> bool {
    let all = (length.as_nanos() / driver::SLICE.as_nanos()) as u64;
    let half = all / 2..all;
    let done: u64 = slices.range(half.clone()).map(|(_, slice)| slice.operations).sum();
    let due = rate_ops_s * driver::SLICE.as_secs_f64() * (half.end - half.start) as f64;
    (done as f64) < due * (1.0 - LATE_SHARE_MAX) - 3.0 * due.sqrt()
}
