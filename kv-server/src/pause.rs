//! `CLIENT PAUSE`: commands wait for some time, all of them or those that write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::shutdown::Shutdown;

/// How soon who waits notices a shutdown.
const SHUTDOWN_CHECKED: Duration = Duration::from_millis(100);

/// No pause is longer, so that its end is a time that exists.
const TIME_MAX: Duration = Duration::from_hours(10 * 365 * 24);

/// Whether commands wait, and until when.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    /// Looked at before every command, and false but in a pause.
    paused: AtomicBool,
    state: Mutex<State>,
    ended: Condvar,
    /// Held by who changes the store without being asked.
    upkeep: Mutex<()>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    until: Option<Instant>,
    writes_only: bool,
}

impl Pause {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a pause, or prolongs the one there is; as in Redis, a longer and a stricter one win.
    pub(crate) fn begin(&self, time: Duration, writes_only: bool) {
        let mut state = self.lock();
        let now = Instant::now();
        let still = state.until.filter(|until| *until > now);
        state.writes_only = writes_only && (still.is_none() || state.writes_only);
        state.until = still.max(Some(now + time.min(TIME_MAX)));
        self.paused.store(true, Ordering::Relaxed);
        drop(state);
        // Who did not see the pause is done before it is answered.
        drop(self.upkeep.lock());
    }

    /// Does what changes the store without being asked, but in a pause: keys neither expire by
    /// themselves nor are evicted then, as in Redis.
    pub(crate) fn unless_on(&self, work: impl FnOnce()) {
        let _upkeep = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_on() {
            work();
        }
    }

    pub(crate) fn end(&self) {
        *self.lock() = State::default();
        self.paused.store(false, Ordering::Relaxed);
        self.ended.notify_all();
    }

    /// Whether there may be a pause: it ends when somebody looks.
    #[inline]
    pub(crate) fn may_be_on(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Whether there is a pause.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.may_be_on() && self.lock().until.is_some_and(|until| until > Instant::now())
    }

    /// Waits for the end of a pause that concerns a command which writes or does not.
    #[cold]
    pub(crate) fn wait(&self, writes: bool, shutdown: &Shutdown) {
        let mut state = self.lock();
        while let Some(until) = state.until {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                *state = State::default();
                self.paused.store(false, Ordering::Relaxed);
                return;
            }
            if (state.writes_only && !writes) || shutdown.is_raised() {
                return;
            }
            state = self
                .ended
                .wait_timeout(state, left.min(SHUTDOWN_CHECKED))
                .map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }
}
