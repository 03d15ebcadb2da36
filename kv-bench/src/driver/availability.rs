//! Times in which a server served nobody: no worker had a success from it.
//!
//! A worker notes every longer time between two successes of a server; what all workers' notes have
//! in common is when the server was not available, or was asked for nothing. [`super::silence`] is
//! about replies of any kind, and about who waited for them.

use super::silence::Span;

/// Shorter gaps are what a busy machine does to anybody.
const GAP_NS_MIN: u64 = 10_000_000;
/// Gaps that a worker remembers of a server; the shorter half is forgotten when there are more.
const GAPS_MAX: usize = 4096;

/// What one worker knows of one server.
#[derive(Debug, Clone, Default)]
pub struct Availability {
    gaps: Vec<Span>,
    /// The last success, or the beginning.
    served_ns: u64,
}

impl Availability {
    pub(super) fn new(start_ns: u64) -> Self {
        Self { gaps: Vec::new(), served_ns: start_ns }
    }

    #[inline]
    pub(super) fn success(&mut self, now_ns: u64) {
        let gap = Span { begin_ns: self.served_ns, end_ns: now_ns };
        self.served_ns = now_ns;
        if gap.length_ns() >= GAP_NS_MIN {
            self.note(gap);
        }
    }

    #[cold]
    fn note(&mut self, gap: Span) {
        if self.gaps.len() == GAPS_MAX {
            self.gaps.sort_unstable_by_key(|gap| std::cmp::Reverse(gap.length_ns()));
            self.gaps.truncate(GAPS_MAX / 2);
            self.gaps.sort_unstable_by_key(|gap| gap.begin_ns);
        }
        self.gaps.push(gap);
    }

    /// All gaps, the one at the end too, which has no end.
    fn all(&self) -> Vec<Span> {
        let last = Span { begin_ns: self.served_ns, end_ns: u64::MAX };
        self.gaps.iter().copied().chain([last]).collect()
    }
}

/// When no worker had a success, in order. The last span has no end (`u64::MAX`).
pub(super) fn unserved<'a>(mut workers: impl Iterator<Item = &'a Availability>) -> Vec<Span> {
    let first = workers.next().map(Availability::all).unwrap_or_default();
    workers.fold(first, |common, worker| intersection(&common, &worker.all()))
}

/// What two ordered lists of spans have in common.
fn intersection(left: &[Span], right: &[Span]) -> Vec<Span> {
    let (mut common, mut a, mut b) = (Vec::new(), 0, 0);
    while let (Some(one), Some(other)) = (left.get(a), right.get(b)) {
        let overlap = one.overlap(*other);
        if overlap.length_ns() >= GAP_NS_MIN {
            common.push(overlap);
        }
        if one.end_ns <= other.end_ns { a += 1 } else { b += 1 }
    }
    common
}
