//! Times in which a server served nobody: no worker had a success from it.
//!
//! A worker notes every longer time between two successes of a server, and when in it operations
//! waited; what all workers' notes have in common is when the server was not available, or was asked
//! for nothing, which those that waited tell apart. [`super::silence`] is about replies of any kind.

use super::silence::Span;

/// Shorter gaps are what a busy machine does to anybody.
const GAP_NS_MIN: u64 = 10_000_000;
/// Gaps that a worker remembers of a server; the shorter half is forgotten when there are more.
const GAPS_MAX: usize = 4096;

/// A time in which a server served nobody.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gap {
    /// It has no end (`u64::MAX`) when nobody was served any more.
    pub span: Span,
    /// From when the first operation waited in it until the last one did; empty when none did.
    pub waited: Span,
}

/// What one worker knows of one server.
#[derive(Debug, Clone, Default)]
pub struct Availability {
    gaps: Vec<Gap>,
    /// The last success, or the beginning.
    served_ns: u64,
    /// When operations waited; over when it ends before the last success.
    waited: Span,
}

impl Availability {
    pub(super) fn new(start_ns: u64) -> Self {
        Self { served_ns: start_ns, ..Self::default() }
    }

    /// An operation that was sent, or to be sent, at `sent_ns` succeeded at `now_ns`.
    #[inline]
    pub(super) fn success(&mut self, sent_ns: u64, now_ns: u64) {
        if now_ns.saturating_sub(self.served_ns) >= GAP_NS_MIN {
            self.note(sent_ns, now_ns);
        }
        self.served_ns = now_ns;
    }

    #[cold]
    fn note(&mut self, sent_ns: u64, now_ns: u64) {
        if self.gaps.len() == GAPS_MAX {
            self.gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(gap.span.length_ns()));
            self.gaps.truncate(GAPS_MAX / 2);
            self.gaps.sort_unstable_by_key(|gap| gap.span.begin_ns);
        }
        self.failure(sent_ns, now_ns);
        let span = Span { begin_ns: self.served_ns, end_ns: now_ns };
        self.gaps.push(Gap { span, waited: self.waited });
    }

    /// An operation that was sent, or to be sent, at `sent_ns` waited until `at_ns`.
    pub(super) fn failure(&mut self, sent_ns: u64, at_ns: u64) {
        let begin_ns = sent_ns.max(self.served_ns);
        self.waited = hull(self.waiting(), Span { begin_ns, end_ns: at_ns });
    }

    /// When operations waited since the last success.
    fn waiting(&self) -> Span {
        if self.waited.end_ns > self.served_ns { self.waited } else { Span::default() }
    }

    /// All gaps, the one at the end too, which has no end.
    fn all(&self) -> Vec<Gap> {
        let span = Span { begin_ns: self.served_ns, end_ns: u64::MAX };
        let last = Gap { span, waited: self.waiting() };
        self.gaps.iter().copied().chain([last]).collect()
    }
}

/// From the beginning of the first to the end of the last; an empty one counts for nothing.
fn hull(one: Span, other: Span) -> Span {
    match (one.length_ns(), other.length_ns()) {
        (0, _) => other,
        (_, 0) => one,
        _ => Span {
            begin_ns: one.begin_ns.min(other.begin_ns),
            end_ns: one.end_ns.max(other.end_ns),
        },
    }
}

/// When no worker had a success, in order. The last span has no end (`u64::MAX`).
pub(super) fn unserved<'a>(mut workers: impl Iterator<Item = &'a Availability>) -> Vec<Gap> {
    let first = workers.next().map(Availability::all).unwrap_or_default();
    workers.fold(first, |common, worker| intersection(&common, &worker.all()))
}

/// What two ordered lists of gaps have in common.
fn intersection(left: &[Gap], right: &[Gap]) -> Vec<Gap> {
    let (mut common, mut a, mut b) = (Vec::new(), 0, 0);
    while let (Some(one), Some(other)) = (left.get(a), right.get(b)) {
        let span = one.span.overlap(other.span);
        if span.length_ns() >= GAP_NS_MIN {
            let waited = hull(one.waited.overlap(span), other.waited.overlap(span));
            common.push(Gap { span, waited });
        }
        if one.span.end_ns <= other.span.end_ns { a += 1 } else { b += 1 }
    }
    common
}
