//! What was done to servers on purpose, as a table.

use super::tables::Medium;
use crate::number::{NOTHING, decimal};
use crate::result::ChaosEvent;

/// Each fault: when it was done, how long nobody was served, and how long until somebody was again.
pub(super) fn table(events: &[ChaosEvent], medium: Medium) -> String {
    let seconds = |s: Option<f64>| s.map_or_else(|| NOTHING.to_owned(), |s| decimal(s, 3));
    let rows = events.iter().map(|event| {
        vec![
            medium.escape(&event.action),
            medium.escape(&event.server),
            seconds(event.done_s),
            seconds(event.unavailable.map(|silence| silence.start_s)),
            seconds(event.unavailable.map(|silence| silence.length_s)),
            seconds(event.recovery_s),
        ]
    });
    let header = [
        "fault",
        "server",
        "done\nat s",
        "served nobody\nfrom s",
        "for\ns",
        "served again\nafter s",
    ];
    medium.table(2, &header, rows.collect())
}
