//! A trace: each operation is at its time, or as soon as may be, for the client that has its key.

use super::Worker;
use crate::driver::Phase;
use crate::driver::client::Client;
use crate::driver::clock::now_ns;
use crate::driver::connection::{InFlight, State};
use crate::driver::following::Note;
use crate::driver::replay::{Part, Place};
use crate::target::Target;
use crate::trace::Record;

impl<T: Target> Worker<T> {
    pub(super) fn begin_replay(&mut self, phase: &Phase) {
        self.open = None;
        self.thinking.begin(0);
        let Some(feed) = phase.feeds.as_ref().and_then(|feeds| feeds.take(self.index as usize))
        else {
            return;
        };
        let callers = (self.shape.clients, self.shape.pipeline);
        let is_timed = phase.schedule.is_open();
        self.replay = Some(Box::new(Part::new(feed, is_timed, phase.start_ns, callers)));
        let clients = 0..self.shape.clients;
        self.clients.extend(clients.map(|_| Client::new(None, u64::MAX)));
    }

    /// Ends the part of the trace, which has been replayed or was cut.
    pub(super) fn end_replay(&mut self) {
        let Some(mut part) = self.replay.take() else { return };
        part.end_hunger(now_ns());
        let counts = &mut self.recorder.counts;
        counts.waited_for_client += part.waited_for_client;
        counts.hungers += part.hungers;
        counts.hungry_ns = counts.hungry_ns.max(part.hungry_ns);
    }

    /// A client may have room: first for what waits for it.
    #[inline(never)]
    pub(super) fn replay_on(&mut self, client_id: usize) {
        if self.now_ns >= self.deadline_ns && !self.is_timed {
            self.clients[client_id].cut();
        }
        while self.replay.as_ref().is_some_and(|part| part.has_queue(client_id))
            && self.clients[client_id].has_room(self.shape.pipeline)
        {
            let Some((place, record)) = self.replay.as_mut().and_then(|p| p.unqueue(client_id))
            else {
                break;
            };
            self.start_record(client_id, place, &record);
        }
        self.replay();
        self.settle(client_id);
    }

    /// Gives clients what is due, or what there is.
    #[inline(never)]
    pub(super) fn replay(&mut self) {
        loop {
            let mut is_any = false;
            while let Some((place, record)) =
                self.replay.as_mut().and_then(|part| part.next(self.now_ns))
            {
                let client_id = record.client as usize;
                let has_room = self.clients[client_id].has_room(self.shape.pipeline);
                let Some(part) = &mut self.replay else { return };
                if has_room && !part.has_queue(client_id) {
                    self.start_record(client_id, place, &record);
                    is_any = true;
                } else {
                    part.queue(client_id, place);
                }
            }
            self.flush();
            if !(is_any && self.is_timed) {
                break;
            }
            self.now_ns = now_ns();
        }
        if self.replay.as_mut().is_some_and(|part| part.is_done()) {
            self.finish();
        }
    }

    /// Puts an operation on its way, as [`Worker::encode`] does with one that was drawn.
    #[inline]
    fn start_record(&mut self, client_id: usize, place: Place, record: &Record) {
        let Some(part) = &mut self.replay else { return };
        let kind = record.kind;
        let node = if self.nodes == 1 { 0 } else { self.target.route(part.key(place, record)) };
        let due_ns = part.due_ns(record);
        self.recorder.attempt(kind, node);
        let id = client_id * self.nodes + node;
        let connection = &mut self.connections[id];
        self.clients[client_id].remaining -= 1;
        if connection.state != State::Ready {
            let mut request = Vec::new();
            part.encode(place, record, &mut request);
            part.done(place);
            return self.hold_request(client_id, id, (kind, request), (due_ns, Note::default()));
        }
        part.encode(place, record, &mut connection.outgoing);
        part.done(place);
        connection.in_flight.push_back(InFlight { kind, sent_ns: 0, due_ns });
        if connection.unsent == 0 {
            self.touched.push(id);
        }
        connection.unsent += 1;
        self.clients[client_id].outstanding += 1;
    }
}
