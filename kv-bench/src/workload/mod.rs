//! What the clients ask for: seeded, reproducible sequences of operations.
//!
//! Each client of a closed loop has a sequence of its own, and each worker of an open one. The same
//! seed makes the same sequences, whatever the servers answer and however the threads are scheduled.
//! The generator is xoshiro256++, named because results record the seed.

mod alias;
mod distribution;
mod keys;
mod mix;
mod picker;
mod preset;
mod scramble;
mod sizes;
mod values;
mod ycsb;
mod zipf;

pub use distribution::{Hot, KeyDistribution};
pub use keys::{KEYS_MAX, KeyBuffer, Keys};
pub use mix::{Mix, MixError};
pub use preset::Preset;
pub use scramble::Scramble;
pub use sizes::{Pareto, Sizes, VALUE_BYTES_MAX};
pub use values::{Filling, Values};
pub use ycsb::{GrayZipf, fnv_hash};
pub use zipf::Zipf;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Get,
    Put,
    Delete,
}

impl Kind {
    /// Every kind, in the order of [`Kind::index`].
    pub const ALL: [Self; 3] = [Self::Get, Self::Put, Self::Delete];

    /// Its place in arrays that hold one element per kind.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name in mixes and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
        }
    }

    /// The tag of its service times in histogram logs.
    pub const fn service_tag(self) -> &'static str {
        match self {
            Self::Get => "GET-service",
            Self::Put => "PUT-service",
            Self::Delete => "DELETE-service",
        }
    }
}

/// Which operations, on which keys, with which values. Shared by all workers and never written.
#[derive(Debug, Clone)]
pub struct Workload {
    pub mix: Mix,
    pub keys: Keys,
    pub values: Values,
    pub seed: u64,
}

/// A place in one sequence of operations.
#[derive(Debug, Clone)]
pub struct Stream {
    random: Xoshiro256PlusPlus,
    /// Where it is, for the distributions of keys that go on from somewhere.
    place: u64,
}

impl Workload {
    /// Sequence number `stream`, whose first operation is number `first_operation` of the run.
    pub fn stream(&self, stream: u64, first_operation: u64) -> Stream {
        Stream {
            random: Xoshiro256PlusPlus::seed_from_u64(mix_seed(self.seed, stream)),
            place: self.keys.first(stream, first_operation),
        }
    }

    /// Draws the next operation of `stream`: its kind, its value (empty but for a put), and its
    /// key, which is left in `key`.
    #[inline]
    pub fn next<'a>(&'a self, stream: &mut Stream, key: &mut KeyBuffer) -> (Kind, &'a [u8]) {
        let draw = stream.random.next_u64();
        let kind = self.mix.pick((draw >> 32) as u32);
        key.set(self.keys.pick(&mut stream.place, &mut stream.random));
        let value = match kind {
            Kind::Put => self.values.pick(draw as u32, &mut stream.random),
            Kind::Get | Kind::Delete => &[],
        };
        (kind, value)
    }
}

/// Spreads neighbouring sequences over unrelated seeds (the finaliser of splitmix64).
fn mix_seed(seed: u64, stream: u64) -> u64 {
    let mut z = seed ^ stream.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A uniform number below `bound` from 64 random bits: Lemire's multiply-and-shift without the
/// rejection, whose bias is below `bound`/2^64.
#[inline]
fn below(bound: u64, random: &mut Xoshiro256PlusPlus) -> u64 {
    ((u128::from(random.next_u64()) * u128::from(bound)) >> 64) as u64
}

/// A uniform number of at least 0 and below 1, one of 2^53.
#[inline]
fn unit(random: &mut Xoshiro256PlusPlus) -> f64 {
    (random.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}
