//! Cutting a log off where it is torn, and keeping what that takes.
//!
//! What a crash has torn was never promised to anybody; but all that tells it from damage are the
//! marks of what was durable, and a mode that seldom syncs seldom makes them. So what is cut off is
//! kept beside the log, in `log-<number, 10 digits>.kv.cut-<sequence>`: the bytes of that segment
//! from the cut on, or the whole segment where all of it went. The sequence is that of the first
//! record that is not in the log any more; where the name is taken, `-2`, `-3` and so on stand behind
//! it. Nothing reads such a file or removes it but the user.

use std::io;

use super::error::Torn;
use super::segment::{is_zero, segment_name, segment_number};
use crate::storage::Storage;

/// Files that may be there for [`keep`] to make another. A server that crashes again and again must
/// not fill the disk.
const KEPT_FILES_MAX: usize = 16;

/// What the names of such files have behind that of the segment.
const ENDING: &str = ".cut-";

/// Copies what [`cut`] would take from the segment that it shortens, durably; answers the name of the
/// file, if there was anything to copy. An interrupted copy can be made again.
///
/// # Errors
/// Why that is not possible, such as a full disk; the log is as before.
pub fn keep(storage: &dyn Storage, torn: &Torn) -> io::Result<Option<String>> {
    if torn.offset == 0 {
        return Ok(None);
    }
    let bytes = storage.open(&segment_name(torn.segment))?.read_to_end()?;
    let bytes = bytes.get(torn.offset as usize..).unwrap_or_default();
    if is_zero(bytes) {
        return Ok(None);
    }
    let is_kept = |name: &String| name.contains(ENDING);
    let kept = storage.list()?.into_iter().filter(is_kept).count();
    if kept >= KEPT_FILES_MAX {
        let why = format!("there are {kept} files like it already; move them away");
        return Err(io::Error::other(why));
    }
    for name in kept_names(torn.segment, torn.sequence) {
        let file = match storage.create(&name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = storage.open(&name)?;
                if !bytes.starts_with(&file.read_to_end()?) {
                    continue;
                }
                file
            }
            created => created?,
        };
        let written = file.write_all_at(bytes, 0).and_then(|()| file.sync_data());
        if let Err(error) = written.and_then(|()| storage.sync_dir()) {
            // Half a copy takes room and is of no use.
            drop(storage.remove(&name));
            return Err(error);
        }
        return Ok(Some(name));
    }
    Ok(None)
}

/// Cuts off what [`read`](super::read) found torn, or what [`LogError::torn`](super::LogError::torn)
/// names, durably; answers the names under which whole segments are kept. What goes from the last
/// that stays is gone, unless [`keep`] has copied it. An interrupted cut can be done again.
pub fn cut(storage: &dyn Storage, torn: &Torn) -> io::Result<Vec<String>> {
    let first = torn.segment + u64::from(torn.offset > 0);
    let kept = set_aside(storage, first, torn.sequence)?;
    if torn.offset > 0 {
        let file = storage.open(&segment_name(torn.segment))?;
        file.set_len(torn.offset)?;
        file.sync_data()?;
    }
    Ok(kept)
}

/// Takes the segments from `first` on out of the log, durably; answers the names of those that hold
/// anything.
pub(crate) fn set_aside(
    storage: &dyn Storage,
    first: u64,
    sequence: u64,
) -> io::Result<Vec<String>> {
    let names = storage.list()?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.retain(|&number| number >= first);
    numbers.sort_unstable();
    let mut kept = Vec::new();
    // Newest first, one by one: after a crash in between, what is left has no gap.
    for &number in numbers.iter().rev() {
        let name = segment_name(number);
        if is_zero(&storage.open(&name)?.read_to_end()?) {
            storage.remove(&name)?;
        } else if let Some(free) = kept_names(number, sequence).find(|name| !names.contains(name)) {
            storage.rename(&name, &free)?;
            kept.push(free);
        }
        storage.sync_dir()?;
    }
    Ok(kept)
}

/// The names under which a cut can be kept, the best first.
fn kept_names(number: u64, sequence: u64) -> impl Iterator<Item = String> {
    let name = format!("{}{ENDING}{sequence}", segment_name(number));
    let others = (2_u64..).map({
        let name = name.clone();
        move |attempt| format!("{name}-{attempt}")
    });
    std::iter::once(name).chain(others)
}
