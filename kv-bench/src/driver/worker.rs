//! One worker: a thread with an event loop over its clients.
//!
//! ```text
//!            due times, room                                       sent_ns, due_ns
//! OpenLoop ─────────────────┐                                    ┌───────────────▶ InFlight ─┐
//!                           ├─▶ operation of a client ─▶ start ──┤                           ├─▶ Recorder
//! Client, Thinking ─────────┘   (stream, codec)                  └─▶ Held (connection down) ─┘
//!            room, after a while                                        reply, loss, timeout
//! ```
//!
//! Both loops share connections, requests, replies and losses; they differ in who gets the next
//! operation and when. In a closed loop (`closed`) a client with room draws its own next operation, at
//! once or after it has thought. In an open loop (`open`) operations are due at their times and go, in
//! their order, to any client with room.
//!
//! A readable connection costs one `recv`, one clock reading that its replies share, the next
//! operations that it made room for, one clock reading that they share as their send time, and one
//! `send` per connection they go to; of a target that is called (`calling`), one call. Nothing is allocated and nothing is shared with other workers.

mod calling;
mod closed;
mod connecting;
mod ending;
mod following;
mod losing;
mod open;
mod receiving;
mod replaying;
mod rerouting;
mod straying;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::Client;
use super::clock::{Cost, involuntary_switches, now_ns};
use super::connection::{Connection, InFlight, State, back_off_ns_max};
use super::following::{Following, Note};
use super::handover::{Handover, Load};
use super::open_loop::OpenLoop;
use super::outage::Reach;
use super::poll::{Poll, Ready};
use super::replay::Part;
use super::spare_core::SpareCore;
use super::strays::Strays;
use super::thinking::Thinking;
use super::verifier::Verifier;
use super::{ClientEnd, Outcome, Phase, Shape, Until};
use crate::machine;
use crate::recorder::{Counts, Failure, Latencies, Loss, Recorder};
use crate::schedule::Schedule;
use crate::target::{Codec as _, Operation, Target};
use crate::workload::{Draw, KeyBuffer, Kind, Workload};
use rerouting::Way;

/// Bytes taken from a socket at once: a full pipeline of small replies, and small enough for the
/// second-level cache.
const RECEIVE_BYTES: usize = 64 * 1024;

/// The slowest tick; timeouts shorter than four of these get a faster one.
const TICK_MAX: Duration = Duration::from_millis(100);

/// What became of an operation that was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begun {
    Sent,
    /// Its connection is down, and its client waits with it.
    Held,
    /// The same in a cluster, where its client goes on.
    Strayed,
}

pub(super) struct Worker<T: Target> {
    target: Arc<T>,
    codec: T::Codec,
    shape: Shape,
    /// Which worker this is.
    index: u64,
    poll: Poll,
    /// Of client `c` to node `n`: number `c * nodes + n`.
    connections: Vec<Connection>,
    nodes: usize,
    clients: Vec<Client>,
    /// Of a phase in an open loop.
    open: Option<Box<OpenLoop>>,
    /// Of a phase that replays a trace.
    replay: Option<Box<Part>>,
    /// Operations have due times.
    is_timed: bool,
    spare_core: SpareCore,
    /// Of a phase in a closed loop, when clients think.
    thinking: Thinking,
    /// Clients that wait, and until when; every wait is equally long, so the first is due first.
    paused: VecDeque<(u64, usize)>,
    /// Of a cluster: operations that go to another node, or wait for one.
    strays: Strays,
    /// Of servers that stand in for each other.
    way: Way,
    /// Clients with anything left to do.
    active: usize,
    /// When clients had nothing left to do.
    ends: Vec<ClientEnd>,
    /// Connections with requests that the current event added.
    touched: Vec<usize>,
    /// Of a target that is called: connections whose calls have returned, in that order.
    returned: VecDeque<usize>,
    /// Those of them with another call to make, once what the last one brought has been looked at.
    uncalled: Vec<usize>,
    key: KeyBuffer,
    following: Following,
    /// New keys are inserted.
    grows: bool,
    /// The newest keys are the most popular.
    is_latest: bool,
    recorder: Recorder,
    verifier: Option<Box<Verifier>>,
    reach: Reach,
    scratch: Box<[u8]>,
    now_ns: u64,
    deadline_ns: u64,
    /// How old an operation may become.
    timeout_ns: u64,
    /// When a run that was broken off gives up what is outstanding.
    give_up_ns: u64,
    /// Of the phase, spent awake for want of anything to do.
    awake_ns: u64,
    /// Read when the phase was to end, if anything was outstanding then.
    cost: Option<Cost>,
    stop: Arc<AtomicBool>,
}

impl<T: Target> Worker<T> {
    pub(super) fn new(
        target: Arc<T>,
        shape: Shape,
        index: u64,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let tick = (shape.timeout / 4).clamp(Duration::from_millis(1), TICK_MAX);
        let nodes = target.places();
        let connections = shape.clients as usize * nodes;
        // Those that nobody has joined yet have none.
        let known = u64::from(shape.threads * shape.clients) * target.nodes().len() as u64;
        let back_off_ns_max = back_off_ns_max(known);
        Ok(Self {
            codec: target.codec(),
            poll: Poll::new(tick)?,
            connections: (0..connections)
                .map(|id| Connection::new(id, shape.pipeline as usize, back_off_ns_max))
                .collect(),
            nodes,
            target,
            shape,
            index,
            clients: Vec::new(),
            open: None,
            replay: None,
            is_timed: false,
            spare_core: SpareCore::new(machine::cores(), shape.threads),
            thinking: Thinking::default(),
            paused: VecDeque::new(),
            strays: Strays::default(),
            way: Way::default(),
            active: 0,
            ends: Vec::new(),
            touched: Vec::new(),
            returned: VecDeque::new(),
            uncalled: Vec::new(),
            key: KeyBuffer::default(),
            following: Following::default(),
            grows: false,
            is_latest: false,
            recorder: Recorder::default(),
            verifier: None,
            reach: Reach::new(nodes),
            scratch: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            now_ns: now_ns(),
            deadline_ns: u64::MAX,
            timeout_ns: shape.timeout.as_nanos() as u64,
            give_up_ns: u64::MAX,
            awake_ns: 0,
            cost: None,
            stop,
        })
    }

    /// Drives one phase until every operation has its outcome.
    pub(super) fn run(&mut self, phase: &Phase, handover: &mut Handover) -> io::Result<Outcome> {
        let (begun, switched) = (Cost::read(), involuntary_switches());
        self.begin(phase);
        let may = self.spare_core.look(begun.at_ns, begun.wait_ns);
        self.poll.stay_awake(may && self.is_timed);
        handover.begin(phase);
        self.go(phase);
        while self.active > 0 {
            let wake_ns = if self.serve_returned(phase) { Some(0) } else { self.wake_ns() };
            let events = self.poll.wait(wake_ns)?;
            if wake_ns.is_some() {
                self.wake(phase);
            }
            for index in 0..events {
                match self.poll.event(index) {
                    Ready::Tick => self.tick(handover),
                    Ready::Alarm => {}
                    Ready::Connection { id, writable, closing } => {
                        self.serve(id, writable, closing, phase);
                    }
                }
            }
            if handover.due(self.now_ns)
                && handover.end_slice(&self.recorder.latencies, self.now_ns)
            {
                let effort = self.cost().since(&begun);
                handover.hand_over(&mut self.recorder, effort, self.now_ns);
            }
        }
        self.end_following(phase);
        self.end_replay();
        let is_cluster = self.target.topology().is_some();
        self.reach.end(&mut self.recorder.counts.outages, is_cluster);
        handover.publish(&self.recorder.counts, Load::default(), &self.reach);
        handover.publish_end();
        let cost = self.cost.take().unwrap_or_else(|| self.cost());
        if let Some(verifier) = self.verifier.take() {
            self.recorder.counts.findings = verifier.into_findings();
        }
        handover.hand_over(&mut self.recorder, cost.since(&begun), now_ns());
        let (hearing, absence) = self.reach.take_hearing();
        let availability = self.reach.take_availability();
        Ok(Outcome {
            counts: std::mem::take(&mut self.recorder.counts),
            effort: cost.since(&begun),
            involuntary_switches: involuntary_switches()
                .zip(switched)
                .map(|(now, then)| now.saturating_sub(then)),
            hearing,
            availability,
            absence,
            ends: std::mem::take(&mut self.ends),
            called_ns: self.called_ns(),
        })
    }

    fn begin(&mut self, phase: &Phase) {
        let is_open = phase.schedule.is_open();
        self.is_timed = is_open;
        let commands = phase.workload.mix.commands();
        if !self.recorder.latencies.is_like(is_open, commands) {
            *self.recorder.latencies = Latencies::with_commands(is_open, commands);
        }
        self.key = phase.workload.keys.buffer();
        self.begin_following(phase);
        self.recorder.counts = Counts::new(self.nodes);
        self.now_ns = now_ns();
        self.deadline_ns = match phase.until {
            Until::Operations(_) => u64::MAX,
            Until::Elapsed(time) => phase.start_ns.saturating_add(time.as_nanos() as u64),
        };
        self.give_up_ns = u64::MAX;
        self.cost = None;
        self.poll.take_awake_ns();
        self.awake_ns = 0;
        self.clients.clear();
        self.verifier = phase.verify.clone().map(|verify| {
            let worker = (self.index, u64::from(self.shape.threads));
            let clients = u64::from(self.shape.clients);
            Box::new(Verifier::new(verify, worker, clients, self.connections.len()))
        });
        match &phase.schedule {
            Schedule::Closed { think } => self.begin_closed(phase, *think),
            Schedule::Open(plan) => self.begin_open(phase, plan),
            Schedule::Trace(_) => self.begin_replay(phase),
        }
        self.active = self.clients.len();
        self.ends = Vec::with_capacity(self.active);
        self.paused.clear();
        let ready = self.connections.iter().enumerate().filter(|(_, c)| c.state == State::Ready);
        self.reach.begin(phase.start_ns, ready.map(|(id, _)| id % self.nodes));
        self.look_at_roles();
    }

    /// Sends what can be sent from the beginning.
    fn go(&mut self, phase: &Phase) {
        if self.open.is_some() {
            return self.dispatch(phase);
        }
        if self.replay.is_some() {
            return self.replay();
        }
        for client in 0..self.clients.len() {
            self.fill(client, phase);
        }
    }

    /// A client may have room: it, or who has waited for that, goes on.
    #[inline]
    fn go_on(&mut self, client_id: usize, phase: &Phase) {
        if !self.following.wanted.is_empty() {
            self.follow(phase);
        }
        if self.open.is_none() {
            return match self.replay {
                None => self.fill(client_id, phase),
                Some(_) => self.replay_on(client_id),
            };
        }
        self.offer(client_id);
        self.dispatch(phase);
        // What follows, if nothing was due to go with it.
        self.flush();
        self.settle(client_id);
    }

    /// When the loop has to wake up though nothing comes.
    #[inline]
    fn wake_ns(&mut self) -> Option<u64> {
        let resume_ns = self.paused.front().map(|&(due_ns, _)| due_ns);
        let next_ns = match (&mut self.open, &mut self.replay) {
            (Some(open), _) => open.wake_ns(),
            (_, Some(part)) => part.wake_ns(self.now_ns),
            (None, None) => self.thinking.wake_ns(),
        };
        let resume_ns = match self.target.topology() {
            Some(_) => self.strays.wake_ns().into_iter().chain(resume_ns).min(),
            None => resume_ns,
        };
        match (resume_ns, next_ns) {
            (Some(resume_ns), Some(next_ns)) => Some(resume_ns.min(next_ns)),
            (resume_ns, next_ns) => resume_ns.or(next_ns),
        }
    }

    /// It may be time: does what is due.
    #[inline(never)]
    fn wake(&mut self, phase: &Phase) {
        self.now_ns = now_ns();
        if !self.paused.is_empty() {
            self.resume(phase);
        }
        if self.target.topology().is_some() && !self.strays.is_empty() {
            self.lead_strays(phase);
        }
        if self.open.is_some() {
            self.dispatch(phase);
        } else if self.replay.is_some() {
            self.replay();
        } else {
            self.wake_thinking(phase);
        }
    }

    /// Encodes an operation of a client that was drawn, for the next flush. False when it has to wait,
    /// and its client with it, because its connection is down.
    #[expect(clippy::inline_always, reason = "two loops call it for each operation")]
    #[inline(always)]
    fn start(
        &mut self,
        client_id: usize,
        workload: &Workload,
        mut draw: Draw,
        due_ns: u64,
    ) -> bool {
        if self.grows
            && let Some(growth) = &mut self.following.growth
        {
            growth.place(&mut draw, self.is_latest, self.now_ns);
        }
        self.send(client_id, workload, draw, (due_ns, Following::note(&draw)))
    }

    /// The same with its key and its note.
    #[expect(clippy::inline_always, reason = "as part of the above")]
    #[inline(always)]
    fn send(
        &mut self,
        client_id: usize,
        workload: &Workload,
        draw: Draw,
        (due_ns, note): (u64, Note),
    ) -> bool {
        self.key.set(draw.key);
        let value = workload.values.bytes(draw.value);
        if self.verifier.is_some() {
            return self.start_verified(client_id, draw.kind, value, due_ns);
        }
        self.encode(client_id, draw.kind, value, (due_ns, note)).0 != Begun::Held
    }

    /// The same of an operation whose reply will be verified, and which nothing follows.
    #[inline(never)]
    fn start_verified(&mut self, client_id: usize, kind: Kind, value: &[u8], due_ns: u64) -> bool {
        let Some(mut verifier) = self.verifier.take() else { return false };
        let value = verifier.prepare(client_id, kind, &mut self.key, value);
        let (begun, connection) = self.encode(client_id, kind, value, (due_ns, Note::default()));
        match begun {
            Begun::Strayed => self.strays.expect(verifier.take_next()),
            begun => verifier.started(client_id, connection, begun == Begun::Sent),
        }
        self.verifier = Some(verifier);
        begun != Begun::Held
    }

    /// What became of it, and the number of its connection.
    #[expect(clippy::inline_always, reason = "two loops call it for each operation")]
    #[inline(always)]
    fn encode(
        &mut self,
        client_id: usize,
        kind: Kind,
        value: &[u8],
        (due_ns, memo): (u64, Note),
    ) -> (Begun, usize) {
        let request = kind.request();
        let key = self.key.bytes();
        let slot = self.target.topology().map(|_| self.target.slot(request, key));
        let own = match (self.target.topology(), slot) {
            (Some(topology), Some(slot)) => topology.owner(slot),
            _ if self.nodes == 1 => 0,
            _ => self.target.route_request(request, key),
        };
        let first = client_id * self.nodes;
        let (node, slot) = match self.target.detours() {
            Some(detours) => {
                let connections = &self.connections[first..first + self.nodes];
                let course =
                    self.way.course((detours, &self.codec), own, (request, key), connections);
                self.recorder.counts.elsewhere[own] += u64::from(course.is_detour);
                // It is kept with the number of who is next in place of a slot; its own, if nobody is.
                let next = course.next.unwrap_or(course.node) as u16;
                (course.node, self.target.keeps_requests().then_some(next))
            }
            None => (own, slot),
        };
        self.recorder.attempt(kind, node);
        let id = first + node;
        let connection = &mut self.connections[id];
        if connection.state != State::Ready {
            if let (Some(slot), Some(_)) = (slot, self.target.topology()) {
                self.wait_for_node((client_id, node), slot, (kind, value), (due_ns, memo));
                return (Begun::Strayed, id);
            }
            self.hold(client_id, (id, own), (kind, value), (due_ns, memo));
            return (Begun::Held, id);
        }
        let operation = Operation { request, key, value };
        let encoded = connection.outgoing.len();
        self.codec.encode(operation, &mut connection.outgoing);
        if let Some(slot) = slot {
            connection.trail.keep(&connection.outgoing[encoded..], slot);
        }
        connection.in_flight.push_back(InFlight { kind, sent_ns: 0, due_ns });
        if self.following.is_noted(kind) {
            connection.notes.push_back(memo);
        }
        if connection.unsent == 0 {
            self.touched.push(id);
        }
        connection.unsent += 1;
        self.clients[client_id].outstanding += 1;
        (Begun::Sent, id)
    }

    #[inline]
    fn flush(&mut self) {
        while let Some(id) = self.touched.pop() {
            if T::IS_CALLED && self.connections[id].has_returned() {
                self.uncalled.push(id);
                continue;
            }
            let now_ns = now_ns();
            self.recorder.counts.first_send_ns.get_or_insert(now_ns);
            if let Err(error) = self.connections[id].flush(now_ns, &self.poll) {
                self.lose(id, Failure::Connection(Loss::of(&error)));
            }
            if T::IS_CALLED {
                self.reach.called(self.connections[id].returned_ns);
                self.returned.push_back(id);
            }
        }
        if T::IS_CALLED {
            std::mem::swap(&mut self.touched, &mut self.uncalled);
        }
    }

    /// Ten times a second: the end of the phase, timeouts, reconnects, live figures.
    #[cold]
    fn tick(&mut self, handover: &Handover) {
        self.now_ns = now_ns();
        let was_there = self.reach.tick(self.now_ns);
        self.look_at_roles();
        if self.is_timed {
            self.check_backlog();
            let may = self.spare_core.look(self.now_ns, Cost::read().wait_ns);
            self.poll.stay_awake(may);
        }
        if self.stop.load(Ordering::Relaxed) {
            self.break_off();
        }
        if self.now_ns >= self.deadline_ns {
            // Who waits from here on for what is outstanding is idle, and would pass for at leisure.
            if self.cost.is_none() {
                self.cost = Some(self.cost());
                let load = self.load();
                self.recorder.counts.outstanding_at_end = load.outstanding + load.backlog;
            }
            if !self.is_timed || self.replay.as_mut().is_some_and(|part| part.expire()) {
                self.finish();
            }
        }
        let is_broken_off = self.now_ns >= self.give_up_ns;
        for id in 0..self.connections.len() {
            let connection = &self.connections[id];
            let waited_ns = connection.waiting_since_ns().map(|at| self.now_ns.saturating_sub(at));
            if waited_ns.is_some_and(|waited_ns| waited_ns >= self.timeout_ns) {
                // The reply may have come while the worker did not run: it has until the next tick.
                if !was_there {
                    continue;
                }
                self.lose(id, Failure::Timeout);
            } else if waited_ns.is_some() && is_broken_off {
                self.lose(id, Failure::Connection(Loss::Closed));
            } else if matches!(connection.state, State::Down { retry_at_ns } if retry_at_ns <= self.now_ns)
                && self.wants(id % self.nodes)
            {
                self.reopen(id);
            }
        }
        let load = self.load();
        handover.publish(&self.recorder.counts, load, &self.reach);
    }

    /// What the thread has cost so far, without what it spent awake for want of anything to do.
    fn cost(&mut self) -> Cost {
        let cost = Cost::read();
        self.awake_ns += self.poll.take_awake_ns();
        Cost { cpu_ns: cost.cpu_ns.saturating_sub(self.awake_ns), ..cost }
    }

    fn load(&mut self) -> Load {
        let outstanding = self.clients.iter().map(|client| u64::from(client.outstanding)).sum();
        let replayed = self.replay.as_ref().map_or(0, |part| part.backlog());
        let backlog = self.open.as_mut().map_or(replayed, |open| open.backlog(self.now_ns));
        let sent = self.connections.iter().filter_map(|c| Some(c.waiting()?.0));
        let held =
            self.clients.iter().filter_map(|client| Some(client.held.as_ref()?.operation.sent_ns));
        let strays = self.strays.oldest_ns();
        let oldest_ns = sent.chain(held).chain(strays).chain(self.reach.unheard_since_ns()).min();
        let is_asked = outstanding + backlog > 0;
        Load { outstanding, backlog, waiting_since_ns: oldest_ns.filter(|_| is_asked) }
    }
}
