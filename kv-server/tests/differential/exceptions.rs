//! Every exception from "the same bytes", with its reason.

use kv_core::Spec;
use kv_core::resp::reply::{Value, decode};

use super::grammar::{Times, Words};

/// How two answers to a command must be alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alike {
    /// Byte for byte.
    Same,
    /// The same elements in any order: no two hash tables have the same.
    Elements,
    /// Integers at most so far apart: both clocks are read, one after the other.
    Within(i64),
    /// Of the same kind: what they say is each server's own.
    Kind,
    /// Not at all: it is about what only Redis has.
    Theirs,
}

/// Milliseconds that may pass between the same command on one server and the other.
const PATIENCE_MS: i64 = 30_000;

/// How far apart the same command may come to both.
const DRIFT_MS: i64 = 500;

/// Commands that are never sent, or only with arguments that no command takes, and why.
pub(crate) const NOT_SENT: &[(&str, &str)] = &[
    ("bgrewriteaof", "begins a snapshot: durability.rs has it"),
    ("bgsave", "begins a snapshot: durability.rs has it"),
    ("debug", "Redis refuses it unless its configuration allows it; operations.rs has it"),
    ("lastsave", "the time of the last snapshot: durability.rs has it"),
    ("monitor", "what follows are not replies: operations.rs has it"),
    ("quit", "ends the connection: conversation.rs has it"),
    ("save", "writes a file: durability.rs has it"),
    ("shutdown", "ends the server: conversation.rs and shutdown.rs have it"),
    ("waitaof", "Redis has it since 7.2"),
    // Within CLIENT: KILL, LIST, PAUSE and REPLY are about other connections or take replies away.
];

/// How the answers to a command must be alike in a script with such times.
#[expect(clippy::match_same_arms, reason = "each exception stands under its own reason")]
pub(crate) fn rule(words: &Words, times: Times) -> Alike {
    let lower = |index: usize| words.get(index).map(|word| word.to_ascii_lowercase());
    let (name, second) = (lower(0).unwrap_or_default(), lower(1).unwrap_or_default());
    match (name.as_slice(), second.as_slice()) {
        (b"keys", _) => Alike::Elements,
        (b"scan", b"0") if words.iter().any(|word| word == b"10000") => Alike::Elements,
        // Where another cursor leads, and how far a call goes, is each table's own.
        (b"scan", _) => Alike::Kind,
        (b"randomkey" | b"time" | b"info" | b"hello", _) => Alike::Kind,
        // The number of the connection, or the line that describes it.
        (b"client", b"id" | b"info" | b"list") => Alike::Kind,
        // Texts of our own, for our own subcommands; and other commands than Redis has.
        (_, b"help") | (b"command", b"" | b"count" | b"list" | b"docs" | b"info") => Alike::Kind,
        // Redis measures what has expired, too, until somebody else meets it.
        (b"memory", b"usage") if times == Times::Past => Alike::Theirs,
        (b"memory", b"doctor" | b"usage" | b"stats") => Alike::Kind,
        (b"command", b"getkeys" | b"getkeysandflags")
            if words.get(2).is_some_and(|name| Spec::find(name).is_none()) =>
        {
            Alike::Theirs
        }
        // Small integers are shared in Redis, but copies of them are not: see conversation.
        (b"object", b"refcount") => Alike::Kind,
        // What was slow, of which there should be nothing, and what took how long.
        (b"slowlog", b"get" | b"len") | (b"latency", b"histogram") => Alike::Kind,
        // Who keeps expired keys for how long before they are swept is nobody's promise.
        (b"dbsize", _) if times == Times::Past => Alike::Kind,
        (b"ttl" | b"expiretime", _) if times == Times::Relative => {
            Alike::Within(PATIENCE_MS / 1000)
        }
        (b"pttl" | b"pexpiretime", _) if times == Times::Relative => Alike::Within(PATIENCE_MS),
        // A word that was meant for something else may have become a relative time.
        (b"expiretime", _) => Alike::Within(1),
        (b"pexpiretime", _) => Alike::Within(DRIFT_MS),
        (b"ttl", _) => Alike::Within(PATIENCE_MS / 1000),
        (b"pttl", _) => Alike::Within(PATIENCE_MS),
        // All settings: each server has its own.
        (b"config", b"get") if words[2..].iter().any(|word| word == b"*") => Alike::Kind,
        // A shared integer has been used when any key that holds it was.
        (b"object", b"idletime") => Alike::Kind,
        _ => Alike::Same,
    }
}

/// Whether an answer of ours is as good as that of Redis.
pub(crate) fn alike(rule: Alike, theirs: &[u8], ours: &[u8]) -> bool {
    if theirs == ours || rule == Alike::Theirs {
        return true;
    }
    let parse = |bytes| decode(bytes).ok().flatten().map(|(value, _)| value);
    match (parse(theirs), parse(ours)) {
        (Some(theirs), Some(ours)) => alike_values(rule, &theirs, &ours),
        _ => false,
    }
}

pub(crate) fn alike_values(rule: Alike, theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        _ if rule == Alike::Theirs => true,
        // Our errors are UTF-8 whatever was sent, because most clients decode them so.
        (Value::Error(theirs), Value::Error(ours)) => {
            String::from_utf8_lossy(theirs).as_bytes() == ours.as_slice()
        }
        (Value::Error(_), _) | (_, Value::Error(_)) => false,
        (Value::Integer(theirs), Value::Integer(ours)) if matches!(rule, Alike::Within(_)) => {
            let Alike::Within(distance) = rule else { return false };
            (*theirs >= 0) == (*ours >= 0) && (theirs - ours).abs() <= distance
        }
        (Value::Array(theirs), Value::Array(ours)) if rule == Alike::Elements => {
            let mut theirs: Vec<String> = theirs.iter().map(in_order).collect();
            let mut ours: Vec<String> = ours.iter().map(in_order).collect();
            theirs.sort();
            ours.sort();
            theirs == ours
        }
        _ if rule == Alike::Kind => std::mem::discriminant(theirs) == std::mem::discriminant(ours),
        _ => theirs == ours,
    }
}

/// A value with the elements within it in order.
fn in_order(value: &Value) -> String {
    match value {
        Value::Array(elements) => {
            let mut elements: Vec<String> = elements.iter().map(in_order).collect();
            elements.sort();
            format!("{elements:?}")
        }
        other => format!("{other:?}"),
    }
}
