//! The generator as every measurement uses it, against a server that does nothing.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::null_server::NullServer;
use crate::driver::{Fleet, Live, Measured, Shape, Until};
use crate::interrupt::Interrupt;
use crate::schedule::{Plan, Process, Rate, Schedule};
use crate::target::{Address, Credentials, Endpoint, Protocol, Resp};
use crate::workload::{KeyDistribution, Keys, Kind, Mix, Values, Workload};

/// Clients of the one worker.
pub(super) const CLIENTS: u32 = 32;

const TIMEOUT: Duration = Duration::from_secs(5);
const WARM_UP: Duration = Duration::from_millis(100);

pub(super) struct Rig {
    pub(super) server: NullServer,
    pub(super) seed: u64,
    interrupt: Interrupt,
}

impl Rig {
    pub(super) fn new(seed: u64) -> anyhow::Result<Self> {
        let interrupt = Interrupt::listen().context("cannot listen for Ctrl-C")?;
        let server = NullServer::start().context("cannot start a server to test against")?;
        Ok(Self { server, seed, interrupt })
    }

    /// One worker as fast as it can, warmed up.
    pub(super) fn closed(&self, pipeline: u32, time: Duration) -> anyhow::Result<Measured> {
        let mut fleet = self.launch(pipeline)?;
        self.run(&mut fleet, &Schedule::CLOSED, WARM_UP, |_| {})?;
        self.run(&mut fleet, &Schedule::CLOSED, time, |_| {})
    }

    /// One worker at a constant rate; `watch` is called ten times a second.
    pub(super) fn open(
        &self,
        rate: &str,
        time: Duration,
        watch: impl FnMut(&Live),
    ) -> anyhow::Result<Measured> {
        let course = Arc::new(rate.parse::<Rate>()?.over(Until::Elapsed(time))?);
        let plan = Plan { course, process: Process::Constant, seed: self.seed };
        self.run(&mut self.launch(1)?, &Schedule::Open(plan), time, watch)
    }

    fn launch(&self, pipeline: u32) -> anyhow::Result<Fleet> {
        let endpoint = Endpoint {
            name: "null-server".to_owned(),
            address: Address::Tcp(self.server.address),
            protocol: Protocol::Resp,
            credentials: Credentials::default(),
        };
        let key_size = self.workload().keys.buffer().bytes().len();
        let target = Arc::new(Resp::new(&[endpoint], Box::new(|_| 0), key_size, 0));
        let shape = Shape { threads: 1, clients: CLIENTS, pipeline, timeout: TIMEOUT };
        Ok(Fleet::launch(&target, shape)?)
    }

    fn run(
        &self,
        fleet: &mut Fleet,
        schedule: &Schedule,
        time: Duration,
        mut watch: impl FnMut(&Live),
    ) -> anyhow::Result<Measured> {
        let workload = Arc::new(self.workload());
        let measured = fleet.run(&workload, schedule, Until::Elapsed(time), |live| {
            watch(live);
            if self.interrupt.is_wanted() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let measured = measured.context("the event loop failed")?;
        if measured.stopped {
            bail!("interrupted");
        }
        let failed = measured.counts.failed();
        if failed > 0 {
            bail!(
                "{failed} operations of a server that does nothing failed: {:?}",
                measured.counts.errors
            );
        }
        Ok(measured)
    }

    /// Reads of keys that are not there.
    pub(super) fn workload(&self) -> Workload {
        Workload {
            mix: Mix::only(Kind::Get),
            keys: Keys::new("key:", 100_000, KeyDistribution::Uniform, u64::from(CLIENTS)),
            values: Values::fixed(""),
            seed: self.seed,
        }
    }
}
