//! Targets that are called in this process: their replies are there when a call returns, and no event
//! tells of them.
//!
//! A worker makes one call at a time, so its clients take turns. Each call, or batch of them, is timed
//! from its beginning to its return, whenever its turn to be looked at comes.

use super::Worker;
use crate::driver::Phase;
use crate::driver::clock::now_ns;
use crate::target::Target;

/// How long calls go on before the tick is looked for, which is a system call.
const LOOK_EVERY_NS: u64 = 1_000_000;

impl<T: Target> Worker<T> {
    /// Looks at calls that have returned, and makes those that follow them, for a while. Returns
    /// whether there are any left.
    #[inline]
    pub(super) fn serve_returned(&mut self, phase: &Phase) -> bool {
        if !T::IS_CALLED {
            return false;
        }
        let look_ns = self.now_ns + LOOK_EVERY_NS;
        while self.now_ns < look_ns
            && let Some(id) = self.returned.pop_front()
        {
            self.serve(id, false, false, phase);
        }
        !self.returned.is_empty()
    }

    /// When what was read from a connection came.
    #[inline]
    pub(super) fn came_ns(&self, id: usize) -> u64 {
        if T::IS_CALLED { self.connections[id].returned_ns } else { now_ns() }
    }

    /// Time spent in calls since this was asked last; `None` of a target that is not called.
    pub(super) fn called_ns(&mut self) -> Option<u64> {
        let taken = |connection: &mut super::Connection| std::mem::take(&mut connection.called_ns);
        T::IS_CALLED.then(|| self.connections.iter_mut().map(taken).sum())
    }
}
