//! A search for the highest rate with what it has measured.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::find_max::{Ask, Decision, Finding, Probe, Search};
use crate::interval_log::IntervalLog;
use crate::measurement::Measurement;
use crate::result::{
    FindMax, Limit, Part, Point, ProbeOutcome, ProbeRecord, RunResult, SearchLimit, SearchPass,
    Verdict,
};
use crate::scenario::{FindMaxPlan, Scenario};
use crate::trust::is_disturbed;

use super::probing::beyond_shares;

/// So many results of rates that are kept wait for becoming the headline. Each has its histograms.
const KEPT_MAX: usize = 16;
/// So many probes next above what was found say what limited it: one may have had a bad moment.
const LIMITING: usize = 3;

/// A measurement's result, and its latencies over time.
type Measured = (RunResult, IntervalLog);

/// A search with what it has measured.
pub(super) struct Hunt<'a> {
    pub(super) plan: &'a FindMaxPlan,
    pub(super) search: Search,
    /// With the clients that carry all probes.
    pub(super) scenario: Scenario,
    pub(super) between: (f64, f64),
    pub(super) closed_loop_ops_s: f64,
    pub(super) points: Vec<Point>,
    probes: Vec<ProbeRecord>,
    limits: Vec<SearchLimit>,
    /// Of each pass that was begun, whether servers were started for it.
    pub(super) fresh_servers: Vec<bool>,
    /// What may be the headline: probes whose rates are kept, below all that are missed, by rate, …
    kept: BTreeMap<u64, Measured>,
    /// … or the last one.
    last: Option<Measured>,
    /// It was decided and not cut short.
    pub(super) outcome: Option<Ask>,
}

impl<'a> Hunt<'a> {
    pub(super) fn new(
        plan: &'a FindMaxPlan,
        (search, between): (Search, (f64, f64)),
        scenario: Scenario,
        closed_loop_ops_s: f64,
    ) -> Self {
        Self {
            plan,
            search,
            scenario,
            between,
            closed_loop_ops_s,
            points: Vec::new(),
            probes: Vec::new(),
            limits: Vec::new(),
            fresh_servers: Vec::new(),
            kept: BTreeMap::new(),
            last: None,
            outcome: None,
        }
    }

    /// Takes what a probe told.
    pub(super) fn add(
        &mut self,
        probe: Probe,
        point: Point,
        measurement: &Measurement,
    ) -> &ProbeRecord {
        self.limits.push(self.limit_of(&probe, &point, measurement));
        let record = ProbeRecord {
            rate_asked_ops_s: probe.rate_ops_s,
            beyond_shares: beyond_shares(&probe, self.plan.objectives.len()),
            shortfall: probe.shortfall,
            disturbed: is_disturbed(&measurement.facts),
            pass: self.search.pass().map(|number| number as u32 + 1),
            outcome: match self.search.add(probe) {
                Decision::Kept => ProbeOutcome::Kept,
                Decision::Missed(_) => ProbeOutcome::Missed,
                Decision::Undecided => ProbeOutcome::Undecided,
            },
        };
        self.points.push(point);
        self.probes.push(record);
        &self.probes[self.probes.len() - 1]
    }

    /// Takes the result of the last probe.
    pub(super) fn keep(&mut self, result: RunResult, intervals: IntervalLog) {
        let Some(probe) = self.probes.last() else { return };
        let rate_ops_s = probe.rate_asked_ops_s.round() as u64;
        let missed_ops_s = self.search.finding().missed_ops_s;
        self.kept.remove(&rate_ops_s);
        if probe.outcome == ProbeOutcome::Kept {
            self.kept.insert(rate_ops_s, (result.clone(), intervals.clone()));
        }
        self.kept.retain(|&kept, _| missed_ops_s.is_none_or(|missed| (kept as f64) < missed));
        if self.kept.len() > KEPT_MAX {
            self.kept.pop_first();
        }
        self.last = Some((result, intervals));
    }

    /// Whether the next probe is the first of a pass.
    pub(super) fn begins_pass(&self) -> bool {
        self.search.pass().is_some_and(|number| number == self.fresh_servers.len())
    }

    /// Whether there is anything to show.
    pub(super) fn is_begun(&self) -> bool {
        self.last.is_some()
    }

    fn limit_of(&self, probe: &Probe, point: &Point, measurement: &Measurement) -> SearchLimit {
        let failed_share = point.errors as f64 / point.operations.max(1) as f64;
        if self.plan.objectives.iter().any(|objective| failed_share > objective.allowed) {
            return SearchLimit::Errors;
        }
        let trust = &measurement.trust;
        match (trust.verdict, trust.limited_by) {
            (Verdict::Untrusted, Limit::Generator | Limit::SharedCores) => SearchLimit::Generator,
            // What waits for a client where servers do not keep up waits for them.
            (Verdict::Untrusted, Limit::Schedule) if !probe.shortfall => SearchLimit::Clients,
            (_, Limit::Server) => SearchLimit::Server,
            _ => SearchLimit::Objective,
        }
    }

    /// What kept the rate from being higher: what limited most of the probes next above it that were not
    /// kept.
    fn limited_by(&self, rate_ops_s: f64) -> Option<SearchLimit> {
        let above = self.probes.iter().zip(&self.limits).filter(|(probe, _)| {
            probe.rate_asked_ops_s >= rate_ops_s && probe.outcome != ProbeOutcome::Kept
        });
        let mut above: Vec<(f64, SearchLimit)> =
            above.map(|(probe, &limit)| (probe.rate_asked_ops_s, limit)).collect();
        above.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        above.truncate(LIMITING);
        let same = |limit| above.iter().filter(|&&(_, other)| other == limit).count();
        // Of as many, the nearer.
        let most = above.iter().rev().max_by_key(|&&(_, limit)| same(limit));
        most.map(|&(_, limit)| limit)
    }

    fn passes(&self) -> Vec<SearchPass> {
        let passes = self.search.passes().iter().zip(&self.fresh_servers);
        let pass = passes.map(|(pass, &fresh_servers)| SearchPass {
            rate_ops_s: pass.rate_ops_s,
            probes: pass.probes,
            fresh_servers,
        });
        pass.collect()
    }

    /// All that is known, as a result.
    pub(super) fn result(&self, partial: bool) -> anyhow::Result<Measured> {
        let Finding { kept_ops_s, missed_ops_s, estimate } = self.search.finding();
        let headline = self.kept.last_key_value().map(|(_, measured)| measured);
        let headline = headline.or(self.last.as_ref()).context("nothing was measured")?;
        let found_ops_s = estimate.map(|estimate| estimate.rate_ops_s);
        let interval_ops_s = estimate.and_then(|estimate| estimate.interval_ops_s);
        let find_max = FindMax {
            objectives: self.plan.objectives.iter().map(ToString::to_string).collect(),
            rate_ops_s: found_ops_s,
            low_ops_s: interval_ops_s.map(|(low, _)| low),
            high_ops_s: interval_ops_s.map(|(_, high)| high),
            passes: self.passes(),
            drifted: estimate.is_some_and(|estimate| estimate.drifted),
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
            ..headline.0.clone()
        };
        Ok((result, headline.1.clone()))
    }
}
