//! Wall time, which expiry is measured by; tests turn it by hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Where the engine reads the time.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    #[default]
    System,
    /// Unix time in milliseconds, set by a test.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// Unix time in milliseconds; 0 before 1970.
    pub fn now_ms(&self) -> u64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |elapsed| elapsed.as_millis() as u64),
            Self::Manual(now_ms) => now_ms.load(Ordering::Relaxed),
        }
    }
}
