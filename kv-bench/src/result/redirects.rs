//! How often a cluster sent operations to another node, or asked for patience.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::target::Redirect;

/// Redirects by kind. They are no outcomes: the operation went on, and its times have them in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redirects {
    /// Another node had the slot: `MOVED`.
    pub moved: u64,
    /// Another node was to be asked this once, since the slot was being moved: `ASK`.
    pub ask: u64,
    /// The slot was being moved: `TRYAGAIN`.
    pub tryagain: u64,
    /// Nobody had the slot, or the cluster was down: `CLUSTERDOWN`.
    pub clusterdown: u64,
}

impl Redirects {
    /// Counts one.
    pub(crate) fn count(&mut self, redirect: &Redirect<'_>) {
        *match redirect {
            Redirect::Moved { .. } => &mut self.moved,
            Redirect::Ask { .. } => &mut self.ask,
            Redirect::TryAgain => &mut self.tryagain,
            Redirect::ClusterDown => &mut self.clusterdown,
        } += 1;
    }

    /// Adds another worker's.
    pub fn add(&mut self, other: &Self) {
        self.moved += other.moved;
        self.ask += other.ask;
        self.tryagain += other.tryagain;
        self.clusterdown += other.clusterdown;
    }

    /// How many of each kind there were, by the kinds' names.
    pub fn by_kind(&self) -> [(&'static str, u64); 4] {
        let Self { moved, ask, tryagain, clusterdown } = *self;
        [("MOVED", moved), ("ASK", ask), ("TRYAGAIN", tryagain), ("CLUSTERDOWN", clusterdown)]
    }
}
