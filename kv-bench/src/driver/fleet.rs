//! All workers of a run: started once, connected once, sent through one phase after another.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use crossbeam::utils::CachePadded;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::availability::{self, Gap};
use super::clock::now_ns;
use super::collector::{Collector, Keeping, Percentile};
use super::feeder::{Feeder, Feeds, Replayed};
use super::frontier::Frontier;
use super::handover::{Handover, Published};
use super::outage::NOT_CONCERNED;
use super::refresher::Refresher;
use super::silence::{self, Span};
use super::slices::Slice;
use super::verifier::Verify;
use super::worker::Worker;
use super::{Effort, Message, Outcome, Phase, Shape, Until};
use crate::interrupt;
use crate::interval_log::IntervalLog;
use crate::metrics::Spreads;
use crate::number::grouped;
use crate::recorder::{Counts, Latencies, Tally};
use crate::result::Series;
use crate::schedule::Schedule;
use crate::target::Target;
use crate::workload::{Kind, Workload};

/// How often the watcher is called.
const WATCH_EVERY: Duration = Duration::from_millis(100);

const ENDED_EARLY: &str = "a worker ended early";

/// Why the workers could not start.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    #[error("{0}")]
    Refused(String),
    #[error(
        "{} connections need more open files than the {} allowed here (raise `ulimit -n`, or ask for fewer --clients)",
        grouped(*needed), grouped(*allowed)
    )]
    Descriptors { needed: u64, allowed: u64 },
    #[error("cannot start worker {worker} of {threads}: {cause} (ask for fewer --threads)")]
    Thread { worker: u32, threads: u32, cause: io::Error },
}

/// What a running phase looks like from outside.
#[derive(Debug, Clone)]
pub struct Live {
    /// Of those that were drawn, as a phase is asked for so many.
    pub attempted: u64,
    /// Puts that were attempted after gets that found nothing.
    pub fills: u64,
    pub failed: u64,
    /// Operations without an outcome.
    pub outstanding: u64,
    /// Operations that are due and not sent.
    pub backlog: u64,
    pub elapsed: Duration,
    /// What is measured now does not count.
    pub warmup: bool,
    /// Of the last complete interval.
    pub latest: Option<Percentile>,
    /// What all workers have counted and each has cost, up to half a second ago.
    pub tally: Tally,
    pub efforts: Vec<Effort>,
    /// Of an open loop, up to half a second ago.
    pub keeping: Option<Keeping>,
    /// How times spread up to half a second ago, where that is wanted ([`Fleet::tell_spreads`]).
    pub spreads: Option<Spreads>,
    /// How long somebody has waited for a reply and nobody got one; zero when nobody waits.
    pub silent: Duration,
    /// The server that no worker has had a connection to for longest, and for how long.
    pub away: Option<(usize, Duration)>,
}

/// Everything that a phase left.
#[derive(Debug)]
pub struct Measured {
    pub counts: Counts,
    pub latencies: Box<Latencies>,
    pub intervals: IntervalLog,
    /// Of an open loop, if they were wanted ([`Fleet::count_slices`]): each that anything ended in,
    /// with its number.
    pub slices: BTreeMap<u64, Slice>,
    pub series: Series,
    /// One per worker.
    pub outcomes: Vec<Outcome>,
    /// The watcher ended it early.
    pub stopped: bool,
    /// The clock's readings at the beginning, and when the last worker was through.
    pub start_ns: u64,
    pub end_ns: u64,
    /// Of each server, the longest time in which it was waited for and replied to nobody; and the
    /// longest in which none replied.
    pub silences: Vec<Span>,
    /// Of each server, when it served nobody for 10 ms and longer, in order; the last has no end
    /// (`u64::MAX`).
    pub unserved: Vec<Vec<Gap>>,
    pub silence: Span,
    /// Of a trace.
    pub replayed: Option<Replayed>,
}

/// The workers, connected and waiting for a phase.
pub struct Fleet {
    shape: Shape,
    phases: Vec<Sender<Arc<Phase>>>,
    messages: Receiver<Message>,
    recycle: Sender<Box<Latencies>>,
    published: Arc<[CachePadded<Published>]>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// When the watcher is called besides, in the next phase.
    appointments: Vec<Duration>,
    verify: Option<Verify>,
    limits_ns: Option<Arc<[u64]>>,
    /// Whether the watcher is told how times spread.
    spreads: bool,
    /// The new keys, from the first phase on that inserts any.
    frontier: Option<Arc<Frontier>>,
    /// Of servers that change.
    _refresher: Option<Refresher>,
}

impl Fleet {
    /// Starts the workers and connects every client to every node.
    ///
    /// # Errors
    ///
    /// When a thread cannot be started or a connection is refused; the message names the server.
    pub fn launch<T: Target>(target: &Arc<T>, shape: Shape) -> Result<Self, LaunchError> {
        let clients = u64::from(shape.threads) * u64::from(shape.clients);
        let servers = if T::IS_CALLED { 0 } else { target.nodes().len() as u64 };
        allow_descriptors(clients * servers, shape.threads)?;
        let refresher = Refresher::start(&**target);
        let refresher = refresher
            .map_err(|cause| LaunchError::Refused(format!("cannot start a thread: {cause}")))?;
        let (sender, messages) = unbounded();
        let (recycle, recycled) = unbounded();
        let publish = || CachePadded::new(Published::new(target.places()));
        let published: Arc<[_]> = (0..shape.threads).map(|_| publish()).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let mut fleet = Self {
            shape,
            phases: Vec::new(),
            messages,
            recycle,
            published: Arc::clone(&published),
            stop: Arc::clone(&stop),
            threads: Vec::new(),
            appointments: Vec::new(),
            verify: None,
            limits_ns: None,
            spreads: false,
            frontier: None,
            _refresher: refresher,
        };
        for worker in 0..shape.threads {
            let (phases, inbox) = unbounded();
            let handover = Handover::new(
                worker as usize,
                sender.clone(),
                recycled.clone(),
                Arc::clone(&published),
            );
            let (target, stop) = (Arc::clone(target), Arc::clone(&stop));
            let thread = std::thread::Builder::new()
                .name(format!("worker-{worker}"))
                .spawn(move || work(target, shape, stop, &inbox, handover))
                .map_err(|cause| LaunchError::Thread { worker, threads: shape.threads, cause })?;
            fleet.phases.push(phases);
            fleet.threads.push(thread);
        }
        drop(sender);
        fleet.await_connections()?;
        Ok(fleet)
    }

    /// Has the watcher called at these times of the next phase too, in order.
    pub fn appoint(&mut self, appointments: Vec<Duration>) {
        self.appointments = appointments;
    }

    fn await_connections(&self) -> Result<(), LaunchError> {
        let mut waiting = self.phases.len();
        while waiting > 0 {
            match self.messages.recv_timeout(WATCH_EVERY) {
                Ok(Message::Connected) => waiting -= 1,
                Ok(Message::Refused(reason)) => return Err(LaunchError::Refused(reason)),
                Err(RecvTimeoutError::Timeout) if interrupt::has_come() => {
                    return Err(LaunchError::Refused("interrupted while connecting".to_owned()));
                }
                Err(RecvTimeoutError::Timeout) if !self.misses_worker() => {}
                // Who was refused says so and ends.
                _ => return Err(LaunchError::Refused(self.refusal())),
            }
        }
        Ok(())
    }

    fn refusal(&self) -> String {
        let told = self.messages.try_iter().find_map(|message| match message {
            Message::Refused(reason) => Some(reason),
            _ => None,
        });
        told.unwrap_or_else(|| ENDED_EARLY.to_owned())
    }

    /// Whether a worker panicked: the others still hold the channel of messages open.
    fn misses_worker(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Has the replies of the next phases verified, or no longer.
    pub fn verify(&mut self, verify: Option<Verify>) {
        self.verify = verify;
    }

    /// Has the operations of the next phases counted that take longer than each of these response
    /// times, in slices of [`SLICE`](super::SLICE), or no longer.
    pub fn count_slices(&mut self, limits_ns: Option<Arc<[u64]>>) {
        self.limits_ns = limits_ns;
    }

    /// Has the watcher told how times spread, from the next phase on.
    pub fn tell_spreads(&mut self) {
        self.spreads = true;
    }

    /// Runs one phase to its end. `watch` is called ten times a second and may break it off; what
    /// is outstanding then still gets its outcome, within a second.
    pub fn run(
        &mut self,
        workload: &Arc<Workload>,
        schedule: &Schedule,
        until: Until,
        mut watch: impl FnMut(&Live) -> ControlFlow<()>,
    ) -> io::Result<Measured> {
        let (feeder, feeds) = self.feed(schedule)?.unzip();
        let start_ns = now_ns();
        let empty = Latencies::with_commands(schedule.is_open(), workload.mix.commands());
        let mut collector =
            Collector::new(self.phases.len(), start_ns, empty, self.recycle.clone());
        collector.tell_spreads(self.spreads);
        self.begin(workload, schedule, until, (feeds, start_ns));
        let mut outcomes = Vec::with_capacity(self.phases.len());
        let mut appointments = std::mem::take(&mut self.appointments).into_iter().peekable();
        let mut watched_ns = start_ns;
        while outcomes.len() < self.phases.len() {
            let elapsed = Duration::from_nanos(now_ns() - start_ns);
            let wait = appointments
                .peek()
                .map_or(WATCH_EVERY, |at| at.saturating_sub(elapsed).min(WATCH_EVERY));
            match self.messages.recv_timeout(wait) {
                Ok(Message::Batch(batch)) => collector.take(batch),
                Ok(Message::Done { worker, outcome }) => {
                    collector.done(worker);
                    outcomes.push((*outcome)?);
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(io::Error::other(ENDED_EARLY)),
            }
            let elapsed_ns = now_ns() - start_ns;
            let elapsed = Duration::from_nanos(elapsed_ns);
            let is_appointed = appointments.next_if(|&at| at <= elapsed).is_some();
            if is_appointed || start_ns + elapsed_ns - watched_ns >= WATCH_EVERY.as_nanos() as u64 {
                watched_ns = start_ns + elapsed_ns;
                if self.misses_worker() {
                    return Err(io::Error::other(ENDED_EARLY));
                }
                let live = self.live(start_ns, watched_ns, &collector);
                if watch(&live).is_break() {
                    self.stop.store(true, Ordering::Relaxed);
                }
            }
        }
        let end_ns = now_ns();
        let replayed = feeder.map(Feeder::end);
        let stopped = self.stop.swap(false, Ordering::Relaxed);
        let mut counts = Counts::default();
        for outcome in &outcomes {
            counts.add(&outcome.counts);
        }
        let (latencies, intervals, slices, series) = collector.finish();
        let mut silences = silences(&outcomes);
        let silence = silences.pop().unwrap_or_default();
        Ok(Measured {
            counts,
            latencies,
            intervals,
            slices,
            series,
            stopped,
            start_ns,
            end_ns,
            silences,
            unserved: unserved(&outcomes),
            outcomes,
            silence,
            replayed,
        })
    }

    /// The reader of a trace, and what it has for the workers.
    fn feed(&self, schedule: &Schedule) -> io::Result<Option<(Feeder, Feeds)>> {
        let Schedule::Trace(replay) = schedule else { return Ok(None) };
        let Shape { threads, clients, .. } = self.shape;
        Feeder::start(replay, threads, clients).map(Some)
    }

    /// Has the workers begin.
    fn begin(
        &mut self,
        workload: &Arc<Workload>,
        schedule: &Schedule,
        until: Until,
        (feeds, start_ns): (Option<Feeds>, u64),
    ) {
        let (workload, schedule) = (Arc::clone(workload), schedule.clone());
        let frontier = workload.mix.contains(Kind::Insert).then(|| {
            let new = || Arc::new(Frontier::new(&workload.keys, self.phases.len()));
            Arc::clone(self.frontier.get_or_insert_with(new))
        });
        let (verify, limits_ns) = (self.verify.clone(), self.limits_ns.clone());
        let phase =
            Phase { workload, schedule, until, frontier, verify, limits_ns, feeds, start_ns };
        let phase = Arc::new(phase);
        self.published.iter().for_each(|published| published.reset());
        for inbox in &self.phases {
            // A worker that is gone is missed where its outcome is awaited.
            let _ = inbox.send(Arc::clone(&phase));
        }
    }

    fn live(&self, start_ns: u64, now_ns: u64, collector: &Collector) -> Live {
        let (tally, efforts) = collector.progress();
        let sum = |read: fn(&Published) -> u64| self.published.iter().map(|p| read(p)).sum();
        let replies = self.published.iter().map(|p| p.last_reply_ns.load(Ordering::Relaxed));
        let last_reply_ns = replies.max().unwrap_or(0).max(start_ns);
        let waits = self.published.iter().map(|p| p.waiting_since_ns.load(Ordering::Relaxed));
        let waiting_since_ns = waits.filter(|&since_ns| since_ns > 0).min();
        let silent_since_ns =
            waiting_since_ns.map_or(now_ns, |since_ns| since_ns.max(last_reply_ns));
        Live {
            attempted: sum(|p| p.attempted.load(Ordering::Relaxed)),
            fills: sum(|p| p.fills.load(Ordering::Relaxed)),
            failed: sum(|p| p.failed.load(Ordering::Relaxed)),
            outstanding: sum(|p| p.outstanding.load(Ordering::Relaxed)),
            backlog: sum(|p| p.backlog.load(Ordering::Relaxed)),
            elapsed: Duration::from_nanos(now_ns - start_ns),
            warmup: false,
            latest: collector.latest(),
            tally,
            efforts,
            keeping: collector.keeping(),
            spreads: collector.spreads(),
            silent: Duration::from_nanos(now_ns.saturating_sub(silent_since_ns)),
            away: self.away(now_ns),
        }
    }

    fn away(&self, now_ns: u64) -> Option<(usize, Duration)> {
        let since = |node: usize| {
            let of = |p: &CachePadded<Published>| p.away_since_ns[node].load(Ordering::Relaxed);
            let concerned = || self.published.iter().map(of).filter(|&ns| ns != NOT_CONCERNED);
            // For one worker that has a connection it is 0: then it is not away for all.
            let is_away = concerned().all(|since_ns| since_ns > 0);
            let since_ns = concerned().max().filter(|_| is_away)?;
            Some((node, Duration::from_nanos(now_ns.saturating_sub(since_ns))))
        };
        let nodes = self.published.first().map_or(0, |p| p.away_since_ns.len());
        (0..nodes).filter_map(since).max_by_key(|&(_, away)| away)
    }
}

/// Of each server, when it served nobody.
fn unserved(outcomes: &[Outcome]) -> Vec<Vec<Gap>> {
    let count = outcomes.first().map_or(0, |outcome| outcome.availability.len());
    let of =
        |node: usize| availability::unserved(outcomes.iter().map(move |o| &o.availability[node]));
    (0..count).map(of).collect()
}

/// Of each server, and last of all together.
fn silences(outcomes: &[Outcome]) -> Vec<Span> {
    let count = outcomes.first().map_or(0, |outcome| outcome.hearing.len());
    let of = |index: usize| silence::common(outcomes.iter().map(move |o| &o.hearing[index]));
    (0..count).map(of).collect()
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.phases.clear();
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so on its way out.
            let _ = thread.join();
        }
    }
}

/// Descriptors beside the connections: epoll and two timers of each worker, and what the rest holds.
const DESCRIPTORS_PER_WORKER: u64 = 3;
const DESCRIPTORS_SPARE: u64 = 256;

/// Raises the soft limit on open files as far as the connections need.
fn allow_descriptors(connections: u64, threads: u32) -> Result<(), LaunchError> {
    let needed = connections + u64::from(threads) * DESCRIPTORS_PER_WORKER + DESCRIPTORS_SPARE;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let refused = |allowed| LaunchError::Descriptors { needed: connections, allowed };
    if let Some(maximum) = limit.maximum.filter(|&maximum| maximum < needed) {
        return Err(refused(maximum));
    }
    let raised = Rlimit { current: Some(needed), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|_| refused(limit.current.unwrap_or(needed)))
}

fn work<T: Target>(
    target: Arc<T>,
    shape: Shape,
    stop: Arc<AtomicBool>,
    inbox: &Receiver<Arc<Phase>>,
    mut handover: Handover,
) {
    let index = handover.worker as u64;
    let ready = Worker::new(target, shape, index, stop)
        .map_err(|error| format!("cannot set up worker {index}: {error}"))
        .and_then(|mut worker| worker.connect().map(|()| worker));
    let messages = handover.messages.clone();
    let mut worker = match ready {
        Ok(worker) => worker,
        Err(reason) => {
            // Without a fleet to hear it there is nobody to tell.
            let _ = messages.send(Message::Refused(reason));
            return;
        }
    };
    let _ = messages.send(Message::Connected);
    for phase in inbox {
        let outcome = worker.run(&phase, &mut handover);
        let outcome = Box::new(outcome);
        let _ = messages.send(Message::Done { worker: handover.worker, outcome });
    }
}
