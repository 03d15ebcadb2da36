//! One shard: its part of each database, the absent keys that somebody watches, and while a snapshot
//! is made the point in time that it is to be of.
//!
//! Every way to change or lose an entry that is there leads through here, takes the version of that
//! change, and puts the entry aside first where a snapshot still needs it.

use std::collections::HashMap;

use crate::snapshot::EntryBuffer;

use super::removals::Removals;
use super::segments::{POSITION_END, Segments, position};
use super::{Cut, DATABASES, Entry, Form, Key};

/// The databases but the first.
type Others = [Segments; DATABASES as usize - 1];

/// A part of every database, behind one lock.
#[derive(Default)]
pub(crate) struct Shard {
    /// Database 0, which most users have alone, without a detour.
    first: Segments,
    /// The others, made at the first write to any of them.
    others: Option<Box<Others>>,
    /// Keys that were absent when somebody watched them. An entry's version tells whether a
    /// present key changed; an absent key has none, and may be made and removed again unseen.
    watched_absent: HashMap<(u8, Box<[u8]>), AbsentWatch>,
    /// What a snapshot that is being made still needs from here.
    cut: Option<Box<Cut>>,
    /// What was removed and may not be durable yet.
    removals: Removals,
    /// Bytes of all databases.
    bytes: usize,
    /// What of them was told to those who add up all shards.
    told_bytes: usize,
}

/// What the databases but the first cost empty, each.
const DATABASE_BYTES: usize = size_of::<Segments>();

/// A shard's part of a database that was emptied.
pub(crate) struct TakenDatabase {
    _segments: Option<Segments>,
}

struct AbsentWatch {
    watchers: usize,
    /// Version of the last removal since the first watcher came.
    removed_at: u64,
}

#[inline]
fn database<'s>(
    first: &'s Segments,
    others: impl FnOnce() -> Option<&'s Others>,
    db: u8,
) -> Option<&'s Segments> {
    match db {
        0 => Some(first),
        _ => others().map(|others| &others[usize::from(db) - 1]),
    }
}

impl Shard {
    #[inline]
    pub(super) fn database(&self, db: u8) -> Option<&Segments> {
        database(&self.first, || self.others.as_deref(), db)
    }

    fn database_mut(&mut self, db: u8) -> &mut Segments {
        if db == 0 {
            return &mut self.first;
        }
        if self.others.is_none() {
            self.bytes += size_of::<Others>();
        }
        &mut self.others.get_or_insert_default()[usize::from(db) - 1]
    }

    /// Lets `act` change a database, and counts what that makes of its bytes.
    #[inline]
    fn with_database<R>(&mut self, db: u8, act: impl FnOnce(&mut Segments) -> R) -> R {
        let segments = self.database_mut(db);
        let before = segments.bytes();
        let result = act(segments);
        let after = segments.bytes();
        self.bytes = self.bytes + after - before;
        result
    }

    /// Bytes that `db` takes here.
    pub(crate) fn database_bytes(&self, db: u8) -> usize {
        let empty = if db > 0 && self.others.is_some() { DATABASE_BYTES } else { 0 };
        empty + self.database(db).map_or(0, Segments::bytes)
    }

    /// Tells by how much the bytes of all databases have changed since the last time, if by `least`
    /// or more.
    #[inline]
    pub(crate) fn tell_bytes(&mut self, least: usize) -> Option<isize> {
        let change = self.bytes as isize - self.told_bytes as isize;
        (change.unsigned_abs() >= least).then(|| {
            self.told_bytes = self.bytes;
            change
        })
    }

    /// Entries in `db`, the expired ones that nobody has met yet included.
    pub(crate) fn len(&self, db: u8) -> usize {
        self.database(db).map_or(0, Segments::len)
    }

    /// Entries in `db` that have an expiry.
    pub(crate) fn expiring(&self, db: u8) -> usize {
        self.database(db).map_or(0, Segments::expiring)
    }

    /// Makes room for so many entries in `db`, if it is empty.
    pub(crate) fn reserve(&mut self, db: u8, entries: usize) {
        self.with_database(db, |segments| segments.reserve(entries));
    }

    #[inline]
    pub(crate) fn find(&self, db: u8, key: &Key) -> Option<&Entry> {
        self.database(db)?.find(key.hash, key.bytes)
    }

    /// The first entry with this hash, most likely that of a key which has it.
    #[inline]
    pub(crate) fn first_with_hash(&self, db: u8, hash: u64) -> Option<&Entry> {
        self.database(db)?.first_with_hash(hash)
    }

    /// Lets `act` change an entry, if it is there; `version` is the sequence number of the change.
    #[inline]
    pub(crate) fn change<R>(
        &mut self,
        db: u8,
        key: &Key,
        version: u64,
        act: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        if self.cut.is_some() {
            self.save(db, key);
        }
        self.with_database(db, |segments| {
            segments.change(key.hash, key.bytes, |entry| {
                entry.set_version(version);
                act(entry)
            })
        })
    }

    /// Puts an entry aside for the snapshot that is being made.
    #[cold]
    fn save(&mut self, db: u8, key: &Key) {
        let Self { first, others, cut: Some(cut), .. } = self else { return };
        if let Some(entry) = database(first, || others.as_deref(), db)
            .and_then(|segments| segments.find(key.hash, key.bytes))
        {
            cut.save(db, position(key.hash), entry);
        }
    }

    /// Notes in which form Redis would hold a value, which is no change.
    pub(crate) fn set_form(&mut self, db: u8, key: &Key, form: Form) {
        self.with_database(db, |segments| {
            segments.change(key.hash, key.bytes, |entry| entry.set_form(form));
        });
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(
        &mut self,
        db: u8,
        hash: u64,
        entry: Entry,
        hasher: &impl Fn(&[u8]) -> u64,
    ) {
        self.with_database(db, |segments| segments.insert(hash, entry, hasher));
    }

    /// Removes a key; `version` is the sequence number of the removal.
    pub(crate) fn remove(
        &mut self,
        db: u8,
        key: &Key,
        version: u64,
        hasher: &impl Fn(&[u8]) -> u64,
    ) -> Option<Entry> {
        if self.cut.is_some() {
            self.save(db, key);
        }
        let entry =
            self.with_database(db, |segments| segments.remove(key.hash, key.bytes, hasher))?;
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
        if self.database(db).is_none() {
            return TakenDatabase { _segments: None };
        }
        let taken = self.with_database(db, std::mem::take);
        for ((watched_db, key), watch) in &mut self.watched_absent {
            if *watched_db == db && taken.find(hasher(key), key).is_some() {
                watch.removed_at = version;
            }
        }
        let unneeded = match &mut self.cut {
            Some(cut) => cut.keep(db, taken),
            None => Some(taken),
        };
        TakenDatabase { _segments: unneeded }
    }

    /// Remembers the removal of a key, by its hash, or of a whole database, for as long as it is not
    /// durable.
    pub(crate) fn note_removal(&mut self, db: u8, hash: Option<u64>, version: u64, durable: u64) {
        self.removals.note(db, hash, version, durable);
    }

    /// Version of the last removal of a key, if it may not be durable yet; 0 otherwise.
    pub(crate) fn removed_at(&self, db: u8, hash: u64) -> u64 {
        self.removals.last(db, hash)
    }

    /// Exchanges two databases; `version` is the sequence number of that. Every entry keeps its own.
    pub(crate) fn swap_databases(
        &mut self,
        a: u8,
        b: u8,
        version: u64,
        hasher: &impl Fn(&[u8]) -> u64,
    ) {
        let Self { first, others, watched_absent, cut, .. } = self;
        for ((db, key), watch) in watched_absent {
            // Made since it was watched, and gone from this database now.
            let holds = |segments: &Segments| segments.find(hasher(key), key).is_some();
            if [a, b].contains(db) && database(first, || others.as_deref(), *db).is_some_and(holds)
            {
                watch.removed_at = version;
            }
        }
        if let Some(cut) = cut {
            cut.swap_databases(a, b);
        }
        let taken = std::mem::take(self.database_mut(a));
        let other = std::mem::replace(self.database_mut(b), taken);
        *self.database_mut(a) = other;
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

    /// Begins a point in time that a snapshot is to be of.
    pub(crate) fn begin_cut(&mut self, cut: Box<Cut>) {
        debug_assert!(self.cut.is_none(), "one snapshot at a time");
        self.cut = Some(cut);
    }

    /// Puts the entries of one more segment into `out`, as they were at the cut; answers whether
    /// there may be more.
    pub(crate) fn walk_cut(&self, out: &mut EntryBuffer) -> bool {
        self.cut.as_ref().is_some_and(|cut| cut.walk(|db| self.database(db), out))
    }

    pub(crate) fn cut_mut(&mut self) -> Option<&mut Cut> {
        self.cut.as_deref_mut()
    }

    /// Ends the point in time, for the caller to free when it holds no lock.
    pub(crate) fn end_cut(&mut self) -> Option<Box<Cut>> {
        self.cut.take()
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
