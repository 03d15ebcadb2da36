//! The points of a curve: which numbers of servers and workers are measured in the time there is.

use std::time::Duration;

/// Load before each point that is not counted.
pub const WARMUP: Duration = Duration::from_millis(200);
/// How long each point is measured.
pub const LENGTH: Duration = Duration::from_secs(1);

/// The numbers of servers and of workers at which a curve is measured, every one with every other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ladder {
    pub servers: Vec<u32>,
    pub threads: Vec<u32>,
}

impl Ladder {
    /// Servers one by one and workers doubling, thinned until the points fit into `time`. The ends
    /// stay longest; at least the full load is measured.
    pub fn new(servers: Vec<u32>, threads: u32, time: Duration) -> Self {
        let mut ladder = Self { servers, threads: doubling(threads) };
        let points = (time.as_secs_f64() / (WARMUP + LENGTH).as_secs_f64()).floor() as usize;
        while ladder.points() > points.max(1) {
            let longer = if ladder.threads.len() >= ladder.servers.len() {
                &mut ladder.threads
            } else {
                &mut ladder.servers
            };
            thin(longer);
        }
        ladder
    }

    /// Points in all.
    pub fn points(&self) -> usize {
        self.servers.len() * self.threads.len()
    }
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
fn thin(steps: &mut Vec<u32>) {
    let at = if steps.len() > 2 { steps.len() / 2 } else { 0 };
    steps.remove(at);
}
