//! Replies that tell of changes which are not kept yet.
//!
//! The replies of a batch are sent together, after one wait for the last change that any of them
//! depends on. When that wait fails, a reply that depends on what is not kept becomes an error, and
//! the others stand.

use std::ops::Range;

use kv_core::Engine;
use kv_core::log::{Log, LogFailure};

/// Where the dependent replies are in the buffer, in order, and on which change each depends.
#[derive(Debug, Default)]
pub(super) struct Unsettled {
    replies: Vec<(Range<usize>, u64)>,
}

impl Unsettled {
    /// Notes a reply; `depends_on` is 0 for one that depends on nothing.
    #[inline]
    pub(super) fn note(&mut self, reply: Range<usize>, depends_on: u64) {
        if depends_on > 0 {
            self.replies.push((reply, depends_on));
        }
    }

    /// The last change that any of them depends on.
    pub(super) fn last(&self) -> Option<u64> {
        self.replies.iter().map(|(_, depends_on)| *depends_on).max()
    }

    pub(super) fn len(&self) -> usize {
        self.replies.len()
    }

    /// Waits until what they depend on is kept, and concludes.
    pub(super) fn settle(&mut self, engine: &Engine, out: &mut Vec<u8>) {
        let Some(last) = self.last() else { return };
        self.conclude(engine.settle(last), engine.log(), out);
    }

    /// Lets all replies stand, or makes errors of those that depend on what is not kept.
    pub(super) fn conclude(
        &mut self,
        verdict: Result<(), LogFailure>,
        log: Option<&Log>,
        out: &mut Vec<u8>,
    ) {
        if let Err(failure) = verdict {
            let error = format!("-MISCONF Errors writing to the AOF file: {}\r\n", failure.reason);
            let kept = log.map_or(0, Log::kept);
            self.replace(kept, error.as_bytes(), out);
        }
        self.replies.clear();
    }

    /// Puts `error` in the place of every reply that depends on a change after `kept`.
    fn replace(&self, kept: u64, error: &[u8], out: &mut Vec<u8>) {
        let mut rewritten = Vec::with_capacity(out.len());
        let mut copied = 0;
        for (reply, _) in self.replies.iter().filter(|(_, depends_on)| *depends_on > kept) {
            rewritten.extend_from_slice(&out[copied..reply.start]);
            // A reply that nobody wanted stays unsaid.
            if !reply.is_empty() {
                rewritten.extend_from_slice(error);
            }
            copied = reply.end;
        }
        rewritten.extend_from_slice(&out[copied..]);
        *out = rewritten;
    }
}
