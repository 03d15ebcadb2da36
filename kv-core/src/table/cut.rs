//! A shard's part of a point in time: what it held when all shards were cut at once, given out
//! bit by bit while it goes on changing.
//!
//! The walker takes one segment after another, in the order of *places* (database, then position),
//! and remembers in `next` how far it came. Whatever changes or removes an entry that is older than
//! the cut and lies at or behind `next` first puts it aside, encoded; the walker later passes over
//! what came after, because its version is above the cut's. So each entry that was there is given
//! out once, as it was, and an entry that nobody touches meanwhile is never copied in memory.
//!
//! Places are those at the moment of the cut. When two databases change places meanwhile, their
//! entries stay what they are, and what remains to be given out is told by where it was.

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
    /// For each database, which one it was at the cut.
    origins: [u8; DATABASES as usize],
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
            origins: std::array::from_fn(|db| db as u8),
            next: AtomicU64::new(0),
            saved: EntryBuffer::default(),
            emptied: Vec::new(),
            saved_bytes,
        }
    }

    pub(crate) fn set_sequence(&mut self, sequence: u64) {
        self.sequence = sequence;
    }

    /// Two databases change places.
    pub(super) fn swap_databases(&mut self, a: u8, b: u8) {
        self.origins.swap(a.into(), b.into());
    }

    /// Puts an entry aside that is about to change, unless that was not there at the cut or was
    /// given out already.
    pub(super) fn save(&mut self, db: u8, position: u64, entry: &Entry) {
        let db = self.origins[usize::from(db)];
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
        let db = self.origins[usize::from(db)];
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
            match self.now(db).and_then(&database).filter(|segments| segments.len() > 0) {
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

    /// Where the database is that was this one at the cut.
    fn now(&self, origin: u8) -> Option<u8> {
        self.origins.iter().position(|&db| db == origin).map(|db| db as u8)
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
    /// Which one it was at the cut.
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::snapshot::Entries;
    use crate::table::{Key, Shard, Table};

    type State = BTreeMap<(u8, Vec<u8>), (Vec<u8>, Option<u64>)>;

    const DATABASES_USED: [u8; 3] = [0, 1, 15];

    /// One shard with many keys, each change of it under a version of its own, and the walk of a cut
    /// through it.
    struct Walked {
        table: Table,
        shard: Shard,
        version: u64,
        out: EntryBuffer,
        remains: Vec<EmptiedDatabase>,
        sequence: u64,
        random: u64,
    }

    impl Walked {
        fn new(seed: u64) -> Self {
            Self {
                table: Table::new(),
                shard: Shard::default(),
                version: 0,
                out: EntryBuffer::default(),
                remains: Vec::new(),
                sequence: 0,
                random: seed * 2 + 1,
            }
        }

        /// Less than `below`, by xorshift64*: the same seed, the same changes.
        fn random(&mut self, below: usize) -> usize {
            self.random ^= self.random >> 12;
            self.random ^= self.random << 25;
            self.random ^= self.random >> 27;
            (self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below
        }

        fn change(&mut self, keys: usize) {
            self.version += 1;
            let version = self.version;
            let bytes = format!("key:{}", self.random(keys)).into_bytes();
            let db = DATABASES_USED[self.random(3)];
            let action = self.random(10_000);
            let (table, shard) = (&self.table, &mut self.shard);
            let key = Key { bytes: &bytes, hash: table.hash(&bytes) };
            let hasher = |key: &[u8]| table.hash(key);
            match action {
                0..5 => drop(shard.take_database(db, version, &hasher)),
                5..15 => shard.swap_databases(db, (db + 1) % DATABASES, version, &hasher),
                15..3000 => drop(shard.remove(db, &key, version, &hasher)),
                3000..5000 => {
                    let at_ms = (!action.is_multiple_of(3)).then_some(version);
                    shard.change(db, &key, version, |entry| entry.set_expires_at_ms(at_ms));
                }
                _ => {
                    let set = |entry: &mut Entry| entry.set_value(&version.to_le_bytes());
                    if shard.change(db, &key, version, set).is_none() {
                        let mut entry = Entry::new(&bytes, b"new", None);
                        entry.set_version(version);
                        shard.insert(db, key.hash, entry, &hasher);
                    }
                }
            }
        }

        fn state(&self) -> State {
            let entries =
                (0..DATABASES).flat_map(|db| self.shard.iter(db).map(move |entry| (db, entry)));
            entries
                .map(|(db, entry)| {
                    let value = (entry.value().to_vec(), entry.expires_at_ms());
                    ((db, entry.key().to_vec()), value)
                })
                .collect()
        }

        fn cut(&mut self) {
            let mut cut = Cut::new(Arc::default());
            self.sequence = self.version;
            cut.set_sequence(self.version);
            self.shard.begin_cut(Box::new(cut));
        }

        /// Walks one segment on; answers whether there is more.
        fn walk(&mut self) -> bool {
            if let Some(emptied) = self.remains.last_mut() {
                if !emptied.walk(self.sequence, &mut self.out) {
                    self.remains.pop();
                }
                return !self.remains.is_empty();
            }
            if self.shard.walk_cut(&mut self.out) {
                return true;
            }
            let cut = self.shard.end_cut().expect("it goes on until now");
            let (saved, emptied) = cut.into_parts();
            self.out.append(saved);
            self.remains = emptied;
            !self.remains.is_empty()
        }
    }

    #[test]
    fn whatever_changes_during_the_walk_it_gives_out_the_moment_of_the_cut() {
        for seed in 0..90 {
            let mut walked = Walked::new(seed);
            // From a single segment to dozens, which go on splitting.
            let keys = [20, 300, 1500][seed as usize % 3];
            for _ in 0..walked.random(2 * keys) {
                walked.change(keys);
            }
            walked.cut();
            let expected = walked.state();
            while walked.walk() {
                for _ in 0..walked.random(keys) {
                    walked.change(2 * keys);
                }
            }
            let mut given_out = State::new();
            for entry in Entries::new(walked.out.bytes()) {
                let entry = entry.expect("encoded by the walk");
                let value = (entry.value.to_vec(), entry.expires_at_ms);
                let twice = given_out.insert((entry.db, entry.key.to_vec()), value);
                assert_eq!(twice, None, "seed {seed}: {:?} was given out twice", entry.key);
            }
            assert_eq!(given_out, expected, "seed {seed}");
        }
    }

    #[test]
    fn what_is_put_aside_is_counted_until_it_is_taken() {
        let saved_bytes = Arc::<AtomicUsize>::default();
        let mut cut = Cut::new(Arc::clone(&saved_bytes));
        // The very place where the walk goes on was not walked yet.
        cut.save(0, 0, &Entry::new(b"key", b"value", None));
        let put_aside = cut.saved.bytes().len();
        assert!(put_aside > 0);
        assert_eq!(saved_bytes.load(Ordering::Relaxed), put_aside);
        cut.take_saved();
        assert_eq!(saved_bytes.load(Ordering::Relaxed), 0);
        cut.save(0, 2, &Entry::new(b"key", b"value", None));
        drop(cut);
        assert_eq!(saved_bytes.load(Ordering::Relaxed), 0);
    }
}
