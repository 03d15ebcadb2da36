//! Entries as a snapshot stores them, one after another.
//!
//! ```text
//! offset  bytes
//!      0      1  flags            bit 0: has an expiry; the others are 0
//!      1      1  db
//!      2      4  key_len
//!      6      4  value_len
//!     10      8  expires_at_ms    only with the flag: Unix time
//!      …         key, value
//! ```
//!
//! Lengths of fixed size, because the way from one entry to the next is then an addition: the writer
//! cuts blocks that way and the reader counts. They cost 8 bytes more than they might, a tenth of a
//! small entry.

use crate::table::{DATABASES, Entry};

pub(super) const HEAD_BYTES: usize = 10;
const HAS_EXPIRY: u8 = 1;

/// One entry of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredEntry<'a> {
    pub db: u8,
    pub key: &'a [u8],
    pub value: &'a [u8],
    /// Unix time in milliseconds. It may have passed: a log that follows may say that it was put off.
    pub expires_at_ms: Option<u64>,
}

impl<'a> StoredEntry<'a> {
    pub(crate) fn of(db: u8, entry: &'a Entry) -> Self {
        let expires_at_ms = entry.expires_at_ms();
        Self { db, key: entry.key(), value: entry.value(), expires_at_ms }
    }
}

/// Whole entries, encoded.
#[derive(Debug, Default)]
pub struct EntryBuffer {
    bytes: Vec<u8>,
}

impl EntryBuffer {
    /// Encodes an entry behind the others.
    ///
    /// # Panics
    /// When there is no such database, or its key or value is 4 GiB or more, which no [`Entry`] is.
    pub fn push(&mut self, entry: &StoredEntry<'_>) {
        assert!(entry.db < DATABASES, "one of the databases");
        let flags = if entry.expires_at_ms.is_some() { HAS_EXPIRY } else { 0 };
        let mut head = [0; HEAD_BYTES];
        head[0] = flags;
        head[1] = entry.db;
        head[2..6].copy_from_slice(&len(entry.key));
        head[6..10].copy_from_slice(&len(entry.value));
        self.bytes.reserve(HEAD_BYTES + 8 + entry.key.len() + entry.value.len());
        self.bytes.extend_from_slice(&head);
        if let Some(at_ms) = entry.expires_at_ms {
            self.bytes.extend_from_slice(&at_ms.to_le_bytes());
        }
        self.bytes.extend_from_slice(entry.key);
        self.bytes.extend_from_slice(entry.value);
    }

    /// Puts all entries of another buffer behind these.
    pub fn append(&mut self, other: Self) {
        if self.bytes.is_empty() {
            *self = other;
        } else {
            self.bytes.extend_from_slice(&other.bytes);
        }
    }

    /// The encoded entries.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the entries in the first `bytes`, which must end where an entry does, and gives
    /// memory back that a burst has left.
    pub(super) fn consume(&mut self, bytes: usize, capacity_max: usize) {
        self.bytes.drain(..bytes);
        if self.bytes.capacity() > capacity_max {
            self.bytes.shrink_to(capacity_max);
        }
    }
}

fn len(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).expect("below 4 GiB").to_le_bytes()
}

/// Bytes that are no entry, though their checksum says that they were meant to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Where in the block.
    pub offset: usize,
    pub why: &'static str,
}

/// Entries, decoded one by one from bytes that nobody vouches for.
#[derive(Debug)]
pub struct Entries<'a> {
    bytes: &'a [u8],
    offset: usize,
    /// Entries so far, of each database.
    decoded: [u64; DATABASES as usize],
}

impl<'a> Entries<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0, decoded: [0; DATABASES as usize] }
    }

    /// Bytes of the entries so far.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Entries so far, of each database.
    pub fn decoded(&self) -> &[u64; DATABASES as usize] {
        &self.decoded
    }

    fn decode(&self) -> Result<(StoredEntry<'a>, usize), &'static str> {
        let rest = &self.bytes[self.offset..];
        let (head, mut rest) =
            rest.split_first_chunk::<HEAD_BYTES>().ok_or("an entry is cut short")?;
        let [flags, db, k0, k1, k2, k3, v0, v1, v2, v3] = *head;
        if flags & !HAS_EXPIRY != 0 {
            return Err("an entry has flags that this version does not know");
        }
        if db >= DATABASES {
            return Err("an entry belongs to a database that does not exist");
        }
        let mut expires_at_ms = None;
        if flags & HAS_EXPIRY != 0 {
            let (at_ms, behind) = rest.split_first_chunk().ok_or("an entry is cut short")?;
            (expires_at_ms, rest) = (Some(u64::from_le_bytes(*at_ms)), behind);
        }
        let key_len = u32::from_le_bytes([k0, k1, k2, k3]) as usize;
        let value_len = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
        let (key, rest) = rest.split_at_checked(key_len).ok_or("a key is cut short")?;
        let (value, rest) = rest.split_at_checked(value_len).ok_or("a value is cut short")?;
        Ok((StoredEntry { db, key, value, expires_at_ms }, self.bytes.len() - rest.len()))
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<StoredEntry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset == self.bytes.len() {
            return None;
        }
        match self.decode() {
            Ok((entry, end)) => {
                self.offset = end;
                self.decoded[usize::from(entry.db)] += 1;
                Some(Ok(entry))
            }
            Err(why) => {
                let offset = std::mem::replace(&mut self.offset, self.bytes.len());
                Some(Err(Malformed { offset, why }))
            }
        }
    }
}
