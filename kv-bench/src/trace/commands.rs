//! Which of Redis' commands are replayed, and which of their words are keys.
//!
//! A table of those that are known to touch their keys alone, to answer at once and once: all others are
//! left out. Where a command is not known, neither is where its keys are, and those of a running server
//! are not ours to touch. So scripts, subscriptions, commands that wait, that are of the whole server or
//! of the connection are no part of it.

use super::entry::Words;

/// Which words are keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyWords {
    first: usize,
    /// Counted from the end, if it is below 0.
    last: isize,
    step: usize,
    /// One more in front of them, such as the destination.
    destination: Option<usize>,
}

impl KeyWords {
    const NONE: Self = Self { first: 1, last: 0, step: 1, destination: None };

    const fn from_to(first: usize, last: isize, step: usize) -> Self {
        Self { first, last, step, destination: None }
    }

    /// The places of the keys in `words`.
    pub(super) fn places(self, words: &Words) -> impl Iterator<Item = usize> + use<> {
        let count = words.len();
        let last = if self.last < 0 {
            count.saturating_sub(self.last.unsigned_abs())
        } else {
            self.last as usize
        };
        let end = (last + 1).min(count);
        let destination = self.destination.filter(|&place| place < count);
        destination.into_iter().chain((self.first..end.max(self.first)).step_by(self.step))
    }
}

/// Keyless ones that only read.
const WITHOUT: &[&str] = &["ping", "echo", "time", "dbsize", "randomkey", "lolwut"];

/// With one key, the first word behind the name.
const FIRST: &[&str] = &[
    "get",
    "set",
    "setnx",
    "setex",
    "psetex",
    "getset",
    "getdel",
    "getex",
    "append",
    "strlen",
    "incr",
    "decr",
    "incrby",
    "decrby",
    "incrbyfloat",
    "setrange",
    "getrange",
    "substr",
    "setbit",
    "getbit",
    "bitcount",
    "bitpos",
    "bitfield",
    "bitfield_ro",
    "type",
    "ttl",
    "pttl",
    "expiretime",
    "pexpiretime",
    "persist",
    "expire",
    "pexpire",
    "expireat",
    "pexpireat",
    "dump",
    "restore",
    "lpush",
    "rpush",
    "lpushx",
    "rpushx",
    "lpop",
    "rpop",
    "llen",
    "lindex",
    "linsert",
    "lrange",
    "lrem",
    "lset",
    "ltrim",
    "lpos",
    "sadd",
    "srem",
    "spop",
    "scard",
    "smembers",
    "sismember",
    "smismember",
    "srandmember",
    "sscan",
    "zadd",
    "zrem",
    "zincrby",
    "zcard",
    "zcount",
    "zrange",
    "zrevrange",
    "zrangebyscore",
    "zrevrangebyscore",
    "zrangebylex",
    "zrevrangebylex",
    "zlexcount",
    "zrank",
    "zrevrank",
    "zscore",
    "zmscore",
    "zremrangebyrank",
    "zremrangebyscore",
    "zremrangebylex",
    "zpopmin",
    "zpopmax",
    "zrandmember",
    "zscan",
    "hset",
    "hget",
    "hsetnx",
    "hmset",
    "hmget",
    "hincrby",
    "hincrbyfloat",
    "hdel",
    "hlen",
    "hstrlen",
    "hkeys",
    "hvals",
    "hgetall",
    "hexists",
    "hrandmember",
    "hscan",
    "hexpire",
    "hpexpire",
    "httl",
    "hpttl",
    "hpersist",
    "hgetdel",
    "hgetex",
    "hsetex",
    "pfadd",
    "geoadd",
    "geodist",
    "geohash",
    "geopos",
    "geosearch",
    "georadius_ro",
    "georadiusbymember_ro",
    "xadd",
    "xlen",
    "xrange",
    "xrevrange",
    "xdel",
    "xtrim",
    "xack",
];

/// All words behind the name.
const ALL: &[&str] = &[
    "del",
    "unlink",
    "exists",
    "touch",
    "mget",
    "sinter",
    "sunion",
    "sdiff",
    "sinterstore",
    "sunionstore",
    "sdiffstore",
    "pfcount",
    "pfmerge",
];

/// The first two.
const TWO: &[&str] = &[
    "rename",
    "renamenx",
    "copy",
    "smove",
    "rpoplpush",
    "lmove",
    "geosearchstore",
    "zrangestore",
    "lcs",
];

/// The first says how many follow.
const COUNTED: &[&str] =
    &["zunion", "zinter", "zdiff", "zintercard", "sintercard", "lmpop", "zmpop"];

/// A destination, and how many follow.
const COUNTED_INTO: &[&str] = &["zunionstore", "zinterstore", "zdiffstore"];

/// The keys of a command that is replayed; `None` of one that is left out. `name` is in small letters.
pub(super) fn keys(name: &str, words: &Words) -> Option<KeyWords> {
    let counted = |at: usize| {
        let count = std::str::from_utf8(words.get(at)?).ok()?.parse::<usize>().ok()?;
        let last = at.checked_add(count).filter(|&last| last < words.len())?;
        Some(KeyWords::from_to(at + 1, last as isize, 1))
    };
    let is_in = |names: &[&str]| names.contains(&name);
    if is_in(FIRST) {
        Some(KeyWords::from_to(1, 1, 1))
    } else if is_in(ALL) {
        Some(KeyWords::from_to(1, -1, 1))
    } else if matches!(name, "mset" | "msetnx") {
        Some(KeyWords::from_to(1, -1, 2))
    } else if is_in(TWO) && !leads_elsewhere(name, words) {
        Some(KeyWords::from_to(1, 2, 1))
    } else if is_in(COUNTED) {
        counted(1)
    } else if is_in(COUNTED_INTO) {
        counted(2).map(|keys| KeyWords { destination: Some(1), ..keys })
    } else if name == "bitop" {
        Some(KeyWords::from_to(2, -1, 1))
    } else if name == "object" || is_memory_usage(name, words) {
        Some(KeyWords::from_to(2, 2, 1))
    } else if is_in(WITHOUT) {
        Some(KeyWords::NONE)
    } else {
        None
    }
}

/// COPY into another database.
fn leads_elsewhere(name: &str, words: &Words) -> bool {
    name == "copy" && words.iter().skip(3).any(|word| word.eq_ignore_ascii_case(b"db"))
}

fn is_memory_usage(name: &str, words: &Words) -> bool {
    name == "memory" && words.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"usage"))
}
