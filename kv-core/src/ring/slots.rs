//! Redis Cluster's 16384 hash slots, dealt to servers evenly.
//!
//! A key's slot is exactly Redis Cluster's. Which server holds a slot is a matter of configuration
//! there; here it follows from the list of names alone, by this deal:
//!
//! 1. The first server holds every slot.
//! 2. Each further server takes ⌊16384/N⌋ slots, N counting itself: its favourites by rendezvous
//!    weight, in that order, except that it takes from nobody more than makes all counts even to
//!    one slot.
//!
//! So for every N, shares differ by at most one slot, and going from N to N+1 servers moves
//! ⌊16384/(N+1)⌋ slots, all of them to the new server: no placement that is as even can move fewer.
//! A Maglev fill, where all servers pick in turn, is as even but moves some slots between old servers.
//!
//! The price is that the order of the list matters. *Append* new servers and take the last away,
//! and nothing else moves. Taking one from the middle deals again from there on: of 4 servers,
//! removing any moves 32 % of the slots on average where 25 % is the least, of 16 11 % where 6.3 % is
//! (50 name sets each). And a client with the same names in another order looks for most keys on
//! the wrong server. Whoever replaces a server gives the new one the *old name*, and nothing moves.
//!
//! The weight of a slot for a server is output number `slot` of `SplitMix64` (Steele, Lea and Flood,
//! OOPSLA 2014) seeded with the first 8 bytes, little-endian, of the md5 of its name. It is part of
//! the placement and must never change.

use md5::{Digest, Md5};

/// Redis Cluster's number of slots.
pub const SLOTS: usize = 16384;

#[derive(Debug, Clone)]
pub(super) struct Slots {
    owners: Box<[u16]>,
}

impl Slots {
    /// Deals the slots to servers, which are at least one and at most as many as slots. `favourites` are
    /// those of all but the first, who takes what is left.
    pub(super) fn deal(favourites: impl IntoIterator<Item = impl AsRef<[u16]>>) -> Self {
        let mut owners = vec![0; SLOTS].into_boxed_slice();
        let mut counts = vec![SLOTS];
        for favourites in favourites {
            give_to_new(&mut owners, &mut counts, favourites.as_ref());
        }
        Self { owners }
    }

    #[inline]
    pub(super) fn owner(&self, key: &[u8]) -> usize {
        usize::from(self.owners[usize::from(key_slot(key))])
    }

    pub(super) fn shares(&self, servers: usize) -> Vec<f64> {
        let mut shares = vec![0.0; servers];
        for &owner in &self.owners {
            shares[usize::from(owner)] += 1.0 / SLOTS as f64; // exact: a power of two
        }
        shares
    }
}

/// One more server takes ⌊16384/N⌋ slots, its favourites first.
fn give_to_new(owners: &mut [u16], counts: &mut Vec<usize>, favourites: &[u16]) {
    let new = counts.len();
    let (floor, above) = (SLOTS / (new + 1), SLOTS % (new + 1));
    // Of the old servers, `above` keep one slot more than the floor. The others sink to it, some of
    // which may be there already.
    let at_floor = counts.iter().filter(|&&held| held == floor).count();
    let mut may_sink = new - above - at_floor;
    let mut taken = 0;
    for &slot in favourites {
        let owner = &mut owners[usize::from(slot)];
        let held = &mut counts[usize::from(*owner)];
        if *held <= floor || (*held == floor + 1 && may_sink == 0) {
            continue;
        }
        may_sink -= usize::from(*held == floor + 1);
        *held -= 1;
        *owner = new as u16;
        taken += 1;
        if taken == floor {
            break;
        }
    }
    debug_assert_eq!(taken, floor);
    counts.push(taken);
}

/// All slots, the one with the greatest weight for this server first.
pub(super) fn by_weight(name: &str) -> Vec<u16> {
    let digest: [u8; 16] = Md5::digest(name).into();
    let mut seed = [0; 8];
    seed.copy_from_slice(&digest[..8]);
    let seed = u64::from_le_bytes(seed);
    // The slot takes the place of the weight's low 14 bits: one integer to sort by, and no ties.
    let slot_bits = SLOTS as u64 - 1;
    let mut ranked: Vec<u64> =
        (0..SLOTS as u64).map(|slot| (!weight(seed, slot) & !slot_bits) | slot).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|rank| (rank & slot_bits) as u16).collect()
}

/// Output number `slot` of `SplitMix64`.
fn weight(seed: u64, slot: u64) -> u64 {
    let state = seed.wrapping_add((slot + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

/// The Redis Cluster hash slot of a key: CRC16 mod 16384 of the key, or of its tag where it has one
/// (what stands between the first `{` and the first `}` after it, unless that is nothing).
#[inline]
pub fn key_slot(key: &[u8]) -> u16 {
    let (crc, has_brace) = crc16(key);
    let crc = if has_brace { crc16(tag(key)).0 } else { crc };
    crc & (SLOTS as u16 - 1)
}

#[cold]
fn tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let inside = &key[open + 1..];
    match inside.iter().position(|&byte| byte == b'}') {
        None | Some(0) => key,
        Some(close) => &inside[..close],
    }
}

/// CRC-16/XMODEM (polynomial 0x1021, most significant bit first, from 0), and whether there is a
/// `{` among the bytes: both in one pass, for few keys have a tag.
///
/// Eight bytes a step: table `k` holds what a byte contributes from `k` bytes before the end, so a
/// step's eight look-ups do not wait for one another as the textbook's do.
#[inline]
fn crc16(bytes: &[u8]) -> (u16, bool) {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut crc = 0_u16;
    let mut braces = 0_u64;
    for &chunk in chunks {
        braces |= zero_bytes(u64::from_le_bytes(chunk) ^ u64::from_le_bytes([b'{'; 8]));
        let mut next = CRC16_TABLES[7][usize::from(chunk[0] ^ (crc >> 8) as u8)]
            ^ CRC16_TABLES[6][usize::from(chunk[1] ^ crc as u8)];
        for k in 2..8 {
            next ^= CRC16_TABLES[7 - k][usize::from(chunk[k])];
        }
        crc = next;
    }
    for &byte in rest {
        braces |= u64::from(byte == b'{');
        crc = (crc << 8) ^ CRC16_TABLES[0][usize::from(byte ^ (crc >> 8) as u8)];
    }
    (crc, braces != 0)
}

/// Not 0 exactly when one of the eight bytes is 0 (Mycroft's test).
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

static CRC16_TABLES: [[u16; 256]; 8] = crc16_tables();

const fn crc16_tables() -> [[u16; 256]; 8] {
    let mut tables = [[0_u16; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[k - 1][byte];
            tables[k][byte] = (before << 8) ^ tables[0][(before >> 8) as usize];
            byte += 1;
        }
        k += 1;
    }
    tables
}
