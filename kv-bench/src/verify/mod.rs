//! Whether reads return what writes had left: `--verify`.
//!
//! Every value begins with a [`Stamp`]: whose it is, which key it belongs to, its version, and a
//! checksum over all of it. A [`Ledger`] knows of each key the last version that was acknowledged. A
//! read notes that version when it is sent, and what comes back must be as new.
//!
//! That is only true when the writes of a key have an order that the tester knows, and so each key has
//! one writer: the client whose number is the key's, modulo the clients. A write that a client draws for
//! another's key goes to the nearest of its own; reads go anywhere. The writes of one client to one
//! key share a connection, and a server runs them in their order. What is written and not
//! acknowledged (a timeout, a lost connection, an error reply) may be there or not, from then on and
//! also after later writes, because the server may find it late in a buffer: reading it is never held
//! against the server.

mod ledger;
mod stamp;

pub use ledger::{Finding, Ledger, Version, Write};
pub use stamp::{STAMP_BYTES, Stamp};

use crate::result::FindingCounts;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    pub counts: FindingCounts,
    /// The first that was wrong, in words.
    pub first: Option<String>,
}

impl Findings {
    /// Counts one; `told` is asked for the first that is wrong.
    pub fn add(&mut self, finding: Finding, told: impl FnOnce() -> String) {
        let counts = &mut self.counts;
        let wrong = match finding {
            Finding::Unknown => {
                counts.unknown += 1;
                return;
            }
            Finding::Good => {
                counts.checked += 1;
                return;
            }
            Finding::Stale => &mut counts.stale,
            Finding::Lost => &mut counts.lost,
            Finding::Foreign => &mut counts.foreign,
            Finding::Corrupt => &mut counts.corrupt,
        };
        *wrong += 1;
        counts.checked += 1;
        self.first.get_or_insert_with(told);
    }

    /// Adds another worker's.
    pub fn merge(&mut self, other: &Self) {
        let FindingCounts { checked, unknown, stale, lost, foreign, corrupt } = other.counts;
        self.counts.checked += checked;
        self.counts.unknown += unknown;
        self.counts.stale += stale;
        self.counts.lost += lost;
        self.counts.foreign += foreign;
        self.counts.corrupt += corrupt;
        if self.first.is_none() {
            self.first.clone_from(&other.first);
        }
    }
}

impl FindingCounts {
    /// Reads that were wrong.
    pub fn wrong(&self) -> u64 {
        self.stale + self.lost + self.foreign + self.corrupt
    }
}
