//! A warning that is not repeated for every connection of a flood.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub(crate) struct Complaint {
    last: Mutex<Option<Instant>>,
}

impl Complaint {
    const EVERY: Duration = Duration::from_secs(5);

    pub(crate) fn about(&self, what: impl Display) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= Self::EVERY) {
            log::warn!("{what}");
            *last = Some(Instant::now());
        }
    }
}
