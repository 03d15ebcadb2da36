//! The points of a curve: which numbers of servers and callers are measured in the time there is.

use std::time::Duration;

/// Load before each point that is not counted.
pub const WARMUP: Duration = Duration::from_millis(200);
/// How long each point is measured.
pub const LENGTH: Duration = Duration::from_secs(1);

/// A number of callers, as workers and the clients of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub threads: u32,
    /// Clients per worker.
    pub clients: u32,
}

/// The numbers of servers and of callers at which a curve is measured, every one with every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    pub servers: Vec<u32>,
    pub levels: Vec<Level>,
    /// Points that there would be with more time.
    pub points_all: usize,
}

impl Ladder {
    /// Servers one by one and callers doubling up to `full`, thinned until the points fit into
    /// `time`. The ends stay longest; at least the full load is measured.
    ///
    /// Callers get a worker each until `full.threads` is reached, then all workers get more clients
    /// alike: every worker of a point has the same load.
    pub fn new(servers: Vec<u32>, full: Level, time: Duration) -> Self {
        let mut ladder = Self { servers, levels: levels(full), points_all: 0 };
        ladder.points_all = ladder.points();
        let points = (time.as_secs_f64() / (WARMUP + LENGTH).as_secs_f64()).floor() as usize;
        while ladder.points() > points.max(1) {
            if ladder.levels.len() >= ladder.servers.len() {
                thin(&mut ladder.levels);
            } else {
                thin(&mut ladder.servers);
            }
        }
        ladder
    }

    /// Points in all.
    pub fn points(&self) -> usize {
        self.servers.len() * self.levels.len()
    }
}

fn levels(full: Level) -> Vec<Level> {
    let workers = doubling(full.threads).into_iter().map(|threads| Level { threads, clients: 1 });
    let clients = doubling(full.clients).into_iter().skip_while(|&clients| clients == 1);
    workers.chain(clients.map(|clients| Level { clients, ..full })).collect()
}

/// 1, 2, 4 … and `last` itself.
fn doubling(last: u32) -> Vec<u32> {
    let mut steps: Vec<u32> = std::iter::successors(Some(1u32), |step| step.checked_mul(2))
        .take_while(|&s| s < last)
        .collect();
    steps.push(last);
    steps
}

/// Takes one from the middle, or the first of two.
fn thin<T>(steps: &mut Vec<T>) {
    let at = if steps.len() > 2 { steps.len() / 2 } else { 0 };
    steps.remove(at);
}
