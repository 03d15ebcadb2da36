//! Times without a reply in which somebody waited for one.
//!
//! A worker notes once per read, of each server and of all together, the longest time in which it
//! waited and heard nothing. A server was *silent* when a worker waited for it and no worker heard it,
//! which is found afterwards from all their notes. As each worker keeps its longest time alone, a
//! silence may be missed that another, longer wait hides in one of them; none is made up.

/// A time on the monotonic clock; empty when it ends no later than it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    pub begin_ns: u64,
    pub end_ns: u64,
}

impl Span {
    pub fn length_ns(self) -> u64 {
        self.end_ns.saturating_sub(self.begin_ns)
    }

    /// What both have in common.
    #[must_use]
    pub fn overlap(self, other: Self) -> Self {
        let begin_ns = self.begin_ns.max(other.begin_ns);
        Self { begin_ns, end_ns: self.end_ns.min(other.end_ns) }
    }

    #[inline]
    pub(super) fn longer(self, other: Self) -> Self {
        if other.length_ns() > self.length_ns() { other } else { self }
    }
}

/// What one worker has heard of one server, or of all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Hearing {
    /// The longest time in which it waited for a reply and there was none.
    waited: Span,
    /// The longest time without a reply, whether it waited for one or not.
    quiet: Span,
    /// The last reply, or the beginning.
    heard_ns: u64,
    /// Since when it had waited with the first operation that failed after the last reply.
    unheard_since_ns: Option<u64>,
}

impl Hearing {
    pub(super) fn new(start_ns: u64) -> Self {
        Self { heard_ns: start_ns, ..Self::default() }
    }

    /// A reply came at `now_ns` to an operation sent at `sent_ns`; `listening_ns` is when it was last
    /// known that there was none yet, or `now_ns`.
    #[inline]
    pub(super) fn reply(&mut self, sent_ns: u64, listening_ns: u64, now_ns: u64) {
        self.note(sent_ns, listening_ns);
        self.quiet = self.quiet.longer(Span { begin_ns: self.heard_ns, end_ns: now_ns });
        self.unheard_since_ns = None;
        self.heard_ns = now_ns;
    }

    /// An operation that was sent, or to be sent, at `sent_ns` had no reply until `at_ns`.
    pub(super) fn failure(&mut self, sent_ns: u64, at_ns: u64) {
        self.note(sent_ns, at_ns);
        self.unheard_since_ns = self.unheard_since_ns.into_iter().chain([sent_ns]).min();
    }

    /// Since when it had waited with the first operation that failed after the last reply.
    pub(super) fn unheard_since_ns(&self) -> Option<u64> {
        self.unheard_since_ns
    }

    #[inline]
    fn note(&mut self, sent_ns: u64, end_ns: u64) {
        let since_ns = self.unheard_since_ns.map_or(sent_ns, |since_ns| since_ns.min(sent_ns));
        let begin_ns = since_ns.max(self.heard_ns);
        self.waited = self.waited.longer(Span { begin_ns, end_ns });
    }

    /// As much of `span` as it is known to have heard nothing in.
    fn silent_within(&self, span: Span) -> Span {
        let after = Span { begin_ns: self.heard_ns, end_ns: u64::MAX };
        [self.waited, self.quiet, after]
            .map(|quiet| span.overlap(quiet))
            .into_iter()
            .fold(Span::default(), Span::longer)
    }
}

/// The longest time in which one of `workers` waited and none heard anything.
pub(super) fn common<'a>(workers: impl Iterator<Item = &'a Hearing> + Clone) -> Span {
    let longest = workers.clone().map(|worker| worker.waited).fold(Span::default(), Span::longer);
    workers.fold(longest, |span, worker| worker.silent_within(span))
}
