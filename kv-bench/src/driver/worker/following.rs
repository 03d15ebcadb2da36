//! Operations that others give rise to, and new keys.

use super::Worker;
use crate::driver::Phase;
use crate::driver::connection::InFlight;
use crate::driver::following::{FollowUp, Following, Note};
use crate::driver::frontier::Growth;
use crate::recorder::{Failure, Recorder};
use crate::target::Target;
use crate::workload::Kind;

impl<T: Target> Worker<T> {
    pub(super) fn begin_following(&mut self, phase: &Phase) {
        self.following.fills = phase.workload.mix.fills();
        self.following.clear();
        self.grows = phase.frontier.is_some();
        self.is_latest = phase.workload.keys.is_latest();
        if let Some(frontier) = &phase.frontier {
            let (worker, count) = (self.index as usize, phase.workload.keys.count());
            // That of an earlier phase goes on.
            self.following
                .growth
                .get_or_insert_with(|| Box::new(Growth::new(frontier, worker, count)));
        }
    }

    pub(super) fn end_following(&mut self, phase: &Phase) {
        if let (true, Some(growth)) = (self.grows, &self.following.growth) {
            growth.end(&phase.workload.keys);
        }
    }

    /// Encodes what follows the operations that were just answered, for the next flush. A client whose
    /// connection is down comes to it when that is back.
    #[inline(never)]
    pub(super) fn follow(&mut self, phase: &Phase) {
        while let Some(next) = self.following.wanted.pop_front() {
            let FollowUp { client, draw, due_ns, note } = next;
            if self.clients[client].paused {
                self.following.put_off(next);
                continue;
            }
            // It has kept the room of the one before.
            self.clients[client].outstanding -= 1;
            self.send(client, &phase.workload, draw, (due_ns, note));
        }
    }
}

/// The put of a read-modify-write was answered at `now_ns`, and with it the whole.
pub(super) fn succeed_whole(recorder: &mut Recorder, note: Note, now_ns: u64) {
    let Note { sent_ns, due_ns, .. } = note;
    let kind = Kind::ReadModifyWrite;
    recorder.success(kind, None, now_ns.saturating_sub(sent_ns));
    if recorder.latencies.is_open() {
        let response_ns = now_ns.saturating_sub(due_ns);
        recorder.scheduled(Some(kind), response_ns, sent_ns.saturating_sub(due_ns));
    }
}

/// An operation failed at `now_ns`; with the put of a read-modify-write that as a whole, whose times
/// they are then.
pub(super) fn fail(
    recorder: &mut Recorder,
    following: &mut Following,
    (operation, note): (InFlight, Option<Note>),
    failure: Failure<'_>,
    now_ns: u64,
) {
    let InFlight { kind, mut sent_ns, mut due_ns } = operation;
    if let (Kind::ModifyPut, Some(note)) = (kind, note) {
        (sent_ns, due_ns) = (note.sent_ns, note.due_ns);
    }
    recorder.failure(kind, failure, now_ns.saturating_sub(sent_ns));
    if recorder.latencies.is_open() {
        let response_ns = now_ns.saturating_sub(due_ns);
        recorder.scheduled(None, response_ns, sent_ns.saturating_sub(due_ns));
    }
    if let Some(note) = note {
        following.over(kind, note);
    }
}
