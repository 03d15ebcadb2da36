//! The nodes of a running Redis Cluster, from any of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use kv_core::ring::slots::SLOTS;

use super::{Cluster, LOOK_EVERY, START_TIME, await_server};
use crate::interrupt::Interrupt;
use crate::number::grouped;
use crate::probe::{Identity, Slots, probe, slots_of};
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::target::{Address, Endpoint, Topology};

/// Looks at the cluster that `seeds` belong to: the first of them that answers tells who is in it.
pub(super) fn open(
    seeds: &[Endpoint],
    scenario: &Scenario,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> anyhow::Result<Cluster> {
    let timeout = scenario.shape.timeout;
    let (seed, slots) = find(seeds, timeout, interrupt, progress)?;
    let mut watch = Watch { timeout, deadline: Instant::now() + START_TIME, interrupt, progress };
    let ranges = watch.whole(seed, slots)?.ranges;
    let topology = Topology::new(&ranges);
    let node = |address: std::net::SocketAddr| Endpoint {
        name: address.to_string(),
        address: Address::Tcp(address),
        protocol: seed.protocol,
        credentials: seed.credentials.clone(),
    };
    let endpoints: Vec<Endpoint> = topology.nodes().into_iter().map(node).collect();
    let mut identities = Vec::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let identity = if topology.is_master(index) {
            watch.master(endpoint, seed)?
        } else {
            // Nothing is asked of a replica that may be away.
            probe(endpoint, timeout).unwrap_or_default()
        };
        identities.push(with_role(identity, &topology, index));
    }
    let topology = Some(Arc::new(topology));
    Ok(Cluster { topology, ..Cluster::of(endpoints, identities) })
}

/// The first of `seeds` that answers, and what it says.
fn find<'a>(
    seeds: &'a [Endpoint],
    timeout: Duration,
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> anyhow::Result<(&'a Endpoint, Slots)> {
    let mut deadline = Instant::now() + START_TIME;
    let mut reasons = Vec::new();
    for seed in seeds {
        let looked = await_server(seed, timeout, deadline, interrupt, progress)
            .and_then(|_| Ok(slots_of(seed, timeout)?));
        match looked {
            Ok(slots) => return Ok((seed, slots)),
            Err(error) => reasons.push(error.to_string()),
        }
        // Who is to start has had its time.
        deadline = Instant::now();
    }
    Err(anyhow!(reasons.join("; ")))
}

/// What may pass is looked at again for a while: who starts a cluster and measures it does not have to
/// wait in between.
struct Watch<'a> {
    timeout: Duration,
    deadline: Instant,
    interrupt: &'a Interrupt,
    progress: &'a mut Progress,
}

impl Watch<'_> {
    /// What `seed` says when somebody has each slot and the cluster serves; it has said `slots` before.
    fn whole(&mut self, seed: &Endpoint, mut slots: Slots) -> anyhow::Result<Slots> {
        loop {
            let name = &seed.name;
            let problem = match slots.missing() {
                0 if !slots.is_down => return Ok(slots),
                0 => format!(
                    "the cluster of {name} says that it is down (cluster_state:fail): see which of its \
                     nodes is away (redis-cli --cluster check {name})"
                ),
                SLOTS => format!(
                    "{name} is a node of a cluster in which nobody has slots: make one of them first \
                     (redis-cli --cluster create host:port host:port host:port)"
                ),
                missing => format!(
                    "the cluster of {name} is not complete: nobody has {} of its {} slots (see \
                     redis-cli --cluster check {name}, and mend it by redis-cli --cluster fix {name})",
                    grouped(missing as u64),
                    grouped(SLOTS as u64)
                ),
            };
            if Instant::now() >= self.deadline {
                bail!(problem);
            }
            if self.interrupt.is_wanted() {
                bail!("interrupted while waiting for the cluster of {name}");
            }
            self.progress.step(format!("waiting for the cluster of {name}"));
            std::thread::sleep(LOOK_EVERY);
            slots = slots_of(seed, self.timeout)?;
        }
    }

    /// Looks at a master that `seed` has named.
    fn master(&mut self, endpoint: &Endpoint, seed: &Endpoint) -> anyhow::Result<Identity> {
        let Self { timeout, deadline, interrupt, progress } = self;
        await_server(endpoint, *timeout, *deadline, interrupt, progress).map_err(|error| {
            anyhow!(
                "{error} ({}, as {} says, is a master of its cluster: start it; or, if nodes are \
                 reached from here at other addresses, set cluster-announce-ip to those)",
                endpoint.name,
                seed.name
            )
        })
    }
}

fn with_role(mut identity: Identity, topology: &Topology, index: usize) -> Identity {
    let role = topology.role(index).name();
    if identity.version.is_empty() {
        "unknown".clone_into(&mut identity.version);
    }
    identity.version.extend([" (", role, ")"]);
    identity
}
