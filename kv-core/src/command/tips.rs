//! What Redis tells proxies and cluster clients of a command: whether its reply is the same
//! everywhere, and how it is spread over shards and put together again.

use super::Spec;

const MULTI_SHARD: &str = "request_policy:multi_shard";
const ALL_SHARDS: &str = "request_policy:all_shards";
const ALL_NODES: &str = "request_policy:all_nodes";
const ALL_SUCCEEDED: &str = "response_policy:all_succeeded";
const SUM: &str = "response_policy:agg_sum";
const LEAST: &str = "response_policy:agg_min";
const SPECIAL: &str = "response_policy:special";
const VARIES: &str = "nondeterministic_output";
const ORDER_VARIES: &str = "nondeterministic_output_order";

impl Spec {
    /// The tips of `COMMAND INFO`, as Redis 7 gives them.
    pub fn tips(&self) -> &'static [&'static str] {
        match self.name {
            "mget" => &[MULTI_SHARD],
            "mset" => &[MULTI_SHARD, ALL_SUCCEEDED],
            "msetnx" => &[MULTI_SHARD, LEAST],
            "del" | "unlink" | "exists" | "touch" => &[MULTI_SHARD, SUM],
            "keys" => &[ALL_SHARDS, ORDER_VARIES],
            "scan" => &[VARIES, "request_policy:special"],
            "randomkey" => &[ALL_SHARDS, VARIES],
            "wait" | "waitaof" => &[ALL_SHARDS, LEAST],
            "dbsize" => &[ALL_SHARDS, SUM],
            "flushdb" | "flushall" | "ping" | "function|flush" | "memory|purge" => {
                &[ALL_SHARDS, ALL_SUCCEEDED]
            }
            "info" | "memory|doctor" => &[VARIES, ALL_SHARDS, SPECIAL],
            "config|set" | "latency|reset" | "slowlog|reset" => &[ALL_NODES, ALL_SUCCEEDED],
            "latency|doctor" | "latency|graph" | "latency|histogram" | "latency|history"
            | "latency|latest" => &[VARIES, ALL_NODES, SPECIAL],
            "slowlog|get" => &[ALL_NODES, VARIES],
            "slowlog|len" => &[ALL_NODES, SUM, VARIES],
            "command" | "command|docs" | "command|info" | "command|list" => &[ORDER_VARIES],
            "ttl" | "pttl" | "lastsave" | "time" | "client|info" | "client|list"
            | "object|encoding" | "object|freq" | "object|idletime" | "object|refcount" => {
                &[VARIES]
            }
            _ => &[],
        }
    }
}
