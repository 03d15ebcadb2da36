//! What `--on-node-fail` came to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Silence;

/// Operations that went to other servers than the ring names, since these were away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFailures {
    /// `eject` or `next`.
    pub rule: String,
    /// Operations that another server was asked for.
    pub sent_elsewhere: u64,
    /// Those of them that had been sent to their own server, which failed.
    pub retried: u64,
    /// Servers that others stood in for, in ring order.
    pub servers: Vec<NodeFailure>,
}

/// A server that others stood in for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeFailure {
    /// Its name.
    pub server: String,
    /// Its operations that others were asked for.
    pub sent_elsewhere: u64,
    /// When others had its keys; empty of `next`, where each operation goes its own way.
    pub ejections: Vec<Ejected>,
}

/// A time in which others had a server's keys.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ejected {
    #[serde(flatten)]
    pub time: Silence,
    /// Whether it had them back before the end.
    pub is_back: bool,
}
