//! Who is told that the log has become durable, instead of waiting for it.
//!
//! A thread that waits is woken twice for one request: by the sync, and by the next request. One that
//! leaves word is woken by the request alone. A thread of its own tells, so that the next sync is
//! under way meanwhile.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// Called by a thread of the log, which calls the others after it: it should not wait for anything.
pub type Notice = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
pub(super) struct Notices {
    waiting: Mutex<Waiting>,
    /// Told when some may be due.
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// Each with the record that it waits for; in no order, because records are ordered before their
    /// notices are left here.
    notices: Vec<(u64, Notice)>,
    is_over: bool,
}

impl Notices {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no panic under the notices")
    }

    /// To be followed by [`Notices::look`] if the record is due by then: whoever made it so before
    /// this has not seen the notice.
    pub(super) fn push(&self, sequence: u64, notice: Notice) {
        self.lock().notices.push((sequence, notice));
    }

    /// Has the thread look which are due.
    pub(super) fn look(&self) {
        if !self.lock().notices.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Ends the thread. What is left then is forgotten.
    pub(super) fn end(&self) {
        let forgotten = {
            let mut waiting = self.lock();
            waiting.is_over = true;
            std::mem::take(&mut waiting.notices)
        };
        self.changed.notify_one();
        drop(forgotten);
    }

    /// The thread: calls those whose records are due.
    pub(super) fn run(&self, is_due: impl Fn(u64) -> bool) {
        let mut waiting = self.lock();
        while !waiting.is_over {
            let due: Vec<_> =
                waiting.notices.extract_if(.., |(sequence, _)| is_due(*sequence)).collect();
            if due.is_empty() {
                waiting = self.changed.wait(waiting).expect("no panic under the notices");
                continue;
            }
            drop(waiting);
            for (_, notice) in &due {
                notice();
            }
            waiting = self.lock();
        }
    }
}
