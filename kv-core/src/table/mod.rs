//! The table: every key of every database, in locked shards.
//!
//! A key is hashed once. Seven bits of the hash are `HashTable`'s tags, the next ten choose the
//! shard, the rest the segment and bucket within it, so no bit decides twice. The shard depends on
//! the key alone: the same key in two databases shares a shard, and exchanging databases or moving
//! a key between them needs no second lock.
//!
//! **Lock order.** Whoever locks several shards locks them in ascending order and holds no lock
//! before that. Nothing but memory is touched under a lock.

mod cut;
mod entry;
mod heap;
mod removals;
mod sample;
mod segments;
mod shard;

use std::hash::{BuildHasher, Hasher};

use crossbeam::utils::CachePadded;
use std::sync::RwLock;

pub(crate) use cut::{Cut, EmptiedDatabase};
pub use entry::{Entry, Form};
pub(crate) use sample::{Rank, Sampling};
pub(crate) use shard::{Shard, TakenDatabase};

/// Number of databases, as in Redis' default.
pub const DATABASES: u8 = 16;

/// Shards: enough that 32 threads seldom meet, few enough that locking all of them (`FLUSHALL`,
/// `KEYS`) stays in the tens of microseconds.
pub const SHARDS: usize = 1024;

/// Bytes of a table without entries.
pub const EMPTY_BYTES: usize = SHARDS * size_of::<CachePadded<RwLock<Shard>>>();

const SHARD_BITS: u32 = SHARDS.ilog2();

/// `HashTable` keeps the top seven bits of a hash as tags.
const TAG_BITS: u32 = 7;

/// A key with its hash.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    pub bytes: &'a [u8],
    pub hash: u64,
}

impl Key<'_> {
    /// The shard that holds this key in every database.
    #[inline]
    pub fn shard(&self) -> usize {
        shard_index(self.hash)
    }
}

#[inline]
fn shard_index(hash: u64) -> usize {
    (hash >> (u64::BITS - TAG_BITS - SHARD_BITS)) as usize % SHARDS
}

/// All keys.
pub struct Table {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    hash_state: foldhash::fast::RandomState,
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl Table {
    /// An empty table, seeded for this process.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| CachePadded::new(RwLock::new(Shard::default()))).collect(),
            hash_state: foldhash::fast::RandomState::default(),
        }
    }

    /// Hashes a key for this process; never to be stored.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hash(bytes) }
    }

    #[inline]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = self.hash_state.build_hasher();
        hasher.write(bytes);
        hasher.finish()
    }

    #[inline]
    pub(crate) fn shard(&self, index: usize) -> &RwLock<Shard> {
        &self.shards[index]
    }

    /// The shard that holds the keys of this hash.
    #[inline]
    pub(crate) fn shard_of(&self, hash: u64) -> &RwLock<Shard> {
        self.shard(shard_index(hash))
    }
}
