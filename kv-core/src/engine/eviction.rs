//! Eviction: what goes when the memory of the store has reached its limit, and when.
//!
//! Room is made before a command takes its locks, never within it, so that nothing goes that the
//! command has seen. As in Redis the command itself may go beyond the limit; the next one finds it
//! there.

use std::fmt::{self, Display};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::command::CommandError;
use crate::log::Effect;
use crate::table::{Rank, SHARDS, Sampling};

use super::Engine;
use super::change::{Change, Effects};

/// How long a command makes room beyond what it needs itself, as in Redis. The rest is left to
/// [`Engine::evict`].
const COMMAND_TIME_MAX: Duration = Duration::from_micros(500);

/// Evictions between two looks at the clock.
const CLOCK_EVICTIONS: u32 = 16;

/// What goes when the memory of the store has reached its limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EvictionPolicy {
    /// Nothing: what needs memory is refused.
    #[default]
    NoEviction,
    /// What was not used for the longest time.
    AllKeysLru,
    /// Any key.
    AllKeysRandom,
    /// Of the keys that expire, what was not used for the longest time.
    VolatileLru,
    /// Any key that expires.
    VolatileRandom,
    /// What expires next.
    VolatileTtl,
}

impl EvictionPolicy {
    /// Every policy, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::NoEviction,
        Self::AllKeysLru,
        Self::AllKeysRandom,
        Self::VolatileLru,
        Self::VolatileRandom,
        Self::VolatileTtl,
    ];

    /// Redis' name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoEviction => "noeviction",
            Self::AllKeysLru => "allkeys-lru",
            Self::AllKeysRandom => "allkeys-random",
            Self::VolatileLru => "volatile-lru",
            Self::VolatileRandom => "volatile-random",
            Self::VolatileTtl => "volatile-ttl",
        }
    }

    fn sampling(self, samples: usize) -> Option<Sampling> {
        let (rank, volatile_only) = match self {
            Self::NoEviction => return None,
            Self::AllKeysLru => (Rank::Access, false),
            Self::AllKeysRandom => (Rank::Random, false),
            Self::VolatileLru => (Rank::Access, true),
            Self::VolatileRandom => (Rank::Random, true),
            Self::VolatileTtl => (Rank::Expiry, true),
        };
        let samples = if rank == Rank::Random { 1 } else { samples };
        Some(Sampling { rank, volatile_only, samples })
    }
}

impl Display for EvictionPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The word is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no eviction policy of this name")]
pub struct UnknownPolicy;

impl FromStr for EvictionPolicy {
    type Err = UnknownPolicy;

    fn from_str(word: &str) -> Result<Self, UnknownPolicy> {
        let named = |policy: &Self| policy.name().eq_ignore_ascii_case(word);
        Self::ALL.into_iter().find(named).ok_or(UnknownPolicy)
    }
}

impl Engine {
    /// Makes room for a command that brings so many bytes and may need memory. Without a limit, or
    /// below it, there is nothing to do. How long it takes is bounded: by the command's bytes, of
    /// which twice as many are freed if need be, and beyond that by half a millisecond.
    ///
    /// # Errors
    /// [`CommandError::OutOfMemory`] when there is no room: nothing may go, or all of it would not be
    /// enough.
    #[inline]
    pub fn make_room(&self, bytes: usize) -> Result<(), CommandError> {
        let limit = self.memory_limit();
        if limit == 0 {
            return Ok(());
        }
        if bytes > limit {
            return Err(CommandError::OutOfMemory);
        }
        match self.told_bytes() <= limit {
            true => Ok(()),
            false => self.evict_until(|freed, elapsed| {
                freed >= bytes.saturating_mul(2) && elapsed >= COMMAND_TIME_MAX
            }),
        }
    }

    /// Evicts until the memory of the store is within its limit, nothing may go any more, or for as
    /// long as `budget`.
    pub fn evict(&self, budget: Duration) {
        // Whether that sufficed is for the next command to see.
        let _ = self.evict_until(|_, elapsed| elapsed >= budget);
    }

    /// Evicts until the memory of the store is within its limit, or `enough` says so of the bytes
    /// freed and the time taken.
    #[cold]
    fn evict_until(&self, enough: impl Fn(usize, Duration) -> bool) -> Result<(), CommandError> {
        let began = Instant::now();
        let (mut freed, mut evictions) = (0, 0u32);
        loop {
            let limit = self.memory_limit();
            if limit == 0 || self.told_bytes() <= limit {
                return Ok(());
            }
            freed += self.evict_one().ok_or(CommandError::OutOfMemory)?;
            evictions += 1;
            if evictions.is_multiple_of(CLOCK_EVICTIONS) && enough(freed, began.elapsed()) {
                return Ok(());
            }
        }
    }

    /// Evicts a key, as the policy has it; answers the bytes that this freed, `None` when no key may
    /// go.
    fn evict_one(&self) -> Option<usize> {
        let sampling = self.eviction_policy().sampling(self.memory.samples())?;
        // What can't be recorded stays, because a restart would bring it back.
        if self.log().is_some_and(|log| log.refusal().is_some()) {
            return None;
        }
        if sampling.volatile_only && self.memory.is_barren() {
            return None;
        }
        let search = sampling.volatile_only.then(|| self.memory.begin_search());
        let random = self.random();
        let first = (random >> 48) as usize;
        let evicted =
            (0..SHARDS).find_map(|step| self.evict_from((first + step) % SHARDS, sampling, random));
        if let (None, Some(search)) = (evicted, search) {
            self.memory.end_search(search);
        }
        evicted
    }

    fn evict_from(&self, index: usize, sampling: Sampling, random: u64) -> Option<usize> {
        let mut shard = self.table.shard(index).write().expect("no panic under a shard lock");
        let (db, entry) = shard.sample(sampling, random)?;
        let bytes = entry.key().to_vec();
        let key = self.table.key(&bytes);
        let version =
            Change::None.record(self, &Effect::Remove { db, key: key.bytes }, Effects::One);
        shard.note_removal(db, Some(key.hash), version, self.durable());
        let entry = shard.remove(db, &key, version, &|key| self.table.hash(key));
        self.memory.take_all_from(&mut shard);
        self.memory.note_eviction();
        drop(shard);
        entry.map(|entry| entry.heap_bytes())
    }
}
