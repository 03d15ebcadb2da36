//! When somebody served again what a node of a cluster had.

use crate::driver::{Measured, Span};
use crate::number::duration;
use crate::patience::End;
use crate::recorder::Outage;
use crate::result::{Recovery, Silence};

/// What became of the slots of node number `node` of a cluster; `None` of one that answered everybody.
///
/// An operation belongs to the node that had its slot when it was begun, whoever served it in the end.
pub(super) fn of(measured: &Measured, node: usize, name: &str, end: End) -> Option<Recovery> {
    let Outage { connections_lost, failed, timed_out, .. } = *measured.counts.outages.get(node)?;
    if connections_lost + failed + timed_out == 0 {
        return None;
    }
    let whole = Span { begin_ns: measured.start_ns, end_ns: measured.end_ns };
    let replaced = end == End::Replaced;
    // Who was replaced serves nobody from then on, and nobody asks it to.
    let gaps = measured.unserved.get(node)?.iter().filter(|gap| !replaced || gap.end_ns < u64::MAX);
    let longest = gaps.max_by_key(|gap| gap.overlap(whole).length_ns());
    let unserved = longest.map(|gap| {
        let Span { begin_ns, .. } = gap.overlap(whole);
        Silence {
            start_s: begin_ns.saturating_sub(measured.start_ns) as f64 / 1e9,
            length_s: gap.overlap(whole).length_ns() as f64 / 1e9,
        }
    });
    let recovered = longest.is_some_and(|gap| gap.end_ns < u64::MAX);
    Some(Recovery { server: name.to_owned(), replaced, recovered, unserved })
}

/// The same in words, behind what else is told of the node.
pub(super) fn told(recovery: &Recovery) -> Option<String> {
    let length = duration(recovery.unserved?.length_s * 1e6);
    Some(match recovery.recovered {
        true => format!("its slots were served again after {length}"),
        false => format!("its slots were not served again in the last {length}"),
    })
}
