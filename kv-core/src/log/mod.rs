//! The write-ahead log: every change on disk, in the order in which it was made.
//!
//! ```text
//! change → OpenRecord in the Tail (memory) → Writer → segment file → sync thread → durable
//!                        begin, close         flush                  wait_durable
//! ```
//!
//! A record is made under the locks of the entries that it changes, so the order of records is that
//! of changes; nothing touches a file there. One write takes all that was made meanwhile, one sync
//! all that was written: the busier, the larger the groups.
//!
//! [`read`] gives the records back, and tells a torn tail ([`cut`] it) from corruption. The formats
//! are drawn in [`record`], [`segment`] and [`effect`].

mod cut;
pub mod effect;
mod error;
mod gathering;
mod notices;
mod options;
mod reader;
pub mod record;
mod scan;
pub mod segment;
mod status;
mod sync;
mod tail;
mod unmarked;
mod waiters;
mod writer;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam::utils::CachePadded;

use crate::storage::Storage;
use notices::Notices;
use segment::segment_name;
use status::Status;
use sync::{Exposed, Shared};
use tail::{Batch, Published, Tail};
use waiters::{Queue, Waiters};
use writer::Writer;

pub(crate) use cut::keep_from;
pub use cut::{Keeping, Kept, cut};
pub use effect::{Effect, EffectError, Effects};
pub use error::{LogError, LogFailure, Torn};
pub use notices::Notice;
pub use options::{LogOptions, SyncMode};
pub use reader::{LogEnd, LogStart, Record, Segment, read};
pub use tail::OpenRecord;

/// What a power cut at this moment could take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Exposure {
    /// How long ago the oldest change that is not durable was written.
    pub unsynced_ms: u64,
    /// Bytes of log that are not durable.
    pub unsynced_bytes: u64,
}

/// A log that is being written. Dropped without [`Log::close`] it ends as if the process had been
/// killed.
pub struct Log {
    shared: Arc<Shared>,
    /// The last record that is a mark and nothing else, which needs none itself.
    marked: AtomicU64,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Log {
    /// Begins a new segment where [`read`] found the log to end, and starts the threads that sync
    /// and tell. What was read is durable then, too.
    ///
    /// # Errors
    /// [`LogError::Io`]; nothing was promised then and it can be tried again.
    ///
    /// # Panics
    /// When a torn tail was not cut.
    pub fn start(
        storage: Arc<dyn Storage>,
        options: LogOptions,
        at: &LogEnd,
    ) -> Result<Self, LogError> {
        assert!(at.torn.is_none(), "a torn tail is cut before the log goes on");
        let file = storage.path(&segment_name(at.next_segment));
        let failed = |cause| LogError::Io { file: file.clone(), cause };
        unmarked::settle(&*storage, at.next_segment).map_err(failed)?;
        let batch = || Batch { sequence: at.sequence, appended: at.bytes, ..Batch::default() };
        let mut tail = Tail::new(at.salt, options.segment_bytes_max, batch(), at.chain);
        tail.begin_numbered(at.next_segment, at.sequence);
        let zeros_ahead = options.mode == SyncMode::Always;
        let mut writer =
            Writer::new(Arc::clone(&storage), zeros_ahead, options.segment_bytes_max, batch());
        tail.take(&mut writer.batch);
        writer.write().map_err(|fault| failed(fault.cause))?;
        for file in writer.take_changed() {
            file.sync_data().map_err(failed)?;
        }
        let sequence = || CachePadded::new(AtomicU64::new(at.sequence));
        let shared = Arc::new(Shared {
            options,
            durable_bytes: AtomicU64::new(writer.written_bytes()),
            tail: CachePadded::new(Mutex::new(tail)),
            writer: CachePadded::new(Mutex::new(writer)),
            queue: Queue::default(),
            turn: Mutex::new(()),
            published: CachePadded::new(Published {
                sequence: AtomicU64::new(at.sequence),
                appended: AtomicU64::new(at.bytes),
            }),
            written: sequence(),
            durable: sequence(),
            clock: Exposed::new(),
            status: Status::default(),
            waiters: Waiters::default(),
            notices: Notices::default(),
            wanted: sequence(),
            gathering: CachePadded::default(),
            asleep: AtomicU32::new(0),
            is_stopping: AtomicBool::new(false),
            is_preparation_due: AtomicBool::new(false),
            storage,
        });
        let log = Self { shared, marked: AtomicU64::new(0), threads: Mutex::default() };
        log.spawn("log-sync", Shared::run).map_err(failed)?;
        log.spawn("log-notice", Shared::run_notices).map_err(failed)?;
        Ok(log)
    }

    fn spawn(&self, name: &str, run: fn(&Shared)) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))?;
        self.threads.lock().expect("no panic while starting").push(thread);
        Ok(())
    }

    /// When it is synced.
    #[inline]
    pub fn mode(&self) -> SyncMode {
        self.shared.options.mode
    }

    /// Begins a record, with the next sequence; nobody else can until it is closed.
    #[inline]
    pub fn begin(&self) -> OpenRecord<'_> {
        let tail = self.shared.tail();
        OpenRecord::new(tail, self.durable(), &self.shared.published)
    }

    /// The sequence of the last record.
    #[inline]
    pub fn sequence(&self) -> u64 {
        self.shared.published.sequence.load(Ordering::Acquire)
    }

    /// The sequence of the last record, unless that only marks what is durable: of the one before it
    /// then, which is.
    pub fn last_change(&self) -> u64 {
        let sequence = self.sequence();
        sequence - u64::from(self.marked.load(Ordering::Relaxed) == sequence && sequence > 0)
    }

    /// The last record that survives the end of the process.
    pub fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Acquire)
    }

    /// The last record that survives a power cut.
    #[inline]
    pub fn durable(&self) -> u64 {
        self.shared.durable.load(Ordering::Acquire)
    }

    /// Writes the records up to `sequence`, so that they survive the end of the process. In
    /// [`SyncMode::Everysec`] waits for a sync that hangs.
    ///
    /// # Errors
    /// Why they are not written. Once there is space they may be: what becomes of them is open.
    #[inline]
    pub fn flush(&self, sequence: u64) -> Result<(), LogFailure> {
        self.shared.flush(sequence)
    }

    /// Waits until the records up to `sequence` (or the last one) are durable; in every mode, and
    /// without waiting for the second to pass.
    ///
    /// # Errors
    /// Why they are not, and perhaps never will be.
    #[inline]
    pub fn wait_durable(&self, sequence: u64) -> Result<(), LogFailure> {
        self.shared.wait_durable(sequence, None).map(drop)
    }

    /// As [`Log::wait_durable`], but answers `false` at the deadline.
    pub fn wait_durable_until(&self, sequence: u64, deadline: Instant) -> Result<bool, LogFailure> {
        self.shared.wait_durable(sequence, Some(deadline))
    }

    /// What [`Log::wait_durable`] would answer at once; `None` where it would wait.
    #[inline]
    pub fn verdict(&self, sequence: u64) -> Option<Result<(), LogFailure>> {
        self.shared.verdict(sequence)
    }

    /// Has a thread of the log call `notice` once there is a [`Log::verdict`] on these records; by then
    /// it may be open again, where a full disk has room again. A notice that is left when the log
    /// ends is never called.
    #[inline]
    pub fn notify(&self, sequence: u64, notice: Notice) {
        self.shared.notify(sequence, notice);
    }

    /// Waits until the records up to `sequence` are as safe as the mode promises.
    ///
    /// # Errors
    /// Why they are not; [`Log::kept`] says up to where they are.
    #[inline]
    pub fn settle(&self, sequence: u64) -> Result<(), LogFailure> {
        match self.mode() {
            SyncMode::Always => self.wait_durable(sequence),
            SyncMode::Os => self.flush(sequence),
            SyncMode::Everysec => {
                self.flush(sequence)?;
                match self.lasting_failure() {
                    Some(failure) if self.durable() < sequence => Err(failure),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The last record that is as safe as the mode promises.
    pub fn kept(&self) -> u64 {
        match self.mode() {
            SyncMode::Always => self.durable(),
            // No sync comes any more: what none has taken is not safe in a second, but never.
            SyncMode::Everysec if self.lasting_failure().is_some() => self.durable(),
            SyncMode::Os | SyncMode::Everysec => self.written(),
        }
    }

    fn lasting_failure(&self) -> Option<LogFailure> {
        self.refusal().filter(|failure| failure.lasting)
    }

    /// Has a record say that all are durable, where that is so and no other says it: what is damaged
    /// later is then told from what a crash tore. For when no changes come. Does not wait.
    pub fn mark(&self) {
        let durable = self.durable();
        let tail = self.shared.tail();
        let is_known = !tail.is_mark_due(durable) || self.marked.load(Ordering::Relaxed) == durable;
        if is_known || !tail.ends_with(durable) || self.refusal().is_some() {
            return;
        }
        let mark = OpenRecord::new(tail, durable, &self.shared.published).close();
        self.marked.store(mark, Ordering::Relaxed);
        self.shared.want(mark);
    }

    /// Why changes are refused, if they are. Costs next to nothing when all is well.
    #[inline]
    pub fn refusal(&self) -> Option<LogFailure> {
        self.shared.status.failure()
    }

    /// The file that is being written, with its folder, for messages. May wait for a write.
    pub fn file(&self) -> String {
        let number = self.shared.writer().segment();
        self.shared.storage.path(&segment_name(number))
    }

    /// Begins a new segment, unless the last has no record yet, and waits until it and all before it
    /// are durable; answers its number. Records made from now on are in it or later ones.
    ///
    /// # Errors
    /// Why that is not so.
    pub fn rotate(&self) -> Result<u64, LogFailure> {
        let durable = self.durable();
        let number = {
            let mut tail = self.shared.tail();
            tail.begin_segment(durable)
        };
        self.shared.sync()?;
        Ok(number)
    }

    /// What a power cut now could take.
    pub fn exposure(&self) -> Exposure {
        let durable_bytes = self.shared.durable_bytes.load(Ordering::Relaxed);
        let unsynced_bytes = self.appended_bytes().saturating_sub(durable_bytes);
        let unsynced_ms = if unsynced_bytes == 0 { 0 } else { self.shared.clock.age_ms() };
        Exposure { unsynced_ms, unsynced_bytes }
    }

    /// Bytes of log since it was read from its first segment: those found there and all appended,
    /// whatever was removed since.
    pub fn appended_bytes(&self) -> u64 {
        self.shared.published.appended.load(Ordering::Relaxed)
    }

    /// Writes and syncs everything, marks it as durable, and ends the threads. Changes are refused
    /// from now on. Nobody makes records meanwhile.
    ///
    /// # Errors
    /// Why the last changes may be lost.
    pub fn close(&self) -> Result<(), LogFailure> {
        self.stop();
        let closed = self.finish();
        self.shared.status.set(&LogFailure::closed());
        self.shared.waiters.end_all();
        closed
    }

    fn finish(&self) -> Result<(), LogFailure> {
        self.shared.sync()?;
        if self.is_mark_due() {
            self.begin().close();
        }
        let trimmed = {
            let mut writer = self.shared.writer();
            writer.trim()
        };
        self.shared.sync()?;
        trimmed.map_err(|cause| LogFailure::new(&cause, true))
    }

    fn is_mark_due(&self) -> bool {
        self.shared.tail().is_mark_due(self.durable())
    }

    fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::SeqCst);
        self.shared.wake();
        self.shared.notices.end();
        for thread in self.threads.lock().expect("no panic while stopping").drain(..) {
            assert!(thread.join().is_ok(), "a thread of the log panicked");
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}
