//! A Redis or Valkey Cluster: RESP, and replies that send an operation to another node.

use std::sync::Arc;

use kv_core::resp::reply::Value;
use kv_core::ring::key_slot;
use kv_core::ring::slots::SLOTS;

use super::resp::handshake;
use super::{
    Codec, Credentials, Decoded, Handshake, Node, Operation, Owner, Redirect, Reply, Resp,
    RespCodec, SlotRange, Target, Topology,
};
use crate::workload::Request;

/// The nodes of a cluster, each of which takes the same login.
pub struct RedisCluster {
    topology: Arc<Topology>,
    handshake: Handshake,
    credentials: Credentials,
    /// The slot of a key.
    slots: Owner,
    codec: RedisClusterCodec,
}

impl RedisCluster {
    /// Drives the nodes of `topology`. Every key is `key_size` bytes long; most values may be
    /// `value_size`.
    pub fn new(
        topology: Arc<Topology>,
        credentials: &Credentials,
        key_size: usize,
        value_size: usize,
    ) -> Self {
        Self {
            topology,
            handshake: handshake(credentials),
            credentials: credentials.clone(),
            slots: Box::new(|key| usize::from(key_slot(key))),
            codec: RedisClusterCodec(RespCodec::new(key_size, value_size)),
        }
    }

    /// The same, with the requests of `resp`.
    #[must_use]
    pub fn with_requests_of(mut self, resp: &Resp) -> Self {
        self.codec = RedisClusterCodec(resp.codec.clone());
        self
    }
}

impl Target for RedisCluster {
    type Codec = RedisClusterCodec;

    fn places(&self) -> usize {
        self.topology.places()
    }

    fn nodes(&self) -> Vec<Node> {
        (0..self.topology.nodes().len()).map(|index| self.topology.node(index)).collect()
    }

    fn node(&self, index: usize) -> Node {
        self.topology.node(index)
    }

    #[inline]
    fn route(&self, key: &[u8]) -> usize {
        self.topology.owner(key_slot(key))
    }

    fn handshake(&self, _node: usize) -> Handshake {
        self.handshake.clone()
    }

    fn codec(&self) -> RedisClusterCodec {
        self.codec.clone()
    }

    #[inline]
    fn topology(&self) -> Option<&Arc<Topology>> {
        Some(&self.topology)
    }

    #[inline]
    fn slot(&self, request: Request, key: &[u8]) -> u16 {
        self.codec.0.place(request, key, &self.slots) as u16
    }

    fn credentials(&self) -> Credentials {
        self.credentials.clone()
    }
}

/// That of RESP, which knows redirects from other errors.
#[derive(Debug, Clone)]
pub struct RedisClusterCodec(RespCodec);

impl Codec for RedisClusterCodec {
    #[inline]
    fn encode(&self, operation: Operation<'_>, out: &mut Vec<u8>) {
        self.0.encode(operation, out);
    }

    #[inline]
    fn decode<'a>(&self, request: Request, bytes: &'a [u8]) -> Decoded<Reply<'a>> {
        self.0.decode(request, bytes)
    }

    fn redirect<'a>(&self, message: &'a [u8]) -> Option<Redirect<'a>> {
        redirect(message)
    }

    fn value<'a>(&self, reply: &'a [u8]) -> &'a [u8] {
        self.0.value(reply)
    }

    fn decode_handshake<'a>(&self, bytes: &'a [u8]) -> Decoded<Option<&'a [u8]>> {
        self.0.decode_handshake(bytes)
    }
}

/// Reads `MOVED 3999 127.0.0.1:6381` and its kin; `None` of any other error.
#[cold]
fn redirect(message: &[u8]) -> Option<Redirect<'_>> {
    let mut words = std::str::from_utf8(message).ok()?.split(' ');
    let code = words.next()?;
    match code {
        "TRYAGAIN" => return Some(Redirect::TryAgain),
        "CLUSTERDOWN" => return Some(Redirect::ClusterDown),
        "MOVED" | "ASK" => {}
        _ => return None,
    }
    let slot = words.next()?.parse().ok().filter(|&slot: &u16| usize::from(slot) < SLOTS)?;
    let (host, port) = words.next()?.rsplit_once(':')?;
    let port = port.parse().ok()?;
    Some(match code {
        "MOVED" => Redirect::Moved { slot, host, port },
        _ => Redirect::Ask { host, port },
    })
}

/// Reads the reply to `CLUSTER SLOTS`, which every version of a cluster has; an empty host is that of
/// the node that was asked. `None` of what is no such reply.
pub(crate) fn slot_ranges(reply: &Value) -> Option<Vec<SlotRange<(String, u16)>>> {
    let Value::Array(ranges) = reply else { return None };
    let range = |range: &Value| {
        let Value::Array(fields) = range else { return None };
        let [Value::Integer(first), Value::Integer(last), nodes @ ..] = &fields[..] else {
            return None;
        };
        let slot =
            |number: i64| u16::try_from(number).ok().filter(|&slot| usize::from(slot) < SLOTS);
        let nodes = nodes.iter().map(node).collect::<Option<_>>()?;
        Some(SlotRange { first: slot(*first)?, last: slot(*last)?, nodes })
    };
    ranges.iter().map(range).collect()
}

fn node(node: &Value) -> Option<(String, u16)> {
    let Value::Array(fields) = node else { return None };
    let (host, port) = match &fields[..] {
        [Value::Bulk(host), Value::Integer(port), ..] => (std::str::from_utf8(host).ok()?, port),
        // It does not know how it is reached.
        [Value::Null, Value::Integer(port), ..] => ("", port),
        _ => return None,
    };
    Some((host.to_owned(), u16::try_from(*port).ok()?))
}
