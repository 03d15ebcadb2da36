//! The open loop: what is due goes to any client with room.

use std::sync::atomic::Ordering;

use super::Worker;
use crate::driver::client::Client;
use crate::driver::clock::now_ns;
use crate::driver::open_loop::OpenLoop;
use crate::driver::{Phase, part};
use crate::schedule::{End, Plan};
use crate::target::Target;

impl<T: Target> Worker<T> {
    pub(super) fn begin_open(&mut self, phase: &Phase, plan: &Plan) {
        let (worker, workers) = (self.index, u64::from(self.shape.threads));
        let mut end = End::new(plan, phase.until, worker, workers);
        let (first, operations) = part(&phase.workload, phase.until, worker, workers);
        end.operations = end.operations.min(operations);
        let stream = phase.workload.stream(worker, first);
        let clients = self.shape.clients as usize;
        self.clients.extend((0..clients).map(|_| Client::new(None, u64::MAX)));
        let begin = (phase.start_ns, clients);
        self.replay = None;
        self.open = Some(Box::new(OpenLoop::new(plan, end, (worker, workers), stream, begin)));
        self.thinking.begin(0);
    }

    /// Sends what is due, as far as clients have room. When all of it is sent, the clients have but
    /// their outcomes to wait for.
    ///
    /// Kept out of line, so that the closed loop does not carry it along.
    #[inline(never)]
    pub(super) fn dispatch(&mut self, phase: &Phase) {
        while self.dispatch_due(phase) {
            self.flush();
            self.now_ns = now_ns();
        }
        let goes_on = self.clients.first().is_some_and(|client| client.remaining > 0);
        if goes_on && self.open.as_mut().is_some_and(|open| open.head_ns().is_none()) {
            self.finish();
        }
    }

    /// Starts what is due by now. Returns whether there was anything to send.
    #[inline]
    fn dispatch_due(&mut self, phase: &Phase) -> bool {
        let mut is_any = false;
        while let Some(open) = &mut self.open {
            let Some(due_ns) = open.head_ns().filter(|&due_ns| due_ns <= self.now_ns) else {
                break;
            };
            let (clients, pipeline) = (&self.clients, self.shape.pipeline);
            let Some(client_id) = open.next_client(|id| clients[id].has_room(pipeline)) else {
                break;
            };
            self.recorder.counts.waited_for_client += u64::from(open.take(due_ns));
            let draw = phase.workload.draw(&mut open.stream);
            self.start(client_id, &phase.workload, draw, due_ns);
            self.offer(client_id);
            is_any = true;
        }
        is_any
    }

    /// Lets a client have operations that are due, if it has room.
    #[inline]
    pub(super) fn offer(&mut self, client_id: usize) {
        if let Some(open) = &mut self.open
            && self.clients[client_id].has_room(self.shape.pipeline)
        {
            open.has_room(client_id, self.now_ns);
        }
    }

    /// Ends the run for all workers when too many operations wait for a client with room.
    pub(super) fn check_backlog(&mut self) {
        let now_ns = self.now_ns;
        if self.open.as_mut().is_some_and(|open| open.overflows(now_ns))
            || self.replay.as_ref().is_some_and(|part| part.overflows(now_ns))
        {
            self.recorder.counts.overflowed = true;
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}
