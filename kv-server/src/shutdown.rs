//! How a server is told to stop: by a signal, by `SHUTDOWN`, or by the program that embeds it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// A flag, and a pipe whose end becomes readable when the flag is raised, for threads that poll.
#[derive(Debug, Clone)]
pub struct Shutdown {
    raised: Arc<AtomicBool>,
    reader: Arc<OwnedFd>,
    writer: Arc<OwnedFd>,
}

impl Shutdown {
    /// A flag that is down.
    ///
    /// # Errors
    /// When no pipe can be made.
    pub fn new() -> io::Result<Self> {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        Ok(Self { raised: Arc::default(), reader: Arc::new(reader), writer: Arc::new(writer) })
    }

    /// Raises the flag; the server drains its connections and ends.
    pub fn raise(&self) {
        self.raised.store(true, Ordering::Release);
        // A full pipe has woken the reader already.
        let _ = rustix::io::write(&self.writer, &[1]);
    }

    /// Whether the flag is raised.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Lets the first `SIGTERM` or `SIGINT` raise the flag, and a second one end the process at
    /// once.
    ///
    /// # Errors
    /// When the handlers can't be installed.
    pub fn on_signals(&self) -> io::Result<()> {
        // Not `raised`: after END or SHUTDOWN the first signal is still the first.
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT] {
            // In this order: the second signal finds the flag raised by the first.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signalled))?;
            flag::register(signal, Arc::clone(&signalled))?;
            flag::register(signal, Arc::clone(&self.raised))?;
            signal_hook::low_level::pipe::register(signal, self.writer.try_clone()?)?;
        }
        Ok(())
    }
}
