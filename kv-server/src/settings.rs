//! The settings by name: the one table from which `CONFIG GET` and `CONFIG SET` derive. A setting
//! has the name of its flag, which is also its name in a configuration file; those without a flag
//! say what Redis' clients ask for.

use std::sync::atomic::{AtomicUsize, Ordering};

use kv_core::data_dir::Durability;
use kv_core::engine::EvictionPolicy;
use kv_core::resp::request::parse_i64;
use log::LevelFilter;

use crate::capacity;
use crate::config::AuthClients;
use crate::shared::Shared;

/// One row.
pub(crate) struct Setting {
    pub(crate) name: &'static str,
    pub(crate) get: fn(&Shared) -> String,
    pub(crate) change: Change,
}

/// How a setting changes while the server runs, and what it may become.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Never,
    Number {
        min: i64,
        max: i64,
        set: fn(&Shared, i64),
    },
    /// A number of bytes, with `k`, `mb`, … behind it if you like.
    Bytes {
        min: i64,
        set: fn(&Shared, i64),
    },
    YesNo(fn(&Shared, bool)),
    /// Anything that is checked by its own rule before it is set.
    Text {
        check: fn(&[u8]) -> Result<(), String>,
        set: fn(&Shared, &[u8]),
    },
}

/// Redis' limit for what it keeps in an `int`.
const INT_MAX: i64 = i32::MAX as i64;

macro_rules! setting {
    ($name:literal, $get:expr) => {
        setting!($name, $get, Change::Never)
    };
    ($name:literal, $get:expr, $change:expr) => {
        Setting { name: $name, get: $get, change: $change }
    };
}

/// Every setting, by name.
#[rustfmt::skip]
pub(crate) static SETTINGS: &[Setting] = &[
    setting!("allow-shutdown", |s| yes_no(s.settings.allow_shutdown.load(Ordering::Relaxed)),
        Change::YesNo(|s, on| s.settings.allow_shutdown.store(on, Ordering::Relaxed))),
    setting!("appendfsync", |s| appendfsync(s.settings.durability).to_owned()),
    setting!("appendonly", |s| yes_no(matches!(s.settings.durability, Durability::Os | Durability::Everysec | Durability::Always))),
    setting!("bind", |s| s.settings.bind.clone()),
    setting!("client-output-buffer-limit", output_limits,
        Change::Text { check: check_output_limits, set: set_output_limits }),
    setting!("data-dir", |s| s.settings.data_dir.clone()),
    setting!("databases", |_| kv_core::table::DATABASES.to_string()),
    setting!("durability", |s| s.settings.durability.to_string()),
    setting!("log-file", |s| s.settings.log_file.clone()),
    setting!("log-requests", |s| s.settings.log_requests.clone()),
    setting!("loglevel", |_| log::max_level().to_string().to_lowercase(),
        Change::Text { check: check_level, set: |_, word| log::set_max_level(level(word)) }),
    setting!("maxclients", |s| s.settings.clients_max.load(Ordering::Relaxed).to_string(),
        Change::Text { check: check_clients_max, set: set_clients_max }),
    setting!("maxmemory", |s| s.engine.memory_limit().to_string(),
        Change::Bytes { min: 0, set: |s, bytes| s.engine.set_memory_limit(bytes as usize) }),
    setting!("maxmemory-policy", |s| s.engine.eviction_policy().to_string(),
        Change::Text { check: check_policy, set: |s, word| s.engine.set_eviction_policy(policy(word).unwrap_or_default()) }),
    setting!("maxmemory-samples", |s| s.engine.eviction_samples().to_string(),
        Change::Number { min: 1, max: INT_MAX, set: |s, samples| s.engine.set_eviction_samples(samples as usize) }),
    setting!("metrics-port", |s| s.ports.metrics.to_string()),
    setting!("output-limit", |s| text(&s.settings.output_bytes_max),
        Change::Bytes { min: MIB, set: |s, bytes| store(&s.settings.output_bytes_max, bytes) }),
    setting!("output-soft-limit", |s| text(&s.settings.output_soft_bytes_max),
        Change::Bytes { min: MIB, set: |s, bytes| store(&s.settings.output_soft_bytes_max, bytes) }),
    setting!("output-soft-time", |s| s.settings.output_soft_s.load(Ordering::Relaxed).to_string(),
        Change::Number { min: 0, max: INT_MAX, set: |s, seconds| s.settings.output_soft_s.store(seconds as u64, Ordering::Relaxed) }),
    setting!("partial-timeout", |s| s.settings.partial_s.load(Ordering::Relaxed).to_string(),
        Change::Number { min: 1, max: 86_400, set: |s, seconds| s.settings.partial_s.store(seconds as u64, Ordering::Relaxed) }),
    setting!("port", |s| s.ports.plain.to_string()),
    setting!("proto-max-bulk-len", |s| s.settings.limits.bulk_bytes_max.to_string()),
    setting!("protected-mode", |s| yes_no(s.settings.protected_mode.load(Ordering::Relaxed)),
        Change::YesNo(|s, on| s.settings.protected_mode.store(on, Ordering::Relaxed))),
    setting!("save", |_| String::new()),
    setting!("slowlog-log-slower-than", |s| s.slowlog.slower_than_us.load(Ordering::Relaxed).to_string(),
        Change::Number { min: -1, max: i64::MAX, set: |s, us| s.slowlog.slower_than_us.store(us, Ordering::Relaxed) }),
    setting!("slowlog-max-len", |s| text(&s.slowlog.entries_max),
        Change::Number { min: 0, max: i64::MAX, set: |s, len| store(&s.slowlog.entries_max, len) }),
    setting!("snapshot-interval", |s| s.settings.snapshot_interval_s.load(Ordering::Relaxed).to_string(),
        Change::Number { min: 1, max: 86_400, set: |s, seconds| s.settings.snapshot_interval_s.store(seconds as u64, Ordering::Relaxed) }),
    setting!("tcp-backlog", |s| s.settings.tcp_backlog.to_string()),
    setting!("tcp-keepalive", |s| s.settings.tcp_keepalive_s.load(Ordering::Relaxed).to_string(),
        Change::Number { min: 0, max: INT_MAX, set: |s, seconds| s.settings.tcp_keepalive_s.store(seconds as u64, Ordering::Relaxed) }),
    setting!("tls-auth-clients", |s| auth_clients(s.settings.tls_auth_clients).to_owned()),
    setting!("tls-ca-cert-file", |s| s.settings.tls_ca_cert_file.clone()),
    setting!("tls-cert-file", |s| s.settings.tls_cert_file.clone()),
    setting!("tls-key-file", |s| s.settings.tls_key_file.clone()),
    setting!("tls-port", |s| s.ports.tls.to_string()),
    setting!("timeout", |s| s.settings.idle_s.load(Ordering::Relaxed).to_string(),
        Change::Number { min: 0, max: INT_MAX, set: |s, seconds| s.settings.idle_s.store(seconds as u64, Ordering::Relaxed) }),
    setting!("unixsocket", |s| s.settings.unix_socket.clone()),
];

const MIB: i64 = 1024 * 1024;

fn yes_no(on: bool) -> String {
    if on { "yes" } else { "no" }.to_owned()
}

fn auth_clients(how: AuthClients) -> &'static str {
    match how {
        AuthClients::Yes => "yes",
        AuthClients::No => "no",
        AuthClients::Optional => "optional",
    }
}

/// Redis' word for when a log is synced.
fn appendfsync(durability: Durability) -> &'static str {
    match durability {
        Durability::Always => "always",
        Durability::Os => "no",
        _ => "everysec",
    }
}

fn text(setting: &AtomicUsize) -> String {
    setting.load(Ordering::Relaxed).to_string()
}

fn store(setting: &AtomicUsize, number: i64) {
    setting.store(number as usize, Ordering::Relaxed);
}

impl Change {
    /// Whether the setting may become this, in Redis' words where it may not.
    pub(crate) fn check(self, value: &[u8]) -> Result<(), String> {
        match self {
            Self::Never => Err("can't set immutable config".to_owned()),
            Self::Number { min, max, .. } => match parse_i64(value) {
                Some(number) => check_range(number, min, max),
                None => Err("argument couldn't be parsed into an integer".to_owned()),
            },
            Self::Bytes { min, .. } => match parse_bytes(value) {
                Some(bytes) => check_range(bytes, min, i64::MAX),
                None => Err("argument must be a memory value".to_owned()),
            },
            Self::YesNo(_) => match parse_yes_no(value) {
                Some(_) => Ok(()),
                None => Err("argument must be 'yes' or 'no'".to_owned()),
            },
            Self::Text { check, .. } => check(value),
        }
    }

    /// Changes the setting to what was checked before.
    pub(crate) fn apply(self, shared: &Shared, value: &[u8]) {
        match self {
            Self::Never => {}
            Self::Number { set, .. } => set(shared, parse_i64(value).unwrap_or_default()),
            Self::Bytes { set, .. } => set(shared, parse_bytes(value).unwrap_or_default()),
            Self::YesNo(set) => set(shared, parse_yes_no(value).unwrap_or_default()),
            Self::Text { set, .. } => set(shared, value),
        }
    }
}

fn check_range(number: i64, min: i64, max: i64) -> Result<(), String> {
    match (min..=max).contains(&number) {
        true => Ok(()),
        false => Err(format!("argument must be between {min} and {max} inclusive")),
    }
}

fn parse_yes_no(value: &[u8]) -> Option<bool> {
    match value.to_ascii_lowercase().as_slice() {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// Redis' units: `k` is 1,000 and `kb` is 1,024.
pub(crate) fn parse_bytes(value: &[u8]) -> Option<i64> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let unit: i64 = match value[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1024,
        b"m" => 1_000_000,
        b"mb" => 1024 * 1024,
        b"g" => 1_000_000_000,
        b"gb" => 1024 * 1024 * 1024,
        _ => return None,
    };
    std::str::from_utf8(&value[..digits]).ok()?.parse::<i64>().ok()?.checked_mul(unit)
}

fn policy(word: &[u8]) -> Option<EvictionPolicy> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The eviction policies, for people.
pub(crate) fn policy_names() -> String {
    EvictionPolicy::ALL.map(EvictionPolicy::name).join(", ")
}

fn check_policy(word: &[u8]) -> Result<(), String> {
    let error = || format!("argument(s) must be one of the following: {}", policy_names());
    policy(word).map(drop).ok_or_else(error)
}

/// Whether the system can handle so many clients.
fn check_clients_max(value: &[u8]) -> Result<(), String> {
    let number = Change::Number { min: 1, max: i64::from(u32::MAX), set: |_, _| {} };
    number.check(value)?;
    let clients = parse_i64(value).unwrap_or_default() as usize;
    match capacity::afford(clients).clients {
        affordable if affordable < clients => Err(format!(
            "The operating system is not able to handle the specified number of clients, try \
             with {affordable}"
        )),
        _ => Ok(()),
    }
}

fn set_clients_max(shared: &Shared, value: &[u8]) {
    store(&shared.settings.clients_max, parse_i64(value).unwrap_or_default());
}

fn level(word: &[u8]) -> LevelFilter {
    std::str::from_utf8(word).ok().and_then(|word| word.parse().ok()).unwrap_or(LevelFilter::Info)
}

fn check_level(word: &[u8]) -> Result<(), String> {
    match std::str::from_utf8(word).unwrap_or_default().parse::<LevelFilter>() {
        Ok(_) => Ok(()),
        Err(_) => Err("argument(s) must be one of the following: off, error, warn, info, debug, \
                       trace"
            .to_owned()),
    }
}

/// Redis' other spelling of the output limits; we have one class of clients.
fn output_limits(shared: &Shared) -> String {
    let settings = &shared.settings;
    format!(
        "normal {} {} {}",
        text(&settings.output_bytes_max),
        text(&settings.output_soft_bytes_max),
        settings.output_soft_s.load(Ordering::Relaxed)
    )
}

/// Bytes, bytes and seconds of a client class, `normal` alone.
fn parse_output_limits(value: &[u8]) -> Result<(i64, i64, u64), String> {
    let words: Vec<&[u8]> =
        value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
    let [class, hard, soft, seconds] = words[..] else {
        return Err("Wrong number of arguments in buffer limit configuration.".to_owned());
    };
    if !class.eq_ignore_ascii_case(b"normal") {
        return Err("Invalid client class specified in buffer limit configuration.".to_owned());
    }
    let seconds = parse_i64(seconds).and_then(|seconds| u64::try_from(seconds).ok());
    match (parse_bytes(hard), parse_bytes(soft), seconds) {
        (Some(hard), Some(soft), Some(seconds)) => {
            check_range(seconds as i64, 0, INT_MAX)?;
            check_range(hard, MIB, i64::MAX)?;
            check_range(soft, MIB, i64::MAX)?;
            Ok((hard, soft, seconds))
        }
        _ => {
            Err("Error in hard, soft or soft_seconds setting in buffer limit configuration."
                .to_owned())
        }
    }
}

fn check_output_limits(value: &[u8]) -> Result<(), String> {
    parse_output_limits(value).map(drop)
}

fn set_output_limits(shared: &Shared, value: &[u8]) {
    let Ok((hard, soft, seconds)) = parse_output_limits(value) else { return };
    store(&shared.settings.output_bytes_max, hard);
    store(&shared.settings.output_soft_bytes_max, soft);
    shared.settings.output_soft_s.store(seconds, Ordering::Relaxed);
}
