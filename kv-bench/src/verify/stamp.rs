//! What a value says of itself.
//!
//! ```text
//!  0        8        16        24       28       32
//!  run (u64) key (u64) version  length   CRC-32C  the rest of the value, as without --verify
//! ```
//! Little-endian. The checksum is over the whole value but itself, the length is the whole value's.

/// How long a stamp is: the shortest value that can carry one.
pub const STAMP_BYTES: usize = 32;
const CRC_AT: usize = 28;

/// The first bytes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// A random number of the run that wrote it.
    pub run: u64,
    pub key: u64,
    pub version: u64,
}

impl Stamp {
    /// Writes it over the beginning of `value`.
    ///
    /// # Panics
    ///
    /// When the value is shorter than [`STAMP_BYTES`].
    pub fn write(self, value: &mut [u8]) {
        let length = value.len() as u32;
        for (index, word) in [self.run, self.key, self.version].into_iter().enumerate() {
            value[index * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        value[24..CRC_AT].copy_from_slice(&length.to_le_bytes());
        let crc = checksum(value);
        value[CRC_AT..STAMP_BYTES].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads it; `None` when the value is not, byte for byte, what somebody stamped.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (head, _) = value.split_first_chunk::<STAMP_BYTES>()?;
        let word = |at: usize| Some(u64::from_le_bytes(head[at..at + 8].try_into().ok()?));
        let half = |at: usize| Some(u32::from_le_bytes(head[at..at + 4].try_into().ok()?));
        let is_whole = half(24)? as usize == value.len() && half(CRC_AT)? == checksum(value);
        is_whole.then_some(Self { run: word(0)?, key: word(8)?, version: word(16)? })
    }
}

fn checksum(value: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&value[..CRC_AT]), &value[STAMP_BYTES..])
}
