//! A whole run: servers, preload, headline, curve, files, verdict.

mod calibration;
mod every_key;
mod faults;
mod find_max;
mod hunt;
mod measuring;
mod node_failures;
mod open_curve;
mod probing;
mod recovery;
mod warnings;

use std::borrow::Cow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use crate::args::LoadArgs;
use crate::cluster::{AnyTarget, Cluster};
use crate::curve::{self, Ladder, Level};
use crate::driver::Shape;
use crate::fairness;
use crate::interrupt::Interrupt;
use crate::interval_log::IntervalLog;
use crate::machine;
use crate::measurement::Measurement;
use crate::metrics::Metrics;
use crate::number::grouped;
use crate::outputs::Outputs;
use crate::patience::GivenUp;
use crate::progress::{Progress, complain};
use crate::record::record;
use crate::repeats::Repeats;
use crate::report::{describe, encode_histogram, text};
use crate::result::{CurvePlan, Environment, Part, RunResult, SCHEMA, ScenarioRecord, Verdict};
use crate::scenario::{Place, Scenario};
use crate::scratch::Scratch;
use crate::target::redacted;
use crate::verify::Ledger;
use crate::workload::{KeyDistribution, Workload};
use faults::Faults;
use probing::Probing;

pub(crate) use find_max::find_max;
pub(crate) use open_curve::open_curve;

/// A run that did not do all it was asked to.
const FAILED: u8 = 1;
/// An objective was missed.
const MISSED: u8 = 3;
/// `--strict` met a question that was not decided.
const INCONCLUSIVE: u8 = 4;
/// `--strict` met an untrusted headline.
const UNTRUSTED: u8 = 5;

/// Why a run ended early.
enum Halt {
    Interrupted,
    /// A server ended or did not come back.
    ServerLost(String),
    /// A server stays away, or nobody answers.
    GivenUp(GivenUp),
    /// More was due than could wait.
    Overflowed(String),
    /// A trace could not be read to its end.
    TraceLost(String),
}

impl Halt {
    /// What the loss of a server is told by.
    fn loss(&self) -> Option<&str> {
        match self {
            Self::Interrupted => None,
            Self::ServerLost(text)
            | Self::GivenUp(GivenUp { text, .. })
            | Self::Overflowed(text)
            | Self::TraceLost(text) => Some(text),
        }
    }
}

/// What every measurement of a run has in common.
struct Frame {
    name: String,
    environment: Environment,
    scenario: ScenarioRecord,
}

/// Everything that lives as long as the run.
struct Session<'a> {
    args: &'a LoadArgs,
    scenario: &'a Scenario,
    interrupt: Interrupt,
    progress: Progress,
    scratch: Scratch,
    arguments: Vec<String>,
    halt: Option<Halt>,
    /// Of the measurement that runs.
    faults: Option<Faults>,
    /// Of a search for the highest rate.
    probing: Option<Probing>,
    /// What replies are verified by.
    ledger: Option<Arc<Ledger>>,
    /// The first wrong reads of any measurement.
    wrong_reads: Option<String>,
    intervals: IntervalLog,
    /// A measurement that takes longer is broken off.
    limit: Option<Duration>,
    metrics: Option<Metrics>,
}

/// Measures the headline and, given a time for it, the curve; writes the results and says what they
/// are.
///
/// # Errors
///
/// When nothing could be measured. What was measured before a later failure is kept, and told by
/// the exit code.
pub(crate) fn run(
    args: &LoadArgs,
    scenario: &Scenario,
    curve_time: Option<Duration>,
) -> anyhow::Result<ExitCode> {
    let subcommand = if curve_time.is_some() { "curve" } else { "run" };
    let plots = curve_time.is_some() || args.output.plots;
    let (mut session, outputs) = Session::begin(args, scenario, subcommand, plots)?;
    let mut result = match session.headline(subcommand, &outputs) {
        Ok(result) => result,
        Err(error) => {
            session.progress.clear();
            outputs.discard();
            return Err(error);
        }
    };
    // Until the end there is more to come: a run that is killed leaves a partial result.
    result.partial = true;
    result.cut = result.cut.or(curve_time.map(|_| Part::Curve));
    let ladder = curve_time.map(|time| session.ladder(time));
    result.curve = ladder.as_ref().map(|ladder| CurvePlan {
        points_all: ladder.points_all as u32,
        points_planned: ladder.points() as u32,
    });
    if let Err(error) = outputs.begin(&result, &session.intervals, scenario.repeat == 1) {
        session.progress.warn(&error);
    }
    let mut failure = None;
    if let (Some(ladder), None) = (ladder, &session.halt) {
        failure = session.curve(&ladder, &mut result, &outputs).err();
        // Who ends the run while servers start, or keys are stored, ends it like anybody.
        if failure.is_some() && session.interrupt.is_wanted() {
            session.halt.get_or_insert(Halt::Interrupted);
            failure = None;
        }
        result.warnings.extend(describe::curve_gaps(&result));
        result.warnings.extend(warnings::exhausted_points(scenario, &result.points));
        result.warnings.extend(warnings::filled_before(scenario, result.points.len(), "points"));
    }
    session.progress.clear();
    result.partial = session.halt.is_some() || failure.is_some();
    let cut = session.halt.as_ref().map(|_| Part::Headline);
    result.cut = result.cut.or(cut).filter(|_| result.partial);
    match (failure, session.finish(&result, &outputs)) {
        (None, finished) => finished.map(|()| session.exit_code(&result)),
        (Some(error), Ok(())) => {
            Err(error.context("the curve is incomplete; what was measured is kept"))
        }
        (Some(error), Err(lost)) => bail!("{lost:#}; and the curve is incomplete: {error:#}"),
    }
}

impl<'a> Session<'a> {
    /// A session, and where its results go.
    fn begin(
        args: &'a LoadArgs,
        scenario: &'a Scenario,
        subcommand: &str,
        plots: bool,
    ) -> anyhow::Result<(Self, Outputs)> {
        let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
        let scratch = Scratch::new()?;
        let metrics = args.output.metrics_port.map(Metrics::listen).transpose()?;
        let outputs = Outputs::prepare(&args.output, subcommand, plots)?;
        let mut session = Self {
            args,
            scenario,
            interrupt,
            progress: Progress::new(&args.output),
            scratch,
            arguments: arguments(args),
            halt: None,
            faults: None,
            probing: None,
            ledger: None,
            wrong_reads: None,
            intervals: IntervalLog::default(),
            limit: None,
            metrics,
        };
        if let Some(metrics) = &session.metrics {
            session.progress.print(&format!("metrics: http://{}/metrics\n", metrics.address))?;
        }
        Ok((session, outputs))
    }
}

impl Session<'_> {
    /// Servers, preload, and the measurement that was asked for, as often as it was.
    fn headline(&mut self, subcommand: &str, outputs: &Outputs) -> anyhow::Result<RunResult> {
        let scenario = self.scenario;
        check_room(scenario)?;
        let cluster = self.open(scenario.servers() as u32)?;
        self.announce(&cluster)?;
        let frame = Frame {
            name: self.args.output.name.clone().unwrap_or_else(|| subcommand.to_owned()),
            // Before the load: the load average is to describe the machine without it.
            environment: machine::environment(cluster.versions()),
            scenario: record(self.args, scenario, &self.arguments),
        };
        let target = cluster.target(scenario)?;
        let mut servers = Some((cluster, target));
        self.open_ledger();
        let mut repeats = Repeats::default();
        for number in 1..=scenario.repeat {
            let step = match scenario.repeat {
                1 => "headline".to_owned(),
                all => format!("measurement {number} of {all}"),
            };
            match self.repeat(number, &step, &mut servers, &frame) {
                Err(error) if repeats.is_empty() => return Err(error),
                // What was measured before is kept.
                Err(_) if self.interrupt.is_wanted() => {
                    self.halt.get_or_insert(Halt::Interrupted);
                }
                Err(error) => {
                    self.halt.get_or_insert(Halt::ServerLost(format!("{error:#}")));
                }
                Ok((result, intervals)) => {
                    let file = repeats.push(result.clone(), intervals);
                    if scenario.repeat > 1
                        && let Err(error) = outputs.keep_repeat(&file, number == 1, &result)
                    {
                        self.progress.warn(&error);
                    }
                }
            }
            if self.halt.is_some() {
                break;
            }
        }
        let median = repeats.into_median(scenario.repeat).context("nothing was measured")?;
        self.intervals = median.1;
        let mut result = median.0;
        result.warnings.extend(warnings::filled_before(
            scenario,
            scenario.repeat as usize,
            "measurements",
        ));
        Ok(result)
    }

    /// One of several measurements, with its preload where it needs one, or servers of its own, which
    /// take the place of those before.
    fn repeat(
        &mut self,
        number: u32,
        step: &str,
        servers: &mut Option<(Cluster, AnyTarget)>,
        frame: &Frame,
    ) -> anyhow::Result<(RunResult, IntervalLog)> {
        let scenario = self.scenario;
        // What a trace finds is what it has put.
        let stays =
            |cluster: &Cluster| number == 1 || scenario.replay().is_none() || !cluster.is_spawned();
        let (mut cluster, target) = match servers.take() {
            Some((cluster, target)) if stays(&cluster) => (cluster, target),
            before => {
                // Two would have the same folders.
                drop(before);
                let cluster = self.open(scenario.servers() as u32)?;
                let target = cluster.target(scenario)?;
                (cluster, target)
            }
        };
        let own_keys = scenario.demand.key_distribution == KeyDistribution::OwnKey;
        if scenario.preload && (number == 1 || own_keys) {
            self.preload(&target, &mut cluster)?;
        }
        let measured = self.headline_once(step, &target, &mut cluster, (scenario, frame));
        *servers = Some((cluster, target));
        measured
    }

    /// Warm-up and measurement, as a result with its latencies over time.
    fn headline_once(
        &mut self,
        step: &str,
        target: &AnyTarget,
        cluster: &mut Cluster,
        (scenario, frame): (&Scenario, &Frame),
    ) -> anyhow::Result<(RunResult, IntervalLog)> {
        self.faults = scenario.chaos.clone().map(Faults::new);
        let measured = self.measure(step, target, cluster, scenario)?;
        let findings = measured.0.measured.counts.findings.clone();
        let (mut result, intervals) = self.result_of(measured, target, (scenario, frame))?;
        result.verify = self.verification(&findings, target, cluster);
        // It may have been cut short there.
        result.partial = self.halt.is_some();
        result.cut = self.halt.as_ref().map(|_| Part::Headline);
        Ok((result, intervals))
    }

    /// A measurement as a result with its latencies over time.
    fn result_of(
        &self,
        (measurement, workload, started_at): (Measurement, Arc<Workload>, Timestamp),
        target: &AnyTarget,
        (scenario, frame): (&Scenario, &Frame),
    ) -> anyhow::Result<(RunResult, IntervalLog)> {
        if let (Some(halt), 0) = (&self.halt, measurement.measured.counts.attempted()) {
            let why = halt.loss().unwrap_or("interrupted while warming up");
            bail!("{why}; nothing was measured");
        }
        let mut warnings = measurement.outages.clone();
        warnings.extend(measurement.warnings(scenario.shape.timeout));
        warnings.extend(warnings::of(scenario, &measurement));
        warnings.extend(measurement.node_failures.iter().flat_map(node_failures::told));
        let generator = measurement.generator();
        let servers = measurement.servers(target, &target.ring_shares(&workload.keys));
        // Of servers that others stood in for, shares say nothing of their keys.
        let are_mixed = measurement.measured.counts.elsewhere.iter().any(|&count| count > 0);
        let as_placed = if are_mixed { &[][..] } else { &servers };
        warnings.extend(fairness::warnings(generator.clients.as_ref(), as_placed));
        let latencies = &measurement.measured.latencies;
        let encoded = |(tag, histogram): (_, Cow<_>)| (tag, encode_histogram(&histogram));
        let result = RunResult {
            schema: SCHEMA.to_owned(),
            name: frame.name.clone(),
            started_at: started_at.to_string(),
            partial: self.halt.is_some(),
            cut: self.halt.as_ref().map(|_| Part::Headline),
            headline: measurement.headline(),
            points: Vec::new(),
            curve: None,
            open_curve: None,
            find_max: None,
            repeats: Vec::new(),
            operations: measurement.operations(&workload),
            servers,
            redirects: target.role(0).map(|_| measurement.measured.counts.redirects),
            verify: None,
            chaos: measurement.chaos.clone(),
            recoveries: measurement.recoveries.clone(),
            node_failures: measurement.node_failures.clone(),
            trace: measurement.trace_replay(),
            errors: measurement.measured.counts.errors.clone(),
            series: Some(measurement.measured.series.clone()),
            trust: measurement.trust.clone(),
            generator: Some(generator),
            environment: frame.environment.clone(),
            scenario: frame.scenario.clone(),
            warnings,
            histograms: latencies.tagged().map(encoded).collect(),
        };
        Ok((result, measurement.measured.intervals))
    }

    fn open(&mut self, servers: u32) -> anyhow::Result<Cluster> {
        let Self { scenario, scratch, interrupt, progress, .. } = self;
        Cluster::open(scenario, servers, scratch, interrupt, progress)
    }

    fn announce(&mut self, cluster: &Cluster) -> anyhow::Result<()> {
        let line =
            self.scenario.headline(&cluster.describe(&self.args.durability), cluster.count());
        self.progress.print(&format!("{line}\n"))
    }

    /// The points that there is `time` for.
    fn ladder(&self, time: Duration) -> Ladder {
        let servers = match self.scenario.place {
            Place::Spawned { count, .. } => (1..=count).collect(),
            Place::Running(_) | Place::InProcess { .. } => vec![self.scenario.servers() as u32],
        };
        let Shape { threads, clients, .. } = self.scenario.shape;
        Ladder::new(servers, Level { threads, clients }, time)
    }

    fn curve(
        &mut self,
        ladder: &Ladder,
        result: &mut RunResult,
        outputs: &Outputs,
    ) -> anyhow::Result<()> {
        let scenario = self.scenario;
        for &servers in &ladder.servers {
            let mut cluster = self.open(servers)?;
            // Of a cluster, more than were named.
            let servers = cluster.count() as u32;
            let target = cluster.target(scenario)?;
            let own_keys = scenario.demand.key_distribution == KeyDistribution::OwnKey;
            for (index, &Level { threads, clients }) in ladder.levels.iter().enumerate() {
                if scenario.preload && (index == 0 || own_keys) {
                    self.preload(&target, &mut cluster)?;
                }
                let number = result.points.len() + 1;
                let name = format!("point {number} of {}", ladder.points());
                let shape = Shape { threads, clients, ..scenario.shape };
                let point = scenario.with(shape, curve::WARMUP, curve::LENGTH);
                let (measurement, ..) = self.measure(&name, &target, &mut cluster, &point)?;
                let told = |text: &String| format!("{name}: {text}");
                result.warnings.extend(measurement.outages.iter().map(told));
                if self.halt.is_some() {
                    return Ok(());
                }
                result.points.push(measurement.point(servers));
                // A failure ends nothing: the last write tries again, and tells.
                let _ = outputs.keep(result);
            }
        }
        Ok(())
    }

    /// Shows the result before it writes it: what was measured is not lost with a full disk.
    fn finish(&mut self, result: &RunResult, outputs: &Outputs) -> anyhow::Result<()> {
        let shown = self.progress.print(&text::summary(result));
        let written = outputs.write(result, &self.intervals);
        let kept = if written.is_ok() {
            "what was measured is kept"
        } else {
            "not all results could be written"
        };
        match self.halt.as_ref().map(Halt::loss) {
            Some(None) => complain(format_args!("interrupted: {kept}")),
            Some(Some(loss)) => complain(format_args!("error: {loss}; {kept}")),
            None => {}
        }
        if let Some(wrong) = &self.wrong_reads {
            complain(format_args!("error: {wrong}"));
        }
        let dir = written?;
        shown.and_then(|()| self.progress.print(&format!("\nresults: {}\n", dir.display())))
    }

    fn exit_code(&self, result: &RunResult) -> ExitCode {
        let untrusted = result.trust.verdict == Verdict::Untrusted;
        ExitCode::from(match self.halt {
            Some(_) => FAILED,
            // Errors are outcomes, but a run without a single success has measured nothing.
            None if result.headline.errors == result.headline.operations => FAILED,
            None if self.wrong_reads.is_some() => FAILED,
            None if self.args.output.strict && untrusted => UNTRUSTED,
            None => 0,
        })
    }
}

/// The command line without passwords, and without the name of a scenario file, which it holds.
fn arguments(args: &LoadArgs) -> Vec<String> {
    let mut words = args.words.iter().map(|word| redacted(word));
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--scenario" => drop(words.next()),
            word if word.starts_with("--scenario=") => {}
            _ => kept.push(word),
        }
    }
    kept
}

/// Refuses more data in spawned servers than this machine can hold, before it is filled with them.
fn check_room(scenario: &Scenario) -> anyhow::Result<()> {
    let key_bytes = (scenario.key_size() + scenario.value_size()) as u64;
    let (keys, memory_bytes) = (scenario.key_count(), machine::memory_bytes());
    let is_here = !matches!(scenario.place, Place::Running(_));
    if is_here && memory_bytes > 0 && keys.saturating_mul(key_bytes) > memory_bytes {
        bail!(
            "{} keys with values of {} bytes are more than the {} MB of memory here: ask for fewer \
             --keys, or for a smaller --value-size",
            grouped(keys),
            grouped(scenario.value_size() as u64),
            grouped(memory_bytes / 1_000_000)
        );
    }
    Ok(())
}
