//! The proportions of operations, such as `get=90,put=9,delete=1`.

use std::fmt;
use std::str::FromStr;

use super::Kind;

/// Proportions of operations. Weights are relative: `get=9,put=1` and `get=90,put=10` are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    weights: [u32; 3],
    /// A 32-bit draw below `thresholds[k]` and not below the previous one picks kind `k`.
    thresholds: [u64; 3],
}

/// Why a mix was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    #[error("unknown operation '{0}' (known: get, put, delete; such as get=90,put=9,delete=1)")]
    UnknownOperation(String),
    #[error("'{0}' is not a whole weight from 0 to 1000000 (such as get=90,put=9,delete=1)")]
    Weight(String),
    #[error("'{0}' is named twice (name each operation once, such as get=90,put=10)")]
    Twice(&'static str),
    #[error("every weight is 0 (give at least one operation a weight, such as get=100)")]
    Empty,
}

impl Mix {
    /// Only this kind.
    pub fn only(kind: Kind) -> Self {
        let mut weights = [0; 3];
        weights[kind.index()] = 1;
        Self::from_weights(weights)
    }

    fn from_weights(weights: [u32; 3]) -> Self {
        let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        let mut sum = 0;
        let thresholds = weights.map(|weight| {
            sum += u64::from(weight);
            (sum << 32) / total.max(1)
        });
        Self { weights, thresholds }
    }

    /// Whether `kind` can be drawn.
    pub fn contains(&self, kind: Kind) -> bool {
        self.weights[kind.index()] > 0
    }

    /// Whether `kind` is all that can be drawn.
    pub fn is_only(&self, kind: Kind) -> bool {
        Kind::ALL.into_iter().all(|other| self.contains(other) == (other == kind))
    }

    /// The kind that 32 random bits select.
    #[inline]
    pub fn pick(&self, draw: u32) -> Kind {
        let draw = u64::from(draw);
        if draw < self.thresholds[0] {
            Kind::Get
        } else if draw < self.thresholds[1] {
            Kind::Put
        } else {
            Kind::Delete
        }
    }
}

impl FromStr for Mix {
    type Err = MixError;

    /// Reads `get=90,put=9,delete=1`, or one name alone (`get`).
    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights = [None; 3];
        for part in text.split(',') {
            let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
            let kind = kind_named(name.trim())?;
            let weight = weight.trim();
            let weight = weight
                .parse::<u32>()
                .ok()
                .filter(|&w| w <= 1_000_000)
                .ok_or_else(|| MixError::Weight(weight.to_owned()))?;
            if weights[kind.index()].replace(weight).is_some() {
                return Err(MixError::Twice(kind.name()));
            }
        }
        let weights = weights.map(Option::unwrap_or_default);
        if weights == [0; 3] {
            return Err(MixError::Empty);
        }
        Ok(Self::from_weights(weights))
    }
}

fn kind_named(name: &str) -> Result<Kind, MixError> {
    match name.to_ascii_lowercase().as_str() {
        "get" => Ok(Kind::Get),
        "put" | "set" => Ok(Kind::Put),
        "delete" | "del" => Ok(Kind::Delete),
        _ => Err(MixError::UnknownOperation(name.to_owned())),
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for kind in Kind::ALL {
            if self.contains(kind) {
                write!(f, "{separator}{}={}", kind.name(), self.weights[kind.index()])?;
                separator = ",";
            }
        }
        Ok(())
    }
}
