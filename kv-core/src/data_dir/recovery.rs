//! Recovery: a store comes back from its folder.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::engine::{Engine, Numbered};
use crate::log::segment::segment_number;
use crate::log::{
    self, Effects, Keeping, Kept, Log, LogEnd, LogError, LogOptions, LogStart, Segment, SyncMode,
    Torn,
};
use crate::snapshot::{self, SnapshotReader};
use crate::storage::Storage;

use super::manifest::{self, Manifest};
use super::{DataDir, Durability, RecoveryError};

/// How far a recovery is; others may look while it runs, and end it.
#[derive(Debug, Default)]
pub struct Progress {
    bytes_done: AtomicU64,
    cancelled: AtomicBool,
    cut: OnceLock<CutOff>,
}

/// The end of the log that a crash left unfinished, and that was cut off.
#[derive(Debug)]
pub struct CutOff {
    pub torn: Torn,
    /// What became of it; the files with their folder.
    pub kept: Kept,
}

impl Progress {
    /// Bytes of files that are in the store.
    pub fn bytes_done(&self) -> u64 {
        self.bytes_done.load(Ordering::Relaxed)
    }

    /// Lets the recovery end soon, without a store.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// What was cut off the log, also where the recovery failed after that.
    pub fn cut(&self) -> Option<&CutOff> {
        self.cut.get()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What a recovery found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The last change that is in the store; 0 for an empty one.
    pub sequence: u64,
    /// Entries that came from the snapshot.
    pub snapshot_entries: u64,
    /// Changes that came from the log.
    pub log_records: u64,
    pub elapsed: Duration,
}

impl DataDir {
    /// Fills `engine`, which must be empty, with what lies in a folder, and keeps it there from now
    /// on as `durability` promises. An empty folder is an empty store.
    ///
    /// # Errors
    /// When a file can't be read, is damaged elsewhere than at the unfinished end of the log, or is
    /// of an unknown version; nothing was changed then. Or when the log cannot go on, its torn end
    /// being cut by then.
    pub fn open(
        storage: Arc<dyn Storage>,
        engine: &Engine,
        durability: Durability,
        progress: &Progress,
    ) -> Result<(Self, Recovered), RecoveryError> {
        Self::open_with(storage, engine, durability, LogOptions::new, progress)
    }

    /// As [`DataDir::open`], with a log, if the mode keeps one, in other sizes and times than
    /// [`LogOptions::new`] gives.
    pub fn open_with(
        storage: Arc<dyn Storage>,
        engine: &Engine,
        durability: Durability,
        options: impl FnOnce(SyncMode) -> LogOptions,
        progress: &Progress,
    ) -> Result<(Self, Recovered), RecoveryError> {
        let began = Instant::now();
        let manifest = find_manifest(&*storage)?;
        let mut recovered = Recovered::default();
        let mut saved_bytes = 0;
        if let Some(sequence) = manifest.snapshot {
            let reader = open_snapshot(&*storage, sequence)?;
            let go_on = |bytes| {
                progress.add(bytes);
                !progress.is_cancelled()
            };
            match engine.load_snapshot(&reader, go_on) {
                Err(_) if progress.is_cancelled() => return Err(RecoveryError::Cancelled),
                loaded => loaded?,
            }
            recovered.snapshot_entries = reader.entries().iter().sum();
            saved_bytes = reader.bytes();
        }
        let end = replay(&*storage, engine, manifest, &mut recovered, progress)?;
        if let Some(torn) = &end.torn {
            // What was never promised is no reason not to start.
            let mut kept = log::cut(&*storage, torn, Keeping::WhatFits)
                .map_err(|cause| io_error(&torn.file, cause))?;
            kept.files.iter_mut().for_each(|name| *name = storage.path(name));
            // One recovery, one end of the log.
            let _ = progress.cut.set(CutOff { torn: torn.clone(), kept });
        }
        recovered.sequence = end.sequence;
        engine.resume_at(end.sequence);
        let options = durability.sync_mode().map(options);
        let manifest = begin(&storage, engine, options, manifest, &end)?;
        remove_rubbish(&*storage, manifest);
        recovered.elapsed = began.elapsed();
        let this = Self {
            storage,
            durability,
            manifest: Mutex::new(manifest),
            next_segment: end.next_segment,
            saved_sequence: AtomicU64::new(manifest.snapshot.unwrap_or(0)),
            saved_entries: AtomicU64::new(recovered.snapshot_entries),
            saved_bytes: AtomicU64::new(saved_bytes),
            obsolete_bytes: AtomicU64::new(0),
            abandon: AtomicBool::new(false),
        };
        Ok((this, recovered))
    }
}

/// The snapshot that a manifest names.
pub(super) fn open_snapshot(
    storage: &dyn Storage,
    sequence: u64,
) -> Result<SnapshotReader, RecoveryError> {
    let name = snapshot::file_name(sequence);
    let reader = SnapshotReader::open(storage, &name)?;
    let found = reader.header().sequence;
    if found == sequence {
        return Ok(reader);
    }
    let why = format!("it is the snapshot of change {found}");
    Err(RecoveryError::Corrupt { file: storage.path(&name), offset: 0, why })
}

/// The manifest of a store; a new one's where the folder is empty.
fn find_manifest(storage: &dyn Storage) -> Result<Manifest, RecoveryError> {
    if let Some(manifest) = known_manifest(storage)? {
        return Ok(manifest);
    }
    let manifest = Manifest::new();
    manifest.write(storage).map_err(|cause| io_error(&storage.path(manifest::NAME), cause))?;
    Ok(manifest)
}

/// The manifest of a store, unless the folder is empty.
pub(super) fn known_manifest(storage: &dyn Storage) -> Result<Option<Manifest>, RecoveryError> {
    if let Some(manifest) = Manifest::read(storage)? {
        return Ok(Some(manifest));
    }
    let folder = storage.path("");
    let names = storage.list().map_err(|cause| io_error(&folder, cause))?;
    match names.into_iter().find(|name| is_part(name)) {
        Some(file) => Err(RecoveryError::NoManifest { folder, file }),
        None => Ok(None),
    }
}

/// Applies the log to what the snapshot gave.
fn replay(
    storage: &dyn Storage,
    engine: &Engine,
    manifest: Manifest,
    recovered: &mut Recovered,
    progress: &Progress,
) -> Result<LogEnd, RecoveryError> {
    let Manifest { salt, first_segment, .. } = manifest;
    let after_sequence = manifest.snapshot.unwrap_or(0);
    if !manifest.has_log {
        return Ok(LogEnd::before(first_segment, salt, after_sequence));
    }
    let start = LogStart { salt, first_segment, after_sequence };
    let mut failure = None;
    let end = log::read(storage, start, |segment| {
        let applied = match progress.is_cancelled() {
            true => Err(RecoveryError::Cancelled),
            false => effects(&segment).map(|effects| engine.replay(&effects)),
        };
        recovered.log_records += segment.records.len() as u64;
        progress.add(segment.bytes.len() as u64);
        applied.map_err(|error| {
            failure = Some(error);
            // Ends the reading; nobody sees it.
            LogError::Io { file: String::new(), cause: io::ErrorKind::Interrupted.into() }
        })
    });
    match failure {
        Some(failure) => Err(failure),
        None => Ok(end?),
    }
}

/// Every effect in a segment, with the number of the change that it is part of.
pub(super) fn effects<'a>(segment: &Segment<'a>) -> Result<Vec<Numbered<'a>>, RecoveryError> {
    let mut effects = Vec::with_capacity(segment.records.len());
    for record in segment.records {
        let payload = record.payload.clone();
        for effect in Effects::of(&segment.bytes[payload.clone()]) {
            let effect = effect.map_err(|error| RecoveryError::Corrupt {
                file: segment.file.to_owned(),
                offset: (payload.start + error.offset) as u64,
                why: error.to_string(),
            })?;
            effects.push((record.sequence, effect));
        }
    }
    Ok(effects)
}

/// Begins to log, where the mode wants that; answers what the manifest says then.
fn begin(
    storage: &Arc<dyn Storage>,
    engine: &Engine,
    options: Option<LogOptions>,
    manifest: Manifest,
    end: &LogEnd,
) -> Result<Manifest, RecoveryError> {
    let Some(options) = options else { return Ok(manifest) };
    // Its tail, if it was torn, has been cut.
    let end = LogEnd { torn: None, ..end.clone() };
    let log = Log::start(Arc::clone(storage), options, &end)?;
    let mut manifest = manifest;
    if !manifest.has_log {
        // The segment is there by now: a manifest that names a log tells the truth at any moment.
        manifest = Manifest { has_log: true, first_segment: end.next_segment, ..manifest };
        manifest
            .write(&**storage)
            .map_err(|cause| io_error(&storage.path(manifest::NAME), cause))?;
    }
    engine.attach(log);
    Ok(manifest)
}

/// Removes what a crash left of work that was never finished, or no longer needed. What cannot be
/// removed now is harmless.
fn remove_rubbish(storage: &dyn Storage, manifest: Manifest) {
    let current = manifest.snapshot.map(snapshot::file_name);
    for name in storage.list().unwrap_or_default() {
        let is_old_segment =
            segment_number(&name).is_some_and(|number| number < manifest.first_segment);
        let is_stray = snapshot::is_file_name(&name) && Some(&name) != current.as_ref();
        let is_unfinished = name
            .strip_suffix(".tmp")
            .is_some_and(|name| name == manifest::NAME || snapshot::is_file_name(name));
        if is_old_segment || is_stray || is_unfinished {
            drop(storage.remove(&name));
        }
    }
}

/// Whether a file can only belong to a store.
fn is_part(name: &str) -> bool {
    segment_number(name).is_some() || snapshot::is_file_name(name)
}

pub(super) fn io_error(file: &str, cause: io::Error) -> RecoveryError {
    RecoveryError::Io { file: file.to_owned(), cause }
}
