//! One worker: a thread with an event loop over its clients.
//!
//! A readable connection costs one `recv`, one clock reading that its replies share, the next
//! operations of its client, one clock reading that they share as their send time, and one `send`
//! per connection they go to. Nothing is allocated and nothing is shared with other workers.

mod connecting;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::Client;
use super::clock::{Cost, now_ns};
use super::connection::{Connection, InFlight, Received, State, back_off_ns_max};
use super::handover::Handover;
use super::outage::{Held, Reach};
use super::poll::{Poll, Ready};
use super::{Outcome, Phase, Shape, Until};
use crate::recorder::{Counts, Failure, Recorder, Unanswered};
use crate::schedule::share;
use crate::target::{Codec, Operation, Reply, Target};
use crate::workload::{KeyBuffer, Kind};

/// Bytes taken from a socket at once: a full pipeline of small replies, and small enough for the
/// second-level cache.
const RECEIVE_BYTES: usize = 64 * 1024;

/// How often a client that met a dead connection looks again, so that a dead server costs no
/// spinning core.
const PAUSE_NS: u64 = 1_000_000;

/// The slowest tick; timeouts shorter than four of these get a faster one.
const TICK_MAX: Duration = Duration::from_millis(100);

/// How long a run that is broken off waits for what is outstanding.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

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
    /// Clients that wait, and until when; every wait is equally long, so the first is due first.
    paused: VecDeque<(u64, usize)>,
    /// Clients with anything left to do.
    active: usize,
    /// When clients had nothing left to do.
    ends_ns: Vec<u64>,
    /// Connections with requests that the current event added.
    touched: Vec<usize>,
    key: KeyBuffer,
    recorder: Recorder,
    reach: Reach,
    scratch: Box<[u8]>,
    now_ns: u64,
    deadline_ns: u64,
    /// How old an operation may become.
    timeout_ns: u64,
    /// When a run that was broken off gives up what is outstanding.
    give_up_ns: u64,
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
        let nodes = target.nodes().len();
        let connections = shape.clients as usize * nodes;
        let back_off_ns_max = back_off_ns_max(connections as u64 * u64::from(shape.threads));
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
            paused: VecDeque::new(),
            active: 0,
            ends_ns: Vec::new(),
            touched: Vec::new(),
            key: KeyBuffer::default(),
            recorder: Recorder::default(),
            reach: Reach::new(nodes),
            scratch: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            now_ns: now_ns(),
            deadline_ns: u64::MAX,
            timeout_ns: shape.timeout.as_nanos() as u64,
            give_up_ns: u64::MAX,
            cost: None,
            stop,
        })
    }

    /// Drives one phase until every operation has its outcome.
    pub(super) fn run(&mut self, phase: &Phase, handover: &mut Handover) -> io::Result<Outcome> {
        let begun = Cost::read();
        self.begin(phase);
        handover.begin(phase);
        for client in 0..self.clients.len() {
            self.fill(client, phase);
        }
        while self.active > 0 {
            let events = self.poll.wait(self.pause_left())?;
            for index in 0..events {
                match self.poll.event(index) {
                    Ready::Tick => self.tick(handover),
                    Ready::Connection { id, writable, closing } => {
                        self.serve(id, writable, closing, phase);
                    }
                }
            }
            if !self.paused.is_empty() {
                self.resume(phase);
            }
            if handover.due(self.now_ns) {
                handover.hand_over(&mut self.recorder.latencies, self.now_ns);
            }
        }
        self.reach.end(&mut self.recorder.counts.outages);
        handover.publish(&self.recorder.counts, 0, &self.reach);
        handover.publish_end();
        handover.hand_over(&mut self.recorder.latencies, now_ns());
        let cost = self.cost.take().unwrap_or_else(Cost::read);
        let (hearing, absence) = self.reach.take_hearing();
        Ok(Outcome {
            counts: std::mem::take(&mut self.recorder.counts),
            cpu_ns: cost.cpu_ns - begun.cpu_ns,
            run_queue_wait_ns: cost.wait_ns.zip(begun.wait_ns).map(|(end, begin)| end - begin),
            wall_ns: cost.at_ns - begun.at_ns,
            hearing,
            absence,
            ends_ns: std::mem::take(&mut self.ends_ns),
        })
    }

    fn begin(&mut self, phase: &Phase) {
        self.key = phase.workload.keys.buffer();
        self.recorder.counts = Counts::new(self.nodes);
        self.now_ns = now_ns();
        self.deadline_ns = match phase.until {
            Until::Operations(_) => u64::MAX,
            Until::Elapsed(time) => phase.start_ns.saturating_add(time.as_nanos() as u64),
        };
        self.give_up_ns = u64::MAX;
        self.cost = None;
        let per_worker = u64::from(self.shape.clients);
        let clients = per_worker * u64::from(self.shape.threads);
        self.clients.clear();
        for local in 0..per_worker {
            let client = self.index * per_worker + local;
            let (first, operations) = match phase.until {
                Until::Operations(total) => share(total, client, clients),
                Until::Elapsed(_) => phase.workload.keys.timed_share(client, clients),
            };
            let stream = phase.workload.stream(client, first);
            self.clients.push(Client::new(stream, operations));
        }
        self.active = self.clients.len();
        self.ends_ns = Vec::with_capacity(self.active);
        self.paused.clear();
        let ready = self.connections.iter().enumerate().filter(|(_, c)| c.state == State::Ready);
        self.reach.begin(phase.start_ns, ready.map(|(id, _)| id % self.nodes));
    }

    /// Gives a client all the operations it has room for and sends them.
    #[inline]
    fn fill(&mut self, client_id: usize, phase: &Phase) {
        if self.now_ns >= self.deadline_ns {
            self.clients[client_id].remaining = 0;
        }
        let client = &mut self.clients[client_id];
        while client.outstanding < self.shape.pipeline && client.remaining > 0 && !client.paused {
            client.remaining -= 1;
            let (kind, value) = phase.workload.next(&mut client.stream, &mut self.key);
            let key = self.key.bytes();
            let node = if self.nodes == 1 { 0 } else { self.target.route(key) };
            self.recorder.attempt(kind, node);
            let id = client_id * self.nodes + node;
            let connection = &mut self.connections[id];
            if connection.state != State::Ready {
                self.hold(client_id, id, kind, value);
                break;
            }
            self.codec.encode(Operation { kind, key, value }, &mut connection.outgoing);
            connection.in_flight.push_back(InFlight { kind, sent_ns: 0 });
            if connection.unsent == 0 {
                self.touched.push(id);
            }
            connection.unsent += 1;
            client.outstanding += 1;
        }
        self.flush();
        self.settle(client_id);
    }

    #[inline]
    fn flush(&mut self) {
        while let Some(id) = self.touched.pop() {
            let now_ns = now_ns();
            self.recorder.counts.first_send_ns.get_or_insert(now_ns);
            if self.connections[id].flush(now_ns, &self.poll).is_err() {
                self.lose(id, Failure::Connection);
            }
        }
    }

    /// Notes when a client has come to its end.
    #[inline]
    fn settle(&mut self, client_id: usize) {
        let client = &mut self.clients[client_id];
        if client.remaining == 0 && client.outstanding == 0 && !client.finished {
            client.finished = true;
            self.active -= 1;
            self.retire(client_id);
        }
    }

    /// Whom a client that has come to its end could reach matters no more.
    #[cold]
    fn retire(&mut self, client_id: usize) {
        let now_ns = now_ns();
        self.ends_ns.push(now_ns);
        for node in 0..self.nodes {
            if self.connections[client_id * self.nodes + node].state == State::Ready {
                self.reach.retire(node, now_ns, self.active == 0);
            }
        }
    }

    /// Handles readiness of one connection.
    #[inline]
    fn serve(&mut self, id: usize, writable: bool, closing: bool, phase: &Phase) {
        if self.connections[id].state != State::Ready {
            if self.advance(id, writable, closing).is_err() {
                self.lose(id, Failure::Connection);
            }
            return;
        }
        if writable && self.connections[id].write(&self.poll).is_err() {
            return self.lose(id, Failure::Connection);
        }
        loop {
            match self.connections[id].receive(&mut self.scratch) {
                Received::Nothing => break,
                Received::Closed(_) => {
                    self.now_ns = now_ns();
                    self.lose(id, Failure::Connection);
                    break;
                }
                Received::Bytes { size, more } => {
                    self.now_ns = now_ns();
                    let waiting = self.connections[id].waiting();
                    let received = self.receive(id, size);
                    if let Some((sent_ns, count)) = waiting
                        && self.connections[id].in_flight.len() < count
                    {
                        self.reach.heard(id % self.nodes, sent_ns, self.now_ns);
                    }
                    if let Err(failure) = received {
                        self.lose(id, failure);
                        break;
                    }
                    if !more && !closing {
                        break;
                    }
                }
            }
        }
        self.fill(id / self.nodes, phase);
    }

    /// Decodes the `size` bytes that were read: into the scratch buffer, unless the beginning of a
    /// reply was waiting for them.
    #[inline]
    fn receive(&mut self, id: usize, size: usize) -> Result<(), Failure<'static>> {
        if self.connections[id].partial.is_empty() {
            let scratch = std::mem::take(&mut self.scratch);
            let result = self.decode(id, &scratch[..size]);
            if let Ok(taken) = result {
                self.connections[id].partial.extend_from_slice(&scratch[taken..size]);
            }
            self.scratch = scratch;
            return result.map(|_| ());
        }
        let bytes = std::mem::take(&mut self.connections[id].partial);
        let taken = self.decode(id, &bytes)?;
        if self.connections[id].keep(bytes, taken) { Ok(()) } else { Err(Failure::Protocol) }
    }

    /// Takes the complete replies at the front of `bytes` and returns how many bytes they are.
    fn decode(&mut self, id: usize, bytes: &[u8]) -> Result<usize, Failure<'static>> {
        let connection = &mut self.connections[id];
        let client = &mut self.clients[id / self.nodes];
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(&InFlight { kind, sent_ns }) = connection.in_flight.front() else {
                self.recorder.counts.unsolicited += 1;
                return Err(Failure::Protocol);
            };
            let Ok(decoded) = self.codec.decode(kind, &bytes[taken..]) else {
                self.recorder.garbled(kind, &bytes[taken..]);
                return Err(Failure::Protocol);
            };
            let Some((size, reply)) = decoded else { break };
            taken += size;
            connection.in_flight.pop_front();
            client.outstanding -= 1;
            self.recorder.counts.last_reply_ns = Some(self.now_ns);
            let latency_ns = self.now_ns - sent_ns;
            match reply {
                Reply::Hit => self.recorder.success(kind, Some(true), latency_ns),
                Reply::Miss => self.recorder.success(kind, Some(false), latency_ns),
                Reply::Stored => self.recorder.success(kind, None, latency_ns),
                Reply::Error(message) => {
                    self.recorder.failure(kind, Failure::Server(message), latency_ns);
                }
            }
        }
        Ok(taken)
    }

    /// Replaces a connection. The operation whose reply was due next failed by `first`; the others
    /// that were in flight lost their connection, or had timed out as well.
    #[cold]
    fn lose(&mut self, id: usize, first: Failure<'static>) {
        let now_ns = now_ns();
        let timeout_ns = self.timeout_ns;
        let (client_id, node) = (id / self.nodes, id % self.nodes);
        let why = match first {
            Failure::Timeout => Unanswered::TimedOut,
            _ if now_ns >= self.give_up_ns => Unanswered::BrokenOff,
            _ => Unanswered::Away,
        };
        let connection = &mut self.connections[id];
        if connection.state == State::Ready && why != Unanswered::BrokenOff {
            if !self.clients[client_id].finished {
                self.reach.lose(node, now_ns);
            }
            let lost = u64::from(why == Unanswered::Away);
            self.recorder.counts.outages[node].connections_lost += lost;
        }
        connection.close(now_ns);
        if let Some((sent_ns, _)) = connection.waiting() {
            self.reach.unheard(node, sent_ns, now_ns.min(self.deadline_ns));
        }
        let mut failure = first;
        while let Some(InFlight { kind, sent_ns }) = connection.in_flight.pop_front() {
            self.recorder.failure(kind, failure, now_ns.saturating_sub(sent_ns));
            self.recorder.lost(node, why, now_ns.min(self.deadline_ns));
            self.clients[client_id].outstanding -= 1;
            let next_sent_ns = connection.in_flight.front().map_or(now_ns, |next| next.sent_ns);
            let timed_out = now_ns.saturating_sub(next_sent_ns) >= timeout_ns;
            failure = if timed_out { Failure::Timeout } else { Failure::Connection };
        }
        self.pause(client_id);
        self.settle(client_id);
    }

    /// The client waits with the operation whose key is at hand: its connection is down.
    #[cold]
    fn hold(&mut self, client_id: usize, connection: usize, kind: Kind, value: &[u8]) {
        let since_ns = now_ns();
        self.recorder.counts.first_send_ns.get_or_insert(since_ns);
        let mut request = Vec::new();
        self.codec.encode(Operation { kind, key: self.key.bytes(), value }, &mut request);
        let held = Held { kind, connection, request, since_ns };
        let client = &mut self.clients[client_id];
        client.held = Some(held);
        client.outstanding += 1;
        client.paused = true;
        self.paused.push_back((since_ns + PAUSE_NS, client_id));
    }

    /// Sends what the client waits with when its connection is back, and counts it as failed when
    /// it has waited too long. False when it waits on.
    #[cold]
    fn release(&mut self, client_id: usize) -> bool {
        let Some(held) = &self.clients[client_id].held else { return true };
        let (id, waited_ns) = (held.connection, self.now_ns.saturating_sub(held.since_ns));
        match self.connections[id].state {
            State::Ready => self.send_held(client_id),
            _ if waited_ns >= self.timeout_ns || self.now_ns >= self.deadline_ns => {
                self.fail_held(client_id);
            }
            State::Down { retry_at_ns } if retry_at_ns <= self.now_ns => {
                self.reopen(id);
                return false;
            }
            _ => return false,
        }
        true
    }

    fn send_held(&mut self, client_id: usize) {
        let Some(held) = self.clients[client_id].held.take() else { return };
        let Held { kind, connection: id, request, since_ns } = held;
        let connection = &mut self.connections[id];
        connection.outgoing.extend_from_slice(&request);
        connection.in_flight.push_back(InFlight { kind, sent_ns: since_ns });
        if connection.write(&self.poll).is_err() {
            self.lose(id, Failure::Connection);
        }
    }

    fn fail_held(&mut self, client_id: usize) {
        let client = &mut self.clients[client_id];
        let Some(held) = client.held.take() else { return };
        client.outstanding -= 1;
        let waited_ns = self.now_ns.saturating_sub(held.since_ns);
        let is_down = matches!(self.connections[held.connection].state, State::Down { .. });
        // One that accepts and says nothing is no different from one that does not answer.
        let timed_out = waited_ns >= self.timeout_ns && !is_down;
        let failure = if timed_out { Failure::Timeout } else { Failure::Connection };
        self.recorder.failure(held.kind, failure, waited_ns);
        let (node, at_ns) = (held.connection % self.nodes, self.now_ns.min(self.deadline_ns));
        let why = if timed_out { Unanswered::TimedOut } else { Unanswered::Away };
        self.recorder.lost(node, why, at_ns);
        self.reach.unheard(node, held.since_ns, at_ns);
    }

    #[cold]
    fn pause(&mut self, client_id: usize) {
        let client = &mut self.clients[client_id];
        if !client.paused && client.remaining > 0 {
            client.paused = true;
            self.paused.push_back((now_ns() + PAUSE_NS, client_id));
        }
    }

    /// How long the loop may sleep: for ever, but for the next paused client.
    #[inline]
    fn pause_left(&self) -> Option<Duration> {
        let (due_ns, _) = self.paused.front()?;
        Some(Duration::from_nanos(due_ns.saturating_sub(now_ns())))
    }

    #[cold]
    fn resume(&mut self, phase: &Phase) {
        self.now_ns = now_ns();
        while let Some(&(due_ns, client_id)) = self.paused.front() {
            if due_ns > self.now_ns {
                break;
            }
            self.paused.pop_front();
            if self.release(client_id) {
                self.clients[client_id].paused = false;
                self.fill(client_id, phase);
            } else {
                self.paused.push_back((self.now_ns + PAUSE_NS, client_id));
            }
        }
    }

    /// Ten times a second: the end of the phase, timeouts, reconnects, live figures.
    #[cold]
    fn tick(&mut self, handover: &Handover) {
        self.now_ns = now_ns();
        let was_there = self.reach.tick(self.now_ns);
        if self.stop.load(Ordering::Relaxed) {
            self.deadline_ns = self.deadline_ns.min(self.now_ns);
            let patience_ns = self.shape.timeout.min(STOP_PATIENCE).as_nanos() as u64;
            self.give_up_ns = self.give_up_ns.min(self.now_ns + patience_ns);
        }
        if self.now_ns >= self.deadline_ns {
            // Who waits from here on for what is outstanding is idle, and would pass for at leisure.
            if self.cost.is_none() {
                self.cost = Some(Cost::read());
                self.recorder.counts.outstanding_at_end = self.outstanding();
            }
            for client_id in 0..self.clients.len() {
                self.clients[client_id].remaining = 0;
                self.settle(client_id);
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
                self.lose(id, Failure::Connection);
            } else if matches!(connection.state, State::Down { retry_at_ns } if retry_at_ns <= self.now_ns)
            {
                self.reopen(id);
            }
        }
        handover.publish(&self.recorder.counts, self.outstanding(), &self.reach);
    }

    /// Operations without an outcome.
    fn outstanding(&self) -> u64 {
        self.clients.iter().map(|client| u64::from(client.outstanding)).sum()
    }

    fn reopen(&mut self, id: usize) {
        if self.open(id).is_err() {
            self.connections[id].close(self.now_ns);
        }
    }
}
