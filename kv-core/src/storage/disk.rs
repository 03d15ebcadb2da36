//! A folder on disk, held by one process at a time.

use std::fs::{self, DirBuilder, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{File, Storage};

/// The file whose lock says that the folder is in use. It holds nothing and stays.
pub const LOCK_FILE: &str = "LOCK";

// What a store holds is its owner's alone.
const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error(
        "cannot use the data folder {}: {} is a file; name a folder, which need not exist",
        dir.display(), file.display()
    )]
    NotAFolder { dir: PathBuf, file: PathBuf },
    #[error("cannot create the data folder {}: {cause}", dir.display())]
    Create { dir: PathBuf, cause: io::Error },
    #[error("cannot lock the data folder {}: {cause}", dir.display())]
    Lock { dir: PathBuf, cause: io::Error },
    #[error(
        "another server is using the data folder {}: stop it, or give this one a folder of its own",
        dir.display()
    )]
    InUse { dir: PathBuf },
}

impl DiskError {
    /// What the system said, where it was the one that refused.
    pub fn cause(&self) -> Option<&io::Error> {
        match self {
            Self::Create { cause, .. } | Self::Lock { cause, .. } => Some(cause),
            Self::NotAFolder { .. } | Self::InUse { .. } => None,
        }
    }
}

/// A folder, locked for as long as this lives. The system takes the lock back whatever way the
/// process ends.
#[derive(Debug)]
pub struct Disk {
    dir: PathBuf,
    _lock: fs::File,
}

impl Disk {
    /// Takes the folder, and makes it where there is none (for its owner alone).
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, DiskError> {
        let dir = dir.into();
        if let Err(cause) = create(&dir) {
            let file = dir.ancestors().find(|path| path.exists() && !path.is_dir());
            return Err(match file.map(Path::to_owned) {
                Some(file) => DiskError::NotAFolder { dir, file },
                None => DiskError::Create { dir, cause },
            });
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(dir.join(LOCK_FILE));
        let lock = match lock {
            Ok(lock) => lock,
            Err(cause) => return Err(DiskError::Lock { dir, cause }),
        };
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DiskError::InUse { dir }),
            Err(TryLockError::Error(cause)) => Err(DiskError::Lock { dir, cause }),
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Makes the folder and whatever leads to it, each durable before anything in it can be.
fn create(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create(parent)?;
    match DirBuilder::new().mode(FOLDER_MODE).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !dir.is_dir() => Err(error),
        _ => fs::File::open(parent)?.sync_all(),
    }
}

impl Storage for Disk {
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(FILE_MODE);
        Ok(Box::new(options.open(self.dir.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(self.dir.join(name))?))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that is not UTF-8 is none of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        fs::File::open(&self.dir)?.sync_all()
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }
}

impl File for fs::File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        fs::File::sync_data(self)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        fs::File::set_len(self, bytes)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
