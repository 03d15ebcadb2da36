//! Searching what lies behind a bad place for marks of what was durable.

use super::effect::{Effect, Effects};
use super::record::{Header, RECORD_HEADER_BYTES, SEQUENCE_AT, u64_at};
use super::segment::SegmentHeader;

/// How far ahead of the expected record one behind it can be: more than any log holds, and so few
/// of all numbers that hardly any place but a record looks like one.
const SEQUENCES_AHEAD_MAX: u64 = 1 << 40;

/// Checksummed bytes per byte searched, at most. A value may be made to look like a great many
/// long records; then the search gives up rather than take hours.
const EFFORT_MAX: u64 = 64;

/// The greatest sequence that a segment's header at the beginning of `bytes`, or any record
/// anywhere in them, says was durable; 0 without any. None when there are too many places that look
/// like a record to tell.
pub(crate) fn greatest_mark(bytes: &[u8], seed: u32, next_sequence: u64) -> Option<u64> {
    let mut durable = SegmentHeader::decode(bytes).map_or(0, |(header, _)| header.durable);
    let mut effort = EFFORT_MAX.saturating_mul(bytes.len() as u64);
    let mut at = 0;
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= RECORD_HEADER_BYTES) {
        at += 1;
        let is_plausible =
            u64_at(rest, SEQUENCE_AT).wrapping_sub(next_sequence) < SEQUENCES_AHEAD_MAX;
        if is_plausible && let Some(header) = Header::read(rest) {
            effort = effort.checked_sub(header.record_bytes as u64)?;
            if header.is_right(rest, seed) {
                durable = durable.max(mark(&rest[RECORD_HEADER_BYTES..header.record_bytes]));
                at += header.record_bytes - 1;
            }
        }
    }
    Some(durable)
}

/// The mark in a payload, which is always its first effect.
pub(super) fn mark(payload: &[u8]) -> u64 {
    match Effects::of(payload).next() {
        Some(Ok(Effect::Durable { sequence })) => sequence,
        _ => 0,
    }
}
