//! How keys are chosen, as it is typed: a name and its parameters, such as `hotspot:0.2:0.8`.

use std::fmt;
use std::str::FromStr;

use crate::units;

/// Above it even the second key is as good as never drawn.
const EXPONENT_MAX: f64 = 10.0;

/// How keys are chosen. *Shares* are above 0 and below 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum KeyDistribution {
    /// Every key equally likely at each operation.
    Uniform,
    /// Each client, or in an open loop each worker, walks all keys in order; they start at evenly
    /// spread places.
    Sequential,
    /// Zipf's law, exactly: the key of rank *r* in proportion to *r*^−`exponent`, the ranks spread
    /// over the keys without a pattern.
    Zipfian { exponent: f64 },
    /// Zipf's law from the last key down: the newest are the most popular.
    Latest { exponent: f64 },
    /// The first keys, a share of all, get a share of the operations; evenly on either side.
    Hotspot(Hot),
    /// The same with hot keys that change: within `every` operations of the run they move on by
    /// as many keys as they are, evenly.
    MovingHotspot { hot: Hot, every: u64 },
    /// A normal distribution cut off at both ends of the keys; both parameters as shares of them.
    Gaussian { deviation: f64, centre: f64 },
    /// Popularity that falls by the same factor from key to key: the first keys, a share of all, get
    /// a share of the operations.
    Exponential(Hot),
    /// YCSB's `zipfian` generator, bit by bit: nearly Zipf's law, key 0 the most popular.
    YcsbZipfian { theta: f64 },
    /// YCSB's `scrambled zipfian` generator, bit by bit: what its workloads A to C and F draw from.
    YcsbScrambled,
    /// `RocksDB`'s model of a database of Facebook's: hot ranges of keys, and hot keys within each.
    Mixgraph,
    /// Operation *i* of the run takes key *i*: each key once, and then it ends, however long it was
    /// to last. For preloading and for delete-only runs, where a key can be deleted only once.
    OwnKey,
}

/// Which share of the keys gets which share of the operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hot {
    pub keys: f64,
    pub operations: f64,
}

/// Every name with its parameters, for messages and help.
const KEY_DISTRIBUTIONS: &str = "uniform, sequential, zipfian[:EXPONENT], latest[:EXPONENT], \
    hotspot[:KEYS:OPERATIONS], moving-hotspot[:KEYS:OPERATIONS:EVERY], gaussian[:DEVIATION:CENTRE], \
    exponential[:KEYS:OPERATIONS], ycsb-zipfian[:THETA], ycsb-scrambled, mixgraph";

impl FromStr for KeyDistribution {
    type Err = String;

    /// Reads a name with none, some or all of its parameters; those that are left out have the
    /// defaults that `--help` names.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.trim().split(':');
        let name = words.next().unwrap_or_default().to_ascii_lowercase();
        let mut words = Words { words, example: "" };
        let read = match name.as_str() {
            "uniform" => Self::Uniform,
            "sequential" => Self::Sequential,
            "zipfian" | "zipf" => Self::Zipfian { exponent: words.exponent("zipfian:0.99")? },
            "latest" => Self::Latest { exponent: words.exponent("latest:0.99")? },
            "hotspot" => Self::Hotspot(words.hot("hotspot:0.2:0.8", (0.2, 0.8))?),
            "moving-hotspot" => Self::MovingHotspot {
                hot: words.hot("moving-hotspot:0.2:0.8:100k", (0.2, 0.8))?,
                every: words.every(100_000)?,
            },
            "gaussian" | "normal" => words.gaussian("gaussian:0.1667:0.5")?,
            "exponential" => {
                let hot = words.hot("exponential:0.857:0.95", (0.857, 0.95))?;
                if hot.operations <= hot.keys {
                    return Err(format!(
                        "OPERATIONS must be more than KEYS, since the first keys are the popular \
                         ones (such as {})",
                        words.example
                    ));
                }
                Self::Exponential(hot)
            }
            "ycsb-zipfian" => Self::YcsbZipfian { theta: words.theta("ycsb-zipfian:0.99")? },
            "ycsb-scrambled" => Self::YcsbScrambled,
            "mixgraph" => Self::Mixgraph,
            _ => return Err(format!("unknown distribution (known: {KEY_DISTRIBUTIONS})")),
        };
        words.end(&name)?;
        Ok(read)
    }
}

/// The parameters behind a name.
struct Words<'a> {
    words: std::str::Split<'a, char>,
    /// A valid form, for messages.
    example: &'static str,
}

impl Words<'_> {
    fn exponent(&mut self, example: &'static str) -> Result<f64, String> {
        self.example = example;
        self.number("an exponent from 0 to 10", 0.99, |number| number <= EXPONENT_MAX)
    }

    fn theta(&mut self, example: &'static str) -> Result<f64, String> {
        self.example = example;
        // The formula divides by 1 − theta.
        self.number(
            "above 0 and below 1, as YCSB's formula needs it; zipfian takes any exponent",
            0.99,
            |number| number > 0.0 && number < 1.0,
        )
    }

    fn hot(
        &mut self,
        example: &'static str,
        (keys, operations): (f64, f64),
    ) -> Result<Hot, String> {
        self.example = example;
        Ok(Hot { keys: self.share(keys)?, operations: self.share(operations)? })
    }

    fn gaussian(&mut self, example: &'static str) -> Result<KeyDistribution, String> {
        self.example = example;
        // memtier's defaults: a sixth of the range, around its middle.
        Ok(KeyDistribution::Gaussian {
            deviation: self.share(1.0 / 6.0)?,
            centre: self.share(0.5)?,
        })
    }

    fn share(&mut self, default: f64) -> Result<f64, String> {
        self.number("a share above 0 and below 1", default, |share| share > 0.0 && share < 1.0)
    }

    fn every(&mut self, default: u64) -> Result<u64, String> {
        let Some(word) = self.words.next() else { return Ok(default) };
        let every = units::count(word).ok().filter(|&every| every > 0);
        every.ok_or_else(|| {
            format!("'{word}' is not a number of operations above 0 (such as {})", self.example)
        })
    }

    /// The next parameter, which may be written in percent.
    fn number(
        &mut self,
        rule: &str,
        default: f64,
        is_valid: impl Fn(f64) -> bool,
    ) -> Result<f64, String> {
        let Some(word) = self.words.next() else { return Ok(default) };
        let number = units::share(word);
        number.filter(|&number| is_valid(number)).ok_or_else(|| {
            format!("'{word}' is not what belongs there: {rule} (such as {})", self.example)
        })
    }

    fn end(&mut self, name: &str) -> Result<(), String> {
        let Some(word) = self.words.next() else { return Ok(()) };
        let valid = if self.example.is_empty() { name } else { self.example };
        Err(format!("'{word}' is a parameter too many (such as {valid})"))
    }
}

impl fmt::Display for KeyDistribution {
    /// With every parameter, so that it can be typed again; but for [`Self::OwnKey`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform => f.write_str("uniform"),
            Self::Sequential => f.write_str("sequential"),
            Self::Zipfian { exponent } => write!(f, "zipfian:{exponent}"),
            Self::Latest { exponent } => write!(f, "latest:{exponent}"),
            Self::Hotspot(hot) => write!(f, "hotspot:{hot}"),
            Self::MovingHotspot { hot, every } => write!(f, "moving-hotspot:{hot}:{every}"),
            Self::Gaussian { deviation, centre } => write!(f, "gaussian:{deviation}:{centre}"),
            Self::Exponential(hot) => write!(f, "exponential:{hot}"),
            Self::YcsbZipfian { theta } => write!(f, "ycsb-zipfian:{theta}"),
            Self::YcsbScrambled => f.write_str("ycsb-scrambled"),
            Self::Mixgraph => f.write_str("mixgraph"),
            Self::OwnKey => f.write_str("each key once"),
        }
    }
}

impl fmt::Display for Hot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.keys, self.operations)
    }
}
