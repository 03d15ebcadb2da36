//! Traces of what real clients asked for, replayed.
//!
//! ```text
//! Source ─ plain, zstd ─▶ Lines ─ twitter, meta, monitor ─▶ Entry ─ Spread, Requests ─▶ Block ─▶ worker
//! ```
//!
//! One thread reads, parses and encodes ahead of the workers, into blocks of bounded number, of 64 KiB each
//! and a request more, of which MONITOR's may have up to 16 MiB; a worker copies bytes. (The other shape, in which workers get keys and sizes and encode them as they do
//! what they draw, would have them parse and spell on the measured path, and codecs whose requests are
//! built once are for keys of one length.) A trace is looked at as a whole before: what is in it, its
//! checksum, how many operations each second has, and whether it is one at all.

mod block;
mod commands;
mod entry;
mod fields;
mod format;
mod input;
mod meta;
mod monitor;
mod reading;
mod replay;
mod requests;
mod spread;
mod survey;
mod tally;
mod twitter;

pub use block::{Block, Payload, Record};
pub use entry::{Action, Entry, Key, Line, Unlike, Words};
pub use fields::KEY_BYTES_MAX;
pub use format::{Format, Speed};
pub use input::{Checksum, Lines, Source, Stored};
pub use meta::Columns;
pub use monitor::Monitor;
pub use reading::{Fit, Reading, Step};
pub use replay::{LENGTH_MAX, Replay, Wish, describe};
pub use requests::Requests;
pub use spread::{Seconds, Spread};
pub use survey::{Cut, Survey};
pub use tally::{Tally, left_out_names, too_bad};
pub use twitter::parse as parse_twitter;
