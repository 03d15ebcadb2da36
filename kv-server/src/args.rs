//! kv-server's command line: what was typed, and what it means.

mod cautions;
mod listening;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, FromArgMatches, ValueEnum};
use kv_core::data_dir::Durability;
use kv_core::engine::EvictionPolicy;
use listening::Listening;
use log::LevelFilter;

use crate::config::{AuthClients, Config, Limits, MemoryLimit, PORT_DEFAULT};
use crate::config_file;
use crate::file_hint::file_hint;
use crate::file_limit::survive_file_limit;
use crate::log_file::{LogFile, Readers};
use crate::repair;
use crate::server::{Server, ServerError};
use crate::settings::{parse_bytes, policy_names};
use crate::tls::TlsError;
use crate::usage::{self, EXIT_USAGE};

/// Who speaks in front of every complaint.
const SPEAKER: &str = "kv-server";

/// Key-value server speaking the Redis protocol (RESP2, RESP3), one thread per connection.
///
/// Any Redis client works; `kv-cli` is the one that comes along. With `--data-dir` the store is kept
/// on disk; without it, what is in the store ends with the server.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:
  kv-server                                    on 127.0.0.1:65432
  kv-server 7000                               on another port
  kv-server --port 0 --announce                on a free port, which it prints
  kv-server --bind 0.0.0.0 --requirepass S     for other machines, with a password
  kv-server --unixsocket /run/kv.sock --bind none
  kv-server --port none --tls-port 65433 --tls-cert-file C --tls-key-file K --tls-auth-clients no
  kv-server --metrics-port 9121                http://127.0.0.1:9121/metrics for Prometheus
  kv-server --data-dir D --repair              checks a store that was refused
  kv-server --config /etc/kv-server.conf       with what the file says

Stop it with SIGTERM or SIGINT (replies are finished first, a second signal is immediate),
or with `kv-cli end` on the same machine. SIGHUP opens --log-file and --log-requests anew, for
who has moved them away.")]
pub struct Args {
    /// Settings that are not typed: a file with lines of a flag's name and its value, such as
    /// `port 7000`, where a switch takes yes or no, `allow-shutdown yes`, and # begins a comment;
    /// what is typed wins over the environment, and that over the file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// TCP port; the same as --port
    #[arg(value_name = "PORT", value_parser = parse_lone_port)]
    positional_port: Option<u16>,

    /// TCP port; 0 chooses a free one, `none` leaves TLS and the Unix socket
    #[arg(long, short, env = "KV_PORT", value_parser = parse_port, default_value_t = Port(Some(PORT_DEFAULT)))]
    port: Port,

    /// TCP port for TLS; 0 chooses a free one
    #[arg(long, value_name = "PORT")]
    tls_port: Option<u16>,

    /// Our certificate for TLS, with those between it and its authority behind it (PEM)
    #[arg(long, value_name = "FILE")]
    tls_cert_file: Option<PathBuf>,

    /// The private key of that certificate (PEM, without a passphrase)
    #[arg(long, value_name = "FILE")]
    tls_key_file: Option<PathBuf>,

    /// Certificates of the authorities that sign those of clients (PEM)
    #[arg(long, value_name = "FILE")]
    tls_ca_cert_file: Option<PathBuf>,

    /// Whether a TLS client must show a certificate; `optional`: only a good one, if it shows any
    #[arg(long, value_name = "yes|no|optional", default_value = "yes")]
    tls_auth_clients: Demand,

    /// HTTP port of the metrics for Prometheus (`/metrics`), on the addresses of --bind; 0 chooses a
    /// free one. There is no password for it
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,

    /// Addresses to listen on, separated by commas; `none` for a Unix socket alone
    #[arg(long, value_delimiter = ',', value_name = "IP", default_value = "127.0.0.1")]
    bind: Vec<String>,

    /// Also listen on this Unix socket
    #[arg(long, value_name = "PATH")]
    unixsocket: Option<PathBuf>,

    /// Password that clients must give with AUTH
    #[arg(long, value_name = "PASSWORD", env = "KV_REQUIREPASS", hide_env_values = true)]
    requirepass: Option<String>,

    /// Without a password, serve only this machine
    #[arg(long, value_name = "yes|no", default_value = "yes")]
    protected_mode: YesNo,

    /// Let clients on other machines stop the server (END, SHUTDOWN) without a password
    #[arg(long)]
    allow_shutdown: bool,

    /// Connections at a time; fewer when the system allows fewer open files
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    maxclients: u32,

    /// Close clients that send nothing for so many seconds; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    timeout: u64,

    /// Seconds in which a request that has begun must arrive, plus one for each 16 KiB of it
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    partial_timeout: u64,

    /// Largest key or value: bytes, with kb or mb behind the number if you like
    #[arg(long, value_name = "BYTES", default_value = "512mb", value_parser = parse_bulk_limit)]
    proto_max_bulk_len: usize,

    /// Bytes of memory that the keys may take, with kb, mb or gb behind it if you like; 0: no limit
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = parse_size)]
    maxmemory: usize,

    /// What goes when --maxmemory is reached: noeviction (writes are refused), allkeys-lru,
    /// allkeys-random, volatile-lru, volatile-random or volatile-ttl
    #[arg(long, value_name = "POLICY", default_value = "noeviction", value_parser = parse_policy)]
    maxmemory_policy: EvictionPolicy,

    /// Keys looked at for each that goes; the more, the better the choice and the slower
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    maxmemory_samples: u32,

    /// Bytes of replies that may wait for a client that does not read them, with mb or gb behind it
    /// if you like; with more, its next request closes it
    #[arg(long, value_name = "BYTES", default_value = "64mb", value_parser = parse_output_limit)]
    output_limit: usize,

    /// The same, for a client that stays above it for --output-soft-time
    #[arg(long, value_name = "BYTES", default_value = "16mb", value_parser = parse_output_limit)]
    output_soft_limit: usize,

    /// Seconds that a client may stay above --output-soft-limit
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    output_soft_time: u64,

    /// Seconds of silence before a TCP connection is probed; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(..=SECONDS_MAX))]
    tcp_keepalive: u64,

    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value_t = 511, value_parser = clap::value_parser!(i32).range(1..))]
    tcp_backlog: i32,

    /// Folder in which the store is kept, and from which it is recovered at the start
    #[arg(long, value_name = "DIR", env = "KV_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Check the store in --data-dir, say what is damaged and what repairing it would drop, and end
    #[arg(long)]
    repair: bool,

    /// With --repair: drop it
    #[arg(long, requires = "repair")]
    yes: bool,

    /// What an acknowledged write survives; everysec with --data-dir, none without
    #[arg(long, value_name = "MODE", env = "KV_DURABILITY")]
    durability: Option<Mode>,

    /// Seconds between snapshots with --durability snapshot
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    snapshot_interval: u64,

    /// How much to log
    #[arg(long, value_name = "LEVEL", default_value = "info", ignore_case = true,
        value_parser = PossibleValuesParser::new(LEVELS).try_map(|level| level.parse::<LevelFilter>()))]
    loglevel: LevelFilter,

    /// Log to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Commands that take at least so many microseconds are shown by SLOWLOG GET; -1: none
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 10_000, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    slowlog_log_slower_than: i64,

    /// Slow commands that are remembered
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u64).range(..=i64::MAX as u64))]
    slowlog_max_len: u64,

    /// Record each request and its result in this file (`-`: standard error). With --durability
    /// always the result is what was found before the disk was asked: should that fail, the client is
    /// told an error instead
    #[arg(long, value_name = "FILE")]
    log_requests: Option<PathBuf>,

    /// Print `ready HOST:PORT`, and with `tls:`, `unix:` or `metrics:` before it the others, on
    /// standard output, a line for each
    #[arg(long)]
    announce: bool,

    /// Where each setting that is no default came from, by its name: `--bind`, `KV_DURABILITY`,
    /// `kv.conf:3: bind`.
    #[arg(skip)]
    origins: BTreeMap<String, String>,

    /// Those of them that a file cannot change.
    #[arg(skip)]
    overruling: BTreeMap<String, String>,
}

/// As long as Redis' `int` of seconds, which `CONFIG SET` takes as well.
const SECONDS_MAX: u64 = i32::MAX as u64;

const MIB: usize = 1024 * 1024;

/// As long as a value may be in Redis.
const BULK_BYTES_MAX: usize = 512 * MIB;

/// The words of [`LevelFilter`].
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
}

/// [`AuthClients`] as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Demand {
    Yes,
    No,
    Optional,
}

impl From<Demand> for AuthClients {
    fn from(demand: Demand) -> Self {
        match demand {
            Demand::Yes => Self::Yes,
            Demand::No => Self::No,
            Demand::Optional => Self::Optional,
        }
    }
}

/// A port, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Port(Option<u16>);

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(port) => write!(f, "{port}"),
            None => f.write_str("none"),
        }
    }
}

fn parse_port(text: &str) -> Result<Port, String> {
    match text {
        "none" => Ok(Port(None)),
        digits => match digits.parse() {
            Ok(port) => Ok(Port(Some(port))),
            Err(_) => Err("must be from 0 to 65535, or none".to_owned()),
        },
    }
}

/// `redis-server` takes a file of settings in this place.
fn parse_lone_port(text: &str) -> Result<u16, String> {
    let words = "must be from 0 to 65535; a file of settings goes to --config";
    text.parse().map_err(|_| words.to_owned())
}

/// [`Durability`] as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Nothing, unless a client asks for a snapshot
    None,
    /// Up to the last snapshot of the whole store, by default one every 5 s
    Snapshot,
    /// The end of the process; of a power cut, what the system had flushed
    Os,
    /// The end of the process; of a power cut all but the last second
    Everysec,
    /// Both: synced before the reply
    Always,
}

impl From<Mode> for Durability {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::None => Self::None,
            Mode::Snapshot => Self::Snapshot,
            Mode::Os => Self::Os,
            Mode::Everysec => Self::Everysec,
            Mode::Always => Self::Always,
        }
    }
}

impl Args {
    /// What was typed, and for the rest what the configuration file says, if one was typed.
    ///
    /// `command` has these arguments among others. Help, and words without sense, end the process
    /// as clap does; so does a file without sense.
    pub fn from_words<I, T>(command: &Command, words: I) -> Self
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
        let matches = usage::matches(command.clone(), &words, SPEAKER);
        let typed = Self::from_matches(command, &matches, BTreeMap::new());
        let Some(path) = &typed.config else { return typed };
        match config_file::with_defaults(command.clone(), path) {
            Ok((command, lines)) => {
                let matches = usage::matches(command.clone(), &words, SPEAKER);
                Self::from_matches(&command, &matches, lines)
            }
            Err(error) => usage::refuse(SPEAKER, &error.to_string()),
        }
    }

    /// `lines` are the settings that a file has made defaults, each with its place.
    fn from_matches(
        command: &Command,
        matches: &ArgMatches,
        lines: BTreeMap<String, String>,
    ) -> Self {
        let mut args = Self::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
        if args.positional_port.is_some()
            && matches.value_source("port") == Some(ValueSource::CommandLine)
        {
            usage::refuse(SPEAKER, "PORT cannot be used with --port: leave one of them out");
        }
        for arg in command.get_arguments() {
            let Some(name) = arg.get_long() else { continue };
            let origin = match matches.value_source(arg.get_id().as_str()) {
                Some(ValueSource::CommandLine) => Some(format!("--{name}")),
                Some(ValueSource::EnvVariable) => {
                    arg.get_env().map(|variable| variable.to_string_lossy().into_owned())
                }
                _ => None,
            };
            args.overruling.extend(origin.map(|origin| (name.to_owned(), origin)));
        }
        args.origins = lines;
        args.origins.extend(args.overruling.clone());
        args
    }

    /// How a complaint names a setting: by the place that it came from.
    fn origin(&self, name: &str) -> String {
        self.origins.get(name).cloned().unwrap_or_else(|| format!("--{name}"))
    }

    /// What was typed, as settings.
    ///
    /// # Errors
    /// When an address is none; the message says what one looks like.
    pub fn config(&self) -> anyhow::Result<Config> {
        if self.requirepass.as_deref() == Some("") {
            bail!("{} is empty: leave it out for no password", self.origin("requirepass"));
        }
        let durability = self.durability();
        if durability != Durability::None && self.data_dir.is_none() {
            let origin = self.origin("durability");
            bail!("{origin} {durability} needs a folder to keep the data in: give --data-dir DIR");
        }
        if self.repair && self.data_dir.is_none() {
            bail!("--repair needs the folder of the store: give --data-dir DIR");
        }
        let Listening { bind, port, tls } = self.listening()?;
        let seconds = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        Ok(Config {
            bind,
            port: port.unwrap_or(0),
            plain_tcp: port.is_some(),
            tls,
            metrics_port: self.metrics_port,
            unix_socket: self.unixsocket.clone(),
            password: self.requirepass.clone(),
            protected_mode: self.protected_mode == YesNo::Yes,
            allow_shutdown: self.allow_shutdown,
            limits: Limits {
                clients_max: self.maxclients as usize,
                bulk_bytes_max: self.proto_max_bulk_len,
                output_bytes_max: self.output_limit,
                output_soft_bytes_max: self.output_soft_limit,
                output_soft_time: Duration::from_secs(self.output_soft_time),
                idle_time: seconds(self.timeout),
                partial_time: Duration::from_secs(self.partial_timeout),
                ..Limits::default()
            },
            memory: MemoryLimit {
                bytes: self.maxmemory,
                policy: self.maxmemory_policy,
                samples: self.maxmemory_samples as usize,
            },
            tcp_keepalive: seconds(self.tcp_keepalive),
            tcp_backlog: self.tcp_backlog,
            data_dir: self.data_dir.clone(),
            durability,
            snapshot_interval: Duration::from_secs(self.snapshot_interval),
            config_file: self.config.clone(),
            overruling: self.overruling.clone(),
            log_file: self.log_file.clone(),
            slowlog_slower_than_us: self.slowlog_log_slower_than,
            slowlog_entries_max: self.slowlog_max_len as usize,
            request_log: self.log_requests.clone(),
        })
    }

    fn durability(&self) -> Durability {
        match self.durability {
            Some(mode) => mode.into(),
            None if self.data_dir.is_some() => Durability::Everysec,
            None => Durability::None,
        }
    }

    /// Names a setting as it was given.
    fn blame(&self, error: ServerError) -> anyhow::Error {
        match error {
            ServerError::Tls(TlsError::File { setting, cause }) => {
                anyhow!("{}: {cause}", self.origin(setting))
            }
            error => error.into(),
        }
    }

    /// Begins to log; answers the file that it goes to, if it is one.
    fn init_log(&self) -> anyhow::Result<Option<LogFile>> {
        let mut builder = env_logger::Builder::new();
        // CONFIG SET may ask for more later; until then the limit below keeps the rest away.
        builder.filter_level(LevelFilter::Trace).format_target(false);
        let open = |path| {
            LogFile::open(path, Readers::All).map_err(|cause| {
                let (path, hint) = (path.display(), file_hint(&cause));
                anyhow!("cannot open the log file {path}: {cause}{hint}")
            })
        };
        let file = self.log_file.as_deref().map(open).transpose()?;
        if let Some(file) = &file {
            builder.target(env_logger::Target::Pipe(Box::new(file.clone())));
        }
        // A program that embeds the server may have its own logger already.
        if builder.try_init().is_ok() {
            log::set_max_level(self.loglevel);
        }
        Ok(file)
    }
}

/// As Redis and `CONFIG SET` take it.
fn parse_size(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text.as_bytes()).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "write it like 100mb, 2gb or 5000000".to_owned())
}

fn parse_bulk_limit(text: &str) -> Result<usize, String> {
    let is_right = |bytes: &usize| (MIB..=BULK_BYTES_MAX).contains(bytes);
    Some(parse_size(text)?).filter(is_right).ok_or_else(|| "must be from 1mb to 512mb".to_owned())
}

fn parse_output_limit(text: &str) -> Result<usize, String> {
    let is_right = |bytes: &usize| *bytes >= MIB;
    Some(parse_size(text)?).filter(is_right).ok_or_else(|| "must be 1mb or more".to_owned())
}

fn parse_policy(text: &str) -> Result<EvictionPolicy, String> {
    text.parse().map_err(|_| format!("it is one of {}", policy_names()))
}

/// The server could not start or go on.
const EXIT_FAILED: u8 = 1;

/// Runs a server as the command line says, to its end.
pub fn serve(args: &Args) -> ExitCode {
    survive_file_limit();
    let fail = |error: &anyhow::Error, code: u8| {
        // The exit code says it too, and there is nowhere left to complain.
        let _ = writeln!(io::stderr(), "{SPEAKER}: {error:#}");
        ExitCode::from(code)
    };
    let config = match args.config() {
        Ok(config) => config,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    if let Some(dir) = args.data_dir.as_deref().filter(|_| args.repair) {
        return repair::repair(dir, args.yes);
    }
    match try_serve(args, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, EXIT_FAILED),
    }
}

/// Prints in one piece, because who waits for the first line may close the pipe behind it; or may
/// have closed it before, which is their choice.
fn announce(lines: &str) -> io::Result<()> {
    match io::stdout().write_all(lines.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn try_serve(args: &Args, config: &Config) -> anyhow::Result<()> {
    let log_file = args.init_log()?;
    let mut server = Server::bind(config).map_err(|error| args.blame(error))?;
    server.shutdown().on_signals().context("cannot handle signals")?;
    server.on_hangup(log_file).context("cannot handle signals")?;
    let tcp =
        server.labelled_addrs().into_iter().map(|(label, address)| format!("{label}{address}"));
    let unix = config.unix_socket.iter().map(|path| format!("unix:{}", path.display()));
    let addresses: Vec<String> = tcp.chain(unix).collect();
    args.warn(config);
    let announced = args.announce.then(|| addresses.clone());
    let (unheard, shutdown) = (Arc::new(OnceLock::new()), server.shutdown());
    let complaint = Arc::clone(&unheard);
    server.on_ready(move || {
        for address in &addresses {
            log::info!("ready on {address}");
        }
        let lines = announced.iter().flatten().map(|address| format!("ready {address}\n"));
        if let Err(error) = announce(&lines.collect::<String>()) {
            // Who waits for the line would wait for ever.
            let _ = complaint.set(error);
            shutdown.raise();
        }
    });
    server.run()?;
    match unheard.get() {
        Some(error) => bail!("--announce: cannot write to standard output: {error}"),
        None => Ok(()),
    }
}
