//! kv-server's command line: what was typed, and what it means.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::error::ErrorKind;
use clap::{Command, FromArgMatches, ValueEnum};
use kv_core::data_dir::Durability;
use kv_core::engine::EvictionPolicy;
use log::LevelFilter;

use crate::config::{Config, Limits, MemoryLimit, PORT_DEFAULT};
use crate::config_file;
use crate::repair;
use crate::server::{Server, ServerError};
use crate::settings::{parse_bytes, policy_names};

/// What the port is unless it is typed. To clap a variable would be as good as typed, and so a
/// conflict with the positional port.
static PORT_FROM_ENVIRONMENT: LazyLock<String> =
    LazyLock::new(|| std::env::var("KV_PORT").unwrap_or_else(|_| PORT_DEFAULT.to_string()));

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
  kv-server --data-dir D --repair              checks a store that was refused
  kv-server --config /etc/kv-server.conf       with what the file says

Stop it with SIGTERM or SIGINT (replies are finished first, a second signal is immediate),
or with `kv-cli end` on the same machine.")]
pub struct Args {
    /// Settings that are not typed: a file with lines of a flag's name and its value, such as
    /// `port 7000`; what is typed wins over the environment, and that over the file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// TCP port; the same as --port
    #[arg(value_name = "PORT", conflicts_with = "port")]
    positional_port: Option<u16>,

    /// TCP port; 0 chooses a free one; the environment's `KV_PORT` says it too
    #[arg(long, short, default_value = PORT_FROM_ENVIRONMENT.as_str())]
    port: u16,

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
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    timeout: u64,

    /// Seconds in which a request that has begun must arrive, plus one for each 16 KiB of it
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    partial_timeout: u64,

    /// Largest key or value in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 536_870_912, value_parser = clap::value_parser!(u64).range(1_048_576..=536_870_912))]
    proto_max_bulk_len: u64,

    /// Bytes of memory that the keys may take, with kb, mb or gb behind it if you like; 0: no limit
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = parse_memory)]
    maxmemory: usize,

    /// What goes when --maxmemory is reached: noeviction (writes are refused), allkeys-lru,
    /// allkeys-random, volatile-lru, volatile-random or volatile-ttl
    #[arg(long, value_name = "POLICY", default_value = "noeviction", value_parser = parse_policy)]
    maxmemory_policy: EvictionPolicy,

    /// Keys looked at for each that goes; the more, the better the choice and the slower
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(i32::MAX)))]
    maxmemory_samples: u32,

    /// Bytes of replies that may wait for a client that does not read them; with more, its next
    /// request closes it
    #[arg(long, value_name = "BYTES", default_value_t = 67_108_864, value_parser = clap::value_parser!(u64).range(1_048_576..))]
    output_limit: u64,

    /// The same, for a client that stays above it for a minute
    #[arg(long, value_name = "BYTES", default_value_t = 16_777_216, value_parser = clap::value_parser!(u64).range(1_048_576..))]
    output_soft_limit: u64,

    /// Seconds of silence before a TCP connection is probed; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    tcp_keepalive: u64,

    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value_t = 511, value_parser = clap::value_parser!(i32).range(1..))]
    tcp_backlog: i32,

    /// Folder in which the store is kept, and from which it is recovered at the start
    #[arg(long, value_name = "DIR", env = "KV_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Check the store in --data-dir, say what is damaged and what repairing it would drop, and end
    #[arg(long, requires = "data_dir")]
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

    /// How much to log: error, warn, info, debug
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    loglevel: LevelFilter,

    /// Log to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// Commands that take at least so many microseconds are shown by SLOWLOG GET; -1: none
    #[arg(long, value_name = "MICROSECONDS", default_value_t = 10_000, allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    slowlog_log_slower_than: i64,

    /// Slow commands that are remembered
    #[arg(long, value_name = "N", default_value_t = 128)]
    slowlog_max_len: u32,

    /// Record each request and its result in this file (`-`: standard error)
    #[arg(long, value_name = "FILE")]
    log_requests: Option<PathBuf>,

    /// Print `ready HOST:PORT` or `ready unix:PATH` on standard output, a line for each
    #[arg(long)]
    announce: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum YesNo {
    Yes,
    No,
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
        let parse = |command: Command| {
            Self::from_arg_matches(&command.get_matches_from(words.clone()))
                .unwrap_or_else(|error| error.exit())
        };
        let typed = parse(command.clone());
        let Some(path) = &typed.config else { return typed };
        match config_file::with_defaults(command.clone(), path) {
            Ok(command) => parse(command),
            Err(error) => command.clone().error(ErrorKind::InvalidValue, error).exit(),
        }
    }

    /// What was typed, as settings.
    ///
    /// # Errors
    /// When an address is none; the message says what one looks like.
    pub fn config(&self) -> anyhow::Result<Config> {
        let bind = match self.bind.as_slice() {
            [none] if none == "none" => Vec::new(),
            addresses => addresses.iter().map(|text| parse_ip(text)).collect::<Result<_, _>>()?,
        };
        if bind.is_empty() && self.unixsocket.is_none() {
            bail!("--bind none leaves nothing to listen on: give --unixsocket PATH");
        }
        if self.requirepass.as_deref() == Some("") {
            bail!("--requirepass is empty: leave it out for no password");
        }
        let durability = self.durability();
        if durability != Durability::None && self.data_dir.is_none() {
            bail!(ServerError::NoDataDir(durability));
        }
        let seconds = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
        Ok(Config {
            bind,
            port: self.positional_port.unwrap_or(self.port),
            unix_socket: self.unixsocket.clone(),
            password: self.requirepass.clone(),
            protected_mode: self.protected_mode == YesNo::Yes,
            allow_shutdown: self.allow_shutdown,
            limits: Limits {
                clients_max: self.maxclients as usize,
                bulk_bytes_max: self.proto_max_bulk_len as usize,
                output_bytes_max: self.output_limit as usize,
                output_soft_bytes_max: self.output_soft_limit as usize,
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

    fn init_log(&self) -> anyhow::Result<()> {
        let mut builder = env_logger::Builder::new();
        // CONFIG SET may ask for more later; until then the limit below keeps the rest away.
        builder.filter_level(LevelFilter::Trace).format_target(false);
        if let Some(path) = &self.log_file {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(path)
                .with_context(|| format!("cannot open the log file {}", path.display()))?;
            builder.target(env_logger::Target::Pipe(Box::new(file)));
        }
        // A program that embeds the server may have its own logger already.
        if builder.try_init().is_ok() {
            log::set_max_level(self.loglevel);
        }
        Ok(())
    }
}

fn parse_memory(text: &str) -> Result<usize, String> {
    let bytes = parse_bytes(text.as_bytes()).and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| "write it like 100mb, 2gb or 5000000".to_owned())
}

fn parse_policy(text: &str) -> Result<EvictionPolicy, String> {
    text.parse().map_err(|_| format!("it is one of {}", policy_names()))
}

fn parse_ip(text: &str) -> anyhow::Result<IpAddr> {
    let text = text.trim();
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    text.parse().with_context(|| {
        format!("--bind takes IP addresses such as 127.0.0.1, 0.0.0.0 or ::1, not '{text}'")
    })
}

/// The server could not start or go on.
const EXIT_FAILED: u8 = 1;

/// The command line makes no sense, as clap's own errors say with the same code.
const EXIT_USAGE: u8 = 2;

/// Runs a server as the command line says, to its end.
pub fn serve(args: &Args) -> ExitCode {
    let fail = |error: &anyhow::Error, code: u8| {
        // The exit code says it too, and there is nowhere left to complain.
        let _ = writeln!(io::stderr(), "kv-server: {error:#}");
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
    args.init_log()?;
    let mut server = Server::bind(config)?;
    server.shutdown().on_signals().context("cannot handle signals")?;
    let tcp = server.local_addrs().into_iter().map(|address| address.to_string());
    let unix = config.unix_socket.iter().map(|path| format!("unix:{}", path.display()));
    let addresses: Vec<String> = tcp.chain(unix).collect();
    if config.durability == Durability::None {
        log::warn!("durability none: what is in the store ends with this process");
    }
    let announce_addresses = args.announce;
    server.on_ready(move || {
        for address in &addresses {
            log::info!("ready on {address}");
        }
        let lines: Vec<String> =
            addresses.iter().map(|address| format!("ready {address}\n")).collect();
        if announce_addresses && let Err(error) = announce(&lines.concat()) {
            log::error!("cannot announce the address: {error}");
        }
    });
    server.run()?;
    Ok(())
}
