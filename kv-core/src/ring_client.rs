//! One client for many servers: each command goes to the server that owns its keys.

use crate::client::{Address, Client, ClientError, ConnectOptions};
use crate::command::{Scope, Spec};
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

    /// How connections are made from now on; those that exist stay as they are.
    pub fn options_mut(&mut self) -> &mut ConnectOptions {
        &mut self.options
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

/// The keys of a command, by our command table. A command it lacks, as servers of other makes have,
/// is taken to have its first argument as its key.
fn keys<A: AsRef<[u8]>>(args: &[A]) -> impl Iterator<Item = &[u8]> {
    let spec = args.first().and_then(|name| Spec::find(name.as_ref()));
    let (first, last, step) = match spec.map(|spec| spec.scope) {
        None => (1, 1, 1),
        Some(Scope::Keys { first, last, step }) => (first, last, step),
        Some(Scope::None | Scope::Keyspace | Scope::Walk) => (1, 0, 1),
    };
    // Past-the-end keys of a command with too few arguments are for the server to complain about.
    let after_last = if last < 0 { args.len() as i32 + last } else { last } + 1;
    let end = usize::try_from(after_last).unwrap_or(0).min(args.len());
    args[first.min(end)..end].iter().step_by(step).map(AsRef::as_ref)
}
