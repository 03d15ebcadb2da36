//! Waking a thread that waits for its client, and leaving the connection as it is.
//!
//! Shutting the socket down for reading would wake the thread too. But whatever the client sends
//! after our last reply, Linux then answers with a reset (`tcp_rcv_state_process`: data for a socket
//! that is shut down both ways), which can destroy replies on their way. A signal interrupts the
//! system call and nothing else.

use std::io;
use std::ptr;
use std::sync::OnceLock;

use rustix::process::getpid;
use rustix::thread::{Pid, gettid};

/// Ignored by default, and sent by nobody but for out-of-band data to a program that has asked for
/// it (`F_SETOWN`): Go preempts its threads with it for the same reasons.
const SIGNAL: libc::c_int = libc::SIGURG;

/// Lets the signal interrupt system calls, for the whole process.
pub(crate) fn listen() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    let handler: extern "C" fn(libc::c_int) = nothing;
    // SAFETY: an all-zero sigaction is a valid one: no flags, so that a call that is interrupted is
    // not resumed (signal-hook's handlers resume it), and no other signal blocked.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as libc::sighandler_t;
    // SAFETY: the action outlives the call, and its handler, which does nothing, may run anywhere.
    match unsafe { libc::sigaction(SIGNAL, &raw const action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A thread that can be woken once it has said who it is.
#[derive(Debug, Default)]
pub(crate) struct Sleeper(OnceLock<Pid>);

impl Sleeper {
    /// Called by the thread itself.
    pub(crate) fn introduce(&self) {
        self.0.get_or_init(gettid);
    }

    /// Interrupts the call in which the thread waits. One that is only about to wait is missed: who
    /// must not miss it asks again.
    pub(crate) fn wake(&self) {
        if let Some(thread) = self.0.get() {
            let (process, thread) = (getpid().as_raw_pid(), thread.as_raw_pid());
            // SAFETY: three numbers. Should the thread have ended, there is none of this number, or
            // another one of this process, which an interruption does no harm.
            unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGNAL) };
        }
    }
}
