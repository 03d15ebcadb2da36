//! What a command line means: validated once, then passed on.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kv_core::data_dir::Durability;
use kv_core::ring::RingMode;
use kv_core::tls::TlsOptions;

use crate::args::{CallerArgs, LoadArgs};
use crate::curve;
use crate::demand::Demand;
use crate::driver::{Shape, Until};
use crate::machine;
use crate::number::grouped;
use crate::schedule::{Plan, Process, Rate, RateError, Schedule};
use crate::target::{Address, Endpoint, EndpointError, redacted};
use crate::workload::{KeyDistribution, Keys, Kind, Mix, MixError, Values, Workload};

/// More workers than anyone has cores for: beyond it, threads measure the scheduler.
const THREADS_MAX: u32 = 1024;
const CLOSED_THREADS: u32 = 4;
const SERVERS_MAX: u32 = 64;
const PIPELINE_MAX: u32 = 10_000;
/// Who waits longer for one reply waits for nobody.
const TIMEOUT_MAX: Duration = Duration::from_hours(1);
/// Who measures for longer than a year measures for ever.
const TIME_MAX: Duration = Duration::from_hours(365 * 24);
/// More repeats than anyone waits for.
const REPEATS_MAX: u32 = 1000;
/// Clients per worker that carry an open loop: at 10,000 operations per second and one worker, replies
/// may take 3 ms before one operation waits for a client.
const OPEN_CLIENTS: u32 = 32;
/// How long an open loop lasts unless it is told.
const OPEN_TIME: Duration = Duration::from_secs(10);
/// A closed loop over more connections is beyond any descriptor limit that we could raise to.
const CONNECTIONS_MAX: u64 = 1 << 20;

/// Why a command line was refused. Every text names the flag, the rule and a valid form.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error(
        "--{flag} {}: must be from {} to {} (such as --{flag} {example})",
        grouped(*value), grouped(*min), grouped(*max)
    )]
    Range { flag: &'static str, value: u64, min: u64, max: u64, example: u64 },
    #[error("--mix: {0}")]
    Mix(#[from] MixError),
    #[error("--{flag}{}{value}: {problem}", if value.is_empty() { "" } else { " " })]
    Value { flag: &'static str, value: String, problem: String },
    #[error("--rate {rate}: {source}")]
    Rate { rate: String, source: RateError },
    #[error("--{flag}: {source}")]
    Endpoint { flag: &'static str, source: EndpointError },
    #[error(
        "--servers and --target: '{0}' is named twice; give each server its own name=host:port"
    )]
    Twice(String),
    #[error(
        "{} connections ({} × {} × {}) are more than {}; ask for fewer --clients",
        grouped(*needed),
        plural((*threads).into(), "worker"),
        plural((*clients).into(), "client"),
        plural(*servers as u64, "server"),
        grouped(CONNECTIONS_MAX)
    )]
    Connections { needed: u64, threads: u32, clients: u32, servers: usize },
}

/// Which servers are measured.
#[derive(Debug, Clone)]
pub enum Place {
    /// This many, started and ended by us.
    Spawned { count: u32, program: Option<PathBuf>, durability: Durability },
    /// These, which run already.
    Running(Vec<Endpoint>),
}

/// Everything that a run needs to know.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub place: Place,
    pub ring: RingMode,
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
    pub demand: Demand,
    /// As they are measured, but for one sequence of operations.
    keys: Keys,
    /// Made when they are first needed.
    values: OnceLock<Values>,
    pub preload: bool,
    pub seed: u64,
}

impl ScenarioError {
    /// Whether the command line makes no sense, and not the world just now.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Endpoint { source: EndpointError::Resolve { .. }, .. })
    }
}

impl Scenario {
    /// Checks what was typed and says what it means.
    pub fn new(args: &LoadArgs) -> Result<Self, ScenarioError> {
        check_name(args.output.name.as_deref())?;
        let place = place(args)?;
        let running = matches!(place, Place::Running(_));
        let demand = Demand::new(&args.workload, running)?;
        let callers = &args.callers;
        let seed = args.workload.seed;
        let rate = rate(callers.rate.as_deref())?;
        let until = until(callers, rate.as_ref())?;
        let (schedule, warmup_schedule) = schedules(callers, rate.as_ref(), until, seed)?;
        range("repeat", callers.repeat.into(), (1, REPEATS_MAX.into()), 5)?;
        let keys = match (demand.key_distribution, until) {
            // As many as there are deletes when each delete takes its own.
            (KeyDistribution::OwnKey, Until::Operations(count)) => demand.keys.max(count),
            _ => demand.keys,
        };
        let scenario = Self {
            ring: ring(args)?,
            shape: shape(callers, rate.is_some())?,
            until,
            rate,
            schedule,
            warmup: warmup_schedule.as_ref().map_or(Duration::ZERO, |_| callers.warmup),
            warmup_schedule: warmup_schedule.unwrap_or(Schedule::CLOSED),
            repeat: callers.repeat,
            preload: args.workload.preload || !running,
            keys: Keys::new(prefix(&place), keys, demand.key_distribution, 1),
            values: OnceLock::new(),
            seed,
            demand,
            place,
        };
        scenario.check_connections()?;
        Ok(scenario)
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

    /// How many servers are driven.
    pub fn servers(&self) -> usize {
        match &self.place {
            Place::Spawned { count, .. } => *count as usize,
            Place::Running(endpoints) => endpoints.len(),
        }
    }

    /// Connections that all clients open to `servers` servers.
    pub fn connections(&self, servers: usize) -> u64 {
        u64::from(self.shape.threads) * u64::from(self.shape.clients) * servers as u64
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

    /// The line that a run begins with: what is measured, with every total spelled out.
    pub fn headline(&self, servers: &str) -> String {
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
        let amount = match (&self.rate, &self.schedule) {
            (Some(rate), Schedule::Open(plan)) => {
                format!("{amount} at {rate} ops/s, {} arrivals", plan.process)
            }
            _ => amount,
        };
        let pipeline = grouped(pipeline.into());
        format!(
            "{servers}{program} · {} × {} × pipeline {pipeline} · {} · {amount}",
            plural(u64::from(threads), "worker"),
            plural(u64::from(clients), "client"),
            plural(self.connections(self.servers()), "connection"),
        )
    }
}

/// `1 client`, `32 clients`, `1,024 clients`.
pub fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

pub(crate) fn range(
    flag: &'static str,
    value: u64,
    (min, max): (u64, u64),
    example: u64,
) -> Result<(), ScenarioError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::Range { flag, value, min, max, example })
}

fn shape(callers: &CallerArgs, is_open: bool) -> Result<Shape, ScenarioError> {
    // Workers of an open loop must run when it is time, and the servers need the other cores.
    let default =
        if is_open { ((machine::cores() / 2).max(1), OPEN_CLIENTS) } else { (CLOSED_THREADS, 1) };
    let threads = callers.threads.unwrap_or(default.0);
    let clients = callers.clients.unwrap_or(default.1);
    range("threads", threads.into(), (1, THREADS_MAX.into()), 4)?;
    range("clients", clients.into(), (1, CONNECTIONS_MAX), 8)?;
    range("pipeline", callers.pipeline.into(), (1, PIPELINE_MAX.into()), 16)?;
    if callers.timeout < Duration::from_millis(1) {
        return Err(too_short("timeout", callers.timeout, "1ms"));
    }
    at_most("timeout", callers.timeout, (TIMEOUT_MAX, "1h"))?;
    at_most("warmup", callers.warmup, (TIME_MAX, "8760h"))?;
    Ok(Shape { threads, clients, pipeline: callers.pipeline, timeout: callers.timeout })
}

/// Reads what was typed for `--rate`.
fn rate(text: Option<&str>) -> Result<Option<Rate>, ScenarioError> {
    let refused = |text: &str, source| ScenarioError::Rate { rate: text.to_owned(), source };
    text.map(|text| text.parse().map_err(|source| refused(text, source))).transpose()
}

/// When operations are due, in the measurement and in the warm-up before it.
fn schedules(
    callers: &CallerArgs,
    rate: Option<&Rate>,
    until: Until,
    seed: u64,
) -> Result<(Schedule, Option<Schedule>), ScenarioError> {
    let Some(rate) = rate else {
        let think = callers.think_time.unwrap_or_default();
        at_most("think-time", think, (TIMEOUT_MAX, "1h"))?;
        return Ok((Schedule::Closed { think }, Some(Schedule::Closed { think })));
    };
    let process: Process = callers.arrivals.parse().map_err(|problem| ScenarioError::Value {
        flag: "arrivals",
        value: callers.arrivals.clone(),
        problem,
    })?;
    let open = |rate: &Rate, until, seed| {
        let course = rate.over(until).map(Arc::new);
        let plan = course.map(|course| Plan { course, process, seed });
        plan.map_err(|source| ScenarioError::Rate { rate: rate.to_string(), source })
    };
    // One too short for an operation at this rate is none.
    let warmup = open(&rate.at_begin(), Until::Elapsed(callers.warmup), !seed).ok();
    Ok((Schedule::Open(open(rate, until, seed)?), warmup.map(Schedule::Open)))
}

fn until(callers: &CallerArgs, rate: Option<&Rate>) -> Result<Until, ScenarioError> {
    if let Some(duration) = callers.duration {
        if duration < Duration::from_millis(100) {
            return Err(too_short("duration", duration, "100ms"));
        }
        at_most("duration", duration, (TIME_MAX, "8760h"))?;
        return Ok(Until::Elapsed(duration));
    }
    if let (Some(rate), None) = (rate, callers.requests) {
        return Ok(Until::Elapsed(rate.length().unwrap_or(OPEN_TIME)));
    }
    let requests = callers.requests.unwrap_or(100_000);
    range("requests", requests, (1, 1_000_000_000_000), 100_000)?;
    Ok(Until::Operations(requests))
}

fn at_most(
    flag: &'static str,
    value: Duration,
    (max, text): (Duration, &str),
) -> Result<(), ScenarioError> {
    if value <= max {
        return Ok(());
    }
    Err(ScenarioError::Value {
        flag,
        value: format!("{value:?}"),
        problem: format!("must be at most {text} (such as --{flag} 10s)"),
    })
}

fn too_short(flag: &'static str, value: Duration, min: &str) -> ScenarioError {
    ScenarioError::Value {
        flag,
        value: if value.is_zero() { "0s".to_owned() } else { format!("{value:?}") },
        problem: format!("must be at least {min} (such as --{flag} 10s)"),
    }
}

/// Refuses what a curve, which has loads of its own, cannot be told.
///
/// # Errors
///
/// Names the flag, and the subcommand that takes it.
pub fn check_curve_load(args: &LoadArgs) -> Result<(), ScenarioError> {
    let callers = &args.callers;
    let (flag, value) = match &callers.rate {
        Some(rate) => ("rate", rate.clone()),
        None if callers.repeat > 1 => ("repeat", callers.repeat.to_string()),
        None => return Ok(()),
    };
    let problem = format!(
        "a curve is of closed loops, each measured once: for one measurement it is kv-bench run \
         --{flag} {value}"
    );
    Err(ScenarioError::Value { flag, value, problem })
}

/// Refuses a time for the curve in which nothing can be measured.
///
/// # Errors
///
/// Names the shortest, or the longest, that will do.
pub fn check_curve_time(time: Duration) -> Result<(), ScenarioError> {
    let min = curve::WARMUP + curve::LENGTH;
    if time >= min {
        return at_most("curve-time", time, (TIME_MAX, "8760h"));
    }
    Err(ScenarioError::Value {
        flag: "curve-time",
        value: if time.is_zero() { "0s".to_owned() } else { format!("{time:?}") },
        problem: format!(
            "must be at least {min:?}, for one point (such as --curve-time 10s; without a curve it \
             is kv-bench run)"
        ),
    })
}

/// Keys on running servers start with `kvb:`, so that they meet nobody else's.
fn prefix(place: &Place) -> &'static str {
    match place {
        Place::Spawned { .. } => "key:",
        Place::Running(_) => "kvb:key:",
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

fn ring(args: &LoadArgs) -> Result<RingMode, ScenarioError> {
    args.ring.parse().map_err(|_| ScenarioError::Value {
        flag: "ring",
        value: args.ring.clone(),
        problem: "unknown ring (known: slots, ketama, uhashring)".to_owned(),
    })
}

fn place(args: &LoadArgs) -> Result<Place, ScenarioError> {
    let mut named = args.target.iter().chain(&args.servers);
    let has_tls = named.any(|text| text.contains("rediss://"));
    if let (false, Some((flag, value))) = (has_tls, args.tls.given()) {
        let problem = "only for rediss:// targets, and there is none".to_owned();
        return Err(ScenarioError::Value { flag, value, problem });
    }
    if !args.target.is_empty() {
        return running("target", args.target.iter().map(String::as_str), &args.tls.options());
    }
    let servers = args.servers.as_deref().unwrap_or("1");
    if servers.is_empty() {
        return Err(ScenarioError::Value {
            flag: "servers",
            value: "''".to_owned(),
            problem: "must be a number or addresses (such as --servers 4)".to_owned(),
        });
    }
    if !servers.bytes().all(|byte| byte.is_ascii_digit()) {
        check_nothing_is_spawned(args)?;
        return running("servers", servers.split(','), &args.tls.options());
    }
    let count = servers.parse().unwrap_or(u64::MAX);
    range("servers", count, (1, SERVERS_MAX.into()), 4)?;
    let durability =
        Durability::from_name(&args.durability).ok_or_else(|| ScenarioError::Value {
            flag: "durability",
            value: args.durability.clone(),
            problem: format!(
                "no such mode (valid: {})",
                Durability::ALL.map(Durability::name).join(", ")
            ),
        })?;
    Ok(Place::Spawned { count: count as u32, program: args.server_bin.clone(), durability })
}

/// Refuses what only spawned servers can be told.
fn check_nothing_is_spawned(args: &LoadArgs) -> Result<(), ScenarioError> {
    let (flag, value) = match &args.server_bin {
        Some(program) => ("server-bin", program.display().to_string()),
        None if args.durability != Durability::None.name() => {
            ("durability", args.durability.clone())
        }
        None => return Ok(()),
    };
    let problem =
        "only for servers that kv-bench spawns (such as --servers 4), and these run already";
    Err(ScenarioError::Value { flag, value, problem: problem.to_owned() })
}

fn running<'a>(
    flag: &'static str,
    addresses: impl Iterator<Item = &'a str>,
    tls: &TlsOptions,
) -> Result<Place, ScenarioError> {
    let mut endpoints: Vec<Endpoint> = Vec::new();
    for text in addresses {
        // A comma may stand in a password or a path: only what cannot be read is taken for a list.
        let endpoint =
            Endpoint::parse_with(text, tls).map_err(|source| match text.contains(',') {
                true if flag == "target" => ScenarioError::Value {
                    flag,
                    value: redacted(text),
                    problem: "repeat --target for each server (such as --target a:65432 --target \
                          b:65432)"
                        .to_owned(),
                },
                _ => ScenarioError::Endpoint { flag, source },
            })?;
        if endpoints.iter().any(|other| other.name == endpoint.name) {
            return Err(ScenarioError::Twice(redacted(text)));
        }
        endpoints.push(endpoint);
    }
    Ok(Place::Running(endpoints))
}

/// Whether an address is on this machine, so that its server shares our cores.
pub fn is_local(address: &Address) -> bool {
    match address {
        Address::Tcp(address) => address.ip().is_loopback(),
        Address::Unix(_) => true,
    }
}
