//! The manifest: which snapshot and which segments of the log make up the store.
//!
//! ```text
//! offset  bytes
//!      0      8  magic              "KVMANIF1"
//!      8      4  version            1
//!     12      4  parts              1: there is a snapshot, 2: there is a log
//!     16      8  salt               random; every segment of this store's log has it
//!     24      8  snapshot_sequence  names the snapshot, and is the last change in it
//!     32      8  first_segment      the log begins, or the next one will, with this segment
//!     40      4  crc                CRC-32C of all before
//! ```
//!
//! All numbers are little-endian, as in every file here. A listing of the folder would not do in
//! its place: from that, a segment that was lost looks like one that never was.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;

use crate::log::record::{u32_at, u64_at};
use crate::storage::Storage;

use super::RecoveryError;

pub(super) const NAME: &str = "MANIFEST";
const NAME_TMP: &str = "MANIFEST.tmp";

const MAGIC: &[u8; 8] = b"KVMANIF1";
const VERSION: u32 = 1;
const HAS_SNAPSHOT: u32 = 1;
const HAS_LOG: u32 = 2;

const CRC_OFFSET: usize = 40;
const BYTES: usize = CRC_OFFSET + 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) salt: u64,
    /// Sequence number of the snapshot, if there is one.
    pub(super) snapshot: Option<u64>,
    pub(super) has_log: bool,
    pub(super) first_segment: u64,
}

impl Manifest {
    /// An empty store's.
    pub(super) fn new() -> Self {
        // The standard library's hash seeds come from the system's random numbers.
        let salt = RandomState::new().build_hasher().finish();
        Self { salt, snapshot: None, has_log: false, first_segment: 1 }
    }

    /// Reads the manifest; `None` when the folder has none.
    pub(super) fn read(storage: &dyn Storage) -> Result<Option<Self>, RecoveryError> {
        let io = |cause| RecoveryError::Io { file: storage.path(NAME), cause };
        let file = match storage.open(NAME) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        let bytes = file.read_to_end().map_err(io)?;
        let corrupt = |offset: usize, why: &str| RecoveryError::Corrupt {
            file: storage.path(NAME),
            offset: offset as u64,
            why: why.to_owned(),
        };
        // Before length and checksum: another version may have another, and it elsewhere.
        if bytes.len() >= 12 {
            if bytes[..8] != *MAGIC {
                return Err(corrupt(0, "this is not a manifest"));
            }
            let version = u32_at(&bytes, 8);
            if version != VERSION {
                return Err(RecoveryError::UnknownVersion { file: storage.path(NAME), version });
            }
        }
        if bytes.len() != BYTES {
            return Err(corrupt(bytes.len(), "a manifest is 44 bytes long"));
        }
        if crc32c::crc32c(&bytes[..CRC_OFFSET]) != u32_at(&bytes, CRC_OFFSET) {
            return Err(corrupt(CRC_OFFSET, "the checksum is wrong"));
        }
        let parts = u32_at(&bytes, 12);
        Ok(Some(Self {
            salt: u64_at(&bytes, 16),
            snapshot: (parts & HAS_SNAPSHOT != 0).then(|| u64_at(&bytes, 24)),
            has_log: parts & HAS_LOG != 0,
            first_segment: u64_at(&bytes, 32),
        }))
    }

    /// Replaces the manifest, durably and at once: a crash leaves the old one or this one.
    pub(super) fn write(&self, storage: &dyn Storage) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let snapshot = if self.snapshot.is_some() { HAS_SNAPSHOT } else { 0 };
        let log = if self.has_log { HAS_LOG } else { 0 };
        bytes.extend_from_slice(&(snapshot | log).to_le_bytes());
        bytes.extend_from_slice(&self.salt.to_le_bytes());
        bytes.extend_from_slice(&self.snapshot.unwrap_or(0).to_le_bytes());
        bytes.extend_from_slice(&self.first_segment.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        match storage.remove(NAME_TMP) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = storage.create(NAME_TMP)?;
        file.write_all_at(&bytes, 0)?;
        file.sync_data()?;
        storage.rename(NAME_TMP, NAME)?;
        storage.sync_dir()
    }
}
