//! The original system's ring: `HashRing(nodes=names, vnodes=10)` of the Python package
//! `uhashring`, asked for `sha256(key).hexdigest()`.
//!
//! Each server stands at 10 points of a 128-bit circle, the md5 of `name-0` … `name-9` read as one
//! number. A key belongs to the first point *after* the md5 of the 64 hexadecimal digits of its
//! sha256, going round. Ten points are few: one of four servers typically gets a third more than its
//! share.

use md5::{Digest, Md5};
use sha2::Sha256;

/// The original's virtual nodes per server.
const POINTS_PER_SERVER: usize = 10;

#[derive(Debug, Clone)]
pub(super) struct Uhashring {
    /// Ascending, each with its server.
    points: Vec<(u128, u16)>,
}

impl Uhashring {
    pub(super) fn new(names: &[String]) -> Self {
        let mut points = Vec::with_capacity(names.len() * POINTS_PER_SERVER);
        for (server, name) in names.iter().enumerate() {
            for index in 0..POINTS_PER_SERVER {
                points.push((position(format!("{name}-{index}").as_bytes()), server as u16));
            }
        }
        points.sort_unstable();
        Self { points }
    }

    #[inline]
    pub(super) fn owner(&self, key: &[u8]) -> usize {
        let position = position(&hex(Sha256::digest(key).into()));
        let at = self.points.partition_point(|&(point, _)| point <= position);
        usize::from(self.points[if at == self.points.len() { 0 } else { at }].1)
    }

    pub(super) fn shares(&self, servers: usize) -> Vec<f64> {
        let mut shares = vec![0.0; servers];
        let mut before = self.points.last().map_or(0, |&(point, _)| point);
        for &(point, owner) in &self.points {
            shares[usize::from(owner)] += point.wrapping_sub(before) as f64 / 2_f64.powi(128);
            before = point;
        }
        shares
    }
}

/// The md5 as Python reads it: `int(hexdigest, 16)`, the most significant byte first.
fn position(bytes: &[u8]) -> u128 {
    u128::from_le_bytes(Md5::digest(bytes).into()).swap_bytes()
}

fn hex(digest: [u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}
