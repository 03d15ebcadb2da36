//! When somebody served again what a node of a cluster had.

use crate::driver::{Gap, Measured, Span};
use crate::number::duration;
use crate::patience::End;
use crate::recorder::Outage;
use crate::result::{Recovery, Silence};

/// Shorter times are what a busy machine does to anybody.
const LENGTH_NS_MIN: u64 = 10_000_000;

/// What became of the slots of node number `node` of a cluster; `None` of one that answered everybody.
///
/// An operation belongs to the node that had its slot when it was begun, whoever served it in the end.
/// Where none of those that waited was served by who replaced the node, nobody knows how long it took.
pub(super) fn of(measured: &Measured, node: usize, name: &str, end: End) -> Option<Recovery> {
    let outage = measured.counts.outages.get(node)?;
    let Outage { connections_lost, failed, timed_out, first_ns, last_ns, .. } = *outage;
    if connections_lost + failed + timed_out == 0 {
        return None;
    }
    let replaced = end == End::Replaced;
    // Other gaps have other reasons, or none but that nobody asked for anything.
    let gaps = measured.unserved.get(node)?.iter();
    let gaps =
        gaps.filter(|gap| last_ns >= Some(gap.span.begin_ns) && first_ns <= Some(gap.span.end_ns));
    // Who was replaced serves nobody from then on, and nobody asks it to.
    let gaps = gaps.filter(|gap| !replaced || !is_open(gap));
    let waits = gaps.filter_map(|gap| Some((wait(gap, measured.end_ns)?, is_open(gap))));
    let longest = waits.max_by_key(|(wait, _)| wait.length_ns());
    let unserved = longest.map(|(wait, _)| Silence {
        start_s: wait.begin_ns.saturating_sub(measured.start_ns) as f64 / 1e9,
        length_s: wait.length_ns() as f64 / 1e9,
    });
    let recovered = longest.map_or(!matches!(end, End::Lost | End::Away), |(_, is_open)| !is_open);
    Some(Recovery { server: name.to_owned(), replaced, recovered, unserved })
}

fn is_open(gap: &Gap) -> bool {
    gap.span.end_ns == u64::MAX
}

/// The part of a gap in which somebody waited, where it is long enough. One at the end counts when
/// somebody waited until then: of who had no more to ask for after its failure, nobody knows.
fn wait(gap: &Gap, end_ns: u64) -> Option<Span> {
    let wait = Span { begin_ns: gap.waited.begin_ns, end_ns: gap.span.end_ns.min(end_ns) };
    let idle_ns = wait.end_ns.saturating_sub(gap.waited.end_ns);
    let is_awaited = gap.waited.length_ns() >= LENGTH_NS_MIN.max(idle_ns);
    is_awaited.then_some(wait)
}

/// The same in words, behind what else is told of the node.
pub(super) fn told(recovery: &Recovery) -> Option<String> {
    let length = duration(recovery.unserved?.length_s * 1e6);
    Some(match recovery.recovered {
        true => format!("its slots were served again after {length}"),
        false => format!("its slots were not served again in the last {length}"),
    })
}
