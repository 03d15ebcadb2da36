//! A store's folder: what lies in it, how a store comes back from it, how snapshots replace logs.
//!
//! ```text
//! MANIFEST                          which of the files below count
//! snapshot-<sequence>.kv            every key as it was after that change
//! log-<index>.kv …                  the changes since, in segments
//! log-<index>.kv.cut-<sequence> …   what was cut off the log, for the user, who alone removes it
//! LOCK                              held by the one process that uses the folder
//! *.tmp                             left by a crash, removed at the next start
//! ```
//!
//! A snapshot is written beside its predecessor, made durable, then named in a new manifest; only
//! when that is durable too does anything older go. So at every moment a crash leaves one whole
//! store behind.

mod manifest;
mod recovery;
mod repair;

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::engine::Engine;
use crate::log::segment::segment_name;
use crate::log::{Log, LogError, LogFailure, SyncMode, Torn};
use crate::snapshot::{self, SnapshotError};
use crate::storage::Storage;

use manifest::Manifest;
pub use recovery::{CutOff, Progress, Recovered};
pub use repair::{Condition, examine, repair};

/// A log this big is worth a snapshot, as Redis' `auto-aof-rewrite-min-size` has it.
const LOG_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// What survives what. A reply is an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Nothing survives, unless a client asks for a snapshot.
    #[default]
    None,
    /// What the last snapshot holds survives both the end of the process and of the power.
    Snapshot,
    /// Every acknowledged write survives the end of the process; of a power cut, a prefix as long
    /// as the system's own flushing made it.
    Os,
    /// Every acknowledged write survives the end of the process; of a power cut all but the last
    /// second, and what is left is a prefix.
    Everysec,
    /// Every acknowledged write, and all that a reply let anybody see, survives both.
    Always,
}

impl Durability {
    /// All of them, from the weakest promise to the strongest.
    pub const ALL: [Self; 5] = [Self::None, Self::Snapshot, Self::Os, Self::Everysec, Self::Always];

    /// As it is typed and printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Snapshot => "snapshot",
            Self::Os => "os",
            Self::Everysec => "everysec",
            Self::Always => "always",
        }
    }

    /// The mode of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// How the log is kept in this mode; `None` without one.
    fn sync_mode(self) -> Option<SyncMode> {
        match self {
            Self::None | Self::Snapshot => None,
            Self::Os => Some(SyncMode::Os),
            Self::Everysec => Some(SyncMode::Everysec),
            Self::Always => Some(SyncMode::Always),
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a store did not come back.
#[derive(Debug, Error)]
pub enum RecoveryError {
    #[error("{file}: {cause}")]
    Io { file: String, cause: io::Error },
    #[error("{file} is damaged at offset {offset}: {why}; restore the file from a backup")]
    Corrupt { file: String, offset: u64, why: String },
    #[error(
        "{file} has format version {version}, which this program does not know; use the one that wrote it"
    )]
    UnknownVersion { file: String, version: u32 },
    #[error(
        "{folder} holds {file} but no MANIFEST, so what it belongs to is unknown: restore MANIFEST from a backup"
    )]
    NoManifest { folder: String, file: String },
    #[error("it was told to stop")]
    Cancelled,
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

impl RecoveryError {
    /// What the system said, where it was the one that refused: nothing is damaged then.
    pub fn cause(&self) -> Option<&io::Error> {
        match self {
            Self::Io { cause, .. }
            | Self::Log(LogError::Io { cause, .. })
            | Self::Snapshot(SnapshotError::Io { cause, .. }) => Some(cause),
            _ => None,
        }
    }

    /// What [`repair`] would drop, where that can help.
    pub fn torn(&self) -> Option<&Torn> {
        match self {
            Self::Log(error) => error.torn(),
            _ => None,
        }
    }
}

/// Why a snapshot was not taken. The store goes on, on its log and older snapshot.
#[derive(Debug, Error)]
pub enum SaveError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("cannot begin a segment of the log: {0}")]
    Log(#[source] LogFailure),
    #[error("cannot sync the log: {0}")]
    LogSync(#[source] LogFailure),
    #[error("cannot replace the manifest: {0}")]
    Manifest(#[source] io::Error),
}

/// A snapshot that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saved {
    /// The last change in it.
    pub sequence: u64,
    pub entries: u64,
    pub bytes: u64,
}

/// The folder of a store that is open.
pub struct DataDir {
    storage: Arc<dyn Storage>,
    durability: Durability,
    /// Held while a snapshot is taken: there is one at a time.
    manifest: Mutex<Manifest>,
    /// The segment after the last, where there is no log to say so.
    next_segment: u64,
    /// The last change in the newest snapshot.
    saved_sequence: AtomicU64,
    saved_entries: AtomicU64,
    saved_bytes: AtomicU64,
    /// Bytes of log that the newest snapshot made obsolete.
    obsolete_bytes: AtomicU64,
    abandon: AtomicBool,
}

impl DataDir {
    /// The promise that this folder keeps.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// The last change in the newest snapshot; 0 without one.
    pub fn saved_sequence(&self) -> u64 {
        self.saved_sequence.load(Ordering::Acquire)
    }

    /// Size of the newest snapshot; 0 without one.
    pub fn saved_bytes(&self) -> u64 {
        self.saved_bytes.load(Ordering::Acquire)
    }

    /// Bytes of log since the newest snapshot; 0 without a log.
    pub fn log_bytes(&self, engine: &Engine) -> u64 {
        let appended = engine.log().map_or(0, Log::appended_bytes);
        appended.saturating_sub(self.obsolete_bytes.load(Ordering::Acquire))
    }

    /// Whether the log is long enough to be replaced by a snapshot.
    pub fn is_log_long(&self, engine: &Engine) -> bool {
        self.log_bytes(engine) >= LOG_BYTES_MIN.max(self.saved_bytes())
    }

    /// Lets a snapshot that is under way, or begins now, end soon without having been taken.
    pub fn abandon_saves(&self) {
        self.abandon.store(true, Ordering::Release);
    }

    /// Ends [`DataDir::abandon_saves`].
    pub fn allow_saves(&self) {
        self.abandon.store(false, Ordering::Release);
    }

    /// Takes a snapshot of `engine`, which goes on serving, and lets go of what it makes obsolete.
    ///
    /// # Errors
    /// When a file can't be written; then everything is as before.
    pub fn save(&self, engine: &Engine) -> Result<Saved, SaveError> {
        let mut manifest = self.manifest.lock().unwrap_or_else(PoisonError::into_inner);
        if manifest.snapshot == Some(engine.sequence()) {
            return Ok(self.saved());
        }
        let appended_bytes = engine.log().map_or(0, Log::appended_bytes);
        // Before the cut: every change after the cut is in this segment or a later one.
        let first_segment = match engine.log() {
            Some(log) => log.rotate().map_err(SaveError::Log)?,
            None => self.next_segment,
        };
        let saved = engine.write_snapshot(&*self.storage, &self.abandon)?;
        // Recovery takes a log that ends before its snapshot for a damaged one.
        if let Some(Err(failure)) = engine.log().map(|log| log.wait_durable(saved.sequence)) {
            self.remove_unnamed(saved.sequence);
            return Err(SaveError::LogSync(failure));
        }
        let new = Manifest {
            salt: manifest.salt,
            snapshot: Some(saved.sequence),
            has_log: engine.log().is_some(),
            first_segment,
        };
        if let Err(error) = new.write(&*self.storage) {
            self.remove_unnamed(saved.sequence);
            return Err(SaveError::Manifest(error));
        }
        let old = std::mem::replace(&mut *manifest, new);
        self.saved_sequence.store(saved.sequence, Ordering::Release);
        self.saved_entries.store(saved.entries, Ordering::Release);
        self.saved_bytes.store(saved.bytes, Ordering::Release);
        self.obsolete_bytes.store(appended_bytes, Ordering::Release);
        self.remove_obsolete(old, new);
        Ok(self.saved())
    }

    fn saved(&self) -> Saved {
        Saved {
            sequence: self.saved_sequence(),
            entries: self.saved_entries.load(Ordering::Acquire),
            bytes: self.saved_bytes(),
        }
    }

    /// Removes a snapshot that came to nothing, and may hold the very space that was wanting, unless
    /// the manifest names it after all.
    fn remove_unnamed(&self, sequence: u64) {
        let named = Manifest::read(&*self.storage)
            .map_or(true, |found| found.is_none_or(|manifest| manifest.snapshot == Some(sequence)));
        if !named {
            drop(self.storage.remove(&snapshot::file_name(sequence)));
        }
    }

    /// What cannot be removed now is removed at the next start.
    fn remove_obsolete(&self, old: Manifest, new: Manifest) {
        if let Some(sequence) = old.snapshot.filter(|_| old.snapshot != new.snapshot) {
            drop(self.storage.remove(&snapshot::file_name(sequence)));
        }
        for index in old.first_segment..new.first_segment {
            drop(self.storage.remove(&segment_name(index)));
        }
    }
}
