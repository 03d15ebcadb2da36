//! What a batch changes, as one: its number, and its record in the log.
//!
//! A record that is open keeps everybody else from making one, so it is closed as soon as it can be:
//! with its only effect where a command has one, before the table is touched, which costs cache
//! misses; at the end of the batch otherwise. The shards are locked either way, so that nobody can
//! tell.

use crate::log::{Effect, OpenRecord};

use super::Engine;

/// The change that a batch is, begun at its first effect.
pub(super) enum Change<'e> {
    None,
    /// The store keeps no log.
    Unlogged(u64),
    Open(OpenRecord<'e>),
    Closed(u64),
}

/// How many effects a change has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effects {
    One,
    Several,
}

impl<'e> Change<'e> {
    /// Makes an effect part of it; answers its sequence number.
    #[inline]
    pub(super) fn record(
        &mut self,
        engine: &'e Engine,
        effect: &Effect<'_>,
        effects: Effects,
    ) -> u64 {
        let Some(log) = engine.log() else {
            if let Self::None = self {
                *self = Self::Unlogged(engine.next_sequence());
            }
            return self.sequence();
        };
        if !matches!(self, Self::Open(_)) {
            *self = Self::Open(log.begin());
        }
        if let Self::Open(record) = self {
            record.push(effect);
        }
        if effects == Effects::One {
            self.close();
        }
        self.sequence()
    }

    #[inline]
    fn sequence(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Unlogged(sequence) | Self::Closed(sequence) => *sequence,
            Self::Open(record) => record.sequence(),
        }
    }

    /// Closes the record; answers the number of the last one, 0 where there is none.
    #[inline]
    pub(super) fn close(&mut self) -> u64 {
        let sequence = match std::mem::replace(self, Self::None) {
            Self::None | Self::Unlogged(_) => 0,
            Self::Closed(sequence) => sequence,
            Self::Open(record) => record.close(),
        };
        *self = Self::Closed(sequence);
        sequence
    }
}
