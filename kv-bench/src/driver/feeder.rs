//! The thread that reads a trace ahead of the workers.
//!
//! It parses, encodes and deals out blocks of requests, to each worker through a channel of bounded length
//! and to each client what its keys' operations are. A worker whose channel is full holds it up, which is
//! as it should be: before it waits, it hands out all that it has, and says how far it has come
//! ([`Status::horizon_ns`]), so that nobody takes what is not due yet for something that is missing.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{
    Receiver, RecvTimeoutError, SendTimeoutError, Sender, TrySendError, bounded, unbounded,
};

use crate::trace::{
    Block, Entry, LENGTH_MAX, Payload, Reading, Replay, Requests, Spread, Step, Tally, describe,
    too_bad,
};

/// Blocks that wait for one worker at most.
const BLOCKS_MAX: usize = 8;
/// How long a start waits for the first blocks: a pipe may have nothing yet.
const HEAD_START: Duration = Duration::from_secs(1);
/// How often a reader that waits for a worker looks who else has room, and whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long its report is waited for: who reads a pipe may not come to an end.
const REPORT_TIME: Duration = Duration::from_millis(200);

/// What a reader says of itself while it reads.
#[derive(Debug, Default)]
pub(super) struct Status {
    /// All that is due before this, in nanoseconds after the beginning, has been handed out.
    pub(super) horizon_ns: AtomicU64,
    /// It waits for a worker to make room: nobody waits for it.
    pub(super) is_waiting: AtomicBool,
    /// It waits for a pipe, and has handed out all that came, which is one operation less; 0 if it does
    /// not. Lines without an operation change nothing.
    pub(super) dry: AtomicU64,
    is_unwanted: AtomicBool,
    report: Mutex<Replayed>,
}

/// What a reader leaves.
#[derive(Debug, Clone, Default)]
pub struct Replayed {
    pub tally: Tally,
    /// Operations handed out.
    pub operations: u64,
    /// Why it ended before the trace did.
    pub failure: Option<String>,
}

/// What one worker gets from the reader.
pub(super) struct Feed {
    pub(super) blocks: Receiver<Block>,
    pub(super) recycle: Sender<Block>,
    pub(super) status: Arc<Status>,
    pub(super) payload: Payload,
}

/// The feeds of a phase, each for the worker that takes it.
pub(super) struct Feeds(Mutex<Vec<Option<Feed>>>);

impl Feeds {
    /// That of worker `index`, which can be taken once.
    pub(super) fn take(&self, index: usize) -> Option<Feed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index)?.take()
    }
}

/// A reader at work.
pub(super) struct Feeder {
    status: Arc<Status>,
    over: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Feeder {
    /// Starts one for `threads` workers with `clients` each, and waits until it has something for them.
    pub(super) fn start(
        replay: &Arc<Replay>,
        threads: u32,
        clients: u32,
    ) -> io::Result<(Self, Feeds)> {
        let reading = replay.reading()?;
        let status = Arc::new(Status::default());
        let payload = Payload::new(replay.seed);
        let (recycle, recycled) = unbounded();
        let (senders, feeds): (Vec<_>, Vec<_>) = (0..threads)
            .map(|_| {
                let (sender, blocks) = bounded(BLOCKS_MAX);
                let (recycle, status) = (recycle.clone(), Arc::clone(&status));
                (sender, Some(Feed { blocks, recycle, status, payload: payload.clone() }))
            })
            .unzip();
        let (started, head_start) = bounded(1);
        let (finished, over) = bounded(1);
        let blocks = senders.iter().map(|_| Block::default()).collect();
        let mut dealer = Dealer {
            senders,
            blocks,
            recycled,
            status: Arc::clone(&status),
            started: Some(started),
            clients,
            operations: 0,
            due_ns: 0,
            failure: None,
        };
        let replay = Arc::clone(replay);
        let thread = std::thread::Builder::new().name("trace".to_owned()).spawn(move || {
            let report = dealer.deal(&replay, reading);
            *dealer.status.report.lock().unwrap_or_else(PoisonError::into_inner) = report;
            drop(dealer);
            drop(finished);
        })?;
        // Nothing is sent: it is over when the other end is gone.
        let _ = head_start.recv_timeout(HEAD_START);
        Ok((Self { status, over, thread }, Feeds(Mutex::new(feeds))))
    }

    /// Ends it, and has its report.
    pub(super) fn end(self) -> Replayed {
        self.status.is_unwanted.store(true, Ordering::Relaxed);
        // One that waits for a pipe is left to it.
        let is_over = self.over.recv_timeout(REPORT_TIME) == Err(RecvTimeoutError::Disconnected);
        let has_panicked = is_over && self.thread.join().is_err();
        let report = self.status.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let panicked = has_panicked.then(|| "the thread that read the trace panicked".to_owned());
        Replayed { failure: report.failure.or(panicked), ..report }
    }
}

/// Deals out what is read.
struct Dealer {
    senders: Vec<Sender<Block>>,
    /// That of each worker, which is not full yet.
    blocks: Vec<Block>,
    recycled: Receiver<Block>,
    status: Arc<Status>,
    /// Until the workers may begin.
    started: Option<Sender<()>>,
    clients: u32,
    operations: u64,
    /// The last operation's.
    due_ns: u64,
    failure: Option<String>,
}

impl Dealer {
    fn deal(&mut self, replay: &Replay, mut reading: Reading) -> Replayed {
        let (mut spread, mut requests) = (replay.spread(), replay.requests());
        let read = reading.each(|tally, step| match step {
            Step::Entry(entry) => self.take(tally, entry, replay, (&mut spread, &mut requests)),
            Step::Wait => self.dry_up(tally),
        });
        if reading.is_hopeless() {
            self.failure = Some(too_bad(&reading.tally, replay.format));
        }
        self.finish();
        let failed = read.err().map(|error| describe(&error));
        let name = replay.source.name();
        let failure = failed.or(self.failure.take()).map(|why| format!("{name}: {why}"));
        Replayed { tally: reading.tally.clone(), operations: self.operations, failure }
    }

    fn take(
        &mut self,
        tally: &Tally,
        entry: Entry<'_>,
        replay: &Replay,
        (spread, requests): (&mut Spread, &mut Requests),
    ) -> ControlFlow<()> {
        let streams = self.senders.len() as u64 * u64::from(self.clients);
        let stream = u64::from(Requests::hash(&entry.action)) % streams;
        let worker = (stream / u64::from(self.clients)) as usize;
        let client = (stream % u64::from(self.clients)) as u32;
        self.status.dry.store(0, Ordering::Relaxed);
        for _ in 0..entry.times {
            if replay.is_timed() {
                self.due_ns = spread.due_ns(entry.at_ns);
                if u128::from(self.due_ns) >= replay.before.as_nanos() {
                    return ControlFlow::Break(());
                }
                if u128::from(self.due_ns) > LENGTH_MAX.as_nanos() {
                    let why = format!("the time of line {} is more than a year away", tally.lines);
                    self.failure = Some(why);
                    return ControlFlow::Break(());
                }
            }
            requests.push(&entry.action, &mut self.blocks[worker], client, self.due_ns);
            self.operations += 1;
            let is_wanted = !self.blocks[worker].is_full() || self.send(worker, tally);
            // Before the next line is looked for, which a pipe may never have.
            if !is_wanted || self.operations >= replay.operations {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Sends a worker's block. False when the worker is gone, or nobody wants any more.
    fn send(&mut self, worker: usize, tally: &Tally) -> bool {
        let block = self.swap(worker);
        let block = match self.senders[worker].try_send(block) {
            Ok(()) => return !self.status.is_unwanted.load(Ordering::Relaxed),
            Err(TrySendError::Disconnected(_)) => return false,
            Err(TrySendError::Full(block)) => block,
        };
        self.hand_out();
        self.started = None;
        self.note(tally);
        self.status.is_waiting.store(true, Ordering::Relaxed);
        let is_sent = self.wait(worker, block);
        self.status.is_waiting.store(false, Ordering::Relaxed);
        is_sent
    }

    /// Waits until a worker takes its block, and hands out what others get room for meanwhile. False when
    /// the worker is gone, or nobody wants any more.
    fn wait(&mut self, worker: usize, mut block: Block) -> bool {
        loop {
            match self.senders[worker].send_timeout(block, LOOK_EVERY) {
                Ok(()) => return true,
                Err(SendTimeoutError::Disconnected(_)) => return false,
                Err(SendTimeoutError::Timeout(_)) if self.is_unwanted() => return false,
                Err(SendTimeoutError::Timeout(again)) => block = again,
            }
            self.hand_out();
        }
    }

    fn is_unwanted(&self) -> bool {
        self.status.is_unwanted.load(Ordering::Relaxed)
    }

    /// Hands out all there is before it waits for a pipe: nobody knows for how long.
    fn dry_up(&mut self, tally: &Tally) -> ControlFlow<()> {
        self.note(tally);
        self.hand_out();
        // Who has something begins with it.
        if self.operations > 0 {
            self.started = None;
        }
        self.status.is_waiting.store(true, Ordering::Relaxed);
        let is_wanted = (0..self.blocks.len()).all(|worker| self.hand_over(worker));
        self.status.is_waiting.store(false, Ordering::Relaxed);
        self.hand_out();
        self.status.dry.store(self.operations + 1, Ordering::Release);
        if is_wanted && !self.is_unwanted() {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    }

    /// Hands out what is left.
    fn finish(&mut self) {
        self.hand_out();
        self.started = None;
        self.status.is_waiting.store(true, Ordering::Relaxed);
        for worker in 0..self.blocks.len() {
            // One that is gone wants nothing.
            let _ = self.hand_over(worker);
            self.senders[worker] = bounded(0).0;
        }
    }

    /// Hands over a worker's block, if there is anything in it, as soon as there is room. False as of
    /// [`Dealer::wait`].
    fn hand_over(&mut self, worker: usize) -> bool {
        let block = self.swap(worker);
        block.records.is_empty() || self.wait(worker, block)
    }

    /// Hands out blocks that are not full, to all who have room for them. When that is all of them, there
    /// is nothing here that is due before the last operation read.
    fn hand_out(&mut self) {
        let mut is_all = true;
        for worker in 0..self.blocks.len() {
            if self.blocks[worker].records.is_empty() {
                continue;
            }
            let block = self.swap(worker);
            if let Err(TrySendError::Full(block)) = self.senders[worker].try_send(block) {
                // It has enough to do until then.
                self.blocks[worker] = block;
                is_all = false;
            }
        }
        if is_all {
            self.status.horizon_ns.store(self.due_ns, Ordering::Release);
        }
    }

    /// An empty block in the place of a worker's.
    fn swap(&mut self, worker: usize) -> Block {
        let mut empty = self.recycled.try_recv().unwrap_or_default();
        empty.clear();
        std::mem::replace(&mut self.blocks[worker], empty)
    }

    /// What is known so far, for who does not wait for the end.
    fn note(&self, tally: &Tally) {
        let mut report = self.status.report.lock().unwrap_or_else(PoisonError::into_inner);
        *report = Replayed { tally: tally.clone(), operations: self.operations, failure: None };
    }
}
