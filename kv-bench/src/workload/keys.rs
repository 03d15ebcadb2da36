//! Keys: a prefix and twelve digits.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rand_xoshiro::Xoshiro256PlusPlus;

use super::distribution::KeyDistribution;
use super::picker::Picker;
use crate::schedule::share;

const DIGITS: usize = 12;

/// What twelve digits can name; more keys have a digit more, all of them.
const TWELVE_DIGITS: u64 = 1_000_000_000_000;

/// As many keys as there can be: their numbers are exact in every distribution's arithmetic.
pub const KEYS_MAX: u64 = 1 << 40;

/// The key space of a run and how it is walked.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
    count: u64,
    distribution: KeyDistribution,
    /// Sequences of operations in all: what a sequential walk spreads over the keys.
    streams: u64,
    picker: Picker,
    /// The first number that no insert of an earlier fleet took, once there was one.
    unused: Arc<AtomicU64>,
}

impl Keys {
    /// `count` keys that begin with `prefix`, for `streams` sequences of operations: one of each
    /// client, or in an open loop of each worker.
    ///
    /// # Panics
    ///
    /// When there is no key, or more than [`KEYS_MAX`].
    pub fn new(prefix: &str, count: u64, distribution: KeyDistribution, streams: u64) -> Self {
        assert!((1..=KEYS_MAX).contains(&count), "{count} keys");
        let picker = Picker::new(distribution, count, streams);
        let unused = Arc::new(AtomicU64::new(count));
        Self { prefix: prefix.to_owned(), count, distribution, streams, picker, unused }
    }

    /// The same for another number of sequences.
    #[must_use]
    pub fn for_streams(&self, streams: u64) -> Self {
        Self { streams, picker: self.picker.for_streams(streams), ..self.clone() }
    }

    /// The same keys, chosen in another way.
    #[must_use]
    pub fn chosen(&self, distribution: KeyDistribution) -> Self {
        Self::new(&self.prefix, self.count, distribution, self.streams)
    }

    /// Whether the newest are the most popular.
    pub(crate) fn is_latest(&self) -> bool {
        matches!(self.distribution, KeyDistribution::Latest { .. })
    }

    /// Where inserts begin that come after all those before; shared by all copies of these keys.
    pub(crate) fn unused(&self) -> &AtomicU64 {
        &self.unused
    }

    /// How many keys there are, before anything is inserted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The place at which a sequence begins whose first operation is number `first_operation` of the
    /// run.
    pub(super) fn first(&self, stream: u64, first_operation: u64) -> u64 {
        match self.distribution {
            KeyDistribution::Sequential => {
                let spread = u128::from(stream) * u128::from(self.count);
                (spread / u128::from(self.streams.max(1))) as u64 % self.count
            }
            KeyDistribution::OwnKey => first_operation % self.count,
            _ => 0,
        }
    }

    #[inline]
    pub(super) fn pick(&self, place: &mut u64, random: &mut Xoshiro256PlusPlus) -> u64 {
        self.picker.pick(self.count, place, random)
    }

    /// For a sequence of a phase that ends by the clock: the number of its first operation, and how
    /// many it may have at most.
    pub(crate) fn timed_share(&self, stream: u64, streams: u64) -> (u64, u64) {
        let (first, own) = share(self.count, stream, streams);
        let each_once = self.distribution == KeyDistribution::OwnKey;
        (first, if each_once { own } else { u64::MAX })
    }

    /// A buffer that spells this space's keys.
    pub fn buffer(&self) -> KeyBuffer {
        let mut bytes = self.prefix.clone().into_bytes();
        if self.count > TWELVE_DIGITS {
            bytes.push(b'0');
        }
        let digits_at = bytes.len();
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        KeyBuffer { bytes, digits_at, has_lead: self.count > TWELVE_DIGITS, number: 0 }
    }
}

/// One key, rewritten in place.
#[derive(Debug, Clone, Default)]
pub struct KeyBuffer {
    bytes: Vec<u8>,
    /// Where the last twelve digits begin.
    digits_at: usize,
    /// Whether a thirteenth stands before them.
    has_lead: bool,
    number: u64,
}

/// "00", "01" … "99": two digits per division.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

impl KeyBuffer {
    /// Spells key number `number`, which must be one of the space's.
    #[inline]
    pub fn set(&mut self, mut number: u64) {
        self.number = number;
        if self.has_lead {
            self.bytes[self.digits_at - 1] = b'0' + (number / TWELVE_DIGITS) as u8;
            number %= TWELVE_DIGITS;
        }
        debug_assert!(number < TWELVE_DIGITS, "keys have twelve digits");
        let digits = &mut self.bytes[self.digits_at..];
        let halves = [(number / 1_000_000) as u32, (number % 1_000_000) as u32];
        for (half, mut rest) in digits.chunks_exact_mut(DIGITS / 2).zip(halves) {
            for pair in half.chunks_exact_mut(2).rev() {
                pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
                rest /= 100;
            }
        }
    }

    /// The number that it spells.
    #[inline]
    pub fn number(&self) -> u64 {
        self.number
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
