//! The figures of a run so far, by their names for Prometheus.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use kv_server::metrics::{Name, Sheet};

use super::Spreads;
use crate::driver::{Effort, Live};
use crate::measurement::Measurement;
use crate::result::{ErrorCounts, Trust, Verdict};

/// Over as much time at least the throughput is told.
const RATE_OVER: Duration = Duration::from_secs(1);

/// What is shown.
#[derive(Debug)]
pub(super) struct State {
    step: String,
    /// What is done now counts, but for its warm-up.
    counts: bool,
    warmup: bool,
    /// Of the measurements before, and of the present one: together they never fall.
    before: Totals,
    now: Totals,
    outstanding: u64,
    backlog: u64,
    throughput_ops_s: f64,
    /// Time and successes of the present measurement when the throughput was last told.
    mark: (Duration, u64),
    trust: Option<Trust>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            step: "starting".to_owned(),
            counts: false,
            warmup: true,
            before: Totals::default(),
            now: Totals::default(),
            outstanding: 0,
            backlog: 0,
            throughput_ops_s: 0.0,
            mark: (Duration::ZERO, 0),
            trust: None,
        }
    }
}

/// Everything that is counted.
#[derive(Debug, Clone, Default)]
struct Totals {
    operations: u64,
    failed: u64,
    errors: ErrorCounts,
    servers: BTreeMap<String, u64>,
    spreads: Spreads,
    workers_cpu_s: Vec<f64>,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.failed += other.failed;
        self.errors.add(&other.errors);
        for (server, operations) in &other.servers {
            *self.servers.entry(server.clone()).or_default() += operations;
        }
        self.spreads.add(&other.spreads);
        let workers = self.workers_cpu_s.len().max(other.workers_cpu_s.len());
        self.workers_cpu_s.resize(workers, 0.0);
        for (sum, part) in self.workers_cpu_s.iter_mut().zip(&other.workers_cpu_s) {
            *sum += part;
        }
    }
}

fn cpu_s<'a>(efforts: impl Iterator<Item = &'a Effort>) -> Vec<f64> {
    efforts.map(|effort| effort.cpu_ns as f64 / 1e9).collect()
}

fn named(nodes: &[u64], name: &dyn Fn(usize) -> String) -> BTreeMap<String, u64> {
    nodes.iter().enumerate().map(|(node, &operations)| (name(node), operations)).collect()
}

impl State {
    pub(super) fn step(&mut self, what: &str) {
        let now = std::mem::take(&mut self.now);
        self.before.add(&now);
        what.clone_into(&mut self.step);
        (self.counts, self.warmup) = (true, true);
        (self.outstanding, self.backlog, self.throughput_ops_s) = (0, 0, 0.0);
        self.mark = (Duration::ZERO, 0);
        self.trust = None;
    }

    pub(super) fn show(
        &mut self,
        live: &Live,
        trust: Option<Trust>,
        name: &dyn Fn(usize) -> String,
    ) {
        let attempted = live.attempted + live.fills;
        let succeeded = attempted.saturating_sub(live.failed);
        // A warm-up and the measurement after it each begin at nothing.
        if live.elapsed < self.mark.0 || succeeded < self.mark.1 {
            self.mark = (Duration::ZERO, 0);
        }
        self.warmup = live.warmup || !self.counts;
        (self.outstanding, self.backlog) = (live.outstanding, live.backlog);
        let since = live.elapsed.saturating_sub(self.mark.0);
        if since >= RATE_OVER {
            let fresh = succeeded.saturating_sub(self.mark.1);
            self.throughput_ops_s = fresh as f64 / since.as_secs_f64();
            self.mark = (live.elapsed, succeeded);
        }
        // What does not count is not counted.
        if self.warmup {
            return;
        }
        self.trust = trust.or_else(|| self.trust.take());
        self.now.operations = self.now.operations.max(attempted);
        // Workers hand over and publish one after the other: either may be the newer.
        self.now.failed = self.now.failed.max(live.failed).max(live.tally.errors.total());
        self.now.errors = live.tally.errors.clone();
        // One that is tried elsewhere is taken back from a server, and a counter that falls begins anew.
        for (server, operations) in named(&live.tally.nodes, name) {
            let most = self.now.servers.entry(server).or_default();
            *most = operations.max(*most);
        }
        self.now.workers_cpu_s = cpu_s(live.efforts.iter());
        self.now.spreads = live.spreads.unwrap_or_default();
    }

    pub(super) fn settle(&mut self, measurement: &Measurement, name: &dyn Fn(usize) -> String) {
        let measured = &measurement.measured;
        self.now = Totals {
            operations: measured.counts.attempted(),
            failed: measured.counts.failed(),
            errors: measured.counts.errors.clone(),
            servers: named(&measured.counts.nodes, name),
            spreads: Spreads::of(&measured.latencies),
            workers_cpu_s: cpu_s(measured.outcomes.iter().map(|outcome| &outcome.effort)),
        };
        (self.outstanding, self.backlog, self.throughput_ops_s) = (0, 0, 0.0);
        self.trust = Some(measurement.trust.clone());
        self.counts = false;
    }

    pub(super) fn write(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let mut all = self.before.clone();
        all.add(&self.now);
        let version = ("version", env!("CARGO_PKG_VERSION"));
        sheet.info(Name::new("kv_bench_build", "The program"), version)?;
        let step =
            Name::new("kv_bench_step", "What is done now: a measurement or what is before it");
        sheet.info(step, ("step", &self.step))?;
        let warmup = Name::new("kv_bench_warming_up", "1 while nothing counts");
        sheet.gauge(warmup, u64::from(self.warmup))?;
        counts(&all, sheet)?;
        let rate = Name::new("kv_bench_throughput", "Successes per second, over the last second");
        sheet.gauge(rate, self.throughput_ops_s)?;
        let outstanding = Name::new("kv_bench_outstanding", "Operations without an outcome");
        sheet.gauge(outstanding, self.outstanding)?;
        let backlog = Name::new("kv_bench_backlog", "Operations that are due and not sent");
        sheet.gauge(backlog, self.backlog)?;
        times(&all.spreads, sheet)?;
        self.write_trust(sheet)
    }

    fn write_trust(&self, sheet: &mut Sheet<'_>) -> fmt::Result {
        let Some(trust) = &self.trust else { return Ok(()) };
        let trusted = u64::from(trust.verdict == Verdict::Trusted);
        sheet
            .gauge(Name::new("kv_bench_trusted", "1 while the figures can be believed"), trusted)?;
        let limit = Name::new("kv_bench_limit", "What keeps the throughput from being higher");
        sheet.info(limit, ("limited_by", &trust.limited_by.to_string()))
    }
}

fn counts(all: &Totals, sheet: &mut Sheet<'_>) -> fmt::Result {
    let operations = Name::new("kv_bench_operations", "Operations attempted, without warm-ups");
    sheet.counter(operations, all.operations)?;
    let failed = Name::new("kv_bench_operations_failed", "Operations that failed, of these");
    sheet.counter(failed, all.failed)?;
    let errors = &all.errors;
    let kinds = [
        ("timeout", errors.timeout),
        ("connection", errors.connection),
        ("protocol", errors.protocol),
        ("verify", errors.verify),
    ];
    let kinds = kinds.into_iter().map(|(kind, count)| (("kind", kind), count));
    let replies = errors.server.iter().map(|(word, &count)| (("kind", word.as_str()), count));
    sheet.counters(
        Name::new("kv_bench_errors", "Failures by kind, error replies by their first word"),
        kinds.chain(replies),
    )?;
    let servers = all.servers.iter().map(|(name, &count)| (("server", name.as_str()), count));
    sheet
        .counters(Name::new("kv_bench_server_operations", "Operations of each server"), servers)?;
    let workers: Vec<String> =
        (0..all.workers_cpu_s.len()).map(|worker| worker.to_string()).collect();
    let cpu = workers.iter().zip(&all.workers_cpu_s);
    sheet.counters(
        Name::seconds("kv_bench_worker_cpu", "Processor time of each worker"),
        cpu.map(|(worker, &cpu_s)| (("worker", worker.as_str()), cpu_s)),
    )
}

fn times(spreads: &Spreads, sheet: &mut Sheet<'_>) -> fmt::Result {
    let Spreads { service, response, lateness } = spreads;
    let name = Name::seconds(
        "kv_bench_latency",
        "Of successes: service from when they were sent, response from when they were due, and how \
         late they were sent (the last two of an open loop)",
    );
    let all = [("service", service), ("response", response), ("lateness", lateness)];
    sheet.histograms(name, all.map(|(time, of)| (("time", time), of.buckets())).into_iter())
}
