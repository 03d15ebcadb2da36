//! A transaction: the locks that a batch holds, and all that it may do under them.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{RwLockReadGuard, RwLockWriteGuard};

use crate::command::{Access, Call, Run};
use crate::resp::Encoder;
use crate::table::{Entry, Key, SHARDS, Shard, TakenDatabase};

use super::{Engine, Watch};

/// What the commands of a connection met, for `INFO`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// Keys removed because their time had come.
    pub expired: u64,
    /// Commands that answered with an error.
    pub errors: u64,
}

/// What becomes of a key's expiry when its value is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expiry {
    Keep,
    Never,
    /// Unix time in milliseconds.
    At(u64),
}

enum Guard<'e> {
    Read(RwLockReadGuard<'e, Shard>),
    Write(RwLockWriteGuard<'e, Shard>),
}

impl Guard<'_> {
    #[inline]
    fn shard(&self) -> &Shard {
        match self {
            Self::Read(guard) => guard,
            Self::Write(guard) => guard,
        }
    }

    #[inline]
    fn shard_mut(&mut self) -> &mut Shard {
        match self {
            Self::Read(_) => panic!("a command that reads may not write"),
            Self::Write(guard) => guard,
        }
    }
}

enum Guards<'e> {
    /// None held: each access locks one shard for itself.
    None,
    /// The one key of a command, hashed once.
    One { hash: u64, guard: Guard<'e> },
    /// Several shards, ascending.
    Many(Vec<(usize, Guard<'e>)>),
}

impl Guards<'_> {
    #[inline]
    fn shard(&self, key: &Key) -> &Shard {
        match self {
            Self::One { guard, .. } => guard.shard(),
            Self::Many(guards) => guards[guard_index(guards, key.shard())].1.shard(),
            Self::None => panic!("a walk touches no single key"),
        }
    }

    #[inline]
    fn shard_mut(&mut self, key: &Key) -> &mut Shard {
        match self {
            Self::One { guard, .. } => guard.shard_mut(),
            Self::Many(guards) => {
                let index = guard_index(guards, key.shard());
                guards[index].1.shard_mut()
            }
            Self::None => panic!("a walk changes nothing"),
        }
    }

    /// Whether the locks allow changes.
    fn are_exclusive(&self) -> bool {
        match self {
            Self::One { guard, .. } => matches!(guard, Guard::Write(_)),
            Self::Many(guards) => matches!(guards.first(), Some((_, Guard::Write(_)))),
            Self::None => false,
        }
    }
}

/// The locks of a batch, and the only door to the entries behind them.
pub struct Transaction<'e> {
    engine: &'e Engine,
    guards: Guards<'e>,
    db: u8,
    /// Read at most once, so that a batch sees one moment; most commands need no clock at all.
    now_ms: Cell<Option<u64>>,
    access_s: u32,
    /// The sequence number of the batch, taken at its first change.
    version: Option<u64>,
    tally: Tally,
    /// Expired keys met under a shared lock, removed after it.
    met_expired: Vec<(u8, Vec<u8>)>,
    /// Emptied databases, freed after the locks.
    taken: Vec<TakenDatabase>,
}

impl<'e> Transaction<'e> {
    fn new(engine: &'e Engine, guards: Guards<'e>) -> Self {
        Self {
            engine,
            guards,
            db: 0,
            now_ms: Cell::new(None),
            access_s: engine.access_s.load(Ordering::Relaxed),
            version: None,
            tally: Tally::default(),
            met_expired: Vec::new(),
            taken: Vec::new(),
        }
    }

    pub(super) fn on_key(engine: &'e Engine, key: &[u8], access: Access) -> Self {
        let key = engine.table.key(key);
        let guard = lock(engine, key.shard(), access);
        Self::new(engine, Guards::One { hash: key.hash, guard })
    }

    pub(super) fn on_shards(engine: &'e Engine, ascending: Vec<usize>, access: Access) -> Self {
        debug_assert!(ascending.is_sorted());
        let guards = ascending.into_iter().map(|index| (index, lock(engine, index, access)));
        Self::new(engine, Guards::Many(guards.collect()))
    }

    pub(super) fn unlocked(engine: &'e Engine) -> Self {
        Self::new(engine, Guards::None)
    }

    /// Runs one call of the batch.
    ///
    /// # Panics
    /// When it is a command of the connection, or touches a shard that the batch did not lock.
    #[inline]
    pub fn run(&mut self, call: &Call<'_>, out: &mut Encoder) {
        let Run::Data(run) = call.spec.run else {
            panic!("{} is run by the server", call.spec.name)
        };
        self.db = call.db;
        if let Err(error) = run(self, call, out) {
            self.tally.errors += 1;
            out.error(error);
        }
    }

    /// Releases the locks, then clears up what the batch left behind.
    pub fn commit(self, tally: &mut Tally) {
        let Self { engine, guards, met_expired, taken, tally: mine, .. } = self;
        drop(guards);
        drop(taken);
        tally.hits += mine.hits;
        tally.misses += mine.misses;
        tally.errors += mine.errors;
        tally.expired += mine.expired;
        for (db, key) in met_expired {
            tally.expired += engine.remove_expired(db, &key);
        }
    }

    /// Whether every watched key is as it was.
    pub fn unchanged(&self, watches: &[Watch]) -> bool {
        watches.iter().all(|watch| {
            let key = self.engine.table.key(watch.key());
            watch.is_unchanged(self.guards.shard(&key), &key, self.now_ms())
        })
    }

    /// The length of a value made of two parts, unless it is too long for one.
    pub(crate) fn checked_len(&self, first: usize, second: usize) -> Option<usize> {
        first.checked_add(second).filter(|&len| len <= self.engine.value_bytes_max)
    }

    /// Bytes of the longest value.
    pub(crate) fn value_bytes_max(&self) -> usize {
        self.engine.value_bytes_max
    }

    /// The access clock, as the entries that the batch touches remember it.
    pub(crate) fn access_s(&self) -> u32 {
        self.access_s
    }

    /// Acts on another database; a key is in the same shard in each.
    pub(crate) fn in_db<R>(&mut self, db: u8, act: impl FnOnce(&mut Self) -> R) -> R {
        let before = std::mem::replace(&mut self.db, db);
        let result = act(self);
        self.db = before;
        result
    }

    /// Unix time in milliseconds, the same throughout the batch.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.get().unwrap_or_else(|| {
            let now_ms = self.engine.clock.now_ms();
            self.now_ms.set(Some(now_ms));
            now_ms
        })
    }

    #[inline]
    pub(crate) fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        match self.guards {
            Guards::One { hash, .. } => {
                debug_assert_eq!(hash, self.engine.table.key(bytes).hash);
                Key { bytes, hash }
            }
            _ => self.engine.table.key(bytes),
        }
    }

    /// A live entry, without a trace in the statistics.
    #[inline]
    pub(crate) fn peek(&self, key: &Key) -> Option<&Entry> {
        self.guards.shard(key).find(self.db, key).filter(|entry| self.is_live(entry))
    }

    /// Shows `look` a live entry for a command that reads: marked as used, counted as a hit or a
    /// miss.
    #[inline]
    pub(crate) fn read<R>(&mut self, key: &Key, look: impl FnOnce(Option<&Entry>) -> R) -> R {
        let access_s = self.access_s;
        self.inspect(key, |entry| {
            if let Some(entry) = entry {
                entry.touch(access_s);
            }
            look(entry)
        })
    }

    /// As [`Transaction::read`] for a command that asks about a key and does not use it.
    #[inline]
    pub(crate) fn inspect<R>(&mut self, key: &Key, look: impl FnOnce(Option<&Entry>) -> R) -> R {
        let found = self.guards.shard(key).find(self.db, key);
        match found {
            Some(entry) if self.is_live(entry) => {
                self.tally.hits += 1;
                look(found)
            }
            _ => {
                self.tally.misses += 1;
                if found.is_some() {
                    self.forget_expired(key);
                }
                look(None)
            }
        }
    }

    /// Removes an entry that is there but expired: now under an exclusive lock, later otherwise.
    #[cold]
    fn forget_expired(&mut self, key: &Key) {
        if self.guards.are_exclusive() {
            self.remove_any(key);
            self.tally.expired += 1;
        } else {
            self.met_expired.push((self.db, key.bytes.to_vec()));
        }
    }

    fn version(&mut self) -> u64 {
        *self.version.get_or_insert_with(|| self.engine.sequence.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// Sets a key, whether it is there or not.
    pub(crate) fn put(&mut self, key: &Key, value: &[u8], expiry: Expiry) {
        let (version, access_s, db) = (self.version(), self.access_s, self.db);
        let expires_at_ms = match expiry {
            Expiry::Keep => self.peek(key).and_then(Entry::expires_at_ms),
            Expiry::Never => None,
            Expiry::At(at_ms) => Some(at_ms),
        };
        let engine = self.engine;
        let shard = self.guards.shard_mut(key);
        if let Some(entry) = shard.find_mut(db, key) {
            entry.set_value(value);
            entry.set_version(version);
            entry.touch(access_s);
            if entry.expires_at_ms() != expires_at_ms {
                shard.set_expires_at_ms(db, key, expires_at_ms);
            }
        } else {
            let mut entry = Entry::new(key.bytes, value, expires_at_ms);
            entry.set_version(version);
            entry.touch(access_s);
            shard.insert(db, key.hash, entry, &|key| engine.table.hash(key));
        }
    }

    /// Makes the value of a key `len` bytes long, adding zeros, and lets `change` write into it. A
    /// key that is not there begins empty.
    pub(crate) fn update(&mut self, key: &Key, len: usize, change: impl FnOnce(&mut [u8])) {
        if self.peek(key).is_none() {
            self.put(key, &[], Expiry::Never);
        }
        let (version, access_s, db) = (self.version(), self.access_s, self.db);
        let entry = self.guards.shard_mut(key).find_mut(db, key).expect("the key was just put");
        entry.resize_value(len);
        entry.set_version(version);
        entry.touch(access_s);
        change(entry.value_mut());
    }

    /// Sets or clears the expiry of a live key.
    pub(crate) fn set_expiry(&mut self, key: &Key, expires_at_ms: Option<u64>) {
        let (version, db) = (self.version(), self.db);
        let shard = self.guards.shard_mut(key);
        shard.set_expires_at_ms(db, key, expires_at_ms);
        if let Some(entry) = shard.find_mut(db, key) {
            entry.set_version(version);
        }
    }

    /// Removes a key; answers its entry if it was live.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let live = self.is_live(self.guards.shard(key).find(self.db, key)?);
        if !live {
            self.forget_expired(key);
            return None;
        }
        self.remove_any(key)
    }

    fn remove_any(&mut self, key: &Key) -> Option<Entry> {
        let (version, db, engine) = (self.version(), self.db, self.engine);
        self.guards.shard_mut(key).remove(db, key, version, &|key| engine.table.hash(key))
    }

    /// Empties the database.
    pub(crate) fn clear(&mut self, db: u8) {
        let (version, engine) = (self.version(), self.engine);
        let Guards::Many(guards) = &mut self.guards else {
            panic!("emptying a database locks every shard")
        };
        self.taken.extend(guards.iter_mut().map(|(_, guard)| {
            guard.shard_mut().take_database(db, version, &|key| engine.table.hash(key))
        }));
    }

    /// Keys in the database, the expired that nobody has met included, as in Redis.
    pub(crate) fn len(&self) -> usize {
        let Guards::Many(guards) = &self.guards else {
            panic!("counting a database locks every shard")
        };
        guards.iter().map(|(_, guard)| guard.shard().len(self.db)).sum()
    }

    /// Calls `visit` with each live entry of the database.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(&Entry)) {
        for index in 0..SHARDS {
            self.with_shard(index, |shard| {
                shard.iter(self.db).filter(|entry| self.is_live(entry)).for_each(&mut visit);
            });
        }
    }

    /// Visits the live entries of one segment; answers the position behind it within the shard, if
    /// any.
    pub(crate) fn walk(
        &self,
        shard: usize,
        position: u32,
        visit: &mut dyn FnMut(&Entry),
    ) -> Option<u32> {
        self.with_shard(shard, |shard| {
            let (entries, next) = shard.walk(self.db, position);
            entries.filter(|entry| self.is_live(entry)).for_each(visit);
            next
        })
    }

    /// A live key at random: any segment with the same chance, then any of its keys.
    pub(crate) fn random_key(&self) -> Option<Vec<u8>> {
        let random = self.engine.random();
        let (first, start) = ((random >> 32) as usize % SHARDS, random as u32);
        for step in 0..=SHARDS {
            let mut position = Some(if step == 0 { start } else { 0 });
            while let Some(at) = position {
                let mut keys = Vec::new();
                position = self.walk((first + step) % SHARDS, at, &mut |entry| {
                    keys.push(entry.key().to_vec());
                });
                if !keys.is_empty() {
                    return Some(keys.swap_remove(random as usize % keys.len()));
                }
            }
        }
        None
    }

    fn is_live(&self, entry: &Entry) -> bool {
        entry.expires_at_ms().is_none_or(|at_ms| at_ms > self.now_ms())
    }

    fn with_shard<R>(&self, index: usize, look: impl FnOnce(&Shard) -> R) -> R {
        match &self.guards {
            Guards::None => {
                look(&self.engine.table.shard(index).read().expect("no panic under a shard lock"))
            }
            Guards::Many(guards) => look(guards[guard_index(guards, index)].1.shard()),
            Guards::One { .. } => panic!("one key's lock is not the keyspace's"),
        }
    }
}

fn guard_index(guards: &[(usize, Guard<'_>)], shard: usize) -> usize {
    if guards.len() == SHARDS {
        return shard;
    }
    guards
        .binary_search_by_key(&shard, |(index, _)| *index)
        .expect("the batch locked every shard that it touches")
}

#[inline]
fn lock(engine: &Engine, shard: usize, access: Access) -> Guard<'_> {
    let lock = engine.table.shard(shard);
    match access {
        Access::Write => Guard::Write(lock.write().expect("no panic under a shard lock")),
        _ => Guard::Read(lock.read().expect("no panic under a shard lock")),
    }
}
