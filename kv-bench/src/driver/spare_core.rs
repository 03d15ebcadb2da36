//! Whether there is a core to spare, on which a worker may stay awake without being in anybody's way.

/// A worker that waited for its core for more than this part of the time since it looked last has none
/// to spare: one in so many. Three that want two cores all the time wait for a third of it each; who
/// sleeps and is woken where a server runs waits for a tenth, and for less when it stays awake.
const WAITED_ONE_IN: u64 = 4;
/// Nor for this long thereafter.
const CROWDED_NS: u64 = 1_000_000_000;

/// What one worker knows of the cores.
#[derive(Debug)]
pub(super) struct SpareCore {
    /// There are more cores than workers: the servers have one, too.
    is_possible: bool,
    looked_ns: u64,
    /// How long the worker had waited for a core by then.
    waited_ns: u64,
    crowded_until_ns: u64,
}

impl SpareCore {
    pub(super) fn new(cores: u32, workers: u32) -> Self {
        Self { is_possible: cores > workers, looked_ns: 0, waited_ns: 0, crowded_until_ns: 0 }
    }

    /// Looks again, `now_ns`, when the worker has waited for a core for `waited_ns` in all; `None`
    /// where that is not known, and nobody can tell.
    pub(super) fn look(&mut self, now_ns: u64, waited_ns: Option<u64>) -> bool {
        let Some(waited_ns) = waited_ns else { return false };
        let waited_since_ns = waited_ns.saturating_sub(self.waited_ns);
        let since_ns = now_ns.saturating_sub(self.looked_ns);
        if waited_since_ns > since_ns / WAITED_ONE_IN {
            self.crowded_until_ns = now_ns + CROWDED_NS;
        }
        (self.looked_ns, self.waited_ns) = (now_ns, waited_ns);
        self.is_possible && now_ns >= self.crowded_until_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK_NS: u64 = 100_000_000;

    #[test]
    fn a_worker_that_waits_for_its_core_has_none_to_spare_for_a_while() {
        let mut spare = SpareCore::new(2, 1);
        assert!(spare.look(TICK_NS, Some(0)));
        assert!(spare.look(2 * TICK_NS, Some(TICK_NS / 4)));
        assert!(!spare.look(3 * TICK_NS, Some(TICK_NS / 4 + TICK_NS / 3)));
        assert!(!spare.look(12 * TICK_NS, Some(TICK_NS / 4 + TICK_NS / 3)));
        assert!(spare.look(13 * TICK_NS, Some(TICK_NS / 4 + TICK_NS / 3)));
    }

    #[test]
    fn there_is_none_to_spare_where_the_workers_need_all_or_nobody_can_tell() {
        assert!(!SpareCore::new(2, 2).look(TICK_NS, Some(0)));
        assert!(!SpareCore::new(2, 1).look(TICK_NS, None));
    }
}
