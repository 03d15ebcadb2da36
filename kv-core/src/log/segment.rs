//! A segment: one file of the log, `log-<number, 10 digits>.kv`.
//!
//! ```text
//! offset  bytes
//!      0      8  magic           "kv-log\r\n": a transfer that changes line ends shows
//!      8      4  version         1
//!     12      8  salt            the store's: a file of another store is none of ours
//!     20      8  number          counts up by one: a file that is missing or misnamed shows
//!     28      8  first_sequence  of the first record here
//!     36      4  chain           the crc of the last record before; of the header before when that
//!                                segment has none; 0 for a log's first
//!     40      8  durable         all records up to this one were durable when this was written
//!     48      4  crc             CRC-32C of everything before it
//!     52      …  records, then zeros or the end
//! ```
//!
//! Zeros are written ahead in the mode that waits for every sync, because one that leaves the file's
//! length alone costs the file system less (its journal commits no new length); so the log ends
//! where only zeros follow. A file that is empty or all zeros was prepared and not begun.
//!
//! A file of such a name with `.cut-<sequence>` behind it is no part of the log: it keeps what was cut
//! off at that record, from the cut on.

use super::record::{u32_at, u64_at};

/// Bytes before the first record.
pub const SEGMENT_HEADER_BYTES: usize = 52;

/// The version of the format that this program writes, and the only one that it reads.
pub const LOG_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"kv-log\r\n";

/// The name of a segment's file.
pub fn segment_name(number: u64) -> String {
    format!("log-{number:010}.kv")
}

/// The number of the segment in the file of this name, if it is one.
pub fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?.strip_suffix(".kv")?;
    let number = digits.parse().ok()?;
    (segment_name(number) == name).then_some(number)
}

/// What stands at the beginning of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) salt: u64,
    pub(crate) number: u64,
    pub(crate) first_sequence: u64,
    pub(crate) chain: u32,
    pub(crate) durable: u64,
}

/// Why a file does not begin with a header of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoHeader {
    /// Nothing was written yet.
    Void,
    /// A version that we cannot read.
    Version(u32),
    /// Torn, or something else altogether.
    Broken,
}

impl SegmentHeader {
    /// Appends the header; answers its crc, to which the first record is chained.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) -> u32 {
        let at = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&LOG_VERSION.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.chain.to_le_bytes());
        out.extend_from_slice(&self.durable.to_le_bytes());
        let crc = crc32c::crc32c(&out[at..]);
        out.extend_from_slice(&crc.to_le_bytes());
        crc
    }

    /// Reads the header at the beginning of a file, and its crc.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, u32), NoHeader> {
        if is_zero(bytes) {
            return Err(NoHeader::Void);
        }
        // An unknown version may have put its checksum elsewhere, so it is looked at first.
        if bytes.len() >= 12 && bytes[..8] == MAGIC && u32_at(bytes, 8) != LOG_VERSION {
            return Err(NoHeader::Version(u32_at(bytes, 8)));
        }
        if bytes.len() < SEGMENT_HEADER_BYTES || bytes[..8] != MAGIC {
            return Err(NoHeader::Broken);
        }
        let crc = u32_at(bytes, 48);
        if crc32c::crc32c(&bytes[..48]) != crc {
            return Err(NoHeader::Broken);
        }
        let header = Self {
            salt: u64_at(bytes, 12),
            number: u64_at(bytes, 20),
            first_sequence: u64_at(bytes, 28),
            chain: u32_at(bytes, 36),
            durable: u64_at(bytes, 40),
        };
        Ok((header, crc))
    }
}

/// Whether only zeros are there.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    used_bytes(bytes) == 0
}

/// Bytes up to the last that is not zero.
pub(crate) fn used_bytes(bytes: &[u8]) -> usize {
    // By eights first: a prepared file may be mebibytes of zeros.
    let (head, words) = bytes.as_rchunks::<8>();
    let zeros = words.iter().rev().take_while(|word| **word == [0; 8]).count();
    let rest = bytes.len() - 8 * zeros;
    debug_assert!(head.len() <= rest);
    bytes[..rest].iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1)
}
