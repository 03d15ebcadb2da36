//! The thread that syncs, and what it shares with those that change something.
//!
//! Locks, in this order: `turn` (one sync at a time: an error of the disk is told to one of them
//! only, so there must be no second), `writer`, `tail`. None but `turn` is held while syncing, and
//! none but `tail` while a record is made.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;

use super::error::LogFailure;
use super::gathering::{Gathering, Rhythm};
use super::notices::{Notice, Notices};
use super::options::{LogOptions, SyncMode};
use super::status::Status;
use super::tail::{Published, Tail};
use super::waiters::{self, Queue, Waiters};
use super::writer::{self, Writer};
use crate::storage::Storage;

pub(super) struct Shared {
    pub(super) options: LogOptions,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) tail: CachePadded<Mutex<Tail>>,
    pub(super) writer: CachePadded<Mutex<Writer>>,
    /// Those who wait for the writer to be free.
    pub(super) queue: Queue,
    pub(super) turn: Mutex<()>,
    /// The last record made, written, synced.
    pub(super) published: CachePadded<Published>,
    pub(super) written: CachePadded<AtomicU64>,
    pub(super) durable: CachePadded<AtomicU64>,
    /// Bytes of the log that are durable.
    pub(super) durable_bytes: AtomicU64,
    pub(super) clock: Exposed,
    pub(super) status: Status,
    pub(super) waiters: Waiters,
    pub(super) notices: Notices,
    /// Somebody waits for this to be durable.
    pub(super) wanted: CachePadded<AtomicU64>,
    pub(super) gathering: CachePadded<Gathering>,
    /// 1 while the thread sleeps.
    pub(super) asleep: AtomicU32,
    pub(super) is_stopping: AtomicBool,
    pub(super) is_preparation_due: AtomicBool,
}

/// Since when changes are at risk, in milliseconds of the log's life; 0 when none are.
#[derive(Debug)]
pub(super) struct Exposed {
    began: Instant,
    /// The oldest that no sync has taken.
    since_ms: AtomicU64,
    /// The oldest that the sync under way has taken.
    syncing_since_ms: AtomicU64,
}

impl Exposed {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            since_ms: AtomicU64::new(0),
            syncing_since_ms: AtomicU64::new(0),
        }
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64 + 1
    }

    fn changed(&self) {
        if self.since_ms.load(Ordering::Relaxed) == 0 {
            self.since_ms.store(self.now_ms(), Ordering::Relaxed);
        }
    }

    fn sync_began(&self) {
        let since_ms = self.since_ms.swap(0, Ordering::Relaxed);
        self.syncing_since_ms.store(since_ms, Ordering::Relaxed);
    }

    fn sync_ended(&self) {
        self.syncing_since_ms.store(0, Ordering::Relaxed);
    }

    /// How long the oldest unsynced change has been at risk.
    pub(super) fn age_ms(&self) -> u64 {
        let times = [&self.syncing_since_ms, &self.since_ms];
        let oldest = times.map(|ms| ms.load(Ordering::Relaxed)).into_iter().find(|&ms| ms > 0);
        oldest.map_or(0, |since_ms| self.now_ms().saturating_sub(since_ms))
    }
}

/// The writer, locked; whoever waits for it is told when it is free.
pub(super) struct Writing<'s> {
    /// Taken only when dropped.
    writer: Option<MutexGuard<'s, Writer>>,
    queue: &'s Queue,
}

impl Deref for Writing<'_> {
    type Target = Writer;

    fn deref(&self) -> &Writer {
        self.writer.as_ref().expect("locked until dropped")
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut Writer {
        self.writer.as_mut().expect("locked until dropped")
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        // First: who is told and finds it locked would wait in vain.
        drop(self.writer.take());
        self.queue.tell();
    }
}

/// Whether a write goes to a disk that was full before.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    Again,
}

impl Shared {
    pub(super) fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().expect("no panic under the tail")
    }

    pub(super) fn writer(&self) -> Writing<'_> {
        let writer = self.writer.lock().expect("no panic under the writer");
        Writing { writer: Some(writer), queue: &self.queue }
    }

    /// As [`Shared::writer`], if nobody has it.
    fn try_writer(&self) -> Option<Writing<'_>> {
        match self.writer.try_lock() {
            Ok(writer) => Some(Writing { writer: Some(writer), queue: &self.queue }),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Poisoned(_)) => panic!("no panic under the writer"),
        }
    }

    /// Writes what was made up to `sequence`, and all that others made meanwhile. Where another
    /// thread is writing, that one may take ours along: so we wait for its end and look again,
    /// rather than for the lock, which would be handed from thread to thread, one switch after
    /// another, for each to find its work done.
    pub(super) fn flush(&self, sequence: u64) -> Result<(), LogFailure> {
        while self.written.load(Ordering::Acquire) < sequence {
            let seen = self.queue.look();
            match self.try_writer() {
                None => self.queue.sleep(seen),
                Some(mut writer) if self.written.load(Ordering::Relaxed) < sequence => {
                    self.write(&mut writer, Attempt::First)?;
                }
                Some(_) => {}
            }
        }
        self.bound_exposure()
    }

    /// Where a sync hangs, those who change something wait for it, or more and more is at risk.
    fn bound_exposure(&self) -> Result<(), LogFailure> {
        let exposure_max_ms = self.options.exposure_max.as_millis() as u64;
        while self.options.mode == SyncMode::Everysec && self.clock.age_ms() > exposure_max_ms {
            let oldest = self.durable.load(Ordering::Acquire) + 1;
            if oldest > self.published.sequence.load(Ordering::Acquire) {
                break;
            }
            self.wait_durable(oldest, None)?;
        }
        Ok(())
    }

    fn write(&self, writer: &mut Writer, attempt: Attempt) -> Result<(), LogFailure> {
        if let Some(failure) = self.status.failure()
            && (failure.lasting || attempt == Attempt::First)
        {
            return Err(failure);
        }
        loop {
            if writer.is_done() {
                self.tail().take(&mut writer.batch);
                if writer.is_done() {
                    return Ok(());
                }
                self.clock.changed();
            }
            if let Err(fault) = writer.write() {
                let failure = LogFailure::new(&fault.cause, fault.lasting);
                self.fail(&failure);
                return Err(failure);
            }
            self.written.store(writer.batch.sequence, Ordering::Release);
            if writer.next_to_prepare().is_some() {
                self.is_preparation_due.store(true, Ordering::SeqCst);
                self.wake();
            }
            if attempt == Attempt::First {
                return Ok(());
            }
            self.status.resume();
        }
    }

    fn fail(&self, failure: &LogFailure) {
        self.status.set(failure);
        if failure.lasting {
            self.tail().forget();
        }
        self.waiters.end_all();
        self.notices.look();
        self.wake();
    }

    /// Writes and syncs all that was made before. Syncs what was written also when the rest cannot
    /// be, which is the error then.
    pub(super) fn sync(&self) -> Result<(), LogFailure> {
        let _turn = self.turn.lock().expect("no panic while syncing");
        let (result, files, target, bytes) = {
            let mut writer = self.writer();
            let result = self.write(&mut writer, Attempt::First);
            if let Err(failure) = &result {
                if failure.lasting {
                    return result;
                }
            } else {
                self.clock.sync_began();
            }
            let target = self.written.load(Ordering::Relaxed);
            (result, writer.take_changed(), target, writer.written_bytes())
        };
        self.waiters.begin(target);
        for file in &files {
            if let Err(cause) = file.sync_data() {
                let failure = LogFailure::new(&cause, true);
                self.fail(&failure);
                return Err(failure);
            }
        }
        self.durable_bytes.store(bytes, Ordering::Relaxed);
        self.durable.store(target, Ordering::Release);
        self.clock.sync_ended();
        self.waiters.end();
        self.notices.look();
        result
    }

    /// Whether a record is durable, or why it won't be for now; `None` while that is open.
    pub(super) fn verdict(&self, sequence: u64) -> Option<Result<(), LogFailure>> {
        let sequence = sequence.min(self.published.sequence.load(Ordering::Acquire));
        if self.durable.load(Ordering::Acquire) >= sequence {
            return Some(Ok(()));
        }
        let failure = self.status.failure()?;
        let is_lost = failure.lasting || self.written.load(Ordering::Acquire) < sequence;
        is_lost.then_some(Err(failure))
    }

    /// Has a thread call `notice` once there is a verdict on a record.
    pub(super) fn notify(&self, sequence: u64, notice: Notice) {
        self.notices.push(sequence, notice);
        // Also where the disk is full, which may change before the notice is looked at.
        self.want(sequence);
        if self.verdict(sequence).is_some() {
            self.notices.look();
        }
    }

    /// Waits until a record is durable; no longer than to the deadline, then answers `false`.
    pub(super) fn wait_durable(
        &self,
        sequence: u64,
        deadline: Option<Instant>,
    ) -> Result<bool, LogFailure> {
        if self.durable.load(Ordering::Acquire) >= sequence {
            return Ok(true);
        }
        let sequence = sequence.min(self.published.sequence.load(Ordering::Acquire));
        self.want(sequence);
        loop {
            let seen = self.waiters.look();
            if let Some(verdict) = self.verdict(sequence) {
                return verdict.map(|()| true);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Ok(false);
            }
            self.waiters.sleep(sequence, seen, left);
        }
    }

    pub(super) fn want(&self, sequence: u64) {
        self.wanted.fetch_max(sequence, Ordering::SeqCst);
        self.gathering.come();
        self.wake();
    }

    pub(super) fn wake(&self) {
        // Sequentially consistent against `sleep`: either it sees the work, or this sees it asleep.
        if self.asleep.load(Ordering::SeqCst) == 1 && self.asleep.swap(0, Ordering::SeqCst) == 1 {
            waiters::wake(&self.asleep, 1);
        }
    }

    /// The thread: syncs when somebody waits for it or its time has come, tries a full disk again,
    /// makes the next segment's file ahead of need.
    pub(super) fn run(&self) {
        let (mut synced, mut tried) = (Instant::now(), Instant::now());
        let mut rhythm = Rhythm::new();
        while !self.is_stopping.load(Ordering::SeqCst) {
            if !self.status.is_well() && tried.elapsed() >= self.options.retry_interval {
                tried = Instant::now();
                self.try_again();
            }
            let is_time = self.options.mode == SyncMode::Everysec
                && synced.elapsed() >= self.options.sync_interval;
            if self.is_wanted() || is_time && !self.status.is_poisoned() {
                if !is_time {
                    self.gathering.wait(&rhythm);
                }
                synced = Instant::now();
                // A failure is kept in `status`, where everybody finds it.
                self.gathering.serve(&mut rhythm, || drop(self.sync()));
            }
            if self.is_preparation_due.swap(false, Ordering::SeqCst) && self.status.is_well() {
                self.prepare();
            }
            self.sleep(synced, tried);
        }
    }

    /// The other thread: tells who has left word.
    pub(super) fn run_notices(&self) {
        self.notices.run(|sequence| self.verdict(sequence).is_some());
    }

    /// Whether somebody waits for what a sync can give.
    fn is_wanted(&self) -> bool {
        let mut wanted = self.wanted.load(Ordering::SeqCst);
        if !self.status.is_well() {
            wanted = wanted.min(self.written.load(Ordering::Acquire));
        }
        wanted > self.durable.load(Ordering::Acquire) && !self.status.is_poisoned()
    }

    fn try_again(&self) {
        let mut writer = self.writer();
        // A failure is kept in `status`.
        let _ = self.write(&mut writer, Attempt::Again);
    }

    fn prepare(&self) {
        let next = {
            let writer = self.writer();
            writer.next_to_prepare()
        };
        let Some(number) = next else { return };
        match writer::create(&*self.storage, number) {
            Ok(file) => {
                let mut writer = self.writer();
                writer.keep_prepared(number, file);
            }
            Err(fault) if fault.lasting => self.fail(&LogFailure::new(&fault.cause, true)),
            // Whoever begins the segment tries again, and fails for all to see.
            Err(_) => {}
        }
    }

    fn timeout(&self, synced: Instant, tried: Instant) -> Option<Duration> {
        if self.status.is_poisoned() {
            return None;
        }
        let options = &self.options;
        let sync = (options.mode == SyncMode::Everysec)
            .then(|| options.sync_interval.saturating_sub(synced.elapsed()));
        let again = (!self.status.is_well())
            .then(|| options.retry_interval.saturating_sub(tried.elapsed()));
        sync.into_iter().chain(again).min()
    }

    fn sleep(&self, synced: Instant, tried: Instant) {
        self.asleep.store(1, Ordering::SeqCst);
        // From here on whoever brings work, a failure to try again included, wakes the thread.
        let has_work = self.is_wanted()
            || self.is_stopping.load(Ordering::SeqCst)
            || self.is_preparation_due.load(Ordering::SeqCst);
        if !has_work {
            waiters::sleep(&self.asleep, 1, self.timeout(synced, tried));
        }
        self.asleep.store(0, Ordering::SeqCst);
    }
}
