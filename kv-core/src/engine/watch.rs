//! `WATCH`: has a key changed since?

use std::sync::PoisonError;

use crate::table::{Key, Shard};

use super::Engine;

/// A key as it was when somebody began to watch it. Give it back to [`Engine::unwatch`].
#[derive(Debug)]
pub struct Watch {
    db: u8,
    key: Vec<u8>,
    seen: Seen,
    /// The last change when the watch began.
    sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Present { version: u64 },
    Absent,
}

impl Watch {
    /// The watched key.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The database of the watched key.
    pub fn db(&self) -> u8 {
        self.db
    }

    /// A present key is unchanged while its version is and it has not expired; an absent one while
    /// there is not even an expired entry and none was removed, which could only be after a set.
    /// `swapped_at` is when the database last changed places with another: that changes what was
    /// there even if it comes back.
    pub(super) fn is_unchanged(
        &self,
        shard: &Shard,
        key: &Key,
        now_ms: u64,
        swapped_at: u64,
    ) -> bool {
        match (self.seen, shard.find(self.db, key)) {
            (Seen::Present { version }, Some(entry)) => {
                let live = entry.expires_at_ms().is_none_or(|at_ms| at_ms > now_ms);
                live && entry.version() == version && swapped_at <= self.sequence
            }
            (Seen::Absent, None) => !shard.removed_since(self.db, &self.key, self.sequence),
            _ => false,
        }
    }
}

impl Engine {
    /// Begins to watch a key.
    pub fn watch(&self, db: u8, key: &[u8]) -> Watch {
        // An expired key that is still there would count as removed later on.
        self.remove_expired(db, key);
        let hashed = self.table.key(key);
        let mut shard =
            self.table.shard(hashed.shard()).write().unwrap_or_else(PoisonError::into_inner);
        let seen = match shard.find(db, &hashed) {
            Some(entry) => Seen::Present { version: entry.version() },
            None => {
                shard.watch_absent(db, key);
                Seen::Absent
            }
        };
        Watch { db, key: key.to_vec(), seen, sequence: self.sequence() }
    }

    /// Ends a watch.
    pub fn unwatch(&self, watch: &Watch) {
        if watch.seen == Seen::Absent {
            let shard = self.table.key(&watch.key).shard();
            let mut shard = self.table.shard(shard).write().unwrap_or_else(PoisonError::into_inner);
            shard.unwatch_absent(watch.db, &watch.key);
        }
    }
}
