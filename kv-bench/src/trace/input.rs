//! A trace's bytes as lines: plain or compressed with zstd, a file or standard input.

use std::fs::{self, File};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use crate::digest::hex;

/// A longer line is bad: such a value would be of 4 MiB at least.
const LINE_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 128 * 1024;
/// What every frame of zstd begins with, and a frame that decoders pass over (but for its lowest half
/// byte).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];
/// What is looked at of standard input before the run.
const PREFIX_BYTES: u64 = 64 * 1024;
/// And more of it where it is compressed, in blocks of up to 128 KiB.
const COMPRESSED_PREFIX_BYTES: u64 = 256 * 1024;

/// Where a trace comes from.
#[derive(Debug, Clone)]
pub enum Source {
    File(Stored),
    /// Standard input, of which this much was read before; all of it where it `is_whole`.
    Standard {
        prefix: Arc<[u8]>,
        is_whole: bool,
    },
}

impl Source {
    /// That of `path`, or standard input of `-`, of which `progress` shows what is waited for.
    ///
    /// # Errors
    ///
    /// When it cannot be opened, or standard input cannot be read.
    pub fn of(path: &Path, progress: &ProgressBar) -> io::Result<Self> {
        if path != Path::new("-") {
            return Ok(Self::File(Stored::open(path)?));
        }
        progress.set_prefix("waiting for the beginning of standard input, or its end");
        progress.set_length(PREFIX_BYTES);
        progress.tick();
        let mut prefix = Vec::new();
        let beginning = io::stdin().lock().take(PREFIX_BYTES);
        progress.wrap_read(beginning).read_to_end(&mut prefix)?;
        let mut wanted = PREFIX_BYTES;
        if prefix.starts_with(&ZSTD_MAGIC) && prefix.len() as u64 == PREFIX_BYTES {
            wanted = COMPRESSED_PREFIX_BYTES;
            io::stdin().lock().take(wanted - PREFIX_BYTES).read_to_end(&mut prefix)?;
        }
        let is_whole = (prefix.len() as u64) < wanted;
        Ok(Self::Standard { prefix: prefix.into(), is_whole })
    }

    /// As messages name it.
    pub fn name(&self) -> String {
        match self {
            Self::File(stored) => stored.path.display().to_string(),
            Self::Standard { .. } => "standard input".to_owned(),
        }
    }

    /// Whether all of it can be read as often as it is wanted.
    pub fn is_whole(&self) -> bool {
        !matches!(self, Self::Standard { is_whole: false, .. })
    }

    /// For a look before the run, of which `progress` shows how far it is: all of it, or what is known of
    /// it. The checksum is of the bytes as they are stored.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn survey(&self, progress: &ProgressBar) -> io::Result<(Lines, Arc<Mutex<Checksum>>)> {
        progress.set_prefix("looking at the trace");
        progress.set_length(match self {
            Self::File(stored) => stored.bytes,
            Self::Standard { prefix, .. } => prefix.len() as u64,
        });
        let (hash, progress) = (Sha256::default(), progress.clone());
        let checksum = Arc::new(Mutex::new(Checksum { hash, bytes: 0, progress }));
        let summed = Summed { raw: self.known(0), checksum: Arc::clone(&checksum) };
        Ok((Lines::new(Box::new(summed))?, checksum))
    }

    /// Completes the checksum of what was not looked at to its end.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    pub fn sum_up(&self, checksum: &Arc<Mutex<Checksum>>) -> io::Result<()> {
        let from = checksum.lock().unwrap_or_else(PoisonError::into_inner).bytes;
        let mut summed = Summed { raw: self.known(from), checksum: Arc::clone(checksum) };
        io::copy(&mut summed, &mut io::sink()).map(|_| ())
    }

    /// What can be looked at before the run, from a byte on.
    fn known(&self, from: u64) -> Box<dyn Read + Send> {
        match self {
            Self::File(stored) => Box::new(Rest { stored: stored.clone(), at: from }),
            Self::Standard { prefix, .. } => {
                let mut known = Cursor::new(Arc::clone(prefix));
                known.set_position(from);
                Box::new(known)
            }
        }
    }

    /// Opens it for the run.
    ///
    /// # Errors
    ///
    /// When the file has changed, or cannot be read.
    pub fn open(&self) -> io::Result<Lines> {
        match self {
            Self::File(stored) => {
                stored.check()?;
                Lines::new(self.known(0))
            }
            Self::Standard { prefix, .. } => {
                let all = Cursor::new(Arc::clone(prefix)).chain(io::stdin());
                Ok(Lines { is_pipe: true, ..Lines::new(Box::new(all))? })
            }
        }
    }
}

const NO_FILE: &str =
    "it is no file, and must be read more than once (a pipe is read with --trace - < PIPE)";

/// A file as long as it was when it was opened, whatever has its name by now or is written behind that.
#[derive(Debug, Clone)]
pub struct Stored {
    path: PathBuf,
    file: Arc<File>,
    bytes: u64,
    modified: SystemTime,
}

impl Stored {
    fn open(path: &Path) -> io::Result<Self> {
        // Before it is opened, which would wait for a writer of a pipe.
        let kind = fs::metadata(path)?.file_type();
        if !kind.is_file() {
            let what = if kind.is_dir() { "it is a folder" } else { NO_FILE };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let (bytes, modified) = (metadata.len(), metadata.modified()?);
        Ok(Self { path: path.to_owned(), file: Arc::new(file), bytes, modified })
    }

    /// Fails where it does not hold any more what it did, as far as its length and time tell: one that
    /// has grown, as a log does that is still written, is taken for what it was and more.
    fn check(&self) -> io::Result<()> {
        let now = self.file.metadata()?;
        let is_kept =
            now.len() > self.bytes || (now.len() == self.bytes && now.modified()? == self.modified);
        if is_kept { Ok(()) } else { Err(has_changed()) }
    }
}

fn has_changed() -> io::Error {
    io::Error::other("the trace's file has changed since it was looked at")
}

/// A file from a byte on.
struct Rest {
    stored: Stored,
    at: u64,
}

impl Read for Rest {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.stored.bytes - self.at).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let size = self.stored.file.read_at(&mut buffer[..wanted], self.at)?;
        if size == 0 && wanted > 0 {
            return Err(has_changed());
        }
        self.at += size as u64;
        Ok(size)
    }
}

/// Of what was read so far.
pub struct Checksum {
    hash: Sha256,
    pub bytes: u64,
    progress: ProgressBar,
}

impl Checksum {
    /// SHA-256 in hex.
    pub fn hex(&self) -> String {
        hex(&self.hash.clone().finalize())
    }
}

/// Sums up what passes through.
struct Summed {
    raw: Box<dyn Read + Send>,
    checksum: Arc<Mutex<Checksum>>,
}

impl Read for Summed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.raw.read(buffer)?;
        let mut checksum = self.checksum.lock().unwrap_or_else(PoisonError::into_inner);
        checksum.hash.update(&buffer[..size]);
        checksum.bytes += size as u64;
        checksum.progress.set_position(checksum.bytes);
        Ok(size)
    }
}

/// A line with its number, or that it was too long.
pub(super) type Numbered<'a> = (u64, Option<&'a [u8]>);

/// Lines of whatever length, in memory of bounded size.
pub struct Lines {
    reader: Box<dyn Read + Send>,
    is_compressed: bool,
    /// What is read may not be there yet.
    is_pipe: bool,
    buffer: Vec<u8>,
    begin: usize,
    /// Up to here there is no end of a line.
    searched: usize,
    number: u64,
    is_over: bool,
    /// The line has been found too long, and what is left of it is passed over.
    skips: bool,
}

impl Lines {
    fn new(mut raw: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut magic = Vec::new();
        raw.by_ref().take(4).read_to_end(&mut magic)?;
        let is_compressed = magic == ZSTD_MAGIC
            || (magic.len() == 4 && magic[0] & 0xf0 == 0x50 && magic[1..] == SKIPPABLE);
        let whole: Box<dyn Read + Send> = Box::new(Cursor::new(magic).chain(raw));
        let reader: Box<dyn Read + Send> =
            if is_compressed { Box::new(zstd::stream::read::Decoder::new(whole)?) } else { whole };
        Ok(Self {
            reader,
            is_compressed,
            is_pipe: false,
            buffer: Vec::with_capacity(2 * READ_BYTES),
            begin: 0,
            searched: 0,
            number: 0,
            is_over: false,
            skips: false,
        })
    }

    /// Whether it is compressed with zstd, as its first bytes tell.
    pub fn is_compressed(&self) -> bool {
        self.is_compressed
    }

    /// Whether the next line may have to be waited for.
    pub(super) fn may_wait(&self) -> bool {
        self.is_pipe && !self.buffer[self.searched..].contains(&b'\n')
    }

    /// The next line without its end (a line feed, perhaps with a carriage return before it); `None`
    /// when there is none any more.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or decompressed.
    pub(super) fn next(&mut self) -> io::Result<Option<Numbered<'_>>> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
                let end = self.searched + at;
                return Ok(Some(self.take(end, end + 1)));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() - self.begin > LINE_BYTES_MAX {
                self.skips = true;
                self.buffer.clear();
                (self.begin, self.searched) = (0, 0);
            }
            if self.is_over {
                let end = self.buffer.len();
                // A last line may lack its end.
                return Ok((end > self.begin || self.skips).then(|| self.take(end, end)));
            }
            self.fill()?;
        }
    }

    fn take(&mut self, end: usize, next: usize) -> Numbered<'_> {
        let line = &self.buffer[self.begin..end];
        self.begin = next;
        self.searched = next;
        self.number += 1;
        let is_whole = !std::mem::take(&mut self.skips);
        (self.number, is_whole.then(|| line.strip_suffix(b"\r").unwrap_or(line)))
    }

    fn fill(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES, 0);
        let read = loop {
            match self.reader.read(&mut self.buffer[before..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(before + read.as_ref().copied().unwrap_or(0));
        self.is_over = read? == 0;
        Ok(())
    }

    /// Whether there was no byte in what was read.
    pub(super) fn is_empty(&self) -> bool {
        self.number == 0 && self.buffer.is_empty()
    }
}
