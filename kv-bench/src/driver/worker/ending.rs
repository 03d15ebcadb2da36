//! The end of clients: each by itself, or of all when the time is over or the run is broken off.

use std::time::Duration;

use super::Worker;
use crate::driver::clock::now_ns;
use crate::driver::connection::State;
use crate::target::Target;

/// How long a run that is broken off waits for what is outstanding.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

impl<T: Target> Worker<T> {
    /// Notes when a client has come to its end.
    #[inline]
    pub(super) fn settle(&mut self, client_id: usize) {
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
        self.ends.push(self.clients[client_id].end(now_ns));
        for node in 0..self.nodes {
            if self.connections[client_id * self.nodes + node].state == State::Ready {
                self.reach.retire(node, now_ns, self.active == 0);
            }
        }
    }

    /// No client begins anything more.
    pub(super) fn finish(&mut self) {
        for client_id in 0..self.clients.len() {
            self.clients[client_id].cut();
            self.settle(client_id);
        }
    }

    /// Begins nothing more, and gives up what is outstanding after a while.
    pub(super) fn break_off(&mut self) {
        self.deadline_ns = self.deadline_ns.min(self.now_ns);
        let patience_ns = self.shape.timeout.min(STOP_PATIENCE).as_nanos() as u64;
        self.give_up_ns = self.give_up_ns.min(self.now_ns + patience_ns);
        if let Some(open) = &mut self.open {
            self.recorder.counts.unsent += open.cut(self.now_ns);
            self.finish();
        }
        if let Some(part) = &mut self.replay {
            self.recorder.counts.unsent += part.cut();
            self.finish();
        }
    }
}
