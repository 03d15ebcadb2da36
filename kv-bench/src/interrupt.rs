//! Signals. Ctrl-C: the first ends the run cleanly, the second at once; a terminal that goes away
//! ends it cleanly, too.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Exit code of a second Ctrl-C, as shells report a process that SIGINT ended.
const AT_ONCE: i32 = 130;

/// Signals come to the process, and so does the wish that they carry.
static WANTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Whether a signal that [`Interrupt::listen`] listens for has come.
pub(crate) fn has_come() -> bool {
    WANTED.get().is_some_and(|wanted| wanted.load(Ordering::Relaxed))
}

/// Whether the user wants the run to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for SIGINT, SIGTERM and SIGHUP from now on.
    pub(crate) fn listen() -> io::Result<Self> {
        let wanted = Arc::clone(WANTED.get_or_init(Arc::default));
        for signal in [SIGINT, SIGTERM] {
            // Registered first, so that the first signal finds the flag still down.
            flag::register_conditional_shutdown(signal, AT_ONCE, Arc::clone(&wanted))?;
            flag::register(signal, Arc::clone(&wanted))?;
        }
        // A shell and the kernel may both tell that the terminal has gone: twice is no haste. `nohup`
        // has it ignored, which stays so.
        if !is_ignored(SIGHUP) {
            flag::register(SIGHUP, Arc::clone(&wanted))?;
        }
        Ok(Self(wanted))
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether this process was started with `signal` ignored.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}
