//! The closed loop: each client goes on when it has room, at once or after it has thought.

use std::time::Duration;

use super::Worker;
use crate::driver::client::Client;
use crate::driver::{Phase, part};
use crate::target::Target;

/// Of an operation that was due at no time.
const NOT_DUE: u64 = 0;

impl<T: Target> Worker<T> {
    pub(super) fn begin_closed(&mut self, phase: &Phase, think: Duration) {
        (self.open, self.replay) = (None, None);
        self.thinking.begin(think.as_nanos() as u64);
        let per_worker = u64::from(self.shape.clients);
        let clients = self.shape.streams(&phase.schedule);
        for local in 0..per_worker {
            let client = self.index * per_worker + local;
            let (first, operations) = part(&phase.workload, phase.until, client, clients);
            let stream = phase.workload.stream(client, first);
            let mut client_now = Client::new(Some(stream), operations);
            if !think.is_zero() {
                client_now.thinking = self.shape.pipeline;
                for _ in 0..self.shape.pipeline {
                    self.thinking.stagger(local as usize, (client, clients), phase.start_ns);
                }
            }
            self.clients.push(client_now);
        }
    }

    /// Gives a client all the operations it has room for and sends them.
    #[inline]
    pub(super) fn fill(&mut self, client_id: usize, phase: &Phase) {
        if self.now_ns >= self.deadline_ns {
            self.clients[client_id].cut();
        }
        loop {
            let client = &mut self.clients[client_id];
            if !client.has_room(self.shape.pipeline) {
                break;
            }
            let Some(stream) = &mut client.stream else { break };
            client.remaining -= 1;
            let draw = phase.workload.draw(stream);
            if !self.start(client_id, &phase.workload, draw, NOT_DUE) {
                break;
            }
        }
        self.flush();
        self.settle(client_id);
    }

    /// A client had this many outcomes: it thinks before it goes on in their place.
    #[inline]
    pub(super) fn think(&mut self, client_id: usize, outcomes: u32) {
        if self.thinking.time_ns == 0 {
            return;
        }
        self.begin_to_think(client_id, outcomes);
    }

    #[cold]
    fn begin_to_think(&mut self, client_id: usize, outcomes: u32) {
        self.clients[client_id].thinking += outcomes;
        (0..outcomes).for_each(|_| self.thinking.push(client_id, self.now_ns));
    }

    /// Clients that have thought long enough go on.
    pub(super) fn wake_thinking(&mut self, phase: &Phase) {
        while let Some(client_id) = self.thinking.pop(self.now_ns) {
            self.clients[client_id].thinking -= 1;
            self.fill(client_id, phase);
        }
    }
}
