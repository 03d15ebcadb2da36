//! twemproxy's ring: `distribution: ketama` with `hash: md5` and equal weights.
//!
//! Each server stands at 160 points of a 32-bit circle: the md5 of `name-0` … `name-39`, four
//! little-endian integers each. A key belongs to the first point at or after the first
//! little-endian integer of its md5, going round. twemproxy's option `hash_tag` is off.
//!
//! twemproxy computes the number of points in single precision, and for some numbers of servers
//! (25, 47, 50, 55, 61, 71, 94 … of those below 100) rounding leaves 156 instead of 160. We do the
//! same, since keys must be where twemproxy put them. So a step to or from one of these numbers also
//! moves about one key in forty between old servers; every other step moves keys to the new server
//! only.

use md5::{Digest, Md5};

/// twemproxy's `KETAMA_POINTS_PER_SERVER`.
const POINTS_PER_SERVER: f32 = 160.0;
/// One md5 makes four 32-bit points.
const POINTS_PER_HASH: f32 = 4.0;

#[derive(Debug, Clone)]
pub(super) struct Ketama {
    /// Ascending.
    points: Vec<u32>,
    /// The server at the point of the same index.
    owners: Vec<u16>,
}

impl Ketama {
    pub(super) fn new(names: &[String]) -> Self {
        let hashes = hashes_per_server(names.len());
        let mut ring = Vec::with_capacity(names.len() * hashes * 4);
        for (server, name) in names.iter().enumerate() {
            for index in 0..hashes {
                let digest: [u8; 16] = Md5::digest(format!("{name}-{index}")).into();
                let (words, _) = digest.as_chunks::<4>();
                ring.extend(words.iter().map(|&word| (u32::from_le_bytes(word), server as u16)));
            }
        }
        // Where two servers share a point the earlier one has it, as after twemproxy's stable sort.
        ring.sort_unstable();
        let (points, owners) = ring.into_iter().unzip();
        Self { points, owners }
    }

    #[inline]
    pub(super) fn owner(&self, key: &[u8]) -> usize {
        // twemproxy does not hash an empty key.
        let hash = if key.is_empty() {
            0
        } else {
            let [a, b, c, d, ..]: [u8; 16] = Md5::digest(key).into();
            u32::from_le_bytes([a, b, c, d])
        };
        let at = self.points.partition_point(|&point| point < hash);
        usize::from(self.owners[if at == self.points.len() { 0 } else { at }])
    }

    pub(super) fn shares(&self, servers: usize) -> Vec<f64> {
        let mut shares = vec![0.0; servers];
        let mut before = self.points.last().copied().unwrap_or(0);
        for (&point, &owner) in self.points.iter().zip(&self.owners) {
            shares[usize::from(owner)] += f64::from(point.wrapping_sub(before)) / 2_f64.powi(32);
            before = point;
        }
        shares
    }
}

/// How many md5 hashes place one of `servers` equal servers: 40, or 39 where twemproxy's arithmetic
/// (`floorf(pct * 160 / 4 * servers + 0.0000000001)` in single precision) rounds down.
fn hashes_per_server(servers: usize) -> usize {
    let servers = servers as f32;
    let share = 1.0 / servers;
    let hashes = share * POINTS_PER_SERVER / POINTS_PER_HASH * servers;
    (f64::from(hashes) + 0.000_000_000_1) as f32 as usize
}
