//! Snapshots: a file with every entry as it was at one moment.
//!
//! `snapshot-<sequence, 20 digits>.kv`, all numbers little-endian:
//!
//! ```text
//! header   0  8  magic        "kv-snp\r\n": a transfer that changes line ends shows
//!          8  4  version      1
//!         12  8  salt         random; in every checksum below
//!         20  8  sequence     of the last change in it
//!         28  8  created_ms   Unix time
//!         36  4  crc          of the 36 bytes before
//! block    0  4  crc          of salt, number of the block (8 bytes, from 0), len, entries
//!          4  8  len          bytes of the entries
//!         12     entries      whole ones, as `entry` draws them
//! …
//! footer   0  8  magic        "kv-end\r\n"
//!          8  8  blocks
//!         16  8  bytes        of the entries in all blocks
//!         24 128 entries      of each of the 16 databases, 8 bytes each
//!        152  4  crc          of salt and the 152 bytes before
//! ```
//!
//! * A block holds up to 1 MiB of entries, or one that is bigger: enough that checking and loading
//!   it is worth handing to a thread, small enough that a few of them in memory do not matter.
//! * Checksums are CRC-32C, which one instruction computes. They begin with the salt and the block's
//!   number, so that a block is right in one place of one file only.
//! * The footer stands at the end, where its place is known without reading what is before, and says
//!   how much there has to be: a file that was cut anywhere, even between two blocks, is refused,
//!   and the table is made as big as it must be before it is filled, which halves the time that
//!   takes.
//! * The entries are in no order, and no key is there twice.
//!
//! A snapshot is written under another name, made durable, and renamed: under its own name it is
//! whole or not there at all.

mod entry;
mod error;
mod format;
mod reader;
mod writer;

pub use entry::{Entries, EntryBuffer, Malformed, StoredEntry};
pub use error::SnapshotError;
pub use format::{Header, SNAPSHOT_VERSION};
pub use reader::SnapshotReader;
pub use writer::{Fill, SnapshotFile, write};

/// The name of the snapshot that holds all changes up to `sequence`.
pub fn file_name(sequence: u64) -> String {
    format!("snapshot-{sequence:020}.kv")
}

/// Whether a file's name is that of a snapshot.
pub fn is_file_name(name: &str) -> bool {
    let digits = name.strip_prefix("snapshot-").and_then(|rest| rest.strip_suffix(".kv"));
    digits.is_some_and(|digits| digits.len() == 20 && digits.parse::<u64>().is_ok())
}
