//! Why a command line is refused, and the checks that most flags share.

use std::time::Duration;

use super::load::CONNECTIONS_MAX;
use crate::chaos::ChaosError;
use crate::number::grouped;
use crate::schedule::RateError;
use crate::target::EndpointError;
use crate::workload::MixError;

/// Why a command line was refused. Every text names the flag, the rule and a valid form.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    #[error(
        "--{flag} {}: must be from {} to {} (such as --{flag} {example})",
        grouped(*value), grouped(*min), grouped(*max)
    )]
    Range { flag: &'static str, value: u64, min: u64, max: u64, example: u64 },
    #[error("--mix: {0}")]
    Mix(#[from] MixError),
    #[error("--{flag}{}{value}: {problem}", if value.is_empty() { "" } else { " " })]
    Value { flag: &'static str, value: String, problem: String },
    #[error("--chaos: {0}")]
    Chaos(#[from] ChaosError),
    #[error("--rate {rate}: {source}")]
    Rate { rate: String, source: RateError },
    #[error("--{flag}: {source}")]
    Endpoint { flag: &'static str, source: EndpointError },
    #[error(
        "--servers and --target: '{0}' is named twice; give each server its own name=host:port"
    )]
    Twice(String),
    #[error(
        "{} connections ({} × {} × {}) are more than {}; ask for fewer --clients",
        grouped(*needed),
        plural((*threads).into(), "worker"),
        plural((*clients).into(), "client"),
        plural(*servers as u64, "server"),
        grouped(CONNECTIONS_MAX)
    )]
    Connections { needed: u64, threads: u32, clients: u32, servers: usize },
}

impl ScenarioError {
    /// The flag whose value it is about, if it is one.
    pub fn flag(&self) -> Option<&'static str> {
        match self {
            Self::Range { flag, .. } | Self::Value { flag, .. } | Self::Endpoint { flag, .. } => {
                Some(flag)
            }
            Self::Mix(_) => Some("mix"),
            Self::Chaos(_) => Some("chaos"),
            Self::Rate { .. } => Some("rate"),
            Self::Twice(_) | Self::Connections { .. } => None,
        }
    }

    /// Whether the command line makes no sense, and not the world just now.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Endpoint { source: EndpointError::Resolve { .. }, .. })
    }
}

/// `1 client`, `32 clients`, `1,024 clients`.
pub fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

pub(crate) fn range(
    flag: &'static str,
    value: u64,
    (min, max): (u64, u64),
    example: u64,
) -> Result<(), ScenarioError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ScenarioError::Range { flag, value, min, max, example })
}

pub(super) fn at_most(
    flag: &'static str,
    value: Duration,
    (max, text): (Duration, &str),
) -> Result<(), ScenarioError> {
    if value <= max {
        return Ok(());
    }
    Err(ScenarioError::Value {
        flag,
        value: format!("{value:?}"),
        problem: format!("must be at most {text} (such as --{flag} 10s)"),
    })
}

pub(super) fn too_short(flag: &'static str, value: Duration, min: &str) -> ScenarioError {
    ScenarioError::Value {
        flag,
        value: if value.is_zero() { "0s".to_owned() } else { format!("{value:?}") },
        problem: format!("must be at least {min} (such as --{flag} 10s)"),
    }
}
