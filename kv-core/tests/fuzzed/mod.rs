//! What is checked of any input whatever: one function for each reader of bytes that we did not
//! write. proptest calls it in `tests/fuzzed_inputs.rs`, cargo-fuzz in `fuzz/`, which includes this
//! module by its path; both begin from the same seeds.
#![allow(dead_code, reason = "every fuzz target is a crate of its own and needs another part")]

pub(crate) mod edit;
pub(crate) mod log;
pub(crate) mod recovered;
pub(crate) mod request;
pub(crate) mod snapshot;
pub(crate) mod tape;

/// A reader: its name, what is checked of an input, and inputs to begin from.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) check: fn(&[u8]),
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

pub(crate) const TARGETS: [Target; 3] = [
    Target { name: "request", check: request::check, seeds: request::seeds },
    Target { name: "log", check: log::check, seeds: log::seeds },
    Target { name: "snapshot", check: snapshot::check, seeds: snapshot::seeds },
];
