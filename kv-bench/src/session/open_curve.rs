//! A curve over offered loads: each measured several times in an open loop, in a random order.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::{Frame, Halt, Session, check_room, warnings};
use crate::args::LoadArgs;
use crate::cluster::{AnyTarget, Cluster};
use crate::interval_log::IntervalLog;
use crate::machine;
use crate::open_curve::knee::{self, Load};
use crate::open_curve::saturation::saturation;
use crate::open_curve::{CALIBRATION, IDLE, order};
use crate::outputs::Outputs;
use crate::record::record;
use crate::report::open_curve as describe;
use crate::result::{CurveKnee, CurvePlan, CurveSaturation, OpenCurve, Part, Point, RunResult};
use crate::scenario::{RatesPlan, Scenario};

/// Part of what a closed loop achieves that the warm-up of a point asks for at most: what it leaves to
/// do would delay the point.
const WARM: f64 = 0.5;
/// A point whose backlog is not done after so many times its length is broken off.
const PATIENCE: u32 = 2;

/// A curve with what has been measured of it.
struct Climb<'a> {
    plan: &'a RatesPlan,
    seed: u64,
    /// With the clients that carry all loads.
    scenario: Scenario,
    closed_loop_ops_s: f64,
    loads: Vec<u64>,
    points: Vec<Point>,
    warnings: Vec<String>,
    /// The headline: its load if that was kept up, and what it left.
    best: Option<(Option<u64>, RunResult, IntervalLog)>,
}

/// Measures the curve, writes the results and says what they are.
///
/// # Errors
///
/// When nothing could be measured.
pub(crate) fn open_curve(
    args: &LoadArgs,
    scenario: &Scenario,
    plan: &RatesPlan,
) -> anyhow::Result<ExitCode> {
    let (mut session, outputs) = Session::begin(args, scenario, "curve", true)?;
    let climbed = session.climb(plan, &outputs);
    session.progress.clear();
    let (climb, failure) = match climbed {
        Ok(climbed) => climbed,
        Err(error) => {
            outputs.discard();
            return Err(error);
        }
    };
    let (mut result, intervals) = climb.result(session.halt.is_some() || failure.is_some())?;
    result.warnings.extend(describe::gaps(&result));
    result.warnings.extend(warnings::filled_before(scenario, result.points.len(), "points"));
    session.intervals = intervals;
    let finished = session.finish(&result, &outputs);
    if let Some(error) = failure {
        finished?;
        return Err(error.context("the curve is incomplete; what was measured is kept"));
    }
    finished.map(|()| session.exit_code(&result))
}

impl Session<'_> {
    /// Servers, preload, and points. What fails after the first point leaves what there was before.
    fn climb<'p>(
        &mut self,
        plan: &'p RatesPlan,
        outputs: &Outputs,
    ) -> anyhow::Result<(Climb<'p>, Option<anyhow::Error>)> {
        let scenario = self.scenario;
        check_room(scenario)?;
        let mut cluster = self.open(scenario.servers() as u32)?;
        let line = scenario.headline(&cluster.describe(&self.args.durability), cluster.count());
        // The rate and the length of a measurement are no fixed ones here.
        let callers = line.rsplit_once(" · ").map_or(line.as_str(), |(callers, _)| callers);
        self.progress.print(&format!("{callers} · loads in an open loop\n"))?;
        let environment = machine::environment(cluster.versions());
        let target = cluster.target(scenario)?;
        if scenario.preload {
            self.preload(&target, &mut cluster)?;
        }
        let mut climb = self.begin_climb(plan, &target, &mut cluster)?;
        let order = order(&climb.loads, plan.repeats, climb.seed);
        self.progress.print(&format!("{}\n", describe::order(&climb.open_curve())))?;
        for (index, &load) in order.iter().enumerate() {
            thread::sleep(IDLE);
            let number = index as u64 + 1;
            let at = at_load(&climb, load, number)?;
            let frame = Frame {
                name: self.args.output.name.clone().unwrap_or_else(|| "curve".to_owned()),
                environment: environment.clone(),
                scenario: record(self.args, &at, &self.arguments),
            };
            let name = format!("point {number} of {}", order.len());
            let measured = self.point(&name, &mut climb, (&target, &mut cluster), (&at, &frame));
            match measured {
                Err(error) if climb.best.is_none() => return Err(error),
                Err(error) if self.halt.is_none() => return Ok((climb, Some(error))),
                _ if self.halt.is_some() => return Ok((climb, None)),
                _ => {}
            }
            let (result, intervals) = climb.result(true)?;
            // A failure ends nothing: the last write tries again, and tells.
            let _ = match number {
                1 => outputs.begin(&result, &intervals, true),
                _ => outputs.keep(&result),
            };
        }
        Ok((climb, None))
    }

    /// A closed loop says where `auto` is, and what a warm-up may ask for.
    fn begin_climb<'p>(
        &mut self,
        plan: &'p RatesPlan,
        target: &AnyTarget,
        cluster: &mut Cluster,
    ) -> anyhow::Result<Climb<'p>> {
        let are_rates_typed = plan.loads.highest_ops_s().is_some();
        let calibration = self.calibrate(CALIBRATION, are_rates_typed, target, cluster)?;
        let closed_loop_ops_s = calibration.closed_loop_ops_s;
        let loads = plan.loads.spread(plan.layout.count, closed_loop_ops_s);
        if loads.len() < 2 {
            bail!(
                "{closed_loop_ops_s:.1} ops/s are too few for several loads: give more --clients, \
                 or --rates LOW..HIGH"
            );
        }
        Ok(Climb {
            plan,
            seed: self.scenario.seed,
            scenario: calibration.scenario,
            closed_loop_ops_s,
            loads,
            points: Vec::new(),
            warnings: Vec::new(),
            best: None,
        })
    }

    /// One point. One that is cut short by the user, or by the end of a server, is none.
    fn point(
        &mut self,
        name: &str,
        climb: &mut Climb<'_>,
        (target, cluster): (&AnyTarget, &mut Cluster),
        (at, frame): (&Scenario, &Frame),
    ) -> anyhow::Result<()> {
        let length = climb.plan.layout.length;
        self.limit = Some(length * PATIENCE);
        let measured = self.measure(name, target, cluster, at);
        self.limit = None;
        let measured = measured?;
        // Of a cluster, more than were named.
        let servers = cluster.count() as u32;
        // What cannot be kept up belongs to the curve.
        let is_broken_off = matches!(self.halt, Some(Halt::Overflowed(_)));
        if is_broken_off {
            self.halt = None;
        }
        if let Some(halt) = &self.halt {
            if climb.best.is_none() {
                bail!("{}; nothing was measured", halt.loss().unwrap_or("interrupted"));
            }
            return Ok(());
        }
        let measurement = &measured.0;
        if measurement.measured.counts.attempted() == 0 {
            bail!("{name}: no operation of it had an outcome");
        }
        let told = measurement.outages.iter().map(|text| format!("{name}: {text}"));
        climb.warnings.extend(told);
        let falls_short = measurement.achieved(length).falls_short();
        let load = at.rate.as_ref().and_then(crate::schedule::Rate::constant_ops_s);
        let repeats = climb.points.iter().filter(|point| point.rate_asked_ops_s == load_of(load));
        let point = Point {
            repeat: Some(repeats.count() as u32 + 1),
            saturated: Some(is_broken_off || falls_short),
            broken_off: is_broken_off,
            ..measurement.point(servers)
        };
        self.progress.print(&format!("{name}: {}\n", describe::point(&point)))?;
        let kept = load.filter(|_| point.saturated == Some(false));
        climb.points.push(point);
        if climb.is_better(kept, measurement.rate_asked_ops_s) {
            let (result, intervals) = self.result_of(measured, target, (at, frame))?;
            climb.best = Some((kept, result, intervals));
        }
        Ok(())
    }
}

/// The scenario of one point. It warms up at no more than servers can surely do.
fn at_load(climb: &Climb<'_>, load: u64, number: u64) -> anyhow::Result<Scenario> {
    let at = |load| climb.scenario.at_rate(load, climb.plan.layout.length, number);
    let mut scenario = at(load)?;
    let calm = at(load.min((climb.closed_loop_ops_s * WARM).round() as u64).max(1))?;
    scenario.warmup = calm.warmup;
    scenario.warmup_schedule = calm.warmup_schedule;
    Ok(scenario)
}

fn load_of(load: Option<u64>) -> Option<f64> {
    load.map(|ops_s| ops_s as f64)
}

impl Climb<'_> {
    /// Whether a point, whose load is `kept` if it was kept up, is rather the headline than what there
    /// is.
    fn is_better(&self, kept: Option<u64>, asked_ops_s: Option<f64>) -> bool {
        let Some((before, result, _)) = &self.best else { return true };
        match (before, kept) {
            (Some(before), Some(kept)) => kept > *before,
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (None, None) => asked_ops_s < result.headline.rate_asked_ops_s,
        }
    }

    /// The points of each load, in ascending order.
    fn by_load(&self) -> BTreeMap<u64, Vec<&Point>> {
        let mut by_load: BTreeMap<u64, Vec<&Point>> = BTreeMap::new();
        for point in &self.points {
            let load = point.rate_asked_ops_s.unwrap_or_default().round() as u64;
            by_load.entry(load).or_default().push(point);
        }
        by_load
    }

    fn open_curve(&self) -> OpenCurve {
        let by_load = self.by_load();
        let load = |(&rate, points): (&u64, &Vec<&Point>)| Load {
            rate_ops_s: rate as f64,
            p99_us: points.iter().filter_map(|point| Some(point.response_us?.p99)).collect(),
        };
        let loads: Vec<Load> = by_load.iter().map(load).collect();
        let knee = knee::knee(&loads, self.seed).map(|knee| CurveKnee {
            rate_ops_s: knee.rate_ops_s,
            low_ops_s: knee.low_ops_s,
            high_ops_s: knee.high_ops_s,
            found_share: knee.found_share,
        });
        OpenCurve {
            rates: self.plan.text.clone(),
            loads_ops_s: self.loads.iter().map(|&load| load as f64).collect(),
            repeats: self.plan.repeats,
            order_seed: self.seed,
            length_s: self.plan.layout.length.as_secs_f64(),
            closed_loop_ops_s: self.closed_loop_ops_s,
            knee,
            saturation: self.saturation(&by_load),
        }
    }

    fn saturation(&self, by_load: &BTreeMap<u64, Vec<&Point>>) -> Option<CurveSaturation> {
        let short = |(&load, points): (&u64, &Vec<&Point>)| {
            (load as f64, points.iter().map(|point| point.saturated == Some(true)).collect())
        };
        let loads: Vec<(f64, Vec<bool>)> = by_load.iter().map(short).collect();
        let found = saturation(&loads)?;
        let beyond = self.points.iter().filter(|point| {
            point.operations > 0 && point.rate_asked_ops_s >= Some(found.from_ops_s)
        });
        let mut achieved: Vec<f64> = beyond.map(Point::achieved_ops_s).collect();
        achieved.sort_by(f64::total_cmp);
        Some(CurveSaturation {
            from_ops_s: found.from_ops_s,
            kept_ops_s: found.kept_ops_s,
            achieved_ops_s: median(&achieved),
        })
    }

    /// All that is known, as a result.
    fn result(&self, partial: bool) -> anyhow::Result<(RunResult, IntervalLog)> {
        let (_, result, intervals) = self.best.as_ref().context("nothing was measured")?;
        let points = self.loads.len() as u32 * self.plan.repeats;
        let mut warnings = result.warnings.clone();
        warnings.extend(self.warnings.iter().cloned());
        let result = RunResult {
            partial,
            cut: partial.then_some(Part::Curve),
            points: self.points.clone(),
            curve: Some(CurvePlan { points_all: points, points_planned: points }),
            open_curve: Some(self.open_curve()),
            warnings,
            ..result.clone()
        };
        Ok((result, intervals.clone()))
    }
}

/// Of sorted values; 0 of none.
fn median(sorted: &[f64]) -> f64 {
    let at = |index: usize| sorted.get(index).copied().unwrap_or_default();
    f64::midpoint(at(sorted.len().saturating_sub(1) / 2), at(sorted.len() / 2))
}

/// What a measurement that takes longer than its patience is told.
pub(super) fn broken_off(limit: Duration) -> Halt {
    Halt::Overflowed(format!("what was due was not done after {} s", limit.as_secs_f64()))
}
