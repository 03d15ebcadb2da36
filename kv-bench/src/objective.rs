//! Objectives of service: what share of operations may take longer than a time, or fail.

use std::fmt;
use std::str::FromStr;

use crate::recorder::LATENCY_NS_MAX;
use crate::units;

/// What a user promises somebody: `p99=1ms`, `errors=0.1%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    text: String,
    /// The share of all operations that may be beyond it.
    pub allowed: f64,
    pub bound: Bound,
}

/// What makes an operation one of those beyond an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It took longer from when it was due, or failed.
    ResponseNs(u64),
    /// It failed.
    Success,
}

const FORMS: &str = "such as --slo p99=1ms, --slo p99.9=5ms, --slo errors=0.1%";
/// Fewer than this can never be told from none within a search.
const ALLOWED_MIN: f64 = 1e-6;

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (name, bound) =
            text.split_once('=').ok_or_else(|| format!("'{text}' is no objective ({FORMS})"))?;
        let (name, bound) = (name.trim().to_ascii_lowercase(), bound.trim());
        if name == "errors" {
            let allowed = units::share(bound).filter(|share| (ALLOWED_MIN..1.0).contains(share));
            let allowed = allowed.ok_or_else(|| {
                format!("'{bound}' is no share of operations between 0.0001% and 100% ({FORMS})")
            })?;
            return Ok(Self { text: text.to_owned(), allowed, bound: Bound::Success });
        }
        let percent = name.strip_prefix('p').and_then(units::positive_decimal);
        let percent = percent.ok_or_else(|| {
            format!("'{name}' is neither a percentile of response times nor errors ({FORMS})")
        })?;
        // Percent with at most four digits below the point: no rounding error is taken for a share.
        let allowed = ((100.0 - percent) * 1e4).round() / 1e6;
        if !(ALLOWED_MIN..1.0).contains(&allowed) {
            return Err(format!("'{name}' is not between p0.0001 and p99.9999 ({FORMS})"));
        }
        if units::positive_decimal(bound).is_some_and(|number| number > 0.0) {
            return Err(format!("'{text}' has no unit: write {name}={bound}ms, or us or s"));
        }
        let limit = units::duration(bound).map_err(|problem| format!("{problem} ({FORMS})"))?;
        let limit_ns = limit.as_nanos() as u64;
        if !(1000..=LATENCY_NS_MAX).contains(&limit_ns) {
            return Err(format!("'{bound}' is not between 1us and 60s ({FORMS})"));
        }
        Ok(Self { text: text.to_owned(), allowed, bound: Bound::ResponseNs(limit_ns) })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Objective {
    /// Reads what was typed, an objective each or a list of them.
    ///
    /// # Errors
    ///
    /// Names the one that makes no sense, or is there twice.
    pub fn parse_all(typed: &[String]) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::new();
        for text in typed.iter().flat_map(|text| text.split(',')) {
            let objective: Self = text.parse()?;
            let is_same = |other: &Self| {
                let of_time = |bound| matches!(bound, Bound::ResponseNs(_));
                of_time(other.bound) == of_time(objective.bound)
                    && (other.allowed - objective.allowed).abs() < ALLOWED_MIN / 2.0
                    || other.bound == Bound::Success && objective.bound == Bound::Success
            };
            if let Some(other) = all.iter().find(|other| is_same(other)) {
                return Err(format!(
                    "'{other}' and '{objective}' are the same twice: leave one out"
                ));
            }
            all.push(objective);
        }
        Ok(all)
    }

    /// The time within which operations are to be answered, where there is one.
    pub fn limit_ns(&self) -> Option<u64> {
        match self.bound {
            Bound::ResponseNs(ns) => Some(ns),
            Bound::Success => None,
        }
    }
}
