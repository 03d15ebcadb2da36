//! The versioned result that every report, plot and verdict reads: `kv-bench/result/1`.
//!
//! Times are floats in microseconds and `None` (JSON `null`) where nothing was measured, never 0.
//! `operations` = attempted = succeeded + `errors`; throughput counts successes from the first send
//! to the last outcome: the last reply, or the last failure of an operation that a client waited for
//! in vain, but no later than the run was to end. An outage at the end is part of the run. Every
//! float is finite: JSON has no other. Field names are part of the published JSON Schema and do not
//! change within a schema version.

mod confidence;
mod find_max;
mod generator;
mod node_failures;
mod open_curve;
mod recovery;
mod redirects;
mod series;
mod trace;
mod trust;

pub use confidence::{Bounds, Confidence};
pub use find_max::{FindMax, ProbeOutcome, ProbeRecord, SearchLimit, SearchPass};
pub use generator::{Fairness, Generator, WorkerCost};
pub use node_failures::{Ejected, NodeFailure, NodeFailures};
pub use open_curve::{CurveKnee, CurveSaturation, OpenCurve};
pub use recovery::Recovery;
pub use redirects::Redirects;
pub use series::{Series, SeriesInterval};
pub use trace::{TraceRecord, TraceReplay};
pub use trust::{Limit, Trust, Verdict};

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The name and version of this schema, stored in every result.
pub const SCHEMA: &str = "kv-bench/result/1";

/// One run of kv-bench: its headline measurement, the points of its curve, and what to think of
/// them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResult {
    /// Always [`SCHEMA`].
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The name given with `--name`, or the subcommand.
    pub name: String,
    /// When the headline began to be measured, after preload and warm-up: RFC 3339, UTC.
    pub started_at: String,
    /// True when the run was cut short (Ctrl-C, a server that died) and holds what was measured.
    pub partial: bool,
    /// What of a partial result was cut short; `null` in a whole one, and where it is not known.
    #[serde(default)]
    pub cut: Option<Part>,
    /// The measurement that was asked for: exactly `--requests` operations, or `--duration`.
    pub headline: Headline,
    /// The points of the curve, in the order in which they were measured; empty for `run`.
    pub points: Vec<Point>,
    /// How many points there were to be; `null` for `run`, and in results of an older kv-bench.
    #[serde(default)]
    pub curve: Option<CurvePlan>,
    /// What `curve --rates` found; `null` of anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_curve: Option<OpenCurve>,
    /// What `find-max` found; `null` of anything else.
    #[serde(default)]
    pub find_max: Option<FindMax>,
    /// Every measurement of a run with `--repeat`, in their order; empty without. The result is that
    /// of the median among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repeats: Vec<Repeat>,
    /// The headline per kind of operation.
    pub operations: Operations,
    /// The headline per server, in ring order.
    pub servers: Vec<ServerShare>,
    /// What `--verify` found; `null` without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verification>,
    /// What was done to spawned servers with `--chaos`, in the order of its times; empty without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chaos: Vec<ChaosEvent>,
    /// What became of a trace; `null` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceReplay>,
    /// The headline's errors by kind.
    pub errors: ErrorCounts,
    /// The headline's redirects by kind; `null` where the servers are no cluster.
    #[serde(default)]
    pub redirects: Option<Redirects>,
    /// Nodes of a cluster that were away in the headline, and how long their slots were served by nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recoveries: Vec<Recovery>,
    /// What `--on-node-fail` came to in the headline; `null` where operations fail with their server.
    #[serde(default)]
    pub node_failures: Option<NodeFailures>,
    /// The headline over time; `null` in results of an older kv-bench.
    #[serde(default)]
    pub series: Option<Series>,
    /// Whether the headline can be believed.
    pub trust: Trust,
    /// What the generator used and was denied meanwhile; `null` in results of an older kv-bench.
    #[serde(default)]
    pub generator: Option<Generator>,
    /// The machine and the software that produced the result.
    pub environment: Environment,
    /// What was asked for, complete enough to repeat it.
    pub scenario: ScenarioRecord,
    /// What the reader should know before quoting a number.
    pub warnings: Vec<String>,
    /// The headline's distributions in full: HdrHistogram V2, deflated, base64, in nanoseconds, by
    /// tag (`GET-service`). `report` draws from these.
    #[serde(default)]
    pub histograms: BTreeMap<String, String>,
}

/// A part of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    Headline,
    /// The headline is whole, and so is each point that is there.
    Curve,
    /// So they are, and more probes would have told the rate more exactly.
    Search,
}

/// One interval of one distribution, a line of `latency.hlog`. Not part of `result.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// Such as `GET-service`; no comma, space or newline.
    pub tag: String,
    /// Seconds since the headline began to be measured.
    pub start_s: f64,
    pub length_s: f64,
    pub max_ns: u64,
    /// HdrHistogram V2, deflated, base64, in nanoseconds.
    pub histogram: String,
}

/// The measurement that the command line asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Headline {
    /// Operations attempted.
    pub operations: u64,
    /// Operations that failed; their latencies are in `error_us` alone.
    pub errors: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// From the first send to the last outcome: a reply, or the failure of an operation that a
    /// client waited for in vain, but no later than the run was to end.
    pub duration_s: f64,
    /// The end of `duration_s` in which clients waited and nobody was answered; `null` where that
    /// was too short to matter.
    #[serde(default)]
    pub silent_s: Option<f64>,
    /// The longest time in which clients waited and nobody was answered; `null` where it was too
    /// short to matter (less than 0.1 s or than ten times the median service time).
    #[serde(default)]
    pub longest_silence: Option<Silence>,
    /// Successes per second of `duration_s`.
    pub throughput_ops_s: f64,
    /// The asked rate of an open loop, over all its time; `null` in a closed one.
    pub rate_asked_ops_s: Option<f64>,
    /// Of successes: sent → reply. An operation whose connection was down counts from when its
    /// client wanted to send it.
    pub service_us: Option<Percentiles>,
    /// Of failed operations: sent, or to be sent → given up or error reply.
    #[serde(default)]
    pub error_us: Option<Percentiles>,
    /// Intended start → reply; `null` in a closed loop.
    pub response_us: Option<Percentiles>,
    /// Intended start → sent; `null` in a closed loop.
    pub lateness_us: Option<Percentiles>,
}

/// One of several measurements of the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Repeat {
    /// Its own result, in the folder of this one.
    pub file: String,
    pub headline: Headline,
    pub trust: Trust,
}

/// How much of a curve was to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CurvePlan {
    /// Points at every number of servers and of callers.
    pub points_all: u32,
    /// Points that there is time for; a curve that was cut short has fewer.
    pub points_planned: u32,
}

/// A time without a reply in which clients waited for one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Silence {
    /// Seconds since the measurement began.
    pub start_s: f64,
    pub length_s: f64,
}

/// One run on the curve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// Servers driven.
    pub servers: u32,
    /// Worker threads.
    pub threads: u32,
    /// Clients over all workers.
    pub clients: u32,
    /// Outstanding operations each client may have.
    pub pipeline: u32,
    /// Operations attempted.
    pub operations: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Reads that found their key.
    pub hits: u64,
    /// Reads that did not.
    pub misses: u64,
    /// From the first send to the last outcome, as in the headline.
    pub duration_s: f64,
    /// The asked rate of an open loop; `null` in a closed one.
    pub rate_asked_ops_s: Option<f64>,
    /// Successes per second of `duration_s`.
    pub throughput_ops_s: f64,
    /// The same of what was asked for: without the puts that fill a cache after misses. `null` in a
    /// closed loop.
    #[serde(default)]
    pub achieved_ops_s: Option<f64>,
    /// Of successes: sent → reply. An operation whose connection was down counts from when its
    /// client wanted to send it.
    pub service_us: Option<Percentiles>,
    /// Intended start → reply; `null` in a closed loop.
    pub response_us: Option<Percentiles>,
    /// Intended start → sent; `null` in a closed loop, and in results of an older kv-bench.
    #[serde(default)]
    pub lateness_us: Option<Percentiles>,
    /// Which measurement of its load it is, from 1 on, in a curve over loads; else `null`.
    #[serde(default)]
    pub repeat: Option<u32>,
    /// Whether less was achieved than was offered, beyond chance, in a curve over loads; else `null`.
    #[serde(default)]
    pub saturated: Option<bool>,
    /// Its backlog was too long: operations that were due were never sent, and response times know
    /// nothing of them.
    #[serde(default)]
    pub broken_off: bool,
    /// Whether this point can be believed.
    pub trust: Trust,
}

impl Point {
    /// What came of the rate that was asked for, in operations per second.
    pub fn achieved_ops_s(&self) -> f64 {
        // Older results do not tell fills apart.
        self.achieved_ops_s.unwrap_or(self.throughput_ops_s)
    }
}

/// A latency distribution in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Percentiles {
    pub mean: f64,
    pub min: f64,
    pub p50: f64,
    pub p90: f64,
    pub p95: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub p99_99: f64,
    pub max: f64,
    /// How exact the percentiles are; `null` in results of an older kv-bench.
    #[serde(default)]
    pub confidence_95: Option<Confidence>,
}

/// The headline per kind of operation; a kind that was not in the mix is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Operations {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub get: Option<OperationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put: Option<OperationResult>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<OperationResult>,
    /// Puts of keys that no client had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insert: Option<OperationResult>,
    /// Gets that were followed by a put of their key, from the beginning of the one to the end of the
    /// other. The headline counts these; their gets and puts are in `get` and `put` besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_modify_write: Option<OperationResult>,
    /// Commands of the user's own, each by its name in small letters.
    #[serde(flatten)]
    pub commands: BTreeMap<String, OperationResult>,
}

impl Operations {
    /// What there is, by the names of tables.
    pub fn named(&self) -> impl Iterator<Item = (&str, &OperationResult)> {
        let all = [
            ("get", &self.get),
            ("put", &self.put),
            ("delete", &self.delete),
            ("insert", &self.insert),
            ("rmw", &self.read_modify_write),
        ];
        let commands = self.commands.iter().map(|(name, kind)| (name.as_str(), kind));
        all.into_iter().filter_map(|(name, kind)| Some((name, kind.as_ref()?))).chain(commands)
    }
}

/// One kind of operation in the headline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationResult {
    /// Attempted.
    pub count: u64,
    /// Failed.
    pub errors: u64,
    /// Found their key (get and delete).
    pub hits: u64,
    /// Did not (get and delete).
    pub misses: u64,
    /// Of successes: sent → reply. An operation whose connection was down counts from when its
    /// client wanted to send it.
    pub service_us: Option<Percentiles>,
    /// Intended start → reply; `null` in a closed loop.
    pub response_us: Option<Percentiles>,
    /// Intended start → sent; `null` in a closed loop.
    pub lateness_us: Option<Percentiles>,
}

/// What one server did in the headline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServerShare {
    /// The name that placed its keys.
    pub name: String,
    /// `host:port` or a socket path.
    pub address: String,
    /// Operations sent to it; of a cluster, those whose first node it was.
    pub operations: u64,
    /// Its part of all operations, 0 to 1.
    pub share: f64,
    /// The part of the keys that the ring places on it, 0 to 1, of at most 100,000 of them; `null` in
    /// a cluster, where they may move, and in results of an older kv-bench.
    #[serde(default)]
    pub ring_share: Option<f64>,
    /// What it did in its cluster at the end: `master`, `replica`, or `none` when others had taken its
    /// place; `null` where there is no cluster.
    #[serde(default)]
    pub role: Option<String>,
    /// CPU time that its process used during the headline; `null` when it is not ours to read.
    pub cpu_s: Option<f64>,
}

/// Errors by kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorCounts {
    /// No reply within `--timeout`.
    pub timeout: u64,
    /// Refused, reset, or closed before the reply. An operation that waits for a lost connection
    /// counts once, however often the connection is tried.
    pub connection: u64,
    /// Of `connection`, those where nobody listened any more.
    #[serde(default)]
    pub refused: u64,
    /// Of `connection`, those whose connection the other side reset.
    #[serde(default)]
    pub reset: u64,
    /// A reply that is not the protocol.
    pub protocol: u64,
    /// Reads that were wrong, as `--verify` found.
    #[serde(default)]
    pub verify: u64,
    /// Error replies by their first word, such as `ERR` or `OOM`.
    pub server: BTreeMap<String, u64>,
}

/// The machine and the software.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    pub kv_bench_version: String,
    /// The revision that kv-bench was built from, where it is known.
    pub git_revision: Option<String>,
    pub hostname: String,
    pub os: String,
    pub kernel: String,
    pub cpu_model: String,
    /// Logical cores that this process may use.
    pub cores: u32,
    pub memory_bytes: u64,
    pub clocksource: Option<String>,
    pub governor: Option<String>,
    /// Whether cores share their execution units in pairs; `null` where the kernel does not tell.
    #[serde(default)]
    pub smt: Option<bool>,
    /// What the kernel does about each weakness of the CPU, which costs system calls their time.
    #[serde(default)]
    pub mitigations: BTreeMap<String, String>,
    /// One-minute load average before the run.
    pub load_average: f64,
    /// CPUs' worth of cgroup quota, `null` when unlimited.
    pub cgroup_cpus: Option<f64>,
    /// Bytes of memory that the cgroup allows, `null` when unlimited.
    #[serde(default)]
    pub cgroup_memory_bytes: Option<u64>,
    /// What each server said of itself, such as `redis 7.0.15`.
    pub servers: Vec<String>,
    /// The last `kv-bench selftest` of this version on this machine, `null` when there was none.
    pub selftest: Option<Selftest>,
}

/// What `kv-bench selftest` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Selftest {
    /// When, in UTC.
    pub at: String,
    /// Version, kernel, processor and number of cores.
    pub machine: String,
    /// The checks that failed.
    pub failed: Vec<String>,
    /// To read the clock once.
    pub clock_ns: f64,
    /// To record one operation of a closed loop.
    pub recording_ns: f64,
    /// Processor time of one unpipelined operation against a server that does nothing, all included.
    pub cpu_us: f64,
    /// What one worker can do at pipeline 64.
    pub ceiling_ops_s: f64,
    /// How late operations are sent that are due every millisecond.
    pub lateness_p50_us: f64,
    pub lateness_p99_us: f64,
}

/// What reads returned, against what had been written and acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// In the measurement and its warm-up.
    pub measured: FindingCounts,
    /// Of every key, read once after it; `null` when that was not done: the run was cut short, a
    /// server was dead by order, or could not be asked.
    pub audit: Option<FindingCounts>,
    /// Keys that could not be read then, for errors and timeouts.
    pub unread: Option<u64>,
    /// The first wrong read, in words.
    pub first: Option<String>,
}

/// Reads by what they found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingCounts {
    /// Reads that could be checked, and deletes that found nothing: the wrong ones and the right ones.
    pub checked: u64,
    /// Reads of keys that nobody had written in this run.
    pub unknown: u64,
    /// An older version than had been acknowledged when the read was sent.
    pub stale: u64,
    /// Nothing, where a value had been acknowledged and nobody had deleted it.
    pub lost: u64,
    /// The value of another key, or of somebody else.
    pub foreign: u64,
    /// What nobody had written.
    pub corrupt: u64,
}

/// A fault that was asked for, and what came of it. Times count from the beginning of the
/// measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChaosEvent {
    /// `kill`, `restart` or `pause`.
    pub action: String,
    /// The server's name.
    pub server: String,
    pub asked_s: f64,
    /// When it was done; `null` when the run ended before.
    pub done_s: Option<f64>,
    /// Of a kill or a pause: the longest time around it in which the server served nobody; `null`
    /// when none was as long as 10 ms.
    pub unavailable: Option<Silence>,
    /// From a restart, or the end of a pause, to the first operation that succeeded; `null` when there
    /// was none.
    pub recovery_s: Option<f64>,
}

/// A command of the user's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandRecord {
    /// Its name in `operations`.
    pub name: String,
    /// As typed, such as `SET __key__ __data__ EX 10`.
    pub command: String,
    pub ratio: u32,
}

/// What was asked for: the resolved flags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioRecord {
    /// The command line, as typed.
    pub command: String,
    /// Spawned servers; 0 when only `--target` was given.
    pub servers: u32,
    pub targets: Vec<String>,
    pub ring: String,
    pub durability: Option<String>,
    pub threads: u32,
    /// Clients per worker.
    pub clients: u32,
    pub pipeline: u32,
    /// Total operations asked for; `null` when `--duration` was.
    pub requests: Option<u64>,
    pub duration_s: Option<f64>,
    /// Operations per second over time, as typed; `null` in a closed loop.
    #[serde(default)]
    pub rate: Option<String>,
    /// `poisson` or `constant`; `null` in a closed loop.
    #[serde(default)]
    pub arrivals: Option<String>,
    /// How long clients of a closed loop waited after each reply.
    #[serde(default)]
    pub think_time_s: f64,
    pub warmup_s: f64,
    /// Such as `get=90,put=9,delete=1`; of commands by their names.
    pub mix: String,
    /// The commands of the user's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandRecord>,
    /// 0 of a trace, which has keys of its own.
    pub keys: u64,
    /// As `--key-distribution` takes it, with every parameter; `trace` of a trace.
    pub key_distribution: String,
    /// On average, where they differ.
    pub value_size_bytes: u64,
    /// As `--value-size` takes it, with every parameter; empty in results of an older kv-bench, whose
    /// values had one size.
    #[serde(default)]
    pub value_sizes: String,
    /// Share of each value that is zeros; `null` where all of it is random and printable, or a text.
    #[serde(default)]
    pub compressibility: Option<f64>,
    /// The name that was given with `--workload`.
    #[serde(default)]
    pub workload: Option<String>,
    /// How long what was put lived; `null` where it was for ever.
    #[serde(default)]
    pub ttl_s: Option<f64>,
    /// The trace that was replayed; `null` without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceRecord>,
    /// Gets that found nothing were followed by puts, which count as operations beyond `requests`.
    #[serde(default)]
    pub fills: bool,
    pub preload: bool,
    /// Whether replies were verified.
    #[serde(default)]
    pub verify: bool,
    /// Faults, as `--chaos` takes them.
    #[serde(default)]
    pub chaos: Option<String>,
    /// What became of operations whose server was away: `error`, `eject` or `next`; empty in results of
    /// an older kv-bench, where they were errors.
    #[serde(default)]
    pub on_node_fail: String,
    pub seed: u64,
    /// Of the operations in their order, and in an open loop of when they were due: equal for equal
    /// operations (SHA-256 over the beginning of each sequence, 64 bits of it, in hex).
    #[serde(default)]
    pub operations_digest: Option<String>,
    pub timeout_s: f64,
}
