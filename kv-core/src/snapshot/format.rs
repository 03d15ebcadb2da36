//! The frame around the entries: header, blocks and footer. [`super`] draws them.

use std::hash::{BuildHasher, RandomState};

use crate::log::record::{u32_at, u64_at};
use crate::table::DATABASES;

/// The version of the format that this program writes, and the only one that it reads.
pub const SNAPSHOT_VERSION: u32 = 1;

const HEADER_MAGIC: [u8; 8] = *b"kv-snp\r\n";
const FOOTER_MAGIC: [u8; 8] = *b"kv-end\r\n";

pub(super) const HEADER_BYTES: usize = 40;
pub(super) const BLOCK_HEAD_BYTES: usize = 12;
pub(super) const FOOTER_BYTES: usize = 28 + DATABASES as usize * size_of::<u64>();

/// What a snapshot is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of the last change in it.
    pub sequence: u64,
    /// When it was begun: Unix time in milliseconds.
    pub created_ms: u64,
    /// A random number that goes into every checksum, so that a block of another file that once lay
    /// in the same place on the disk is never taken for one of this.
    pub salt: u64,
}

/// Why a header or footer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameError {
    Corrupt(&'static str),
    UnknownVersion(u32),
}

impl Header {
    /// The header of a new snapshot, with a salt of its own.
    pub fn new(sequence: u64, created_ms: u64) -> Self {
        // The seeds of the standard library's hashers are the system's random numbers.
        let salt = RandomState::new().hash_one(created_ms);
        Self { sequence, created_ms, salt }
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..12].copy_from_slice(&SNAPSHOT_VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.salt.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..36]);
        bytes[36..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        if bytes[..8] != HEADER_MAGIC {
            return Err(FrameError::Corrupt("it does not begin as a snapshot does"));
        }
        // Before the checksum, whose place another version may have moved.
        let version = u32_at(bytes, 8);
        if version != SNAPSHOT_VERSION {
            return Err(FrameError::UnknownVersion(version));
        }
        if u32_at(bytes, 36) != crc32c::crc32c(&bytes[..36]) {
            return Err(FrameError::Corrupt("the checksum of the header is wrong"));
        }
        let (salt, sequence, created_ms) =
            (u64_at(bytes, 12), u64_at(bytes, 20), u64_at(bytes, 28));
        Ok(Self { sequence, created_ms, salt })
    }

    /// The checksum of a block's length and entries. Its number is in it, so that no block can
    /// stand in another's place.
    fn block_crc(&self, number: u64, entries: &[u8]) -> u32 {
        let crc = crc32c::crc32c(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &number.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &(entries.len() as u64).to_le_bytes());
        crc32c::crc32c_append(crc, entries)
    }

    /// What stands before the entries of block `number`.
    pub(super) fn block_head(&self, number: u64, entries: &[u8]) -> [u8; BLOCK_HEAD_BYTES] {
        let mut bytes = [0; BLOCK_HEAD_BYTES];
        bytes[..4].copy_from_slice(&self.block_crc(number, entries).to_le_bytes());
        bytes[4..].copy_from_slice(&(entries.len() as u64).to_le_bytes());
        bytes
    }

    /// Whether these are the entries that block `number` was written with.
    pub(super) fn is_block(&self, number: u64, crc: u32, entries: &[u8]) -> bool {
        self.block_crc(number, entries) == crc
    }
}

/// The checksum and the length in bytes of a block's entries, as its head has them.
pub(super) fn decode_block_head(bytes: &[u8; BLOCK_HEAD_BYTES]) -> (u32, u64) {
    (u32_at(bytes, 0), u64_at(bytes, 4))
}

/// What a whole snapshot holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) blocks: u64,
    /// Bytes of the entries in all blocks.
    pub(super) bytes: u64,
    /// Entries of each database.
    pub(super) entries: [u64; DATABASES as usize],
}

impl Footer {
    pub(super) fn encode(&self, header: &Header) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(&FOOTER_MAGIC);
        bytes[8..16].copy_from_slice(&self.blocks.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.bytes.to_le_bytes());
        for (count, place) in self.entries.iter().zip(bytes[24..CRC_AT].chunks_exact_mut(8)) {
            place.copy_from_slice(&count.to_le_bytes());
        }
        let crc = footer_crc(header, &bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; FOOTER_BYTES], header: &Header) -> Result<Self, FrameError> {
        if bytes[..8] != FOOTER_MAGIC {
            return Err(FrameError::Corrupt("it does not end as a snapshot does"));
        }
        if u32_at(bytes, CRC_AT) != footer_crc(header, &bytes[..CRC_AT]) {
            return Err(FrameError::Corrupt("the checksum of the footer is wrong"));
        }
        let entries = std::array::from_fn(|db| u64_at(bytes, 24 + db * 8));
        Ok(Self { blocks: u64_at(bytes, 8), bytes: u64_at(bytes, 16), entries })
    }
}

/// Where in a footer its checksum is.
const CRC_AT: usize = FOOTER_BYTES - 4;

fn footer_crc(header: &Header, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header.salt.to_le_bytes()), bytes)
}
