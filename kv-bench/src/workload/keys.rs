//! Keys: a prefix and twelve digits, and the ways to choose among them.

use std::fmt;
use std::str::FromStr;

use rand_xoshiro::Xoshiro256PlusPlus;

use super::below;
use crate::schedule::share;

const DIGITS: usize = 12;

/// More keys than twelve digits can name.
pub const KEYS_MAX: u64 = 1_000_000_000_000;

/// How keys are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyDistribution {
    /// Every key equally likely at each operation.
    Uniform,
    /// Each client walks all keys in order, clients starting at evenly spread places.
    Sequential,
    /// Operation *i* of the run takes key *i*: each key once, and then it ends, however long it was
    /// to last. For preloading and for delete-only runs, where a key can be deleted only once.
    OwnKey,
}

impl FromStr for KeyDistribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "uniform" => Ok(Self::Uniform),
            "sequential" => Ok(Self::Sequential),
            _ => Err("unknown distribution (known: uniform, sequential)".to_owned()),
        }
    }
}

impl fmt::Display for KeyDistribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Sequential => "sequential",
            Self::OwnKey => "each key once",
        })
    }
}

/// The key space of a run and how it is walked.
#[derive(Debug, Clone)]
pub struct Keys {
    pub prefix: String,
    pub count: u64,
    pub distribution: KeyDistribution,
    /// Clients over all workers: the stride at which a sequential walk spreads them.
    pub clients: u64,
}

impl Keys {
    /// The first key of a client whose first operation is number `first_operation` of the run.
    pub(super) fn first(&self, client: u64, first_operation: u64) -> u64 {
        match self.distribution {
            KeyDistribution::Uniform => 0,
            KeyDistribution::Sequential => {
                let spread = u128::from(client) * u128::from(self.count);
                (spread / u128::from(self.clients.max(1))) as u64 % self.count
            }
            KeyDistribution::OwnKey => first_operation % self.count,
        }
    }

    #[inline]
    pub(super) fn pick(&self, next: &mut u64, random: &mut Xoshiro256PlusPlus) -> u64 {
        if self.distribution == KeyDistribution::Uniform {
            return below(self.count, random);
        }
        let key = *next;
        *next = if key + 1 == self.count { 0 } else { key + 1 };
        key
    }

    /// For a client of a phase that ends by the clock: the number of its first operation, and the
    /// operations that it may do at most.
    pub(crate) fn timed_share(&self, client: u64, clients: u64) -> (u64, u64) {
        let (first, own) = share(self.count, client, clients);
        let each_once = self.distribution == KeyDistribution::OwnKey;
        (first, if each_once { own } else { u64::MAX })
    }

    /// A buffer that spells this space's keys.
    pub fn buffer(&self) -> KeyBuffer {
        let mut bytes = self.prefix.clone().into_bytes();
        let digits_at = bytes.len();
        bytes.extend_from_slice(&[b'0'; DIGITS]);
        KeyBuffer { bytes, digits_at }
    }
}

/// One key, rewritten in place.
#[derive(Debug, Clone, Default)]
pub struct KeyBuffer {
    bytes: Vec<u8>,
    digits_at: usize,
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
    /// Spells key number `number`, which must be below 10^12.
    #[inline]
    pub fn set(&mut self, number: u64) {
        debug_assert!(number < KEYS_MAX, "keys have twelve digits");
        let digits = &mut self.bytes[self.digits_at..];
        let halves = [(number / 1_000_000) as u32, (number % 1_000_000) as u32];
        for (half, mut rest) in digits.chunks_exact_mut(DIGITS / 2).zip(halves) {
            for pair in half.chunks_exact_mut(2).rev() {
                pair.copy_from_slice(&PAIRS[(rest % 100) as usize]);
                rest /= 100;
            }
        }
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
