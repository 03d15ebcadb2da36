//! The formats of traces, and the speeds at which they are replayed.

use std::fmt;
use std::str::FromStr;

use crate::units::positive_decimal;

const SPEED_MAX: f64 = 1e6;

/// What the lines of a trace are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Twitter,
    Meta,
    Monitor,
}

impl Format {
    const ALL: [Self; 3] = [Self::Twitter, Self::Meta, Self::Monitor];

    /// As it is typed, and stands in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Twitter => "twitter",
            Self::Meta => "meta",
            Self::Monitor => "monitor",
        }
    }

    /// Whether its times are in seconds.
    pub const fn is_coarse(self) -> bool {
        !matches!(self, Self::Monitor)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(text));
        known.ok_or_else(|| "unknown format (known: auto, twitter, meta, monitor)".to_owned())
    }
}

/// How fast a trace is replayed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times as fast as it was.
    Times(f64),
    /// As fast as replies come.
    Max,
}

impl Speed {
    /// The factor, where times are honoured.
    pub fn times(self) -> Option<f64> {
        match self {
            Self::Times(times) => Some(times),
            Self::Max => None,
        }
    }
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("max") {
            return Ok(Self::Max);
        }
        let number = text.strip_suffix(['x', 'X']).unwrap_or(text);
        let number = positive_decimal(number).filter(|&n| n > 0.0 && n <= SPEED_MAX);
        number.map(Self::Times).ok_or_else(|| {
            "must be above 0 and up to 1000000, or max (such as --trace-speed 2.5)".to_owned()
        })
    }
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Times(times) => times.fmt(f),
            Self::Max => f.write_str("max"),
        }
    }
}
