//! Where operations go whose server is away, when they are not to fail: `--on-node-fail`.
//!
//! A server is taken for down when [`FAILURES`] attempts to connect to it failed and none succeeded
//! meanwhile. Whoever notices only counts; a thread apart looks at the counts and makes the ring anew
//! ([`Detours::review`]), so that a worker compares one number per operation and computes nothing.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use kv_core::ring::{Ring, RingError, RingMode};

use super::{Codec, Handshake, Node, Owner, Servers, Target};
use crate::workload::Request;

/// Attempts to connect that fail in a row before a server is taken for down: twemproxy's default.
const FAILURES: u32 = 3;

/// What becomes of an operation whose server is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnNodeFail {
    /// It waits until its timeout, and fails.
    #[default]
    Error,
    /// The others have the server's keys until it is back.
    Eject,
    /// It is tried once more, at the next server.
    Next,
}

impl OnNodeFail {
    const ALL: [(&str, Self); 3] =
        [("error", Self::Error), ("eject", Self::Eject), ("next", Self::Next)];
}

impl fmt::Display for OnNodeFail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            Self::ALL.into_iter().find(|(_, rule)| rule == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for OnNodeFail {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, rule)| rule).ok_or(())
    }
}

/// A time in which the others had a server's keys. The clock is the monotonic one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ejection {
    /// The server's number.
    pub node: usize,
    pub from_ns: u64,
    /// `None` while it goes on.
    pub until_ns: Option<u64>,
}

/// The ring without some of its servers.
pub struct Around {
    away: Vec<bool>,
    owner: Owner,
}

impl Around {
    fn new(mode: RingMode, names: &[String], away: Vec<bool>) -> Result<Self, RingError> {
        let is_away = away.clone();
        let left: Vec<usize> = (0..names.len()).filter(|&index| !is_away[index]).collect();
        let left_names: Vec<&str> = left.iter().map(|&index| names[index].as_str()).collect();
        let ring = Ring::new(mode, &left_names)?;
        Ok(Self { away, owner: Box::new(move |key| left[ring.owner(key)]) })
    }

    /// Around each of `names` alone.
    fn each(mode: RingMode, names: &[String]) -> Result<Vec<Self>, RingError> {
        let rings = Ring::without_each(mode, names)?.into_iter().enumerate();
        let around = |(node, ring): (usize, Ring)| Self {
            away: (0..names.len()).map(|index| index == node).collect(),
            owner: Box::new(move |key| {
                let owner = ring.owner(key);
                owner + usize::from(owner >= node)
            }),
        };
        Ok(rings.map(around).collect())
    }

    /// Whether server number `node` is one of those that are left out.
    #[inline]
    pub(crate) fn is_without(&self, node: usize) -> bool {
        self.away[node]
    }

    /// The number of the server that has `key` meanwhile.
    pub fn owner(&self, key: &[u8]) -> usize {
        (self.owner)(key)
    }

    pub(crate) fn owners(&self) -> &Owner {
        &self.owner
    }
}

/// What is known of servers that are away, and the ring around them.
pub struct Detours {
    rule: OnNodeFail,
    mode: RingMode,
    names: Vec<String>,
    /// Attempts to connect that failed since one succeeded.
    failures: Box<[AtomicU32]>,
    ejected: Box<[AtomicBool]>,
    /// Counts the changes of `around`.
    epoch: AtomicU64,
    around: Mutex<Arc<Around>>,
    /// Without one server each.
    next: OnceLock<Vec<Around>>,
    ejections: Mutex<Vec<Ejection>>,
}

impl Detours {
    /// For servers of these names, of which there are several.
    ///
    /// # Errors
    ///
    /// As [`Ring::new`].
    pub fn new(rule: OnNodeFail, mode: RingMode, names: &[String]) -> Result<Self, RingError> {
        let around = Around::new(mode, names, vec![false; names.len()])?;
        Ok(Self {
            rule,
            mode,
            names: names.to_vec(),
            failures: names.iter().map(|_| AtomicU32::new(0)).collect(),
            ejected: names.iter().map(|_| AtomicBool::new(false)).collect(),
            epoch: AtomicU64::new(0),
            around: Mutex::new(Arc::new(around)),
            next: OnceLock::new(),
            ejections: Mutex::default(),
        })
    }

    pub fn rule(&self) -> OnNodeFail {
        self.rule
    }

    /// An attempt to connect to server number `node` failed.
    pub fn failed(&self, node: usize) {
        self.failures[node].fetch_add(1, Ordering::Relaxed);
    }

    /// One succeeded.
    pub fn connected(&self, node: usize) {
        self.failures[node].store(0, Ordering::Relaxed);
    }

    /// Whether the others have its keys.
    pub fn is_ejected(&self, node: usize) -> bool {
        self.ejected[node].load(Ordering::Relaxed)
    }

    /// Changes when the ring around those that are away does.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The ring without those that are ejected.
    pub fn around(&self) -> Arc<Around> {
        Arc::clone(&self.around.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The ring without server number `node` alone; `None` until [`Detours::review`] has made it.
    #[inline]
    pub fn next(&self, node: usize) -> Option<&Around> {
        self.next.get()?.get(node)
    }

    /// Ejects who is down and takes back who answers again; the last one that is left stays. To be
    /// called by one thread, often.
    pub fn review(&self, now_ns: u64) {
        match self.rule {
            OnNodeFail::Error => {}
            OnNodeFail::Eject => self.review_ejections(now_ns),
            OnNodeFail::Next => self.make_next(),
        }
    }

    fn make_next(&self) {
        self.next.get_or_init(|| Around::each(self.mode, &self.names).unwrap_or_default());
    }

    fn review_ejections(&self, now_ns: u64) {
        let count = self.names.len();
        let mut away: Vec<bool> = (0..count).map(|node| self.is_ejected(node)).collect();
        let before = away.clone();
        for node in 0..count {
            let is_down = self.failures[node].load(Ordering::Relaxed) >= FAILURES;
            let others =
                away.iter().filter(|&&is_away| !is_away).count() - usize::from(!away[node]);
            away[node] = is_down && others > 0;
        }
        if away == before {
            return;
        }
        let Ok(around) = Around::new(self.mode, &self.names, away.clone()) else { return };
        *self.around.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(around);
        self.epoch.fetch_add(1, Ordering::Release);
        let mut ejections = self.ejections.lock().unwrap_or_else(PoisonError::into_inner);
        for node in (0..count).filter(|&node| away[node] != before[node]) {
            self.ejected[node].store(away[node], Ordering::Relaxed);
            if away[node] {
                ejections.push(Ejection { node, from_ns: now_ns, until_ns: None });
            } else if let Some(last) = ejections.iter_mut().rfind(|last| last.node == node) {
                last.until_ns = Some(now_ns);
            }
        }
    }

    /// When which servers were ejected, so far.
    pub fn ejections(&self) -> Vec<Ejection> {
        self.ejections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Servers that share the keys, and may stand in for each other.
pub struct Rerouted<C> {
    servers: Servers<C>,
    detours: Arc<Detours>,
}

impl<C> Rerouted<C> {
    /// The same servers with these detours.
    pub fn new(servers: Servers<C>, detours: Arc<Detours>) -> Self {
        Self { servers, detours }
    }
}

impl<C: Codec + Clone + Sync + 'static> Target for Rerouted<C> {
    type Codec = C;

    fn nodes(&self) -> Vec<Node> {
        self.servers.nodes()
    }

    fn node(&self, index: usize) -> Node {
        self.servers.node(index)
    }

    fn places(&self) -> usize {
        self.servers.places()
    }

    #[inline]
    fn route(&self, key: &[u8]) -> usize {
        self.servers.route(key)
    }

    #[inline]
    fn route_request(&self, request: Request, key: &[u8]) -> usize {
        self.servers.route_request(request, key)
    }

    fn handshake(&self, node: usize) -> Handshake {
        self.servers.handshake(node)
    }

    fn codec(&self) -> C {
        self.servers.codec()
    }

    #[inline]
    fn detours(&self) -> Option<&Arc<Detours>> {
        Some(&self.detours)
    }

    #[inline]
    fn keeps_requests(&self) -> bool {
        self.detours.rule == OnNodeFail::Next
    }
}
