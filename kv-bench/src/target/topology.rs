//! Who has which slot of a Redis or Valkey Cluster: as nodes said last, and as redirects corrected.
//!
//! Workers read the owner of a slot for each operation and write it when a redirect says otherwise;
//! the rest changes when somebody asks the cluster anew. Nodes keep their numbers for the whole run,
//! whatever becomes of them.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};

use kv_core::ring::slots::SLOTS;

use super::{Address, Node};

/// Nodes that may join during a run: as many more have their places from the beginning.
const JOINING_MAX: usize = 16;
/// Names that wait to be looked up at the same time, at most.
const UNKNOWN_MAX: usize = 64;

/// What a node does in its cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// It has no slots and nobody's copy, or does not answer the others.
    None,
    Master,
    Replica,
}

impl Role {
    const ALL: [Self; 3] = [Self::None, Self::Master, Self::Replica];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Master => "master",
            Self::Replica => "replica",
        }
    }
}

/// Slots from `first` to `last` and who has them: the master, then its replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRange<A = SocketAddr> {
    pub first: u16,
    pub last: u16,
    pub nodes: Vec<A>,
}

/// The nodes of a cluster and the owner of each slot.
#[derive(Debug)]
pub struct Topology {
    owners: Box<[AtomicU16]>,
    nodes: RwLock<Vec<SocketAddr>>,
    roles: Box<[AtomicU8]>,
    /// It may be out of date.
    is_doubted: AtomicBool,
    /// Who was last named by a redirect, and so knows best.
    informed: AtomicUsize,
    hosts: Mutex<Hosts>,
}

/// Names of hosts, of nodes that tell them in place of addresses. Only redirects ask for them.
#[derive(Debug, Default)]
struct Hosts {
    known: HashMap<String, Vec<IpAddr>>,
    /// Those that a redirect named and nobody has looked up.
    unknown: Vec<String>,
}

impl Topology {
    /// As `ranges` say, masters first. Nobody's slots are asked of the first master, which says so.
    pub fn new(ranges: &[SlotRange]) -> Self {
        let mut nodes: Vec<SocketAddr> = Vec::new();
        let masters = ranges.iter().filter_map(|range| range.nodes.first());
        for node in masters.chain(ranges.iter().flat_map(|range| &range.nodes)) {
            if !nodes.contains(node) {
                nodes.push(*node);
            }
        }
        let places = nodes.len() + JOINING_MAX;
        let topology = Self {
            owners: (0..SLOTS).map(|_| AtomicU16::new(0)).collect(),
            nodes: RwLock::new(nodes),
            roles: (0..places).map(|_| AtomicU8::new(Role::None as u8)).collect(),
            is_doubted: AtomicBool::new(false),
            informed: AtomicUsize::new(0),
            hosts: Mutex::default(),
        };
        topology.apply(ranges);
        topology
    }

    /// How many nodes it has room for.
    pub fn places(&self) -> usize {
        self.roles.len()
    }

    /// Whether it has room for no other node.
    pub fn is_full(&self) -> bool {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).len() == self.places()
    }

    /// The nodes known by now.
    pub fn nodes(&self) -> Vec<SocketAddr> {
        self.nodes.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Node number `index`, which is known.
    pub fn node(&self, index: usize) -> Node {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        let address = nodes[index];
        Node { name: address.to_string(), address: Address::Tcp(address) }
    }

    pub fn role(&self, index: usize) -> Role {
        Role::ALL[usize::from(self.roles[index].load(Ordering::Relaxed))]
    }

    pub fn is_master(&self, index: usize) -> bool {
        self.role(index) == Role::Master
    }

    /// The node that has `slot`, as far as is known.
    #[inline]
    pub fn owner(&self, slot: u16) -> usize {
        usize::from(self.owners[usize::from(slot)].load(Ordering::Relaxed))
    }

    /// What the nodes say by now. Slots that nobody has stay with whom they were.
    pub fn apply(&self, ranges: &[SlotRange]) {
        let mut roles = vec![Role::None; self.places()];
        for range in ranges {
            for (position, &address) in range.nodes.iter().enumerate() {
                let Some(index) = self.place(address) else { continue };
                if position > 0 {
                    roles[index] = Role::Replica;
                    continue;
                }
                roles[index] = Role::Master;
                for slot in range.first..=range.last {
                    self.give(slot, index);
                }
            }
        }
        for (role, now) in self.roles.iter().zip(roles) {
            role.store(now as u8, Ordering::Relaxed);
        }
    }

    /// A redirect says that the node at `host` and `port` has `slot`. Returns its number; `None` when
    /// it is not known and has to be asked for.
    pub fn moved(&self, slot: u16, host: &str, port: u16) -> Option<usize> {
        self.doubt();
        let index = self.named(host, port)?;
        self.give(slot, index);
        self.informed.store(index, Ordering::Relaxed);
        Some(index)
    }

    /// The number of a node that a redirect names; `None` when its address is not known, or there is
    /// no room for it. It is going to be asked, as masters are.
    pub fn named(&self, host: &str, port: u16) -> Option<usize> {
        let address = match host.parse() {
            Ok(ip) => SocketAddr::new(ip, port),
            Err(_) => self.found(host, port)?,
        };
        let index = self.place(address)?;
        self.roles[index].store(Role::Master as u8, Ordering::Relaxed);
        Some(index)
    }

    /// The address of a node by its name; `None` of one that has to be looked up first.
    fn found(&self, host: &str, port: u16) -> Option<SocketAddr> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ips) = hosts.known.get(host) {
            let all = ips.iter().map(|&ip| SocketAddr::new(ip, port));
            let nodes = self.nodes();
            return all.clone().find(|address| nodes.contains(address)).or(all.clone().next());
        }
        if hosts.unknown.len() < UNKNOWN_MAX && !hosts.unknown.iter().any(|other| other == host) {
            hosts.unknown.push(host.to_owned());
        }
        self.doubt();
        None
    }

    /// The names that redirects had and nobody knew, to be looked up.
    pub fn take_unknown(&self) -> Vec<String> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut hosts.unknown)
    }

    /// The addresses of a host that was looked up.
    pub fn know(&self, host: String, ips: Vec<IpAddr>) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.known.insert(host, ips);
    }

    /// It may be out of date: whoever can is to ask the nodes.
    pub fn doubt(&self) {
        if !self.is_doubted.load(Ordering::Relaxed) {
            self.is_doubted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was doubted since this was asked last.
    pub fn take_doubt(&self) -> bool {
        self.is_doubted.swap(false, Ordering::Relaxed)
    }

    /// The nodes to ask, who knows best first.
    pub fn to_ask(&self) -> Vec<SocketAddr> {
        let mut nodes = self.nodes();
        let informed = self.informed.load(Ordering::Relaxed).min(nodes.len());
        nodes.rotate_left(informed);
        nodes
    }

    fn give(&self, slot: u16, index: usize) {
        if let Some(owner) = self.owners.get(usize::from(slot)) {
            owner.store(index as u16, Ordering::Relaxed);
        }
    }

    /// The number of the node at `address`, a new one if need be and there is room.
    fn place(&self, address: SocketAddr) -> Option<usize> {
        let find = |nodes: &[SocketAddr]| nodes.iter().position(|node| *node == address);
        let known = find(&self.nodes.read().unwrap_or_else(PoisonError::into_inner));
        if known.is_some() {
            return known;
        }
        let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
        find(&nodes).or_else(|| {
            (nodes.len() < self.places()).then(|| {
                nodes.push(address);
                nodes.len() - 1
            })
        })
    }
}
