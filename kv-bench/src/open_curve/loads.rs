//! The loads of a curve as they are typed, how much time each gets, and their order.

use std::str::FromStr;
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::schedule::Rate;

/// As many loads as a curve has unless it is told, and the fewest that show its shape.
const LOADS_USUAL: u32 = 12;
const LOADS_MIN: u32 = 5;
const LOADS_MAX: u32 = 100;
/// Where the loads of `auto` lie, in parts of what a closed loop achieves: to a little above it.
const AUTO_HIGHEST: f64 = 1.2;
/// Ends further apart than this are joined in even proportions, and else in even steps.
const EVEN_STEPS_UP_TO: f64 = 20.0;

/// The closed loop that is measured first.
pub const CALIBRATION: Duration = Duration::from_secs(1);
/// Between two points servers are left alone for so long, after all that was asked has its outcome.
pub const IDLE: Duration = Duration::from_millis(100);
/// A point is measured for at least, and at most, so long.
const LENGTHS_S: (f64, f64) = (1.0, 10.0);
/// A saturated point takes longer than its length, and connecting takes its time: in parts of the
/// length, as those of `auto` do on average.
const OVERTIME: f64 = 1.05;

/// What was typed for `--rates`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loads {
    /// From a part of what a closed loop achieves to a little above it.
    Auto { count: Option<u32> },
    /// Between two rates and at both of them.
    Between { low_ops_s: u64, high_ops_s: u64, count: Option<u32> },
    /// These, in ascending order.
    Listed(Vec<u64>),
}

/// Why loads were refused, in words that name a valid form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} (such as auto, 1k..50k, 1k..50k/8 for eight of them, or 1k,2k,5k)")]
pub struct LoadsError(String);

impl FromStr for Loads {
    type Err = LoadsError;

    fn from_str(text: &str) -> Result<Self, LoadsError> {
        if text.contains(',') {
            return listed(text);
        }
        let (loads, count) = match text.split_once('/') {
            Some((loads, count)) => (loads.trim(), Some(number_of_loads(count.trim())?)),
            None => (text.trim(), None),
        };
        if loads.eq_ignore_ascii_case("auto") {
            return Ok(Self::Auto { count });
        }
        let rate = rate(loads)?;
        if let Some((low_ops_s, high_ops_s)) = rate.ramp_ops_s().filter(|&(low, _)| low > 0) {
            let different = high_ops_s - low_ops_s + 1;
            if count.is_some_and(|count| u64::from(count) > different) {
                let problem = format!("between {loads} there are no more than {different} rates");
                return Err(LoadsError(problem));
            }
            return Ok(Self::Between { low_ops_s, high_ops_s, count });
        }
        Err(LoadsError(match rate.constant_ops_s() {
            Some(_) => format!("'{text}' is one load, and a curve has several"),
            None => format!("'{loads}' is not from a lower rate above 0 to a higher one"),
        }))
    }
}

fn rate(text: &str) -> Result<Rate, LoadsError> {
    if text.contains(':') {
        return Err(LoadsError(format!(
            "'{text}' has a length, as steps of --rate have: here all loads last as long"
        )));
    }
    text.parse().map_err(|_| LoadsError(format!("'{text}' is no number of ops/s")))
}

fn number_of_loads(text: &str) -> Result<u32, LoadsError> {
    let count = text.parse().ok().filter(|count| (2..=LOADS_MAX).contains(count));
    count
        .ok_or_else(|| LoadsError(format!("'/{text}' is no number of loads from 2 to {LOADS_MAX}")))
}

fn listed(text: &str) -> Result<Loads, LoadsError> {
    let one = |text: &str| {
        let refused = || LoadsError(format!("'{}' is no load of a list", text.trim()));
        rate(text.trim())?.constant_ops_s().filter(|&ops_s| ops_s > 0).ok_or_else(refused)
    };
    let mut loads: Vec<u64> = text.split(',').map(one).collect::<Result<_, _>>()?;
    loads.sort_unstable();
    if let Some((twice, _)) = loads.iter().zip(&loads[1..]).find(|(one, next)| one == next) {
        let problem = format!("{twice} is listed twice: --repeat measures each again");
        return Err(LoadsError(problem));
    }
    if loads.len() > LOADS_MAX as usize {
        return Err(LoadsError(format!("{} loads are more than {LOADS_MAX}", loads.len())));
    }
    Ok(Loads::Listed(loads))
}

impl Loads {
    /// How many there are to be; `None` where the time decides.
    fn count(&self) -> Option<u32> {
        match self {
            Self::Auto { count } => *count,
            Self::Between { low_ops_s, high_ops_s, count } => {
                // Two neighbours have nothing in between, however much time there is.
                let different = high_ops_s - low_ops_s + 1;
                count.or_else(|| u32::try_from(different).ok().filter(|&all| all <= LOADS_MIN))
            }
            Self::Listed(loads) => Some(loads.len() as u32),
        }
    }

    /// The highest; `None` where a closed loop is to say it.
    pub fn highest_ops_s(&self) -> Option<u64> {
        match self {
            Self::Auto { .. } => None,
            Self::Between { high_ops_s, .. } => Some(*high_ops_s),
            Self::Listed(loads) => loads.last().copied(),
        }
    }

    /// `count` of them in ascending order, or fewer where these would not differ; `peak_ops_s` is what
    /// a closed loop achieves.
    pub fn spread(&self, count: u32, peak_ops_s: f64) -> Vec<u64> {
        let steps = f64::from(count.max(2) - 1);
        let parts = (0..count.max(2)).map(|step| f64::from(step) / steps);
        let mut loads: Vec<u64> = match *self {
            Self::Listed(ref loads) => loads.clone(),
            Self::Auto { .. } => {
                // As far from zero as from each other.
                let low = 1.0 / f64::from(count.max(2));
                let part = |part: f64| low + (1.0 - low) * part;
                parts.map(|at| (peak_ops_s * AUTO_HIGHEST * part(at)).round() as u64).collect()
            }
            Self::Between { low_ops_s, high_ops_s, .. } => {
                let (low, high) = (low_ops_s as f64, high_ops_s as f64);
                let is_even = high / low <= EVEN_STEPS_UP_TO;
                let even = |part: f64| low + (high - low) * part;
                let proportional = |part: f64| low * (high / low).powf(part);
                parts
                    .map(|at| if is_even { even(at) } else { proportional(at) }.round() as u64)
                    .collect()
            }
        };
        loads.retain(|&load| load > 0);
        loads.dedup();
        loads
    }
}

/// How many loads are measured, and for how long each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Layout {
    pub count: u32,
    pub length: Duration,
}

impl Layout {
    /// What there is `time` for when each load is measured `repeats` times after `warmup`.
    ///
    /// # Errors
    ///
    /// With the time that it would take, when that is more.
    pub fn new(
        loads: &Loads,
        repeats: u32,
        warmup: Duration,
        time: Duration,
    ) -> Result<Self, Duration> {
        let (shortest_s, longest_s) = LENGTHS_S;
        let beside_s = (warmup + IDLE).as_secs_f64();
        let calibration_s = (CALIBRATION + warmup + IDLE).as_secs_f64();
        let left_s = time.as_secs_f64() - calibration_s;
        let point_s = beside_s + shortest_s * OVERTIME;
        let fitting = (left_s / (point_s * f64::from(repeats))).max(0.0) as u32;
        let count = loads.count().unwrap_or(fitting.clamp(LOADS_MIN, LOADS_USUAL));
        let measurements = f64::from(count) * f64::from(repeats);
        if fitting < count {
            return Err(Duration::from_secs_f64((calibration_s + measurements * point_s).ceil()));
        }
        let length_s = ((left_s / measurements - beside_s) / OVERTIME).clamp(shortest_s, longest_s);
        // In tenths, so that it reads well.
        Ok(Self { count, length: Duration::from_millis((length_s * 10.0).floor() as u64 * 100) })
    }
}

/// The order of measuring: all loads once in a random order, then all once more in another, so that
/// what changes with time meets all loads alike and a curve that is cut short has all it began.
pub fn order(loads: &[u64], repeats: u32, seed: u64) -> Vec<u64> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order = Vec::with_capacity(loads.len() * repeats as usize);
    for _ in 0..repeats {
        let mut round = loads.to_vec();
        // Fisher and Yates'; the modulus is biased by less than one in 2^57.
        for last in (1..round.len()).rev() {
            round.swap(last, (random.next_u64() % (last as u64 + 1)) as usize);
        }
        order.extend(round);
    }
    order
}
