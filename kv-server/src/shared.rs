//! What all threads of a server share.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam::utils::CachePadded;
use kv_core::Engine;
use subtle::ConstantTimeEq;

use crate::clients::Clients;
use crate::config::{Config, Limits};
use crate::pause::Pause;
use crate::request_log::RequestLog;
use crate::shutdown::Shutdown;
use crate::slowlog::Slowlog;

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) clients: Arc<Clients>,
    pub(crate) settings: Settings,
    pub(crate) stats: Stats,
    pub(crate) slowlog: Slowlog,
    pub(crate) pause: Pause,
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

/// Settings that `CONFIG SET` may change.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) clients_max: AtomicUsize,
    pub(crate) idle_s: AtomicU64,
    pub(crate) protected_mode: AtomicBool,
    pub(crate) allow_shutdown: bool,
    pub(crate) tcp_keepalive_s: u64,
    pub(crate) tcp_backlog: i32,
    pub(crate) bind: String,
    pub(crate) unix_socket: String,
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
        let bind: Vec<String> = config.bind.iter().map(ToString::to_string).collect();
        let unix_socket = config.unix_socket.as_ref();
        Self {
            limits: config.limits,
            clients_max: AtomicUsize::new(config.limits.clients_max),
            idle_s: AtomicU64::new(config.limits.idle_time.map_or(0, |time| time.as_secs())),
            protected_mode: AtomicBool::new(config.protected_mode),
            allow_shutdown: config.allow_shutdown,
            tcp_keepalive_s: config.tcp_keepalive.map_or(0, |time| time.as_secs()),
            tcp_backlog: config.tcp_backlog,
            bind: bind.join(" "),
            unix_socket: unix_socket.map(|path| path.display().to_string()).unwrap_or_default(),
            password: RwLock::new(config.password.clone().map(String::into_bytes)),
        }
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
