//! The subcommands, in tables of their own.

use super::table::command;
use super::{Access, ConnectionCommand, Run, Scope, Spec, object};

/// The key behind a subcommand.
const KEY: Scope = Scope::Keys { first: 2, last: 2, step: 1 };

/// One row as in the table of commands, with what all of these have in common left out.
macro_rules! subcommand {
    ($group:literal: $name:literal, $arity:literal, [$($flag:literal)*], $usage:literal,
     $summary:literal, $run:ident) => {
        command!($group: $name, $arity, None, Scope::None, [$($flag)*], $usage, $summary,
                 Run::Connection(ConnectionCommand::$run))
    };
    ($group:literal: $name:literal, $arity:literal, $usage:literal, $summary:literal,
     $run:path) => {
        command!($group: $name, $arity, Read, KEY, [], $usage, $summary, Run::Data($run))
    };
    ($group:literal: $name:literal) => {
        subcommand!($group: $name, 2, ["loading" "stale"], "", "Says what there is to ask for.", Help)
    };
}

#[rustfmt::skip]
pub(super) const CLIENT: &[Spec] = &[
    subcommand!("connection": "client|caching", 3, ["noscript" "loading" "stale"],
        "YES | NO",
        "An error, for nothing is tracked.", Client),
    subcommand!("connection": "client|getname", 2, ["noscript" "loading" "stale"],
        "",
        "The name of this connection.", Client),
    subcommand!("connection": "client|getredir", 2, ["noscript" "loading" "stale"],
        "",
        "Where notices of changes go; -1, for there are none.", Client),
    subcommand!("connection": "client|help"),
    subcommand!("connection": "client|id", 2, ["noscript" "loading" "stale"],
        "",
        "The number of this connection.", Client),
    subcommand!("connection": "client|info", 2, ["noscript" "loading" "stale"],
        "",
        "What is known of this connection.", Client),
    subcommand!("connection": "client|kill", -3, ["admin" "noscript" "loading" "stale"],
        "address | [ID id] [ADDR address] [LADDR address] [TYPE NORMAL | MASTER | REPLICA | PUBSUB] [USER name] [SKIPME YES | NO]",
        "Closes connections.", Client),
    subcommand!("connection": "client|list", -2, ["admin" "noscript" "loading" "stale"],
        "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID id [id ...]]",
        "What is known of the connections, a line for each.", Client),
    subcommand!("connection": "client|no-evict", 3, ["admin" "noscript" "loading" "stale"],
        "ON | OFF",
        "Accepted; no connection is closed for want of memory.", Client),
    subcommand!("connection": "client|no-touch", 3, ["noscript" "loading" "stale"],
        "ON | OFF",
        "Whether reading a key on this connection is a use of it.", Client),
    subcommand!("connection": "client|pause", -3, ["admin" "noscript" "loading" "stale"],
        "timeout [WRITE | ALL]",
        "Lets commands wait for some milliseconds.", Client),
    subcommand!("connection": "client|reply", 3, ["noscript" "loading" "stale"],
        "ON | OFF | SKIP",
        "Which requests are answered.", Client),
    subcommand!("connection": "client|setinfo", 4, ["noscript" "loading" "stale"],
        "LIB-NAME name | LIB-VER version",
        "Says which library this client uses.", Client),
    subcommand!("connection": "client|setname", 3, ["noscript" "loading" "stale"],
        "name",
        "Names this connection.", Client),
    subcommand!("connection": "client|tracking", -3, ["noscript" "loading" "stale"],
        "ON | OFF",
        "Only OFF: this server sends no notices of changes.", Client),
    subcommand!("connection": "client|trackinginfo", 2, ["noscript" "loading" "stale"],
        "",
        "That changes are not tracked for this connection.", Client),
    subcommand!("connection": "client|unblock", -3, ["admin" "noscript" "loading" "stale"],
        "id [TIMEOUT | ERROR]",
        "Wakes a client up; none is ever blocked.", Client),
    subcommand!("connection": "client|unpause", 2, ["admin" "noscript" "loading" "stale"],
        "",
        "Ends a PAUSE.", Client),
];

#[rustfmt::skip]
pub(super) const COMMAND: &[Spec] = &[
    subcommand!("server": "command|count", 2, ["loading" "stale"],
        "",
        "How many commands there are.", Command),
    subcommand!("server": "command|docs", -2, ["loading" "stale"],
        "[name ...]",
        "Descriptions of commands, of all unless some are named.", Command),
    subcommand!("server": "command|getkeys", -4, ["loading" "stale"],
        "command [argument ...]",
        "The keys among the arguments of a command.", Command),
    subcommand!("server": "command|getkeysandflags", -4, ["loading" "stale"],
        "command [argument ...]",
        "The keys among the arguments of a command, and what becomes of each.", Command),
    subcommand!("server": "command|help"),
    subcommand!("server": "command|info", -2, ["loading" "stale"],
        "[name ...]",
        "Facts about commands, about all unless some are named.", Command),
    subcommand!("server": "command|list", -2, ["loading" "stale"],
        "[FILTERBY MODULE name | ACLCAT category | PATTERN pattern]",
        "The names of the commands.", Command),
];

#[rustfmt::skip]
pub(super) const CONFIG: &[Spec] = &[
    subcommand!("server": "config|get", -3, ["admin" "noscript" "loading" "stale"],
        "pattern [pattern ...]",
        "The settings whose names match.", Config),
    subcommand!("server": "config|help"),
    subcommand!("server": "config|resetstat", 2, ["admin" "noscript" "loading" "stale"],
        "",
        "Lets the figures of INFO begin anew.", Config),
    subcommand!("server": "config|rewrite", 2, ["admin" "noscript" "loading" "stale" "no_multi"],
        "",
        "Writes the settings to the configuration file.", Config),
    subcommand!("server": "config|set", -4, ["admin" "noscript" "loading" "stale"],
        "name value [name value ...]",
        "Changes settings, all or none.", Config),
];

#[rustfmt::skip]
pub(super) const FUNCTION: &[Spec] = &[
    command!("scripting": "function|flush", -2, Write, Scope::None, ["noscript"],
        "[ASYNC | SYNC]",
        "Nothing, for there are no functions; test suites call it.",
        Run::Connection(ConnectionCommand::Function)),
    subcommand!("scripting": "function|help"),
];

#[rustfmt::skip]
pub(super) const LATENCY: &[Spec] = &[
    subcommand!("server": "latency|doctor", 2, ["admin" "noscript" "loading" "stale"],
        "",
        "What to look at instead.", Latency),
    subcommand!("server": "latency|graph", 3, ["admin" "noscript" "loading" "stale"],
        "event",
        "An error: events are not watched.", Latency),
    subcommand!("server": "latency|help"),
    subcommand!("server": "latency|histogram", -2, ["admin" "noscript" "loading" "stale"],
        "[command ...]",
        "How many calls of each command took how long, in microseconds.", Latency),
    subcommand!("server": "latency|history", 3, ["admin" "noscript" "loading" "stale"],
        "event",
        "An empty list: events are not watched.", Latency),
    subcommand!("server": "latency|latest", 2, ["admin" "noscript" "loading" "stale"],
        "",
        "An empty list: events are not watched.", Latency),
    subcommand!("server": "latency|reset", -2, ["admin" "noscript" "loading" "stale"],
        "[event ...]",
        "0, for there is nothing to forget.", Latency),
];

#[rustfmt::skip]
pub(super) const MEMORY: &[Spec] = &[
    subcommand!("server": "memory|doctor", 2, [],
        "",
        "What to look at.", Memory),
    subcommand!("server": "memory|help"),
    subcommand!("server": "memory|purge", 2, [],
        "",
        "Gives unused memory back to the system.", Memory),
    subcommand!("server": "memory|usage", -3,
        "key [SAMPLES count]",
        "Bytes that a key costs.", object::memory_usage),
];

#[rustfmt::skip]
pub(super) const SLOWLOG: &[Spec] = &[
    subcommand!("server": "slowlog|get", -2, ["admin" "loading" "stale"],
        "[count]",
        "The latest commands that took long: 10 unless a count is given, all with -1.", Slowlog),
    subcommand!("server": "slowlog|help"),
    subcommand!("server": "slowlog|len", 2, ["admin" "loading" "stale"],
        "",
        "How many such commands are remembered.", Slowlog),
    subcommand!("server": "slowlog|reset", 2, ["admin" "loading" "stale"],
        "",
        "Forgets them.", Slowlog),
];

#[rustfmt::skip]
pub(super) const OBJECT: &[Spec] = &[
    subcommand!("generic": "object|encoding", 3,
        "key",
        "How Redis would hold the value: int, embstr or raw.", object::object),
    subcommand!("generic": "object|freq", 3,
        "key",
        "How often a key is used, which only an LFU policy would know.", object::object),
    subcommand!("generic": "object|help"),
    subcommand!("generic": "object|idletime", 3,
        "key",
        "Seconds since a key was used.", object::object),
    subcommand!("generic": "object|refcount", 3,
        "key",
        "How many references to the value Redis would count.", object::object),
];
