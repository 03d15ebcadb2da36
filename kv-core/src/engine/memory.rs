//! How much memory the keys take, and how much they may.
//!
//! Each shard counts its own bytes under its lock: entries and tables, as large as the allocator makes
//! them. Adding up a thousand shards for every command would be slow, and one common counter changed
//! by every write slower still. So a shard tells the common counter only when it has changed by a
//! 131,072nd of the limit since it last did: all shards together are then wrong by less than a 128th
//! of the limit, and without a limit nobody tells anything. Evictions tell at once, because they go
//! on until the counter says that it is enough.

use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use crossbeam::utils::CachePadded;

use crate::table::{EMPTY_BYTES, SHARDS, Shard};

use super::{Engine, EvictionPolicy};

/// The part of the limit by which the common counter may be wrong.
const INACCURACY: usize = 128;

/// Entries looked at for each that is evicted, as Redis' `maxmemory-samples`.
const SAMPLES_DEFAULT: usize = 5;

pub(super) struct Memory {
    /// Read by every write, and seldom changed.
    settings: CachePadded<Settings>,
    /// Bytes that the shards told.
    told: CachePadded<AtomicIsize>,
    /// The shards are to be asked, because they did not tell what they would have.
    ask_all: AtomicBool,
    evicted: AtomicU64,
    barren: Barren,
}

/// Whether no key has an expiry, so that none can go that has to have one: looking for such a key in
/// vain takes every lock, and would be repeated for each write that is refused.
#[derive(Default)]
struct Barren {
    /// 0 while nothing is known; twice the number of the search under way; that plus one once it was
    /// in vain.
    state: AtomicU64,
    searches: AtomicU64,
}

struct Settings {
    /// 0: none.
    limit: AtomicUsize,
    /// Bytes by which a shard changes before it tells.
    least: AtomicUsize,
    policy: AtomicU8,
    samples: AtomicUsize,
}

impl Memory {
    pub(super) fn new() -> Self {
        let settings = Settings {
            limit: AtomicUsize::new(0),
            least: AtomicUsize::new(usize::MAX),
            policy: AtomicU8::new(EvictionPolicy::NoEviction as u8),
            samples: AtomicUsize::new(SAMPLES_DEFAULT),
        };
        Self {
            settings: CachePadded::new(settings),
            told: CachePadded::new(AtomicIsize::new(0)),
            ask_all: AtomicBool::new(false),
            evicted: AtomicU64::new(0),
            barren: Barren::default(),
        }
    }

    /// Whether it is known that no key has an expiry.
    pub(super) fn is_barren(&self) -> bool {
        self.barren.state.load(Ordering::Acquire) & 1 == 1
    }

    /// A search of all shards for a key with an expiry begins; answers its number.
    pub(super) fn begin_search(&self) -> u64 {
        let search = self.barren.searches.fetch_add(1, Ordering::Relaxed) + 1;
        self.barren.state.store(2 * search, Ordering::SeqCst);
        search
    }

    /// It was in vain. Said for nothing where a key has got an expiry since, or another search began.
    pub(super) fn end_search(&self, search: u64) {
        let (begun, barren) = (2 * search, 2 * search + 1);
        let state = &self.barren.state;
        let _ = state.compare_exchange(begun, barren, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// A key has got an expiry. Called under the lock of its shard: a search that has passed that
    /// shard has begun before, which is seen here, and any other finds the key.
    #[inline]
    pub(super) fn note_expiring(&self) {
        if self.barren.state.load(Ordering::SeqCst) != 0 {
            self.barren.state.store(0, Ordering::SeqCst);
        }
    }

    /// Lets a locked shard tell its bytes, if they have changed enough.
    #[inline]
    pub(super) fn take_from(&self, shard: &mut Shard) {
        let least = self.settings.least.load(Ordering::Relaxed);
        if let Some(change) = shard.tell_bytes(least) {
            self.told.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// Lets a locked shard tell its bytes, whatever they are.
    pub(super) fn take_all_from(&self, shard: &mut Shard) {
        if let Some(change) = shard.tell_bytes(0) {
            self.told.fetch_add(change, Ordering::Relaxed);
        }
    }

    /// Forgets what is known of the total, because the store was filled without telling.
    pub(super) fn forget_total(&self) {
        self.ask_all.store(true, Ordering::Relaxed);
    }

    pub(super) fn samples(&self) -> usize {
        self.settings.samples.load(Ordering::Relaxed)
    }

    pub(super) fn note_eviction(&self) {
        self.evicted.fetch_add(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// Limits the memory of the store (see [`Engine::used_bytes`]); 0 is no limit. What is there
    /// already stays, until [`Engine::make_room`] or [`Engine::evict`] looks.
    pub fn set_memory_limit(&self, bytes: usize) {
        let settings = &self.memory.settings;
        let least = match bytes {
            0 => usize::MAX,
            _ => (bytes / (SHARDS * INACCURACY)).max(1),
        };
        settings.least.store(least, Ordering::Relaxed);
        // Not asked here: the caller may be a transaction, and hold their locks.
        self.memory.forget_total();
        // Who sees the limit sees that the total is to be asked for.
        settings.limit.store(bytes, Ordering::Release);
    }

    /// The limit of memory; 0 for none.
    #[inline]
    pub fn memory_limit(&self) -> usize {
        self.memory.settings.limit.load(Ordering::Acquire)
    }

    /// Chooses what goes when the limit is reached; at first nothing does.
    pub fn set_eviction_policy(&self, policy: EvictionPolicy) {
        self.memory.settings.policy.store(policy as u8, Ordering::Relaxed);
    }

    /// What goes when the limit is reached.
    pub fn eviction_policy(&self) -> EvictionPolicy {
        let number = self.memory.settings.policy.load(Ordering::Relaxed);
        EvictionPolicy::ALL[usize::from(number)]
    }

    /// Sets how many entries are looked at for each that is evicted, 5 at first. The more, the better
    /// the choice, and the slower.
    pub fn set_eviction_samples(&self, samples: usize) {
        self.memory.settings.samples.store(samples.max(1), Ordering::Relaxed);
    }

    /// How many entries are looked at for each that is evicted.
    pub fn eviction_samples(&self) -> usize {
        self.memory.samples()
    }

    /// Keys evicted since the start or the last [`Engine::forget_evicted_keys`].
    pub fn evicted_keys(&self) -> u64 {
        self.memory.evicted.load(Ordering::Relaxed)
    }

    /// Begins to count evicted keys anew.
    pub fn forget_evicted_keys(&self) {
        self.memory.evicted.store(0, Ordering::Relaxed);
    }

    /// Bytes of memory that the store takes: its entries and tables, as large as the allocator makes
    /// them. Exact for each shard at its own moment, locked one by one. What connections, the log and
    /// a snapshot under way hold is not counted.
    ///
    /// # Panics
    /// When a thread panicked while it held a shard.
    pub fn used_bytes(&self) -> usize {
        EMPTY_BYTES + self.sizes().iter().map(|size| size.bytes).sum::<usize>()
    }

    /// The same as the limit is compared with: told by the shards, up to a 128th of the limit off.
    pub(super) fn told_bytes(&self) -> usize {
        // Whoever comes while another asks, asks too: what was told before may be far off.
        if self.memory.ask_all.load(Ordering::Acquire) {
            for index in 0..SHARDS {
                let mut shard =
                    self.table.shard(index).write().expect("no panic under a shard lock");
                self.memory.take_all_from(&mut shard);
            }
            self.memory.ask_all.store(false, Ordering::Release);
        }
        EMPTY_BYTES.saturating_add_signed(self.memory.told.load(Ordering::Relaxed))
    }
}
