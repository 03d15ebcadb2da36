//! Keys that will be asked for in a moment, brought into the processor's cache side by side.
//!
//! A lookup is a chain of loads of which each needs the one before: shard, segment, tags, bucket,
//! entry. In a store larger than the cache nearly all of them miss, and a pipelined batch pays for
//! one chain after the other. Walked together, the chains of a batch wait for memory at the same
//! time. Measured side by side with `redis-benchmark -c 32` on two cores, as many operations as
//! without it: at pipeline 16 × 1.12 with 100,000 keys and × 1.16 with 2 million, at pipeline 64
//! × 1.22 and × 1.45; × 1.00 with 1,000, which the cache holds.

use std::sync::RwLockReadGuard;

use crate::table::{Entry, Shard};

use super::Engine;

/// More chains than a core walks at once, and few enough that what the first of them brought is
/// still there when its command runs.
const KEYS: usize = 16;

/// Keys, by their hashes, of requests that have arrived and not run yet.
#[derive(Debug, Default)]
pub struct KeysAhead {
    hashes: [u64; KEYS],
    len: usize,
}

impl KeysAhead {
    /// Whether there is room for no more.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == KEYS
    }
}

impl Engine {
    /// Adds a key, if there is room for it.
    #[inline]
    pub fn expect(&self, ahead: &mut KeysAhead, key: &[u8]) {
        if let Some(hash) = ahead.hashes.get_mut(ahead.len) {
            *hash = self.table.hash(key);
            ahead.len += 1;
        }
    }

    /// Brings near what database `db` has under these keys, and forgets them. It changes nothing and
    /// waits for no lock: whom somebody keeps from a shard will have to wait for it soon enough. A
    /// lone key is not worth it.
    pub fn warm(&self, db: u8, ahead: &mut KeysAhead) {
        let hashes = &ahead.hashes[..std::mem::take(&mut ahead.len)];
        if hashes.len() < 2 {
            return;
        }
        let mut shards: [Option<RwLockReadGuard<'_, Shard>>; KEYS] = [const { None }; KEYS];
        for (shard, hash) in shards.iter_mut().zip(hashes) {
            *shard = self.table.shard_of(*hash).try_read().ok();
        }
        // With all locks held, as taking one would end what the processor does ahead.
        let mut entries: [Option<&Entry>; KEYS] = [None; KEYS];
        for ((entry, shard), hash) in entries.iter_mut().zip(&shards).zip(hashes) {
            *entry = shard.as_ref().and_then(|shard| shard.first_with_hash(db, *hash));
        }
        for entry in entries.into_iter().flatten() {
            std::hint::black_box(entry.version());
        }
    }
}
