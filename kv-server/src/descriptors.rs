//! How many files the system lets us have open, and so how many clients.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors kept free for logs, listeners and libraries.
const RESERVED: u64 = 32;

/// Asks the system for as many descriptors as so many clients need; answers how many clients it
/// allows, at least one and at most those.
pub(crate) fn afford(clients: usize) -> usize {
    let wanted = clients as u64 + RESERVED;
    let limit = getrlimit(Resource::Nofile);
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < wanted {
        let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
        let raised = Rlimit { current: Some(allowed), maximum: limit.maximum };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            current = allowed;
        }
    }
    current.saturating_sub(RESERVED).clamp(1, clients.max(1) as u64) as usize
}
