//! One shard: its part of each database, and the absent keys that somebody watches.

use std::collections::HashMap;

use super::segments::{POSITION_END, Segments};
use super::{DATABASES, Entry, Key};

/// A part of every database, behind one lock.
#[derive(Default)]
pub(crate) struct Shard {
    /// Database 0, which most users have alone, without a detour.
    first: Segments,
    /// The others, made at the first write to any of them.
    others: Option<Box<[Segments; DATABASES as usize - 1]>>,
    /// Keys that were absent when somebody watched them. An entry's version tells whether a
    /// present key changed; an absent key has none, and may be made and removed again unseen.
    watched_absent: HashMap<(u8, Box<[u8]>), AbsentWatch>,
}

/// A shard's part of a database that was emptied.
pub(crate) struct TakenDatabase {
    _segments: Segments,
}

struct AbsentWatch {
    watchers: usize,
    /// Version of the last removal since the first watcher came.
    removed_at: u64,
}

impl Shard {
    #[inline]
    fn database(&self, db: u8) -> Option<&Segments> {
        if db == 0 {
            return Some(&self.first);
        }
        self.others.as_ref().map(|others| &others[usize::from(db) - 1])
    }

    fn database_mut(&mut self, db: u8) -> &mut Segments {
        if db == 0 {
            return &mut self.first;
        }
        &mut self.others.get_or_insert_default()[usize::from(db) - 1]
    }

    /// Entries in `db`, the expired ones that nobody has met yet included.
    pub(crate) fn len(&self, db: u8) -> usize {
        self.database(db).map_or(0, Segments::len)
    }

    /// Entries in `db` that have an expiry.
    pub(crate) fn expiring(&self, db: u8) -> usize {
        self.database(db).map_or(0, Segments::expiring)
    }

    #[inline]
    pub(crate) fn find(&self, db: u8, key: &Key) -> Option<&Entry> {
        self.database(db)?.find(key.hash, key.bytes)
    }

    #[inline]
    pub(crate) fn find_mut(&mut self, db: u8, key: &Key) -> Option<&mut Entry> {
        self.database_mut(db).find_mut(key.hash, key.bytes)
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(
        &mut self,
        db: u8,
        hash: u64,
        entry: Entry,
        hasher: &impl Fn(&[u8]) -> u64,
    ) {
        self.database_mut(db).insert(hash, entry, hasher);
    }

    pub(crate) fn set_expires_at_ms(&mut self, db: u8, key: &Key, at_ms: Option<u64>) {
        self.database_mut(db).set_expires_at_ms(key.hash, key.bytes, at_ms);
    }

    /// Removes a key; `version` is the sequence number of the removal.
    pub(crate) fn remove(
        &mut self,
        db: u8,
        key: &Key,
        version: u64,
        hasher: &impl Fn(&[u8]) -> u64,
    ) -> Option<Entry> {
        let entry = self.database_mut(db).remove(key.hash, key.bytes, hasher)?;
        if !self.watched_absent.is_empty()
            && let Some(watch) = self.watched_absent.get_mut(&(db, Box::from(key.bytes)))
        {
            watch.removed_at = version;
        }
        Some(entry)
    }

    /// Takes away the whole of `db`, for the caller to free when it holds no lock.
    /// `version` is the sequence number of the removal.
    pub(crate) fn take_database(
        &mut self,
        db: u8,
        version: u64,
        hasher: &impl Fn(&[u8]) -> u64,
    ) -> TakenDatabase {
        let taken = std::mem::take(self.database_mut(db));
        for ((watched_db, key), watch) in &mut self.watched_absent {
            if *watched_db == db && taken.find(hasher(key), key).is_some() {
                watch.removed_at = version;
            }
        }
        TakenDatabase { _segments: taken }
    }

    pub(crate) fn iter(&self, db: u8) -> impl Iterator<Item = &Entry> {
        self.database(db).into_iter().flat_map(Segments::iter)
    }

    /// The entries from `position` to the end of its segment, and the position behind it, if there
    /// is one.
    pub(crate) fn walk(
        &self,
        db: u8,
        position: u32,
    ) -> (impl Iterator<Item = &Entry>, Option<u32>) {
        let walked = self.database(db).map(|segments| segments.at_position(u64::from(position)));
        let next = walked.as_ref().map_or(POSITION_END, |(_, next)| *next);
        (walked.into_iter().flat_map(|(entries, _)| entries), u32::try_from(next).ok())
    }

    /// Begins to watch a key that is absent.
    pub(crate) fn watch_absent(&mut self, db: u8, key: &[u8]) {
        let watch = self
            .watched_absent
            .entry((db, Box::from(key)))
            .or_insert(AbsentWatch { watchers: 0, removed_at: 0 });
        watch.watchers += 1;
    }

    /// Whether a watched absent key was removed, and so present in between, after `version`.
    pub(crate) fn removed_since(&self, db: u8, key: &[u8], version: u64) -> bool {
        self.watched_absent
            .get(&(db, Box::from(key)))
            .is_some_and(|watch| watch.removed_at > version)
    }

    pub(crate) fn unwatch_absent(&mut self, db: u8, key: &[u8]) {
        let key = (db, Box::from(key));
        if let Some(watch) = self.watched_absent.get_mut(&key) {
            watch.watchers -= 1;
            if watch.watchers == 0 {
                self.watched_absent.remove(&key);
            }
        }
    }
}
