//! Every key once: stored before a measurement, and read after one that is verified.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use jiff::Timestamp;

use super::{Halt, Session};
use crate::cluster::{AnyTarget, Cluster};
use crate::driver::{Live, Measured, Shape, Until, Verify};
use crate::machine;
use crate::measurement::Scene;
use crate::number::grouped;
use crate::report::{text, wrong_reads};
use crate::result::Verification;
use crate::schedule::Schedule;
use crate::verify::{Findings, Ledger};
use crate::workload::Workload;

impl Session<'_> {
    /// Puts every key once and checks that each was stored.
    pub(super) fn preload(
        &mut self,
        target: &AnyTarget,
        cluster: &mut Cluster,
    ) -> anyhow::Result<()> {
        self.progress.step("preloading");
        let scenario = self.scenario;
        let measured =
            self.each_once(target, cluster, |streams| scenario.preload_workload(streams))?;
        self.advise(&measured.counts);
        if let Some(halt) = self.halt.take() {
            let why = halt.loss().unwrap_or("interrupted while preloading");
            bail!("{why}; nothing was measured");
        }
        let counts = &measured.counts;
        let (keys, stored) = (scenario.key_count(), counts.attempted() - counts.failed());
        if stored != keys {
            let first = counts.first_error.clone().or_else(|| text::errors(&counts.errors));
            let first = first.unwrap_or_default();
            bail!(
                "preloading stored {} of {} keys ({first}); nothing was measured",
                grouped(stored),
                grouped(keys)
            );
        }
        Ok(())
    }

    /// A new ledger, for servers of whose data nothing is known, where replies are to be verified.
    pub(super) fn open_ledger(&mut self) {
        let now_ns = Timestamp::now().as_nanosecond() as u64;
        let run = now_ns ^ u64::from(std::process::id()).rotate_left(32);
        let keys = self.scenario.key_count();
        self.ledger = self.scenario.verify.then(|| Arc::new(Ledger::new(keys, run)));
    }

    /// How the next phase is verified, if at all.
    pub(super) fn verify(&self, each_once: bool) -> Option<Verify> {
        let ledger = self.ledger.as_ref().map(Arc::clone)?;
        Some(Verify { ledger, each_once })
    }

    /// What `measured` found; and unless the run was cut short or a server is dead by order, what is
    /// found when every key is read.
    pub(super) fn verification(
        &mut self,
        measured: &Findings,
        target: &AnyTarget,
        cluster: &mut Cluster,
    ) -> Option<Verification> {
        let keys = self.ledger.as_ref()?.keys();
        let mut found = Verification {
            measured: measured.counts,
            audit: None,
            unread: None,
            first: measured.first.clone(),
        };
        if self.halt.is_none() && !cluster.is_any_killed() {
            self.progress.step("reading every key");
            let scenario = self.scenario;
            match self.each_once(target, cluster, |streams| scenario.audit_workload(streams)) {
                Ok(audit) if self.halt.is_none() => {
                    let Findings { counts, first } = audit.counts.findings;
                    found.unread = Some(keys - counts.checked - counts.unknown);
                    found.audit = Some(counts);
                    found.first = found.first.or(first);
                }
                Ok(_) => {}
                Err(_) if self.interrupt.is_wanted() => self.halt = Some(Halt::Interrupted),
                // What was measured is not lost with it.
                Err(error) => self.progress.warn(&error.context("not every key was read again")),
            }
        }
        if let Some(wrong) = wrong_reads(&found) {
            self.wrong_reads.get_or_insert(wrong);
        }
        Some(found)
    }

    fn each_once(
        &mut self,
        target: &AnyTarget,
        cluster: &mut Cluster,
        workload: impl FnOnce(u64) -> Workload,
    ) -> anyhow::Result<Measured> {
        let threads = machine::cores().min(2);
        let value_size = self.scenario.value_size();
        let shape = Shape::preload(threads, value_size, self.scenario.shape.timeout);
        let workload = Arc::new(workload(u64::from(threads) * u64::from(shape.clients)));
        let until = Until::Operations(self.scenario.key_count());
        let mut fleet = target.launch(shape)?;
        fleet.verify(self.verify(true));
        let watch = |live: &Live| {
            self.watch(&Scene { live, trust: &|| None }, until, cluster, shape.timeout)
        };
        fleet.run(&workload, &Schedule::CLOSED, until, watch).context("the event loop failed")
    }
}
