//! The files that logs go to, opened anew when SIGHUP asks for it: whoever moved one away, such as
//! logrotate, wants the next line in a new file. Redis and memcached live on after that signal, too.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::SIGHUP;
use signal_hook::flag;

use crate::file_hint::file_hint;

/// Who may read a file that is made.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Readers {
    /// Everybody whom the umask lets.
    All,
    /// Its owner alone: it shows what the store holds.
    Owner,
}

/// A file that is appended to; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: PathBuf,
    readers: Readers,
    file: Arc<Mutex<File>>,
}

impl LogFile {
    pub(crate) fn open(path: &Path, readers: Readers) -> io::Result<Self> {
        let file = Arc::new(Mutex::new(append_to(path, readers)?));
        Ok(Self { path: path.to_owned(), readers, file })
    }

    fn lock(&self) -> MutexGuard<'_, File> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves the file that is open to who moved it, and goes on in one of the same name.
    fn open_anew(&self) -> io::Result<()> {
        let file = append_to(&self.path, self.readers)?;
        *self.lock() = file;
        Ok(())
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().flush()
    }
}

fn append_to(path: &Path, readers: Readers) -> io::Result<File> {
    let mode = match readers {
        Readers::All => 0o666,
        Readers::Owner => 0o600,
    };
    OpenOptions::new().create(true).append(true).mode(mode).open(path)
}

/// All such files of a server.
#[derive(Debug, Default)]
pub(crate) struct LogFiles {
    asked: Arc<AtomicBool>,
    files: Mutex<Vec<LogFile>>,
}

impl LogFiles {
    pub(crate) fn add(&self, file: LogFile) {
        self.lock().push(file);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LogFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on SIGHUP asks for it, which otherwise ends a process at once.
    pub(crate) fn on_hangup(&self) -> io::Result<()> {
        flag::register(SIGHUP, Arc::clone(&self.asked)).map(drop)
    }

    /// Does what was asked for since the last call. A file that cannot be opened stays the one it was.
    pub(crate) fn attend(&self) {
        if !self.asked.swap(false, Ordering::Relaxed) {
            return;
        }
        let files = self.lock();
        // All first: what is said of them belongs to the new ones.
        let opened: Vec<_> = files.iter().map(LogFile::open_anew).collect();
        for (file, opened) in files.iter().zip(opened) {
            let path = file.path.display();
            match opened {
                Ok(()) => log::info!("SIGHUP: opened {path} anew"),
                Err(cause) => log::error!(
                    "SIGHUP: cannot open {path} anew: {cause}{}; it goes on where it was",
                    file_hint(&cause)
                ),
            }
        }
        if files.is_empty() {
            log::info!("SIGHUP: there is no log file to open anew; SIGTERM stops the server");
        }
    }
}
