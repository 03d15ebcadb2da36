//! A trace as a result records it: what it was, and what became of it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which trace was replayed, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceRecord {
    /// As it was typed; `-` is standard input.
    pub file: String,
    /// `twitter`, `meta` or `monitor`.
    pub format: String,
    /// As `--trace-speed` takes it.
    pub speed: String,
    /// Whether it was compressed with zstd.
    pub compressed: bool,
    /// As it is stored; `null` of standard input, as long as that may be.
    pub bytes: Option<u64>,
    /// Of the bytes as they are stored, in hex; `null` of standard input.
    pub sha256: Option<String>,
    /// Operations that were to be replayed; `null` of standard input, and where the time ends within a
    /// second, of which it is not known which of its operations are before that.
    pub operations: Option<u64>,
    /// From the first of them to the last in the trace's own time, or to the end of its second; `null`
    /// without times.
    pub length_s: Option<f64>,
}

/// What became of a trace's lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TraceReplay {
    pub lines: u64,
    /// Operations that were handed to workers.
    pub operations: u64,
    /// Lines that are none of its format, and the first of them.
    pub bad_lines: u64,
    pub first_bad_lines: Vec<String>,
    /// Operations that were not replayed, by their names.
    pub left_out: BTreeMap<String, u64>,
    /// Lines whose time was before that of the line before, for which the latter was taken.
    pub times_backwards: u64,
    /// How often a worker had nothing to do because the trace had not been read yet, and how long the one
    /// that waited most had to.
    pub waits_for_reader: u64,
    pub wait_for_reader_s: f64,
}
