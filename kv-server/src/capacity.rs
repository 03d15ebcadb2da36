//! How many clients the system lets us have: each needs a file and a thread's memory mappings.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept free for logs, listeners and libraries.
const DESCRIPTORS_RESERVED: u64 = 32;

/// Mappings of a connection: its thread's stack and its signal stack with a guard page each, which
/// are four, and one for a buffer that is big enough for malloc to map it (a test counts them in
/// `/proc/PID/maps`). Without room for the signal stack, the standard library panics.
const MAPPINGS_PER_CLIENT: u64 = 5;

/// Mappings kept free for the program, malloc's arenas and the table: a fresh server has about 40.
const MAPPINGS_RESERVED: u64 = 1_000;

/// How many clients there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// At least one and at most those that were asked for.
    pub(crate) clients: usize,
    /// What allows no more.
    pub(crate) scarce: &'static str,
}

/// Asks the system for what so many clients need; answers how many it allows.
pub(crate) fn afford(clients: usize) -> Capacity {
    let by_descriptors =
        descriptors(clients as u64 + DESCRIPTORS_RESERVED).saturating_sub(DESCRIPTORS_RESERVED);
    let by_mappings = mappings().saturating_sub(MAPPINGS_RESERVED) / MAPPINGS_PER_CLIENT;
    let (affordable, scarce) = if by_mappings < by_descriptors {
        (by_mappings, "sysctl vm.max_map_count")
    } else {
        (by_descriptors, "ulimit -n")
    };
    Capacity { clients: affordable.clamp(1, clients.max(1) as u64) as usize, scarce }
}

/// How many files we may have open, once as many as `wanted` were asked for.
fn descriptors(wanted: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= wanted {
        return current;
    }
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
    let raised = Rlimit { current: Some(allowed), maximum: limit.maximum };
    if setrlimit(Resource::Nofile, raised).is_ok() { allowed } else { current }
}

/// How many memory mappings a process may have; a system that does not tell has no such limit.
fn mappings() -> u64 {
    let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
    text.trim().parse().unwrap_or(u64::MAX)
}
