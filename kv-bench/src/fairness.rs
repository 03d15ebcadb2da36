//! How evenly the load fell: on clients, and on servers against what the ring gives them.

use crate::number::{decimal, short};
use crate::result::{Fairness, ServerShare};
use crate::target::Target;
use crate::workload::Keys;

/// Keys whose places are looked up: enough to know a share to a third of a percent.
const KEYS_LOOKED_UP_MAX: u64 = 100_000;
/// Below this, what is said of all clients is true of few of them: half of the clients getting twice
/// as much as the others make 0.9.
const JAIN_INDEX_MIN: f64 = 0.9;
/// A server with this much more of the operations than of the keys is worth telling: its keys are
/// hotter than others.
const EXCESS_MAX: f64 = 1.25;
/// With fewer operations a server may have that by chance: with these, as good as never.
const OPERATIONS_MIN: u64 = 1000;

/// Of clients that had something to do, with the operations of each that succeeded and the seconds that
/// it had for them; `None` of fewer than two, and where nobody was served.
pub fn of_clients(clients: impl Iterator<Item = (u64, f64)>) -> Option<Fairness> {
    let busy = clients.filter(|&(_, seconds)| seconds > 0.0);
    let rates: Vec<f64> = busy.map(|(successes, seconds)| successes as f64 / seconds).collect();
    let (sum, squares) = rates.iter().fold((0.0, 0.0), |(s, q), rate| (s + rate, q + rate * rate));
    (rates.len() >= 2 && sum > 0.0).then(|| Fairness {
        clients: rates.len() as u64,
        min_ops_s: rates.iter().copied().fold(f64::INFINITY, f64::min),
        max_ops_s: rates.iter().copied().fold(0.0, f64::max),
        jain_index: sum * sum / (rates.len() as f64 * squares),
    })
}

/// The part of `keys` that is placed on each node.
pub fn ring_shares(target: &impl Target, keys: &Keys) -> Vec<f64> {
    let looked_up = keys.count().min(KEYS_LOOKED_UP_MAX);
    let mut counts = vec![0_u64; target.nodes().len()];
    let mut key = keys.buffer();
    for index in 0..looked_up {
        // Evenly spread over all of them.
        key.set((u128::from(index) * u128::from(keys.count()) / u128::from(looked_up)) as u64);
        counts[target.route(key.bytes())] += 1;
    }
    counts.into_iter().map(|count| count as f64 / looked_up as f64).collect()
}

/// What is to be told of load that fell unevenly.
pub fn warnings(clients: Option<&Fairness>, servers: &[ServerShare]) -> Vec<String> {
    let clients = clients.filter(|clients| clients.jain_index < JAIN_INDEX_MIN).map(|clients| {
        format!(
            "clients were served unevenly, {} to {} ops/s each (Jain's index {}): the percentiles are \
             mostly of those that were served more",
            short(clients.min_ops_s),
            short(clients.max_ops_s),
            decimal(clients.jain_index, 2)
        )
    });
    let excess = |server: &&ServerShare| {
        server.operations >= OPERATIONS_MIN
            && server.ring_share.is_some_and(|ring_share| server.share > ring_share * EXCESS_MAX)
    };
    let most = |a: &&ServerShare, b: &&ServerShare| a.share.total_cmp(&b.share);
    let hot = servers.iter().filter(excess).max_by(most).map(|server| {
        format!(
            "{} got {} % of the operations with {} % of the keys: its keys are the popular ones",
            server.name,
            decimal(server.share * 100.0, 0),
            decimal(server.ring_share.unwrap_or_default() * 100.0, 0)
        )
    });
    clients.into_iter().chain(hot).collect()
}

/// The clients in a line: `32 clients: 1.2 k to 1.3 k ops/s each, Jain's index of fairness 0.998`.
pub(crate) fn told(clients: &Fairness) -> String {
    format!(
        "{} clients: {} to {} ops/s each, Jain's index of fairness {}",
        clients.clients,
        short(clients.min_ops_s),
        short(clients.max_ops_s),
        decimal(clients.jain_index, 3)
    )
}
