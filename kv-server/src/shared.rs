//! What all threads of a server share.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::utils::CachePadded;
use kv_core::Engine;
use kv_core::data_dir::Durability;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::clients::Clients;
use crate::complaint::Complaint;
use crate::config::{AuthClients, Config, Limits};
use crate::config_rewrite::Kept;
use crate::listener::Ports;
use crate::log_file::LogFiles;
use crate::monitor::Monitors;
use crate::pause::Pause;
use crate::persistence::Persistence;
use crate::request_log::RequestLog;
use crate::session::Rests;
use crate::shutdown::Shutdown;
use crate::slowlog::Slowlog;

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) persistence: Persistence,
    pub(crate) clients: Arc<Clients>,
    pub(crate) settings: Settings,
    /// What of them the configuration file holds.
    pub(crate) kept: Kept,
    pub(crate) stats: Stats,
    pub(crate) slowlog: Slowlog,
    pub(crate) pause: Pause,
    pub(crate) monitors: Monitors,
    pub(crate) shutdown: Shutdown,
    pub(crate) rests: Rests,
    pub(crate) request_log: Option<RequestLog>,
    pub(crate) log_files: LogFiles,
    /// About clients that come to nothing, of whom there may be many.
    pub(crate) complaint: Complaint,
    pub(crate) started_at: Instant,
    /// Whole seconds since then, as of the last tick: coarse, so that who is active costs no clock,
    /// and unmoved by what happens to the time of day.
    pub(crate) uptime_s: CachePadded<AtomicU32>,
    /// 40 hexadecimal digits, different for every start, as Redis' `run_id`.
    pub(crate) run_id: String,
    /// The ports that were bound; 0 without one.
    pub(crate) ports: Ports,
}

/// Settings as they are now; `settings` is how they are read and changed by name.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) clients_max: AtomicUsize,
    pub(crate) idle_s: AtomicU64,
    pub(crate) protected_mode: AtomicBool,
    pub(crate) data_dir: String,
    pub(crate) durability: Durability,
    pub(crate) snapshot_interval_s: AtomicU64,
    pub(crate) allow_shutdown: AtomicBool,
    pub(crate) output_bytes_max: AtomicUsize,
    pub(crate) output_soft_bytes_max: AtomicUsize,
    pub(crate) output_soft_s: AtomicU64,
    pub(crate) partial_s: AtomicU64,
    pub(crate) tcp_keepalive_s: AtomicU64,
    pub(crate) tcp_backlog: i32,
    pub(crate) bind: String,
    pub(crate) unix_socket: String,
    pub(crate) tls_cert_file: String,
    pub(crate) tls_key_file: String,
    pub(crate) tls_ca_cert_file: String,
    pub(crate) tls_auth_clients: AuthClients,
    pub(crate) log_file: String,
    pub(crate) log_requests: String,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) overruling: BTreeMap<String, String>,
    password: RwLock<Option<Password>>,
}

/// The password, as it is shown to who has given it, and as it is compared.
struct Password {
    text: Vec<u8>,
    digest: [u8; 32],
}

impl Password {
    fn new(text: Vec<u8>) -> Self {
        let digest = Sha256::digest(&text).into();
        Self { text, digest }
    }

    /// Digests have one length, so that all of them are always compared.
    fn is(&self, given: &[u8]) -> bool {
        self.digest.ct_eq(Sha256::digest(given).as_slice()).into()
    }
}

/// What shows settings shows no password.
impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Figures that belong to no single connection.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) connections_rejected: AtomicU64,
    pub(crate) output_limit_closed: AtomicU64,
    pub(crate) input_limit_closed: AtomicU64,
    /// Connections that ended before their TLS handshake did.
    pub(crate) tls_failed: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) ops_per_s: AtomicU64,
}

impl Settings {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = config.limits;
        let bind: Vec<String> = config.bind.iter().map(ToString::to_string).collect();
        let shown = |path: &Option<PathBuf>| {
            path.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
        };
        Self {
            limits,
            clients_max: AtomicUsize::new(limits.clients_max),
            idle_s: AtomicU64::new(limits.idle_time.map_or(0, |time| time.as_secs())),
            protected_mode: AtomicBool::new(config.protected_mode),
            data_dir: shown(&config.data_dir),
            durability: config.durability,
            snapshot_interval_s: AtomicU64::new(config.snapshot_interval.as_secs()),
            allow_shutdown: AtomicBool::new(config.allow_shutdown),
            output_bytes_max: AtomicUsize::new(limits.output_bytes_max),
            output_soft_bytes_max: AtomicUsize::new(limits.output_soft_bytes_max),
            output_soft_s: AtomicU64::new(limits.output_soft_time.as_secs()),
            partial_s: AtomicU64::new(limits.partial_time.as_secs()),
            tcp_keepalive_s: AtomicU64::new(config.tcp_keepalive.map_or(0, |time| time.as_secs())),
            tcp_backlog: config.tcp_backlog,
            bind: bind.join(" "),
            unix_socket: shown(&config.unix_socket),
            tls_cert_file: shown(&config.tls.as_ref().map(|tls| tls.cert_file.clone())),
            tls_key_file: shown(&config.tls.as_ref().map(|tls| tls.key_file.clone())),
            tls_ca_cert_file: shown(&config.tls.as_ref().and_then(|tls| tls.ca_cert_file.clone())),
            tls_auth_clients: config.tls.as_ref().map_or(AuthClients::Yes, |tls| tls.auth_clients),
            log_file: shown(&config.log_file),
            log_requests: shown(&config.request_log),
            config_file: config.config_file.clone(),
            overruling: config.overruling.clone(),
            password: RwLock::new(
                config.password.clone().map(|text| Password::new(text.into_bytes())),
            ),
        }
    }

    /// How long a request that has begun may take, before what it has brought is looked at.
    pub(crate) fn partial_time(&self) -> Duration {
        Duration::from_secs(self.partial_s.load(Ordering::Relaxed))
    }

    /// How long replies beyond the soft limit may wait.
    pub(crate) fn output_soft_time(&self) -> Duration {
        Duration::from_secs(self.output_soft_s.load(Ordering::Relaxed))
    }

    pub(crate) fn has_password(&self) -> bool {
        self.password.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    pub(crate) fn set_password(&self, password: Option<Vec<u8>>) {
        *self.password.write().unwrap_or_else(PoisonError::into_inner) =
            password.map(Password::new);
    }

    /// Compares in a time that tells nothing of the password, nor of its length.
    pub(crate) fn is_password(&self, given: &[u8]) -> bool {
        let password = self.password.read().unwrap_or_else(PoisonError::into_inner);
        password.as_ref().is_some_and(|password| password.is(given))
    }

    pub(crate) fn password(&self) -> Vec<u8> {
        let password = self.password.read().unwrap_or_else(PoisonError::into_inner);
        password.as_ref().map(|password| password.text.clone()).unwrap_or_default()
    }
}

impl Stats {
    pub(crate) fn reset(&self) {
        for counter in [
            &self.connections_accepted,
            &self.connections_rejected,
            &self.output_limit_closed,
            &self.input_limit_closed,
            &self.tls_failed,
            &self.expired,
        ] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

/// A number for this start of the server, from its clock and process number.
pub(crate) fn new_run_id() -> String {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    format!("{:032x}{:08x}", nanos, std::process::id())
}
