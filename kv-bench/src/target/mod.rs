//! What is driven: routing, encoding and decoding, without sockets or clocks.
//!
//! The driver owns sockets, send times, timeouts and reconnects, so that one event loop times every
//! target alike. A [`Target`] says which servers there are and which of them holds a key; its
//! [`Codec`] turns operations into bytes and bytes into replies.

mod detours;
mod endpoint;
mod engine;
mod memcached;
mod redis_cluster;
mod resp;
mod servers;
mod template;
mod topology;

pub use detours::{Around, Detours, Ejection, OnNodeFail, Rerouted};
pub(crate) use endpoint::seeds;
pub use endpoint::{Credentials, Endpoint, EndpointError, Protocol, redacted};
pub use engine::{Caller, InProcess, InProcessCodec};
pub use memcached::{KeyError, Memcached, MemcachedCodec};
pub(crate) use memcached::{TTL_MAX as MEMCACHED_TTL_MAX, login_request};
pub(crate) use redis_cluster::slot_ranges;
pub use redis_cluster::{RedisCluster, RedisClusterCodec};
pub use resp::{Resp, RespCodec};
pub use servers::Servers;
pub use topology::{Role, SlotRange, Topology};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use kv_core::tls::TlsConnector;

use crate::workload::Request;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    /// It does not listen: it is called.
    InProcess,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::InProcess => f.write_str("in process, no network"),
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

impl Reply<'_> {
    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Error(_))
    }
}

/// Where an operation that was not done is to be tried again. What to do about it is the driver's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirect<'a> {
    /// At the node that has the slot from now on.
    Moved { slot: u16, host: &'a str, port: u16 },
    /// This once at another node, which has to be told that it was asked for.
    Ask { host: &'a str, port: u16 },
    /// Later: the slot is being moved.
    TryAgain,
    /// Later: nobody has the slot, or the cluster is down.
    ClusterDown,
}

/// The bytes are not the protocol, or not an answer to the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Garbage;

/// What stood at the front of the bytes and how many of them it took; `None` while it is incomplete.
pub type Decoded<T> = Result<Option<(usize, T)>, Garbage>;

/// The servers and the rule that places keys.
pub trait Target: Send + Sync + 'static {
    type Codec: Codec;
    /// Whether it is called in this process, and nothing goes over a connection.
    const IS_CALLED: bool = false;
    /// The servers known by now.
    fn nodes(&self) -> Vec<Node>;
    /// Server number `index` of them.
    fn node(&self, index: usize) -> Node;
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
    /// How many servers there may be at most, of which some may join later.
    fn places(&self) -> usize;
    /// Of a cluster whose keys may move between its nodes; for a target without one, what the driver
    /// does about that costs nothing, because it is not compiled.
    #[inline]
    fn topology(&self) -> Option<&Arc<Topology>> {
        None
    }
    /// Where operations go whose server is away; the same is true of a target where they fail.
    #[inline]
    fn detours(&self) -> Option<&Arc<Detours>> {
        None
    }
    /// Whether an operation's request is to be kept until it is answered, since it may have to be sent
    /// again.
    #[inline]
    fn keeps_requests(&self) -> bool {
        self.topology().is_some()
    }
    /// The slot of the key of `request`, in a cluster.
    #[inline]
    fn slot(&self, request: Request, key: &[u8]) -> u16 {
        let _ = (request, key);
        0
    }
    /// With which the nodes of a cluster are asked for its topology.
    fn credentials(&self) -> Credentials {
        Credentials::default()
    }
    /// What a client calls, of a target that is called.
    fn caller(&self) -> Option<Caller> {
        None
    }
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

    /// What an error says of where an operation is to be tried again; `None` of any other error, and
    /// where there is no cluster.
    fn redirect<'a>(&self, message: &'a [u8]) -> Option<Redirect<'a>> {
        let _ = message;
        None
    }

    /// The value in a whole reply that is a hit of a get.
    fn value<'a>(&self, reply: &'a [u8]) -> &'a [u8];

    /// Reads one reply to the handshake: the bytes it took, and the message if it is an error.
    fn decode_handshake<'a>(&self, bytes: &'a [u8]) -> Decoded<Option<&'a [u8]>>;
}
