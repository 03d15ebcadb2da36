//! The servers that a measurement drives: spawned ones with their lives, or running ones.

mod redis;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kv_core::ring::Ring;

use crate::driver::{Fleet, LaunchError, Shape};
use crate::fairness;
use crate::in_process::Store;
use crate::interrupt::Interrupt;
use crate::number::grouped;
use crate::probe::{Identity, probe};
use crate::progress::Progress;
use crate::scenario::{Place, Scenario, plural};
use crate::scratch::Scratch;
use crate::spawn::{Plan, Servers};
use crate::target::{
    Detours, Endpoint, InProcess, Memcached, MemcachedCodec, Node, OnNodeFail, Owner, Protocol,
    RedisCluster, Rerouted, Resp, RespCodec, Role, Target, Topology,
};
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
    RedisCluster(Arc<RedisCluster>),
    /// Servers that stand in for each other.
    ReroutedResp(Arc<Rerouted<RespCodec>>),
    ReroutedMemcached(Arc<Rerouted<MemcachedCodec>>),
    InProcess(Arc<InProcess>),
}

impl AnyTarget {
    /// Connects the clients of `shape` to it.
    pub(crate) fn launch(&self, shape: Shape) -> Result<Fleet, LaunchError> {
        match self {
            Self::Resp(target) => Fleet::launch(target, shape),
            Self::Memcached(target) => Fleet::launch(target, shape),
            Self::RedisCluster(target) => Fleet::launch(target, shape),
            Self::ReroutedResp(target) => Fleet::launch(target, shape),
            Self::ReroutedMemcached(target) => Fleet::launch(target, shape),
            Self::InProcess(target) => Fleet::launch(target, shape),
        }
    }

    /// The part of `keys` that is placed on each node.
    pub(crate) fn ring_shares(&self, keys: &Keys) -> Vec<f64> {
        match self {
            Self::Resp(target) => fairness::ring_shares(&**target, keys),
            Self::Memcached(target) => fairness::ring_shares(&**target, keys),
            Self::ReroutedResp(target) => fairness::ring_shares(&**target, keys),
            Self::ReroutedMemcached(target) => fairness::ring_shares(&**target, keys),
            // No ring places them, and they may move.
            Self::RedisCluster(_) => Vec::new(),
            Self::InProcess(target) => fairness::ring_shares(&**target, keys),
        }
    }

    pub(crate) fn nodes(&self) -> Vec<Node> {
        match self {
            Self::Resp(target) => target.nodes(),
            Self::Memcached(target) => target.nodes(),
            Self::RedisCluster(target) => target.nodes(),
            Self::InProcess(target) => target.nodes(),
            Self::ReroutedResp(target) => target.nodes(),
            Self::ReroutedMemcached(target) => target.nodes(),
        }
    }

    /// What node number `index` does in its cluster, by now; `None` where there is none.
    pub(crate) fn role(&self, index: usize) -> Option<Role> {
        match self {
            Self::RedisCluster(target) => Some(target.topology()?.role(index)),
            _ => None,
        }
    }
}

/// Servers that answer, or the engine in their place.
pub(crate) struct Cluster {
    spawned: Option<Servers>,
    in_process: Option<Store>,
    endpoints: Vec<Endpoint>,
    identities: Vec<Identity>,
    /// Of a Redis Cluster.
    topology: Option<Arc<Topology>>,
    /// Of servers that stand in for each other.
    detours: Option<Arc<Detours>>,
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
        let mut cluster = Self::find(scenario, count, scratch, interrupt, progress)?;
        if scenario.on_node_fail != OnNodeFail::Error {
            let names: Vec<String> = cluster.endpoints.iter().map(|e| e.name.clone()).collect();
            let detours = Detours::new(scenario.on_node_fail, scenario.ring, &names);
            let detours = detours.context("cannot place keys on these servers")?;
            cluster.detours = Some(Arc::new(detours));
        }
        Ok(cluster)
    }

    fn find(
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
                let (endpoints, identities) = (servers.endpoints(), servers.identities());
                Ok(Self { spawned: Some(servers), ..Self::of(endpoints, identities) })
            }
            Place::InProcess { durability, data_dir } => {
                let store = match data_dir {
                    Some(dir) => Store::open(*durability, dir)?,
                    None => Store::fresh(*durability, scratch)?,
                };
                let (endpoint, identity) = (Endpoint::in_process(), Identity::of_engine());
                Ok(Self { in_process: Some(store), ..Self::of(vec![endpoint], vec![identity]) })
            }
            Place::Running(seeds) if scenario.place.is_redis_cluster() => {
                redis::open(seeds, scenario, interrupt, progress)
            }
            Place::Running(endpoints) => {
                let deadline = Instant::now() + START_TIME;
                let mut look = |endpoint| {
                    let timeout = scenario.shape.timeout;
                    await_server(endpoint, timeout, deadline, interrupt, progress)
                };
                let identities = endpoints.iter().map(&mut look).collect::<Result<_, _>>()?;
                Ok(Self::of(endpoints.clone(), identities))
            }
        }
    }

    /// Running servers, of which each stands for itself.
    fn of(endpoints: Vec<Endpoint>, identities: Vec<Identity>) -> Self {
        Self {
            spawned: None,
            in_process: None,
            endpoints,
            identities,
            topology: None,
            detours: None,
        }
    }

    /// The target over these servers, with the keys placed by their names.
    pub(crate) fn target(&self, scenario: &Scenario) -> anyhow::Result<AnyTarget> {
        self.check_items(scenario)?;
        if let Some(store) = &self.in_process {
            let demand = &scenario.demand;
            let (key_size, commands) = (scenario.key_size(), demand.mix.commands());
            let target = InProcess::new(store.engine(), key_size, demand.ttl, commands);
            return Ok(AnyTarget::InProcess(Arc::new(target.map_err(anyhow::Error::msg)?)));
        }
        let (key_size, value_size) = (scenario.key_size(), scenario.value_size());
        if let (Some(topology), [seed, ..]) = (&self.topology, &self.endpoints[..]) {
            let (topology, login) = (Arc::clone(topology), &seed.credentials);
            let target = RedisCluster::new(topology, login, key_size, value_size);
            let resp = resp(&[], Box::new(|_| 0), scenario);
            return Ok(AnyTarget::RedisCluster(Arc::new(target.with_requests_of(&resp))));
        }
        let names: Vec<&str> = self.endpoints.iter().map(|e| e.name.as_str()).collect();
        let ring =
            Ring::new(scenario.ring, &names).context("cannot place keys on these servers")?;
        let owner = Box::new(move |key: &[u8]| ring.owner(key));
        // All speak the same: a scenario has no others.
        Ok(match self.endpoints.first().map(|endpoint| endpoint.protocol) {
            Some(Protocol::Memcached) => {
                let key = scenario.workload(1).keys.buffer();
                let target = Memcached::new(&self.endpoints, owner, key.bytes(), value_size)?;
                let target = target.with_ttl(scenario.demand.ttl);
                match &self.detours {
                    Some(detours) => AnyTarget::ReroutedMemcached(Arc::new(Rerouted::new(
                        target,
                        Arc::clone(detours),
                    ))),
                    None => AnyTarget::Memcached(Arc::new(target)),
                }
            }
            _ => {
                let target = resp(&self.endpoints, owner, scenario);
                match &self.detours {
                    Some(detours) => AnyTarget::ReroutedResp(Arc::new(Rerouted::new(
                        target,
                        Arc::clone(detours),
                    ))),
                    None => AnyTarget::Resp(Arc::new(target)),
                }
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
        let Endpoint { name, address, .. } = self.endpoint(index);
        let address = address.to_string();
        if name == address { address } else { format!("{name} ({address})") }
    }

    /// Its name alone, which is the same from one cluster to the next.
    pub(crate) fn label(&self, index: usize) -> String {
        self.endpoint(index).name
    }

    fn endpoint(&self, index: usize) -> Endpoint {
        match (&self.topology, self.endpoints.first()) {
            // It joined later.
            (Some(topology), Some(first)) if index >= self.endpoints.len() => {
                let Node { name, address } = topology.node(index);
                Endpoint { name, address, ..first.clone() }
            }
            _ => self.endpoints[index].clone(),
        }
    }

    /// Whether they are nodes of a Redis Cluster.
    pub(crate) fn is_redis_cluster(&self) -> bool {
        self.topology.is_some()
    }

    /// How others stand in for servers that are away, where they do.
    pub(crate) fn detours(&self) -> Option<&Arc<Detours>> {
        self.detours.as_ref()
    }

    /// Whether other nodes of its cluster do what server number `index` did.
    pub(crate) fn is_replaced(&self, index: usize) -> bool {
        self.topology.as_ref().is_some_and(|topology| !topology.is_master(index))
    }

    /// How many servers there are, or in a cluster have come to be known.
    pub(crate) fn known(&self) -> usize {
        self.topology.as_ref().map_or(self.endpoints.len(), |topology| topology.nodes().len())
    }

    /// How many servers operations go to.
    pub(crate) fn count(&self) -> usize {
        let all = self.endpoints.len();
        match &self.topology {
            Some(topology) => (0..all).filter(|&index| topology.is_master(index)).count(),
            None => all,
        }
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
        let endpoint = self.endpoint(index);
        loop {
            // A user who wants the end does not wait for an answer.
            if interrupt.is_wanted() {
                return None;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left < LOOK_EVERY {
                return Some(false);
            }
            if probe(&endpoint, left).is_ok() {
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

    /// Whether it is the engine in this process.
    pub(crate) fn is_in_process(&self) -> bool {
        self.in_process.is_some()
    }

    /// Their processes, where they run on this machine; none of their own where that is this one.
    pub(crate) fn pids(&self) -> Vec<Option<u32>> {
        if self.is_in_process() {
            return Vec::new();
        }
        self.identities.iter().map(|identity| identity.pid).collect()
    }

    /// What each says of itself.
    pub(crate) fn versions(&self) -> Vec<String> {
        self.identities.iter().map(|identity| identity.version.clone()).collect()
    }

    /// As the first line of a run names them: `4 servers (none)`, `1 running server (redis 7.0.15)`.
    pub(crate) fn describe(&self, durability: &str) -> String {
        if let Some(store) = &self.in_process {
            return format!("engine in process, no network ({})", store.durability());
        }
        let count = self.endpoints.len() as u64;
        if self.spawned.is_some() {
            return format!("{} ({durability})", plural(count, "server"));
        }
        let mut versions = self.versions();
        versions.sort();
        versions.dedup();
        versions.retain(|version| !version.is_empty());
        let known = if versions.is_empty() { "unknown".to_owned() } else { versions.join(", ") };
        if self.topology.is_some() {
            return format!("a cluster of {} ({known})", plural(count, "running server"));
        }
        format!("{} ({known})", plural(count, "running server"))
    }
}

/// A target of servers that speak RESP, with all that is asked of it.
fn resp(endpoints: &[Endpoint], owner: Owner, scenario: &Scenario) -> Resp {
    let target = Resp::new(endpoints, owner, scenario.key_size(), scenario.value_size());
    target.with_ttl(scenario.demand.ttl).with_commands(scenario.demand.mix.commands())
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
