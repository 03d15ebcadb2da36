//! Where a server is, and what it is called.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A server's address: `host:port`, `[::1]:6379`, `/path/to/socket` or `unix:///path/to/socket`, each
/// with an optional `name=` in front. Without one, the address itself is the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    name: String,
    endpoint: Endpoint,
}

/// The part of an address that connects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Host name or IP address (IPv6 without brackets), and port.
    Tcp(String, u16),
    /// Path of a Unix socket.
    Unix(PathBuf),
}

/// A text that is no [`Address`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Nothing, or nothing behind `name=`.
    #[error("empty address: write host:port or /path/to/socket")]
    Empty,
    /// A host alone.
    #[error("address '{0}' has no port: write host:port")]
    NoPort(String),
    /// A port alone.
    #[error("address '{0}' has no host: write host:port")]
    NoHost(String),
    /// Not a number from 1 to 65535.
    #[error("address '{0}' has no valid port: it is a number from 1 to 65535")]
    Port(String),
    /// An IPv6 address whose end cannot be told from its port.
    #[error("address '{0}' is ambiguous: write IPv6 as [::1]:6379")]
    Ipv6(String),
    /// `=host:port`.
    #[error("address '{0}' has an empty name: write name=host:port")]
    Name(String),
}

impl Address {
    /// The address of a TCP port, named `host:port`.
    pub fn tcp(host: &str, port: u16) -> Self {
        let endpoint = Endpoint::Tcp(host.to_owned(), port);
        Self { name: endpoint.to_string(), endpoint }
    }

    /// The address of a Unix socket, named by its path.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        let endpoint = Endpoint::Unix(path.into());
        Self { name: endpoint.to_string(), endpoint }
    }

    /// The same place under another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// What rings place keys by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where to connect.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

/// `host:port`, or `name (host:port)` where it has a name of its own.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.endpoint.to_string();
        if place == self.name { f.write_str(&place) } else { write!(f, "{} ({place})", self.name) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Endpoint::Tcp(host, port) => write!(f, "{host}:{port}"),
            Endpoint::Unix(path) => path.display().fmt(f),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        // A path may contain '=', a name contains neither of these.
        match text.split_once('=') {
            Some(("", _)) => Err(AddressError::Name(text.to_owned())),
            Some((name, place)) if !name.contains(['/', ':']) => {
                Ok(Self { name: name.to_owned(), endpoint: place.parse()? })
            }
            _ => {
                let endpoint: Endpoint = text.parse()?;
                Ok(Self { name: endpoint.to_string(), endpoint })
            }
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let path = text.strip_prefix("unix://").unwrap_or(text);
        if path.starts_with('/') {
            return Ok(Endpoint::Unix(PathBuf::from(path)));
        }
        if path.is_empty() {
            return Err(AddressError::Empty);
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        if bare.is_none() && host.contains([':', '[', ']']) {
            return Err(AddressError::Ipv6(text.to_owned()));
        }
        let host = bare.unwrap_or(host);
        if host.is_empty() {
            return Err(AddressError::NoHost(text.to_owned()));
        }
        let port = port.parse().ok().filter(|&port| port != 0);
        let port = port.ok_or_else(|| AddressError::Port(text.to_owned()))?;
        Ok(Endpoint::Tcp(host.to_owned(), port))
    }
}
