//! How long a cluster took to serve what a node had that was away.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Silence;

/// A node of a cluster that lost connections or left operations unanswered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// The node's name.
    pub server: String,
    /// Whether other nodes had its slots at the end.
    pub replaced: bool,
    /// Whether anybody served what it had before the end, so that `unserved` is the time to recovery.
    pub recovered: bool,
    /// The longest time in which callers waited for what it had and nobody served it; `null` when none
    /// was as long as 10 ms, or nobody waited any more when others took over.
    pub unserved: Option<Silence>,
}
