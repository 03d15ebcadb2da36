//! `MONITOR`: what everybody asks, told to those who want to know. Who asks never waits for who
//! watches: lines go to a buffer of bounded size, and a monitor that lets it fill up is closed.

use std::io;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kv_core::resp::Args;
use rustix::event::{EventfdFlags, eventfd};

use crate::secrets::is_secret;

/// All who watch.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    /// How many: all that a command looks at while there are none.
    count: AtomicUsize,
    feeds: Mutex<Vec<Arc<Feed>>>,
}

/// The lines that wait for one monitor.
#[derive(Debug)]
pub(crate) struct Feed {
    lines: Mutex<Vec<u8>>,
    overflowed: AtomicBool,
    /// Readable while lines wait.
    ready: OwnedFd,
}

impl Monitors {
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count.load(Ordering::Relaxed) > 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Feed>>> {
        self.feeds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A feed that gets every line from now on.
    pub(crate) fn register(&self) -> io::Result<Arc<Feed>> {
        let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let feed =
            Arc::new(Feed { lines: Mutex::default(), overflowed: AtomicBool::default(), ready });
        let mut feeds = self.lock();
        feeds.push(Arc::clone(&feed));
        self.count.store(feeds.len(), Ordering::Relaxed);
        Ok(feed)
    }

    pub(crate) fn unregister(&self, feed: &Arc<Feed>) {
        let mut feeds = self.lock();
        feeds.retain(|other| !Arc::ptr_eq(other, feed));
        self.count.store(feeds.len(), Ordering::Relaxed);
    }

    /// Tells every monitor of a request that was run, without its passwords. At most `bytes_max`
    /// wait for each.
    #[cold]
    pub(crate) fn tell(&self, db: u8, address: &str, args: &Args<'_>, bytes_max: usize) {
        let line = line(db, address, args);
        for feed in self.lock().iter() {
            feed.push(&line, bytes_max);
        }
    }
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8], bytes_max: usize) {
        let mut lines = self.lock();
        if line.len() > bytes_max.saturating_sub(lines.len()) {
            self.overflowed.store(true, Ordering::Relaxed);
            return;
        }
        if lines.is_empty() {
            // A counter that is full is readable all the same.
            let _ = rustix::io::write(&self.ready, &1u64.to_le_bytes());
        }
        lines.extend_from_slice(line);
    }

    /// Whether a line was lost, because the monitor reads too slowly.
    pub(crate) fn overflowed(&self) -> bool {
        self.overflowed.load(Ordering::Relaxed)
    }

    /// Moves the lines that wait to the end of `out`.
    pub(crate) fn take_into(&self, out: &mut Vec<u8>) {
        let mut lines = self.lock();
        // There is nothing to read when nothing was written since.
        let _ = rustix::io::read(&self.ready, &mut [0; 8]);
        out.append(&mut lines);
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

/// `+1700000000.000001 [0 127.0.0.1:50000] "SET" "k" "v"`, as Redis writes it.
fn line(db: u8, address: &str, args: &Args<'_>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (now.as_secs(), now.subsec_micros());
    let mut line = format!("+{seconds}.{micros:06} [{db} {address}]").into_bytes();
    for (index, arg) in args.from(0).enumerate() {
        line.extend_from_slice(b" \"");
        let secret = is_secret(args, index);
        quote(if secret { b"(redacted)" } else { arg }, &mut line);
        line.push(b'"');
    }
    line.extend_from_slice(b"\r\n");
    line
}

fn quote(arg: &[u8], line: &mut Vec<u8>) {
    for &byte in arg {
        match byte {
            b'\\' | b'"' => line.extend_from_slice(&[b'\\', byte]),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            b'\t' => line.extend_from_slice(b"\\t"),
            0x07 => line.extend_from_slice(b"\\a"),
            0x08 => line.extend_from_slice(b"\\b"),
            b' '..=b'~' => line.push(byte),
            _ => write!(line, "\\x{byte:02x}").expect("writing to memory"),
        }
    }
}
