//! The servers that a measurement drives: spawned ones with their lives, or running ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kv_core::ring::Ring;

use crate::driver::{Fleet, LaunchError, Shape};
use crate::fairness;
use crate::interrupt::Interrupt;
use crate::number::grouped;
use crate::probe::{Identity, probe};
use crate::progress::Progress;
use crate::scenario::{Place, Scenario, plural};
use crate::scratch::Scratch;
use crate::spawn::{Plan, Servers};
use crate::target::{Endpoint, Memcached, Node, Protocol, Resp, Target};
use crate::workload::{Keys, Kind, Sizes};

/// How long a running server may take until it listens: who starts one and measures it does not
/// wait in between.
const START_TIME: Duration = Duration::from_secs(3);
/// How long one that was away may take to answer at the end: apart from `--timeout`, which may be
/// shorter than the answer of a healthy server takes.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is driven, whichever protocol it speaks: a fleet knows the one of its own alone, so that the
/// measured path does not ask.
#[derive(Clone)]
pub(crate) enum AnyTarget {
    Resp(Arc<Resp>),
    Memcached(Arc<Memcached>),
}

impl AnyTarget {
    /// Connects the clients of `shape` to it.
    pub(crate) fn launch(&self, shape: Shape) -> Result<Fleet, LaunchError> {
        match self {
            Self::Resp(target) => Fleet::launch(target, shape),
            Self::Memcached(target) => Fleet::launch(target, shape),
        }
    }

    /// The part of `keys` that is placed on each node.
    pub(crate) fn ring_shares(&self, keys: &Keys) -> Vec<f64> {
        match self {
            Self::Resp(target) => fairness::ring_shares(&**target, keys),
            Self::Memcached(target) => fairness::ring_shares(&**target, keys),
        }
    }

    pub(crate) fn nodes(&self) -> &[Node] {
        match self {
            Self::Resp(target) => target.nodes(),
            Self::Memcached(target) => target.nodes(),
        }
    }
}

/// Servers that answer.
pub(crate) struct Cluster {
    spawned: Option<Servers>,
    endpoints: Vec<Endpoint>,
    identities: Vec<Identity>,
}

impl Cluster {
    /// Starts `count` servers, or looks at those that run already; `progress` shows what is waited
    /// for.
    pub(crate) fn open(
        scenario: &Scenario,
        count: u32,
        scratch: &Scratch,
        interrupt: &Interrupt,
        progress: &mut Progress,
    ) -> anyhow::Result<Self> {
        match &scenario.place {
            Place::Spawned { program, durability, .. } => {
                let plan = Plan { program: program.as_deref(), durability: *durability, scratch };
                progress.step("starting servers");
                let servers = Servers::start(count, &plan, interrupt)?;
                Ok(Self {
                    endpoints: servers.endpoints(),
                    identities: servers.identities(),
                    spawned: Some(servers),
                })
            }
            Place::Running(endpoints) => {
                let deadline = Instant::now() + START_TIME;
                let mut look = |endpoint| {
                    let timeout = scenario.shape.timeout;
                    await_server(endpoint, timeout, deadline, interrupt, progress)
                };
                let identities = endpoints.iter().map(&mut look).collect::<Result<_, _>>()?;
                Ok(Self { spawned: None, endpoints: endpoints.clone(), identities })
            }
        }
    }

    /// The target over these servers, with the keys placed by their names.
    pub(crate) fn target(&self, scenario: &Scenario) -> anyhow::Result<AnyTarget> {
        self.check_items(scenario)?;
        let names: Vec<&str> = self.endpoints.iter().map(|e| e.name.as_str()).collect();
        let ring =
            Ring::new(scenario.ring, &names).context("cannot place keys on these servers")?;
        let owner = Box::new(move |key: &[u8]| ring.owner(key));
        let (key_size, value_size) = (scenario.key_size(), scenario.value_size());
        // All speak the same: a scenario has no others.
        Ok(match self.endpoints.first().map(|endpoint| endpoint.protocol) {
            Some(Protocol::Memcached) => {
                let key = scenario.workload(1).keys.buffer();
                let target = Memcached::new(&self.endpoints, owner, key.bytes(), value_size)?;
                AnyTarget::Memcached(Arc::new(target.with_ttl(scenario.demand.ttl)))
            }
            _ => {
                let target = Resp::new(&self.endpoints, owner, key_size, value_size);
                let target = target.with_ttl(scenario.demand.ttl);
                AnyTarget::Resp(Arc::new(target.with_commands(scenario.demand.mix.commands())))
            }
        })
    }

    /// Refuses values that a server has said it does not store, before each of them is refused.
    fn check_items(&self, scenario: &Scenario) -> anyhow::Result<()> {
        let longest = match &scenario.demand.sizes {
            // What few of a law's values are refused for is counted with the other errors.
            Sizes::FacebookEtc | Sizes::Pareto { .. } => scenario.value_size() as u64,
            listed => listed.max(),
        };
        let item_bytes = scenario.key_size() as u64 + longest;
        let mix = &scenario.demand.mix;
        let writes = scenario.preload || mix.shows(Kind::Put) || mix.contains(Kind::Insert);
        for (Endpoint { name, .. }, identity) in self.endpoints.iter().zip(&self.identities) {
            if let Some(max) = identity.item_bytes_max.filter(|&max| writes && item_bytes > max) {
                bail!(
                    "{name} stores at most {} bytes per key and value, and --value-size asks for \
                     {}: give a smaller one, or start it with room for more (memcached -I {}m)",
                    grouped(max),
                    grouped(longest),
                    item_bytes / (1 << 20) + 1
                );
            }
        }
        Ok(())
    }

    /// Why the run cannot go on, when a server of ours has ended by itself.
    pub(crate) fn obituary(&mut self) -> Option<String> {
        self.spawned.as_mut()?.obituary()
    }

    /// Server number `index` of the ring, as messages name it.
    pub(crate) fn name(&self, index: usize) -> String {
        let Endpoint { name, address, .. } = &self.endpoints[index];
        let address = address.to_string();
        if *name == address { address } else { format!("{name} ({address})") }
    }

    /// Whether server number `index`, which was away, answers. It has `time` to do so; `None`
    /// when the user did not want to wait for that.
    pub(crate) fn answers(
        &self,
        index: usize,
        time: Duration,
        interrupt: &Interrupt,
    ) -> Option<bool> {
        let deadline = Instant::now() + time;
        loop {
            // A user who wants the end does not wait for an answer.
            if interrupt.is_wanted() {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left < LOOK_EVERY {
                return Some(false);
            }
            if probe(&self.endpoints[index], left).is_ok() {
                return Some(true);
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether they are ours.
    pub(crate) fn is_spawned(&self) -> bool {
        self.spawned.is_some()
    }

    /// Ours, to do something to.
    ///
    /// # Panics
    ///
    /// Where they are not ours.
    pub(crate) fn servers(&mut self) -> &mut Servers {
        self.spawned.as_mut().expect("faults are for spawned servers alone")
    }

    /// Whether server number `index` is away because we killed it.
    pub(crate) fn is_killed(&self, index: usize) -> bool {
        self.spawned.as_ref().is_some_and(|servers| servers.is_killed(index))
    }

    /// Whether any is.
    pub(crate) fn is_any_killed(&self) -> bool {
        (0..self.endpoints.len()).any(|index| self.is_killed(index))
    }

    /// Their processes, where they run on this machine.
    pub(crate) fn pids(&self) -> Vec<Option<u32>> {
        self.identities.iter().map(|identity| identity.pid).collect()
    }

    /// What each says of itself.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.identities.iter().map(|identity| identity.version.clone()).collect()
    }

    /// As the first line of a run names them: `4 servers (none)`, `1 running server (redis 7.0.15)`.
    pub(crate) fn describe(&self, durability: &str) -> String {
        let count = self.endpoints.len() as u64;
        if self.spawned.is_some() {
            return format!("{} ({durability})", plural(count, "server"));
        }
        let mut versions = self.versions();
        versions.sort();
        versions.dedup();
        versions.retain(|version| !version.is_empty());
        let known = if versions.is_empty() { "unknown".to_owned() } else { versions.join(", ") };
        format!("{} ({known})", plural(count, "running server"))
    }
}

/// Looks at a server that may be about to start.
fn await_server(
    endpoint: &Endpoint,
    timeout: Duration,
    deadline: Instant,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> anyhow::Result<Identity> {
    loop {
        match probe(endpoint, timeout) {
            Err(error) if error.may_pass() && Instant::now() < deadline => {
                if interrupt.is_wanted() {
                    bail!("interrupted while waiting for {}", endpoint.name);
                }
                progress.step(format!("waiting for {}", endpoint.name));
                std::thread::sleep(LOOK_EVERY);
            }
            answer => return Ok(answer?),
        }
    }
}
