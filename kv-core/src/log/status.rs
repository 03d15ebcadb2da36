//! Whether the log takes changes, asked on every write command.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use super::error::LogFailure;

const WELL: u8 = 0;
const FULL: u8 = 1;
const POISONED: u8 = 2;

/// Well, full (passes), or poisoned (until restart: what a failed write or sync left in the file is
/// unknown, and a second sync would answer for pages that the first one gave up).
#[derive(Debug, Default)]
pub(super) struct Status {
    kind: AtomicU8,
    failure: Mutex<Option<LogFailure>>,
}

impl Status {
    /// Why changes are refused, if they are.
    #[inline]
    pub(super) fn failure(&self) -> Option<LogFailure> {
        if self.kind.load(Ordering::Relaxed) == WELL {
            return None;
        }
        self.failure.lock().expect("no panic under the status").clone()
    }

    pub(super) fn is_well(&self) -> bool {
        self.kind.load(Ordering::SeqCst) == WELL
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.kind.load(Ordering::Acquire) == POISONED
    }

    /// From now on changes are refused. What poisoned the log first stays the reason.
    pub(super) fn set(&self, failure: &LogFailure) {
        let mut known = self.failure.lock().expect("no panic under the status");
        if self.is_poisoned() {
            return;
        }
        *known = Some(failure.clone());
        self.kind.store(if failure.lasting { POISONED } else { FULL }, Ordering::SeqCst);
    }

    /// There is space again.
    pub(super) fn resume(&self) {
        let mut known = self.failure.lock().expect("no panic under the status");
        if !self.is_poisoned() {
            *known = None;
            self.kind.store(WELL, Ordering::Release);
        }
    }
}
