//! What a node of a Redis Cluster says of all of them.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use kv_core::client::Client;
use kv_core::resp::reply::Value;
use kv_core::ring::slots::SLOTS;

use super::{ProbeError, connect, refusal};
use crate::target::{Address, Endpoint, SlotRange, slot_ranges};

/// A cluster as one of its nodes sees it.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Who has which slots, masters first.
    pub(crate) ranges: Vec<SlotRange>,
    /// Whether it says that it is down.
    pub(crate) is_down: bool,
}

impl Slots {
    /// Slots that nobody has.
    pub(crate) fn missing(&self) -> usize {
        let mut had = [false; SLOTS];
        for SlotRange { first, last, .. } in &self.ranges {
            (*first..=*last).for_each(|slot| had[usize::from(slot)] = true);
        }
        had.into_iter().filter(|had| !had).count()
    }
}

/// What `endpoint` says of its cluster.
pub(crate) fn slots_of(endpoint: &Endpoint, timeout: Duration) -> Result<Slots, ProbeError> {
    let mut client = connect(endpoint, timeout)?;
    // CLUSTER SHARDS, which newer servers prefer, tells nothing more of use, and older ones and other
    // makes have this alone.
    let reply =
        client.call(&["CLUSTER", "SLOTS"]).map_err(|error| ProbeError::of(error, endpoint))?;
    let name = || endpoint.name.clone();
    if let Value::Error(message) = &reply {
        return Err(match refusal(&endpoint.name, message) {
            ProbeError::Refused { name, message } => ProbeError::NoCluster { name, message },
            other => other,
        });
    }
    let no_sense = || ProbeError::NoCluster {
        name: name(),
        message: "its answer to CLUSTER SLOTS is none".to_owned(),
    };
    let ranges = slot_ranges(&reply).ok_or_else(no_sense)?;
    let resolved = ranges.into_iter().map(|range| {
        let [master, replicas @ ..] = &range.nodes[..] else { return Err(no_sense()) };
        // A replica that cannot be found is asked for nothing.
        let replicas = replicas.iter().filter_map(|node| resolve(node, endpoint).ok());
        let nodes = [resolve(master, endpoint)?].into_iter().chain(replicas).collect();
        Ok(SlotRange { first: range.first, last: range.last, nodes })
    });
    let ranges = resolved.collect::<Result<_, _>>()?;
    // Who does not tell is taken to be up: what is asked of it will show.
    let is_down = match client.call(&["CLUSTER", "INFO"]) {
        Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text).contains("cluster_state:fail"),
        _ => false,
    };
    Ok(Slots { ranges, is_down })
}

/// Whether the server of `client`, which says `info` of itself, sends callers to others for some keys.
/// The only node of a cluster does not, nor does a proxy of one.
pub(super) fn has_a_part(info: &str, client: &mut Client) -> bool {
    if !info.lines().any(|line| line.trim_end() == "redis_mode:cluster") {
        return false;
    }
    let Ok(reply) = client.call(&["CLUSTER", "SLOTS"]) else { return false };
    let Some(ranges) = slot_ranges(&reply) else { return false };
    let mut masters = ranges.iter().filter_map(|range| range.nodes.first());
    let first = masters.next();
    first.is_none() || masters.any(|master| Some(master) != first)
}

/// The address of a node as another one names it, which leaves the host out where it is its own.
fn resolve((host, port): &(String, u16), asked: &Endpoint) -> Result<SocketAddr, ProbeError> {
    let own = match &asked.address {
        Address::Tcp(address) => Some(address.ip()),
        Address::Unix(_) | Address::InProcess => None,
    };
    if let ("", Some(ip)) = (host.as_str(), own) {
        return Ok(SocketAddr::new(ip, *port));
    }
    let unknown =
        || ProbeError::UnknownNode { name: asked.name.clone(), node: format!("{host}:{port}") };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, *port));
    }
    let found = (host.as_str(), *port).to_socket_addrs().map_err(|_| unknown())?;
    let all: Vec<SocketAddr> = found.collect();
    // A name that stands for several addresses is most likely reached as the node that was asked.
    let alike = all.iter().find(|address| Some(address.ip()) == own);
    alike.or(all.first()).copied().ok_or_else(unknown)
}
