//! The servers that a measurement drives: spawned ones with their lives, or running ones.

use std::sync::Arc;

use anyhow::Context as _;
use kv_core::ring::Ring;

use crate::interrupt::Interrupt;
use crate::probe::{Identity, probe};
use crate::scenario::{Place, Scenario, plural};
use crate::scratch::Scratch;
use crate::spawn::{Plan, Servers};
use crate::target::{Endpoint, Resp};

/// Servers that answer.
pub(crate) struct Cluster {
    spawned: Option<Servers>,
    endpoints: Vec<Endpoint>,
    identities: Vec<Identity>,
}

impl Cluster {
    /// Starts `count` servers, or looks at those that run already.
    pub(crate) fn open(
        scenario: &Scenario,
        count: u32,
        scratch: &Scratch,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        match &scenario.place {
            Place::Spawned { program, durability, .. } => {
                let plan = Plan { program: program.as_deref(), durability: *durability, scratch };
                let servers = Servers::start(count, &plan, interrupt)?;
                Ok(Self {
                    endpoints: servers.endpoints(),
                    identities: servers.identities(),
                    spawned: Some(servers),
                })
            }
            Place::Running(endpoints) => {
                let look = |endpoint| probe(endpoint, scenario.shape.timeout);
                let identities = endpoints.iter().map(look).collect::<Result<_, _>>()?;
                Ok(Self { spawned: None, endpoints: endpoints.clone(), identities })
            }
        }
    }

    /// The target over these servers, with the keys placed by their names.
    pub(crate) fn target(&self, scenario: &Scenario) -> anyhow::Result<Arc<Resp>> {
        let names: Vec<&str> = self.endpoints.iter().map(|e| e.name.as_str()).collect();
        let ring =
            Ring::new(scenario.ring, &names).context("cannot place keys on these servers")?;
        let owner = Box::new(move |key: &[u8]| ring.owner(key));
        let (key_size, value_size) = (scenario.key_size(), scenario.value_size());
        Ok(Arc::new(Resp::new(&self.endpoints, owner, key_size, value_size)))
    }

    /// Why the run cannot go on, when a server of ours has ended by itself.
    pub(crate) fn obituary(&mut self) -> Option<String> {
        self.spawned.as_mut()?.obituary()
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
