//! What can be wrong with a log that is read, and what can go wrong while one is written.

use std::io;
use std::sync::Arc;

use super::segment::LOG_VERSION;

/// A place in the log from which on nothing can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The segment in which the usable log ends.
    pub segment: u64,
    /// Its file, with the folder, for messages.
    pub file: String,
    /// Where in that file it ends: what lies behind, and every later segment, is to go.
    pub offset: u64,
    /// The first record that would go.
    pub sequence: u64,
    /// Bytes that would go. Zeros behind the last other byte are not counted: they were written
    /// ahead.
    pub bytes: u64,
}

/// Why a log cannot be read. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Something that was durable is damaged. Cutting at `torn` drops it and all that came later.
    #[error(
        "{}: damaged at byte {}: {why}; {} bytes from there on cannot be used, and at least a part \
         of them was safe on disk once: restore the file from a backup, or repair the log, which \
         drops them",
        torn.file, torn.offset, torn.bytes
    )]
    Corrupt {
        /// Where, and what a repair would drop.
        torn: Torn,
        /// What is wrong there.
        why: String,
    },
    /// A file of a newer program, or of none.
    #[error(
        "{file}: version {version} of the log's format, but this program reads version \
         {LOG_VERSION} only: use the program that wrote it"
    )]
    UnknownVersion {
        /// The file.
        file: String,
        /// The version it claims.
        version: u32,
    },
    /// A file that belongs elsewhere.
    #[error("{file}: {why}; move it away if it does not belong to this store")]
    Foreign {
        /// The file.
        file: String,
        /// How that shows.
        why: String,
    },
    /// A segment between others, or the first, is not there.
    #[error("{file}: this part of the log is missing; restore it from a backup")]
    Missing {
        /// The file that should be there.
        file: String,
        /// Where the log could be cut instead. None when its beginning is missing.
        torn: Option<Torn>,
    },
    /// The system failed.
    #[error("{file}: {}", strerror(cause))]
    Io {
        /// The file or folder.
        file: String,
        /// Why.
        cause: io::Error,
    },
}

impl LogError {
    /// Where a repair would cut, where that can help.
    pub fn torn(&self) -> Option<&Torn> {
        match self {
            Self::Corrupt { torn, .. } => Some(torn),
            Self::Missing { torn, .. } => torn.as_ref(),
            _ => None,
        }
    }
}

/// Why the log takes no changes at present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFailure {
    /// The system's words, such as `No space left on device`.
    pub reason: Arc<str>,
    /// Whether this lasts until restart. Otherwise the log goes on by itself once there is space.
    pub lasting: bool,
    kind: io::ErrorKind,
}

impl std::fmt::Display for LogFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LogFailure {}

impl LogFailure {
    pub(super) fn new(cause: &io::Error, lasting: bool) -> Self {
        Self { reason: strerror(cause).into(), lasting, kind: cause.kind() }
    }

    pub(super) fn closed() -> Self {
        Self { reason: "the log is closed".into(), lasting: true, kind: io::ErrorKind::Other }
    }

    /// What lets the log take changes again.
    pub fn remedy(&self) -> &'static str {
        match self.kind {
            _ if self.lasting => "see to the disk, then restart the server",
            io::ErrorKind::FileTooLarge => {
                "raise the limit on the size of files (prlimit --fsize, ulimit -f, LimitFSIZE=)"
            }
            io::ErrorKind::QuotaExceeded => "remove files, or raise the quota",
            io::ErrorKind::NotFound => {
                "its folder is gone: what is in memory is all there is, so copy it, then restart \
                 the server"
            }
            _ => "make room on that disk",
        }
    }
}

/// Whether the disk, the quota or the file is full: the one failure of a write that says what became
/// of it, and that passes.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// The system's words alone, as Redis repeats them.
fn strerror(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
