//! Expiry: lazy where a command meets an expired key, and a sweep for those that none meets.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::log::Effect;
use crate::table::{DATABASES, Entry, SHARDS};

use super::Engine;
use super::change::{Change, Effects};

/// The sweep goes on while more than this share of the expiring entries it met had expired, as Redis'
/// `ACTIVE_EXPIRE_CYCLE_ACCEPTABLE_STALE` does.
const STALE_SHARE: f64 = 0.10;

/// Entries looked at before the share above means something.
const SAMPLE_ENTRIES: usize = 1000;

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Entries looked at.
    pub looked_at: usize,
    /// Of these, how many had an expiry.
    pub expiring: usize,
    /// Keys removed.
    pub expired: u64,
}

impl Engine {
    /// Removes expired keys, going round the table from where the last sweep stopped: a sample
    /// first, and then on for as long as many had expired, at most for `budget`. Shards without
    /// expiring keys cost one look.
    pub fn sweep_expired(&self, budget: Duration) -> SweepReport {
        let deadline = Instant::now() + budget;
        let mut report = SweepReport::default();
        for _ in 0..SHARDS {
            let position = self.sweep_position.fetch_add(1, Ordering::Relaxed);
            let shard = (position % SHARDS as u64) as usize;
            for db in self.databases_with_expiry(shard) {
                self.sweep_shard(shard, db, &mut report);
            }
            let stale = report.expired as f64 > report.expiring as f64 * STALE_SHARE;
            if (report.looked_at >= SAMPLE_ENTRIES && !stale) || Instant::now() >= deadline {
                break;
            }
        }
        report
    }

    fn databases_with_expiry(&self, shard: usize) -> Vec<u8> {
        let shard = self.table.shard(shard).read().expect("no panic under a shard lock");
        (0..DATABASES).filter(|&db| shard.expiring(db) > 0).collect()
    }

    fn sweep_shard(&self, index: usize, db: u8, report: &mut SweepReport) {
        let now_ms = self.clock.now_ms();
        let mut position = Some(0);
        let mut expired = Vec::new();
        while let Some(at) = position {
            // The lock is held for one segment at a time.
            let shard = self.table.shard(index).read().expect("no panic under a shard lock");
            let (entries, next) = shard.walk(db, at);
            for entry in entries {
                report.looked_at += 1;
                let Some(at_ms) = entry.expires_at_ms() else { continue };
                report.expiring += 1;
                if at_ms <= now_ms {
                    expired.push(entry.key().to_vec());
                }
            }
            position = next;
        }
        for key in expired {
            report.expired += self.remove_expired(db, &key);
        }
    }

    /// Whether reading an expired entry leaves it where it is from now on, as in a pause of writes.
    pub fn keep_expired(&self, keeps: bool) {
        self.keeps_expired.store(keeps, Ordering::Relaxed);
    }

    /// Removes a key if it is there and has expired; answers how many were removed.
    pub(super) fn remove_expired(&self, db: u8, key: &[u8]) -> u64 {
        // What can't be recorded is left: an expired key is invisible either way, while one whose
        // removal never becomes durable would make an error of every look at it.
        let is_refused = || self.log().is_some_and(|log| log.refusal().is_some());
        if self.keeps_expired.load(Ordering::Relaxed) || is_refused() {
            return 0;
        }
        let key = self.table.key(key);
        let mut shard = self.table.shard(key.shard()).write().expect("no panic under a shard lock");
        let expired = shard
            .find(db, &key)
            .and_then(Entry::expires_at_ms)
            .is_some_and(|at_ms| at_ms <= self.clock.now_ms());
        if expired {
            let effect = Effect::Remove { db, key: key.bytes };
            let version = Change::None.record(self, &effect, Effects::One);
            shard.note_removal(db, Some(key.hash), version, self.durable());
            shard.remove(db, &key, version, &|key| self.table.hash(key));
            self.memory.take_from(&mut shard);
        }
        u64::from(expired)
    }
}
