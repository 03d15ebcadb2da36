//! Runs of the measured path, for the tests that drive it without the program.
#![allow(dead_code, reason = "no test needs all of it")]

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use kv_bench::driver::{Fleet, LaunchError, Measured, Shape, Until};
use kv_bench::recorder::Time;
use kv_bench::schedule::{Plan, Process, Rate, Schedule};
use kv_bench::target::{Address, Credentials, Endpoint, Protocol, Resp};
use kv_bench::workload::{Filling, KeyDistribution, Keys, Sizes, Values, Workload};

use crate::scripted::Server;

pub(crate) const VALUE_SIZE: usize = 10;

/// A run in the making, with the defaults of a small one.
pub(crate) struct Run {
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) shape: Shape,
    pub(crate) mix: &'static str,
    pub(crate) distribution: KeyDistribution,
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
    pub(crate) schedule: Schedule,
}

impl Run {
    pub(crate) fn against(servers: &[&Server]) -> Self {
        let timeout = Duration::from_secs(30);
        Self {
            addresses: servers.iter().map(|server| server.address).collect(),
            shape: Shape { threads: 1, clients: 1, pipeline: 1, timeout },
            mix: "get",
            distribution: KeyDistribution::Uniform,
            sizes: Sizes::Fixed(VALUE_SIZE as u64),
            seed: 1,
            schedule: Schedule::CLOSED,
        }
    }

    /// In an open loop that ends with `until`.
    pub(crate) fn at_rate(mut self, rate: &str, process: Process, until: Until) -> Self {
        let course = rate.parse::<Rate>().expect(rate).over(until).expect(rate);
        self.schedule = Schedule::Open(Plan { course: Arc::new(course), process, seed: self.seed });
        self
    }

    pub(crate) fn shape(mut self, threads: u32, clients: u32, pipeline: u32) -> Self {
        self.shape = Shape { threads, clients, pipeline, ..self.shape };
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Self {
        self.shape.timeout = timeout;
        self
    }

    pub(crate) fn mix(mut self, mix: &'static str) -> Self {
        self.mix = mix;
        self
    }

    /// The servers, by the names of their addresses.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let endpoint = |&address| Endpoint {
            name: SocketAddr::to_string(&address),
            address: Address::Tcp(address),
            protocol: Protocol::Resp,
            credentials: Credentials::default(),
        };
        self.addresses.iter().map(endpoint).collect()
    }

    pub(crate) fn launch(&self) -> Result<Fleet, LaunchError> {
        let endpoints = self.endpoints();
        let nodes = endpoints.len();
        // The last digit of a key names its node.
        let owner = move |key: &[u8]| usize::from(key[key.len() - 1] - b'0') % nodes;
        let key_size = self.keys().buffer().bytes().len();
        let target = Arc::new(Resp::new(&endpoints, Box::new(owner), key_size, VALUE_SIZE));
        Fleet::launch(&target, self.shape)
    }

    pub(crate) fn keys(&self) -> Keys {
        Keys::new("key:", 1000, self.distribution, self.shape.streams(&self.schedule))
    }

    pub(crate) fn workload(&self) -> Arc<Workload> {
        Arc::new(Workload {
            mix: self.mix.parse().expect("a mix"),
            keys: self.keys(),
            values: Values::new(&self.sizes, Filling::Printable, 1),
            seed: self.seed,
        })
    }

    pub(crate) fn run(self, until: Until) -> Measured {
        let mut fleet = self.launch().expect("the server accepts");
        fleet
            .run(&self.workload(), &self.schedule, until, |_| ControlFlow::Continue(()))
            .expect("an event loop")
    }

    pub(crate) fn operations(self, operations: u64) -> Measured {
        self.run(Until::Operations(operations))
    }
}

/// Every attempt is a success in the histograms or an error in the counters, never both.
pub(crate) fn assert_accounted(measured: &Measured, operations: u64) {
    let counts = &measured.counts;
    assert_eq!(counts.attempted(), operations);
    let errors = &counts.errors;
    let by_kind =
        errors.timeout + errors.connection + errors.protocol + errors.server.values().sum::<u64>();
    assert_eq!(by_kind, counts.failed(), "{errors:?}");
    assert_eq!(measured.latencies.successes(Time::Service).len(), operations - counts.failed());
    assert_eq!(counts.nodes.iter().sum::<u64>(), operations);
}
