//! What was asked for, as a result records it: complete enough to repeat it.

use std::path::Path;

use crate::args::LoadArgs;
use crate::digest::operations_digest;
use crate::driver::Until;
use crate::result::{CommandRecord, ScenarioRecord, TraceRecord};
use crate::scenario::{Place, Scenario};
use crate::schedule::Schedule;
use crate::trace::Replay;
use crate::trust::quoted;
use crate::workload::{Command, Kind, Mix};

/// The record of `scenario`, which `args` meant; `arguments` are the words after the program.
pub(crate) fn record(args: &LoadArgs, scenario: &Scenario, arguments: &[String]) -> ScenarioRecord {
    let workload = scenario.workload(scenario.shape.streams(&scenario.schedule));
    let digest = operations_digest(
        &workload,
        &scenario.schedule,
        scenario.until,
        scenario.shape,
        scenario.demand.ttl,
    );
    let (servers, targets) = match &scenario.place {
        Place::Spawned { count, .. } => (*count, Vec::new()),
        Place::InProcess { .. } => (0, args.target.clone()),
        Place::Running(endpoints) => (0, endpoints.iter().map(|e| e.address.to_string()).collect()),
    };
    let (requests, duration_s) = match scenario.until {
        Until::Operations(operations) => (Some(operations), None),
        Until::Elapsed(time) => (None, Some(time.as_secs_f64())),
    };
    let replay = scenario.replay();
    let of_trace = |other: &dyn Fn() -> String| replay.map_or_else(other, |_| "trace".to_owned());
    let words = arguments.iter().map(|word| quoted(word));
    ScenarioRecord {
        command: std::iter::once("kv-bench".to_owned()).chain(words).collect::<Vec<_>>().join(" "),
        servers,
        durability: match &scenario.place {
            Place::Spawned { durability, .. } | Place::InProcess { durability, .. } => {
                Some(durability.name().to_owned())
            }
            Place::Running(_) => None,
        },
        targets,
        ring: scenario.ring.to_string(),
        threads: scenario.shape.threads,
        clients: scenario.shape.clients,
        pipeline: scenario.shape.pipeline,
        requests,
        duration_s,
        rate: scenario.rate.as_ref().map(ToString::to_string),
        arrivals: match &scenario.schedule {
            Schedule::Open(plan) => Some(plan.process.to_string()),
            Schedule::Trace(replay) => replay.spread_process().map(|process| process.to_string()),
            Schedule::Closed { .. } => None,
        },
        think_time_s: match scenario.schedule {
            Schedule::Closed { think } => think.as_secs_f64(),
            Schedule::Open(_) | Schedule::Trace(_) => 0.0,
        },
        warmup_s: scenario.warmup.as_secs_f64(),
        mix: scenario.demand.mix.to_string(),
        commands: commands(&scenario.demand.mix),
        keys: replay.map_or_else(|| scenario.key_count(), |_| 0),
        key_distribution: of_trace(&|| scenario.demand.key_distribution.to_string()),
        value_size_bytes: replay
            .map_or_else(|| scenario.value_size() as u64, Replay::value_bytes_mean),
        value_sizes: of_trace(&|| scenario.demand.sizes.to_string()),
        trace: replay.map(|replay| trace(args, replay)),
        compressibility: scenario.demand.filling.compressibility(),
        workload: scenario.demand.preset.map(|preset| preset.name.to_owned()),
        ttl_s: scenario.demand.ttl.map(|ttl| ttl.as_secs_f64()),
        fills: scenario.demand.mix.fills(),
        preload: scenario.preload,
        verify: scenario.verify,
        chaos: scenario.chaos.as_ref().map(ToString::to_string),
        on_node_fail: scenario.on_node_fail.to_string(),
        seed: scenario.seed,
        operations_digest: Some(digest),
        timeout_s: scenario.shape.timeout.as_secs_f64(),
    }
}

fn trace(args: &LoadArgs, replay: &Replay) -> TraceRecord {
    let is_whole = replay.source.is_whole();
    let survey = &replay.survey;
    let file = args.trace.trace.as_deref().unwrap_or(Path::new("-"));
    TraceRecord {
        file: file.display().to_string(),
        format: replay.format.name().to_owned(),
        speed: replay.speed.to_string(),
        compressed: replay.is_compressed,
        bytes: replay.bytes,
        sha256: replay.sha256.clone(),
        operations: replay.operations(),
        length_s: (is_whole && survey.has_times).then(|| survey.length.as_secs_f64()),
    }
}

fn commands(mix: &Mix) -> Vec<CommandRecord> {
    let record = |(index, command): (usize, &Command)| CommandRecord {
        name: command.name.clone(),
        command: command.text.clone(),
        ratio: mix.weight(Kind::Command(index as u8)),
    };
    mix.commands().iter().enumerate().map(record).collect()
}
