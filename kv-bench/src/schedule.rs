//! When operations are due, as pure functions of their number.
//!
//! ```text
//! Rate (typed) ──until──▶ Course (operations over time) ──Process, seed──▶ Arrivals (of one worker)
//! ```
//!
//! In an open loop a schedule is absolute: an operation is due at its time after the start whether or
//! not anything came back in between. Each worker has its part of it, which depends on nothing but the
//! [`Plan`] and the worker's number. A closed loop has no due times: each client sends when it has
//! room, or a while after that.

mod arrivals;
mod rate;

pub use arrivals::{Arrivals, End};
pub use rate::{Course, Rate, RateError};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::trace::Replay;

/// What decides when the next operation is sent.
#[derive(Debug, Clone)]
pub enum Schedule {
    /// Room in a client: it goes on so long after a reply has made some.
    Closed { think: Duration },
    /// The time.
    Open(Plan),
    /// A trace: the times in it, or room in the clients.
    Trace(Arc<Replay>),
}

/// When the operations of an open loop are due, over all workers.
#[derive(Debug, Clone)]
pub struct Plan {
    pub course: Arc<Course>,
    pub process: Process,
    pub seed: u64,
}

/// How operations follow each other at a given rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Independently of each other, as those of many users do: the gaps are exponential.
    Poisson,
    /// Evenly, over all workers together.
    Constant,
}

impl Schedule {
    /// Each client sends as soon as a reply makes room.
    pub const CLOSED: Self = Self::Closed { think: Duration::ZERO };

    /// Whether operations have due times.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Closed { .. } => false,
            Self::Open(_) => true,
            Self::Trace(replay) => replay.is_timed(),
        }
    }
}

impl Process {
    /// As it is typed, and stands in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poisson => "poisson",
            Self::Constant => "constant",
        }
    }
}

impl FromStr for Process {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Poisson, Self::Constant];
        known
            .into_iter()
            .find(|process| process.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| "unknown arrivals (known: poisson, constant)".to_owned())
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
