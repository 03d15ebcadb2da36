//! A record: all that one transaction changed, whole or not at all.
//!
//! ```text
//! offset  bytes
//!      0      4  crc       CRC-32C of everything behind it, to the end of the payload; it begins
//!                          from the segment's seed
//!      4      4  chain     the crc of the record before; of the segment's header for the first
//!      8      8  sequence  one more than the record before
//!     16      8  len       bytes of payload: one transaction may be more than 4 GiB
//!     24    len  payload   effects, one after another
//! ```
//!
//! Why each is there: the *crc* covers the length too, so that a wrong length cannot pass for a
//! right one. Its *seed* comes from the store's salt and the segment's number: old blocks of a
//! file long removed, blocks of another segment, or a copy of a log that somebody stored as a value
//! are no records here. The *chain* finds a record that is right by itself and in the wrong place.
//! The *sequence* orders records against snapshots, entries' versions and marks of durability.
//!
//! CRC-32C, because processors have an instruction for it: most records are a hundred bytes long.

/// Bytes before the payload.
pub const RECORD_HEADER_BYTES: usize = 24;

/// Where in a record its sequence stands.
pub(crate) const SEQUENCE_AT: usize = 8;

/// The checksum from which those of a segment's records begin.
pub(crate) fn seed(salt: u64, segment: u64) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &segment.to_le_bytes())
}

/// Makes room for a record's header; answers where the record begins.
#[inline]
pub(crate) fn open(buffer: &mut Vec<u8>) -> usize {
    let at = buffer.len();
    buffer.extend_from_slice(&[0; RECORD_HEADER_BYTES]);
    at
}

/// Completes the record that begins at `at` and ends with the buffer; answers its crc.
#[inline]
pub(crate) fn close(buffer: &mut [u8], at: usize, seed: u32, chain: u32, sequence: u64) -> u32 {
    let record = &mut buffer[at..];
    let len = (record.len() - RECORD_HEADER_BYTES) as u64;
    record[4..8].copy_from_slice(&chain.to_le_bytes());
    record[SEQUENCE_AT..16].copy_from_slice(&sequence.to_le_bytes());
    record[16..24].copy_from_slice(&len.to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &record[4..]);
    record[..4].copy_from_slice(&crc.to_le_bytes());
    crc
}

/// The fields of a record's header, as they stand there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) crc: u32,
    pub(crate) chain: u32,
    pub(crate) sequence: u64,
    /// Bytes of the whole record; known to fit into what follows.
    pub(crate) record_bytes: usize,
}

impl Header {
    /// Reads the header at the beginning of `bytes`, if a whole record of its length is there.
    #[inline]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let header: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
        let len = u64_at(header, 16);
        if len > (bytes.len() - RECORD_HEADER_BYTES) as u64 {
            return None;
        }
        Some(Self {
            crc: u32_at(header, 0),
            chain: u32_at(header, 4),
            sequence: u64_at(header, SEQUENCE_AT),
            record_bytes: RECORD_HEADER_BYTES + len as usize,
        })
    }

    /// Whether the crc is right. `bytes` begin with the record.
    #[inline]
    pub(crate) fn is_right(&self, bytes: &[u8], seed: u32) -> bool {
        crc32c::crc32c_append(seed, &bytes[4..self.record_bytes]) == self.crc
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie within a header"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("fields lie within a header"))
}
