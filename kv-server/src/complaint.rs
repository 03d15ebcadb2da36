//! Warnings that are not repeated for every connection of a flood.

use std::collections::HashMap;
use std::fmt::Display;
use std::panic::Location;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Limits the warnings of each kind by itself, and a kind is a place in the code.
#[derive(Debug, Default)]
pub(crate) struct Complaint {
    kinds: Mutex<HashMap<&'static Location<'static>, Kind>>,
}

#[derive(Debug, Default)]
struct Kind {
    last: Option<Instant>,
    /// Those since then.
    unsaid: u64,
}

impl Complaint {
    const EVERY: Duration = Duration::from_secs(5);

    #[track_caller]
    pub(crate) fn about(&self, what: impl Display) {
        match self.due(Location::caller(), Instant::now()) {
            None => {}
            Some(0) => log::warn!("{what}"),
            Some(unsaid) => log::warn!("{what} (and {unsaid} more of that kind before)"),
        }
    }

    /// Whether to say it now, and how many were left unsaid before.
    fn due(&self, place: &'static Location<'static>, now: Instant) -> Option<u64> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(place).or_default();
        if kind.last.is_some_and(|last| now.duration_since(last) < Self::EVERY) {
            kind.unsaid += 1;
            return None;
        }
        kind.last = Some(now);
        Some(std::mem::take(&mut kind.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_limited_by_itself_and_says_what_it_left_out() {
        let (complaint, now) = (Complaint::default(), Instant::now());
        let (one, other) = (here(), here());
        assert_eq!(complaint.due(one, now), Some(0));
        assert_eq!(complaint.due(one, now), None);
        assert_eq!(complaint.due(other, now), Some(0));
        assert_eq!(complaint.due(one, now), None);
        assert_eq!(complaint.due(one, now + Complaint::EVERY), Some(2));
    }

    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }
}
