//! Values: windows onto one block of bytes that is made once, or one given text.
//!
//! A put costs a draw of its size and an offset; nothing is generated or allocated for it. The block
//! is as long as the longest value and a little more, whatever the number of keys.

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::sizes::{SizePicker, Sizes};

/// Windows to choose from: enough that neighbouring puts differ, few enough to stay in cache.
const WINDOWS: usize = 4096;

/// After how many bytes random ones begin again, where values of several sizes compress: short, so
/// that short values have both, and long enough that compressors take the rest for one run.
const PERIOD: usize = 64;

/// What the bytes of values are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Filling {
    /// Random letters, digits, `-` and `_`: six bits in each byte.
    #[default]
    Printable,
    /// This share of each value is zeros, which a compressor makes next to nothing of; the rest is
    /// random in all eight bits, which it makes nothing of.
    Compressible(f64),
}

impl Filling {
    /// The share that compresses, where it was asked for.
    pub fn compressibility(self) -> Option<f64> {
        match self {
            Self::Printable => None,
            Self::Compressible(share) => Some(share),
        }
    }
}

/// The values of puts.
#[derive(Debug, Clone)]
pub struct Values {
    block: Arc<[u8]>,
    windows: u32,
    sizes: SizePicker,
}

impl Values {
    /// Random printable bytes, `size` of them per value.
    pub fn random(size: usize, seed: u64) -> Self {
        Self::new(&Sizes::Fixed(size as u64), Filling::Printable, seed)
    }

    /// Bytes made by `seed`, of these sizes.
    pub fn new(sizes: &Sizes, filling: Filling, seed: u64) -> Self {
        let random = &mut Xoshiro256PlusPlus::seed_from_u64(seed);
        let bytes = sizes.max() as usize + WINDOWS - 1;
        let block = match (filling, sizes) {
            (Filling::Printable, _) => printable(bytes, random),
            // A window of one period has the share exactly, wherever it begins.
            (Filling::Compressible(share), &Sizes::Fixed(size)) => {
                compressible(bytes, share, (size as usize).clamp(1, WINDOWS), random)
            }
            (Filling::Compressible(share), _) => compressible(bytes, share, PERIOD, random),
        };
        Self { block: block.into(), windows: WINDOWS as u32, sizes: SizePicker::new(sizes) }
    }

    /// Always `text`.
    pub fn fixed(text: &str) -> Self {
        let sizes = SizePicker::Fixed(text.len());
        Self { block: text.as_bytes().into(), windows: 1, sizes }
    }

    #[inline]
    pub(super) fn pick(&self, draw: u32, random: &mut Xoshiro256PlusPlus) -> Window {
        let start = draw % self.windows;
        Window { start, size: self.sizes.pick(random) as u32 }
    }

    /// The value of a window that was drawn from these.
    #[inline]
    pub fn bytes(&self, Window { start, size }: Window) -> &[u8] {
        &self.block[start as usize..][..size as usize]
    }
}

/// Where a value stands in the block: values are at most 512 MiB long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Window {
    start: u32,
    size: u32,
}

fn printable(bytes: usize, random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    (0..bytes).map(|_| ALPHABET[(random.next_u64() >> 58) as usize]).collect()
}

fn compressible(
    bytes: usize,
    share: f64,
    period: usize,
    random: &mut Xoshiro256PlusPlus,
) -> Vec<u8> {
    let dense = ((1.0 - share) * period as f64).round() as usize;
    let mut block = vec![0; bytes];
    for part in block.chunks_mut(period) {
        let length = dense.min(part.len());
        // Never zero, so that what is zero is exactly the share that was asked for.
        part[..length].fill_with(|| (random.next_u64() >> 56).max(1) as u8);
    }
    block
}
