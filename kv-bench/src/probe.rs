//! One look at a server before it is driven: does it answer, and who is it?

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use kv_core::resp::reply::{ReplyError, Value, decode};

use crate::scenario::is_local;
use crate::target::{Address, Credentials, Endpoint};

/// Why a server cannot be driven.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProbeError {
    #[error("cannot connect to {address}: {cause} (is the server running?)")]
    Connect { address: Address, cause: io::Error },
    #[error("{address} did not answer: {cause}")]
    Silent { address: Address, cause: io::Error },
    #[error("{address} does not speak this protocol: {cause}")]
    Protocol { address: Address, cause: ReplyError },
    #[error("{address} wants a password: {message} (give it as redis://[user:]password@host:port)")]
    Login { address: Address, message: String },
    #[error("{address} is still loading its data: {message} (try again when it has finished)")]
    Loading { address: Address, message: String },
    #[error("{address} refuses: {message}")]
    Refused { address: Address, message: String },
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    /// Such as `redis 7.0.15`; empty when it does not tell.
    pub version: String,
    /// Its process, when it runs on this machine.
    pub pid: Option<u32>,
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

struct Probe<'a> {
    address: &'a Address,
    stream: Box<dyn ReadWrite>,
}

/// Connects, logs in, and asks who is there.
pub(crate) fn probe(endpoint: &Endpoint, timeout: Duration) -> Result<Identity, ProbeError> {
    let mut probe = Probe::connect(&endpoint.address, timeout)?;
    probe.login(&endpoint.credentials)?;
    probe.call(&["PING"])?;
    // A server without INFO is driven all the same.
    let info = match probe.call(&["INFO", "server"]) {
        Ok(Value::Bulk(text) | Value::Verbatim { text, .. }) => {
            String::from_utf8_lossy(&text).into_owned()
        }
        _ => String::new(),
    };
    Ok(identify(&info, is_local(&endpoint.address)))
}

impl<'a> Probe<'a> {
    fn connect(address: &'a Address, timeout: Duration) -> Result<Self, ProbeError> {
        let open = || -> io::Result<Box<dyn ReadWrite>> {
            Ok(match address {
                Address::Tcp(socket) => {
                    let stream = TcpStream::connect_timeout(socket, timeout)?;
                    stream.set_read_timeout(Some(timeout))?;
                    Box::new(stream)
                }
                Address::Unix(path) => {
                    let stream = UnixStream::connect(path)?;
                    stream.set_read_timeout(Some(timeout))?;
                    Box::new(stream)
                }
            })
        };
        let stream =
            open().map_err(|cause| ProbeError::Connect { address: address.clone(), cause })?;
        Ok(Self { address, stream })
    }

    fn login(&mut self, credentials: &Credentials) -> Result<(), ProbeError> {
        if let Some(password) = &credentials.password {
            let user = credentials.username.as_deref();
            let words: Vec<&str> =
                ["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect();
            self.call(&words)?;
        }
        if credentials.database != 0 {
            self.call(&["SELECT", &credentials.database.to_string()])?;
        }
        Ok(())
    }

    fn call(&mut self, words: &[&str]) -> Result<Value, ProbeError> {
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        let silent = |cause| ProbeError::Silent { address: self.address.clone(), cause };
        self.stream.write_all(request.as_bytes()).map_err(silent)?;
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let protocol = |cause| ProbeError::Protocol { address: self.address.clone(), cause };
            if let Some((value, _)) = decode(&bytes).map_err(protocol)? {
                return self.accept(value);
            }
            match self.stream.read(&mut buffer).map_err(silent)? {
                0 => return Err(silent(io::ErrorKind::UnexpectedEof.into())),
                size => bytes.extend_from_slice(&buffer[..size]),
            }
        }
    }

    fn accept(&self, value: Value) -> Result<Value, ProbeError> {
        let Value::Error(message) = value else { return Ok(value) };
        let address = self.address.clone();
        let message = String::from_utf8_lossy(&message).into_owned();
        Err(match message.split(' ').next() {
            Some("NOAUTH" | "WRONGPASS") => ProbeError::Login { address, message },
            Some("ERR") if message.contains("AUTH") => ProbeError::Login { address, message },
            Some("LOADING") => ProbeError::Loading { address, message },
            _ => ProbeError::Refused { address, message },
        })
    }
}

fn identify(info: &str, local: bool) -> Identity {
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let version = [
        ("kv-server", "kv_server_version"),
        ("valkey", "valkey_version"),
        ("redis", "redis_version"),
    ]
    .into_iter()
    .find_map(|(name, key)| Some(format!("{name} {}", field(key)?)))
    .unwrap_or_default();
    let pid = field("process_id").and_then(|pid| pid.parse().ok()).filter(|_| local);
    Identity { version, pid }
}
