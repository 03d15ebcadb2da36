//! Values: windows onto one block of random printable bytes, or one given text.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Windows to choose from: enough that neighbouring puts differ, few enough to stay in cache.
const WINDOWS: usize = 4096;

/// The values of puts. All have the same size.
#[derive(Debug, Clone)]
pub struct Values {
    block: Vec<u8>,
    size: usize,
}

impl Values {
    /// Random printable bytes, `size` of them per value.
    pub fn random(size: usize, seed: u64) -> Self {
        const ALPHABET: &[u8; 64] =
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let block =
            (0..size + WINDOWS - 1).map(|_| ALPHABET[(random.next_u64() >> 58) as usize]).collect();
        Self { block, size }
    }

    /// Always `text`.
    pub fn fixed(text: &str) -> Self {
        Self { block: text.as_bytes().to_vec(), size: text.len() }
    }

    /// Bytes per value.
    pub fn size(&self) -> usize {
        self.size
    }

    #[inline]
    pub(super) fn pick(&self, draw: u32) -> &[u8] {
        let windows = self.block.len() - self.size + 1;
        let start = draw as usize % windows;
        &self.block[start..start + self.size]
    }
}
