//! One measurement of a session: what is watched meanwhile, and what became of its servers.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;

use super::faults::{Faults, START_TIME};
use super::open_curve::broken_off;
use super::{Halt, Session};
use super::{node_failures, recovery};
use crate::cluster::{ANSWER_TIME, AnyTarget, Cluster};
use crate::driver::Until;
use crate::measurement::{Measurement, Plan, Scene, measure};
use crate::patience::{self, End};
use crate::recorder::{Counts, Outage};
use crate::scenario::Scenario;
use crate::schedule::Rate;
use crate::trust::{at_rate, judge, with_outages, with_outcome};
use crate::workload::{KeyDistribution, Workload};

impl Session<'_> {
    /// One measurement over fresh connections, and when what counts of it began.
    pub(super) fn measure(
        &mut self,
        name: &str,
        target: &AnyTarget,
        cluster: &mut Cluster,
        scenario: &Scenario,
    ) -> anyhow::Result<(Measurement, Arc<Workload>, Timestamp)> {
        self.progress.step(name);
        if let Some(metrics) = &mut self.metrics {
            metrics.step(name);
        }
        let (shape, until) = (scenario.shape, scenario.until);
        let streams = shape.streams(&scenario.schedule);
        let workload = Arc::new(scenario.workload(streams));
        let plan = Plan {
            warmup: scenario.warmup,
            warmup_workload: Arc::new(scenario.warmup_workload(streams)),
            workload: Arc::clone(&workload),
            schedule: scenario.schedule.clone(),
            warmup_schedule: scenario.warmup_schedule.clone(),
            until,
            shape,
            appointments: self.faults.as_ref().map(Faults::times).unwrap_or_default(),
            server_pids: cluster.pids(),
            spawned: cluster.is_spawned(),
            in_process: cluster.is_in_process(),
            arguments: self.words_of(scenario),
        };
        let mut fleet = target.launch(shape)?;
        let own_keys = scenario.demand.key_distribution == KeyDistribution::OwnKey;
        fleet.verify(self.verify(own_keys));
        fleet.count_slices(self.probing.as_ref().map(|probing| Arc::clone(&probing.limits_ns)));
        if self.metrics.is_some() {
            fleet.tell_spreads();
        }
        let mut started_at = None;
        let watch = |scene: &Scene<'_>| {
            let live = scene.live;
            if !live.warmup {
                started_at.get_or_insert_with(|| before_now(live.elapsed));
            }
            self.watch(scene, until, cluster, shape.timeout)
        };
        let mut measurement = measure(&mut fleet, &plan, watch).context("the event loop failed")?;
        self.advise(&measurement.measured.counts);
        if let (None, Some(text)) = (&self.halt, measurement.lost_trace()) {
            self.halt = Some(Halt::TraceLost(text));
        }
        if let Some(faults) = &mut self.faults {
            faults.finish(cluster)?;
            let name = |node| cluster.name(node);
            measurement.chaos = faults.events(&measurement.measured, name);
        }
        let (outages, lost) = self.outages(&mut measurement, cluster);
        if let (None, Some(text)) = (&self.halt, measurement.overflow()) {
            self.halt = Some(Halt::Overflowed(text));
        }
        let counts = &measurement.measured.counts;
        measurement.facts.server_lost = lost;
        measurement.node_failures = node_failures::of(&measurement.measured, cluster);
        let trust = with_outcome(judge(&measurement.facts), counts.attempted(), counts.failed());
        measurement.trust = with_outages(trust, &outages);
        measurement.outages = outages;
        if let Some(metrics) = &self.metrics {
            metrics.settle(&measurement, &|node| cluster.label(node));
        }
        if let Some(faults) = self.faults.take() {
            measurement.outages.extend(faults.missed().map(|fault| {
                format!("the measurement was over before {fault}: give it more --duration")
            }));
        }
        // Too short to be watched: then it has only just ended.
        let started_at = started_at
            .unwrap_or_else(|| before_now(Duration::from_secs_f64(measurement.facts.wall_s)));
        Ok((measurement, workload, started_at))
    }

    /// The command line of a single measurement like this one, which may be one of several.
    fn words_of(&self, scenario: &Scenario) -> Vec<String> {
        let rate_ops_s = scenario.rate.as_ref().and_then(Rate::constant_ops_s);
        match rate_ops_s.filter(|_| !std::ptr::eq(scenario, self.scenario)) {
            Some(rate_ops_s) => at_rate(&self.arguments, rate_ops_s),
            None => self.arguments.clone(),
        }
    }

    /// Shows how far it is; ends it when the user wants to, or a server is lost.
    pub(super) fn watch(
        &mut self,
        scene: &Scene<'_>,
        until: Until,
        cluster: &mut Cluster,
        timeout: Duration,
    ) -> ControlFlow<()> {
        let live = scene.live;
        let name = |node| cluster.name(node);
        let note = patience::waited_for(live, until, timeout, name);
        self.progress.show(scene, until, note, &name);
        if let Some(metrics) = &mut self.metrics {
            metrics.show(scene, &|node| cluster.label(node));
        }
        let faults = self.faults.as_mut().filter(|_| !live.warmup && self.halt.is_none());
        if let Some(Err(error)) = faults.map(|faults| faults.act(live.elapsed, cluster)) {
            self.halt = Some(Halt::ServerLost(format!("--chaos: {error:#}")));
        }
        if self.halt.is_none() {
            let name = |node| cluster.name(node);
            let faults = self.faults.as_ref();
            let given_up = patience::given_up(live, until, timeout, name)
                .filter(|given_up| !faults.is_some_and(|f| f.excuse(given_up, live.elapsed)))
                .map(Halt::GivenUp);
            let interrupted = self.interrupt.is_wanted().then_some(Halt::Interrupted);
            let limit = self.limit.filter(|&limit| !live.warmup && live.elapsed > limit);
            let limit = limit.map(broken_off);
            let lost = cluster.obituary().map(Halt::ServerLost);
            self.halt = lost.or(given_up).or(interrupted).or(limit);
        }
        let is_over = self.probing.as_ref().is_some_and(|probing| probing.is_over(live, until));
        if self.halt.is_some() || is_over {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Adds to a reason to give up what the outcomes tell about it.
    pub(super) fn advise(&mut self, counts: &Counts) {
        if let Some(Halt::GivenUp(given_up)) = &mut self.halt {
            given_up.advise(&counts.errors);
        }
    }

    /// What is to be told of servers that were away or silent during a measurement, and whether one
    /// did not answer at its end. One that does not answer now is lost: the measurement was cut
    /// short, whoever started it.
    fn outages(
        &mut self,
        measurement: &mut Measurement,
        cluster: &mut Cluster,
    ) -> (Vec<String>, bool) {
        let mut texts = Vec::new();
        let mut lost = false;
        let outages = measurement.measured.counts.outages.clone();
        for (node, outage) in outages.iter().enumerate().take(cluster.known()) {
            let name = cluster.name(node);
            let end = self.end_of(node, outage, cluster);
            // What piled up before a server that is lost is told by that.
            let is_free = self.halt.as_ref().is_none_or(|h| matches!(h, Halt::Overflowed(_)));
            if end == End::Lost && is_free {
                let told = cluster.obituary().unwrap_or_else(|| {
                    format!(
                        "{name} does not answer any more: see whether it runs and what its log \
                         says"
                    )
                });
                self.halt = Some(Halt::ServerLost(told));
            }
            lost |= !matches!(end, End::Back | End::Replaced | End::StoodInFor);
            // What was wanted is told as such, and no reason for doubt.
            if end == End::Back && self.faults.as_ref().is_some_and(|faults| faults.concern(node)) {
                continue;
            }
            let told = patience::told(&name, outage, measurement.silence_of(node), end);
            let recovery = cluster
                .is_redis_cluster()
                .then(|| recovery::of(&measurement.measured, node, &name, end))
                .flatten();
            let addition = recovery.as_ref().and_then(recovery::told);
            texts.extend(told.map(|told| match addition {
                Some(addition) => format!("{told}; {addition}"),
                None => told,
            }));
            measurement.recoveries.extend(recovery);
        }
        let is_loss = |halt| matches!(halt, &Halt::ServerLost(_) | &Halt::GivenUp(_));
        (texts, lost || self.halt.as_ref().is_some_and(is_loss))
    }

    /// What became of a server that may have been away.
    fn end_of(&mut self, node: usize, outage: &Outage, cluster: &Cluster) -> End {
        if *outage == Outage::default() || cluster.is_killed(node) {
            return End::Back;
        }
        if cluster.is_replaced(node) {
            return End::Replaced;
        }
        if let Some(Halt::GivenUp(given_up)) = &self.halt
            && given_up.node.is_none_or(|n| n == node)
        {
            // Who answers a look may answer no operation.
            return End::Lost;
        }
        self.progress.step(format!("looking whether {} answers", cluster.name(node)));
        let is_concerned = self.faults.as_ref().is_some_and(|faults| faults.concern(node));
        let time = if is_concerned { START_TIME } else { ANSWER_TIME };
        match cluster.answers(node, time, &self.interrupt) {
            Some(true) => End::Back,
            Some(false) if cluster.detours().is_some() => End::StoodInFor,
            Some(false) => End::Lost,
            None => {
                self.halt.get_or_insert(Halt::Interrupted);
                // All that was asked of it before was answered, over connections that are there.
                let answered = !outage.lasts && outage.broken_off == 0;
                if answered { End::Back } else { End::Away }
            }
        }
    }
}

fn before_now(elapsed: Duration) -> Timestamp {
    let now = Timestamp::now();
    now.checked_sub(elapsed).unwrap_or(now)
}
