//! Reads a snapshot: its frame first, then its blocks side by side.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::iter::{IndexedParallelIterator, IntoParallelRefIterator, ParallelIterator};

use crate::storage::{File, Storage};
use crate::table::DATABASES;

use super::SnapshotError;
use super::entry::{Entries, HEAD_BYTES, Malformed};
use super::format::{
    BLOCK_HEAD_BYTES, FOOTER_BYTES, Footer, FrameError, HEADER_BYTES, Header, decode_block_head,
};

/// A snapshot whose frame was checked: header, footer, and where the blocks are.
pub struct SnapshotReader {
    /// The file's full name, for messages.
    path: String,
    file: Box<dyn File>,
    header: Header,
    footer: Footer,
    footer_offset: u64,
    blocks: Vec<Block>,
}

struct Block {
    /// Where its entries begin.
    offset: u64,
    len: u64,
    crc: u32,
}

impl SnapshotReader {
    /// Opens a snapshot and checks all of it but the entries.
    ///
    /// # Errors
    /// When it cannot be read, is of another version, or is not as it was written.
    pub fn open(storage: &dyn Storage, name: &str) -> Result<Self, SnapshotError> {
        let path = storage.path(name);
        let open = || {
            let file = storage.open(name)?;
            let size = file.size()?;
            Ok((file, size))
        };
        let (file, size) = open().map_err(|cause| cannot_read(&path, cause))?;
        let frame = Frame { path: &path, file: &*file };
        let Some(footer_offset) =
            size.checked_sub(FOOTER_BYTES as u64).filter(|&offset| offset >= HEADER_BYTES as u64)
        else {
            return Err(corrupt(&path, size, "it ends before its footer"));
        };
        let header = Header::decode(&frame.bytes_at(0)?).map_err(|error| frame.refuse(0, error))?;
        let footer = Footer::decode(&frame.bytes_at(footer_offset)?, &header)
            .map_err(|error| frame.refuse(footer_offset, error))?;
        let blocks = frame.blocks(footer_offset, footer.blocks)?;
        let bytes: u64 = blocks.iter().map(|block| block.len).sum();
        if (blocks.len() as u64, bytes) != (footer.blocks, footer.bytes) {
            return Err(corrupt(&path, footer_offset, "the blocks are not what the footer counts"));
        }
        let entries = footer.entries.iter().try_fold(0u64, |sum, &count| sum.checked_add(count));
        if entries.is_none_or(|entries| entries > bytes / HEAD_BYTES as u64) {
            return Err(corrupt(&path, footer_offset, "its footer counts too many entries"));
        }
        Ok(Self { path, file, header, footer, footer_offset, blocks })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many entries it holds of each database: never more than would fit into the file.
    pub fn entries(&self) -> &[u64; DATABASES as usize] {
        &self.footer.entries
    }

    /// Bytes of its entries.
    pub fn bytes(&self) -> u64 {
        self.footer.bytes
    }

    /// Calls `on_block` with the entries of each block, in no order and from several threads, and
    /// `progress` with the number of bytes that one more block had, which answers whether to go on. A
    /// block's checksum is verified
    /// before; what it says about entries that are none is passed on.
    ///
    /// # Errors
    /// Of all errors the one nearest to the beginning of the file. Some blocks behind it may have
    /// been delivered.
    pub fn for_each_block(
        &self,
        on_block: impl Fn(&mut Entries<'_>) -> Result<(), Malformed> + Sync,
        progress: impl Fn(u64) -> bool + Sync,
    ) -> Result<(), SnapshotError> {
        let entries = [const { AtomicU64::new(0) }; DATABASES as usize];
        let read = |buffer: &mut Vec<u8>, (number, block): (usize, &Block)| {
            let decoded = match self.read_block(number as u64, block, buffer, &on_block) {
                Ok(decoded) => decoded,
                Err(error) => return Some(error),
            };
            for (count, decoded) in entries.iter().zip(decoded) {
                count.fetch_add(decoded, Ordering::Relaxed);
            }
            match progress(block.len) {
                true => None,
                false => Some(SnapshotError::Abandoned { file: self.path.clone() }),
            }
        };
        let failed = self
            .blocks
            .par_iter()
            .enumerate()
            .map_init(Vec::new, read)
            .find_map_first(|failed| failed);
        match failed {
            Some(error) => Err(error),
            None if entries.map(AtomicU64::into_inner) != self.footer.entries => {
                Err(corrupt(&self.path, self.footer_offset, "its footer counts other entries"))
            }
            None => Ok(()),
        }
    }

    fn read_block(
        &self,
        number: u64,
        block: &Block,
        buffer: &mut Vec<u8>,
        on_block: impl Fn(&mut Entries<'_>) -> Result<(), Malformed>,
    ) -> Result<[u64; DATABASES as usize], SnapshotError> {
        // No longer than the file is: `Frame::blocks` saw to that.
        buffer.resize(block.len as usize, 0);
        self.file
            .read_exact_at(buffer, block.offset)
            .map_err(|cause| cannot_read(&self.path, cause))?;
        if !self.header.is_block(number, block.crc, buffer) {
            let offset = block.offset - BLOCK_HEAD_BYTES as u64;
            return Err(corrupt(&self.path, offset, "the checksum of a block is wrong"));
        }
        let mut entries = Entries::new(buffer);
        on_block(&mut entries)
            .and_then(|()| entries.try_for_each(|entry| entry.map(drop)))
            .map_err(|malformed| {
                corrupt(&self.path, block.offset + malformed.offset as u64, malformed.why)
            })?;
        Ok(*entries.decoded())
    }
}

/// A file while its frame is read.
struct Frame<'a> {
    path: &'a str,
    file: &'a dyn File,
}

impl Frame<'_> {
    fn bytes_at<const N: usize>(&self, offset: u64) -> Result<[u8; N], SnapshotError> {
        let mut bytes = [0; N];
        self.file
            .read_exact_at(&mut bytes, offset)
            .map_err(|cause| cannot_read(self.path, cause))?;
        Ok(bytes)
    }

    fn refuse(&self, offset: u64, error: FrameError) -> SnapshotError {
        match error {
            FrameError::Corrupt(why) => corrupt(self.path, offset, why),
            FrameError::UnknownVersion(version) => {
                SnapshotError::UnknownVersion { file: self.path.to_owned(), version }
            }
        }
    }

    /// The blocks between the header and the footer, as their heads say; at most `count`.
    fn blocks(&self, footer_offset: u64, count: u64) -> Result<Vec<Block>, SnapshotError> {
        let mut blocks = Vec::new();
        let mut at = HEADER_BYTES as u64;
        while at < footer_offset {
            if blocks.len() as u64 == count {
                return Err(corrupt(self.path, at, "there are more blocks than the footer counts"));
            }
            let offset = at + BLOCK_HEAD_BYTES as u64;
            if offset > footer_offset {
                return Err(corrupt(self.path, at, "a block is cut short"));
            }
            let (crc, len) = decode_block_head(&self.bytes_at(at)?);
            if len > footer_offset - offset {
                return Err(corrupt(self.path, at, "a block is longer than the file"));
            }
            if len == 0 {
                return Err(corrupt(self.path, at, "a block is empty"));
            }
            blocks.push(Block { offset, len, crc });
            at = offset + len;
        }
        Ok(blocks)
    }
}

fn cannot_read(path: &str, cause: io::Error) -> SnapshotError {
    SnapshotError::Io { file: path.to_owned(), action: "read", cause }
}

fn corrupt(path: &str, offset: u64, why: &'static str) -> SnapshotError {
    SnapshotError::Corrupt { file: path.to_owned(), offset, why }
}
