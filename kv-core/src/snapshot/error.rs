//! Why a snapshot could not be written or read.

use std::io;

/// Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("cannot {action} {file}: {source}")]
    Io { file: String, action: &'static str, source: io::Error },
    #[error("{file} is corrupt at byte {offset}: {why}")]
    Corrupt { file: String, offset: u64, why: &'static str },
    #[error(
        "{file} has version {version} of the format, which this server does not know: start the one \
         that wrote it"
    )]
    UnknownVersion { file: String, version: u32 },
    #[error("the snapshot {file} was abandoned")]
    Abandoned { file: String },
    #[error("a snapshot is already being made")]
    UnderWay,
}
