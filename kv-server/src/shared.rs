//! What all threads of a server share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::utils::CachePadded;
use kv_core::Engine;
use kv_core::data_dir::Durability;
use subtle::ConstantTimeEq;

use crate::clients::Clients;
use crate::config::{Config, Limits};
use crate::config_rewrite::Kept;
use crate::monitor::Monitors;
use crate::pause::Pause;
use crate::persistence::Persistence;
use crate::request_log::RequestLog;
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
    pub(crate) request_log: Option<RequestLog>,
    pub(crate) started_at: Instant,
    /// Whole seconds since then, as of the last tick: coarse, so that who is active costs no clock,
    /// and unmoved by what happens to the time of day.
    pub(crate) uptime_s: CachePadded<AtomicU32>,
    /// 40 hexadecimal digits, different for every start, as Redis' `run_id`.
    pub(crate) run_id: String,
    /// The TCP port that was bound; 0 without one.
    pub(crate) port: u16,
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
    pub(crate) log_file: String,
    pub(crate) log_requests: String,
    pub(crate) config_file: Option<PathBuf>,
    password: RwLock<Option<Vec<u8>>>,
}

/// Figures that belong to no single connection.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    pub(crate) connections_accepted: AtomicU64,
    pub(crate) connections_rejected: AtomicU64,
    pub(crate) output_limit_closed: AtomicU64,
    pub(crate) input_limit_closed: AtomicU64,
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
            log_file: shown(&config.log_file),
            log_requests: shown(&config.request_log),
            config_file: config.config_file.clone(),
            password: RwLock::new(config.password.clone().map(String::into_bytes)),
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
        *self.password.write().unwrap_or_else(PoisonError::into_inner) = password;
    }

    /// Compares in a time that tells nothing of the password but its length.
    pub(crate) fn is_password(&self, given: &[u8]) -> bool {
        let password = self.password.read().unwrap_or_else(PoisonError::into_inner);
        password.as_ref().is_some_and(|password| password.ct_eq(given).into())
    }

    pub(crate) fn password(&self) -> Vec<u8> {
        self.password.read().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}

impl Stats {
    pub(crate) fn reset(&self) {
        for counter in [
            &self.connections_accepted,
            &self.connections_rejected,
            &self.output_limit_closed,
            &self.input_limit_closed,
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
