//! What a worker has counted so far, small enough to be handed over at each interval's end.

use super::Counts;
use crate::result::ErrorCounts;

/// Counts since a phase began, or of a part of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub errors: ErrorCounts,
    /// Operations sent to each node, or to be sent.
    pub nodes: Vec<u64>,
}

impl Tally {
    /// What `counts` are by now.
    pub fn of(counts: &Counts) -> Self {
        Self { errors: counts.errors.clone(), nodes: counts.nodes.clone() }
    }

    /// Adds another worker's, or another time's.
    pub fn add(&mut self, other: &Self) {
        self.errors.add(&other.errors);
        self.nodes.resize(self.nodes.len().max(other.nodes.len()), 0);
        for (sum, part) in self.nodes.iter_mut().zip(&other.nodes) {
            *sum += part;
        }
    }

    /// What came after `earlier`, which the same worker had counted before. What has gone to another
    /// node since is not taken back from the first.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = earlier.nodes.iter().chain(std::iter::repeat(&0));
        Self {
            errors: self.errors.since(&earlier.errors),
            nodes: self
                .nodes
                .iter()
                .zip(before)
                .map(|(now, before)| now.saturating_sub(*before))
                .collect(),
        }
    }
}

impl ErrorCounts {
    /// Errors of every kind.
    pub fn total(&self) -> u64 {
        // Refused and reset ones are among those of connections.
        let Self { timeout, connection, refused: _, reset: _, protocol, verify, server } = self;
        timeout + connection + protocol + verify + server.values().sum::<u64>()
    }

    /// Adds others, kind by kind.
    pub fn add(&mut self, other: &Self) {
        let Self { timeout, connection, refused, reset, protocol, verify, server } = other;
        self.timeout += timeout;
        self.connection += connection;
        self.refused += refused;
        self.reset += reset;
        self.protocol += protocol;
        self.verify += verify;
        for (word, count) in server {
            *self.server.entry(word.clone()).or_default() += count;
        }
    }

    /// Those that were not among `earlier` ones; kinds of server errors without any are left out.
    fn since(&self, earlier: &Self) -> Self {
        let Self { timeout, connection, refused, reset, protocol, verify, server } = self;
        let fresh = |(word, count): (&String, &u64)| {
            let before = earlier.server.get(word).copied().unwrap_or(0);
            (*count > before).then(|| (word.clone(), count - before))
        };
        Self {
            timeout: timeout - earlier.timeout,
            connection: connection - earlier.connection,
            refused: refused - earlier.refused,
            reset: reset - earlier.reset,
            protocol: protocol - earlier.protocol,
            verify: verify - earlier.verify,
            server: server.iter().filter_map(fresh).collect(),
        }
    }
}
