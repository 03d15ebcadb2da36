//! Which servers are measured.

use std::path::PathBuf;

use kv_core::data_dir::Durability;
use kv_core::tls::TlsOptions;

use super::error::{ScenarioError, range};
use super::in_process::in_process;
use crate::args::LoadArgs;
use crate::target::{Address, Endpoint, OnNodeFail, Protocol, redacted, seeds};

const SERVERS_MAX: u32 = 64;

/// Which servers are measured.
#[derive(Debug, Clone)]
pub enum Place {
    /// This many, started and ended by us.
    Spawned { count: u32, program: Option<PathBuf>, durability: Durability },
    /// These, which run already.
    Running(Vec<Endpoint>),
    /// kv-core in this process; with a store of the user's own, or one that is ours and empty.
    InProcess { durability: Durability, data_dir: Option<PathBuf> },
}

impl Place {
    /// Whether what is measured is ours, and begins empty.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self, Self::Spawned { .. } | Self::InProcess { data_dir: None, .. })
    }

    /// Whether the servers are memcached's: all of them are, or none.
    pub(crate) fn is_memcached(&self) -> bool {
        self.speaks(Protocol::Memcached)
    }

    /// Whether the servers are nodes of a Redis Cluster.
    pub(crate) fn is_redis_cluster(&self) -> bool {
        self.speaks(Protocol::RedisCluster)
    }

    fn speaks(&self, protocol: Protocol) -> bool {
        matches!(self, Self::Running(all) if all.iter().any(|one| one.protocol == protocol))
    }
}

/// What becomes of operations whose server is away.
pub(super) fn on_node_fail(args: &LoadArgs, place: &Place) -> Result<OnNodeFail, ScenarioError> {
    let refused = |problem: &str| ScenarioError::Value {
        flag: "on-node-fail",
        value: args.on_node_fail.clone(),
        problem: problem.to_owned(),
    };
    let rule = args
        .on_node_fail
        .parse()
        .map_err(|()| refused("no such rule (valid: error, eject, next)"))?;
    if rule == OnNodeFail::Error {
        return Ok(rule);
    }
    let count = match place {
        Place::Spawned { count, .. } => *count as usize,
        Place::Running(endpoints) => endpoints.len(),
        Place::InProcess { .. } => 1,
    };
    if place.is_redis_cluster() {
        return Err(refused("a Redis Cluster fails over by itself: leave it out"));
    }
    if count < 2 {
        return Err(refused("there is one server, and nobody to stand in for it (--servers 4)"));
    }
    if args.callers.verify {
        return Err(refused(
            "a key's value is at one server and then at another, so that what --verify finds says \
             nothing of the servers: leave one of them out",
        ));
    }
    Ok(rule)
}

/// Keys on running servers start with `kvb:`, so that they meet nobody else's.
pub(super) fn prefix(place: &Place) -> &'static str {
    if place.is_ours() { "key:" } else { "kvb:key:" }
}

/// What stands before the keys of a trace: on servers of our own they are as they were.
pub(super) fn trace_prefix(place: &Place) -> &'static str {
    match place {
        Place::Spawned { .. } => "",
        Place::Running(_) | Place::InProcess { .. } => "kvb:",
    }
}

pub(super) fn place(args: &LoadArgs) -> Result<Place, ScenarioError> {
    let mut named = args.target.iter().chain(&args.servers);
    let has_tls =
        named.any(|text| text.contains("rediss://") || text.contains("rediss-cluster://"));
    if let (false, Some((flag, value))) = (has_tls, args.tls.given()) {
        let problem = "only for rediss:// targets, and there is none".to_owned();
        return Err(ScenarioError::Value { flag, value, problem });
    }
    if let Some(place) = in_process(args)? {
        return Ok(place);
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
    for text in addresses.flat_map(seeds) {
        let text = text.as_str();
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
        if endpoints.first().is_some_and(|first| first.protocol != endpoint.protocol) {
            let problem = "one run has one protocol: measure memcached, a cluster, and other servers \
                           that speak RESP one after the other";
            return Err(ScenarioError::Value {
                flag,
                value: redacted(text),
                problem: problem.to_owned(),
            });
        }
        endpoints.push(endpoint);
    }
    Ok(Place::Running(endpoints))
}

/// Whether an address is on this machine, so that its server shares our cores.
pub fn is_local(address: &Address) -> bool {
    match address {
        Address::Tcp(address) => address.ip().is_loopback(),
        Address::Unix(_) | Address::InProcess => true,
    }
}
