//! Which entry is to go when memory runs out: the first by some order among a few at random.
//!
//! Where an entry lies in a segment follows from its hash alone, so neighbours in a segment are as
//! random a sample as any, and need one lock.

use hashbrown::HashTable;

use super::segments::{POSITION_END, Segments};
use super::{DATABASES, Entry, Shard};

/// Which of the entries of a sample is the first to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// The one that was not used for the longest time.
    Access,
    /// The one that expires next.
    Expiry,
    /// Any.
    Random,
}

/// What to choose by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    pub(crate) rank: Rank,
    /// Only entries that have an expiry.
    pub(crate) volatile_only: bool,
    /// Entries in a sample.
    pub(crate) samples: usize,
}

impl Sampling {
    fn eligible(self, segments: &Segments) -> usize {
        if self.volatile_only { segments.expiring() } else { segments.len() }
    }

    /// The smaller, the sooner it goes.
    fn key(self, entry: &Entry) -> u64 {
        match self.rank {
            Rank::Access => entry.accessed_at().into(),
            Rank::Expiry => entry.expires_at_ms().unwrap_or(u64::MAX),
            Rank::Random => 0,
        }
    }

    /// The first to go of the entries that follow on a random one.
    fn choose(self, table: &HashTable<Entry>, random: usize) -> Option<&Entry> {
        let buckets = table.num_buckets();
        (0..buckets)
            .filter_map(|step| table.get_bucket((random + step) % buckets))
            .filter(|entry| !self.volatile_only || entry.expires_at_ms().is_some())
            .take(self.samples)
            .min_by_key(|entry| self.key(entry))
    }
}

impl Segments {
    /// The first to go of a sample from the segment at a random position, or the next that has any.
    fn sample(&self, sampling: Sampling, random: u64) -> Option<&Entry> {
        if sampling.eligible(self) == 0 {
            return None;
        }
        let first = u64::from(random as u32);
        let (mut position, mut walked) = (first, 0);
        while walked < POSITION_END {
            let (table, next) = self.segment_at(position);
            let chosen = table.and_then(|table| sampling.choose(table, (random >> 32) as usize));
            if chosen.is_some() {
                return chosen;
            }
            walked += next - position;
            position = next % POSITION_END;
        }
        None
    }
}

impl Shard {
    /// An entry to go, and its database; `None` when the shard has none that may. Databases are
    /// chosen by how many such entries they have.
    pub(crate) fn sample(&self, sampling: Sampling, random: u64) -> Option<(u8, &Entry)> {
        let eligible = |db| self.database(db).map_or(0, |segments| sampling.eligible(segments));
        let all: usize = (0..DATABASES).map(eligible).sum();
        let mut index = (random >> 16) as usize % all.max(1);
        let db = (0..DATABASES).find(|&db| {
            let here = index < eligible(db);
            index = index.saturating_sub(eligible(db));
            here
        })?;
        self.database(db)?.sample(sampling, random).map(|entry| (db, entry))
    }
}
