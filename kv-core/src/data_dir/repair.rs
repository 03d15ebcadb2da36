//! Repair: what a damaged store still has, at the price of everything behind the damage.
//!
//! Only the log can be repaired: it ends before the bad place then. In a snapshot every key is as
//! good as any other, so there is no part to drop.

use std::io;

use crate::log::segment::{segment_name, segment_number};
use crate::log::{self, Keeping, LogStart, Torn};
use crate::storage::Storage;

use super::RecoveryError;
use super::manifest::{self, Manifest};
use super::recovery::{effects, io_error, known_manifest, open_snapshot};

/// How a store is that can be recovered as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// The last change in it; 0 for an empty one.
    pub sequence: u64,
    /// What a crash left unfinished at the end of the log; the next start cuts it off.
    pub torn: Option<Torn>,
}

/// Reads all of a store and changes nothing.
///
/// # Errors
/// Why it cannot be recovered. [`RecoveryError::torn`] says what [`repair`] could drop.
pub fn examine(storage: &dyn Storage) -> Result<Condition, RecoveryError> {
    let Some(manifest) = known_manifest(storage)? else { return Ok(Condition::default()) };
    let after_sequence = manifest.snapshot.unwrap_or(0);
    if let Some(sequence) = manifest.snapshot {
        let reader = open_snapshot(storage, sequence)?;
        reader.for_each_block(|entries| entries.try_for_each(|entry| entry.map(drop)), |_| true)?;
    }
    if !manifest.has_log {
        return Ok(Condition { sequence: after_sequence, torn: None });
    }
    let Manifest { salt, first_segment, .. } = manifest;
    let mut failure = None;
    let end = log::read(storage, LogStart { salt, first_segment, after_sequence }, |segment| {
        failure = failure.take().or_else(|| effects(&segment).err());
        Ok(())
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok(Condition { sequence: end.sequence, torn: end.torn }),
    }
}

/// Ends the log where [`examine`] found it damaged, durably; answers the files, with their folder, in
/// which the rest is kept. An interrupted repair can be done again.
///
/// # Errors
/// When a file can't be read or written, or the rest can't be kept.
pub fn repair(storage: &dyn Storage, torn: &Torn) -> Result<Vec<String>, RecoveryError> {
    let Some(manifest) = Manifest::read(storage)? else { return Ok(Vec::new()) };
    let has_no_beginning = torn.segment == manifest.first_segment && torn.offset == 0;
    let ends_early = manifest.snapshot.is_some_and(|snapshot| torn.sequence <= snapshot);
    if !has_no_beginning && !ends_early {
        let kept = log::cut(storage, torn, Keeping::All)
            .map_err(|cause| io_error(&format!("cutting and keeping {}", torn.file), cause))?;
        return Ok(kept.files.iter().map(|name| storage.path(name)).collect());
    }
    // What is left of the log adds nothing to the snapshot: the store is that alone.
    let kept = without_log(storage, manifest, torn.sequence)
        .map_err(|cause| io_error(&storage.path(manifest::NAME), cause))?;
    Ok(kept.iter().map(|name| storage.path(name)).collect())
}

/// The log's beginning goes last: until the manifest says that there is no log, what is left of it is
/// as damaged as all was, and can be repaired again.
fn without_log(
    storage: &dyn Storage,
    manifest: Manifest,
    sequence: u64,
) -> io::Result<Vec<String>> {
    let names = storage.list()?;
    let last = names.iter().filter_map(|name| segment_number(name)).max();
    let first_segment = last.map_or(manifest.first_segment, |last| last + 1);
    let kept = log::keep_from(storage, manifest.first_segment, sequence)?;
    Manifest { has_log: false, first_segment, ..manifest }.write(storage)?;
    storage.remove(&segment_name(manifest.first_segment))?;
    storage.sync_dir()?;
    Ok(kept)
}
