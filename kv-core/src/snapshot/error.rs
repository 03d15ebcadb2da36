//! Why a snapshot could not be written or read.

use std::io;

use super::format::SNAPSHOT_VERSION;

/// Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The system failed.
    #[error("{file}: cannot {action} it: {cause}")]
    Io {
        /// The file, with the folder.
        file: String,
        /// What was to be done: create, write, rename or read.
        action: &'static str,
        /// Why that failed.
        cause: io::Error,
    },
    /// The file is not as it was written.
    #[error("{file}: damaged at byte {offset}: {why}; restore the file from a backup")]
    Corrupt {
        /// The file, with the folder.
        file: String,
        /// Where what is wrong begins.
        offset: u64,
        /// What is wrong there.
        why: &'static str,
    },
    /// A file of a newer program.
    #[error(
        "{file}: version {version} of the snapshot's format, but this program reads version \
         {SNAPSHOT_VERSION} only: use the program that wrote it"
    )]
    UnknownVersion {
        /// The file, with the folder.
        file: String,
        /// The version it claims.
        version: u32,
    },
    /// The one who gave the entries wanted it no more.
    #[error("{file}: the snapshot was abandoned")]
    Abandoned {
        /// The file, with the folder.
        file: String,
    },
    /// There is one at a time.
    #[error("a snapshot is already being made")]
    UnderWay,
}
