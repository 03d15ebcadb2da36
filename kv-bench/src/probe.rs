//! One look at a server before it is driven: does it answer, and who is it?

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kv_core::client::{self, Client, ClientError, ConnectOptions};
use kv_core::resp::reply::Value;

use crate::cpu::process_age_s;
use crate::scenario::is_local;
use crate::target::{Address, Endpoint};

/// A tunnel or a container makes a foreign server look local, and its process number is then that
/// of somebody else here. Only a process as old as the server says it is passes for it, within the
/// whole seconds in which the server counts and the time until it begins to.
const AGE_GAP_S_MAX: f64 = 2.0;

/// Why a server cannot be driven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("{0}")]
    Client(ClientError),
    #[error("no server listens on the socket {}: {}", path.display(), no_socket(path, cause))]
    Socket { path: PathBuf, cause: io::Error },
    #[error("{name} wants a password: {message} (give it as redis://[user:]password@host:port)")]
    Login { name: String, message: String },
    #[error("{name} is still loading its data: {message} (try again when it has finished)")]
    Loading { name: String, message: String },
    #[error("{name} refuses: {message}")]
    Refused { name: String, message: String },
}

impl ProbeError {
    /// Whether it looks like a server that is about to start: nobody listens there yet, or it loads.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Client(ClientError::Connect { cause, .. }) | Self::Socket { cause, .. } => {
                matches!(cause.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
            }
            Self::Loading { .. } => true,
            _ => false,
        }
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Such as `redis 7.0.15`; empty when it does not tell.
    pub(crate) version: String,
    /// Its process, when it runs on this machine.
    pub(crate) pid: Option<u32>,
}

/// Connects, logs in, and asks who is there.
pub(crate) fn probe(endpoint: &Endpoint, timeout: Duration) -> Result<Identity, ProbeError> {
    let address = match &endpoint.address {
        Address::Tcp(socket) => client::Address::tcp(&socket.ip().to_string(), socket.port()),
        Address::Unix(path) => client::Address::unix(path),
    };
    let credentials = endpoint.credentials.clone();
    let options = ConnectOptions {
        connect_timeout: timeout,
        reply_timeout: Some(timeout),
        username: credentials.username,
        password: credentials.password,
        db: credentials.database,
        tls: credentials.tls,
        ..ConnectOptions::default()
    };
    let no_client = |error| match (error, &endpoint.address) {
        (ClientError::Connect { cause, .. }, Address::Unix(path)) => {
            ProbeError::Socket { path: path.clone(), cause }
        }
        (error, _) => ProbeError::Client(error),
    };
    let mut client = Client::connect(&address, &options).map_err(no_client)?;
    if let Value::Error(message) = client.call(&["PING"]).map_err(ProbeError::Client)? {
        return Err(refusal(&endpoint.name, &message));
    }
    // A server without INFO is driven all the same.
    let info = match client.call(&["INFO", "server"]) {
        Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    Ok(identify(&info, is_local(&endpoint.address)))
}

/// Why, and what would do.
fn no_socket(path: &Path, cause: &io::Error) -> String {
    let why = match cause.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::ConnectionRefused => "its server has ended, or it is no socket".to_owned(),
        _ => cause.to_string(),
    };
    if path.is_relative() {
        return format!("{why} in this folder (an absolute path has three slashes: unix:///...)");
    }
    format!("{why} (a server that does: kv-server --unixsocket {})", path.display())
}

fn refusal(name: &str, message: &[u8]) -> ProbeError {
    let name = name.to_owned();
    let message = String::from_utf8_lossy(message).into_owned();
    match message.split(' ').next() {
        Some("NOAUTH") => ProbeError::Login { name, message },
        Some("LOADING") => ProbeError::Loading { name, message },
        _ => ProbeError::Refused { name, message },
    }
}

fn identify(info: &str, local: bool) -> Identity {
    // kv-server and Valkey name the Redis version they are like as well: their own comes first.
    const NAMES: [(&str, &str); 3] = [
        ("kv-server", "kv_server_version"),
        ("valkey", "valkey_version"),
        ("redis", "redis_version"),
    ];
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let version = NAMES
        .into_iter()
        .find_map(|(name, key)| Some(format!("{name} {}", field(key)?)))
        .unwrap_or_default();
    let uptime_s: Option<f64> = field("uptime_in_seconds").and_then(|text| text.parse().ok());
    let is_it = |pid: &u32| {
        let gap_s = process_age_s(*pid).zip(uptime_s).map(|(age_s, up_s)| (age_s - up_s).abs());
        local && gap_s.is_some_and(|gap_s| gap_s <= AGE_GAP_S_MAX)
    };
    let pid = field("process_id").and_then(|pid| pid.parse().ok()).filter(is_it);
    Identity { version, pid }
}
