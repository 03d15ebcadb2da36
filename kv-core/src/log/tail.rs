//! The tail: records made and not yet written, in memory.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicU64, Ordering};

use super::effect::Effect;
use super::record;
use super::segment::SegmentHeader;

/// Records, and where among them new segments begin.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where in `bytes` the header of a new segment stands, and the segment's number; ascending.
    pub(super) breaks: Vec<(usize, u64)>,
    /// The sequence of the last record in it, or before it.
    pub(super) sequence: u64,
    /// Bytes appended to the log up to its end.
    pub(super) appended: u64,
}

/// Where records are made, one at a time.
#[derive(Debug)]
pub(super) struct Tail {
    pub(super) batch: Batch,
    salt: u64,
    segment: u64,
    /// Bytes of the segment, those in `batch` included.
    segment_bytes: u64,
    segment_bytes_max: u64,
    segment_is_empty: bool,
    seed: u32,
    chain: u32,
    /// The sequence that the last mark named.
    marked: u64,
}

impl Tail {
    pub(super) fn new(salt: u64, segment_bytes_max: u64, batch: Batch, chain: u32) -> Self {
        Self {
            batch,
            salt,
            segment: 0,
            segment_bytes: 0,
            segment_bytes_max,
            segment_is_empty: false,
            seed: 0,
            chain,
            marked: 0,
        }
    }

    /// Begins a segment here and now, unless the last has no record yet; answers its number.
    pub(super) fn begin_segment(&mut self, durable: u64) -> u64 {
        if !self.segment_is_empty {
            self.begin_numbered(self.segment + 1, durable);
        }
        self.segment
    }

    pub(super) fn begin_numbered(&mut self, number: u64, durable: u64) {
        let at = self.batch.bytes.len();
        let header = SegmentHeader {
            salt: self.salt,
            number,
            first_sequence: self.batch.sequence + 1,
            chain: self.chain,
            durable,
        };
        self.chain = header.encode(&mut self.batch.bytes);
        self.batch.breaks.push((at, number));
        self.seed = record::seed(self.salt, number);
        self.segment = number;
        self.segment_bytes = (self.batch.bytes.len() - at) as u64;
        self.segment_is_empty = true;
        self.marked = durable;
        self.batch.appended += self.segment_bytes;
    }

    /// Begins a record; answers where.
    #[inline]
    fn open(&mut self, durable: u64) -> usize {
        if self.segment_bytes >= self.segment_bytes_max {
            self.begin_segment(durable);
        }
        let at = record::open(&mut self.batch.bytes);
        if self.is_mark_due(durable) {
            self.marked = durable;
            Effect::Durable { sequence: durable }.encode(&mut self.batch.bytes);
        }
        at
    }

    #[inline]
    fn close(&mut self, at: usize) {
        self.batch.sequence += 1;
        let sequence = self.batch.sequence;
        self.chain = record::close(&mut self.batch.bytes, at, self.seed, self.chain, sequence);
        let record_bytes = (self.batch.bytes.len() - at) as u64;
        self.segment_bytes += record_bytes;
        self.segment_is_empty = false;
        self.batch.appended += record_bytes;
    }

    /// Whether more is durable than the log says.
    pub(super) fn is_mark_due(&self, durable: u64) -> bool {
        durable > self.marked
    }

    /// Whether this is the last record, and the segment's own header says less.
    pub(super) fn ends_with(&self, sequence: u64) -> bool {
        self.batch.sequence == sequence && !self.segment_is_empty
    }

    /// Moves all records into `batch`, which is empty, and goes on in its memory.
    pub(super) fn take(&mut self, batch: &mut Batch) {
        debug_assert!(batch.bytes.is_empty() && batch.breaks.is_empty());
        batch.sequence = self.batch.sequence;
        batch.appended = self.batch.appended;
        std::mem::swap(&mut self.batch, batch);
    }

    /// Forgets what will never be written.
    pub(super) fn forget(&mut self) {
        self.batch.bytes = Vec::new();
        self.batch.breaks = Vec::new();
    }
}

/// What anybody may ask without waiting for a record that is being made, even who makes it.
#[derive(Debug)]
pub(super) struct Published {
    /// The last record.
    pub(super) sequence: AtomicU64,
    /// Bytes appended to the log up to its end.
    pub(super) appended: AtomicU64,
}

/// A record being made: holds the log's end, so that the order of records is that of changes. It
/// becomes part of the log whole, by [`OpenRecord::close`] or when dropped.
pub struct OpenRecord<'l> {
    tail: MutexGuard<'l, Tail>,
    at: usize,
    published: &'l Published,
}

impl<'l> OpenRecord<'l> {
    #[inline]
    pub(super) fn new(
        mut tail: MutexGuard<'l, Tail>,
        durable: u64,
        published: &'l Published,
    ) -> Self {
        let at = tail.open(durable);
        Self { tail, at, published }
    }

    /// The record's sequence.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.tail.batch.sequence + 1
    }

    /// Adds an effect.
    ///
    /// # Panics
    /// When a key or value is 4 GiB or more.
    #[inline]
    pub fn push(&mut self, effect: &Effect<'_>) {
        effect.encode(&mut self.tail.batch.bytes);
    }

    /// Completes the record; answers its sequence.
    #[inline]
    pub fn close(self) -> u64 {
        self.sequence()
    }
}

impl Drop for OpenRecord<'_> {
    #[inline]
    fn drop(&mut self) {
        let at = self.at;
        self.tail.close(at);
        let Batch { sequence, appended, .. } = self.tail.batch;
        self.published.appended.store(appended, Ordering::Relaxed);
        self.published.sequence.store(sequence, Ordering::Release);
    }
}
