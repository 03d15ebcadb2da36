//! Cutting a log off where it is torn, and keeping what that takes.
//!
//! What a crash has torn was never promised to anybody; but all that tells it from damage are the
//! marks of what was durable, and a mode that seldom syncs seldom makes them. So what is cut off is
//! kept beside the log, in `log-<number, 10 digits>.kv.cut-<sequence>`: the bytes of that segment
//! from the cut on, or the whole segment where all of it went. The sequence is that of the first
//! record that is not in the log any more; where the name is taken, `-2`, `-3` and so on stand behind
//! it. Nothing reads such a file or removes it but the user.

use std::io;

use super::error::{Torn, is_full};
use super::segment::{is_zero, segment_name, segment_number};
use crate::storage::Storage;

/// Files that [`Keeping::WhatFits`] lets there be: a server that crashes again and again must not
/// fill the disk.
const KEPT_FILES_MAX: usize = 16;

/// What the names of such files have behind that of the segment.
const ENDING: &str = ".cut-";

/// How much of what is cut off is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// All of it, or the log stays as it is.
    All,
    /// What there is room for, beside no more than a few other such files.
    WhatFits,
}

/// What became of what was cut off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The names of the files that hold it.
    pub files: Vec<String>,
    /// Why some of it is in none of them.
    pub not_all: Option<String>,
}

/// Cuts off what [`read`](super::read) found torn, or what [`LogError::torn`](super::LogError::torn)
/// names, durably. An interrupted cut can be done again.
///
/// # Errors
/// When a file can't be read or changed, and with [`Keeping::All`] when one can't be kept. What was
/// not kept then is still in the log.
pub fn cut(storage: &dyn Storage, torn: &Torn, keeping: Keeping) -> io::Result<Kept> {
    let mut keeper = Keeper::new(storage, torn.sequence, keeping)?;
    if torn.offset == 0 {
        keeper.set_aside(torn.segment)?;
        return Ok(keeper.kept);
    }
    keeper.copy(torn.segment, torn.offset)?;
    keeper.set_aside(torn.segment + 1)?;
    let file = storage.open(&segment_name(torn.segment))?;
    file.set_len(torn.offset)?;
    file.sync_data()?;
    Ok(keeper.kept)
}

/// Keeps all segments from `first` on, durably, and takes all but that one out of the log, whose
/// beginning it has to have for as long as somebody may look for it. Answers the names of the copies.
pub(crate) fn keep_from(
    storage: &dyn Storage,
    first: u64,
    sequence: u64,
) -> io::Result<Vec<String>> {
    let mut keeper = Keeper::new(storage, sequence, Keeping::All)?;
    keeper.set_aside(first + 1)?;
    keeper.copy(first, 0)?;
    Ok(keeper.kept.files)
}

struct Keeper<'s> {
    storage: &'s dyn Storage,
    sequence: u64,
    keeping: Keeping,
    /// How many such files there were before.
    before: usize,
    kept: Kept,
}

impl<'s> Keeper<'s> {
    fn new(storage: &'s dyn Storage, sequence: u64, keeping: Keeping) -> io::Result<Self> {
        let before = storage.list()?.iter().filter(|name| name.contains(ENDING)).count();
        Ok(Self { storage, sequence, keeping, before, kept: Kept::default() })
    }

    /// How many more files there may be.
    fn room(&self) -> usize {
        match self.keeping {
            Keeping::All => usize::MAX,
            Keeping::WhatFits => KEPT_FILES_MAX.saturating_sub(self.before + self.kept.files.len()),
        }
    }

    fn lose(&mut self, why: impl FnOnce() -> String) {
        self.kept.not_all.get_or_insert_with(why);
    }

    fn lose_for_number(&mut self) {
        let before = self.before;
        self.lose(|| format!("there are {before} files like it already; move them away"));
    }

    /// Copies a segment from an offset on, durably.
    fn copy(&mut self, segment: u64, offset: u64) -> io::Result<()> {
        let bytes = self.storage.open(&segment_name(segment))?.read_to_end()?;
        let bytes = bytes.get(offset as usize..).unwrap_or_default();
        if is_zero(bytes) {
            return Ok(());
        }
        match self.copy_bytes(segment, bytes) {
            Ok(Some(name)) => self.kept.files.push(name),
            Ok(None) => self.lose_for_number(),
            Err(error) if self.keeping == Keeping::All => return Err(error),
            Err(error) => self.lose(|| error.to_string()),
        }
        Ok(())
    }

    /// Answers the name of the copy, unless there would be too many. One that was interrupted is
    /// completed.
    fn copy_bytes(&self, segment: u64, bytes: &[u8]) -> io::Result<Option<String>> {
        for name in kept_names(segment, self.sequence) {
            let file = match self.storage.open(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if self.room() == 0 {
                        return Ok(None);
                    }
                    let made = self.storage.create(&name)?;
                    let written = made.write_all_at(bytes, 0);
                    if let Err(error) = written {
                        // Half a copy takes room and is of no use.
                        drop(self.storage.remove(&name));
                        return Err(error);
                    }
                    made
                }
                opened => {
                    let file = opened?;
                    let there = file.read_to_end()?;
                    if !bytes.starts_with(&there) {
                        continue;
                    }
                    file.write_all_at(&bytes[there.len()..], there.len() as u64)?;
                    file
                }
            };
            file.sync_data()?;
            self.storage.sync_dir()?;
            return Ok(Some(name));
        }
        unreachable!("there is always another name")
    }

    /// Takes the segments from `first` on out of the log, durably. Newest first, one by one: after a
    /// crash in between, what is left has no gap.
    fn set_aside(&mut self, first: u64) -> io::Result<()> {
        let names = self.storage.list()?;
        let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        numbers.retain(|&number| number >= first);
        numbers.sort_unstable();
        let room = self.room();
        for (place, &number) in numbers.iter().enumerate().rev() {
            let name = segment_name(number);
            if is_zero(&self.storage.open(&name)?.read_to_end()?) {
                self.storage.remove(&name)?;
            } else if place >= room {
                self.lose_for_number();
                self.storage.remove(&name)?;
            } else {
                self.rename(number, &name, &names)?;
            }
            self.storage.sync_dir()?;
        }
        Ok(())
    }

    fn rename(&mut self, number: u64, name: &str, taken: &[String]) -> io::Result<()> {
        let free = kept_names(number, self.sequence)
            .find(|name| !taken.contains(name))
            .expect("there is always another name");
        match self.storage.rename(name, &free) {
            Ok(()) => self.kept.files.push(free),
            // Even a name takes room.
            Err(error) if self.keeping == Keeping::WhatFits && is_full(&error) => {
                self.lose(|| error.to_string());
                self.storage.remove(name)?;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
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
