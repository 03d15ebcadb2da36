//! Replies: read, decoded, recorded.

use super::Worker;
use crate::driver::Phase;
use crate::driver::clock::now_ns;
use crate::driver::connection::{InFlight, Received, State};
use crate::recorder::Failure;
use crate::target::{Codec as _, Reply, Target};

impl<T: Target> Worker<T> {
    /// Handles readiness of one connection.
    #[inline]
    pub(super) fn serve(&mut self, id: usize, writable: bool, closing: bool, phase: &Phase) {
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
                    let failures = self.recorder.latencies.failures().len();
                    let received = self.receive(id, size);
                    if let Some((sent_ns, before)) = waiting
                        && let outcomes = before - self.connections[id].in_flight.len()
                        && outcomes > 0
                    {
                        let (node, now_ns) = (id % self.nodes, self.now_ns);
                        self.reach.heard(node, sent_ns, now_ns);
                        let failed = self.recorder.latencies.failures().len() - failures;
                        if outcomes as u64 > failed {
                            self.reach.served(node, now_ns);
                        }
                        self.think(id / self.nodes, outcomes as u32);
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
        self.go_on(id / self.nodes, phase);
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
        let is_open = self.open.is_some();
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(&InFlight { kind, sent_ns, due_ns }) = connection.in_flight.front() else {
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
            let is_right = match &mut self.verifier {
                Some(verifier) => {
                    verifier.check(id, reply, self.codec.value(&bytes[taken - size..taken]))
                }
                None => true,
            };
            if is_open {
                let is_success = is_right && !matches!(reply, Reply::Error(_));
                let kind = is_success.then_some(kind);
                self.recorder.scheduled(kind, self.now_ns - due_ns, sent_ns - due_ns);
            }
            match reply {
                _ if !is_right => self.recorder.failure(kind, Failure::Verify, latency_ns),
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
}
