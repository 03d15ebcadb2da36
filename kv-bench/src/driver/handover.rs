//! What a worker hands to the collector: interval latencies, and live figures for the eye and for the
//! decision to give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};
use crossbeam::utils::CachePadded;

use super::outage::{NOT_CONCERNED, Reach};
use super::slices::{SLICE, Slicer};
use super::{Effort, Message, Phase, Slice};
use crate::recorder::{Counts, Latencies, Recorder, Tally};

/// Length of an interval: two lines a second in the histogram log, fresh percentiles twice a second
/// in the progress line.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// A worker's counters as the progress line reads them: written by that worker alone.
#[derive(Debug, Default)]
pub(super) struct Published {
    pub(super) attempted: AtomicU64,
    pub(super) fills: AtomicU64,
    pub(super) failed: AtomicU64,
    /// Operations without an outcome.
    pub(super) outstanding: AtomicU64,
    /// Operations that are due and not sent.
    pub(super) backlog: AtomicU64,
    /// Since when the worker has waited for a reply that has not come; 0 when it waits for none.
    pub(super) waiting_since_ns: AtomicU64,
    /// The clock's reading at the last reply; 0 before the first.
    pub(super) last_reply_ns: AtomicU64,
    /// Per node, when the worker lost its last connection to it; 0 while it has one, and
    /// [`NOT_CONCERNED`] when it has nothing left to do.
    pub(super) away_since_ns: Box<[AtomicU64]>,
}

impl Published {
    pub(super) fn new(nodes: usize) -> Self {
        let away_since_ns = (0..nodes).map(|_| AtomicU64::new(0)).collect();
        Self { away_since_ns, ..Self::default() }
    }

    /// A phase begins.
    pub(super) fn reset(&self) {
        let figures = [
            &self.attempted,
            &self.fills,
            &self.failed,
            &self.outstanding,
            &self.backlog,
            &self.waiting_since_ns,
            &self.last_reply_ns,
        ];
        figures.into_iter().chain(&self.away_since_ns).for_each(|f| f.store(0, Ordering::Relaxed));
    }
}

/// What lies before one worker.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    /// Operations without an outcome.
    pub(super) outstanding: u64,
    /// Operations that are due and not sent.
    pub(super) backlog: u64,
    /// Since when it has waited for a reply that has not come.
    pub(super) waiting_since_ns: Option<u64>,
}

/// What one worker recorded in one interval.
pub(super) struct Batch {
    pub(super) worker: usize,
    /// Number of the interval in which it began.
    pub(super) interval: u64,
    pub(super) end_ns: u64,
    pub(super) latencies: Box<Latencies>,
    /// Those that ended in it, where they are counted.
    pub(super) slices: Vec<(u64, Slice)>,
    /// Since the phase began.
    pub(super) tally: Tally,
    pub(super) effort: Effort,
}

pub(super) struct Handover {
    pub(super) worker: usize,
    pub(super) messages: Sender<Message>,
    /// Histograms that the collector has emptied.
    pub(super) recycled: Receiver<Box<Latencies>>,
    pub(super) published: Arc<[CachePadded<Published>]>,
    start_ns: u64,
    interval: u64,
    due_ns: u64,
    /// The end of the interval; what is due before that is the end of a slice.
    interval_end_ns: u64,
    slicer: Option<Slicer>,
}

impl Handover {
    pub(super) fn new(
        worker: usize,
        messages: Sender<Message>,
        recycled: Receiver<Box<Latencies>>,
        published: Arc<[CachePadded<Published>]>,
    ) -> Self {
        Self {
            worker,
            messages,
            recycled,
            published,
            start_ns: 0,
            interval: 0,
            due_ns: 0,
            interval_end_ns: 0,
            slicer: None,
        }
    }

    pub(super) fn begin(&mut self, phase: &Phase) {
        self.start_ns = phase.start_ns;
        self.interval = 0;
        self.interval_end_ns = phase.start_ns + INTERVAL.as_nanos() as u64;
        let limits_ns = phase.limits_ns.as_ref().filter(|_| phase.schedule.is_open());
        self.slicer = limits_ns.map(|limits_ns| Slicer::new(Arc::clone(limits_ns)));
        self.await_end(phase.start_ns);
    }

    fn await_end(&mut self, now_ns: u64) {
        let slice_ns = SLICE.as_nanos() as u64;
        let slice = now_ns.saturating_sub(self.start_ns) / slice_ns;
        self.due_ns = match &self.slicer {
            Some(_) => self.interval_end_ns.min(self.start_ns + (slice + 1) * slice_ns),
            None => self.interval_end_ns,
        };
    }

    /// Ends the slice that is over, if slices are counted. Returns whether the interval is as well.
    #[cold]
    pub(super) fn end_slice(&mut self, latencies: &Latencies, now_ns: u64) -> bool {
        if let Some(slicer) = &mut self.slicer {
            slicer.end(latencies, now_ns.saturating_sub(self.start_ns));
        }
        self.await_end(now_ns);
        now_ns >= self.interval_end_ns
    }

    /// Whether the current interval is over, or a slice of it.
    #[inline]
    pub(super) fn due(&self, now_ns: u64) -> bool {
        now_ns >= self.due_ns
    }

    /// Sends the latencies of the interval that is over and puts empty ones in their place.
    #[cold]
    pub(super) fn hand_over(&mut self, recorder: &mut Recorder, effort: Effort, now_ns: u64) {
        let Recorder { counts, latencies } = recorder;
        let since_start_ns = now_ns.saturating_sub(self.start_ns);
        let slices = self.slicer.as_mut().map(|slicer| slicer.take(latencies, since_start_ns));
        let empty = self.recycled.try_recv().ok();
        // A phase of the other kind may have left some.
        let empty = empty.filter(|empty| empty.is_like_of(latencies));
        let empty = empty.unwrap_or_else(|| Box::new(Latencies::like(latencies)));
        let batch = Batch {
            worker: self.worker,
            interval: self.interval,
            end_ns: now_ns,
            latencies: std::mem::replace(latencies, empty),
            slices: slices.unwrap_or_default(),
            tally: Tally::of(counts),
            effort,
        };
        // A collector that is gone has ended the run; there is nobody left to tell.
        let _ = self.messages.send(Message::Batch(batch));
        let length_ns = INTERVAL.as_nanos() as u64;
        self.interval = since_start_ns / length_ns;
        self.interval_end_ns = self.start_ns + (self.interval + 1) * length_ns;
        self.await_end(now_ns);
    }

    /// Makes the counters visible to the progress line.
    pub(super) fn publish(&self, counts: &Counts, load: Load, reach: &Reach) {
        let published = &self.published[self.worker];
        published.attempted.store(counts.drawn(), Ordering::Relaxed);
        published.fills.store(counts.fills().attempted, Ordering::Relaxed);
        published.failed.store(counts.failed(), Ordering::Relaxed);
        published.outstanding.store(load.outstanding, Ordering::Relaxed);
        published.backlog.store(load.backlog, Ordering::Relaxed);
        published.waiting_since_ns.store(load.waiting_since_ns.unwrap_or(0), Ordering::Relaxed);
        published.last_reply_ns.store(counts.last_reply_ns.unwrap_or(0), Ordering::Relaxed);
        reach.publish(&published.away_since_ns);
    }

    /// Tells that who is away is no matter to this worker any more.
    pub(super) fn publish_end(&self) {
        for away_since_ns in &self.published[self.worker].away_since_ns {
            away_since_ns.store(NOT_CONCERNED, Ordering::Relaxed);
        }
    }
}
