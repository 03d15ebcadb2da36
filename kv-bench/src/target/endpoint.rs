//! Addresses of servers as users type them: `redis://user:pass@host:port/db`, `rediss://…` with TLS,
//! `unix://path`, `memcached://user:pass@host:port`, `memcached:///path`,
//! `redis-cluster://user:pass@host:port,host:port` (`rediss-cluster://` with TLS), `host:port`,
//! `name=host:port`.

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use kv_core::tls::{TlsConnector, TlsOptions, TlsOptionsError};

use super::Address;

/// The port of `redis://host` without one.
const REDIS_PORT: u16 = 6379;
/// The port of `memcached://host` without one.
const MEMCACHED_PORT: u16 = 11211;

/// What the addresses of a cluster begin with, without TLS and with it.
const CLUSTER_SCHEME: &str = "redis-cluster";
const CLUSTER_TLS_SCHEME: &str = "rediss-cluster";

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Resp,
    Memcached,
    /// RESP, and keys that may move between its nodes.
    RedisCluster,
}

/// What a server wants to know before it answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub username: Option<String>,
    pub password: Option<String>,
    pub database: u32,
    /// Encrypts each connection; made for this server's name.
    pub tls: Option<TlsConnector>,
}

/// A server to connect to: its name in reports and on the ring, its address, its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub address: Address,
    pub protocol: Protocol,
    pub credentials: Credentials,
}

/// Why an address was refused.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(
        "'{text}' is not an address: {problem} (valid: host:port, redis[s]://[user:password@]host:port[/db], unix:///path/to.sock, memcached://[user:password@]host[:port], memcached:///path/to.sock, redis[s]-cluster://[user:password@]host:port[,host:port...], engine:)"
    )]
    Form { text: String, problem: &'static str },
    #[error(
        "'{text}': {scheme}:// targets are not supported by this version (supported: redis://, rediss://, unix://, memcached://, redis-cluster://, rediss-cluster://, engine:, host:port)"
    )]
    Scheme { text: String, scheme: String },
    #[error("'{text}': no TLS: {source}")]
    Tls { text: String, source: TlsOptionsError },
    #[error(
        "cannot find host '{host}': {source} (see whether it is spelt so, or give its address)"
    )]
    Resolve { host: String, source: std::io::Error },
}

impl Endpoint {
    /// The engine in this process, which is called and listens nowhere.
    pub fn in_process() -> Self {
        Self {
            name: "engine".to_owned(),
            address: Address::InProcess,
            protocol: Protocol::Resp,
            credentials: Credentials::default(),
        }
    }

    /// Reads one address and looks its host up.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        Self::parse_with(text, &TlsOptions::default())
    }

    /// The same, with what `rediss://` is to trust and to show.
    pub fn parse_with(text: &str, tls: &TlsOptions) -> Result<Self, EndpointError> {
        let (name, rest) = split_name(text);
        let mut endpoint = match rest.split_once("://") {
            Some(("redis", rest)) => parse_redis(text, rest),
            Some(("rediss", rest)) => parse_rediss(text, rest, tls),
            Some(("unix", path)) => parse_unix(text, path),
            Some(("memcached", rest)) => parse_memcached(text, rest),
            Some((CLUSTER_SCHEME, rest)) => parse_cluster(text, parse_redis(text, rest)?),
            Some((CLUSTER_TLS_SCHEME, rest)) => parse_cluster(text, parse_rediss(text, rest, tls)?),
            Some((scheme, _)) => {
                Err(EndpointError::Scheme { text: redacted(text), scheme: scheme.to_owned() })
            }
            None => parse_host(text, rest, None),
        }?;
        if let Some(name) = name {
            name.clone_into(&mut endpoint.name);
        }
        Ok(endpoint)
    }
}

/// The address without its password: for messages and results.
pub fn redacted(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => text.to_owned(),
    }
}

/// A name before `=`; a `=` inside a URL's password is not one.
fn split_name(text: &str) -> (Option<&str>, &str) {
    match text.split_once('=') {
        Some((name, rest)) if !name.is_empty() && !name.contains([':', '/', '@']) => {
            (Some(name), rest)
        }
        _ => (None, text),
    }
}

fn form(text: &str, problem: &'static str) -> EndpointError {
    EndpointError::Form { text: redacted(text), problem }
}

fn parse_redis(text: &str, rest: &str) -> Result<Endpoint, EndpointError> {
    let (login, rest) = split_login(text, rest)?;
    let (host, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = match database {
        "" => 0,
        digits => digits.parse().map_err(|_| form(text, "the database is not a number"))?,
    };
    let mut endpoint = parse_host(text, host, Some(REDIS_PORT))?;
    endpoint.credentials = Credentials { database, ..login };
    Ok(endpoint)
}

/// Takes `user:password@` or `password@` off the front.
fn split_login<'a>(text: &str, rest: &'a str) -> Result<(Credentials, &'a str), EndpointError> {
    let Some((login, rest)) = rest.rsplit_once('@') else {
        return Ok((Credentials::default(), rest));
    };
    let (username, password) = login.split_once(':').unwrap_or(("", login));
    let decoded = |part| Ok(Some(decode_percent(text, part)?).filter(|part| !part.is_empty()));
    let credentials = Credentials {
        username: decoded(username)?,
        password: decoded(password)?,
        ..Credentials::default()
    };
    Ok((credentials, rest))
}

fn parse_memcached(text: &str, rest: &str) -> Result<Endpoint, EndpointError> {
    // A path may have an @ in it, a login no slash.
    let is_path = rest.starts_with('/');
    let (credentials, place) = match is_path {
        true => (Credentials::default(), rest),
        false => split_login(text, rest)?,
    };
    check_memcached_login(text, place.len() < rest.len(), &credentials)?;
    let endpoint = if place.starts_with('/') {
        parse_unix(text, place)?
    } else {
        let (host, path) = place.split_once('/').unwrap_or((place, ""));
        if !path.is_empty() {
            return Err(form(text, "memcached has no databases, and a socket's path has no host"));
        }
        parse_host(text, host, Some(MEMCACHED_PORT))?
    };
    Ok(Endpoint { protocol: Protocol::Memcached, credentials, ..endpoint })
}

/// memcached wants both, as two words of one line.
fn check_memcached_login(
    text: &str,
    given: bool,
    credentials: &Credentials,
) -> Result<(), EndpointError> {
    if !given {
        return Ok(());
    }
    let (Some(user), Some(password)) = (&credentials.username, &credentials.password) else {
        return Err(form(text, "memcached's login is a user and a password"));
    };
    if user.chars().chain(password.chars()).any(|c| c == ' ' || c.is_control()) {
        return Err(form(text, "memcached's login has no spaces and no control characters"));
    }
    Ok(())
}

/// One node of a cluster, which knows the others.
fn parse_cluster(text: &str, endpoint: Endpoint) -> Result<Endpoint, EndpointError> {
    if endpoint.credentials.database != 0 {
        return Err(form(text, "a cluster has database 0 alone"));
    }
    Ok(Endpoint { protocol: Protocol::RedisCluster, ..endpoint })
}

/// The addresses that `text` stands for: `redis-cluster://login@a:1,b:2` names two nodes of a cluster,
/// with the same login. Any other text is one address.
pub(crate) fn seeds(text: &str) -> Vec<String> {
    let Some((scheme @ (CLUSTER_SCHEME | CLUSTER_TLS_SCHEME), rest)) = text.split_once("://")
    else {
        return vec![text.to_owned()];
    };
    let (login, nodes) = rest.rsplit_once('@').map_or(("", rest), |(login, nodes)| (login, nodes));
    let at = if login.is_empty() { "" } else { "@" };
    nodes.split(',').map(|node| format!("{scheme}://{login}{at}{node}")).collect()
}

fn parse_rediss(text: &str, rest: &str, tls: &TlsOptions) -> Result<Endpoint, EndpointError> {
    let mut endpoint = parse_redis(text, rest)?;
    let host = endpoint.name.rsplit_once(':').map_or("", |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let connector = TlsConnector::new(tls).and_then(|connector| connector.for_host(host));
    let no_tls = |source| EndpointError::Tls { text: redacted(text), source };
    endpoint.credentials.tls = Some(connector.map_err(no_tls)?);
    Ok(endpoint)
}

fn parse_unix(text: &str, path: &str) -> Result<Endpoint, EndpointError> {
    if path.is_empty() || path.ends_with('/') {
        return Err(form(text, "the socket's path is missing"));
    }
    let address = Address::Unix(PathBuf::from(path));
    Ok(Endpoint {
        name: address.to_string(),
        address,
        protocol: Protocol::Resp,
        credentials: Credentials::default(),
    })
}

fn parse_host(
    text: &str,
    host: &str,
    default_port: Option<u16>,
) -> Result<Endpoint, EndpointError> {
    let bracket_end = host.rfind(']').map_or(0, |at| at + 1);
    let (name, port) = match (host[bracket_end..].rfind(':'), default_port) {
        (Some(at), _) => {
            let (name, port) = host.split_at(bracket_end + at);
            let port = port[1..].parse().ok().filter(|&port| port != 0);
            (name, port.ok_or_else(|| form(text, "the port is not a number from 1 to 65535"))?)
        }
        (None, Some(port)) => (host, port),
        (None, None) => return Err(form(text, "the port is missing")),
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    if bare.is_empty() {
        return Err(form(text, "the host is missing"));
    }
    let address = (bare, port)
        .to_socket_addrs()
        .and_then(|mut found| found.next().ok_or_else(|| std::io::ErrorKind::NotFound.into()))
        .map_err(|source| EndpointError::Resolve { host: bare.to_owned(), source })?;
    Ok(Endpoint {
        name: format!("{name}:{port}"),
        address: Address::Tcp(address),
        protocol: Protocol::Resp,
        credentials: Credentials::default(),
    })
}

/// Undoes `%40`: passwords in URLs may hold `@`, `/` and `:` only so.
fn decode_percent(text: &str, encoded: &str) -> Result<String, EndpointError> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let byte = encoded_byte(tail).ok_or_else(|| form(text, "a % is not followed by hex"))?;
        bytes.push(byte);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| form(text, "the login is not UTF-8"))
}

fn encoded_byte(digits: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(digits.get(..2)?).ok()?;
    u8::from_str_radix(digits, 16).ok()
}
