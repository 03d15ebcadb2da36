//! A transaction: the locks that a batch holds, and all that it may do under them.

use std::cell::Cell;
use std::sync::atomic::Ordering;

use crate::command::{Call, Run};
use crate::log::Effect;
use crate::resp::Encoder;
use crate::table::{Entry, Form, Key, SHARDS, Shard, TakenDatabase};

use super::change::{Change, Effects};
use super::guards::Guards;
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

/// The locks of a batch, and the only door to the entries behind them.
pub struct Transaction<'e> {
    engine: &'e Engine,
    /// Before the locks, so that the record is whole before anybody sees its effects.
    change: Change<'e>,
    guards: Guards<'e>,
    effects: Effects,
    db: u8,
    /// Read at most once, so that a batch sees one moment; most commands need no clock at all.
    now_ms: Cell<Option<u64>>,
    access_now: u32,
    /// Whether reading a key is a use of it.
    touches: bool,
    /// What was durable when the batch began; all there is, where replies do not wait for it.
    durable: u64,
    depends_on: Cell<u64>,
    tally: Tally,
    /// Expired keys met under a shared lock, removed after it.
    met_expired: Vec<(u8, Vec<u8>)>,
    /// Emptied databases, freed after the locks.
    taken: Vec<TakenDatabase>,
}

impl<'e> Transaction<'e> {
    pub(super) fn new(engine: &'e Engine, guards: Guards<'e>) -> Self {
        Self {
            engine,
            change: Change::None,
            effects: if guards.are_one() { Effects::One } else { Effects::Several },
            guards,
            db: 0,
            now_ms: Cell::new(None),
            access_now: engine.access_now(),
            touches: true,
            durable: engine.durable(),
            depends_on: Cell::new(0),
            tally: Tally::default(),
            met_expired: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Lets what the batch reads look as if nobody had read it.
    pub fn leave_untouched(&mut self) {
        self.touches = false;
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

    /// Releases the locks, then clears up what the batch left behind. Answers the last change that
    /// its replies depend on (made, or seen before it was durable; 0 for none): until
    /// [`Engine::settle`] has waited for it, they must not be sent.
    pub fn commit(self, tally: &mut Tally) -> u64 {
        let Self {
            engine,
            mut change,
            mut guards,
            met_expired,
            taken,
            tally: mine,
            depends_on,
            ..
        } = self;
        let depends_on = depends_on.get().max(change.close());
        guards.tell_bytes(&engine.memory);
        drop(guards);
        drop(taken);
        tally.hits += mine.hits;
        tally.misses += mine.misses;
        tally.errors += mine.errors;
        tally.expired += mine.expired;
        for (db, key) in met_expired {
            tally.expired += engine.remove_expired(db, &key);
        }
        depends_on
    }

    /// Whether every watched key is as it was.
    pub fn unchanged(&self, watches: &[Watch]) -> bool {
        watches.iter().all(|watch| {
            let key = self.engine.table.key(watch.key());
            let shard = self.guards.shard(&key);
            self.depend_on(watch.db(), &key, shard.find(watch.db(), &key));
            let swapped_at = self.engine.swapped_at(watch.db());
            watch.is_unchanged(shard, &key, self.now_ms(), swapped_at)
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
    pub(crate) fn access_now(&self) -> u32 {
        self.access_now
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
        let found = self.guards.shard(key).find(self.db, key);
        self.depend_on(self.db, key, found);
        found.filter(|entry| self.is_live(entry))
    }

    /// Shows `look` a live entry for a command that reads: marked as used, counted as a hit or a
    /// miss.
    #[inline]
    pub(crate) fn read<R>(&mut self, key: &Key, look: impl FnOnce(Option<&Entry>) -> R) -> R {
        let (access_now, touches) = (self.access_now, self.touches);
        self.inspect(key, |entry| {
            if let Some(entry) = entry.filter(|_| touches) {
                entry.touch(access_now);
            }
            look(entry)
        })
    }

    /// As [`Transaction::read`] for a command that is there to mark keys as used.
    pub(crate) fn touch(&mut self, key: &Key) -> bool {
        let access_now = self.access_now;
        self.inspect(key, |entry| entry.inspect(|entry| entry.touch(access_now)).is_some())
    }

    /// As [`Transaction::read`] for a command that asks about a key and does not use it.
    #[inline]
    pub(crate) fn inspect<R>(&mut self, key: &Key, look: impl FnOnce(Option<&Entry>) -> R) -> R {
        let found = self.guards.shard(key).find(self.db, key);
        self.depend_on(self.db, key, found);
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

    /// Notes that the reply tells what became of a key.
    #[inline]
    fn depend_on(&self, db: u8, key: &Key, found: Option<&Entry>) {
        if self.durable == u64::MAX {
            return;
        }
        let changed_at = match found {
            Some(entry) => entry.version().max(self.engine.swapped_at(db)),
            None => self.guards.shard(key).removed_at(db, key.hash),
        };
        if changed_at > self.durable {
            self.depends_on.set(self.depends_on.get().max(changed_at));
        }
    }

    /// Notes that the reply tells of keys in general.
    fn depend_on_all(&self) {
        if self.durable != u64::MAX {
            self.depends_on.set(self.depends_on.get().max(self.engine.last_change()));
        }
    }

    /// Makes an effect part of the batch's change; answers the change's sequence number.
    #[inline]
    fn record(&mut self, effect: &Effect<'_>) -> u64 {
        self.change.record(self.engine, effect, self.effects)
    }

    /// Makes all effects of `changes` one record, in a command on one key that has more than one.
    pub(crate) fn together<R>(&mut self, changes: impl FnOnce(&mut Self) -> R) -> R {
        self.effects = Effects::Several;
        changes(self)
    }

    /// Sets a key, whether it is there or not.
    pub(crate) fn put(&mut self, key: &Key, value: &[u8], expiry: Expiry) {
        let expires_at_ms = match expiry {
            Expiry::Keep => self.peek(key).and_then(Entry::expires_at_ms),
            Expiry::Never => None,
            Expiry::At(at_ms) => Some(at_ms),
        };
        let effect = Effect::Put { db: self.db, key: key.bytes, value, expires_at_ms };
        let version = self.record(&effect);
        let (access_now, db, engine) = (self.access_now, self.db, self.engine);
        let shard = self.guards.shard_mut(key);
        let changed = shard.change(db, key, version, |entry| {
            entry.set_value(value);
            entry.touch(access_now);
            entry.set_expires_at_ms(expires_at_ms);
        });
        if changed.is_none() {
            let mut entry = Entry::new(key.bytes, value, expires_at_ms);
            entry.set_version(version);
            entry.touch(access_now);
            shard.insert(db, key.hash, entry, &|key| engine.table.hash(key));
        }
        if expires_at_ms.is_some() {
            engine.memory.note_expiring();
        }
    }

    /// Notes in which form Redis would hold the value of a key, for `OBJECT ENCODING`.
    pub(crate) fn hold_as(&mut self, key: &Key, form: Form) {
        let db = self.db;
        self.guards.shard_mut(key).set_form(db, key, form);
    }

    /// Makes the value of a key `len` bytes long, cutting it or adding zeros, and writes `bytes` into
    /// it at `offset`. A key that is not there begins empty.
    pub(crate) fn splice(&mut self, key: &Key, len: usize, offset: usize, bytes: &[u8]) {
        if self.peek(key).is_none() && self.guards.shard(key).find(self.db, key).is_some() {
            // What has expired but is still there must not shine through.
            self.forget_expired(key);
        }
        let effect = Effect::Splice {
            db: self.db,
            key: key.bytes,
            value_len: len as u32,
            offset: offset as u32,
            bytes,
        };
        let version = self.record(&effect);
        let (access_now, db, engine) = (self.access_now, self.db, self.engine);
        let shard = self.guards.shard_mut(key);
        if shard.find(db, key).is_none() {
            let mut empty = Entry::new(key.bytes, &[], None);
            // Without it a snapshot under way would take it for one that was there before.
            empty.set_version(version);
            shard.insert(db, key.hash, empty, &|key| engine.table.hash(key));
        }
        shard.change(db, key, version, |entry| {
            entry.splice(len, offset, bytes);
            entry.touch(access_now);
        });
    }

    /// Sets or clears the expiry of a live key.
    pub(crate) fn set_expiry(&mut self, key: &Key, expires_at_ms: Option<u64>) {
        let effect = match expires_at_ms {
            Some(at_ms) => Effect::Expire { db: self.db, key: key.bytes, at_ms },
            None => Effect::Persist { db: self.db, key: key.bytes },
        };
        let (version, db) = (self.record(&effect), self.db);
        let shard = self.guards.shard_mut(key);
        shard.change(db, key, version, |entry| entry.set_expires_at_ms(expires_at_ms));
        if expires_at_ms.is_some() {
            self.engine.memory.note_expiring();
        }
    }

    /// Removes a key; answers its entry if it was live.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Entry> {
        let found = self.guards.shard(key).find(self.db, key);
        self.depend_on(self.db, key, found);
        if !self.is_live(found?) {
            self.forget_expired(key);
            return None;
        }
        self.remove_any(key)
    }

    /// Removes a key that is there, expired or not.
    fn remove_any(&mut self, key: &Key) -> Option<Entry> {
        let version = self.record(&Effect::Remove { db: self.db, key: key.bytes });
        let (db, engine, durable) = (self.db, self.engine, self.durable);
        let shard = self.guards.shard_mut(key);
        shard.note_removal(db, Some(key.hash), version, durable);
        shard.remove(db, key, version, &|key| engine.table.hash(key))
    }

    /// Empties a database.
    pub(crate) fn clear(&mut self, db: u8) {
        let version = self.record(&Effect::Clear { db });
        let (engine, durable) = (self.engine, self.durable);
        self.taken.extend(self.guards.all_mut().map(|shard| {
            shard.note_removal(db, None, version, durable);
            shard.take_database(db, version, &|key| engine.table.hash(key))
        }));
    }

    /// Exchanges two databases.
    pub(crate) fn swap_databases(&mut self, a: u8, b: u8) {
        let version = self.record(&Effect::SwapDb { db: a, other: b });
        let (engine, durable) = (self.engine, self.durable);
        for shard in self.guards.all_mut() {
            for db in [a, b] {
                shard.note_removal(db, None, version, durable);
            }
            shard.swap_databases(a, b, version, &|key| engine.table.hash(key));
        }
        for db in [a, b] {
            engine.swapped_at[usize::from(db)].store(version, Ordering::Relaxed);
        }
    }

    /// Keys in the database, the expired that nobody has met included, as in Redis.
    pub(crate) fn len(&self) -> usize {
        self.depend_on_all();
        self.guards.all().map(|shard| shard.len(self.db)).sum()
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
        let seen = self.guards.with_shard(self.engine, index, look);
        self.depend_on_all();
        seen
    }
}
