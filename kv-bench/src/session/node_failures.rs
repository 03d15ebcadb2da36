//! Servers that others stood in for.

use crate::cluster::Cluster;
use crate::driver::{Measured, Span};
use crate::number::{duration, grouped};
use crate::result::{Ejected, NodeFailure, NodeFailures, Silence};
use crate::scenario::plural;
use crate::target::Detours;

/// What `--on-node-fail` came to; `None` where operations fail with their server.
pub(super) fn of(measured: &Measured, cluster: &Cluster) -> Option<NodeFailures> {
    let detours = cluster.detours()?;
    let elsewhere = &measured.counts.elsewhere;
    let servers = elsewhere.iter().enumerate().map(|(node, &sent_elsewhere)| NodeFailure {
        server: cluster.name(node),
        sent_elsewhere,
        ejections: ejections(measured, detours, node),
    });
    Some(NodeFailures {
        rule: detours.rule().to_string(),
        sent_elsewhere: elsewhere.iter().sum(),
        retried: measured.counts.retried,
        servers: servers.filter(|s| s.sent_elsewhere > 0 || !s.ejections.is_empty()).collect(),
    })
}

/// As far as they fall into what was measured, which ends with the last outcome.
fn ejections(measured: &Measured, detours: &Detours, node: usize) -> Vec<Ejected> {
    let Measured { start_ns, end_ns, ref counts, .. } = *measured;
    let end_ns = counts.last_reply_ns.max(counts.last_failure_ns).unwrap_or(end_ns);
    let whole = Span { begin_ns: start_ns, end_ns };
    let all = detours.ejections().into_iter().filter(|ejection| ejection.node == node);
    let within = all.filter_map(|ejection| {
        let until_ns = ejection.until_ns.unwrap_or(u64::MAX);
        let span = Span { begin_ns: ejection.from_ns, end_ns: until_ns }.overlap(whole);
        let time = Silence {
            start_s: span.begin_ns.saturating_sub(start_ns) as f64 / 1e9,
            length_s: span.length_ns() as f64 / 1e9,
        };
        (span.length_ns() > 0).then_some(Ejected { time, is_back: until_ns <= end_ns })
    });
    within.collect()
}

/// The same in words, a line for each server.
pub(super) fn told(failures: &NodeFailures) -> Vec<String> {
    let line = |failure: &NodeFailure| {
        let NodeFailure { server, sent_elsewhere, ejections } = failure;
        let of_it = format!("{} of its operations went to others", grouped(*sent_elsewhere));
        let times: Vec<String> = ejections.iter().map(time_of).collect();
        let ejected = match times.is_empty() {
            true => String::new(),
            false => format!("ejected {}; ", times.join(", and ")),
        };
        format!("{server}: {ejected}{of_it}, where its keys are not")
    };
    let retried = (failures.retried > 0).then(|| {
        let operations = plural(failures.retried, "operation");
        format!("{operations} failed at first and took the time of both tries")
    });
    failures.servers.iter().map(line).chain(retried).collect()
}

fn time_of(ejected: &Ejected) -> String {
    let Ejected { time: Silence { start_s, length_s }, is_back } = *ejected;
    let length = duration(length_s * 1e6);
    let end = if is_back { "" } else { " and until the end" };
    format!("{start_s:.1} s into the run for {length}{end}")
}
