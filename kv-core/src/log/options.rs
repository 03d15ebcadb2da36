//! What a log promises, and in what sizes and times it keeps it.

use std::time::Duration;

/// When the log is synced: each mode is a promise about acknowledged changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// They survive the end of the process. What survives a power cut, a prefix, is up to the
    /// system.
    Os,
    /// They survive the end of the process; a power cut takes those of about the last second, and
    /// what is left is a prefix.
    Everysec,
    /// They survive a power cut.
    Always,
}

/// How a log is kept.
#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// When it is synced.
    pub mode: SyncMode,
    /// A segment of this many bytes is full. It can be longer by one record.
    pub segment_bytes_max: u64,
    /// From one sync to the next in [`SyncMode::Everysec`].
    pub sync_interval: Duration,
    /// In [`SyncMode::Everysec`], changes wait for a sync that lets others be at risk for longer.
    pub exposure_max: Duration,
    /// From one attempt to the next to write to a full disk.
    pub retry_interval: Duration,
}

impl LogOptions {
    /// The usual sizes and times: segments of 64 MiB, a sync a second, waiting after two (as Redis
    /// does), a full disk tried four times a second.
    pub fn new(mode: SyncMode) -> Self {
        Self {
            mode,
            segment_bytes_max: 64 << 20,
            sync_interval: Duration::from_secs(1),
            exposure_max: Duration::from_secs(2),
            retry_interval: Duration::from_millis(250),
        }
    }
}
