//! One client for many servers: each command goes to the server that owns its keys.

use crate::client::{Address, Client, ClientError, ConnectOptions};
use crate::resp::reply::Value;
use crate::ring::{Ring, RingError, RingMode};

/// A call that could not be routed, or whose server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RingClientError {
    /// The list of servers makes no ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The owner of the key did not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The command has no key to route by.
    #[error("'{command}' has no key, so no server of the ring owns it: ask one server, or all")]
    NoKey {
        /// Its name, as typed.
        command: String,
    },
    /// The keys belong to different servers.
    #[error(
        "the keys of '{command}' are on different servers ({first}, {second}): \
         send one command per key{}", if *slots { ", or give them one {tag}" } else { "" }
    )]
    KeysApart {
        /// Its name, as typed.
        command: String,
        /// The server of the first key.
        first: String,
        /// Another key's server.
        second: String,
        /// Whether tags keep keys together, as they do in this mode only.
        slots: bool,
    },
}

/// Connections to the servers of a [`Ring`], each made when first needed. Servers that fail are
/// connected to again at the next call; nothing is retried, and no key moves.
#[derive(Debug)]
pub struct RingClient {
    ring: Ring,
    addresses: Vec<Address>,
    clients: Vec<Option<Client>>,
    options: ConnectOptions,
}

impl RingClient {
    /// A client of these servers. Connects to none yet.
    ///
    /// # Errors
    /// The names of the addresses make no ring.
    pub fn new(
        mode: RingMode,
        addresses: Vec<Address>,
        options: ConnectOptions,
    ) -> Result<Self, RingError> {
        let ring = Ring::new(mode, &addresses)?;
        let clients = addresses.iter().map(|_| None).collect();
        Ok(Self { ring, addresses, clients, options })
    }

    /// The servers, in the order given.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Where keys are placed.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Sends a command to the server that owns its keys; tells which, as an index of
    /// [`addresses`](Self::addresses).
    ///
    /// # Errors
    /// The command has no key or keys of several servers, or its server does not answer.
    pub fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Result<(usize, Value), RingClientError> {
        let server = self.route(args)?;
        Ok((server, self.call_on(server, args)?))
    }

    /// Sends a command to one server, whoever owns its keys.
    ///
    /// # Errors
    /// The server does not answer.
    ///
    /// # Panics
    /// `server` is no index of [`addresses`](Self::addresses).
    pub fn call_on(
        &mut self,
        server: usize,
        args: &[impl AsRef<[u8]>],
    ) -> Result<Value, ClientError> {
        let mut client = match self.clients[server].take() {
            Some(client) => client,
            None => Client::connect(&self.addresses[server], &self.options)?,
        };
        let value = client.call(args)?;
        self.clients[server] = Some(client);
        Ok(value)
    }

    /// The index of the server that owns the keys of a command.
    ///
    /// # Errors
    /// The command has no key or keys of several servers.
    pub fn route(&self, args: &[impl AsRef<[u8]>]) -> Result<usize, RingClientError> {
        let command = || {
            args.first().map_or_else(String::new, |name| {
                String::from_utf8_lossy(name.as_ref()).into_owned()
            })
        };
        let mut owners = keys(args).map(|key| self.ring.owner(key));
        let first = owners.next().ok_or_else(|| RingClientError::NoKey { command: command() })?;
        match owners.find(|&owner| owner != first) {
            None => Ok(first),
            Some(second) => Err(RingClientError::KeysApart {
                command: command(),
                first: self.addresses[first].to_string(),
                second: self.addresses[second].to_string(),
                slots: self.ring.mode() == RingMode::Slots,
            }),
        }
    }
}

/// Commands without a key, or about a connection or a whole server.
const KEYLESS: &[&str] = &[
    "ACL",
    "AUTH",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT",
    "CLUSTER",
    "COMMAND",
    "CONFIG",
    "DBSIZE",
    "DEBUG",
    "DISCARD",
    "ECHO",
    "END",
    "EXEC",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION",
    "HELLO",
    "INFO",
    "KEYS",
    "LASTSAVE",
    "LATENCY",
    "MONITOR",
    "MULTI",
    "PING",
    "PSUBSCRIBE",
    "PUBLISH",
    "QUIT",
    "RANDOMKEY",
    "RESET",
    "ROLE",
    "SAVE",
    "SCAN",
    "SCRIPT",
    "SELECT",
    "SHUTDOWN",
    "SLOWLOG",
    "SUBSCRIBE",
    "SWAPDB",
    "TIME",
    "UNWATCH",
    "WAIT",
    "WAITAOF",
];

/// The keys of a command: where Redis' own command table says they are.
fn keys<A: AsRef<[u8]>>(args: &[A]) -> impl Iterator<Item = &[u8]> {
    let name = args.first().map_or(&[][..], AsRef::as_ref).to_ascii_uppercase();
    let (first, last, step) = match name.as_slice() {
        b"DEL" | b"DELETE" | b"UNLINK" | b"EXISTS" | b"TOUCH" | b"MGET" | b"WATCH" => {
            (1, args.len(), 1)
        }
        b"MSET" | b"MSETNX" => (1, args.len(), 2),
        b"RENAME" | b"RENAMENX" | b"COPY" | b"LCS" => (1, 3, 1),
        b"OBJECT" | b"MEMORY" => (2, 3, 1),
        b"BITOP" => (2, args.len(), 1),
        keyless if KEYLESS.iter().any(|name| name.as_bytes() == keyless) => (0, 0, 1),
        _ => (1, 2, 1),
    };
    let last = last.min(args.len());
    args[first.min(last)..last].iter().step_by(step).map(AsRef::as_ref)
}
