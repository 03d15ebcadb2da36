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

use super::Entry;
use super::heap::chunk_bytes;

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
    /// Bytes of the entries and the tables.
    bytes: usize,
}

fn table_bytes(table: &HashTable<Entry>) -> usize {
    chunk_bytes(table.allocation_size())
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

    /// Bytes that the allocator spends on all of it.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes + chunk_bytes(self.tables.capacity() * size_of::<HashTable<Entry>>())
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
            self.bytes += table_bytes(&self.tables[index]);
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
    pub(super) fn first_with_hash(&self, hash: u64) -> Option<&Entry> {
        if self.tables.is_empty() {
            return None;
        }
        self.tables[self.index(segment_bits(hash))].iter_hash(hash).next()
    }

    /// Lets `act` change an entry, if it is there.
    #[inline]
    pub(super) fn change<R>(
        &mut self,
        hash: u64,
        key: &[u8],
        act: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        if self.tables.is_empty() {
            return None;
        }
        let index = self.index(segment_bits(hash));
        let entry = self.tables[index].find_mut(hash, |entry| entry.key() == key)?;
        let before = (entry.heap_bytes(), entry.expires_at_ms().is_some());
        let result = act(entry);
        self.bytes = self.bytes + entry.heap_bytes() - before.0;
        let expires = entry.expires_at_ms().is_some();
        self.expiring = self.expiring + usize::from(expires) - usize::from(before.1);
        Some(result)
    }

    /// Adds an entry whose key is not there.
    pub(super) fn insert(&mut self, hash: u64, entry: Entry, hasher: &impl Fn(&[u8]) -> u64) {
        if self.tables.is_empty() {
            self.tables.push(HashTable::new());
        }
        self.expiring += usize::from(entry.expires_at_ms().is_some());
        self.bytes += entry.heap_bytes();
        let index = self.index(segment_bits(hash));
        self.with_table(index, |table| {
            table.insert_unique(hash, entry, |entry| hasher(entry.key()));
        });
        self.len += 1;
        if self.len > self.tables.len() * SEGMENT_ENTRIES {
            self.split(hasher);
        }
    }

    /// Lets `act` work on a segment, which may grow or shrink.
    #[inline]
    fn with_table<R>(&mut self, index: usize, act: impl FnOnce(&mut HashTable<Entry>) -> R) -> R {
        let table = &mut self.tables[index];
        let before = table_bytes(table);
        let result = act(table);
        self.bytes = self.bytes + table_bytes(table) - before;
        result
    }

    /// Splits the next segment in turn.
    fn split(&mut self, hasher: &impl Fn(&[u8]) -> u64) {
        let level = self.level();
        let source = self.tables.len() - (1 << level);
        let old = std::mem::take(&mut self.tables[source]);
        self.bytes -= table_bytes(&old);
        // Room for half of them and a sixteenth more: seldom grown, seldom half empty.
        let capacity = old.len() * 9 / 16;
        let mut halves = [HashTable::with_capacity(capacity), HashTable::with_capacity(capacity)];
        for entry in old {
            let hash = hasher(entry.key());
            let half = (segment_bits(hash) >> level & 1) as usize;
            halves[half].insert_unique(hash, entry, |entry| hasher(entry.key()));
        }
        let [stay, go] = halves;
        self.bytes += table_bytes(&stay) + table_bytes(&go);
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
        let entry = self.with_table(index, |table| {
            let found = table.find_entry(hash, |entry| entry.key() == key).ok()?;
            let (entry, _) = found.remove();
            if table.num_buckets() > 16 && table.len() * 8 < table.num_buckets() {
                table.shrink_to(table.len() * 2, |entry| hasher(entry.key()));
            }
            Some(entry)
        })?;
        self.len -= 1;
        self.expiring -= usize::from(entry.expires_at_ms().is_some());
        self.bytes -= entry.heap_bytes();
        Some(entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.tables.iter().flatten()
    }

    /// The segment that covers `position`, and the position behind that segment.
    pub(super) fn segment_at(&self, position: u64) -> (Option<&HashTable<Entry>>, u64) {
        debug_assert!(position < POSITION_END);
        if self.tables.is_empty() {
            return (None, POSITION_END);
        }
        let index = self.index((position as u32).reverse_bits() & 0x7fff_ffff);
        let range = POSITION_END >> self.range_bits(index);
        (Some(&self.tables[index]), (position / range + 1) * range)
    }

    /// The entries of the segment that covers `position`, and the position behind that segment.
    pub(super) fn at_position(&self, position: u64) -> (impl Iterator<Item = &Entry>, u64) {
        let (table, next) = self.segment_at(position);
        (table.into_iter().flatten(), next)
    }
}
