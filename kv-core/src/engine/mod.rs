//! The engine: commands on the table, each one atomic and isolated.
//!
//! [`Engine::run`] runs one command; [`Engine::transaction`] locks every shard that a batch touches,
//! in ascending order, and runs it as if nobody else were there. Effects go through the few
//! mutators of [`Transaction`], so that what changes is known in one place.

mod change;
mod clock;
mod eviction;
mod expire;
mod guards;
mod memory;
mod replay;
mod snapshot;
mod transaction;
mod warm;
mod watch;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::command::{Access, Call, Run, Scope};
use crate::log::{Log, LogFailure, SyncMode};
use crate::resp::{Encoder, RequestLimits};
use crate::table::{DATABASES, SHARDS, Table};

pub use clock::Clock;
pub use eviction::{EvictionPolicy, UnknownPolicy};
pub use expire::SweepReport;
pub(crate) use replay::Numbered;
pub use snapshot::PointInTime;
pub(crate) use transaction::Expiry;
pub use transaction::{Tally, Transaction};
pub use warm::KeysAhead;
pub use watch::Watch;

use guards::Guards;
use memory::Memory;

/// How fine the access clock is. In 32 bits it runs for 13 years.
pub(crate) const ACCESS_TICKS_PER_S: u32 = 10;

/// A store in memory.
pub struct Engine {
    table: Table,
    /// The number of the last change, while there is no log; entries remember theirs as their
    /// version.
    sequence: CachePadded<AtomicU64>,
    /// Where changes are recorded, once recovery is through.
    log: OnceLock<Log>,
    /// The access clock: coarse, so that a read costs no clock.
    access_now: CachePadded<AtomicU32>,
    memory: Memory,
    clock: Clock,
    value_bytes_max: usize,
    began_ms: u64,
    /// Where the expiry sweep goes on.
    sweep_position: AtomicU64,
    /// How many random numbers were drawn.
    draws: AtomicU64,
    /// When each database last changed places with another: a sequence number, written with every
    /// shard locked, so that one locked shard makes it stand still.
    swapped_at: [AtomicU64; DATABASES as usize],
    snapshot_under_way: AtomicBool,
    /// Whether expired entries stay where they are, as invisible as ever.
    keeps_expired: AtomicBool,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new(Clock::System)
    }
}

/// Keys of one database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DatabaseSize {
    pub keys: usize,
    /// Of these, how many have an expiry.
    pub expiring: usize,
    /// Bytes of memory, as [`Engine::used_bytes`] counts them.
    pub bytes: usize,
}

impl Engine {
    /// An empty store that takes its time from `clock`.
    pub fn new(clock: Clock) -> Self {
        Self {
            table: Table::new(),
            sequence: CachePadded::new(AtomicU64::new(0)),
            log: OnceLock::new(),
            access_now: CachePadded::new(AtomicU32::new(0)),
            memory: Memory::new(),
            began_ms: clock.now_ms(),
            clock,
            value_bytes_max: RequestLimits::DEFAULT.bulk_bytes_max,
            sweep_position: AtomicU64::new(0),
            draws: AtomicU64::new(0),
            swapped_at: Default::default(),
            snapshot_under_way: AtomicBool::new(false),
            keeps_expired: AtomicBool::new(false),
        }
    }

    /// The same store, in which no value grows beyond `bytes` (`proto-max-bulk-len`).
    #[must_use]
    pub fn with_value_bytes_max(self, bytes: usize) -> Self {
        Self { value_bytes_max: bytes, ..self }
    }

    /// Runs one data command and writes its reply; answers the last change that this depends on, as
    /// [`Transaction::commit`] does.
    ///
    /// # Panics
    /// When `call` is a command of the connection, which only a server can run.
    #[inline]
    pub fn run(&self, call: &Call<'_>, out: &mut Encoder, tally: &mut Tally) -> u64 {
        let mut transaction = self.single(call);
        transaction.run(call, out);
        transaction.commit(tally)
    }

    /// As [`Engine::run`], for a client whose reading is no use of a key.
    ///
    /// # Panics
    /// As [`Engine::run`].
    pub fn run_untouched(&self, call: &Call<'_>, out: &mut Encoder, tally: &mut Tally) -> u64 {
        let mut transaction = self.single(call);
        transaction.leave_untouched();
        transaction.run(call, out);
        transaction.commit(tally)
    }

    fn single<'e>(&'e self, call: &Call<'_>) -> Transaction<'e> {
        if let Some(key) = call.only_key() {
            return Transaction::new(self, Guards::of_key(self, key, call.spec.access));
        }
        if call.spec.scope == Scope::Walk {
            return Transaction::new(self, Guards::None);
        }
        self.transaction(std::slice::from_ref(call))
    }

    /// Locks all that `calls` touch. Run them with [`Transaction::run`] and end with
    /// [`Transaction::commit`].
    pub fn transaction<'e>(&'e self, calls: &[Call<'_>]) -> Transaction<'e> {
        self.transaction_with(calls, &[])
    }

    /// As [`Engine::transaction`], with the watched keys locked too.
    pub fn transaction_with<'e>(
        &'e self,
        calls: &[Call<'_>],
        watches: &[Watch],
    ) -> Transaction<'e> {
        let data = || calls.iter().filter(|call| matches!(call.spec.run, Run::Data(_)));
        let access = match data().any(|call| call.spec.access == Access::Write) {
            true => Access::Write,
            false => Access::Read,
        };
        if data().any(|call| matches!(call.spec.scope, Scope::Keyspace | Scope::Walk)) {
            return Transaction::new(self, Guards::of_shards(self, 0..SHARDS, access));
        }
        let mut shards: Vec<usize> = data()
            .flat_map(Call::keys)
            .chain(watches.iter().map(Watch::key))
            .map(|key| self.table.key(key).shard())
            .collect();
        shards.sort_unstable();
        shards.dedup();
        Transaction::new(self, Guards::of_shards(self, shards.into_iter(), access))
    }

    /// The size of every database: each shard's part at its own moment, locked one by one.
    ///
    /// # Panics
    /// When a thread panicked while it held a shard.
    pub fn sizes(&self) -> [DatabaseSize; DATABASES as usize] {
        let mut sizes = [DatabaseSize::default(); DATABASES as usize];
        for index in 0..SHARDS {
            let shard = self.table.shard(index).read().expect("no panic under a shard lock");
            for (db, size) in (0..DATABASES).zip(&mut sizes) {
                size.keys += shard.len(db);
                size.expiring += shard.expiring(db);
                size.bytes += shard.database_bytes(db);
            }
        }
        sizes
    }

    /// Unix time in milliseconds, by the engine's clock.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Advances the access clock; to be called as often as it is to advance.
    pub fn tick(&self) {
        let elapsed_ms = self.clock.now_ms().saturating_sub(self.began_ms);
        let now = elapsed_ms * u64::from(ACCESS_TICKS_PER_S) / 1000;
        // Never back: what is used while a clock that was set back catches up would be the oldest.
        self.access_now.fetch_max(now as u32, Ordering::Relaxed);
    }

    /// The access clock at the last [`Engine::tick`]: tenths of a second of the engine's life.
    #[inline]
    pub fn access_now(&self) -> u32 {
        self.access_now.load(Ordering::Relaxed)
    }

    /// A number good enough to pick a key by: the seeded hash of a counter.
    fn random(&self) -> u64 {
        self.table.hash(&self.draws.fetch_add(1, Ordering::Relaxed).to_le_bytes())
    }

    /// The number of the last change.
    pub fn sequence(&self) -> u64 {
        self.log().map_or_else(|| self.sequence.load(Ordering::Acquire), Log::sequence)
    }

    /// As [`Engine::sequence`], but of a change that somebody made.
    pub fn last_change(&self) -> u64 {
        self.log().map_or_else(|| self.sequence.load(Ordering::Acquire), Log::last_change)
    }

    /// The number of the last change that exchanged a database with another; 0 if none did since the
    /// start.
    fn swapped_at(&self, db: u8) -> u64 {
        self.swapped_at[usize::from(db)].load(Ordering::Relaxed)
    }

    /// The number of the next change of a store without a log.
    fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Where changes are recorded.
    pub fn log(&self) -> Option<&Log> {
        self.log.get()
    }

    /// Records every change from now on, of which there were none yet besides what was recovered.
    ///
    /// # Panics
    /// When there is a log already.
    pub(crate) fn attach(&self, log: Log) {
        assert!(self.log.set(log).is_ok(), "a store has one log");
    }

    /// The last change that no reply needs to wait for.
    #[inline]
    fn durable(&self) -> u64 {
        match self.log() {
            Some(log) if log.mode() == SyncMode::Always => log.durable(),
            _ => u64::MAX,
        }
    }

    /// Waits until replies that depend on the changes up to `sequence` may be sent: until those are
    /// written, and durable where the mode asks for it.
    ///
    /// # Errors
    /// When that can't be any more; what those changes did may or may not survive.
    #[inline]
    pub fn settle(&self, sequence: u64) -> Result<(), LogFailure> {
        match self.log() {
            Some(log) if sequence > 0 => log.settle(sequence),
            _ => Ok(()),
        }
    }
}
