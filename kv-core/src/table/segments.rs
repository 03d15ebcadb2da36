//! The entries of one database within one shard: linear hashing over small hash tables.
//!
//! One big hash table doubles all at once, which stalls its shard for as long as it takes to touch
//! every key, and leaves no order in which a scan could survive the doubling. So a shard holds many
//! small tables, *segments*, and grows by splitting one of them at a time (Litwin 1980): with `n`
//! segments, an entry lives in segment `bits mod 2^(L+1)`, or `bits mod 2^L` where the former does
//! not exist yet, `L` being the whole part of `log2 n`.
//!
//! Read backwards, `bits` is a *position*, and every segment covers one unbroken range of positions.
//! A split cuts a range in two and moves nothing else, so a walk in the order of positions meets
//! every entry that is there throughout, however the table grows meanwhile. `SCAN`, the expiry
//! sweep and the snapshot walk that way.

use hashbrown::HashTable;

use super::entry::Entry;

/// Entries per segment, on average, at which the next split is due. Unsplit segments then hold up
/// to twice as many, which is what a `HashTable` of 256 buckets holds.
const SEGMENT_ENTRIES: usize = 100;

/// Bits of the hash that choose the segment. Below them are `HashTable`'s bucket bits, above them
/// the shard's and `HashTable`'s tag bits.
const SEGMENT_SHIFT: u32 = 16;

/// One past the last position.
pub(super) const POSITION_END: u64 = 1 << 32;

#[derive(Default)]
pub(super) struct Segments {
    /// Empty until the first insert.
    tables: Vec<HashTable<Entry>>,
    len: usize,
    expiring: usize,
}

fn segment_bits(hash: u64) -> u32 {
    // The top bit belongs to the shard; a table would need 2^31 segments to miss it.
    (hash >> SEGMENT_SHIFT) as u32 & 0x7fff_ffff
}

/// Where in the order of walks an entry is: its bits read backwards, in 32 bits of which the last is
/// always 0.
pub(super) fn position(hash: u64) -> u64 {
    u64::from(segment_bits(hash).reverse_bits())
}

impl Segments {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Entries that have an expiry.
    pub(super) fn expiring(&self) -> usize {
        self.expiring
    }

    /// Makes room for so many entries where there are none yet, so that adding them splits and grows
    /// nothing.
    pub(super) fn reserve(&mut self, entries: usize) {
        if !self.tables.is_empty() || entries == 0 {
            return;
        }
        let count = entries.div_ceil(SEGMENT_ENTRIES);
        self.tables = (0..count).map(|_| HashTable::new()).collect();
        for index in 0..count {
            // A sixteenth more, as for a split: seldom grown, seldom half empty.
            let share = entries >> self.range_bits(index);
            self.tables[index] = HashTable::with_capacity(share * 17 / 16);
        }
    }

    /// Log2 of how many segments of this one's range there would be in the whole.
    fn range_bits(&self, index: usize) -> u32 {
        let level = self.level();
        let split = self.tables.len() - (1 << level);
        level + u32::from(index < split || index >= 1 << level)
    }

    /// The whole part of log2 of the number of segments.
    fn level(&self) -> u32 {
        self.tables.len().ilog2()
    }

    #[inline]
    fn index(&self, bits: u32) -> usize {
        let level = self.level();
        let index = (bits & ((2u32 << level) - 1)) as usize;
        if index < self.tables.len() { index } else { index & ((1 << level) - 1) }
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<&Entry> {
        if self.tables.is_empty() {
            return None;
        }
        self.tables[self.index(segment_bits(hash))].find(hash, |entry| entry.key() == key)
    }

    #[inline]
    pub(super) fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Entry> {
        if self.tables.is_empty() {
            return None;
        }
        let index = self.index(segment_bits(hash));
        self.tables[index].find_mut(hash, |entry| entry.key() == key)
    }

    /// Adds an entry whose key is not there.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry, hasher: &impl Fn(&[u8]) -> u64) {
        if self.tables.is_empty() {
            self.tables.push(HashTable::new());
        }
        self.expiring += usize::from(entry.expires_at_ms().is_some());
        let index = self.index(segment_bits(hash));
        self.tables[index].insert_unique(hash, entry, |entry| hasher(entry.key()));
        self.len += 1;
        if self.len > self.tables.len() * SEGMENT_ENTRIES {
            self.split(hasher);
        }
    }

    /// Splits the next segment in turn.
    fn split(&mut self, hasher: &impl Fn(&[u8]) -> u64) {
        let level = self.level();
        let source = self.tables.len() - (1 << level);
        let old = std::mem::take(&mut self.tables[source]);
        // Room for half of them and a sixteenth more: seldom grown, seldom half empty.
        let capacity = old.len() * 9 / 16;
        let mut halves = [HashTable::with_capacity(capacity), HashTable::with_capacity(capacity)];
        for entry in old {
            let hash = hasher(entry.key());
            let half = (segment_bits(hash) >> level & 1) as usize;
            halves[half].insert_unique(hash, entry, |entry| hasher(entry.key()));
        }
        let [stay, go] = halves;
        self.tables[source] = stay;
        self.tables.push(go);
    }

    pub(super) fn remove(
        &mut self,
        hash: u64,
        key: &[u8],
        hasher: &impl Fn(&[u8]) -> u64,
    ) -> Option<Entry> {
        if self.tables.is_empty() {
            return None;
        }
        let index = self.index(segment_bits(hash));
        let table = &mut self.tables[index];
        let (entry, _) = table.find_entry(hash, |entry| entry.key() == key).ok()?.remove();
        if table.num_buckets() > 16 && table.len() * 8 < table.num_buckets() {
            table.shrink_to(table.len() * 2, |entry| hasher(entry.key()));
        }
        self.len -= 1;
        self.expiring -= usize::from(entry.expires_at_ms().is_some());
        Some(entry)
    }

    /// Sets or clears the expiry of a key that is there.
    pub(super) fn set_expires_at_ms(&mut self, hash: u64, key: &[u8], at_ms: Option<u64>) {
        let Some(entry) = self.find_mut(hash, key) else { return };
        let before = entry.expires_at_ms().is_some();
        entry.set_expires_at_ms(at_ms);
        self.expiring = self.expiring + usize::from(at_ms.is_some()) - usize::from(before);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flatten()
    }

    /// The entries of the segment that covers `position`, and the position behind that segment.
    pub(super) fn at_position(&self, position: u64) -> (impl Iterator<Item = &Entry>, u64) {
        debug_assert!(position < POSITION_END);
        if self.tables.is_empty() {
            return (None.into_iter().flatten(), POSITION_END);
        }
        let index = self.index((position as u32).reverse_bits() & 0x7fff_ffff);
        let range = POSITION_END >> self.range_bits(index);
        (Some(&self.tables[index]).into_iter().flatten(), (position / range + 1) * range)
    }
}
