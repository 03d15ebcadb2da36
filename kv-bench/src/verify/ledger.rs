//! What is known of every key: the versions that were issued, acknowledged, deleted, and doubted.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::stamp::Stamp;

/// Number of a write to one key: 1, 2, 3 …; 0 is none.
pub type Version = u64;

/// A write that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    pub version: Version,
    pub is_delete: bool,
}

/// What a read showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// What it must be, or may be.
    Good,
    /// Nothing is known of the key.
    Unknown,
    /// An older version than had been acknowledged when the read was sent.
    Stale,
    /// No value, where one had been acknowledged and nobody has deleted it.
    Lost,
    /// Another key's value, or that of somebody else.
    Foreign,
    /// Not what anybody has written.
    Corrupt,
}

/// One for all workers. Three words per key, each written by the key's one writer; a read costs one
/// load when it is sent and one or two when it is answered.
#[derive(Debug)]
pub struct Ledger {
    run: u64,
    /// The last version that was sent.
    issued: Box<[AtomicU64]>,
    /// The last that was acknowledged, doubled, and one more for a delete.
    acknowledged: Box<[AtomicU64]>,
    /// The last delete that was sent.
    deleted: Box<[AtomicU64]>,
    doubts: Mutex<Doubts>,
}

/// Writes of which nobody knows whether, and when, they are done.
#[derive(Debug, Default)]
struct Doubts {
    /// Per key, in order; what follows each other is one range, so that a server that refuses
    /// everything for long fills no memory.
    puts: HashMap<u64, Vec<RangeInclusive<Version>>>,
    /// Keys.
    deletes: HashSet<u64>,
}

impl Doubts {
    fn add_put(&mut self, key: u64, version: Version) {
        let ranges = self.puts.entry(key).or_default();
        match ranges.last_mut() {
            Some(last) if *last.end() + 1 == version => *last = *last.start()..=version,
            _ => ranges.push(version..=version),
        }
    }
}

impl Ledger {
    /// Of `keys` keys, and for values that carry the number `run`.
    pub fn new(keys: u64, run: u64) -> Self {
        let words = || (0..keys).map(|_| AtomicU64::new(0)).collect();
        Self {
            run,
            issued: words(),
            acknowledged: words(),
            deleted: words(),
            doubts: Mutex::default(),
        }
    }

    /// How many keys it knows.
    pub fn keys(&self) -> u64 {
        self.issued.len() as u64
    }

    /// The next write to a key, which its one writer is about to send.
    pub fn issue(&self, key: u64, is_delete: bool) -> Write {
        let issued = &self.issued[key as usize];
        let version = issued.load(Ordering::Relaxed) + 1;
        issued.store(version, Ordering::Release);
        if is_delete {
            self.deleted[key as usize].store(version, Ordering::Release);
        }
        Write { version, is_delete }
    }

    /// The stamp of a put.
    pub fn stamp(&self, key: u64, write: Write) -> Stamp {
        Stamp { run: self.run, key, version: write.version }
    }

    /// A write was done.
    pub fn acknowledge(&self, key: u64, write: Write) {
        let word = write.version * 2 + u64::from(write.is_delete);
        self.acknowledged[key as usize].store(word, Ordering::Release);
    }

    /// Nobody knows what became of a write.
    pub fn doubt(&self, key: u64, write: Write) {
        let mut doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        if write.is_delete {
            doubts.deletes.insert(key);
        } else {
            doubts.add_put(key, write.version);
        }
    }

    /// A write was never sent, after all others of its key had their outcome.
    pub fn withdraw(&self, key: u64, write: Write) {
        if write.is_delete {
            self.deleted[key as usize].store(0, Ordering::Release);
        }
    }

    /// What a read of a key that is sent now must find, to be given to the judgement.
    pub fn floor(&self, key: u64) -> u64 {
        self.acknowledged[key as usize].load(Ordering::Acquire)
    }

    /// Judges a read that brought `value`; `floor` was asked for before it was sent.
    pub fn judge_value(&self, key: u64, floor: u64, value: &[u8]) -> Finding {
        let stamp = Stamp::read(value);
        let Some(stamp) = stamp.filter(|stamp| stamp.run == self.run) else {
            return match stamp {
                // Somebody had stored that before this run did.
                _ if floor == 0 => Finding::Unknown,
                Some(_) => Finding::Foreign,
                None => Finding::Corrupt,
            };
        };
        if stamp.key != key {
            return Finding::Foreign;
        }
        if stamp.version > self.issued[key as usize].load(Ordering::Acquire) {
            return Finding::Corrupt;
        }
        if stamp.version >= floor / 2 || self.is_put_in_doubt(key, stamp.version) {
            return Finding::Good;
        }
        Finding::Stale
    }

    /// Whether a delete that is sent now must find the key: its writer asks before it issues it.
    pub fn must_find(&self, key: u64) -> bool {
        self.judge_miss(key, self.floor(key)) == Finding::Lost
    }

    /// Judges a read that found nothing.
    pub fn judge_miss(&self, key: u64, floor: u64) -> Finding {
        let (version, is_deleted) = (floor / 2, floor % 2 == 1);
        let goes_on = || self.deleted[key as usize].load(Ordering::Acquire) > version;
        match floor {
            0 => Finding::Unknown,
            _ if is_deleted || goes_on() || self.is_delete_in_doubt(key) => Finding::Good,
            _ => Finding::Lost,
        }
    }

    /// What was wrong with a read, in words.
    pub fn describe(&self, finding: Finding, key: u64, floor: u64, value: &[u8]) -> String {
        let version = floor / 2;
        let what = match (finding, Stamp::read(value)) {
            (Finding::Lost, _) => format!("version {version} had been acknowledged, and is gone"),
            (Finding::Stale, Some(stamp)) => {
                let old = stamp.version;
                let last = if floor % 2 == 1 { "deletion" } else { "version" };
                format!("version {old} came back, and {last} {version} had been acknowledged")
            }
            (Finding::Foreign, Some(stamp)) if stamp.run == self.run => {
                format!("the value of key number {} came back", stamp.key)
            }
            (Finding::Foreign, _) => "the value of another run came back".to_owned(),
            _ => format!("{} bytes that nobody has written came back", value.len()),
        };
        format!("key number {key}: {what}")
    }

    fn is_put_in_doubt(&self, key: u64, version: Version) -> bool {
        let doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        let ranges = doubts.puts.get(&key).map_or(&[][..], Vec::as_slice);
        ranges.iter().any(|range| range.contains(&version))
    }

    fn is_delete_in_doubt(&self, key: u64) -> bool {
        let doubts = self.doubts.lock().unwrap_or_else(PoisonError::into_inner);
        doubts.deletes.contains(&key)
    }
}
