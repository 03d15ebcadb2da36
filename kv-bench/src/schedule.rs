//! When operations are due, as pure functions of their number.
//!
//! A schedule is absolute: operation *i* is due at `t0 + offset(i)` whether or not anything came
//! back in between. A closed loop has no due times: each client sends when it has room.

/// When operations are due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// Each client sends as soon as a reply makes room.
    ClosedLoop,
}

impl Schedule {
    /// Nanoseconds after the start at which operation `index` is due, or `None` when nothing but
    /// room in a client decides.
    pub fn due_ns(&self, index: u64) -> Option<u64> {
        let _ = index;
        match self {
            Self::ClosedLoop => None,
        }
    }
}

/// Part `part` of `parts` when `total` is split as evenly as whole numbers allow: its first member
/// and its size. The parts cover `total` exactly; earlier ones take the remainder.
///
/// # Panics
///
/// When `part` is not below `parts`.
pub fn share(total: u64, part: u64, parts: u64) -> (u64, u64) {
    assert!(part < parts, "part {part} of {parts}");
    let (each, rest) = (total / parts, total % parts);
    (part * each + part.min(rest), each + u64::from(part < rest))
}
