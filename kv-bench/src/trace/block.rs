//! Requests in one piece of memory, ready to be sent: what a trace's reader hands to a worker.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::workload::Kind;

/// A block is full with so many requests, or bytes of theirs.
const RECORDS_MAX: usize = 1024;
const BYTES_MAX: usize = 64 * 1024;
/// One that was for larger requests than these gives their memory back.
const BYTES_KEPT_MAX: usize = 1024 * 1024;

/// An operation of a block.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    pub kind: Kind,
    /// Which client of its worker it is for.
    pub client: u32,
    /// After the beginning; 0 where there are no due times.
    pub due_ns: u64,
    /// Where its request begins, how long it is before the value, and behind it.
    at: usize,
    head: u32,
    tail: u32,
    /// Where its key is.
    key_at: usize,
    key: u32,
    value: Window,
}

/// A value, as a place in [`Payload`] and a size.
#[derive(Debug, Clone, Copy, Default)]
pub struct Window {
    start: u32,
    size: u32,
}

/// Requests of one worker, in the order of the trace.
#[derive(Debug, Default)]
pub struct Block {
    pub records: Vec<Record>,
    bytes: Vec<u8>,
}

/// A request that is being written.
pub(super) struct Draft<'a> {
    block: &'a mut Block,
    at: usize,
    key: (usize, u32),
    head: Option<u32>,
    value: Window,
}

impl Block {
    /// Whether it takes no more.
    pub fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX || self.bytes.len() >= BYTES_MAX
    }

    /// Empties it, to be filled anew.
    pub fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(BYTES_KEPT_MAX);
    }

    pub(super) fn begin(&mut self) -> Draft<'_> {
        let at = self.bytes.len();
        Draft { block: self, at, key: (at, 0), head: None, value: Window::default() }
    }

    /// The key of `record`, with its prefix.
    #[inline]
    pub fn key(&self, record: &Record) -> &[u8] {
        &self.bytes[record.key_at..][..record.key as usize]
    }

    /// Writes the request of `record` behind `out`.
    #[inline]
    pub fn encode(&self, record: &Record, payload: &Payload, out: &mut Vec<u8>) {
        let (head, tail) = (record.head as usize, record.tail as usize);
        out.extend_from_slice(&self.bytes[record.at..][..head]);
        if tail > 0 {
            payload.write(record.value, out);
            out.extend_from_slice(&self.bytes[record.at + head..][..tail]);
        }
    }
}

impl Draft<'_> {
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.block.bytes
    }

    /// Fills a key up to its length: what is written next is it.
    pub(super) fn key(&mut self, prefix: &[u8], text: &[u8], bytes: usize) {
        /// What a key is filled up with that is longer than its text.
        const FILL: u8 = b'.';
        let at = self.block.bytes.len();
        self.block.bytes.extend_from_slice(prefix);
        self.block.bytes.extend_from_slice(text);
        self.block.bytes.resize(at + prefix.len() + bytes.max(text.len()), FILL);
        if self.key.1 == 0 {
            self.key = (at, (self.block.bytes.len() - at) as u32);
        }
    }

    /// Here stands the value.
    pub(super) fn value(&mut self, value: Window) {
        self.head = Some((self.block.bytes.len() - self.at) as u32);
        self.value = value;
    }

    pub(super) fn end(self, kind: Kind, client: u32, due_ns: u64) {
        let size = (self.block.bytes.len() - self.at) as u32;
        let head = self.head.unwrap_or(size);
        let (key_at, key) = self.key;
        self.block.records.push(Record {
            kind,
            client,
            due_ns,
            at: self.at,
            head,
            tail: size - head,
            key_at,
            key,
            value: self.value,
        });
    }
}

/// Starts of values: enough that neighbours differ.
const STARTS: u32 = 4096;
/// Values of up to so many bytes are digits, so that a counter can be counted on: they fit 64 bits.
const DIGITS_MAX: u32 = 18;
const DIGITS: usize = STARTS as usize + DIGITS_MAX as usize;
/// Longer values repeat what they begin with.
const PRINTABLE: usize = 1 << 20;

/// The bytes of all values, made once.
#[derive(Debug, Clone)]
pub struct Payload(Arc<[u8]>);

impl Payload {
    /// Made by `seed`: digits for short values, and random printable bytes for others.
    pub fn new(seed: u64) -> Self {
        const ALPHABET: &[u8; 64] =
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        // Never 0: a number does not begin with one.
        let digits: Vec<u8> = (0..DIGITS).map(|_| b'1' + (random.next_u64() % 9) as u8).collect();
        let printable = (0..PRINTABLE).map(|_| ALPHABET[(random.next_u64() >> 58) as usize]);
        Self(digits.into_iter().chain(printable).collect())
    }

    /// A value of so many bytes; `number` makes it another than its neighbours.
    pub fn window(number: u64, size: u32) -> Window {
        let start = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 % STARTS;
        Window { start: if size <= DIGITS_MAX { start } else { DIGITS as u32 + start }, size }
    }

    #[inline]
    fn write(&self, Window { start, size }: Window, out: &mut Vec<u8>) {
        let mut left = size as usize;
        let mut rest = &self.0[start as usize..];
        loop {
            let part = left.min(rest.len());
            out.extend_from_slice(&rest[..part]);
            left -= part;
            if left == 0 {
                return;
            }
            rest = &self.0[DIGITS..];
        }
    }
}
