//! Removals that may not be durable yet, so that "there is no such key" can wait for them.
//!
//! A key that is there carries the number of its last change; one that is gone carries nothing.
//! Where replies wait for what they tell to be durable, the removal of each key is remembered here
//! until it is.

use std::collections::HashMap;

use super::DATABASES;

/// Removals beyond which those that are durable by now are looked for.
const PRUNE_AT: usize = 64;

/// What was removed from one shard.
#[derive(Default)]
pub(super) struct Removals {
    /// By database and hash of the key: the sequence number of the removal.
    keys: HashMap<(u8, u64), u64>,
    /// When each database was emptied.
    databases: [u64; DATABASES as usize],
    prune_at: usize,
}

impl Removals {
    /// Remembers the removal of a key, or of a whole database, unless it is durable already.
    pub(super) fn note(&mut self, db: u8, hash: Option<u64>, sequence: u64, durable: u64) {
        if sequence <= durable {
            return;
        }
        let Some(hash) = hash else {
            self.databases[usize::from(db)] = sequence;
            return;
        };
        if self.keys.len() >= self.prune_at.max(PRUNE_AT) {
            self.keys.retain(|_, sequence| *sequence > durable);
            self.prune_at = self.keys.len() * 2;
        }
        self.keys.insert((db, hash), sequence);
    }

    /// The last removal that took a key away; 0 if none is remembered.
    pub(super) fn last(&self, db: u8, hash: u64) -> u64 {
        let key = self.keys.get(&(db, hash)).copied().unwrap_or(0);
        key.max(self.databases[usize::from(db)])
    }
}
