//! Servers that share the keys by a rule, whatever they speak.

use super::{Codec, Credentials, Endpoint, Handshake, Node, Owner, Target};
use crate::workload::Request;

/// One or several servers that speak what `C` encodes; several share the keys by their owner.
pub struct Servers<C> {
    nodes: Vec<Node>,
    handshakes: Vec<Handshake>,
    owner: Owner,
    pub(super) codec: C,
}

impl<C> Servers<C> {
    /// All `endpoints`, each greeted with its own credentials; `owner` maps a key to an index into
    /// them.
    pub(super) fn sharing(
        endpoints: &[Endpoint],
        handshake: impl Fn(&Credentials) -> Handshake,
        owner: Owner,
        codec: C,
    ) -> Self {
        let nodes = endpoints
            .iter()
            .map(|e| Node { name: e.name.clone(), address: e.address.clone() })
            .collect();
        let handshakes = endpoints.iter().map(|e| handshake(&e.credentials)).collect();
        Self { nodes, handshakes, owner, codec }
    }
}

impl<C: Codec + Clone + Sync + 'static> Target for Servers<C> {
    type Codec = C;

    fn nodes(&self) -> Vec<Node> {
        self.nodes.clone()
    }

    fn node(&self, index: usize) -> Node {
        self.nodes[index].clone()
    }

    fn places(&self) -> usize {
        self.nodes.len()
    }

    #[inline]
    fn route(&self, key: &[u8]) -> usize {
        (self.owner)(key)
    }

    #[inline]
    fn route_request(&self, request: Request, key: &[u8]) -> usize {
        self.codec.place(request, key, &self.owner)
    }

    fn handshake(&self, node: usize) -> Handshake {
        self.handshakes[node].clone()
    }

    fn codec(&self) -> C {
        self.codec.clone()
    }
}
