//! Figures for `INFO`: every connection counts for itself and nobody shares a cache line; who asks
//! adds up.

use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::engine::Tally;

/// What happened on one connection, or on all that have ended.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    commands: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    expired: AtomicU64,
    errors: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// A sum of counters at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) commands: u64,
    pub(crate) tally: Tally,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

impl Counters {
    /// Adds what one batch of requests did. Only the connection's own thread calls this, so a load
    /// and a store do what a locked addition would.
    pub(crate) fn add(&self, batch: &Totals) {
        let add = |counter: &AtomicU64, by: u64| {
            if by > 0 {
                counter.store(counter.load(Ordering::Relaxed) + by, Ordering::Relaxed);
            }
        };
        add(&self.commands, batch.commands);
        add(&self.hits, batch.tally.hits);
        add(&self.misses, batch.tally.misses);
        add(&self.expired, batch.tally.expired);
        add(&self.errors, batch.tally.errors);
        add(&self.bytes_in, batch.bytes_in);
        add(&self.bytes_out, batch.bytes_out);
    }

    /// The figures now.
    pub(crate) fn totals(&self) -> Totals {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Totals {
            commands: get(&self.commands),
            tally: Tally {
                hits: get(&self.hits),
                misses: get(&self.misses),
                expired: get(&self.expired),
                errors: get(&self.errors),
            },
            bytes_in: get(&self.bytes_in),
            bytes_out: get(&self.bytes_out),
        }
    }
}

impl Totals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.commands += other.commands;
        self.tally.hits += other.tally.hits;
        self.tally.misses += other.tally.misses;
        self.tally.expired += other.tally.expired;
        self.tally.errors += other.tally.errors;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
    }

    /// What has come since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let minus = u64::saturating_sub;
        Self {
            commands: minus(self.commands, earlier.commands),
            tally: Tally {
                hits: minus(self.tally.hits, earlier.tally.hits),
                misses: minus(self.tally.misses, earlier.tally.misses),
                expired: minus(self.tally.expired, earlier.tally.expired),
                errors: minus(self.tally.errors, earlier.tally.errors),
            },
            bytes_in: minus(self.bytes_in, earlier.bytes_in),
            bytes_out: minus(self.bytes_out, earlier.bytes_out),
        }
    }
}
