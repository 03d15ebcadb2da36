//! What a server is told to be: validated once, then passed around.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use kv_core::data_dir::Durability;
use kv_core::engine::EvictionPolicy;

/// Port of the original system.
pub const PORT_DEFAULT: u16 = 65432;

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Addresses to listen on; empty with `unix_socket` alone.
    pub bind: Vec<IpAddr>,
    /// TCP port; 0 chooses a free one.
    pub port: u16,
    /// Whether that port is listened on.
    pub plain_tcp: bool,
    /// Listen for TLS too.
    pub tls: Option<TlsConfig>,
    pub unix_socket: Option<PathBuf>,
    /// Port on which Prometheus finds metrics; 0 chooses a free one.
    pub metrics_port: Option<u16>,
    /// Clients must give it with `AUTH` or `HELLO`.
    pub password: Option<String>,
    /// Refuse clients from other machines while there is no password.
    pub protected_mode: bool,
    /// Let clients from other machines that need no password stop the server.
    pub allow_shutdown: bool,
    pub limits: Limits,
    pub memory: MemoryLimit,
    pub tcp_keepalive: Option<Duration>,
    pub tcp_backlog: i32,
    /// The folder that the store is kept in.
    pub data_dir: Option<PathBuf>,
    /// What survives what; anything but [`Durability::None`] needs a folder.
    pub durability: Durability,
    /// Time between snapshots in [`Durability::Snapshot`].
    pub snapshot_interval: Duration,
    /// The file that settings came from, for people to know.
    pub config_file: Option<PathBuf>,
    /// Settings that the file cannot change, by name, and what came before it: a flag or a variable.
    pub overruling: BTreeMap<String, String>,
    /// Where the log goes, for people to know.
    pub log_file: Option<PathBuf>,
    /// Commands that take at least so many microseconds go to `SLOWLOG`; negative: none does.
    pub slowlog_slower_than_us: i64,
    /// Slow commands that are remembered.
    pub slowlog_entries_max: usize,
    /// Where each request and its result are recorded.
    pub request_log: Option<PathBuf>,
}

/// TLS on a port of its own. Files are in PEM form.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    /// TCP port; 0 chooses a free one.
    pub port: u16,
    /// Our certificate, and behind it those of the authorities between.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The authorities that sign clients' certificates.
    pub ca_cert_file: Option<PathBuf>,
    pub auth_clients: AuthClients,
}

/// Whether clients have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthClients {
    Yes,
    No,
    /// They need not, but one that is shown has to be good.
    Optional,
}

/// How much memory the keys may take, and what goes when that is reached.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimit {
    /// 0: none.
    pub bytes: usize,
    pub policy: EvictionPolicy,
    /// Keys looked at for each that goes.
    pub samples: usize,
}

impl Default for MemoryLimit {
    fn default() -> Self {
        Self { bytes: 0, policy: EvictionPolicy::NoEviction, samples: 5 }
    }
}

/// What one client, and all of them, may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time.
    pub clients_max: usize,
    /// Bytes in one argument, and so in a key or a value.
    pub bulk_bytes_max: usize,
    /// Bytes of replies that wait for a client to read them.
    pub output_bytes_max: usize,
    /// The same, when they wait for longer than `output_soft_time`.
    pub output_soft_bytes_max: usize,
    pub output_soft_time: Duration,
    /// A client that sends nothing for so long is closed.
    pub idle_time: Option<Duration>,
    /// A request that has begun must be whole within this time, and 16 KiB for each second more.
    pub partial_time: Duration,
    /// A TCP client whose machine acknowledges nothing of what was sent to it for so long is let go.
    pub unacknowledged_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 10_000,
            bulk_bytes_max: 512 * 1024 * 1024,
            output_bytes_max: 64 * 1024 * 1024,
            output_soft_bytes_max: 16 * 1024 * 1024,
            output_soft_time: Duration::from_mins(1),
            idle_time: None,
            partial_time: Duration::from_secs(10),
            unacknowledged_time: Duration::from_secs(30),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: vec![IpAddr::from([127, 0, 0, 1])],
            port: PORT_DEFAULT,
            plain_tcp: true,
            tls: None,
            unix_socket: None,
            metrics_port: None,
            password: None,
            protected_mode: true,
            allow_shutdown: false,
            limits: Limits::default(),
            memory: MemoryLimit::default(),
            tcp_keepalive: Some(Duration::from_mins(5)),
            tcp_backlog: 511,
            data_dir: None,
            durability: Durability::None,
            snapshot_interval: Duration::from_secs(5),
            config_file: None,
            overruling: BTreeMap::new(),
            log_file: None,
            slowlog_slower_than_us: 10_000,
            slowlog_entries_max: 128,
            request_log: None,
        }
    }
}
