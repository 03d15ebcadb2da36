//! What a measurement knows of the generator itself, as a result records it.

use super::{Measurement, seconds_between};
use crate::driver::Outcome;
use crate::fairness;
use crate::result::{Generator, WorkerCost};

impl Measurement {
    /// What the generator used and was denied.
    pub(crate) fn generator(&self) -> Generator {
        let outcomes = &self.measured.outcomes;
        let ends = outcomes.iter().flat_map(|outcome| &outcome.ends).filter(|end| !end.idle);
        let clients = ends.map(|end| {
            let busy_s = seconds_between(Some(self.measured.start_ns), Some(end.end_ns));
            (end.successes, busy_s.unwrap_or_default())
        });
        // Of a trace each gets the operations on its keys, however many those are.
        let is_closed = !self.measured.latencies.is_open() && self.measured.replayed.is_none();
        Generator {
            workers: outcomes.iter().map(worker_cost).collect(),
            throttled_share: self.facts.throttled_share,
            steal_share: self.facts.steal_share,
            others_share: self.facts.others_share,
            clients: is_closed.then(|| fairness::of_clients(clients)).flatten(),
        }
    }
}

fn worker_cost(outcome: &Outcome) -> WorkerCost {
    let seconds = |ns: u64| ns as f64 / 1e9;
    WorkerCost {
        wall_s: seconds(outcome.effort.wall_ns),
        cpu_s: seconds(outcome.effort.cpu_ns),
        run_queue_wait_s: outcome.effort.run_queue_wait_ns.map(seconds),
        involuntary_switches: outcome.involuntary_switches,
    }
}
