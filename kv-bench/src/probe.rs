//! One look at a server before it is driven: does it answer, and who is it?

mod memcached;
mod redis_cluster;

pub(crate) use redis_cluster::{Slots, slots_of};

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kv_core::client::{self, Client, ClientError, ConnectOptions};
use kv_core::resp::reply::{ReplyError, Value};

use crate::cpu::process_age_s;
use crate::scenario::is_local;
use crate::target::{Address, Endpoint, Protocol};

/// A tunnel or a container makes a foreign server look local, and its process number is then that
/// of somebody else here. Only a process as old as the server says it is passes for it, within the
/// whole seconds in which the server counts and the time until it begins to.
const AGE_GAP_S_MAX: f64 = 2.0;

/// Why a server cannot be driven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("{0}")]
    Client(ClientError),
    #[error("no server listens on the socket {}: {}", path.display(), no_socket(path, cause, *protocol))]
    Socket { path: PathBuf, cause: io::Error, protocol: Protocol },
    #[error("{name} wants a password: {message} (give it as {form})")]
    Login { name: String, message: String, form: &'static str },
    #[error(
        "{0} does not speak RESP but answers as a memcached does (which is memcached://host:port)"
    )]
    NoResp(String),
    #[error(
        "{0} wants no login, and would store it as a value: leave user:password@ out, or start it \
         with a file of logins (memcached -Y FILE)"
    )]
    NoLogin(String),
    #[error(
        "{name} is no memcached that knows the meta commands: it answered mn with '{answer}' and not \
         with MN (memcached does since 1.6.10; a server that speaks RESP is redis://host:port)"
    )]
    NoMemcached { name: String, answer: String },
    #[error("{name} is no node of a cluster: {message} (a server by itself is redis://host:port)")]
    NoCluster { name: String, message: String },
    #[error("{name} names a node of its cluster that cannot be found: {node}")]
    UnknownNode { name: String, node: String },
    #[error(
        "{name} is a node of a cluster and has a part of the keys: drive the cluster as \
         redis-cluster://host:port, of any of its nodes"
    )]
    PartOfCluster { name: String },
    #[error("{name} is still loading its data: {message} (try again when it has finished)")]
    Loading { name: String, message: String },
    #[error("{name} refuses: {message}")]
    Refused { name: String, message: String },
}

impl ProbeError {
    /// A client's error, with what is known of the address.
    fn of(error: ClientError, endpoint: &Endpoint) -> Self {
        match (error, &endpoint.address) {
            (ClientError::Connect { cause, .. }, Address::Unix(path)) => {
                Self::Socket { path: path.clone(), cause, protocol: endpoint.protocol }
            }
            // Of the ERROR that a memcached has for each of our lines.
            (ClientError::Protocol { cause: ReplyError::UnknownType(b'E'), .. }, _) => {
                Self::NoResp(endpoint.name.clone())
            }
            (error, _) => Self::Client(error),
        }
    }

    /// Whether it looks like a server that is about to start: nobody listens there yet, or it loads.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            // Most likely one slash is missing: nobody starts a server there meanwhile.
            Self::Socket { path, .. } if path.is_relative() => false,
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
    /// Bytes of key and value together that it stores at most, where it tells.
    pub(crate) item_bytes_max: Option<u64>,
}

impl Identity {
    /// kv-core in this process, which has no process of its own to be looked at.
    pub(crate) fn of_engine() -> Self {
        let version = concat!("kv-core ", env!("CARGO_PKG_VERSION"), " (in process, no network)");
        Self { version: version.to_owned(), ..Self::default() }
    }
}

/// Connects, logs in, and asks who is there.
pub(crate) fn probe(endpoint: &Endpoint, timeout: Duration) -> Result<Identity, ProbeError> {
    match endpoint.protocol {
        _ if endpoint.address == Address::InProcess => Ok(Identity::of_engine()),
        Protocol::Resp | Protocol::RedisCluster => probe_resp(endpoint, timeout),
        Protocol::Memcached => memcached::probe(endpoint, timeout),
    }
}

fn client_address(address: &Address) -> client::Address {
    match address {
        Address::Tcp(socket) => client::Address::tcp(&socket.ip().to_string(), socket.port()),
        Address::Unix(path) => client::Address::unix(path),
        // Nobody is there: it is not asked.
        Address::InProcess => client::Address::unix(address.to_string()),
    }
}

fn connect(endpoint: &Endpoint, timeout: Duration) -> Result<Client, ProbeError> {
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
    let address = client_address(&endpoint.address);
    Client::connect(&address, &options).map_err(|error| ProbeError::of(error, endpoint))
}

fn probe_resp(endpoint: &Endpoint, timeout: Duration) -> Result<Identity, ProbeError> {
    let mut client = connect(endpoint, timeout)?;
    let no_client = |error| ProbeError::of(error, endpoint);
    if let Value::Error(message) = client.call(&["PING"]).map_err(no_client)? {
        return Err(refusal(&endpoint.name, &message));
    }
    // A server without INFO is driven all the same.
    let info = match client.call(&["INFO", "server"]) {
        Ok(Value::Bulk(text)) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    };
    if endpoint.protocol == Protocol::Resp && redis_cluster::has_a_part(&info, &mut client) {
        return Err(ProbeError::PartOfCluster { name: endpoint.name.clone() });
    }
    Ok(identify(&info, is_local(&endpoint.address)))
}

/// Why, and what would do.
fn no_socket(path: &Path, cause: &io::Error, protocol: Protocol) -> String {
    let why = match cause.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::ConnectionRefused => "its server has ended, or it is no socket".to_owned(),
        _ => cause.to_string(),
    };
    if path.is_relative() {
        return format!("{why} in this folder (an absolute path has three slashes: unix:///...)");
    }
    let server = match protocol {
        Protocol::Resp | Protocol::RedisCluster => "kv-server --unixsocket",
        Protocol::Memcached => "memcached -s",
    };
    format!("{why} (a server that does: {server} {})", path.display())
}

fn refusal(name: &str, message: &[u8]) -> ProbeError {
    let name = name.to_owned();
    let message = String::from_utf8_lossy(message).into_owned();
    match message.split(' ').next() {
        Some("NOAUTH") => {
            let form = "redis://[user:]password@host:port";
            ProbeError::Login { name, message, form }
        }
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
    let pid = field("process_id").and_then(|pid| pid.parse().ok());
    let pid = pid.filter(|&pid| local && is_it(pid, uptime_s));
    Identity { version, pid, item_bytes_max: None }
}

/// Whether a process here is as old as a server says it is.
fn is_it(pid: u32, uptime_s: Option<f64>) -> bool {
    let gap_s = process_age_s(pid).zip(uptime_s).map(|(age_s, up_s)| (age_s - up_s).abs());
    gap_s.is_some_and(|gap_s| gap_s <= AGE_GAP_S_MAX)
}
