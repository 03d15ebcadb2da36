//! Sizes of values: one, a range, a weighted list, or a law, as they are typed and as they are drawn.

use std::fmt;
use std::str::FromStr;

use rand_xoshiro::Xoshiro256PlusPlus;

use super::{below, unit};
use crate::number::grouped;
use crate::units;

/// Redis' largest string.
pub const VALUE_BYTES_MAX: u64 = 512 << 20;

/// Where laws without an end are cut: memcached's largest item, unless configured otherwise.
const LAW_BYTES_MAX: u64 = 1 << 20;

/// More sizes than anybody lists, fewer than the cache minds.
const LIST_MAX: usize = 1000;
const WEIGHT_MAX: u64 = 1_000_000;

/// Every form, for messages and help.
const VALUE_SIZES: &str = "BYTES, MIN..MAX, BYTES=WEIGHT,BYTES=WEIGHT…, facebook-etc, \
    pareto:LOCATION:SCALE:SHAPE[:MAX]";

/// How long values are, in bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Sizes {
    Fixed(u64),
    /// Every size from the first to the last equally likely.
    Range {
        min: u64,
        max: u64,
    },
    /// Sizes with relative weights.
    List(Vec<(u64, u64)>),
    /// The values of Facebook's general-purpose memcached pool: B. Atikoglu et al., Workload analysis
    /// of a large-scale key-value store, SIGMETRICS 2012. Up to 14 bytes by a table, above by a
    /// generalized Pareto law; parameters as in the load generator mutilate. Cut at 1 MiB.
    FacebookEtc,
    /// A generalized Pareto law; what would be longer than `max` has that size.
    Pareto {
        law: Pareto,
        max: u64,
    },
}

/// location + scale · (u^−shape − 1)/shape for u uniform above 0 and up to 1, in whole bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pareto {
    pub location: f64,
    pub scale: f64,
    pub shape: f64,
}

const ETC_TAIL: Pareto = Pareto { location: 15.0, scale: 214.476, shape: 0.348_238 };

/// The shares of values of 0, 1 … 14 bytes, in 100,000ths.
const ETC_HEAD: [u64; 15] =
    [536, 47, 17_820, 9_239, 18, 2_740, 65, 606, 23, 837, 837, 8_989, 92, 326, 1_980];

impl Pareto {
    /// The limit that the law nears with its shape; the formula loses its digits there.
    fn is_exponential(self) -> bool {
        self.shape < 1e-9
    }

    #[inline]
    fn size(self, draw: f64) -> f64 {
        // Drawn from 0 on and below 1: turned around, so that the power is finite.
        let left = 1.0 - draw;
        let steps = if self.is_exponential() {
            -left.ln()
        } else {
            (left.powf(-self.shape) - 1.0) / self.shape
        };
        self.location + self.scale * steps
    }

    /// The mean of the law when what is above `max` is `max`: the location and the integral, up to
    /// there, of the share that is longer.
    fn mean(self, max: f64) -> f64 {
        let reach = (max - self.location) / self.scale;
        let grown = 1.0 + self.shape * reach;
        let steps = if self.is_exponential() {
            -(-reach).exp_m1()
        } else if (self.shape - 1.0).abs() < 1e-9 {
            grown.ln()
        } else {
            (1.0 - grown.powf(1.0 - 1.0 / self.shape)) / (1.0 - self.shape)
        };
        self.location + self.scale * steps
    }
}

impl Sizes {
    /// The longest that there is.
    pub fn max(&self) -> u64 {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Range { max, .. } | Self::Pareto { max, .. } => *max,
            Self::List(list) => list.iter().map(|&(bytes, _)| bytes).max().unwrap_or(0),
            Self::FacebookEtc => LAW_BYTES_MAX,
        }
    }

    /// How long they are on average; of a law in whole bytes it is within one.
    pub fn mean(&self) -> f64 {
        let weighted = |list: &mut dyn Iterator<Item = (u64, u64)>| {
            let sums = list.fold((0.0, 0.0), |(bytes, all), (size, weight)| {
                (bytes + size as f64 * weight as f64, all + weight as f64)
            });
            sums.0 / sums.1
        };
        match self {
            Self::Fixed(bytes) => *bytes as f64,
            Self::Range { min, max } => f64::midpoint(*min as f64, *max as f64),
            Self::List(list) => weighted(&mut list.iter().copied()),
            Self::FacebookEtc => {
                let tail = ETC_TAIL.mean(LAW_BYTES_MAX as f64) - 0.5;
                let head = weighted(&mut (0..).zip(ETC_HEAD));
                let share = ETC_HEAD.iter().sum::<u64>() as f64 / 1e5;
                share * head + (1.0 - share) * tail
            }
            Self::Pareto { law, max } => law.mean(*max as f64) - 0.5,
        }
    }
}

/// Sizes made ready to be drawn.
#[derive(Debug, Clone)]
pub(super) enum SizePicker {
    Fixed(usize),
    Range {
        min: usize,
        choices: u64,
    },
    /// The sizes, each with the draw below which it or an earlier one is meant; and, above the last
    /// one, a law.
    List {
        below: Vec<f64>,
        sizes: Vec<usize>,
        tail: Option<Pareto>,
        max: usize,
    },
}

impl SizePicker {
    pub(super) fn new(sizes: &Sizes) -> Self {
        match sizes {
            Sizes::Fixed(bytes) => Self::Fixed(*bytes as usize),
            Sizes::Range { min, max } => Self::Range { min: *min as usize, choices: max - min + 1 },
            Sizes::List(list) => {
                let whole: u64 = list.iter().map(|&(_, weight)| weight).sum();
                Self::list(list.iter().copied(), whole, None, sizes.max())
            }
            Sizes::FacebookEtc => {
                Self::list((0..).zip(ETC_HEAD), 100_000, Some(ETC_TAIL), sizes.max())
            }
            Sizes::Pareto { law, max } => Self::list(std::iter::empty(), 1, Some(*law), *max),
        }
    }

    fn list(
        list: impl Iterator<Item = (u64, u64)>,
        whole: u64,
        tail: Option<Pareto>,
        max: u64,
    ) -> Self {
        let mut sum = 0;
        let (below, sizes) = list
            .map(|(size, weight)| {
                sum += weight;
                (sum as f64 / whole as f64, size as usize)
            })
            .unzip();
        Self::List { below, sizes, tail, max: max as usize }
    }

    #[inline]
    pub(super) fn pick(&self, random: &mut Xoshiro256PlusPlus) -> usize {
        match self {
            Self::Fixed(size) => *size,
            Self::Range { min, choices } => min + below(*choices, random) as usize,
            Self::List { below, sizes, tail, max } => {
                let draw = unit(random);
                let index = below.partition_point(|&end| end <= draw);
                match (sizes.get(index), tail) {
                    (Some(size), _) => *size,
                    (None, Some(tail)) => {
                        // What is left of the draw is uniform again.
                        let taken = below.last().copied().unwrap_or(0.0);
                        (tail.size((draw - taken) / (1.0 - taken)) as usize).min(*max)
                    }
                    (None, None) => *max,
                }
            }
        }
    }
}

impl FromStr for Sizes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("facebook-etc") {
            return Ok(Self::FacebookEtc);
        }
        if let Some(parameters) = text.strip_prefix("pareto") {
            return pareto(parameters);
        }
        // memtier writes lists as 64:90,1k:10 and ranges as 64-1k.
        if text.contains(['=', ':', ',']) {
            return text.split(',').map(weighted).collect::<Result<_, _>>().and_then(list);
        }
        if let Some((min, max)) = text.split_once("..").or_else(|| text.split_once('-')) {
            let (min, max) = (bytes(min)?, bytes(max)?);
            if min > max {
                return Err("the first size is above the second (such as 64..1k)".to_owned());
            }
            return Ok(Self::Range { min, max });
        }
        bytes(text).map(Self::Fixed)
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let starts_as_number = text.trim_start().starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !starts_as_number {
        return Err(format!(
            "'{text}' is no size (known: {VALUE_SIZES}; such as 100, 1k or 64..1k)"
        ));
    }
    let bytes = units::count(text)?;
    if bytes > VALUE_BYTES_MAX {
        return Err(format!(
            "{} bytes: must be from 0 to {} (such as --value-size 100)",
            grouped(bytes),
            grouped(VALUE_BYTES_MAX)
        ));
    }
    Ok(bytes)
}

fn weighted(part: &str) -> Result<(u64, u64), String> {
    let Some((size, weight)) = part.split_once(['=', ':']) else {
        return Err(format!("'{part}' has no weight (such as 64=90,1k=10)"));
    };
    let parsed = weight.trim().parse().ok().filter(|&weight| weight <= WEIGHT_MAX);
    let weight = parsed.ok_or_else(|| {
        format!("'{weight}' is not a whole weight from 0 to 1000000 (such as 64=90,1k=10)")
    })?;
    Ok((bytes(size)?, weight))
}

fn list(list: Vec<(u64, u64)>) -> Result<Sizes, String> {
    if list.len() > LIST_MAX {
        return Err(format!("more than {} sizes (a range is MIN..MAX)", grouped(LIST_MAX as u64)));
    }
    if list.iter().all(|&(_, weight)| weight == 0) {
        return Err("every weight is 0 (such as 64=90,1k=10)".to_owned());
    }
    Ok(Sizes::List(list))
}

/// Reads what follows `pareto`.
fn pareto(parameters: &str) -> Result<Sizes, String> {
    const EXAMPLE: &str =
        "such as pareto:0:25.45:0.2615, or with the longest pareto:0:25.45:0.2615:1k";
    let invalid = |what: String| format!("{what} ({EXAMPLE})");
    let words: Vec<&str> = parameters.split(':').collect();
    let (["", location, scale, shape], longest) = words.split_at(words.len().min(4)) else {
        return Err(invalid("LOCATION, SCALE and SHAPE are needed".to_owned()));
    };
    let number = |word: &str| {
        let number = units::positive_decimal(word).filter(|number| *number <= 1e9);
        number.ok_or_else(|| invalid(format!("'{word}' is not a number from 0 to 10^9")))
    };
    let law = Pareto { location: number(location)?, scale: number(scale)?, shape: number(shape)? };
    let max = match longest {
        [] => LAW_BYTES_MAX,
        [max] => bytes(max)?,
        _ => return Err(invalid("a parameter too many".to_owned())),
    };
    if law.scale == 0.0 || law.shape > 10.0 {
        return Err(invalid("SCALE must be above 0 and SHAPE from 0 to 10".to_owned()));
    }
    if law.location > max as f64 {
        return Err(invalid(format!("LOCATION is above the longest, {}", grouped(max))));
    }
    Ok(Sizes::Pareto { law, max })
}

impl fmt::Display for Sizes {
    /// With every parameter, so that it can be typed again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(bytes) => write!(f, "{bytes}"),
            Self::Range { min, max } => write!(f, "{min}..{max}"),
            Self::List(list) => {
                let parts: Vec<String> =
                    list.iter().map(|(size, weight)| format!("{size}={weight}")).collect();
                f.write_str(&parts.join(","))
            }
            Self::FacebookEtc => f.write_str("facebook-etc"),
            Self::Pareto { law: Pareto { location, scale, shape }, max } => {
                write!(f, "pareto:{location}:{scale}:{shape}:{max}")
            }
        }
    }
}
