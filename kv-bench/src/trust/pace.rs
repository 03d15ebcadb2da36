//! Whether an open loop kept its schedule, and if not, who made it late.

use super::{
    Facts, LATENESS_SHARE_MAX, Pace, QUEUE_WAIT_SHARE_MAX, WORKER_SHARE_MAX, command, elsewhere,
    others, percent, threads_for, used_up,
};
use crate::number::{decimal, duration, grouped};
use crate::result::Limit;

/// An open loop whose servers answered less of what was asked is one that they did not keep up with.
const ACHIEVED_SHARE_MIN: f64 = 0.98;
/// From this part of all operations on, those that waited for a client are the 99th percentile of
/// lateness.
const WAITED_SHARE_MIN: f64 = 0.01;
/// As much of what servers answer at most they sustain at a given rate without long queues.
pub(crate) const SUSTAINED: f64 = 0.7;
/// By how much more clients are advised where there are too few.
const MORE_CLIENTS: u64 = 4;

impl Pace {
    fn is_kept(&self) -> bool {
        self.lateness_p99_us <= LATENESS_SHARE_MAX * self.response_p50_us
    }

    /// The figures that it is judged by.
    pub(super) fn evidence(&self) -> String {
        let (late, p50) = (duration(self.lateness_p99_us), duration(self.response_p50_us));
        format!(
            "99 % of operations were sent within {late} of their time; trusted up to {} of the \
             median response time, which was {p50}",
            percent(LATENESS_SHARE_MAX)
        )
    }
}

/// What made an open loop late and what to do about it; `None` when it was not.
pub(super) fn late(facts: &Facts, pace: &Pace) -> Option<(Limit, Vec<String>)> {
    if pace.is_kept() {
        return None;
    }
    let (limit, mut why) = if facts.in_process || pace.waited_share < WAITED_SHARE_MIN {
        late_generator(facts)
    } else if let Some(asked_ops_s) =
        pace.asked_ops_s.filter(|asked| pace.achieved_ops_s < asked * ACHIEVED_SHARE_MIN)
    {
        saturated(facts, (asked_ops_s, pace.achieved_ops_s))
    } else {
        too_few_clients(facts, pace)
    };
    why.insert(0, pace.evidence());
    Some((limit, why))
}

/// The servers answered too slowly for the rate, whatever the number of clients.
fn saturated(facts: &Facts, (asked_ops_s, achieved_ops_s): (f64, f64)) -> (Limit, Vec<String>) {
    let used_up = used_up(facts);
    let limit = if used_up.is_some() { Limit::Server } else { Limit::Schedule };
    let sustained_ops_s = (achieved_ops_s * SUSTAINED).max(1.0);
    let rate = match facts.trace_speed {
        Some(speed) => {
            let lower = speed * sustained_ops_s / asked_ops_s;
            format!("--trace-speed {}", decimal(lower.max(0.001), 3))
        }
        None => format!("--rate {}", sustained_ops_s as u64),
    };
    let mut why = vec![format!(
        "the servers answered {} of the {} ops/s asked for, and the rest waited",
        grouped(achieved_ops_s as u64),
        grouped(asked_ops_s as u64)
    )];
    why.extend(used_up);
    why.push(format!("likely trusted: {}", command(&facts.arguments, &[&rate])));
    (limit, why)
}

/// The servers kept up, but a client was not always at hand.
fn too_few_clients(facts: &Facts, pace: &Pace) -> (Limit, Vec<String>) {
    let clients = format!("--clients {}", u64::from(facts.clients) * MORE_CLIENTS);
    let why = vec![
        format!("{} of the operations waited for a client with room", percent(pace.waited_share)),
        format!("likely trusted: {}", command(&facts.arguments, &[&clients])),
    ];
    (Limit::Schedule, why)
}

/// There was a client with room, but the worker was not there in time.
fn late_generator(facts: &Facts) -> (Limit, Vec<String>) {
    let wait = facts.queue_wait_share.filter(|&wait| wait > QUEUE_WAIT_SHARE_MAX);
    let (limit, why) = match wait {
        Some(wait) => {
            let why = format!("workers waited for a core {} of their time", percent(wait));
            (Limit::SharedCores, why)
        }
        None => (Limit::Generator, "the workers came late, though clients had room".to_owned()),
    };
    let threads = threads_for(facts);
    let is_busy = facts.worker_shares.iter().any(|&share| share >= WORKER_SHARE_MAX);
    // Others who use the cores are told of besides, and what to do about them.
    if limit == Limit::SharedCores && others(facts).is_some() {
        return (limit, vec![why]);
    }
    let fix = if facts.in_process && !is_busy {
        "a call takes less time than waking a worker for it, so response times here are the timer's: \
         the service times are the engine's"
            .to_owned()
    } else if facts.threads != threads && (is_busy || facts.threads > threads) {
        let clients =
            (u64::from(facts.threads) * u64::from(facts.clients)).div_ceil(threads.into());
        let callers = [format!("--threads {threads}"), format!("--clients {clients}")];
        let callers: Vec<&str> = callers.iter().map(String::as_str).collect();
        format!("likely trusted: {}", command(&facts.arguments, &callers))
    } else {
        elsewhere(facts).to_owned()
    };
    (limit, vec![why, fix])
}
