//! Snapshots of a store that goes on serving.
//!
//! A cut locks every shard, so that no transaction is half done, reads the sequence, and tells each
//! shard to keep what it holds (see [`Cut`]); that is the only moment at which all of them are held.
//! Then one segment after another is encoded under its shard's lock, shared with readers. A shard
//! waits as long as that takes: microseconds for small values, and for big ones as long as copying them
//! in memory does, be it one of 512 MB.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use crate::snapshot::{
    self, EntryBuffer, Fill, Header, Malformed, SnapshotError, SnapshotFile, SnapshotReader,
    StoredEntry,
};
use crate::storage::Storage;
use crate::table::{Cut, DATABASES, EmptiedDatabase, Entry, SHARDS};

use super::Engine;

/// Bytes of entries that changed ahead of the walk. Beyond, they are fetched from all shards before
/// the walk goes on.
const SAVED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The store as it was at one moment, given out once. What is left of it ends with the value.
pub struct PointInTime<'e> {
    engine: &'e Engine,
    sequence: u64,
    /// Bytes that the shards put aside.
    saved_bytes: Arc<AtomicUsize>,
    /// Shards not yet walked to their end.
    shards: Range<usize>,
    /// Shards to fetch from what they put aside.
    to_fetch: Range<usize>,
    /// Of the last walked shard, what was emptied meanwhile.
    emptied: Vec<EmptiedDatabase>,
}

impl Engine {
    /// Marks this moment; `None` while another one is still being given out. Afterwards a change to
    /// an entry that was not given out yet costs a copy of it.
    ///
    /// # Panics
    /// When a thread panicked while it held a shard.
    pub fn point_in_time(&self) -> Option<PointInTime<'_>> {
        if self.snapshot_under_way.swap(true, Ordering::Acquire) {
            return None;
        }
        let saved_bytes = Arc::new(AtomicUsize::new(0));
        // What can be done before the locks is.
        let mut cuts: Vec<Box<Cut>> =
            (0..SHARDS).map(|_| Box::new(Cut::new(Arc::clone(&saved_bytes)))).collect();
        let mut shards = Vec::with_capacity(SHARDS);
        for index in 0..SHARDS {
            shards.push(self.table.shard(index).write().expect("no panic under a shard lock"));
        }
        let sequence = self.sequence();
        for shard in shards.iter_mut().rev() {
            let mut cut = cuts.pop().expect("one for each shard");
            cut.set_sequence(sequence);
            shard.begin_cut(cut);
        }
        drop(shards);
        Some(PointInTime {
            engine: self,
            sequence,
            saved_bytes,
            shards: 0..SHARDS,
            to_fetch: 0..0,
            emptied: Vec::new(),
        })
    }

    /// Writes a snapshot of this moment, unless `abandon` becomes true meanwhile.
    ///
    /// # Errors
    /// Whatever the storage says; [`SnapshotError::UnderWay`] while another is being made.
    pub fn write_snapshot(
        &self,
        storage: &dyn Storage,
        abandon: &AtomicBool,
    ) -> Result<SnapshotFile, SnapshotError> {
        let mut moment = self.point_in_time().ok_or(SnapshotError::UnderWay)?;
        let header = Header::new(moment.sequence(), self.now_ms());
        snapshot::write(storage, &header, |out| match abandon.load(Ordering::Relaxed) {
            true => Fill::Abandon,
            false => moment.fill(out),
        })
    }

    /// Loads a snapshot into a store that is empty, on all cores: every entry gets the snapshot's
    /// sequence as its version. Those whose time has come are loaded too, because a log that
    /// follows may have put it off. `progress` is called with the bytes of each block when it is
    /// done, and answers whether to go on.
    ///
    /// # Errors
    /// When the file is not as it was written. The store then holds a part of it.
    ///
    /// # Panics
    /// When a thread panicked while it held a shard.
    pub fn load_snapshot(
        &self,
        reader: &SnapshotReader,
        progress: impl Fn(u64) -> bool + Sync,
    ) -> Result<(), SnapshotError> {
        let sequence = reader.header().sequence;
        self.sequence.fetch_max(sequence, Ordering::AcqRel);
        self.reserve(reader.entries());
        reader.for_each_block(
            |entries| {
                loop {
                    let offset = entries.offset();
                    let Some(entry) = entries.next() else { return Ok(()) };
                    if !self.load(&entry?, sequence) {
                        return Err(Malformed { offset, why: "a key is there twice" });
                    }
                }
            },
            progress,
        )
    }

    /// Makes room for so many entries of each database, spread evenly over the shards.
    fn reserve(&self, entries: &[u64; DATABASES as usize]) {
        for index in 0..SHARDS {
            let mut shard = self.table.shard(index).write().expect("no panic under a shard lock");
            for (db, &count) in (0..DATABASES).zip(entries) {
                // Where there are few, growing costs nothing, and room for a part of one is none.
                let room = count as usize / SHARDS;
                if room > 0 {
                    shard.reserve(db, room);
                }
            }
        }
    }

    /// Adds an entry; answers whether it was not there.
    fn load(&self, stored: &StoredEntry<'_>, version: u64) -> bool {
        let key = self.table.key(stored.key);
        let mut entry = Entry::new(stored.key, stored.value, stored.expires_at_ms);
        entry.set_version(version);
        entry.touch(self.access_now());
        let mut shard = self.table.shard(key.shard()).write().expect("no panic under a shard lock");
        let is_new = shard.find(stored.db, &key).is_none();
        if is_new {
            shard.insert(stored.db, key.hash, entry, &|key| self.table.hash(key));
        }
        is_new
    }
}

impl PointInTime<'_> {
    /// Number of the last change before this moment.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Puts some more of the entries into `out`.
    ///
    /// # Panics
    /// When a thread panicked while it held a shard.
    pub fn fill(&mut self, out: &mut EntryBuffer) -> Fill {
        if self.to_fetch.is_empty() && self.saved_bytes.load(Ordering::Relaxed) > SAVED_BYTES_MAX {
            self.to_fetch = self.shards.clone();
        }
        if let Some(index) = self.to_fetch.next() {
            self.fetch_saved(index, out);
        } else if let Some(emptied) = self.emptied.last_mut() {
            if !emptied.walk(self.sequence, out) {
                self.emptied.pop();
            }
        } else if self.shards.is_empty() {
            return Fill::End;
        } else {
            self.walk(self.shards.start, out);
        }
        Fill::More
    }

    fn fetch_saved(&self, index: usize, out: &mut EntryBuffer) {
        let mut shard =
            self.engine.table.shard(index).write().expect("no panic under a shard lock");
        let saved = shard.cut_mut().map(Cut::take_saved);
        drop(shard);
        out.append(saved.unwrap_or_default());
    }

    fn walk(&mut self, index: usize, out: &mut EntryBuffer) {
        let shard = self.engine.table.shard(index);
        if shard.read().expect("no panic under a shard lock").walk_cut(out) {
            return;
        }
        self.shards.start += 1;
        let cut = shard.write().expect("no panic under a shard lock").end_cut();
        if let Some(cut) = cut {
            let (saved, emptied) = cut.into_parts();
            out.append(saved);
            self.emptied = emptied;
        }
    }
}

impl Drop for PointInTime<'_> {
    fn drop(&mut self) {
        for index in self.shards.clone() {
            let shard = self.engine.table.shard(index);
            // Freed after the lock.
            let _cut = shard.write().unwrap_or_else(PoisonError::into_inner).end_cut();
        }
        self.engine.snapshot_under_way.store(false, Ordering::Release);
    }
}
