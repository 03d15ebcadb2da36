//! Whether a measurement can be believed, and what limited it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a measurement can be believed, and what limited it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trust {
    pub verdict: Verdict,
    pub limited_by: Limit,
    /// The evidence, one line each.
    pub reasons: Vec<String>,
}

/// The word that stands beside every number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Trusted,
    Untrusted,
}

/// What kept the throughput from being higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    Server,
    Generator,
    SharedCores,
    Network,
    Schedule,
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Generator => "generator",
            Self::SharedCores => "shared-cores",
            Self::Network => "network",
            Self::Schedule => "schedule",
            Self::Unknown => "unknown",
        })
    }
}
