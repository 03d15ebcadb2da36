//! What the server keeps on disk: recovery at the start, snapshots while it serves, the end.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kv_core::Engine;
use kv_core::data_dir::{CutOff, DataDir, Durability, Progress, RecoveryError, SaveError, Saved};
use kv_core::log::{Log, Torn};
use kv_core::snapshot::SnapshotError;
use kv_core::storage::Storage;

use crate::shared::Shared;

/// The store's folder and how it fares.
#[derive(Default)]
pub(crate) struct Persistence {
    loading: AtomicBool,
    pub(crate) progress: Progress,
    data_dir: OnceLock<DataDir>,
    /// Whether a snapshot is being taken.
    saving: Mutex<bool>,
    /// Told when one has ended.
    saved: Condvar,
    /// Whether the last snapshot failed.
    save_failed: AtomicBool,
    /// Unix time of the last snapshot, or of the start.
    saved_at_s: AtomicU64,
    /// How long the last snapshot took.
    save_ms: AtomicU64,
    last_attempt: Mutex<Option<Instant>>,
    forgoes_last_save: AtomicBool,
}

/// Why there is no snapshot now.
#[derive(Debug)]
pub(crate) enum SaveRefusal {
    NoDataDir,
    InProgress,
    Failed(String),
}

impl fmt::Display for SaveRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDataDir => {
                f.write_str("nothing is kept on disk: start the server with --data-dir")
            }
            Self::InProgress => f.write_str("Background save already in progress"),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl Persistence {
    /// Before anybody connects: the store is about to be recovered.
    pub(crate) fn announce_loading(&self) {
        self.loading.store(true, Ordering::Release);
    }

    /// Whether the store is not there yet.
    #[inline]
    pub(crate) fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Acquire)
    }

    /// The folder, once it is open.
    pub(crate) fn data_dir(&self) -> Option<&DataDir> {
        self.data_dir.get()
    }

    pub(crate) fn durability(&self) -> Durability {
        self.data_dir().map_or(Durability::None, DataDir::durability)
    }

    /// Fills the engine from `storage` and keeps it there from now on.
    pub(crate) fn recover(
        &self,
        engine: &Engine,
        storage: Arc<dyn Storage>,
        durability: Durability,
    ) -> Result<(), RecoveryError> {
        let opened = DataDir::open(storage, engine, durability, &self.progress);
        self.progress.cut().into_iter().for_each(tell_cut);
        let (data_dir, recovered) = opened?;
        log::info!(
            "recovered {} entries from the snapshot and {} changes from the log in {:.3} s",
            recovered.snapshot_entries,
            recovered.log_records,
            recovered.elapsed.as_secs_f64()
        );
        self.saved_at_s.store(unix_s(), Ordering::Relaxed);
        assert!(self.data_dir.set(data_dir).is_ok(), "a store is recovered once");
        self.loading.store(false, Ordering::Release);
        Ok(())
    }

    /// Takes a snapshot on this thread.
    pub(crate) fn save(&self, engine: &Engine) -> Result<Saved, SaveRefusal> {
        let data_dir = self.data_dir().ok_or(SaveRefusal::NoDataDir)?;
        self.claim()?;
        let saved = self.save_claimed(engine, data_dir);
        self.release();
        saved.map_err(|error| SaveRefusal::Failed(error.to_string()))
    }

    /// Takes a snapshot on a thread of its own.
    pub(crate) fn save_in_background(shared: &Arc<Shared>) -> Result<(), SaveRefusal> {
        let persistence = &shared.persistence;
        if persistence.data_dir().is_none() {
            return Err(SaveRefusal::NoDataDir);
        }
        persistence.claim()?;
        let theirs = Arc::clone(shared);
        let save = move || {
            let persistence = &theirs.persistence;
            if let Some(data_dir) = persistence.data_dir() {
                // The outcome is in the log and in INFO.
                drop(persistence.save_claimed(&theirs.engine, data_dir));
            }
            persistence.release();
        };
        if let Err(error) = thread::Builder::new().name("snapshot".to_owned()).spawn(save) {
            persistence.release();
            return Err(SaveRefusal::Failed(format!("no thread for the snapshot: {error}")));
        }
        Ok(())
    }

    fn save_claimed(&self, engine: &Engine, data_dir: &DataDir) -> Result<Saved, SaveError> {
        let began = Instant::now();
        let saved = data_dir.save(engine);
        let elapsed = began.elapsed();
        match &saved {
            Ok(saved) => {
                log::info!(
                    "snapshot of {} entries, {} bytes, in {:.3} s",
                    saved.entries,
                    saved.bytes,
                    elapsed.as_secs_f64()
                );
                self.saved_at_s.store(unix_s(), Ordering::Relaxed);
                self.save_ms.store(elapsed.as_millis() as u64, Ordering::Relaxed);
            }
            Err(SaveError::Snapshot(SnapshotError::Abandoned { .. })) => {
                log::info!("gave up the snapshot under way: the server ends");
            }
            Err(reason) => log::error!("no snapshot: {reason}"),
        }
        self.save_failed.store(saved.is_err(), Ordering::Release);
        saved
    }

    /// Begins a snapshot when one is due: by the clock where snapshots are all there is, by the
    /// size of the log where there is one. Called a few times a second.
    pub(crate) fn tick(shared: &Arc<Shared>) {
        let interval_s = shared.settings.snapshot_interval_s.load(Ordering::Relaxed);
        let interval = Duration::from_secs(interval_s);
        let persistence = &shared.persistence;
        let Some(data_dir) = persistence.data_dir() else { return };
        let mut last_attempt =
            persistence.last_attempt.lock().unwrap_or_else(PoisonError::into_inner);
        let since = last_attempt.get_or_insert_with(Instant::now).elapsed();
        let is_due = match data_dir.durability() {
            Durability::None => false,
            Durability::Snapshot => {
                let changed = shared.engine.sequence() != data_dir.saved_sequence();
                since >= interval && (changed || persistence.has_failed())
            }
            Durability::Os | Durability::Everysec | Durability::Always => {
                // After a failure, not at every tick.
                data_dir.is_log_long(&shared.engine)
                    && (!persistence.has_failed() || since >= interval)
            }
        };
        if !is_due {
            return;
        }
        match Self::save_in_background(shared) {
            // One that is under way will do.
            Err(SaveRefusal::InProgress | SaveRefusal::NoDataDir) => {}
            Ok(()) => *last_attempt = Some(Instant::now()),
            Err(SaveRefusal::Failed(reason)) => {
                *last_attempt = Some(Instant::now());
                log::error!("no snapshot: {reason}");
                persistence.save_failed.store(true, Ordering::Release);
            }
        }
    }

    /// Why a command that writes, or a health check, is refused now; in Redis' words.
    #[inline]
    pub(crate) fn refusal(&self, engine: &Engine) -> Option<String> {
        if let Some(reason) = engine.log().and_then(Log::refusal) {
            return Some(format!("MISCONF Errors writing to the AOF file: {reason}"));
        }
        (self.has_failed() && self.durability() == Durability::Snapshot).then(|| {
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to \
             persist to disk. Commands that may modify the data set are disabled, because this \
             instance is configured to report errors during writes if RDB snapshotting fails \
             (stop-writes-on-bgsave-error option). Please check the Redis logs for details about \
             the RDB error."
                .to_owned()
        })
    }

    /// Lets the end of the server take no last snapshot.
    pub(crate) fn forgo_last_save(&self) {
        self.forgoes_last_save.store(true, Ordering::Release);
    }

    /// Keeps what has not been kept yet. No client is served any more.
    ///
    /// # Errors
    /// Why the last changes may be lost, in words.
    pub(crate) fn close(&self, engine: &Engine) -> Result<(), String> {
        let Some(data_dir) = self.data_dir() else { return Ok(()) };
        data_dir.abandon_saves();
        let mut saving = self.lock_saving();
        while *saving {
            saving = self.saved.wait(saving).unwrap_or_else(PoisonError::into_inner);
        }
        drop(saving);
        data_dir.allow_saves();
        if data_dir.durability() == Durability::Snapshot
            && engine.sequence() != data_dir.saved_sequence()
            && !self.forgoes_last_save.load(Ordering::Acquire)
        {
            self.save(engine).map_err(|refusal| format!("the last snapshot: {refusal}"))?;
        }
        match engine.log().map(Log::close) {
            Some(Err(error)) => Err(format!("the end of the log: {error}")),
            _ => Ok(()),
        }
    }

    pub(crate) fn is_saving(&self) -> bool {
        *self.lock_saving()
    }

    fn lock_saving(&self) -> MutexGuard<'_, bool> {
        self.saving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is one snapshot at a time.
    fn claim(&self) -> Result<(), SaveRefusal> {
        let mut saving = self.lock_saving();
        if *saving {
            return Err(SaveRefusal::InProgress);
        }
        *saving = true;
        Ok(())
    }

    fn release(&self) {
        *self.lock_saving() = false;
        self.saved.notify_all();
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.save_failed.load(Ordering::Acquire)
    }

    /// Unix time of the last snapshot; of the start before there was any.
    pub(crate) fn saved_at_s(&self) -> u64 {
        self.saved_at_s.load(Ordering::Relaxed)
    }

    pub(crate) fn save_ms(&self) -> u64 {
        self.save_ms.load(Ordering::Relaxed)
    }
}

fn tell_cut(cut: &CutOff) {
    let Torn { file, bytes, offset, .. } = &cut.torn;
    let what = match (&cut.kept.not_all, cut.kept.files.join(", ")) {
        (None, files) => format!("kept in {files}"),
        (Some(why), files) if files.is_empty() => format!("which are not kept, for {why}"),
        (Some(why), files) => {
            format!("of which not all are kept, for {why}; the rest is in {files}")
        }
    };
    log::warn!("{file}: cut {bytes} bytes at offset {offset} that a crash left unfinished, {what}");
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
