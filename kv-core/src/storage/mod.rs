//! Where the files of a store lie: a folder on disk, or in tests one in memory that fails on demand.
//!
//! The promises that the log and the snapshots build on are those of a journalling file system and
//! no more: what was written is durable once [`File::sync_data`] returned, a name once
//! [`Storage::sync_dir`] did; until then a power cut may keep or lose any part of either.

mod disk;

use std::io;

pub use disk::{Disk, DiskError, LOCK_FILE};

/// One folder of files. Names are plain file names, never paths.
pub trait Storage: Send + Sync {
    /// Creates an empty file, open for reading and writing. [`io::ErrorKind::AlreadyExists`] when
    /// the name is taken.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// Opens a file for reading and writing. [`io::ErrorKind::NotFound`] when there is none.
    fn open(&self, name: &str) -> io::Result<Box<dyn File>>;

    /// The names of all files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name, in place of the file that had it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation, renaming and removal so far durable.
    fn sync_dir(&self) -> io::Result<()>;

    /// The file's full name, for messages.
    fn path(&self, name: &str) -> String;
}

/// An open file. Nobody else writes to it meanwhile.
pub trait File: Send + Sync {
    /// Writes some of `bytes` at `offset`; answers how many. Beyond the end the file grows, and
    /// reads as zeros where nothing was written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Reads some bytes from `offset`; answers how many, none only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Makes what was written durable, the length included.
    fn sync_data(&self) -> io::Result<()>;

    /// Cuts the file to `bytes`, or fills it with zeros up to there.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Its length in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Writes all of `bytes` at `offset`. After an error any part of them may have been written.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `buffer` from `offset`. [`io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// All that the file holds.
    fn read_to_end(&self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.size()? as usize];
        self.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}
