//! The commands that took long, as `SLOWLOG GET` shows them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kv_core::resp::{Args, Encoder};

use crate::clients::Client;
use crate::secrets::is_secret;

/// Arguments of an entry, and bytes of each; the rest is only counted. Redis' numbers.
const ARGS_MAX: usize = 32;
const ARG_BYTES_MAX: usize = 128;

/// Slow commands, the latest first, and what makes a command slow.
#[derive(Debug)]
pub(crate) struct Slowlog {
    /// In microseconds; negative: no command is slow.
    pub(crate) slower_than_us: AtomicI64,
    pub(crate) entries_max: AtomicUsize,
    log: Mutex<Log>,
}

#[derive(Debug, Default)]
struct Log {
    entries: VecDeque<Entry>,
    next_id: i64,
}

#[derive(Debug)]
struct Entry {
    id: i64,
    at_s: u64,
    took_us: u64,
    args: Vec<Vec<u8>>,
    address: String,
    name: String,
}

impl Slowlog {
    pub(crate) fn new(slower_than_us: i64, entries_max: usize) -> Self {
        Self {
            slower_than_us: AtomicI64::new(slower_than_us),
            entries_max: AtomicUsize::new(entries_max),
            log: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a command that took so long is to be recorded.
    #[inline]
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        let slower_than_us = self.slower_than_us.load(Ordering::Relaxed);
        u64::try_from(slower_than_us).is_ok_and(|us| took >= Duration::from_micros(us))
    }

    #[cold]
    pub(crate) fn record(&self, client: &Client, args: &Args<'_>, took: Duration) {
        let name = client.labels.lock().unwrap_or_else(PoisonError::into_inner).name.clone();
        let entries_max = self.entries_max.load(Ordering::Relaxed);
        let mut log = self.lock();
        let entry = Entry {
            id: log.next_id,
            at_s: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            took_us: took.as_micros() as u64,
            args: shortened(args),
            address: client.address.clone(),
            name,
        };
        log.next_id += 1;
        log.entries.push_front(entry);
        log.entries.truncate(entries_max);
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    pub(crate) fn reset(&self) {
        self.lock().entries.clear();
    }

    /// Writes the latest entries, at most so many.
    pub(crate) fn write(&self, count_max: usize, out: &mut Encoder) {
        let log = self.lock();
        out.array(log.entries.len().min(count_max));
        for entry in log.entries.iter().take(count_max) {
            out.array(6);
            out.integer(entry.id);
            out.integer(entry.at_s as i64);
            out.integer(entry.took_us as i64);
            out.array(entry.args.len());
            for arg in &entry.args {
                out.bulk(arg);
            }
            out.bulk(entry.address.as_bytes());
            out.bulk(entry.name.as_bytes());
        }
    }
}

/// The arguments, without passwords and with what is too long or too many only counted.
fn shortened(args: &Args<'_>) -> Vec<Vec<u8>> {
    let shown = if args.len() > ARGS_MAX { ARGS_MAX - 1 } else { args.len() };
    let mut shortened: Vec<Vec<u8>> = (0..shown)
        .map(|index| match args.at(index) {
            _ if is_secret(args, index) => b"(redacted)".to_vec(),
            arg if arg.len() > ARG_BYTES_MAX => {
                let more = format!("... ({} more bytes)", arg.len() - ARG_BYTES_MAX);
                [&arg[..ARG_BYTES_MAX], more.as_bytes()].concat()
            }
            arg => arg.to_vec(),
        })
        .collect();
    if shown < args.len() {
        shortened.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
    }
    shortened
}
