//! Writes a snapshot.

use std::io;

use crate::storage::{File, Storage};

use super::entry::{Entries, EntryBuffer};
use super::format::{Footer, Header};
use super::{SnapshotError, file_name};

/// Bytes of the entries in a block, but for one with a single entry that is bigger.
pub(super) const BLOCK_BYTES_MAX: usize = 1024 * 1024;

/// Bytes written between two syncs: the system then never has so much to write at once that the
/// log's syncs wait for long behind it.
const SYNC_BYTES: u64 = 32 * 1024 * 1024;

/// Memory for entries that is kept between two blocks.
const BUFFER_BYTES_KEPT: usize = 4 * BLOCK_BYTES_MAX;

/// What a source of entries says when it was asked for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// There may be more.
    More,
    /// These were the last.
    End,
    /// Nobody wants the snapshot any more.
    Abandon,
}

/// A snapshot that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    pub name: String,
    /// Number of the last change in it.
    pub sequence: u64,
    pub entries: u64,
    /// Length of the file.
    pub bytes: u64,
}

/// Writes a snapshot of the entries that `source` puts into the buffer it is called with, over and
/// over, until it says that there are no more. Afterwards the file is there, durable, under the name
/// of the header's sequence.
///
/// # Errors
/// Whatever the storage says, and [`SnapshotError::Abandoned`] when the source does. A file of that
/// name is then still as it was, or, when the very last step failed, this one, whole.
pub fn write(
    storage: &dyn Storage,
    header: &Header,
    mut source: impl FnMut(&mut EntryBuffer) -> Fill,
) -> Result<SnapshotFile, SnapshotError> {
    let name = file_name(header.sequence);
    let partial = format!("{name}.tmp");
    let written = write_partial(storage, &partial, header, &mut source).and_then(|written| {
        let renamed = storage.rename(&partial, &name).and_then(|()| storage.sync_dir());
        renamed.map_err(|cause| failed(storage, &name, "rename", cause))?;
        Ok(written)
    });
    let (footer, bytes) = written.inspect_err(|_| {
        // What cannot be removed now is at the next start; the first error is the one to tell.
        let _ = storage.remove(&partial);
    })?;
    let entries = footer.entries.iter().sum();
    Ok(SnapshotFile { name, sequence: header.sequence, entries, bytes })
}

fn failed(
    storage: &dyn Storage,
    name: &str,
    action: &'static str,
    cause: io::Error,
) -> SnapshotError {
    SnapshotError::Io { file: storage.path(name), action, cause }
}

/// Writes the file and makes it durable; answers its footer and its length.
fn write_partial(
    storage: &dyn Storage,
    partial: &str,
    header: &Header,
    source: &mut impl FnMut(&mut EntryBuffer) -> Fill,
) -> Result<(Footer, u64), SnapshotError> {
    let file =
        create(storage, partial).map_err(|cause| failed(storage, partial, "create", cause))?;
    let mut writer = Writer { file, header, offset: 0, synced: 0, footer: Footer::default() };
    let mut buffer = EntryBuffer::default();
    let written =
        |result: io::Result<()>| result.map_err(|cause| failed(storage, partial, "write", cause));
    written(writer.put(&header.encode()))?;
    loop {
        match source(&mut buffer) {
            Fill::More => written(writer.put_blocks(&mut buffer, BLOCK_BYTES_MAX))?,
            Fill::End => break,
            Fill::Abandon => {
                return Err(SnapshotError::Abandoned { file: storage.path(partial) });
            }
        }
    }
    written(writer.put_blocks(&mut buffer, 1))?;
    written(writer.finish())?;
    Ok((writer.footer, writer.offset))
}

/// Creates the file anew: one of that name is left from an attempt that failed.
fn create(storage: &dyn Storage, name: &str) -> io::Result<Box<dyn File>> {
    match storage.create(name) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            storage.remove(name)?;
            storage.create(name)
        }
        created => created,
    }
}

struct Writer<'a> {
    file: Box<dyn File>,
    header: &'a Header,
    offset: u64,
    /// Bytes that were synced.
    synced: u64,
    footer: Footer,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        if self.offset - self.synced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.synced = self.offset;
        }
        Ok(())
    }

    /// Writes blocks for as long as at least `bytes_min` are waiting.
    fn put_blocks(&mut self, buffer: &mut EntryBuffer, bytes_min: usize) -> io::Result<()> {
        let mut rest = buffer.bytes();
        while rest.len() >= bytes_min {
            let block = self.next_block(rest);
            rest = &rest[block.len()..];
            self.put(&self.header.block_head(self.footer.blocks, block))?;
            self.put(block)?;
            self.footer.blocks += 1;
            self.footer.bytes += block.len() as u64;
        }
        let consumed = buffer.bytes().len() - rest.len();
        if consumed > 0 {
            buffer.consume(consumed, BUFFER_BYTES_KEPT);
        }
        Ok(())
    }

    /// As many entries as a block may hold, but at least one; counts them.
    fn next_block<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut entries = Entries::new(bytes);
        let mut len = 0;
        while let Some(entry) = entries.next() {
            let entry = entry.expect("entries encoded by an EntryBuffer");
            if len > 0 && entries.offset() > BLOCK_BYTES_MAX {
                break;
            }
            self.footer.entries[usize::from(entry.db)] += 1;
            len = entries.offset();
        }
        &bytes[..len]
    }

    fn finish(&mut self) -> io::Result<()> {
        self.put(&self.footer.encode(self.header))?;
        self.file.sync_data()
    }
}
