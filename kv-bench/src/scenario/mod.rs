//! What a command line means: validated once, then passed on.

mod error;
mod find_max;
mod in_process;
mod load;
mod place;
mod rates;
mod trace;

pub(crate) use error::range;
pub use error::{ScenarioError, plural};
pub use find_max::FindMaxPlan;
pub use load::{check_curve_load, check_curve_time};
pub use place::{Place, is_local};
pub use rates::RatesPlan;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kv_core::ring::RingMode;

use crate::args::LoadArgs;
use crate::chaos::Chaos;
use crate::demand::Demand;
use crate::driver::{Shape, Until};
use crate::number::grouped;
use crate::schedule::{Process, Rate, Schedule};
use crate::target::OnNodeFail;
use crate::trace::Replay;
use crate::verify::STAMP_BYTES;
use crate::workload::{KeyDistribution, Keys, Kind, Mix, Values, Workload};
use in_process::check_commands;
use load::{
    CONNECTIONS_MAX, REPEATS_MAX, chaos, open, open_clients, rate, schedules, shape, until,
};
use place::{on_node_fail, place, prefix};

/// What a ledger of 2.4 GB knows.
const VERIFY_KEYS_MAX: u64 = 100_000_000;
/// Spreads small numbers over all bits of a seed: 2^64 over the golden ratio.
const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub place: Place,
    pub ring: RingMode,
    /// What becomes of operations whose server is away.
    pub on_node_fail: OnNodeFail,
    pub shape: Shape,
    pub until: Until,
    /// The rate as it was typed, of an open loop.
    pub rate: Option<Rate>,
    pub schedule: Schedule,
    /// That of the warm-up.
    pub warmup_schedule: Schedule,
    pub warmup: Duration,
    /// How often it is measured.
    pub repeat: u32,
    /// Whether what comes back is checked.
    pub verify: bool,
    /// What is done to the servers meanwhile.
    pub chaos: Option<Chaos>,
    pub demand: Demand,
    /// As they are measured, but for one sequence of operations.
    keys: Keys,
    /// Made when they are first needed.
    values: OnceLock<Values>,
    pub preload: bool,
    pub seed: u64,
}

impl Scenario {
    /// Checks what was typed and says what it means.
    pub fn new(args: &LoadArgs) -> Result<Self, ScenarioError> {
        check_name(args.output.name.as_deref())?;
        let place = place(args)?;
        let running = !place.is_ours();
        let replay = trace::replay(args, &place)?;
        let mut demand = Demand::new(&args.workload, running)?;
        if place.is_memcached() {
            demand.check_memcached()?;
        }
        check_commands(&place, demand.mix.commands())?;
        let callers = &args.callers;
        let seed = args.workload.seed;
        let rate = rate(callers.rate.as_deref())?;
        let until = match &replay {
            Some(replay) => trace::until(replay, args),
            None => until(callers, rate.as_ref())?,
        };
        let (schedule, warmup_schedule) = match &replay {
            Some(replay) => (Schedule::Trace(Arc::clone(replay)), None),
            None => schedules(callers, rate.as_ref(), until, seed)?,
        };
        if let Some(replay) = &replay {
            demand.mix = replay.mix();
        }
        let repeat = callers.repeat.unwrap_or(1);
        range("repeat", repeat.into(), (1, REPEATS_MAX.into()), 5)?;
        let keys = match (demand.key_distribution, until) {
            // As many as there are deletes when each delete takes its own.
            (KeyDistribution::OwnKey, Until::Operations(count)) => demand.keys.max(count),
            _ => demand.keys,
        };
        let trace_rate = replay.as_ref().filter(|replay| replay.is_timed());
        let trace_rate = trace_rate.map(|replay| replay.rate_ops_s().unwrap_or(1.0));
        let trace_rate = trace_rate.map(|ops_s| Rate::constant((ops_s as u64).max(1)));
        let scenario = Self {
            ring: ring(args, &place)?,
            on_node_fail: on_node_fail(args, &place)?,
            shape: shape(callers, rate.as_ref().or(trace_rate.as_ref()), &place)?,
            until,
            rate,
            schedule,
            warmup: warmup_schedule.as_ref().map_or(Duration::ZERO, |_| callers.warmup),
            warmup_schedule: warmup_schedule.unwrap_or(Schedule::CLOSED),
            repeat,
            verify: callers.verify,
            chaos: chaos(args, &place, until)?,
            preload: args.workload.preload || !(running || demand.mix.fills() || replay.is_some()),
            keys: Keys::new(prefix(&place), keys, demand.key_distribution, 1),
            values: OnceLock::new(),
            seed,
            demand,
            place,
        };
        scenario.check_connections()?;
        scenario.check_verify()?;
        Ok(scenario)
    }

    /// The trace that is replayed, if one is.
    pub fn replay(&self) -> Option<&Replay> {
        match &self.schedule {
            Schedule::Trace(replay) => Some(replay),
            _ => None,
        }
    }

    /// The same with other callers, for a time.
    #[must_use]
    pub fn with(&self, shape: Shape, warmup: Duration, length: Duration) -> Self {
        Self { shape, warmup, until: Until::Elapsed(length), ..self.clone() }
    }

    /// The same with as many clients as carry an open loop at a rate.
    ///
    /// # Errors
    ///
    /// When they are too many.
    pub fn carrying(&self, ops_s: f64) -> Result<Self, ScenarioError> {
        let clients = open_clients(ops_s.ceil() as u64, self.shape.threads);
        let scenario = Self { shape: Shape { clients, ..self.shape }, ..self.clone() };
        scenario.check_connections()?;
        Ok(scenario)
    }

    /// The clients of all workers.
    pub fn callers(&self) -> u64 {
        u64::from(self.shape.threads) * u64::from(self.shape.clients)
    }

    /// The same in a closed loop without any pause, for a time.
    #[must_use]
    pub fn closed(&self, length: Duration) -> Self {
        let (schedule, warmup_schedule) = (Schedule::CLOSED, Schedule::CLOSED);
        let until = Until::Elapsed(length);
        Self { rate: None, until, schedule, warmup_schedule, ..self.clone() }
    }

    /// The same at a constant rate, for a time; `number` tells its arrivals from those of others.
    ///
    /// # Errors
    ///
    /// When there is no operation in it.
    pub fn at_rate(
        &self,
        ops_s: u64,
        length: Duration,
        number: u64,
    ) -> Result<Self, ScenarioError> {
        let process = match &self.schedule {
            Schedule::Open(plan) => plan.process,
            Schedule::Closed { .. } | Schedule::Trace(_) => Process::Poisson,
        };
        let (rate, until) = (Rate::constant(ops_s), Until::Elapsed(length));
        let seed = self.seed ^ number.wrapping_mul(ODD);
        // One too short for an operation at this rate is none.
        let warmup = open(&rate, process, Until::Elapsed(self.warmup), !seed).ok();
        Ok(Self {
            schedule: open(&rate, process, until, seed)?,
            warmup: warmup.as_ref().map_or(Duration::ZERO, |_| self.warmup),
            warmup_schedule: warmup.unwrap_or(Schedule::CLOSED),
            rate: Some(rate),
            until,
            ..self.clone()
        })
    }

    fn check_connections(&self) -> Result<(), ScenarioError> {
        let Shape { threads, clients, .. } = self.shape;
        let servers = self.servers();
        let needed = self.connections(servers);
        if needed > CONNECTIONS_MAX {
            return Err(ScenarioError::Connections { needed, threads, clients, servers });
        }
        Ok(())
    }

    /// Each client must have keys of its own to write, and the ledger must fit into memory.
    fn check_verify(&self) -> Result<(), ScenarioError> {
        if self.verify && self.shape.pipeline > 1 && self.place.is_redis_cluster() {
            return Err(ScenarioError::Value {
                flag: "verify",
                value: String::new(),
                problem:
                    "in a cluster, an operation that is redirected is overtaken by those behind \
                          it, so that nobody knows which came last: take --pipeline 1"
                        .to_owned(),
            });
        }
        if !self.verify {
            return Ok(());
        }
        let clients = self.callers();
        let problem = if self.key_count() < clients {
            format!(
                "each of {clients} clients needs a key of its own to write: give more --keys, or \
                 fewer --clients"
            )
        } else if !self.demand.is_verifiable() {
            "only for gets, puts and deletes without --ttl, since of others it is not known what a \
             read must find: leave out what asks for them (such as --verify --mix get=50,put=50)"
                .to_owned()
        } else if self.key_count() > VERIFY_KEYS_MAX {
            format!("at most {} keys: ask for fewer --keys", grouped(VERIFY_KEYS_MAX))
        } else if self.demand.sizes.max() < STAMP_BYTES as u64 {
            format!(
                "values of at least {STAMP_BYTES} bytes are needed (such as --value-size 100), and \
                 --value has room for nothing"
            )
        } else {
            return Ok(());
        };
        Err(ScenarioError::Value { flag: "verify", value: String::new(), problem })
    }

    /// How many servers are driven.
    pub fn servers(&self) -> usize {
        match &self.place {
            Place::Spawned { count, .. } => *count as usize,
            Place::Running(endpoints) => endpoints.len(),
            Place::InProcess { .. } => 1,
        }
    }

    /// Connections that all clients open to `servers` servers.
    pub fn connections(&self, servers: usize) -> u64 {
        let servers = if matches!(self.place, Place::InProcess { .. }) { 0 } else { servers };
        self.callers() * servers as u64
    }

    /// Bytes per value, on average where they differ.
    pub fn value_size(&self) -> usize {
        self.demand.sizes.mean().ceil() as usize
    }

    /// Bytes per key.
    pub fn key_size(&self) -> usize {
        self.keys.buffer().bytes().len()
    }

    /// Distinct keys: as many as there are deletes when each delete takes its own.
    pub fn key_count(&self) -> u64 {
        self.keys.count()
    }

    fn values(&self) -> Values {
        self.values.get_or_init(|| self.demand.values(self.seed)).clone()
    }

    /// The measured workload of `streams` sequences of operations in all ([`Shape::streams`]).
    pub fn workload(&self, streams: u64) -> Workload {
        Workload {
            mix: self.demand.mix.clone(),
            keys: self.keys.for_streams(streams),
            values: self.values(),
            seed: self.seed,
        }
    }

    /// Load for the warm-up: other operations of the same kinds, but no deletes that the
    /// measurement needs its keys for; reads in their place, which may come back to a key.
    pub fn warmup_workload(&self, streams: u64) -> Workload {
        let mut workload = self.workload(streams);
        workload.seed = !self.seed;
        if self.demand.mix.is_only(Kind::Delete) {
            workload.mix = Mix::only(Kind::Get);
            workload.keys = workload.keys.chosen(KeyDistribution::Sequential);
        }
        workload
    }

    /// Puts every key once.
    pub fn preload_workload(&self, streams: u64) -> Workload {
        Workload {
            mix: Mix::only(Kind::Put),
            keys: self.keys.for_streams(streams).chosen(KeyDistribution::OwnKey),
            values: self.values(),
            seed: self.seed,
        }
    }

    /// Gets every key once.
    pub fn audit_workload(&self, streams: u64) -> Workload {
        Workload { mix: Mix::only(Kind::Get), ..self.preload_workload(streams) }
    }

    /// The line that a run begins with: what is measured on `count` `servers`, with every total
    /// spelled out.
    pub fn headline(&self, servers: &str, count: usize) -> String {
        let Shape { threads, clients, pipeline, .. } = self.shape;
        let amount = match self.until {
            Until::Operations(operations) => {
                format!("{} in total", plural(operations, "operation"))
            }
            Until::Elapsed(time) => format!("{} s", time.as_secs_f64()),
        };
        let program = match &self.place {
            Place::Spawned { program: Some(program), .. } => {
                format!(" running {}", program.display())
            }
            _ => String::new(),
        };
        let amount = match self.replay() {
            Some(replay) if replay.is_cut_by(self.until) => {
                format!("{amount} of {}", replay.headline())
            }
            Some(replay) => replay.headline(),
            None => amount,
        };
        let amount = match (&self.rate, &self.schedule) {
            (Some(rate), Schedule::Open(plan)) => {
                format!("{amount} at {rate} ops/s, {} arrivals", plan.process)
            }
            _ => amount,
        };
        let fills = if self.demand.mix.fills() { " and a put for each miss" } else { "" };
        let pipeline = grouped(pipeline.into());
        format!(
            "{servers}{program} · {} × {} × pipeline {pipeline} · {} · {amount}{fills}",
            plural(u64::from(threads), "worker"),
            plural(u64::from(clients), "client"),
            plural(self.connections(count), "connection"),
        )
    }
}

/// A name is part of a folder's name and of file names in reports.
fn check_name(name: Option<&str>) -> Result<(), ScenarioError> {
    let valid = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name {
        Some(name) if name.is_empty() || name.starts_with('.') || !name.chars().all(valid) => {
            Err(ScenarioError::Value {
                flag: "name",
                value: format!("'{name}'"),
                problem: "only letters, digits, - _ and . (such as --name nightly-1)".to_owned(),
            })
        }
        _ => Ok(()),
    }
}

fn ring(args: &LoadArgs, place: &Place) -> Result<RingMode, ScenarioError> {
    let Some(ring) = &args.ring else { return Ok(RingMode::Slots) };
    let refused = |problem: &str| ScenarioError::Value {
        flag: "ring",
        value: ring.clone(),
        problem: problem.to_owned(),
    };
    if place.is_redis_cluster() {
        return Err(refused("a cluster itself says which node has which keys: leave it out"));
    }
    ring.parse().map_err(|_| refused("unknown ring (known: slots, ketama, uhashring)"))
}
