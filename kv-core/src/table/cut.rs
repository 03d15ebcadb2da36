//! A shard's part of a point in time: what it held when all shards were cut at once, given out
//! bit by bit while it goes on changing.
//!
//! The walker takes one segment after another, in the order of *places* (database, then position),
//! and remembers in `next` how far it came. Whatever changes or removes an entry that is older than
//! the cut and lies at or behind `next` first puts it aside, encoded; the walker later passes over
//! what came after, because its version is above the cut's. So each entry that was there is given
//! out once, as it was, and an entry that nobody touches meanwhile is never copied in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::snapshot::{EntryBuffer, StoredEntry};

use super::segments::{POSITION_END, Segments};
use super::{DATABASES, Entry};

/// One past the last place of a shard.
const PLACE_END: u64 = place(DATABASES, 0);

/// A position within a database. The end of one database is the beginning of the next.
const fn place(db: u8, position: u64) -> u64 {
    db as u64 * POSITION_END + position
}

/// The point in time that a shard is to give out.
pub(crate) struct Cut {
    /// The last change that belongs to it.
    sequence: u64,
    /// The first place that was not walked. The walker moves it under a shared lock, and everybody
    /// else reads it under an exclusive one, so the lock orders these accesses.
    next: AtomicU64,
    /// Entries that changed before they were walked, as they were.
    saved: EntryBuffer,
    /// Databases that were emptied before they were walked to their end.
    emptied: Vec<EmptiedDatabase>,
    /// Bytes saved and not yet taken, of all shards together.
    saved_bytes: Arc<AtomicUsize>,
}

impl Cut {
    /// A cut that nothing belongs to yet.
    pub(crate) fn new(saved_bytes: Arc<AtomicUsize>) -> Self {
        Self {
            sequence: 0,
            next: AtomicU64::new(0),
            saved: EntryBuffer::default(),
            emptied: Vec::new(),
            saved_bytes,
        }
    }

    pub(crate) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Puts an entry aside that is about to change, unless that was not there at the cut or was
    /// given out already.
    pub(super) fn save(&mut self, db: u8, position: u64, entry: &Entry) {
        if entry.version() <= self.sequence && place(db, position) >= *self.next.get_mut() {
            let before = self.saved.bytes().len();
            self.saved.push(&StoredEntry::of(db, entry));
            let bytes = self.saved.bytes().len() - before;
            self.saved_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Takes over a database that was emptied, if it may hold what was not given out yet; answers
    /// it otherwise.
    pub(super) fn keep(&mut self, db: u8, segments: Segments) -> Option<Segments> {
        let next = *self.next.get_mut();
        let kept_before = self.emptied.iter().any(|emptied| emptied.db == db);
        if next >= place(db + 1, 0) || kept_before || segments.len() == 0 {
            return Some(segments);
        }
        let position = next.saturating_sub(place(db, 0));
        self.emptied.push(EmptiedDatabase { db, position, segments });
        None
    }

    /// Puts the next segment's entries into `out`; answers whether there may be more.
    pub(super) fn walk<'s>(
        &self,
        database: impl Fn(u8) -> Option<&'s Segments>,
        out: &mut EntryBuffer,
    ) -> bool {
        let mut next = self.next.load(Ordering::Relaxed);
        while next < PLACE_END {
            let (db, position) = ((next / POSITION_END) as u8, next % POSITION_END);
            match database(db).filter(|segments| segments.len() > 0) {
                None => next = place(db + 1, 0),
                Some(segments) => {
                    next = place(db, give_out(segments, db, position, self.sequence, out));
                    break;
                }
            }
        }
        self.next.store(next, Ordering::Relaxed);
        next < PLACE_END
    }

    /// The entries that were put aside so far.
    pub(crate) fn take_saved(&mut self) -> EntryBuffer {
        let saved = std::mem::take(&mut self.saved);
        self.saved_bytes.fetch_sub(saved.bytes().len(), Ordering::Relaxed);
        saved
    }

    /// Ends the cut: what was put aside, and the databases that remain to be walked.
    pub(crate) fn into_parts(mut self) -> (EntryBuffer, Vec<EmptiedDatabase>) {
        (self.take_saved(), std::mem::take(&mut self.emptied))
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.take_saved();
    }
}

/// A database that was emptied before it was given out, moved here whole.
pub(crate) struct EmptiedDatabase {
    db: u8,
    /// The first position that was not given out.
    position: u64,
    segments: Segments,
}

impl EmptiedDatabase {
    /// Puts the next segment's entries into `out`; answers whether there are more.
    pub(crate) fn walk(&mut self, sequence: u64, out: &mut EntryBuffer) -> bool {
        self.position = give_out(&self.segments, self.db, self.position, sequence, out);
        self.position < POSITION_END
    }
}

/// Encodes the entries of the segment at `position` that are no younger than `sequence`; answers
/// the position behind it.
fn give_out(
    segments: &Segments,
    db: u8,
    position: u64,
    sequence: u64,
    out: &mut EntryBuffer,
) -> u64 {
    let (entries, next) = segments.at_position(position);
    for entry in entries.filter(|entry| entry.version() <= sequence) {
        out.push(&StoredEntry::of(db, entry));
    }
    next
}
