//! Operations of a cluster whose keys move: what is kept of each until it is answered, and those that
//! have to go elsewhere, or to wait for a node.
//!
//! A redirect is no outcome. The operation goes on, counts once, and its times run from when it was
//! first sent, or to be sent, to its outcome; how often it was redirected is counted apart.

use std::borrow::Cow;
use std::collections::VecDeque;

use super::connection::InFlight;
use super::following::Note;
use super::verifier::Expected;
use crate::target::{Address, Codec, Decoded, Redirect, Topology};

/// How often one operation is redirected before the redirect is its outcome.
pub(super) const REDIRECTS_MAX: u8 = 16;
/// Redirects to another node that are followed at once. More of them mean that nodes do not agree yet.
const AT_ONCE_MAX: u8 = 2;
/// Pause before an operation is tried again, doubled each time.
const PAUSE_NS_MIN: u64 = 10_000_000;
const PAUSE_NS_MAX: u64 = 100_000_000;
/// Requests that are answered are swept out when they are this long, and longer than the others.
const TAKEN_MAX: usize = 16 * 1024;
/// How often those are looked at that wait for a connection.
const LOOK_NS: u64 = 1_000_000;

/// The kinds of redirects, whose texts are those of the errors that they become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    Moved,
    Ask,
    /// One of those, to a node that there is no place for.
    Crowded,
    TryAgain,
    ClusterDown,
}

impl Cause {
    fn of(redirect: &Redirect<'_>) -> Self {
        match redirect {
            Redirect::Moved { .. } => Self::Moved,
            Redirect::Ask { .. } => Self::Ask,
            Redirect::TryAgain => Self::TryAgain,
            Redirect::ClusterDown => Self::ClusterDown,
        }
    }

    pub(super) fn message(self) -> &'static [u8] {
        match self {
            Self::Moved => b"MOVED again and again, as if nodes did not agree on who has a slot",
            Self::Ask => b"ASK again and again, as if nodes did not agree on who has a slot",
            Self::Crowded => b"MOVED to one node more than may join during a run: begin a new one",
            Self::TryAgain => b"TRYAGAIN though it was tried again for a while",
            Self::ClusterDown => b"CLUSTERDOWN though it was tried again for a while",
        }
    }

    /// The pause before redirect number `redirects` of an operation is followed.
    fn pause_ns(self, redirects: u8) -> u64 {
        let paused = match self {
            Self::Moved | Self::Ask | Self::Crowded => redirects.saturating_sub(AT_ONCE_MAX),
            Self::TryAgain | Self::ClusterDown => redirects,
        };
        match paused {
            0 => 0,
            _ => (PAUSE_NS_MIN << (paused - 1).min(4)).min(PAUSE_NS_MAX),
        }
    }
}

/// What is kept of an operation in flight beside what every target needs.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Bytes of its request.
    size: usize,
    slot: u16,
    redirects: u8,
    /// A reply comes before its own: to the word that it was asked for.
    is_asking: bool,
    /// Of one that has been elsewhere.
    first: Option<First>,
}

/// Where an operation was first.
#[derive(Debug, Clone, Copy)]
struct First {
    sent_ns: u64,
    /// The node that was to have it.
    node: usize,
    /// Who is tried after another one has failed has as much time as that.
    is_retried: bool,
}

/// What is kept of a connection's operations in flight, in their order.
#[derive(Debug, Default)]
pub(super) struct Trail {
    steps: VecDeque<Step>,
    /// Their requests, one behind the other, behind `taken` bytes of those that are answered.
    requests: Vec<u8>,
    taken: usize,
}

impl Trail {
    /// Keeps the operation of `request`.
    #[inline]
    pub(super) fn keep(&mut self, request: &[u8], slot: u16) {
        let size = request.len();
        self.steps.push_back(Step { size, slot, redirects: 0, is_asking: false, first: None });
        if self.taken >= TAKEN_MAX.max(self.requests.len() / 2) {
            self.requests.drain(..self.taken);
            self.taken = 0;
        }
        self.requests.extend_from_slice(request);
    }

    /// Keeps one that has been elsewhere.
    fn keep_stray(&mut self, stray: &Stray) {
        self.keep(&stray.request, stray.slot);
        if let Some(step) = self.steps.back_mut() {
            step.redirects = stray.redirects;
            step.is_asking = stray.asks.is_some();
            step.first = Some(First {
                sent_ns: stray.operation.sent_ns,
                node: stray.first_node,
                is_retried: stray.is_retried,
            });
        }
    }

    /// Takes the reply to the word that the next operation was asked for, where that is due, from the
    /// front of `bytes`. What it says of that word, it says of the operation as well.
    #[inline]
    pub(super) fn asked(&mut self, codec: &impl Codec, bytes: &[u8]) -> Decoded<()> {
        let Some(step) = self.steps.front_mut().filter(|step| step.is_asking) else {
            return Ok(Some((0, ())));
        };
        let asked = codec.decode_handshake(bytes)?.map(|(size, _)| (size, ()));
        step.is_asking = asked.is_none();
        Ok(asked)
    }

    /// Since when the first operation, which was sent here at `sent_ns`, has waited.
    pub(super) fn since_ns(&self, sent_ns: u64) -> u64 {
        let first = self.steps.front().and_then(|step| step.first);
        first.filter(|first| !first.is_retried).map_or(sent_ns, |first| first.sent_ns)
    }

    /// Forgets the first operation, and puts right when it was sent first. Returns the node that was to
    /// have it, of one that has been elsewhere.
    #[inline]
    pub(super) fn forget(&mut self, operation: &mut InFlight) -> Option<usize> {
        let step = self.steps.pop_front()?;
        self.taken += step.size;
        if self.steps.is_empty() {
            self.requests.clear();
            self.taken = 0;
        }
        let first = step.first?;
        operation.sent_ns = first.sent_ns;
        Some(first.node)
    }

    /// Whether the first operation may be tried at another server: once.
    pub(super) fn may_retry(&self) -> bool {
        self.steps.front().is_some_and(|step| step.first.is_none())
    }

    /// Takes the first operation, an `operation` of `client` that was sent to node number `place`, to
    /// follow a redirect.
    #[cold]
    pub(super) fn stray(
        &mut self,
        (client, place): (usize, usize),
        mut operation: InFlight,
        (note, expected): (Option<Note>, Option<Expected>),
    ) -> Option<Stray> {
        let step = *self.steps.front()?;
        let request = self.requests.get(self.taken..self.taken + step.size)?.to_vec();
        let first = self.forget(&mut operation);
        let caller = (client, first.unwrap_or(place));
        Some(Stray {
            redirects: step.redirects,
            note,
            expected,
            ..Stray::new(caller, operation, request, step.slot)
        })
    }
}

/// An operation on its way to another node, or waiting for one.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) client: usize,
    /// The node that had its slot when it was begun.
    pub(super) first_node: usize,
    /// Sent when it was sent first, or was to be.
    pub(super) operation: InFlight,
    pub(super) note: Option<Note>,
    pub(super) request: Vec<u8>,
    pub(super) slot: u16,
    /// A node that is to be asked this once; else who has the slot.
    pub(super) asks: Option<usize>,
    pub(super) redirects: u8,
    /// Its server failed, and it goes to another one.
    pub(super) is_retried: bool,
    /// The last redirect; `None` of one that waits for its connection.
    pub(super) cause: Option<Cause>,
    pub(super) not_before_ns: u64,
    /// Where replies are verified.
    pub(super) expected: Option<Expected>,
}

impl Stray {
    /// One of a client that waits for a node.
    pub(super) fn new(
        (client, first_node): (usize, usize),
        operation: InFlight,
        request: Vec<u8>,
        slot: u16,
    ) -> Self {
        Self {
            client,
            first_node,
            operation,
            note: None,
            request,
            slot,
            asks: None,
            redirects: 0,
            is_retried: false,
            cause: None,
            not_before_ns: 0,
            expected: None,
        }
    }

    /// It was redirected.
    fn redirect(&mut self, cause: Cause, now_ns: u64) {
        self.redirects += 1;
        self.cause = Some(cause);
        self.not_before_ns = now_ns + cause.pause_ns(self.redirects);
    }

    /// Writes it behind `outgoing`, with the word that it was asked for where that is so.
    pub(super) fn send(&self, outgoing: &mut Vec<u8>, trail: &mut Trail) {
        if self.asks.is_some() {
            outgoing.extend_from_slice(b"*1\r\n$6\r\nASKING\r\n");
        }
        outgoing.extend_from_slice(&self.request);
        trail.keep_stray(self);
    }
}

/// Those of one worker.
#[derive(Debug, Default)]
pub(super) struct Strays {
    list: Vec<Stray>,
    /// When to look at them next.
    wake_ns: u64,
}

impl Strays {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn push(&mut self, stray: Stray, now_ns: u64) {
        let look_ns = stray.not_before_ns.max(now_ns + LOOK_NS);
        self.wake_ns = if self.list.is_empty() { look_ns } else { self.wake_ns.min(look_ns) };
        self.list.push(stray);
    }

    /// An operation was redirected by node number `node`.
    #[cold]
    pub(super) fn redirected(
        &mut self,
        stray: Option<Stray>,
        (redirect, node): (&Redirect<'_>, usize),
        topology: &Topology,
        now_ns: u64,
    ) {
        let Some(mut stray) = stray else { return };
        let mut is_known = true;
        match *redirect {
            Redirect::Moved { slot, host, port } => {
                let named = topology.moved(slot, &known_host(host, topology, node), port);
                is_known = named.is_some();
            }
            Redirect::Ask { host, port } => {
                stray.asks = topology.named(&known_host(host, topology, node), port);
                is_known = stray.asks.is_some();
            }
            Redirect::TryAgain => {}
            Redirect::ClusterDown => topology.doubt(),
        }
        let is_crowded = !is_known && topology.is_full();
        let cause = if is_crowded { Cause::Crowded } else { Cause::of(redirect) };
        stray.redirect(cause, now_ns);
        self.push(stray, now_ns);
    }

    /// What is expected of the last of them.
    pub(super) fn expect(&mut self, expected: Option<Expected>) {
        if let Some(stray) = self.list.last_mut() {
            stray.expected = expected;
        }
    }

    /// All of them, in their order.
    pub(super) fn take(&mut self) -> Vec<Stray> {
        std::mem::take(&mut self.list)
    }

    #[inline]
    pub(super) fn wake_ns(&self) -> Option<u64> {
        (!self.list.is_empty()).then_some(self.wake_ns)
    }

    /// Since when the oldest has waited.
    pub(super) fn oldest_ns(&self) -> Option<u64> {
        self.list.iter().map(|stray| stray.operation.sent_ns).min()
    }
}

/// The host of a redirect; one that leaves it out means the host of the node that sent it.
fn known_host<'a>(host: &'a str, topology: &Topology, node: usize) -> Cow<'a, str> {
    match topology.node(node).address {
        Address::Tcp(address) if host.is_empty() => address.ip().to_string().into(),
        _ => host.into(),
    }
}
