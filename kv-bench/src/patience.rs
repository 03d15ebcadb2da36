//! Servers that stay away: when a run gives up on them, and what is told of them.

use std::fmt::Write as _;
use std::time::Duration;

use crate::driver::{Live, Until};
use crate::number::duration;
use crate::recorder::Outage;
use crate::scenario::plural;

/// A run gives up after this many timeouts without an answer.
const TIMEOUTS: u32 = 3;
/// But not before a server had time to start again.
const PATIENCE_MIN: Duration = Duration::from_secs(3);

/// Why a run gives up.
#[derive(Debug)]
pub(crate) struct GivenUp {
    /// The server that stays away; `None` when nobody answers.
    pub(crate) node: Option<usize>,
    pub(crate) text: String,
}

/// What became of a server that was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Back,
    Lost,
    /// The user wanted the end, and nobody looked.
    NotSeen,
}

/// Why the run gives up, if it does: nobody answers any more, or one server is away and there is a
/// number of operations to get through, each of which would wait for it until the timeout. A run of
/// a given time has its end, and goes on while anybody answers.
pub(crate) fn given_up(
    live: &Live,
    until: Until,
    timeout: Duration,
    name: impl Fn(usize) -> String,
) -> Option<GivenUp> {
    let patience = timeout.saturating_mul(TIMEOUTS).max(PATIENCE_MIN);
    let away = live.away.filter(|&(_, away)| away > patience);
    let (node, who) = match away {
        Some((node, _)) if matches!(until, Until::Operations(_)) => (Some(node), name(node)),
        _ if live.silent > patience => {
            (None, live.away.map_or("no server".to_owned(), |(n, _)| name(n)))
        }
        _ => return None,
    };
    let how_long = away.map_or(live.silent, |(_, away)| away).as_secs_f64();
    let verb = if live.away.is_some() { "has not answered" } else { "has answered" };
    let text = format!(
        "{who} {verb} for {how_long:.1} s, and the run was given up: see whether it runs and what \
         its log says, or give a longer --timeout"
    );
    Some(GivenUp { node, text })
}

/// Who is waited for, for the progress line.
pub(crate) fn waited_for(live: &Live, name: impl Fn(usize) -> String) -> Option<String> {
    let (node, away) = live.away?;
    Some(format!("{} away for {:.1} s", name(node), away.as_secs_f64()))
}

/// What is told of a server that was away; nothing of one that was not.
pub(crate) fn told(name: &str, outage: &Outage, end: End) -> Option<String> {
    if *outage == Outage::default() {
        return None;
    }
    let timed_out = plural(outage.timed_out, "operation");
    // Who answered a new connection after a timeout was slow and not away.
    let was_away = outage.connections_lost > 0 || outage.failed > 0;
    if !was_away && end != End::Lost {
        return (outage.timed_out > 0).then(|| format!("{name}: {timed_out} timed out"));
    }
    let mut text = format!(
        "{name}: {} lost, {} failed",
        plural(outage.connections_lost, "connection"),
        plural(outage.failed, "operation")
    );
    if outage.timed_out > 0 {
        let _ = write!(text, ", {timed_out} timed out");
    }
    if outage.longest_ns > 0 {
        let _ = write!(text, ", away for up to {}", duration(outage.longest_ns as f64 / 1e3));
    }
    text += match end {
        End::Lost => ", and it did not come back",
        End::NotSeen if outage.lasts => "; it was away when the run was interrupted",
        End::Back | End::NotSeen => "; it was back at the end",
    };
    Some(text)
}
