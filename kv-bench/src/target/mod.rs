//! What is driven: routing, encoding and decoding, without sockets or clocks.
//!
//! The driver owns sockets, send times, timeouts and reconnects, so that one event loop times every
//! target alike. A [`Target`] says which servers there are and which of them holds a key; its
//! [`Codec`] turns operations into bytes and bytes into replies.

mod endpoint;
mod memcached;
mod resp;
mod servers;
mod template;

pub use endpoint::{Credentials, Endpoint, EndpointError, Protocol, redacted};
pub use memcached::{KeyError, Memcached, MemcachedCodec};
pub(crate) use memcached::{TTL_MAX as MEMCACHED_TTL_MAX, login_request};
pub use resp::{Resp, RespCodec};
pub use servers::Servers;

use std::net::SocketAddr;
use std::path::PathBuf;

use kv_core::tls::TlsConnector;

use crate::workload::Request;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// One server.
#[derive(Debug, Clone)]
pub struct Node {
    /// The name that places keys and stands in reports.
    pub name: String,
    pub address: Address,
}

/// Maps a key to the index of the server that holds it.
pub type Owner = Box<dyn Fn(&[u8]) -> usize + Send + Sync>;

/// What a new connection sends before its first operation.
#[derive(Debug, Clone, Default)]
pub struct Handshake {
    pub bytes: Vec<u8>,
    /// Replies to expect, all of which must be free of errors.
    pub replies: u32,
    /// Agrees upon keys before all that.
    pub tls: Option<TlsConnector>,
}

/// One operation, ready to be encoded.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    pub request: Request,
    pub key: &'a [u8],
    /// Empty but for a put.
    pub value: &'a [u8],
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// A read or delete found its key.
    Hit,
    /// A read or delete did not.
    Miss,
    /// A put was done.
    Stored,
    /// The server refused: its message, such as `OOM command not allowed`.
    Error(&'a [u8]),
}

/// The bytes are not the protocol, or not an answer to the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// What stood at the front of the bytes and how many of them it took; `None` while it is incomplete.
pub type Decoded<T> = Result<Option<(usize, T)>, Garbage>;

/// The servers and the rule that places keys.
pub trait Target: Send + Sync + 'static {
    type Codec: Codec;
    fn nodes(&self) -> &[Node];
    /// The node that holds `key`, an index into [`Target::nodes`].
    fn route(&self, key: &[u8]) -> usize;
    /// The node that takes `request` for `key`: that of the word that the key is part of.
    #[inline]
    fn route_request(&self, request: Request, key: &[u8]) -> usize {
        let _ = request;
        self.route(key)
    }
    fn handshake(&self, node: usize) -> Handshake;
    fn codec(&self) -> Self::Codec;
}

/// Operations to bytes and back, without allocating.
pub trait Codec: Send {
    fn encode(&self, operation: Operation<'_>, out: &mut Vec<u8>);

    /// Which server takes `request` for `key`: the owner of the word that the key is part of.
    #[inline]
    fn place(&self, request: Request, key: &[u8], owner: &Owner) -> usize {
        let _ = request;
        owner(key)
    }

    /// Reads the reply to `request` from the front of `bytes`: the bytes it took and its meaning, or
    /// `None` while it is incomplete.
    fn decode<'a>(&self, request: Request, bytes: &'a [u8]) -> Decoded<Reply<'a>>;

    /// The value in a whole reply that is a hit of a get.
    fn value<'a>(&self, reply: &'a [u8]) -> &'a [u8];

    /// Reads one reply to the handshake: the bytes it took, and the message if it is an error.
    fn decode_handshake<'a>(&self, bytes: &'a [u8]) -> Decoded<Option<&'a [u8]>>;
}
