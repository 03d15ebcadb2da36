//! What a closed loop says before open loops at many rates: how much servers do, and how many clients
//! carry that.

use std::time::Duration;

use anyhow::bail;

use super::Session;
use crate::cluster::{AnyTarget, Cluster};
use crate::report::search as describe;
use crate::result::Trust;
use crate::scenario::Scenario;

/// Clients carry a little more than the closed loop got: near its end, open loops have more under way.
const HEADROOM: f64 = 1.2;

/// What open loops at any rate begin from.
pub(super) struct Calibration {
    /// With the clients that carry all of them.
    pub(super) scenario: Scenario,
    /// What they get in a closed loop.
    pub(super) closed_loop_ops_s: f64,
}

impl Session<'_> {
    /// A closed loop for a time. Where neither `rates` nor clients were typed, it is measured again with
    /// as many as carry what it got: with fewer, operations wait for a client and not for the servers,
    /// and with another number at each rate, what is compared are the numbers.
    pub(super) fn calibrate(
        &mut self,
        length: Duration,
        are_rates_typed: bool,
        target: &AnyTarget,
        cluster: &mut Cluster,
    ) -> anyhow::Result<Calibration> {
        let mut scenario = self.scenario.clone();
        let (mut ops_s, mut trust) = self.closed_loop(&scenario, length, target, cluster)?;
        if !are_rates_typed && self.args.callers.clients.is_none() {
            let carrying = scenario.carrying(ops_s * HEADROOM)?;
            if carrying.shape.clients != scenario.shape.clients {
                scenario = carrying;
                (ops_s, trust) = self.closed_loop(&scenario, length, target, cluster)?;
            }
        }
        let text = describe::closed_loop(scenario.callers(), ops_s, &trust);
        self.progress.print(&format!("{text}\n"))?;
        Ok(Calibration { scenario, closed_loop_ops_s: ops_s })
    }

    fn closed_loop(
        &mut self,
        scenario: &Scenario,
        length: Duration,
        target: &AnyTarget,
        cluster: &mut Cluster,
    ) -> anyhow::Result<(f64, Trust)> {
        let (measurement, ..) =
            self.measure("closed loop", target, cluster, &scenario.closed(length))?;
        if let Some(halt) = &self.halt {
            let why = halt.loss().unwrap_or("interrupted in the beginning");
            bail!("{why}; nothing was measured");
        }
        let ops_s = measurement.headline().throughput_ops_s;
        if ops_s <= 0.0 {
            let first = measurement.measured.counts.first_error.unwrap_or_default();
            bail!("no operation succeeded: {first}");
        }
        Ok((ops_s, measurement.trust))
    }
}
