//! Replay: the effects that the log recorded, applied again.
//!
//! Effects on one key must come in order; those on different keys may come in any, since nobody
//! looks before all are there. So the shards are dealt out among threads, and each thread applies
//! the effects on its own shards in the order of the log. An effect on a whole database is every
//! thread's.

use std::sync::atomic::Ordering;

use rayon::prelude::*;

use crate::log::Effect;
use crate::table::{Entry, Key, SHARDS};

use super::Engine;

/// Effects that one thread sorts by shard at a time.
const CHUNK_EFFECTS: usize = 8192;

/// An effect with the sequence number of the change that it is part of.
pub(crate) type Numbered<'a> = (u64, Effect<'a>);

impl Engine {
    /// Applies effects to a store that nobody uses yet.
    pub(crate) fn replay(&self, effects: &[Numbered<'_>]) {
        let threads = rayon::current_num_threads();
        let chunks: Vec<Vec<Vec<&Numbered<'_>>>> =
            effects.par_chunks(CHUNK_EFFECTS).map(|chunk| self.deal(chunk, threads)).collect();
        (0..threads).into_par_iter().for_each(|thread| {
            let mine = (thread..SHARDS).step_by(threads);
            for (sequence, effect) in chunks.iter().flat_map(|hands| &hands[thread]).copied() {
                match effect.key() {
                    Some(key) => self.apply(*sequence, effect, &self.table.key(key)),
                    None => mine.clone().for_each(|shard| self.apply_to_shard(shard, effect)),
                }
            }
        });
    }

    /// The effects for each thread.
    fn deal<'a, 'b>(
        &self,
        chunk: &'b [Numbered<'a>],
        threads: usize,
    ) -> Vec<Vec<&'b Numbered<'a>>> {
        let mut hands = vec![Vec::with_capacity(chunk.len() / threads + 1); threads];
        for numbered in chunk {
            match numbered.1.key() {
                Some(key) => hands[self.table.key(key).shard() % threads].push(numbered),
                None => hands.iter_mut().for_each(|hand| hand.push(numbered)),
            }
        }
        hands
    }

    fn apply(&self, version: u64, effect: &Effect<'_>, key: &Key<'_>) {
        let mut shard = self.table.shard(key.shard()).write().expect("no panic under a shard lock");
        let hasher = |key: &[u8]| self.table.hash(key);
        match *effect {
            Effect::Put { db, value, expires_at_ms, .. } => {
                drop(shard.remove(db, key, version, &hasher));
                let mut entry = Entry::new(key.bytes, value, expires_at_ms);
                entry.set_version(version);
                shard.insert(db, key.hash, entry, &hasher);
            }
            Effect::Splice { db, value_len, offset, bytes, .. } => {
                if shard.find(db, key).is_none() {
                    let mut empty = Entry::new(key.bytes, &[], None);
                    empty.set_version(version);
                    shard.insert(db, key.hash, empty, &hasher);
                }
                shard.change(db, key, version, |entry| {
                    entry.splice(value_len as usize, offset as usize, bytes);
                });
            }
            Effect::Expire { db, at_ms, .. } => {
                shard.change(db, key, version, |entry| entry.set_expires_at_ms(Some(at_ms)));
            }
            Effect::Persist { db, .. } => {
                shard.change(db, key, version, |entry| entry.set_expires_at_ms(None));
            }
            Effect::Remove { db, .. } => drop(shard.remove(db, key, version, &hasher)),
            Effect::Clear { .. } | Effect::SwapDb { .. } | Effect::Durable { .. } => {}
        }
    }

    fn apply_to_shard(&self, index: usize, effect: &Effect<'_>) {
        let mut shard = self.table.shard(index).write().expect("no panic under a shard lock");
        match *effect {
            Effect::Clear { db } => {
                drop(shard.take_database(db, 0, &|key| self.table.hash(key)));
            }
            Effect::SwapDb { db, other } => {
                shard.swap_databases(db, other, 0, &|key| self.table.hash(key));
            }
            _ => {}
        }
    }

    /// Goes on counting changes after the last one that was recovered.
    pub(crate) fn resume_at(&self, sequence: u64) {
        self.memory.forget_total();
        self.sequence.store(sequence, Ordering::Release);
    }
}
