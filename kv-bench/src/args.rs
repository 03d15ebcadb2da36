//! What was typed. What it means is decided in [`crate::scenario`].

mod curve;
mod forms;
mod node_failures;
mod rendering;
mod trace;

pub use curve::CurveArgs;
pub use rendering::{Format, ReportArgs};
pub use trace::TraceArgs;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use kv_core::tls::TlsOptions;

use self::node_failures::ON_NODE_FAIL_HELP;
use crate::report;
use crate::units;

const EXAMPLES: &str = "\
Examples:
  Spawn 4 servers, run 100,000 operations over 32 workers, draw the curve:
    kv-bench --servers 4 --threads 32 --requests 100000

  One measurement of a running Redis, reads only, ten seconds:
    kv-bench run --target redis://127.0.0.1:6379 --preload --duration 10s

  Many clients on few threads, pipelined:
    kv-bench run --servers 1 --threads 2 --clients 50 --pipeline 16 --requests 5m

  At a given rate, as users come, and what they wait (an open loop):
    kv-bench run --servers 1 --rate 10k --duration 10s

  Over many rates, and where response times begin to climb:
    kv-bench curve --servers 1 --rates auto

Exit codes: 0 fine; 1 the run failed or was cut short; 2 wrong usage; 5 untrusted under --strict.";

const FIND_MAX_EXAMPLES: &str = "\
--rate is where to look: --rate 1k..50k; by default from a hundredth to ten times what a closed loop
does in a second. One number of --clients carries all probes: by default as many as the highest --rate
wants or, without it, a fifth more than the closed loop does. result.json has every probe among its
points and what was found in `find_max`.

Examples:
  kv-bench find-max --servers 1 --slo p99=1ms
  kv-bench find-max --target redis://127.0.0.1:6379 --preload --slo p99.9=2ms --slo errors=0.1% --time 3m

Exit codes: 0 found; 1 the run failed or was cut short; 2 wrong usage; 3 an objective is missed at the
lowest rate; 4 not decided, or without an interval, under --strict; 5 untrusted under --strict.";

/// What a run ends with, behind its help.
const RUN_EXIT_CODES: &str = "\
Exit codes: 0 fine; 1 the run failed or was cut short, or --verify found a wrong read; 2 wrong usage; \
5 untrusted under --strict.";

/// Measures key-value servers, and says when its own numbers cannot be believed.
///
/// Without a subcommand it is `curve`: the headline measurement of exactly --requests operations,
/// then throughput and latency from one client up to all, for each number of servers.
#[derive(Debug, Parser)]
#[command(name = "kv-bench", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub curve: CurveArgs,
}

impl Cli {
    /// The flags of the load, where the subcommand has any.
    pub(crate) fn load_mut(&mut self) -> Option<&mut LoadArgs> {
        match &mut self.command {
            None => Some(&mut self.curve.load),
            Some(Command::Curve(args)) => Some(&mut args.load),
            Some(Command::Run(args)) => Some(args),
            Some(Command::FindMax(args)) => Some(&mut args.load),
            Some(
                Command::Report(_)
                | Command::Selftest(_)
                | Command::Completions { .. }
                | Command::Serve(_),
            ) => None,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// One measurement, without the curve.
    #[command(after_help = RUN_EXIT_CODES)]
    Run(LoadArgs),
    /// The headline measurement and the latency-against-throughput curve (the default).
    Curve(CurveArgs),
    /// The highest rate at which objectives of service are kept.
    ///
    /// Spawns servers, or drives running ones, in an open loop at one rate after the other: between a
    /// rate at which the objectives are kept and one at which they are missed it looks for the highest
    /// that keeps them, repeats what is too near to call, then looks again from the beginning for as long
    /// as there is time, and tells by how those looks scatter between which rates another search would
    /// find it. Servers that it spawns are started and filled anew for each look, where that takes no more
    /// than a thirtieth of the time. What is kept is the share of operations answered in time, counted from when
    /// they were due; one that failed was not. A rate that is not kept up misses every objective.
    FindMax(FindMaxArgs),
    /// Render a result again, in any format; nothing is measured.
    Report(ReportArgs),
    /// Test this generator on this machine: its costs, its punctuality, its laws.
    ///
    /// Takes about 10 s, against a server of its own that does nothing. Its summary is kept in the
    /// cache folder (`XDG_CACHE_HOME`, or `~/.cache`) and stands in the results from then on. Exit
    /// codes: 0 all passed; 1 something failed.
    Selftest(SelftestArgs),
    /// Print a completion script for a shell.
    ///
    /// Example: kv-bench completions bash > ~/.local/share/bash-completion/completions/kv-bench
    Completions {
        /// bash, elvish, fish, powershell or zsh.
        shell: clap_complete::Shell,
    },
    /// Be one of kv-bench's own servers.
    #[command(hide = true)]
    Serve(ServeArgs),
}

#[derive(Debug, Clone, Args)]
pub struct SelftestArgs {
    /// Seed of what is random in it.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
}

/// How kv-bench starts a server as its own child.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Process that must be the parent; without it this server has nothing to live for.
    #[arg(long)]
    pub parent: u32,
    /// Become this program and not kv-server.
    #[arg(long, value_name = "PATH")]
    pub exec: Option<PathBuf>,
    /// The server's own arguments.
    #[arg(last = true)]
    pub server_args: Vec<String>,
}

// What a search refuses is not offered: it is hidden, and told by name to who types it all the same.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = FIND_MAX_EXAMPLES,
    mut_arg("requests", |arg| arg.hide(true)),
    mut_arg("duration", |arg| arg.hide(true)),
    mut_arg("think_time", |arg| arg.hide(true)),
    mut_arg("repeat", |arg| arg.hide(true)),
    mut_arg("chaos", |arg| arg.hide(true)),
    mut_arg("verify", |arg| arg.hide(true)),
    mut_arg("trace", |arg| arg.hide(true)),
    mut_arg("trace_format", |arg| arg.hide(true)),
    mut_arg("trace_speed", |arg| arg.hide(true))
)]
pub struct FindMaxArgs {
    /// What is promised: a percentile of response times, or a share of errors; repeat it for several.
    ///
    /// Any percentile: p50, p99, p99.95. Examples: --slo p99=1ms; --slo p99=1ms --slo p99.9=5ms; --slo
    /// p99=500us,errors=0.1%
    #[arg(long, value_name = "OBJECTIVE", required = true)]
    pub slo: Vec<String>,

    /// Time for all probes together, but for starting servers and storing keys before the first.
    ///
    /// The more time, the longer and the more numerous the probes: a minute has some eight looks for the
    /// rate, 20s hardly the three that an interval takes. Ctrl-C ends it earlier and keeps what
    /// was found. Example: --time 3m
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "1m")]
    pub time: Duration,

    #[command(flatten)]
    pub load: LoadArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is measured")]
pub struct LoadArgs {
    /// A file of settings in TOML: flags by their names, such as rate = "10k".
    ///
    /// What is typed beside it wins. A flag that can be repeated takes a list, a switch true or false.
    /// The result has all of it, as it would have been typed. Examples are in kv-bench/scenarios.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,

    /// All of the command line behind the program's name, with what the scenario file says.
    #[arg(skip)]
    pub words: Vec<String>,

    /// The place in the scenario file of each flag that is taken from there.
    #[arg(skip)]
    pub places: Vec<(String, String)>,

    /// Number of servers to spawn, or running servers that share the keys: host:port,name=host:port.
    ///
    /// Spawned servers listen on free ports of 127.0.0.1 and end with kv-bench. Default: 1, unless
    /// --target is given. Examples: --servers 4; --servers a=10.0.0.1:65432,b=10.0.0.2:65432
    #[arg(long, value_name = "N|LIST", conflicts_with = "target")]
    pub servers: Option<String>,

    /// A running server; repeat --target for several servers that share the keys.
    ///
    /// Valid: `host:port`, `redis://[user:password@]host:port[/db]`, `rediss://…` with TLS,
    /// `unix:///path/to.sock`; `memcached://[user:password@]host[:11211]`,
    /// `memcached:///path/to.sock`, of memcached since 1.6.10;
    /// `redis-cluster://[user:password@]host:port[,host:port]` (`rediss-cluster://` with TLS), any
    /// nodes of a Redis or Valkey Cluster, which name the others. There, operations follow their keys
    /// and wait for a failover, within their time; 16 redirects or --timeout make them errors, of the
    /// name of the last one. With --verify it takes --pipeline 1. All of a run speak one protocol.
    /// Its keys start with `kvb:`; nothing is flushed, and nothing is written unless --mix,
    /// --workload or --preload says so. `engine:` is kv-core in kv-bench itself, called by the
    /// workers without any network: the ceiling of what kv-server can do. Each client is a caller,
    /// --pipeline the calls of a batch, each worker wants a core, and a call is not given up for
    /// --timeout. Its store begins empty and is preloaded; `engine:?durability=always` keeps it in
    /// TMPDIR meanwhile, `engine:?data-dir=/mnt/disk/store` there, as a running server's.
    /// Example: `--target redis://127.0.0.1:6379`
    #[arg(long, value_name = "URL", alias = "uri")]
    pub target: Vec<String>,

    /// How several servers share the keys: slots (as Redis Cluster), ketama, uhashring.
    ///
    /// Default: slots. Nodes of a cluster have their keys from the cluster.
    #[arg(long, value_name = "MODE")]
    pub ring: Option<String>,

    /// What spawned servers promise about acknowledged writes.
    ///
    /// One of none, snapshot, os, everysec, always, as kv-server has them. Their data lies in the
    /// temporary folder (TMPDIR) and goes with them: for a disk's figures put that on the disk.
    #[arg(long, value_name = "MODE", default_value = "none", conflicts_with = "target")]
    pub durability: String,

    /// Spawn this program and not kv-bench's own server.
    ///
    /// It is run in an empty folder of its own, as PATH --port N --bind 127.0.0.1, and with
    /// --durability (but none) as PATH ... --durability MODE --data-dir data besides. It must listen
    /// on that TCP port, answer PING within 10 s, speak RESP2, and end on SIGTERM; whatever else it
    /// is to be told, a script says: exec redis-server --save '' "$@". Example: --server-bin
    /// redis-server
    #[arg(long, value_name = "PATH", conflicts_with = "target")]
    pub server_bin: Option<PathBuf>,

    /// What is done to spawned servers during the measurement, and when: kill, restart, pause.
    ///
    /// kill:2@10s kills `server_2` (SIGKILL) 10 s after the beginning, restart:2@13s starts it again on
    /// its port and with what is left of its data (see --durability), and pause:1@5s+500ms stops
    /// `server_1` for half a second (SIGSTOP). The result tells when each server served nobody, and how
    /// long it took until it did again. Example: --chaos "kill:2@10s, restart:2@13s, pause:1@5s+500ms"
    #[arg(long, value_name = "FAULTS", conflicts_with = "target")]
    pub chaos: Option<String>,

    /// What becomes of operations whose server is away: error, eject, next.
    #[arg(long, value_name = "RULE", default_value = "error", long_help = ON_NODE_FAIL_HELP)]
    pub on_node_fail: String,

    #[command(flatten)]
    pub callers: CallerArgs,
    #[command(flatten)]
    pub workload: WorkloadArgs,
    #[command(flatten)]
    pub trace: TraceArgs,
    #[command(flatten)]
    pub tls: TlsArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "TLS, of rediss:// and rediss-cluster:// targets")]
pub struct TlsArgs {
    /// Certificates of the authorities that are trusted to have signed the servers'.
    ///
    /// Default: those of the system. Example: --cacert ca.crt
    #[arg(long, value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// Certificate to show to a server that asks for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub cert: Option<PathBuf>,

    /// The private key of that certificate.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// Take any certificate of the servers.
    #[arg(long, conflicts_with = "cacert", alias = "tls-skip-verify")]
    pub insecure: bool,

    /// Name that the servers' certificates must have, instead of the host's.
    #[arg(long, value_name = "NAME")]
    pub sni: Option<String>,
}

impl TlsArgs {
    /// The first of these flags that was typed, and its value.
    pub fn given(&self) -> Option<(&'static str, String)> {
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let given = [
            ("cacert", file(&self.cacert)),
            ("cert", file(&self.cert)),
            ("key", file(&self.key)),
            ("insecure", self.insecure.then(String::new)),
            ("sni", self.sni.clone()),
        ];
        given.into_iter().find_map(|(flag, value)| Some((flag, value?)))
    }

    /// The same as options.
    pub fn options(&self) -> TlsOptions {
        TlsOptions {
            ca_cert: self.cacert.clone(),
            cert: self.cert.clone(),
            key: self.key.clone(),
            insecure: self.insecure,
            server_name: self.sni.clone(),
        }
    }
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Load")]
pub struct CallerArgs {
    /// Workers, each a thread. Default: 4 (of engine: no more than cores), or with --rate half as many
    /// as there are cores.
    #[arg(short, long, value_name = "N", value_parser = units::small_count)]
    pub threads: Option<u32>,

    /// Clients per worker. A client is one caller, with one connection to each server.
    ///
    /// Default: 1, or with --rate 32 and above 10,000 operations per second and worker more, up to
    /// 256. At a given rate it is the operations that come, and clients are what carries them: there
    /// must be enough of them that hardly any operation waits for one.
    #[arg(short, long, value_name = "N", value_parser = units::small_count)]
    pub clients: Option<u32>,

    /// Operations that each client may have outstanding.
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::small_count)]
    pub pipeline: u32,

    /// Operations in total, over all clients: exactly this many are attempted.
    ///
    /// Default: 100k, unless --duration or --rate is given. Example: --requests 1m
    #[arg(long, value_name = "COUNT", value_parser = units::count, conflicts_with = "duration")]
    pub requests: Option<u64>,

    /// Measure for this long and not for a number of operations. Example: --duration 10s
    #[arg(long, value_name = "DURATION", value_parser = units::duration, alias = "test-time")]
    pub duration: Option<Duration>,

    /// Operations per second in total, whether or not replies come: an open loop.
    ///
    /// Each operation is due at a time of its own, and its response time counts from there: what a
    /// slow server makes wait is measured, where callers of a closed loop would ask it less. A rate may
    /// change over the run: 1k..50k is a ramp, and steps of either kind have lengths, of which the last
    /// may lack one and lasts to the end. Without --duration or --requests it is for 10 s, or as long
    /// as the steps. Examples: --rate 10k; --rate 1k..50k --duration 30s; --rate 1k:10s,1k..5k:10s,5k:20s
    #[arg(long, value_name = "RATE", alias = "rps", alias = "qps", short_alias = 'R')]
    pub rate: Option<String>,

    /// How operations follow each other at a rate: poisson (the default), as those of many users do, or
    /// constant.
    #[arg(long, value_name = "NAME")]
    pub arrivals: Option<String>,

    /// How long a client waits after each reply before it goes on, in a closed loop.
    ///
    /// Example: --clients 1000 --think-time 10ms
    #[arg(long, value_name = "DURATION", value_parser = units::duration, conflicts_with = "rate")]
    pub think_time: Option<Duration>,

    /// Check that reads return what writes had left: stale, lost, foreign and corrupt values.
    ///
    /// Values then begin with 32 bytes that name key and version, with a checksum over all (shorter
    /// values are made so long), and each key is written by one client alone, so that it is known what a
    /// read must find (a write that another client draws goes to the nearest key of its own). A wrong
    /// read is an error (verify), and makes the exit code 1. When the
    /// measurement is over, every key is read once more. For gets, puts and deletes without --ttl. Costs 24 bytes of memory per key.
    #[arg(long)]
    pub verify: bool,

    /// Measure this many times, after one preload: the result is the median, and lists them all.
    ///
    /// Default: 1. With curve --rates it is how often each load is measured, 2 by default.
    #[arg(
        long,
        value_name = "N",
        value_parser = units::small_count,
        alias = "run-count",
        short_alias = 'x'
    )]
    pub repeat: Option<u32>,

    /// How long the same load runs first, uncounted, so that caches and connections are warm.
    ///
    /// What of it is outstanding at its end is waited for, and the measurement begins after that. 0 is
    /// none. Example: --warmup 5s
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "200ms")]
    pub warmup: Duration,

    /// An operation without a reply for this long has failed, and its connection is replaced.
    #[arg(long, value_name = "DURATION", value_parser = units::duration, default_value = "5s")]
    pub timeout: Duration,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Workload")]
pub struct WorkloadArgs {
    /// A workload that has a name: ycsb-a to ycsb-d, ycsb-f, facebook-etc, mixgraph, cache.
    #[arg(long, value_name = "NAME", long_help = forms::WORKLOAD)]
    pub workload: Option<String>,

    /// Proportions of operations: get, put, delete, insert, rmw.
    #[arg(long, value_name = "MIX", long_help = forms::MIX)]
    pub mix: Option<String>,

    /// A command of your own, with __key__ and __data__: see --help.
    #[arg(long, value_name = "COMMAND", long_help = forms::COMMAND, conflicts_with_all = ["mix", "workload"])]
    pub command: Vec<String>,

    /// How often each --command is sent, in their order: one for each, or none. Default: 1 each.
    #[arg(long, value_name = "N", requires = "command", value_parser = units::small_count)]
    pub command_ratio: Vec<u32>,

    /// Distinct keys, named key:000000000000 and up; at most 2^40.
    #[arg(long, value_name = "COUNT", value_parser = units::count, default_value = "100k", alias = "key-maximum")]
    pub keys: u64,

    /// How keys are chosen: uniform (the default), zipfian:0.99, hotspot:0.2:0.8 …: see --help.
    #[arg(long, value_name = "NAME[:…]", long_help = forms::KEY_DISTRIBUTION)]
    pub key_distribution: Option<String>,

    /// Bytes per value: 100 (the default), 64..1k, 64=90,1k=10, facebook-etc …: see --help.
    #[arg(
        long, value_name = "SIZES", long_help = forms::VALUE_SIZE,
        aliases = ["data-size", "data-size-range", "data-size-list"]
    )]
    pub value_size: Option<String>,

    /// Share of each value that compresses away: zeros among random bytes, from 0 to 1 or in percent.
    ///
    /// Without it, values are random letters and digits, of which a compressor saves a quarter at
    /// most. Example: --compressibility 0.5
    #[arg(long, value_name = "SHARE")]
    pub compressibility: Option<String>,

    /// Put this text and not random bytes.
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["value_size", "compressibility"])]
    pub value: Option<String>,

    /// How long what is put lives: SET … PX. Default: for ever, or 60s with --workload cache.
    ///
    /// It is for every put, those of the preload too. Example: --ttl 10s
    #[arg(long, value_name = "DURATION", value_parser = units::duration)]
    pub ttl: Option<Duration>,

    /// Write every key to running servers before measuring. Spawned servers are preloaded anyway, but
    /// for --workload cache.
    #[arg(long)]
    pub preload: bool,

    /// Seed of the operations: the same seed gives each client the same operations.
    ///
    /// What is drawn is the same. Which keys are the latest depends on when inserts are answered, and
    /// what a cache puts on what its gets miss.
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
}

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Name of the run, part of its folder's name. Letters, digits, `-`, `_` and `.`.
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Folder for the results: a new one, an empty one, or one of an earlier result, which is
    /// replaced. Default: `results/<utc>-<name>`
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Write result.json here as well; `-` is standard output, which then gets nothing else.
    ///
    /// Tables go to standard error then. Example: `kv-bench run --json - | jq .headline`
    #[arg(long, value_name = "FILE", alias = "json-out-file")]
    pub json: Option<PathBuf>,

    /// Draw plots for `run` too.
    #[arg(long)]
    pub plots: bool,

    /// Serve figures of the run to Prometheus while it goes on, at `http://127.0.0.1:PORT/metrics`.
    ///
    /// 0 chooses a free port, which is printed; ADDRESS:PORT listens elsewhere than on 127.0.0.1.
    /// Operations, errors by kind, throughput, histograms of service and response times and lateness,
    /// share of each server, backlog, processor time of each worker, trust so far; warm-ups are not
    /// counted. Example: --metrics-port 9122
    #[arg(long, value_name = "PORT", value_parser = crate::metrics::address)]
    pub metrics_port: Option<SocketAddr>,

    /// Exit with 5 when the headline cannot be trusted.
    #[arg(long)]
    pub strict: bool,

    /// Show one line of progress, not the view of the whole terminal.
    ///
    /// So it is without this too where the terminal is too small (50 columns, 12 rows) or TERM is
    /// dumb. Where there is no terminal, a line is printed every ten seconds. `NO_COLOR` does without
    /// colours.
    #[arg(long)]
    pub no_tui: bool,

    /// Print only errors; the results are in the files.
    #[arg(short, long)]
    pub quiet: bool,
}

impl OutputArgs {
    /// Where the result goes besides, with `-` resolved.
    pub fn json_file(&self) -> Option<&Path> {
        let file = self.json.as_deref()?;
        Some(if file == Path::new("-") { Path::new(report::STANDARD_OUTPUT) } else { file })
    }

    /// Whether standard output is for the result alone.
    pub fn is_piped(&self) -> bool {
        self.json_file().is_some_and(report::is_standard_output)
    }
}
