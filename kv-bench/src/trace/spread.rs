//! When the operations of a trace are due.
//!
//! Those of `MONITOR` have microseconds. The others have seconds, and their operations are spread over
//! them: as those of many users come, at random and independently of each other (`poisson`, given how many
//! there are in the second), or evenly (`constant`).

use std::sync::Arc;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use crate::schedule::Process;

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// Sets these random numbers apart from others of the same seed.
const SPREAD: u64 = 0x0074_7261_6365_7321;

/// How many operations each second has that has any, in the order of a trace.
pub type Seconds = Arc<[(u64, u32)]>;

/// Turns the times of operations, in the order of a trace, into due times after its beginning.
#[derive(Debug, Clone)]
pub struct Spread {
    /// Where times are in whole seconds.
    seconds: Option<Seconds>,
    process: Process,
    random: Xoshiro256PlusPlus,
    speed: f64,
    /// The first operation's time, or of seconds the first one's beginning.
    origin_ns: Option<u64>,
    /// Which second it is, how many of its operations are placed, and the last one's place in it.
    second: usize,
    placed: u32,
    place: f64,
}

impl Spread {
    /// Over `seconds`, where times are in seconds. A trace's second lasts a second over
    /// `times`.
    pub fn new(seconds: Option<Seconds>, process: Process, times: f64, seed: u64) -> Self {
        Self {
            seconds,
            process,
            random: Xoshiro256PlusPlus::seed_from_u64(seed ^ SPREAD),
            speed: times,
            origin_ns: None,
            second: 0,
            placed: 0,
            place: 0.0,
        }
    }

    /// When the next operation is due, in nanoseconds after the beginning, which has this time in the
    /// trace.
    pub fn due_ns(&mut self, at_ns: u64) -> u64 {
        let origin_ns = *self.origin_ns.get_or_insert(at_ns);
        let since_ns =
            at_ns.saturating_sub(origin_ns) as f64 + self.within(at_ns) * SECOND_NS as f64;
        (since_ns / self.speed) as u64
    }

    /// The part of the second at which the next of its operations stands.
    fn within(&mut self, at_ns: u64) -> f64 {
        let Some(seconds) = &self.seconds else { return 0.0 };
        let now = at_ns / SECOND_NS;
        while seconds.get(self.second).is_some_and(|&(second, _)| second < now) {
            self.second += 1;
            (self.placed, self.place) = (0, 0.0);
        }
        let count = seconds.get(self.second).map_or(1, |&(_, count)| count.max(1));
        let left = count.saturating_sub(self.placed).max(1);
        let place = match self.process {
            Process::Constant => f64::from(self.placed.min(count - 1)) / f64::from(count),
            // The least of so many that are uniform over the rest of the second.
            Process::Poisson => {
                let uniform = (self.random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
                self.place
                    + (1.0 - self.place) * (1.0 - (1.0 - uniform).powf(1.0 / f64::from(left)))
            }
        };
        self.placed += 1;
        self.place = place;
        place
    }
}
