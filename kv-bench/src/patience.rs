//! Servers that are away or silent: when a run gives up on them, and what is told of them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::driver::{Live, Span, Until};
use crate::number::{duration, grouped};
use crate::recorder::Outage;
use crate::result::{ErrorCounts, Silence};
use crate::scenario::plural;

/// A run gives up after this many timeouts without an answer.
const TIMEOUTS: u32 = 3;
/// But not before a server had time to start again.
const PATIENCE_MIN: Duration = Duration::from_secs(3);

/// A silence is told that lasted this long, and this many times as long as the median operation took:
/// shorter ones are what a busy machine does to anybody, and of slow operations they are the rule.
/// Higher percentiles are no measure, because a silence itself raises them, the more the fewer
/// operations there are.
const SILENCE_S_MIN: f64 = 0.1;
const SILENCE_MEDIANS_MIN: f64 = 10.0;
/// The progress line tells of a silence from this on.
const SILENCE_SHOWN_MIN: Duration = Duration::from_secs(1);

/// And of a backlog that is no moment's.
const BACKLOG_SHOWN_MIN: u64 = 1_000;

/// Why a run gives up.
#[derive(Debug)]
pub(crate) struct GivenUp {
    /// The server that stays away; `None` when nobody answers.
    pub(crate) node: Option<usize>,
    /// The run was to have ended a while ago.
    pub(crate) is_overdue: bool,
    pub(crate) text: String,
}

/// How many clients waited while nobody was answered, of how many in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) clients: u64,
    pub(crate) of: u64,
}

/// A time in which a server was silent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Silent {
    pub(crate) silence: Silence,
    /// Given when nobody was answered in most of it.
    pub(crate) waiting: Option<Waiting>,
    /// The loop was open: what became due in the meantime counts from then.
    pub(crate) is_open: bool,
}

/// What became of a server that was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Back,
    Lost,
    /// Others of its cluster do what it did.
    Replaced,
    /// It does not answer, and others have its operations.
    StoodInFor,
    /// It did not answer when the user wanted the end.
    Away,
}

/// Why the run gives up, if it does: nobody answers any more, or one server is away and there is a
/// number of operations to get through, each of which would wait for it until the timeout. A run of
/// a given time goes on until its end while anybody answers; after it, what became due in an open
/// loop is such a number of operations.
pub(crate) fn given_up(
    live: &Live,
    until: Until,
    timeout: Duration,
    name: impl Fn(usize) -> String,
) -> Option<GivenUp> {
    let patience = timeout.saturating_mul(TIMEOUTS).max(PATIENCE_MIN);
    let away = live.away.filter(|&(_, away)| away > patience);
    let (is_counted, is_overdue) = match until {
        Until::Operations(_) => (true, false),
        Until::Elapsed(time) => (false, live.elapsed > time.saturating_add(patience)),
    };
    let (node, who) = match away {
        Some((node, _)) if is_counted || is_overdue => (Some(node), name(node)),
        _ if live.silent > patience => {
            (None, live.away.map_or("no server".to_owned(), |(n, _)| name(n)))
        }
        _ => return None,
    };
    let how_long = away.map_or(live.silent, |(_, away)| away).as_secs_f64();
    let verb = if live.away.is_some() { "has not answered" } else { "has answered" };
    let text = format!("{who} {verb} for {how_long:.1} s, and the run was given up");
    Some(GivenUp { node, is_overdue, text })
}

impl GivenUp {
    /// Adds what to do about it, now that it is known how operations failed.
    pub(crate) fn advise(&mut self, errors: &ErrorCounts) {
        // Who sends something else than replies is there, and more time does not help.
        self.text += if errors.protocol > errors.timeout {
            ": what came is no reply to what was asked: see what listens there"
        } else {
            ": see whether it runs and what its log says, or give a longer --timeout"
        };
    }
}

/// Who or what is waited for, for the progress line.
pub(crate) fn waited_for(
    live: &Live,
    until: Until,
    timeout: Duration,
    name: impl Fn(usize) -> String,
) -> Option<String> {
    let over = match until {
        Until::Elapsed(time) if !live.warmup => live.elapsed.checked_sub(time),
        _ => None,
    };
    if let Some(over) = over.filter(|_| live.outstanding > 0 && live.backlog == 0) {
        // Who waits asked before the end, and after the last reply for nothing more.
        let left_s = timeout.saturating_sub(over.max(live.silent)).as_secs_f64();
        let operations = plural(live.outstanding, "operation");
        return Some(format!("waiting up to {left_s:.1} s for the last {operations}"));
    }
    if live.backlog >= BACKLOG_SHOWN_MIN {
        return Some(format!("{} due and not sent", plural(live.backlog, "operation")));
    }
    let silent_s = live.silent.as_secs_f64();
    match live.away {
        Some((node, away)) => Some(format!("{} away for {:.1} s", name(node), away.as_secs_f64())),
        None if live.silent >= SILENCE_SHOWN_MIN => Some(format!("no reply for {silent_s:.1} s")),
        None => None,
    }
}

/// `span` of a run that began at `start_ns`, where it is worth telling beside the median.
pub(crate) fn silence(span: Span, start_ns: u64, median_us: Option<f64>) -> Option<Silence> {
    let length_s = span.length_ns() as f64 / 1e9;
    let usual_s = median_us.unwrap_or(0.0) / 1e6;
    (length_s >= SILENCE_S_MIN && length_s >= usual_s * SILENCE_MEDIANS_MIN)
        .then(|| Silence { start_s: span.begin_ns.saturating_sub(start_ns) as f64 / 1e9, length_s })
}

/// What is told of a server that failed operations or was silent; nothing of another one.
pub(crate) fn told(
    name: &str,
    outage: &Outage,
    silent: Option<Silent>,
    end: End,
) -> Option<String> {
    let counted = [
        (outage.connections_lost, "connection", "lost"),
        (outage.failed, "operation", "failed"),
        (outage.timed_out, "operation", "timed out"),
        (outage.broken_off, "operation", "unanswered"),
    ];
    let counted = counted.into_iter().filter(|&(count, ..)| count > 0);
    let mut facts: Vec<String> =
        counted.map(|(count, noun, fate)| format!("{} {fate}", plural(count, noun))).collect();
    facts.extend(silent.map(|silent| {
        let Silence { start_s, length_s } = silent.silence;
        format!("no reply for {}, from {start_s:.1} s into the run", duration(length_s * 1e6))
    }));
    if facts.is_empty() && end == End::Back {
        return None;
    }
    if facts.is_empty() {
        facts.push("no connection".to_owned());
    }
    let was_away = outage.connections_lost > 0 || outage.failed > 0;
    let mut text = format!("{name}: {}", facts.join(", "));
    match silent.and_then(|silent| silent.waiting) {
        Some(Waiting { of: 1, .. }) => text += ", while the only client waited",
        Some(Waiting { clients, of }) if clients < of => {
            let (clients, of) = (grouped(clients), grouped(of));
            let _ = write!(text, ", while the last {clients} of {of} clients waited");
        }
        Some(Waiting { of, .. }) => {
            let _ = write!(text, ", while all {} clients waited", grouped(of));
        }
        None => {}
    }
    text += match end {
        End::Lost => ", and it did not come back",
        End::Replaced => "; other nodes had its slots at the end",
        End::StoodInFor => "; it was away at the end, and others had its operations",
        End::Away => "; it was away when the run was interrupted",
        End::Back if was_away => "; it was back at the end",
        // Who answers a new connection after a timeout was slow and not away.
        End::Back if outage.timed_out > 0 && silent.is_none() => "",
        End::Back if outage.timed_out > 0 => "; it answered again",
        End::Back if silent.is_some_and(|silent| silent.is_open) => {
            "; the response times show it: see what it did then (its log, its disk, a pause of its \
             process, a machine too busy)"
        }
        // It failed nothing: without a word it would be in the maximum alone.
        End::Back => {
            "; the percentiles hardly show it, since who waits asks for nothing: see what it did \
             then (its log, its disk, a pause of its process, a machine too busy)"
        }
    };
    Some(text)
}
