//! The engine: commands on the table, each one atomic and isolated.
//!
//! [`Engine::run`] runs one command; [`Engine::transaction`] locks every shard that a batch touches,
//! in ascending order, and runs it as if nobody else were there. Effects go through the few
//! mutators of [`Transaction`], so that what changes is known in one place.

mod clock;
mod expire;
mod transaction;
mod watch;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crossbeam::utils::CachePadded;

use crate::command::{Access, Call, Run, Scope};
use crate::resp::{Encoder, RequestLimits};
use crate::table::{DATABASES, SHARDS, Table};

pub use clock::Clock;
pub use expire::SweepReport;
pub(crate) use transaction::Expiry;
pub use transaction::{Tally, Transaction};
pub use watch::Watch;

/// A store in memory.
pub struct Engine {
    table: Table,
    /// The number of the last change; entries remember theirs as their version.
    sequence: CachePadded<AtomicU64>,
    /// Seconds since the engine began, for the access clock: coarse, so that a read costs no clock.
    access_s: CachePadded<AtomicU32>,
    clock: Clock,
    value_bytes_max: usize,
    began_ms: u64,
    /// Where the expiry sweep goes on.
    sweep_position: AtomicU64,
    /// How many random numbers were drawn.
    draws: AtomicU64,
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
}

impl Engine {
    /// An empty store that takes its time from `clock`.
    pub fn new(clock: Clock) -> Self {
        Self {
            table: Table::new(),
            sequence: CachePadded::new(AtomicU64::new(0)),
            access_s: CachePadded::new(AtomicU32::new(0)),
            began_ms: clock.now_ms(),
            clock,
            value_bytes_max: RequestLimits::DEFAULT.bulk_bytes_max,
            sweep_position: AtomicU64::new(0),
            draws: AtomicU64::new(0),
        }
    }

    /// The same store, in which no value grows beyond `bytes` (`proto-max-bulk-len`).
    #[must_use]
    pub fn with_value_bytes_max(self, bytes: usize) -> Self {
        Self { value_bytes_max: bytes, ..self }
    }

    /// Runs one data command and writes its reply.
    ///
    /// # Panics
    /// When `call` is a command of the connection, which only a server can run.
    #[inline]
    pub fn run(&self, call: &Call<'_>, out: &mut Encoder, tally: &mut Tally) {
        let mut transaction = self.single(call);
        transaction.run(call, out);
        transaction.commit(tally);
    }

    fn single<'e>(&'e self, call: &Call<'_>) -> Transaction<'e> {
        if let Some(key) = call.only_key() {
            return Transaction::on_key(self, key, call.spec.access);
        }
        if call.spec.scope == Scope::Walk {
            return Transaction::unlocked(self);
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
            return Transaction::on_shards(self, (0..SHARDS).collect(), access);
        }
        let mut shards: Vec<usize> = data()
            .flat_map(Call::keys)
            .chain(watches.iter().map(Watch::key))
            .map(|key| self.table.key(key).shard())
            .collect();
        shards.sort_unstable();
        shards.dedup();
        Transaction::on_shards(self, shards, access)
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
            }
        }
        sizes
    }

    /// Unix time in milliseconds, by the engine's clock.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// Advances the access clock; to be called a few times a second.
    pub fn tick(&self) {
        let elapsed_s = self.clock.now_ms().saturating_sub(self.began_ms) / 1000;
        self.access_s.store(elapsed_s as u32, Ordering::Relaxed);
    }

    /// Seconds of the engine's life at the last [`Engine::tick`].
    pub fn access_s(&self) -> u32 {
        self.access_s.load(Ordering::Relaxed)
    }

    /// A number good enough to pick a key by: the seeded hash of a counter.
    fn random(&self) -> u64 {
        self.table.hash(&self.draws.fetch_add(1, Ordering::Relaxed).to_le_bytes())
    }

    /// The number of the last change.
    pub fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }
}
