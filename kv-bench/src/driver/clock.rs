//! The one clock of the measured path: `CLOCK_MONOTONIC`, read without a system call.

use rustix::time::{ClockId, Timespec, clock_gettime};

use super::Effort;

/// Nanoseconds on the monotonic clock.
#[inline]
pub fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// What the calling thread has cost until a moment, in nanoseconds.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units end names")]
pub(super) struct Cost {
    /// The moment, on the monotonic clock.
    pub(super) at_ns: u64,
    /// CPU time that it has used.
    pub(super) cpu_ns: u64,
    /// Time that it has waited for a core; `None` where the kernel does not tell.
    pub(super) wait_ns: Option<u64>,
}

impl Cost {
    pub(super) fn since(&self, begun: &Self) -> Effort {
        Effort {
            cpu_ns: self.cpu_ns.saturating_sub(begun.cpu_ns),
            run_queue_wait_ns: self
                .wait_ns
                .zip(begun.wait_ns)
                .map(|(end, begin)| end.saturating_sub(begin)),
            wall_ns: self.at_ns.saturating_sub(begun.at_ns),
        }
    }

    pub(super) fn read() -> Self {
        let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
        Self {
            at_ns: now_ns(),
            cpu_ns: nanoseconds(clock_gettime(ClockId::ThreadCPUTime)),
            wait_ns: schedstat.and_then(|text| schedstat_wait_ns(&text)),
        }
    }
}

/// How often the calling thread was taken off its core for another; `None` where the kernel does not
/// tell.
pub(super) fn involuntary_switches() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

/// The second field of `/proc/*/schedstat`: nanoseconds on a CPU, waiting for one, and time slices.
/// `None` when all are zero, as in a kernel that does not count them: a thread that reads its own
/// has run.
pub fn schedstat_wait_ns(text: &str) -> Option<u64> {
    let fields: Vec<u64> =
        text.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    fields.get(1).copied().filter(|_| fields.iter().any(|&field| field > 0))
}

#[inline]
fn nanoseconds(time: Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
