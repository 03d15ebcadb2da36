//! A distribution of keys made ready for a number of keys: what an operation costs is one draw.

use rand_xoshiro::Xoshiro256PlusPlus;

use super::distribution::{Hot, KeyDistribution};
use super::mixgraph::Mixgraph;
use super::scramble::Scramble;
use super::ycsb::{GrayZipf, fnv_hash};
use super::zipf::Zipf;
use super::{below, unit};

#[derive(Debug, Clone)]
pub(super) enum Picker {
    Uniform,
    /// One key after the other.
    Walk,
    Zipfian(Zipf, Scramble),
    Latest(Zipf),
    Hotspot(Hotspot),
    Moving(Moving),
    Gaussian(Gaussian),
    Exponential(Exponential),
    YcsbZipfian(GrayZipf),
    YcsbScrambled(GrayZipf),
    Mixgraph(Mixgraph),
}

impl Picker {
    /// For `count` keys and `streams` sequences of operations in all.
    pub(super) fn new(distribution: KeyDistribution, count: u64, streams: u64) -> Self {
        match distribution {
            KeyDistribution::Uniform => Self::Uniform,
            KeyDistribution::Sequential | KeyDistribution::OwnKey => Self::Walk,
            KeyDistribution::Zipfian { exponent } => {
                Self::Zipfian(Zipf::new(count, exponent), Scramble::new(count))
            }
            KeyDistribution::Latest { exponent } => Self::Latest(Zipf::new(count, exponent)),
            KeyDistribution::Hotspot(hot) => Self::Hotspot(Hotspot::new(hot, count)),
            KeyDistribution::MovingHotspot { hot, every } => {
                Self::Moving(Moving::new(Hotspot::new(hot, count), every, streams))
            }
            KeyDistribution::Gaussian { deviation, centre } => Self::Gaussian(Gaussian {
                count: count as f64,
                deviation: deviation * count as f64,
                centre: centre * count as f64,
            }),
            KeyDistribution::Exponential(hot) => Self::Exponential(Exponential::new(hot, count)),
            KeyDistribution::YcsbZipfian { theta } => {
                Self::YcsbZipfian(GrayZipf::new(count, theta))
            }
            KeyDistribution::YcsbScrambled => Self::YcsbScrambled(GrayZipf::scrambled()),
            KeyDistribution::Mixgraph => Self::Mixgraph(Mixgraph::new(count)),
        }
    }

    /// The same for another number of sequences.
    pub(super) fn for_streams(&self, streams: u64) -> Self {
        match self {
            Self::Moving(moving) => Self::Moving(Moving::new(moving.hot, moving.every, streams)),
            other => other.clone(),
        }
    }

    /// A key below `count`. `place` is that in the sequence and moves on.
    #[inline]
    pub(super) fn pick(&self, count: u64, place: &mut u64, random: &mut Xoshiro256PlusPlus) -> u64 {
        match self {
            Self::Uniform => below(count, random),
            Self::Walk => {
                let key = *place;
                *place = if key + 1 == count { 0 } else { key + 1 };
                key
            }
            Self::Zipfian(zipf, scramble) => scramble.apply(zipf.rank(random)),
            Self::Latest(zipf) => count - 1 - zipf.rank(random),
            Self::Hotspot(hot) => hot.pick(random),
            Self::Moving(moving) => moving.pick(place, random),
            Self::Gaussian(gaussian) => gaussian.pick(random),
            Self::Exponential(exponential) => exponential.pick(random),
            Self::YcsbZipfian(zipf) => zipf.rank(unit(random)),
            Self::YcsbScrambled(zipf) => fnv_hash(zipf.rank(unit(random))) % count,
            Self::Mixgraph(mixgraph) => mixgraph.pick(random),
        }
    }
}

/// The first keys get more than their share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hotspot {
    count: u64,
    hot: u64,
    operations: f64,
}

impl Hotspot {
    fn new(hot: Hot, count: u64) -> Self {
        let keys = (hot.keys * count as f64).round() as u64;
        Self { count, hot: keys.clamp(1, count), operations: hot.operations }
    }

    #[inline]
    fn pick(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let cold = self.count - self.hot;
        if cold == 0 || unit(random) < self.operations {
            below(self.hot, random)
        } else {
            self.hot + below(cold, random)
        }
    }
}

/// Hot keys that move on with each operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    hot: Hotspot,
    every: u64,
    /// Keys per operation of one sequence, which stands for those of the others meanwhile: so no
    /// sequence depends on another.
    speed: f64,
}

impl Moving {
    fn new(hot: Hotspot, every: u64, streams: u64) -> Self {
        Self { hot, every, speed: hot.hot as f64 * streams as f64 / every as f64 }
    }

    #[inline]
    fn pick(&self, place: &mut u64, random: &mut Xoshiro256PlusPlus) -> u64 {
        let count = self.hot.count;
        let begin = (*place as f64 * self.speed) as u64 % count;
        *place += 1;
        let key = begin + self.hot.pick(random);
        if key < count { key } else { key - count }
    }
}

/// A normal distribution, cut off at the ends by drawing again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gaussian {
    count: f64,
    deviation: f64,
    centre: f64,
}

impl Gaussian {
    /// Between a third and all of the draws are kept, as the centre is one of the keys and the
    /// deviation no more than all of them.
    #[inline]
    fn pick(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        loop {
            let key = self.centre + self.deviation * standard_normal(random);
            if key >= 0.0 && key < self.count {
                return key as u64;
            }
        }
    }
}

/// G. Marsaglia's polar method, of whose two results the second is not kept: a sequence has no
/// room for it.
#[inline]
fn standard_normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    loop {
        let (x, y) = (2.0 * unit(random) - 1.0, 2.0 * unit(random) - 1.0);
        let square = x * x + y * y;
        if square > 0.0 && square < 1.0 {
            return x * (-2.0 * square.ln() / square).sqrt();
        }
    }
}

/// A density of e^(−`rate` x) over x from 0 to 1, the keys being evenly laid out there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exponential {
    count: u64,
    rate: f64,
    /// e^(−`rate`) − 1: what the cut at the last key leaves, with its sign turned.
    reach: f64,
}

impl Exponential {
    fn new(hot: Hot, count: u64) -> Self {
        let rate = rate(hot);
        Self { count, rate, reach: (-rate).exp_m1() }
    }

    /// The inverse of the distribution function.
    #[inline]
    fn pick(&self, random: &mut Xoshiro256PlusPlus) -> u64 {
        let x = (1.0 + unit(random) * self.reach).ln() / -self.rate;
        ((x * self.count as f64) as u64).min(self.count - 1)
    }
}

/// The rate at which the first share of the keys gets its share of the operations, by bisection: the
/// share (1 − e^(−rate · keys))/(1 − e^(−rate)) grows with the rate, from the share of keys on.
fn rate(hot: Hot) -> f64 {
    let operations = |rate: f64| (-rate * hot.keys).exp_m1() / (-rate).exp_m1();
    // Without the cut at the last key the rate would have to be higher.
    let (mut low, mut high) = (0.0, -(-hot.operations).ln_1p() / hot.keys);
    loop {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            return high;
        }
        if operations(middle) < hot.operations { low = middle } else { high = middle }
    }
}
