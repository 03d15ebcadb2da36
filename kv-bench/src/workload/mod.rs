//! What the clients ask for: seeded, reproducible sequences of operations.
//!
//! Each client of a closed loop has a sequence of its own, and each worker of an open one. The same
//! seed makes the same sequences, whatever the servers answer and however the threads are scheduled.
//! The generator is xoshiro256++, named because results record the seed.

mod alias;
mod command;
mod distribution;
mod keys;
mod kind;
mod mix;
mod mixgraph;
mod picker;
mod preset;
mod scramble;
mod sizes;
mod values;
mod ycsb;
mod zipf;

pub use command::{AFFIX_BYTES_MAX, COMMANDS_MAX, Command, Commands, Part, Word, tag};
pub use distribution::{Hot, KeyDistribution};
pub use keys::{KEYS_MAX, KeyBuffer, Keys};
pub use kind::{Kind, Request};
pub use mix::{Mix, MixError};
pub(crate) use preset::CACHE_TTL;
pub use preset::Preset;
pub use scramble::Scramble;
pub use sizes::{Pareto, Sizes, VALUE_BYTES_MAX};
pub use values::{Filling, Values, Window};
pub use ycsb::{GrayZipf, fnv_hash};
pub use zipf::Zipf;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

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

/// An operation as it was drawn.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// What goes out first.
    pub kind: Kind,
    /// The number of its key. Which new key an insert takes is not for a sequence of operations to
    /// know: here it is the first.
    pub key: u64,
    /// What it puts, or what a put that follows it does.
    pub value: Window,
}

impl Workload {
    /// Sequence number `stream`, whose first operation is number `first_operation` of the run.
    pub fn stream(&self, stream: u64, first_operation: u64) -> Stream {
        Stream {
            random: Xoshiro256PlusPlus::seed_from_u64(mix_seed(self.seed, stream)),
            place: self.keys.first(stream, first_operation),
        }
    }

    /// Draws the next operation of `stream`.
    #[inline]
    pub fn draw(&self, stream: &mut Stream) -> Draw {
        let draw = stream.random.next_u64();
        let kind = self.mix.pick((draw >> 32) as u32);
        let key = match kind {
            Kind::Insert => self.keys.count(),
            _ => self.keys.pick(&mut stream.place, &mut stream.random),
        };
        let value = match kind {
            Kind::Delete => Window::default(),
            Kind::Get if !self.mix.fills() => Window::default(),
            _ => self.values.pick(draw as u32, &mut stream.random),
        };
        Draw { kind, key, value }
    }

    /// Draws the next operation of `stream`: its kind, its value (empty but of what puts, or may be
    /// followed by a put), and its key, which is left in `key`.
    #[inline]
    pub fn next<'a>(&'a self, stream: &mut Stream, key: &mut KeyBuffer) -> (Kind, &'a [u8]) {
        let draw = self.draw(stream);
        key.set(draw.key);
        (draw.kind, self.values.bytes(draw.value))
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
