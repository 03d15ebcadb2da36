//! One measurement: warm up, measure, and measure the measuring.

mod generator;
mod replayed;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use crate::cluster::AnyTarget;
use crate::cpu::{CpuUsed, Disturbance, ProcessCpu};
use crate::driver::{BACKLOG_MAX, Effort, Fleet, Live, Measured, Outcome, Shape, Span, Until};
use crate::machine;
use crate::number::{duration, grouped};
use crate::open_curve::saturation::Achieved;
use crate::patience::{Silent, Waiting, silence};
use crate::percentiles::thin_warning;
use crate::recorder::{KindCounts, Time};
use crate::result::{
    ChaosEvent, Headline, NodeFailures, OperationResult, Operations, Percentiles, Point, Recovery,
    ServerShare, Silence, Trust,
};
use crate::scenario::plural;
use crate::schedule::Schedule;
use crate::target::Node;
use crate::trust::{Facts, Pace, SUSTAINED, ServerLoad, judge};
use crate::verify::Findings;
use crate::workload::{COMMANDS_MAX, Kind, Workload};
use replayed::trace_overflow;

/// A run that waits longer than this beyond its time says what it waited for.
const OVERTIME_S_MIN: f64 = 0.1;

/// What is to be measured with an open fleet.
pub(crate) struct Plan {
    pub warmup: Duration,
    pub warmup_workload: Arc<Workload>,
    pub workload: Arc<Workload>,
    pub schedule: Schedule,
    /// That of the warm-up.
    pub warmup_schedule: Schedule,
    pub until: Until,
    pub shape: Shape,
    /// When the watcher of the measurement is called besides.
    pub appointments: Vec<Duration>,
    /// The servers' processes, where they are ours to look at.
    pub server_pids: Vec<Option<u32>>,
    /// They are ours.
    pub spawned: bool,
    /// There are none, and the workers call the engine.
    pub in_process: bool,
    /// The command line's words after the program.
    pub arguments: Vec<String>,
}

/// A measurement with the verdict on itself.
pub(crate) struct Measurement {
    pub measured: Measured,
    /// What was asked for.
    pub until: Until,
    pub rate_asked_ops_s: Option<f64>,
    pub facts: Facts,
    pub trust: Trust,
    /// CPU time per server.
    pub server_cpu: Vec<Option<CpuUsed>>,
    /// What is told of servers that were away or silent.
    pub outages: Vec<String>,
    /// What was done to servers, and what came of it.
    pub chaos: Vec<ChaosEvent>,
    /// Of a cluster's nodes that were away.
    pub recoveries: Vec<Recovery>,
    /// Where others stood in for them.
    pub node_failures: Option<NodeFailures>,
}

/// What a run looks like while it goes on.
pub(crate) struct Scene<'a> {
    pub(crate) live: &'a Live,
    /// Judges what has been measured so far; reading what it judges by takes a millisecond. `None` of
    /// what does not count.
    pub(crate) trust: &'a dyn Fn() -> Option<Trust>,
}

/// Runs `plan`. `watch` may break it off; a warm-up that is broken off measures nothing.
pub(crate) fn measure(
    fleet: &mut Fleet,
    plan: &Plan,
    mut watch: impl FnMut(&Scene<'_>) -> ControlFlow<()>,
) -> io::Result<Measurement> {
    let mut until = plan.until;
    let mut overflowed = false;
    let mut findings = Findings::default();
    if plan.warmup > Duration::ZERO {
        let warm = Until::Elapsed(plan.warmup);
        let warmed = fleet.run(&plan.warmup_workload, &plan.warmup_schedule, warm, |live| {
            watch(&Scene { live: &Live { warmup: true, ..live.clone() }, trust: &|| None })
        })?;
        findings = warmed.counts.findings;
        if warmed.stopped {
            until = Until::Operations(0);
            overflowed = warmed.counts.overflowed;
        }
    }
    let before = Use::read(plan);
    let mut at_end = None;
    fleet.appoint(plan.appointments.clone());
    let mut measured = fleet.run(&plan.workload, &plan.schedule, until, |live| {
        let trust = || Some(judge(&so_far(plan, live, &before)));
        let next = watch(&Scene { live, trust: &trust });
        let is_over = matches!(until, Until::Elapsed(time) if live.elapsed >= time);
        if is_over || next.is_break() {
            // What comes now is the wait for what is outstanding, and the workers leave it out too.
            at_end.get_or_insert_with(|| Use::read(plan));
        }
        next
    })?;
    measured.counts.overflowed |= overflowed;
    findings.merge(&measured.counts.findings);
    measured.counts.findings = findings;
    let now = at_end.unwrap_or_else(|| Use::read(plan));
    let efforts: Vec<Effort> = measured.outcomes.iter().map(|outcome| outcome.effort).collect();
    let (mut facts, server_cpu) = facts(plan, &efforts, &before, &now);
    let absences = measured.outcomes.iter().map(|o| o.absence.length_ns());
    facts.absent_s = absences.max().unwrap_or(0) as f64 / 1e9;
    facts.in_calls_share = in_calls_share(&measured.outcomes);
    facts.unsolicited = measured.counts.unsolicited;
    facts.hungry_share = measured.counts.hungry_ns as f64 / 1e9 / facts.wall_s.max(1e-9);
    facts.involuntary_switches_s = switches_s(&measured.outcomes);
    let trust = judge(&facts);
    let rate_asked_ops_s = plan.rate_asked_ops_s();
    let outages = Vec::new();
    let mut measurement = Measurement {
        measured,
        until,
        rate_asked_ops_s,
        facts,
        trust,
        server_cpu,
        outages,
        chaos: Vec::new(),
        recoveries: Vec::new(),
        node_failures: None,
    };
    measurement.facts.pace = measurement.pace();
    Ok(measurement)
}

impl Plan {
    /// Of a trace whose times are honoured.
    fn trace_speed(&self) -> Option<f64> {
        match &self.schedule {
            Schedule::Trace(replay) => replay.speed.times(),
            _ => None,
        }
    }

    /// Of an open loop, over all its time.
    fn rate_asked_ops_s(&self) -> Option<f64> {
        match &self.schedule {
            Schedule::Open(plan) => Some(plan.course.mean_ops_s()),
            Schedule::Trace(replay) => replay.rate_ops_s(),
            Schedule::Closed { .. } => None,
        }
    }
}

/// What processes and the machine have used.
struct Use {
    /// The servers, and last ourselves.
    processes: Vec<Option<ProcessCpu>>,
    disturbance: Disturbance,
}

impl Use {
    fn read(plan: &Plan) -> Self {
        let pids = plan.server_pids.iter().copied().chain([Some(std::process::id())]);
        let processes = pids.map(|pid| pid.and_then(ProcessCpu::read)).collect();
        Self { processes, disturbance: Disturbance::read() }
    }

    /// CPU time of each process since `before`.
    fn since(&self, before: &Self) -> Vec<Option<CpuUsed>> {
        let used = |(now, before): (&Option<ProcessCpu>, &Option<ProcessCpu>)| {
            Some(now.as_ref()?.since(before.as_ref()?))
        };
        self.processes.iter().zip(&before.processes).map(used).collect()
    }
}

/// What is known of a measurement while it goes on.
fn so_far(plan: &Plan, live: &Live, before: &Use) -> Facts {
    let (mut facts, _) = facts(plan, &live.efforts, before, &Use::read(plan));
    let asked_ops_s = plan.rate_asked_ops_s();
    facts.pace = live.keeping.map(|keeping| Pace {
        asked_ops_s,
        // What a ramp asks for by now is not what it does on average: it is kept until shown
        // otherwise by lateness.
        achieved_ops_s: asked_ops_s.unwrap_or(0.0),
        lateness_p99_us: keeping.lateness_p99_ns as f64 / 1e3,
        response_p50_us: keeping.response_p50_ns as f64 / 1e3,
        waited_share: 0.0,
    });
    facts
}

/// And the CPU time of each server.
fn facts(
    plan: &Plan,
    efforts: &[Effort],
    before: &Use,
    now: &Use,
) -> (Facts, Vec<Option<CpuUsed>>) {
    let mut server_cpu = now.since(before);
    let own_cpu = server_cpu.pop().flatten();
    let (before, now) = (&before.disturbance, &now.disturbance);
    let wall_s = efforts.iter().map(|e| e.wall_ns).max().unwrap_or(0) as f64 / 1e9;
    let share = |seconds: f64| if wall_s > 0.0 { seconds / wall_s } else { 0.0 };
    let server_load = |cpu: CpuUsed| ServerLoad {
        cores: share(cpu.total_s),
        busiest_thread: share(cpu.busiest_thread_s),
    };
    let waits: Option<u64> = efforts.iter().map(|e| e.run_queue_wait_ns).sum();
    let worker_ns: u64 = efforts.iter().map(|e| e.wall_ns).sum();
    let servers_s: f64 = server_cpu.iter().flatten().map(|cpu| cpu.total_s).sum();
    // A server that ended took its figures with it, and one that we cannot look at may be here under
    // any address.
    let all_known = server_cpu.iter().all(Option::is_some);
    let known_s = own_cpu.filter(|_| all_known).map(|cpu| cpu.total_s + servers_s);
    let facts = Facts {
        cores: machine::cores(),
        threads: plan.shape.threads,
        clients: plan.shape.clients,
        pipeline: plan.shape.pipeline,
        wall_s,
        worker_shares: efforts.iter().map(|e| e.cpu_ns as f64 / e.wall_ns.max(1) as f64).collect(),
        queue_wait_share: waits.map(|wait| wait as f64 / worker_ns.max(1) as f64),
        throttled_share: now.throttled_s(before).map(share),
        steal_share: now.steal_share(before),
        involuntary_switches_s: None,
        absent_s: 0.0,
        others_share: known_s.map(|known_s| now.others_share(before, known_s)),
        pace: None,
        unsolicited: 0,
        hungry_share: 0.0,
        trace_speed: plan.trace_speed(),
        server_lost: false,
        spawned: plan.spawned,
        in_process: plan.in_process,
        in_calls_share: None,
        servers: server_cpu.iter().map(|cpu| cpu.map(server_load)).collect(),
        arguments: plan.arguments.clone(),
    };
    (facts, server_cpu)
}

/// The part of the workers' time that passed in calls of an engine.
fn in_calls_share(outcomes: &[Outcome]) -> Option<f64> {
    let called_ns: Option<u64> = outcomes.iter().map(|outcome| outcome.called_ns).sum();
    let wall_ns: u64 = outcomes.iter().map(|outcome| outcome.effort.wall_ns).sum();
    called_ns.map(|called_ns| called_ns as f64 / wall_ns.max(1) as f64)
}

/// How often workers were taken off their cores, in a second.
fn switches_s(outcomes: &[Outcome]) -> Option<f64> {
    let switches: Option<u64> = outcomes.iter().map(|outcome| outcome.involuntary_switches).sum();
    let wall_ns = outcomes.iter().map(|outcome| outcome.effort.wall_ns).max()?;
    switches.map(|switches| switches as f64 / (wall_ns.max(1) as f64 / 1e9))
}

impl Measurement {
    /// From the first send to the last outcome: a reply, or a failure that a client waited for
    /// within the time that was asked for. What it waited in vain is part of the run.
    fn duration_s(&self) -> f64 {
        let counts = &self.measured.counts;
        let last_ns = counts.last_reply_ns.max(counts.last_failure_ns);
        seconds_between(counts.first_send_ns, last_ns).unwrap_or(0.0)
    }

    /// The end of the duration in which nobody was answered, where it is worth telling.
    fn silent_s(&self) -> Option<f64> {
        let counts = &self.measured.counts;
        let begin_ns = counts.last_reply_ns.or(counts.first_send_ns)?;
        let span = Span { begin_ns, end_ns: counts.last_failure_ns? };
        Some(self.told(span)?.length_s)
    }

    /// How an open loop kept its schedule; `None` of a closed one, and where nothing succeeded.
    fn pace(&self) -> Option<Pace> {
        if !self.measured.latencies.is_open() {
            return None;
        }
        let counts = &self.measured.counts;
        // What a cache puts is due when it is wanted, and never late.
        let lateness = self.measured.latencies.all_drawn(Time::Lateness);
        let response = self.measured.latencies.drawn_successes(Time::Response);
        (!response.is_empty()).then(|| Pace {
            asked_ops_s: self.rate_asked_ops_s,
            achieved_ops_s: self.drawn_ops_s(),
            lateness_p99_us: lateness.value_at_quantile(0.99) as f64 / 1e3,
            response_p50_us: response.value_at_quantile(0.5) as f64 / 1e3,
            waited_share: counts.waited_for_client as f64 / counts.drawn().max(1) as f64,
        })
    }

    fn told(&self, span: Span) -> Option<Silence> {
        let successes = self.measured.latencies.successes(Time::Service);
        let median_us =
            (!successes.is_empty()).then(|| successes.value_at_quantile(0.5) as f64 / 1e3);
        silence(span, self.measured.start_ns, median_us)
    }

    /// The longest time in which server number `node` was waited for and silent, where it is worth
    /// telling.
    pub(crate) fn silence_of(&self, node: usize) -> Option<Silent> {
        let Measured { silences, silence, outcomes, latencies, .. } = &self.measured;
        let span = silences.get(node).copied().unwrap_or_default();
        let told = self.told(span)?;
        let most = span.overlap(*silence).length_ns() > span.length_ns() / 2;
        // A client that was through before the middle of it waited for nothing.
        let middle_ns = span.begin_ns + span.length_ns() / 2;
        let ends = outcomes.iter().flat_map(|outcome| &outcome.ends);
        let waiting = Waiting {
            clients: ends.filter(|end| end.end_ns > middle_ns).count() as u64,
            of: u64::from(self.facts.threads) * u64::from(self.facts.clients),
        };
        let waiting = most.then_some(waiting);
        Some(Silent { silence: told, waiting, is_open: latencies.is_open() })
    }

    fn throughput_ops_s(&self) -> f64 {
        let counts = &self.measured.counts;
        let duration_s = self.duration_s();
        let successes = counts.attempted() - counts.failed();
        if duration_s > 0.0 { successes as f64 / duration_s } else { 0.0 }
    }

    /// Successes per second of what was drawn: a rate asks for no more.
    fn drawn_ops_s(&self) -> f64 {
        let counts = &self.measured.counts;
        let fills = counts.fills();
        let all = (counts.attempted() - counts.failed()).max(1);
        let drawn = all.saturating_sub(fills.attempted - fills.errors);
        self.throughput_ops_s() * drawn as f64 / all as f64
    }

    /// Of all successes; `None` of times that a closed loop does not have.
    fn percentiles(&self, time: Time) -> Option<Percentiles> {
        Percentiles::from_histogram(&self.measured.latencies.successes(time))
    }

    /// Gets, and commands of the user's own, whose replies may be nothing.
    fn reads(&self) -> KindCounts {
        let counts = &self.measured.counts;
        let mut reads = counts.of(Kind::Get);
        for command in Kind::all(COMMANDS_MAX).filter(|kind| matches!(kind, Kind::Command(_))) {
            reads.add(&counts.of(command));
        }
        reads
    }

    /// As the headline of a result.
    pub(crate) fn headline(&self) -> Headline {
        Headline {
            operations: self.measured.counts.attempted(),
            errors: self.measured.counts.failed(),
            hits: self.reads().hits,
            misses: self.reads().misses,
            duration_s: self.duration_s(),
            silent_s: self.silent_s(),
            longest_silence: self.told(self.measured.silence),
            throughput_ops_s: self.throughput_ops_s(),
            rate_asked_ops_s: self.rate_asked_ops_s,
            service_us: self.percentiles(Time::Service),
            error_us: Percentiles::from_histogram(self.measured.latencies.failures()),
            response_us: self.percentiles(Time::Response),
            lateness_us: self.percentiles(Time::Lateness),
        }
    }

    /// As a point of a curve.
    pub(crate) fn point(&self, servers: u32) -> Point {
        Point {
            servers,
            threads: self.facts.threads,
            clients: self.facts.threads * self.facts.clients,
            pipeline: self.facts.pipeline,
            operations: self.measured.counts.attempted(),
            errors: self.measured.counts.failed(),
            hits: self.reads().hits,
            misses: self.reads().misses,
            duration_s: self.duration_s(),
            rate_asked_ops_s: self.rate_asked_ops_s,
            throughput_ops_s: self.throughput_ops_s(),
            achieved_ops_s: self.rate_asked_ops_s.map(|_| self.drawn_ops_s()),
            service_us: self.percentiles(Time::Service),
            response_us: self.percentiles(Time::Response),
            lateness_us: self.percentiles(Time::Lateness),
            repeat: None,
            saturated: None,
            broken_off: false,
            trust: self.trust.clone(),
        }
    }

    /// What came of what was due within `length`.
    pub(crate) fn achieved(&self, length: Duration) -> Achieved {
        let (counts, fills) = (&self.measured.counts, self.measured.counts.fills());
        let service = self.measured.latencies.successes(Time::Service);
        Achieved {
            due: counts.drawn() + counts.unsent,
            length_s: length.as_secs_f64(),
            succeeded: counts.attempted() - counts.failed() - (fills.attempted - fills.errors),
            duration_s: self.duration_s(),
            service_p50_s: service.value_at_quantile(0.5) as f64 / 1e9,
        }
    }

    /// Per kind of operation; a kind that `workload` cannot draw is absent.
    pub(crate) fn operations(&self, workload: &Workload) -> Operations {
        let latencies = &self.measured.latencies;
        let percentiles =
            |time, kind| Percentiles::from_histogram(latencies.of(time, kind)?.as_ref());
        let of = |kind: Kind| {
            workload.mix.shows(kind).then(|| {
                let counts = self.measured.counts.of(kind);
                OperationResult {
                    count: counts.attempted,
                    errors: counts.errors,
                    hits: counts.hits,
                    misses: counts.misses,
                    service_us: percentiles(Time::Service, kind),
                    response_us: percentiles(Time::Response, kind),
                    lateness_us: percentiles(Time::Lateness, kind),
                }
            })
        };
        let commands = workload.mix.commands().iter().enumerate();
        Operations {
            get: of(Kind::Get),
            put: of(Kind::Put),
            delete: of(Kind::Delete),
            insert: of(Kind::Insert),
            read_modify_write: of(Kind::ReadModifyWrite),
            commands: commands
                .filter_map(|(index, command)| {
                    Some((command.name.clone(), of(Kind::Command(index as u8))?))
                })
                .collect(),
        }
    }

    /// Per server, in ring order.
    /// `ring_shares` are what the ring gives them.
    pub(crate) fn servers(&self, target: &AnyTarget, ring_shares: &[f64]) -> Vec<ServerShare> {
        let nodes_asked = &self.measured.counts.nodes;
        // An operation of two requests asks a server twice.
        let total = nodes_asked.iter().sum::<u64>().max(1) as f64;
        let share = |(index, node): (usize, Node)| {
            let operations = nodes_asked.get(index).copied().unwrap_or(0);
            ServerShare {
                name: node.name,
                address: node.address.to_string(),
                operations,
                share: operations as f64 / total,
                ring_share: ring_shares.get(index).copied(),
                role: target.role(index).map(|role| role.name().to_owned()),
                cpu_s: self.server_cpu.get(index).copied().flatten().map(|cpu| cpu.total_s),
            }
        };
        target.nodes().into_iter().enumerate().map(share).collect()
    }

    /// Why the run was broken off, when more was due than could wait.
    pub(crate) fn overflow(&self) -> Option<String> {
        if !self.measured.counts.overflowed {
            return None;
        }
        let achieved_ops_s = self.drawn_ops_s();
        if let Some(speed) = self.facts.trace_speed {
            return Some(trace_overflow(speed, self.rate_asked_ops_s, achieved_ops_s));
        }
        let asked_ops_s = self.rate_asked_ops_s?;
        let (answered, fix) = if achieved_ops_s >= 1.0 {
            let [achieved, asked] =
                [achieved_ops_s, asked_ops_s].map(|ops_s| grouped(ops_s as u64));
            let answered =
                format!(": the servers answered {achieved} of the {asked} ops/s asked for");
            (
                answered,
                format!("what they keep up with, such as --rate {:.0}", achieved_ops_s * SUSTAINED),
            )
        } else {
            (String::new(), "a lower --rate".to_owned())
        };
        Some(format!(
            "{} operations were due and waited, which is too many{answered}; ask for {fix}, or, if \
             the servers are not busy, for more --clients",
            grouped(BACKLOG_MAX),
        ))
    }

    /// What the reader should know before quoting a number.
    pub(crate) fn warnings(&self, timeout: Duration) -> Vec<String> {
        let counts = &self.measured.counts;
        let is_open = self.measured.latencies.is_open();
        let mut warnings = Vec::new();
        warnings.extend((!is_open).then(|| {
            "closed loop: a stalled server is asked less, so this tail is not comparable with one \
             measured at a fixed rate"
                .to_owned()
        }));
        let successes = counts.attempted() - counts.failed();
        let what = if is_open { "response and service" } else { "service" };
        warnings.extend(thin_warning(what, successes));
        if counts.failed() > 0 {
            let first = counts.first_error.as_ref().map(|text| format!(", the first: {text}"));
            warnings.push(format!(
                "{} of {} operations failed{}",
                grouped(counts.failed()),
                grouped(counts.attempted()),
                first.unwrap_or_default()
            ));
        }
        warnings.extend(self.trace_warnings());
        warnings.extend(self.unanswered(timeout));
        warnings.extend(self.silence_at_end());
        warnings.extend(self.overtime(timeout));
        let odd = [
            (counts.saturated, "operation", "took longer than 60 s, recorded as 60 s"),
            (counts.unsolicited, "connection", "brought more replies than were asked for"),
            (
                counts.unsent,
                "operation",
                "due and not sent when the run ended; response times know nothing of that",
            ),
        ];
        let odd = odd.into_iter().filter(|&(count, ..)| count > 0);
        warnings.extend(odd.map(|(n, noun, what)| format!("{} {what}", plural(n, noun))));
        warnings
    }

    /// What is missing in the percentiles of successes.
    fn unanswered(&self, timeout: Duration) -> Option<String> {
        let timeouts = self.measured.counts.errors.timeout;
        let longest = duration(self.measured.latencies.failures().max() as f64 / 1e3);
        let timeout = timeout.as_secs_f64();
        (timeouts > 0).then(|| {
            format!(
                "{} took longer than --timeout ({timeout} s) and {} not in the service \
                 percentiles, which are of successes; the longest failure took {longest}",
                plural(timeouts, "operation"),
                if timeouts == 1 { "is" } else { "are" }
            )
        })
    }

    /// Why a run by time took longer than that.
    fn overtime(&self, timeout: Duration) -> Option<String> {
        let Until::Elapsed(time) = self.until else { return None };
        let Measured { counts, start_ns, end_ns, stopped, .. } = &self.measured;
        let over_s = seconds_between(Some(*start_ns), Some(*end_ns))? - time.as_secs_f64();
        let outstanding = counts.outstanding_at_end;
        let why = if self.measured.latencies.is_open() {
            "what became due within the time is done, however late".to_owned()
        } else {
            format!("an operation has --timeout, {} s", timeout.as_secs_f64())
        };
        (!stopped && outstanding > 0 && over_s > OVERTIME_S_MIN).then(|| {
            format!(
                "{} had no outcome at the end of the {} s: the run waited {} longer ({why})",
                plural(outstanding, "operation"),
                time.as_secs_f64(),
                duration(over_s * 1e6),
            )
        })
    }

    fn silence_at_end(&self) -> Option<String> {
        let silent_s = self.silent_s()?;
        Some(format!(
            "no reply for the last {silent_s:.1} s, in which clients waited: they are part of the \
             duration and of the {} ops/s",
            grouped(self.throughput_ops_s().round() as u64)
        ))
    }
}

fn seconds_between(first_ns: Option<u64>, last_ns: Option<u64>) -> Option<f64> {
    Some(last_ns?.saturating_sub(first_ns?) as f64 / 1e9)
}
