//! Threads that wait for the log to become durable, woken by the sync that they waited for.
//!
//! Syncs take turns on two futexes. A thread whose record the sync under way has taken sleeps on
//! that one's futex, any other on the next one's, so that one system call wakes all whose records
//! are durable and nobody else: with dozens of clients about half of them wait for the next sync.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use rustix::thread::futex;
use rustix::time::Timespec;

/// Ends a wait when it is over, when the value has changed, or by mistake: the caller looks again.
pub(super) fn sleep(word: &AtomicU32, value: u32, timeout: Option<Duration>) {
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    // Every error (changed value, signal, timeout) means the same: look again.
    let _ = futex::wait(word, futex::Flags::PRIVATE, value, timeout.as_ref());
}

pub(super) fn wake(word: &AtomicU32, threads_max: u32) {
    // Cannot fail on memory of our own.
    let _ = futex::wake(word, futex::Flags::PRIVATE, threads_max);
}

/// Threads that wait for something to be free, and are all told when it is.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// How many times it was.
    times: AtomicU32,
    sleeping: AtomicU32,
}

impl Queue {
    /// To be called before looking whether it is free.
    pub(super) fn look(&self) -> u32 {
        self.times.load(Ordering::SeqCst)
    }

    /// Sleeps until it is free, unless it was since `seen`.
    pub(super) fn sleep(&self, seen: u32) {
        // Sequentially consistent against `tell`: either it sees us, or we see that it was free.
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        sleep(&self.times, seen, None);
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn tell(&self) {
        self.times.fetch_add(1, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            wake(&self.times, i32::MAX as u32);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Waiters {
    words: [AtomicU32; 2],
    /// Twice the sequence up to which the last sync took records, plus which futex is its own: one
    /// number, so that both are read at one moment.
    taken: AtomicU64,
}

/// What the futexes held before a thread looked whether it has to wait.
#[derive(Clone, Copy)]
pub(super) struct Seen([u32; 2]);

impl Waiters {
    pub(super) fn look(&self) -> Seen {
        Seen([self.words[0].load(Ordering::Acquire), self.words[1].load(Ordering::Acquire)])
    }

    /// Sleeps until the sync that makes `sequence` durable ends, unless it has since `seen`.
    pub(super) fn sleep(&self, sequence: u64, seen: Seen, timeout: Option<Duration>) {
        let taken = self.taken.load(Ordering::Acquire);
        let under_way = (taken & 1) as usize;
        let mine = if sequence <= taken >> 1 { under_way } else { 1 - under_way };
        sleep(&self.words[mine], seen.0[mine], timeout);
    }

    /// A sync begins that takes the records up to `sequence`.
    pub(super) fn begin(&self, sequence: u64) {
        let other = (self.taken.load(Ordering::Relaxed) & 1) ^ 1;
        self.taken.store(sequence << 1 | other, Ordering::Release);
    }

    /// It ended.
    pub(super) fn end(&self) {
        wake_all(&self.words[(self.taken.load(Ordering::Relaxed) & 1) as usize]);
    }

    /// Everybody has to look again: the log failed.
    pub(super) fn end_all(&self) {
        self.words.iter().for_each(wake_all);
    }
}

fn wake_all(word: &AtomicU32) {
    word.fetch_add(1, Ordering::Release);
    wake(word, i32::MAX as u32);
}
