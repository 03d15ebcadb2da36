//! Operations that others give rise to: the put of a read-modify-write, and that of a cache's miss.
//!
//! What such an operation needs to know is noted when the first one is sent, in the order of its
//! connection, and taken from there with the reply. Operations that nothing follows have no note.

use std::collections::VecDeque;

use super::frontier::Growth;
use crate::workload::{Draw, Kind, Window};

/// What is to be known at the outcome of an operation beside when it was sent.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Note {
    /// What it took, or what is to be put in its place.
    key: u64,
    value: Window,
    /// Of the put of a read-modify-write: when that was sent, and was due.
    pub(super) sent_ns: u64,
    pub(super) due_ns: u64,
}

/// An operation on its way to a client's connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct FollowUp {
    pub(super) client: usize,
    pub(super) draw: Draw,
    /// When it was wanted.
    pub(super) due_ns: u64,
    pub(super) note: Note,
}

/// What follows operations of one worker's clients.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// Gets that find nothing are followed by puts.
    pub(super) fills: bool,
    /// Where there are inserts.
    pub(super) growth: Option<Box<Growth>>,
    /// Those that are wanted and not sent yet.
    pub(super) wanted: VecDeque<FollowUp>,
    /// Those whose clients wait for a connection.
    put_off: Vec<FollowUp>,
}

impl Following {
    /// Nothing is wanted any more.
    pub(super) fn clear(&mut self) {
        self.wanted.clear();
        self.put_off.clear();
    }

    /// It is wanted when its client goes on.
    #[cold]
    pub(super) fn put_off(&mut self, next: FollowUp) {
        self.put_off.push(next);
    }

    /// A client goes on that waited for a connection.
    pub(super) fn resume(&mut self, client: usize) {
        self.wanted.extend(self.put_off.extract_if(.., |next| next.client == client));
    }

    /// Whether operations of this kind have a note.
    #[inline]
    pub(super) fn is_noted(&self, kind: Kind) -> bool {
        match kind {
            Kind::Insert | Kind::ModifyGet | Kind::ModifyPut => true,
            Kind::Get => self.fills,
            _ => false,
        }
    }

    pub(super) fn note(draw: &Draw) -> Note {
        Note { key: draw.key, value: draw.value, ..Note::default() }
    }

    /// An operation of `client` was answered at `now_ns` without an error, `hit` telling whether it
    /// found its key. Returns whether another one follows.
    pub(super) fn answered(
        &mut self,
        client: usize,
        (kind, hit): (Kind, Option<bool>),
        note: Note,
        (sent_ns, due_ns, now_ns): (u64, u64, u64),
    ) -> bool {
        let next = match kind {
            Kind::ModifyGet => Kind::ModifyPut,
            Kind::Get if hit == Some(false) => Kind::Fill,
            _ => {
                self.over(kind, note);
                return false;
            }
        };
        let draw = Draw { kind: next, key: note.key, value: note.value };
        let note = Note { sent_ns, due_ns, ..note };
        self.wanted.push_back(FollowUp { client, draw, due_ns: now_ns, note });
        true
    }

    /// An operation has its outcome, and nothing follows.
    pub(super) fn over(&mut self, kind: Kind, note: Note) {
        if let (Kind::Insert, Some(growth)) = (kind, &mut self.growth) {
            growth.settle(note.key);
        }
    }
}
