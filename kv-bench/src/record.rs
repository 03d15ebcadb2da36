//! What was asked for, as a result records it: complete enough to repeat it.

use crate::args::LoadArgs;
use crate::digest::operations_digest;
use crate::driver::Until;
use crate::result::{CommandRecord, ScenarioRecord};
use crate::scenario::{Place, Scenario};
use crate::schedule::Schedule;
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
        Place::Running(endpoints) => (0, endpoints.iter().map(|e| e.address.to_string()).collect()),
    };
    let (requests, duration_s) = match scenario.until {
        Until::Operations(operations) => (Some(operations), None),
        Until::Elapsed(time) => (None, Some(time.as_secs_f64())),
    };
    let words = arguments.iter().map(|word| quoted(word));
    ScenarioRecord {
        command: std::iter::once("kv-bench".to_owned()).chain(words).collect::<Vec<_>>().join(" "),
        servers,
        durability: targets.is_empty().then(|| args.durability.clone()),
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
            Schedule::Closed { .. } => None,
        },
        think_time_s: match scenario.schedule {
            Schedule::Closed { think } => think.as_secs_f64(),
            Schedule::Open(_) => 0.0,
        },
        warmup_s: scenario.warmup.as_secs_f64(),
        mix: scenario.demand.mix.to_string(),
        commands: commands(&scenario.demand.mix),
        keys: scenario.key_count(),
        key_distribution: scenario.demand.key_distribution.to_string(),
        value_size_bytes: scenario.value_size() as u64,
        value_sizes: scenario.demand.sizes.to_string(),
        compressibility: scenario.demand.filling.compressibility(),
        workload: scenario.demand.preset.map(|preset| preset.name.to_owned()),
        ttl_s: scenario.demand.ttl.map(|ttl| ttl.as_secs_f64()),
        fills: scenario.demand.mix.fills(),
        preload: scenario.preload,
        verify: scenario.verify,
        chaos: scenario.chaos.as_ref().map(ToString::to_string),
        seed: scenario.seed,
        operations_digest: Some(digest),
        timeout_s: scenario.shape.timeout.as_secs_f64(),
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
