//! Latencies and counts of one worker, recorded without sharing anything.
//!
//! Each worker owns its histograms; at interval ends it hands them to the collector whole and goes
//! on with recycled ones, so recording is never locked, copied or paused. An error is counted by
//! kind and its latency kept apart: it is never a success.

mod failure;
mod tally;

pub use failure::{Failure, Loss, Unanswered};
pub use tally::Tally;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::percentiles::add;
use crate::result::{ErrorCounts, Redirects};
use crate::verify::Findings;
use crate::workload::{COMMANDS_MAX, Command, Commands, Kind, tag};

/// The longest latency that is recorded exactly: 60 s. Longer ones are recorded as this and
/// counted as saturated.
pub const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// Distinct first words of error replies that are counted apart. A server that answers noise must
/// not grow the result without bound.
const ERROR_WORDS_MAX: usize = 64;

/// As much as a message shows of what is no reply.
const GARBLED_BYTES_SHOWN: usize = 32;

/// Of what an operation went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Sent → reply.
    Service,
    /// Intended start → reply.
    Response,
    /// Intended start → sent.
    Lateness,
}

impl Time {
    /// Every time, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Service, Self::Response, Self::Lateness];

    /// The end of its tags in histogram logs.
    const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Response => "response",
            Self::Lateness => "lateness",
        }
    }

    /// The tag of its distribution of `kind`, which may be one of `commands`.
    pub fn tag(self, kind: Kind, commands: &[Command]) -> String {
        format!("{}-{}", tag(kind, commands), self.name())
    }
}

/// An empty histogram as every latency uses: 1 ns to 60 s, three digits, about 220 KB, whose pages
/// the system provides only when they are touched.
///
/// # Panics
///
/// Never: the bounds are constants that the crate accepts.
pub fn histogram() -> Histogram<u64> {
    #[expect(clippy::expect_used, reason = "constant bounds that the crate accepts")]
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("1 ns to 60 s at three digits")
}

/// One kind of time: of successes by kind, then of failures.
type Times = Box<[Histogram<u64>]>;

/// The kinds that are shown as `kind`.
fn shown_as(kind: Kind) -> impl Iterator<Item = Kind> {
    Kind::all(COMMANDS_MAX).filter(move |other| other.shown_as() == kind)
}

/// The latencies of one worker in one interval.
#[derive(Debug, Clone)]
pub struct Latencies {
    service: Times,
    /// Response times and lateness, of an open loop.
    scheduled: Option<Box<[Times; 2]>>,
    /// The user's own.
    commands: Commands,
}

impl Default for Latencies {
    /// Of a closed loop.
    fn default() -> Self {
        Self::new(false)
    }
}

impl Latencies {
    /// Empty ones, of an open loop or of a closed one, without commands of the user's own.
    pub fn new(is_open: bool) -> Self {
        Self::with_commands(is_open, &Commands::default())
    }

    /// Empty ones, with these commands.
    pub fn with_commands(is_open: bool, commands: &Commands) -> Self {
        let kinds = Kind::all(commands.len()).count();
        let times = || (0..=kinds).map(|_| histogram()).collect();
        Self {
            service: times(),
            scheduled: is_open.then(|| Box::new([times(), times()])),
            commands: Arc::clone(commands),
        }
    }

    /// Empty ones of the same loop and the same kinds.
    #[must_use]
    pub fn like(other: &Self) -> Self {
        Self::with_commands(other.is_open(), &other.commands)
    }

    /// Whether they are of the same loop and the same kinds.
    pub fn is_like(&self, is_open: bool, commands: &Commands) -> bool {
        self.is_open() == is_open && self.commands == *commands
    }

    /// The same of `other`'s.
    pub fn is_like_of(&self, other: &Self) -> bool {
        self.is_like(other.is_open(), &other.commands)
    }

    /// Where failures are: behind all kinds.
    fn errors(&self) -> usize {
        self.service.len() - 1
    }

    /// Whether they are of an open loop.
    pub fn is_open(&self) -> bool {
        self.scheduled.is_some()
    }

    fn times(&self) -> impl Iterator<Item = &Times> {
        std::iter::once(&self.service).chain(self.scheduled.iter().flat_map(|times| times.iter()))
    }

    fn times_mut(&mut self) -> impl Iterator<Item = &mut Times> {
        let scheduled = self.scheduled.iter_mut().flat_map(|times| times.iter_mut());
        std::iter::once(&mut self.service).chain(scheduled)
    }

    /// Adds `other`, counter by counter.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in self.times_mut().flatten().zip(other.times().flatten()) {
            add(sum, part);
        }
    }

    /// Empties what was used.
    pub fn clear(&mut self) {
        for histogram in self.times_mut().flatten().filter(|h| !h.is_empty()) {
            histogram.reset();
        }
    }

    /// Of successes that are shown as one kind; `None` of what a closed loop does not have.
    pub fn of(&self, time: Time, kind: Kind) -> Option<Cow<'_, Histogram<u64>>> {
        Some(sum(self.times().nth(time as usize)?, shown_as(kind).map(Kind::index)))
    }

    /// Of all operations that succeeded; empty of what a closed loop does not have.
    pub fn successes(&self, time: Time) -> Histogram<u64> {
        self.some(time, self.wholes().map(Kind::index))
    }

    /// Of all operations, failed or not.
    pub fn all(&self, time: Time) -> Histogram<u64> {
        self.some(time, self.wholes().map(Kind::index).chain([self.errors()]))
    }

    /// Of those that were drawn and succeeded, and so were due at times of their own.
    pub fn drawn_successes(&self, time: Time) -> Histogram<u64> {
        self.some(time, self.drawn().map(Kind::index))
    }

    /// Of those that were drawn, failed or not. Failures of others are among them.
    pub fn all_drawn(&self, time: Time) -> Histogram<u64> {
        self.some(time, self.drawn().map(Kind::index).chain([self.errors()]))
    }

    /// Response times of what was drawn and succeeded, kind by kind, and of what failed; `None` of a
    /// closed loop.
    pub(crate) fn responses(
        &self,
    ) -> Option<(impl Iterator<Item = &Histogram<u64>>, &Histogram<u64>)> {
        let times = self.times().nth(Time::Response as usize)?;
        Some((self.drawn().map(|kind| &times[kind.index()]), &times[self.errors()]))
    }

    /// What is no part of another operation.
    fn wholes(&self) -> impl Iterator<Item = Kind> + use<> {
        Kind::all(self.commands.len()).filter(|kind| !kind.is_part())
    }

    /// Those of them that no other operation gave rise to.
    fn drawn(&self) -> impl Iterator<Item = Kind> + use<> {
        self.wholes().filter(|&kind| kind != Kind::Fill)
    }

    fn some(&self, time: Time, which: impl Iterator<Item = usize>) -> Histogram<u64> {
        let times = self.times().nth(time as usize);
        times.map_or_else(histogram, |times| sum(times, which).into_owned())
    }

    /// Service times of failed operations of every kind.
    pub fn failures(&self) -> &Histogram<u64> {
        &self.service[self.errors()]
    }

    /// The distributions that hold anything, with their tags in histogram logs.
    pub fn tagged(&self) -> impl Iterator<Item = (String, Cow<'_, Histogram<u64>>)> {
        let times = Time::ALL.into_iter().zip(self.times());
        let all = times.flat_map(|(time, times)| self.tagged_by(time, times));
        all.filter(|(_, histogram)| !histogram.is_empty())
    }

    fn tagged_by<'a>(
        &'a self,
        time: Time,
        times: &'a Times,
    ) -> impl Iterator<Item = (String, Cow<'a, Histogram<u64>>)> {
        let kind = move |kind: Kind| {
            (time.tag(kind, &self.commands), sum(times, shown_as(kind).map(Kind::index)))
        };
        let errors = (format!("ERROR-{}", time.name()), Cow::Borrowed(&times[self.errors()]));
        Kind::shown(self.commands.len()).map(kind).chain([errors])
    }
}

/// The sum of some of `times`; where but one of them holds anything, that.
fn sum(times: &[Histogram<u64>], which: impl Iterator<Item = usize>) -> Cow<'_, Histogram<u64>> {
    let mut used = which.map(|index| &times[index]).filter(|part| !part.is_empty());
    let Some(first) = used.next() else { return Cow::Owned(histogram()) };
    used.fold(Cow::Borrowed(first), |mut sum, part| {
        add(sum.to_mut(), part);
        sum
    })
}

/// Counts of one kind of operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KindCounts {
    pub attempted: u64,
    pub errors: u64,
    pub hits: u64,
    pub misses: u64,
}

impl KindCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.attempted += other.attempted;
        self.errors += other.errors;
        self.hits += other.hits;
        self.misses += other.misses;
    }
}

/// What the absence of one server did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outage {
    /// Ready connections that were lost.
    pub connections_lost: u64,
    /// Operations that failed with them, or for want of them.
    pub failed: u64,
    /// Operations that timed out while it could be connected to, and those behind them.
    pub timed_out: u64,
    /// Operations that it had not answered when the run was broken off, nor a while later.
    pub broken_off: u64,
    /// A worker had no connection to it at the end.
    pub lasts: bool,
    /// When the first and the last of all that happened.
    pub first_ns: Option<u64>,
    pub last_ns: Option<u64>,
}

impl Outage {
    pub fn lose_connection(&mut self, now_ns: u64) {
        self.connections_lost += 1;
        self.note(now_ns);
    }

    fn note(&mut self, at_ns: u64) {
        self.first_ns = self.first_ns.into_iter().chain([at_ns]).min();
        self.last_ns = self.last_ns.max(Some(at_ns));
    }

    fn add(&mut self, other: &Self) {
        self.connections_lost += other.connections_lost;
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.broken_off += other.broken_off;
        self.lasts |= other.lasts;
        self.first_ns = self.first_ns.into_iter().chain(other.first_ns).min();
        self.last_ns = self.last_ns.max(other.last_ns);
    }
}

/// Everything that one worker counts.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    pub kinds: [KindCounts; Kind::MAX],
    pub errors: ErrorCounts,
    /// Replies of a cluster that sent an operation elsewhere, or asked for patience.
    pub redirects: Redirects,
    /// Operations routed to each node.
    pub nodes: Vec<u64>,
    /// Of each node.
    pub outages: Vec<Outage>,
    /// Of each node: operations that another one was asked for in its place.
    pub elsewhere: Vec<u64>,
    /// Those of them that had been sent to their own node, which failed.
    pub retried: u64,
    /// Latencies beyond [`LATENCY_NS_MAX`].
    pub saturated: u64,
    /// Connections that were closed because they brought a reply that no operation waited for.
    pub unsolicited: u64,
    /// Of replies that were verified.
    pub findings: Findings,
    /// The first error that carried a text.
    pub first_error: Option<String>,
    /// Clock readings of the first send (or the first wish to) and the last reply.
    pub first_send_ns: Option<u64>,
    pub last_reply_ns: Option<u64>,
    /// When the last operation failed without a reply, but no later than the run was to end: until
    /// then a client wanted to go on and could not.
    pub last_failure_ns: Option<u64>,
    /// Operations without an outcome when the run was to end, as seen at the next tick.
    pub outstanding_at_end: u64,
    /// Of an open loop: operations that were due and found no client with room.
    pub waited_for_client: u64,
    /// Operations that were due and not sent when the run was broken off: nobody knows what would
    /// have become of them.
    pub unsent: u64,
    /// Of a trace: how often a worker had nothing to do because it had not been read yet, and how long one
    /// had, at most.
    pub hungers: u64,
    pub hungry_ns: u64,
    /// The backlog was full, which broke the run off.
    pub overflowed: bool,
}

impl Counts {
    pub fn new(nodes: usize) -> Self {
        Self {
            nodes: vec![0; nodes],
            outages: vec![Outage::default(); nodes],
            elsewhere: vec![0; nodes],
            ..Self::default()
        }
    }

    /// Operations attempted, of every kind.
    pub fn attempted(&self) -> u64 {
        self.wholes().map(|kind| kind.attempted).sum()
    }

    /// Operations that failed, of every kind.
    pub fn failed(&self) -> u64 {
        self.wholes().map(|kind| kind.errors).sum()
    }

    /// What is no part of another operation.
    fn wholes(&self) -> impl Iterator<Item = &KindCounts> {
        let whole = |kind: &Kind| !kind.is_part();
        Kind::all(COMMANDS_MAX).filter(whole).map(|kind| &self.kinds[kind.index()])
    }

    /// Of what is shown as one kind.
    pub fn of(&self, kind: Kind) -> KindCounts {
        let mut sum = KindCounts::default();
        shown_as(kind).for_each(|kind| sum.add(&self.kinds[kind.index()]));
        sum
    }

    /// Operations attempted that were drawn, and none that others gave rise to.
    pub fn drawn(&self) -> u64 {
        self.attempted() - self.fills().attempted
    }

    /// Puts after gets that found nothing: operations beside those that were drawn.
    pub fn fills(&self) -> KindCounts {
        self.kinds[Kind::Fill.index()]
    }

    /// An operation that was counted for one server goes to another one; `own` is the one that the
    /// ring names.
    pub fn reroute(&mut self, (from, to): (usize, usize), own: usize) {
        self.nodes[from] -= 1;
        self.nodes[to] += 1;
        let (was_elsewhere, is_elsewhere) = (u64::from(from != own), u64::from(to != own));
        self.elsewhere[own] = self.elsewhere[own] + is_elsewhere - was_elsewhere;
    }

    /// Adds another worker's counts.
    pub fn add(&mut self, other: &Self) {
        for (sum, part) in self.kinds.iter_mut().zip(&other.kinds) {
            sum.add(part);
        }
        self.errors.add(&other.errors);
        self.findings.merge(&other.findings);
        self.redirects.add(&other.redirects);
        self.nodes.resize(self.nodes.len().max(other.nodes.len()), 0);
        for (sum, part) in self.nodes.iter_mut().zip(&other.nodes) {
            *sum += part;
        }
        self.outages.resize(self.nodes.len(), Outage::default());
        for (sum, part) in self.outages.iter_mut().zip(&other.outages) {
            sum.add(part);
        }
        self.elsewhere.resize(self.nodes.len(), 0);
        for (sum, part) in self.elsewhere.iter_mut().zip(&other.elsewhere) {
            *sum += part;
        }
        self.retried += other.retried;
        self.saturated += other.saturated;
        self.unsolicited += other.unsolicited;
        self.first_error = self.first_error.take().or_else(|| other.first_error.clone());
        self.first_send_ns = self.first_send_ns.into_iter().chain(other.first_send_ns).min();
        self.last_reply_ns = self.last_reply_ns.max(other.last_reply_ns);
        self.last_failure_ns = self.last_failure_ns.max(other.last_failure_ns);
        self.outstanding_at_end += other.outstanding_at_end;
        self.waited_for_client += other.waited_for_client;
        self.unsent += other.unsent;
        self.hungers += other.hungers;
        self.hungry_ns = self.hungry_ns.max(other.hungry_ns);
        self.overflowed |= other.overflowed;
    }
}

/// What one worker records with: the counts of a phase and the latencies of an interval.
#[derive(Debug, Default)]
pub struct Recorder {
    pub counts: Counts,
    pub latencies: Box<Latencies>,
}

impl Recorder {
    /// An operation is on its way to `node`, or failed to get there.
    #[inline]
    pub fn attempt(&mut self, kind: Kind, node: usize) {
        self.counts.kinds[kind.index()].attempted += 1;
        if kind == Kind::ModifyGet {
            self.counts.kinds[Kind::ReadModifyWrite.index()].attempted += 1;
        }
        self.counts.nodes[node] += 1;
    }

    /// An operation succeeded; `hit` tells for reads and deletes whether the key was there.
    #[inline]
    pub fn success(&mut self, kind: Kind, hit: Option<bool>, latency_ns: u64) {
        let counts = &mut self.counts.kinds[kind.index()];
        match hit {
            Some(true) => counts.hits += 1,
            Some(false) => counts.misses += 1,
            None => {}
        }
        self.counts.saturated += u64::from(latency_ns > LATENCY_NS_MAX);
        self.latencies.service[kind.index()].saturating_record(latency_ns);
    }

    /// The rest of what an open loop knows of an operation, `None` of one that failed: how long after
    /// it was due its outcome came, and it was sent.
    ///
    /// Kept out of line, so that the closed loop does not carry it along.
    #[inline(never)]
    pub fn scheduled(&mut self, kind: Option<Kind>, response_ns: u64, lateness_ns: u64) {
        let index = kind.map_or_else(|| self.latencies.errors(), Kind::index);
        if let Some(scheduled) = &mut self.latencies.scheduled {
            let [response, lateness] = &mut **scheduled;
            response[index].saturating_record(response_ns);
            lateness[index].saturating_record(lateness_ns);
        }
        // One whose service time is too long has been counted.
        let is_long = response_ns > LATENCY_NS_MAX && response_ns - lateness_ns <= LATENCY_NS_MAX;
        self.counts.saturated += u64::from(is_long);
    }

    /// An operation failed that `node` had not answered until `at_ns`.
    #[cold]
    pub fn lost(&mut self, node: usize, why: Unanswered, at_ns: u64) {
        let outage = &mut self.counts.outages[node];
        outage.note(at_ns);
        match why {
            Unanswered::TimedOut => outage.timed_out += 1,
            Unanswered::Away => outage.failed += 1,
            Unanswered::BrokenOff => outage.broken_off += 1,
        }
        self.counts.last_failure_ns = self.counts.last_failure_ns.max(Some(at_ns));
    }

    /// What came in the place of a reply to `kind` is none: keeps its beginning to tell.
    #[cold]
    pub fn garbled(&mut self, kind: Kind, bytes: &[u8]) {
        self.counts.first_error.get_or_insert_with(|| {
            let line = bytes.split(|&byte| byte == b'\r').next().unwrap_or_default();
            let shown = &line[..line.len().min(GARBLED_BYTES_SHOWN)];
            let more = if shown.len() < line.len() { "..." } else { "" };
            format!("'{}{more}', which is no reply to a {}", shown.escape_ascii(), kind.name())
        });
    }

    /// An operation failed, `latency_ns` after it was sent, or after it was to be sent; with a part of
    /// one all of it.
    #[cold]
    pub fn failure(&mut self, kind: Kind, failure: Failure<'_>, latency_ns: u64) {
        self.counts.kinds[kind.index()].errors += 1;
        if kind.is_part() {
            self.counts.kinds[Kind::ReadModifyWrite.index()].errors += 1;
        }
        let errors = &mut self.counts.errors;
        match failure {
            Failure::Timeout => errors.timeout += 1,
            Failure::Connection(loss) => {
                errors.connection += 1;
                errors.refused += u64::from(loss == Loss::Refused);
                errors.reset += u64::from(loss == Loss::Reset);
            }
            Failure::Protocol => errors.protocol += 1,
            Failure::Verify => errors.verify += 1,
            Failure::Server(message) => {
                count_word(&mut errors.server, message);
                self.counts
                    .first_error
                    .get_or_insert_with(|| String::from_utf8_lossy(message).into_owned());
            }
        }
        self.counts.saturated += u64::from(latency_ns > LATENCY_NS_MAX);
        let errors = self.latencies.errors();
        self.latencies.service[errors].saturating_record(latency_ns);
    }
}

/// Counts an error reply by its first word, as Redis (`OOM`) and memcached (`SERVER_ERROR`) name
/// kinds of errors.
fn count_word(words: &mut BTreeMap<String, u64>, message: &[u8]) {
    let word = message.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let valid = !word.is_empty()
        && word.len() <= 32
        && word.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_');
    let word = std::str::from_utf8(word).ok().filter(|_| valid).unwrap_or("OTHER");
    if let Some(count) = words.get_mut(word) {
        *count += 1;
    } else {
        let word = if words.len() < ERROR_WORDS_MAX { word } else { "OTHER" };
        *words.entry(word.to_owned()).or_default() += 1;
    }
}
