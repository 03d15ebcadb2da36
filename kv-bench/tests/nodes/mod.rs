//! A real Redis Cluster of the test's own.

use std::net::SocketAddr;

use crate::peer::{self, DeadPort, Redis};
use crate::program::wait_for;

const SLOTS: usize = 16384;

/// Nodes that end with this: first the masters, each with its part of the slots, then as many
/// replicas of them, then those that have joined. A killed one is `None`.
pub(crate) struct Nodes {
    list: Vec<Option<Redis>>,
    /// Of those that were killed.
    ports: Vec<DeadPort>,
}

impl Nodes {
    /// So many masters, each with a replica or none of them; `None`, and a line, without redis.
    pub(crate) fn start(masters: usize, with_replicas: bool) -> Option<Self> {
        let count = if with_replicas { 2 * masters } else { masters };
        let list: Option<Vec<_>> = (0..count).map(|_| node().map(Some)).collect();
        let nodes = Self { list: list?, ports: Vec::new() };
        for index in 0..masters {
            let slots = [index, index + 1].map(|part| part * SLOTS / masters);
            let range = [slots[0].to_string(), (slots[1] - 1).to_string()];
            nodes.told(index, &["cluster", "addslotsrange", &range[0], &range[1]]);
            nodes.told(index, &["cluster", "set-config-epoch", &(index + 1).to_string()]);
        }
        for index in 1..count {
            nodes.meet(index);
        }
        nodes.await_all(|node| number(&node, "cluster_known_nodes:") == count);
        for index in masters..count {
            let master = nodes.id(index - masters);
            // It may not know its master yet, though it knows how many there are.
            wait_for(|| {
                (nodes.ask(index, &["cluster", "replicate", &master]) == "OK").then_some(())
            });
        }
        nodes.await_all(|info| info.contains("cluster_state:ok"));
        for index in masters..count {
            wait_for(|| {
                nodes.ask(index, &["info", "replication"]).contains("link_status:up").then_some(())
            });
        }
        for index in 0..count {
            let ports = (0..count).map(|index| nodes.node(index).port.to_string());
            let ports: Vec<_> = ports.collect();
            wait_for(|| {
                let slots = nodes.ask(index, &["cluster", "slots"]);
                ports.iter().all(|port| slots.contains(port.as_str())).then_some(())
            });
        }
        Some(nodes)
    }

    /// One more, without slots. Its number.
    pub(crate) fn join(&mut self) -> usize {
        let index = self.list.len();
        self.list.push(Some(node().expect("there are others")));
        self.meet(index);
        let count = self.list.len();
        self.await_all(|info| number(&info, "cluster_known_nodes:") == count);
        self.await_all(|info| info.contains("cluster_state:ok"));
        index
    }

    fn meet(&self, index: usize) {
        let port = self.node(index).port.to_string();
        let bus = self.ask(index, &["config", "get", "cluster-port"]);
        let bus = bus.lines().last().expect("a port");
        self.told(0, &["cluster", "meet", "127.0.0.1", &port, bus]);
    }

    fn await_all(&self, is_ready: impl Fn(String) -> bool) {
        for index in 0..self.list.len() {
            wait_for(|| is_ready(self.ask(index, &["cluster", "info"])).then_some(()));
        }
    }

    pub(crate) fn node(&self, index: usize) -> &Redis {
        self.list[index].as_ref().expect("it was not killed")
    }

    pub(crate) fn address(&self, index: usize) -> SocketAddr {
        self.node(index).address()
    }

    /// As `--target` wants it, by one of them.
    pub(crate) fn target(&self, index: usize) -> String {
        format!("redis-cluster://{}", self.address(index))
    }

    pub(crate) fn ask(&self, index: usize, words: &[&str]) -> String {
        self.node(index).ask(words)
    }

    fn told(&self, index: usize, words: &[&str]) {
        assert_eq!(self.ask(index, words), "OK", "{words:?}");
    }

    pub(crate) fn id(&self, index: usize) -> String {
        self.ask(index, &["cluster", "myid"])
    }

    pub(crate) fn slot(&self, key: &str) -> String {
        self.ask(0, &["cluster", "keyslot", key])
    }

    /// Which of them has the slot of `key`.
    pub(crate) fn owner(&self, key: &str) -> usize {
        let is_here = |&index: &usize| !self.ask(index, &["get", key]).starts_with("MOVED");
        (0..self.list.len()).find(is_here).expect("somebody has it")
    }

    /// Begins to move the slot of `key`: who has it now asks for those keys elsewhere that it does not
    /// have any more.
    pub(crate) fn begin_to_move(&self, key: &str, from: usize, to: usize) {
        let slot = self.slot(key);
        self.told(to, &["cluster", "setslot", &slot, "importing", &self.id(from)]);
        self.told(from, &["cluster", "setslot", &slot, "migrating", &self.id(to)]);
    }

    pub(crate) fn move_key(&self, key: &str, from: usize, to: usize) {
        let port = self.node(to).port.to_string();
        self.told(from, &["migrate", "127.0.0.1", &port, key, "0", "5000"]);
    }

    pub(crate) fn end_to_move(&self, key: &str, from: usize, to: usize) {
        let (slot, id) = (self.slot(key), self.id(to));
        for index in [to, from] {
            self.told(index, &["cluster", "setslot", &slot, "node", &id]);
        }
    }

    /// As kill -9 does.
    pub(crate) fn kill(&mut self, index: usize) {
        self.ports.extend(self.list[index].take().map(Redis::kill));
    }
}

fn number(text: &str, name: &str) -> usize {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    line.trim().parse().expect("a number")
}

fn node() -> Option<Redis> {
    let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "500"];
    let replicas = ["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"];
    Redis::start_with(|| {
        let bus = peer::free_port().to_string();
        let words = [&cluster[..], &replicas, &["--cluster-port", &bus]].concat();
        words.into_iter().map(str::to_owned).collect()
    })
}
