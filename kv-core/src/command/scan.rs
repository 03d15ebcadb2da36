//! `SCAN`: a walk over the keys that anybody may interrupt for as long as they like.

use crate::engine::Transaction;
use crate::resp::Encoder;
use crate::resp::request::parse_i64;
use crate::table::SHARDS;

use super::{Call, CommandError, Outcome, glob_match};

/// Keys looked at by one call unless `COUNT` says otherwise.
const COUNT_DEFAULT: usize = 10;

/// Segments visited by one call are at most this many times `COUNT`, as buckets are in Redis, but
/// always enough for one round of a small table: a table that lost most of its keys keeps its
/// segments, and no call may walk millions of them.
const EMPTY_SEGMENTS_PER_COUNT: usize = 10;

/// A cursor is the place where the walk goes on: the shard above, the position within it below. 42
/// bits, so that clients which keep cursors as floats keep them whole. 0 is both the beginning and
/// the end.
struct Cursor {
    shard: usize,
    position: u32,
}

impl Cursor {
    /// What C's `strtoul` reads, as in Redis: nothing is 0, a sign is no error, and a zero byte is the
    /// end. A cursor beyond the end is the end.
    fn parse(text: &[u8]) -> Result<Self, CommandError> {
        let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
        let unsigned = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
        let is_number =
            unsigned.iter().all(u8::is_ascii_digit) && unsigned.is_empty() == text.is_empty();
        let magnitude: Option<u64> = match is_number {
            true if text.is_empty() => Some(0),
            true => std::str::from_utf8(unsigned).ok().and_then(|digits| digits.parse().ok()),
            false => None,
        };
        let magnitude = magnitude.ok_or(CommandError::InvalidCursor)?;
        let number = if text.starts_with(b"-") { magnitude.wrapping_neg() } else { magnitude };
        let shard = usize::try_from(number >> 32).unwrap_or(SHARDS).min(SHARDS);
        Ok(Self { shard, position: number as u32 })
    }

    fn number(&self) -> u64 {
        if self.shard >= SHARDS { 0 } else { (self.shard as u64) << 32 | u64::from(self.position) }
    }
}

#[derive(Debug)]
struct ScanOptions<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    /// False when `TYPE` asks for what this store does not have.
    strings: bool,
}

impl<'a> ScanOptions<'a> {
    fn parse(mut words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut options = Self { pattern: None, count: COUNT_DEFAULT, strings: true };
        while let Some(word) = words.next() {
            let value = words.next().ok_or(CommandError::Syntax)?;
            if word.eq_ignore_ascii_case(b"count") {
                let count = parse_i64(value).ok_or(CommandError::NotAnInteger)?;
                if count < 1 {
                    return Err(CommandError::Syntax);
                }
                options.count = count as usize;
            } else if word.eq_ignore_ascii_case(b"match") {
                options.pattern = Some(value).filter(|&pattern| pattern != b"*");
            } else if word.eq_ignore_ascii_case(b"type") {
                options.strings = value.eq_ignore_ascii_case(b"string");
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(options)
    }
}

pub(super) fn scan(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let mut cursor = Cursor::parse(call.args.at(1))?;
    let options = ScanOptions::parse(call.args.from(2))?;
    let mut found = Encoder::new(out.protocol());
    let (mut looked_at, mut len) = (0, 0);
    let mut segments_left = options.count.saturating_mul(EMPTY_SEGMENTS_PER_COUNT).max(2 * SHARDS);
    while cursor.shard < SHARDS && looked_at < options.count && segments_left > 0 {
        segments_left -= 1;
        let next = tx.walk(cursor.shard, cursor.position, &mut |entry| {
            looked_at += 1;
            if options.strings
                && options.pattern.is_none_or(|pattern| glob_match(pattern, entry.key()))
            {
                found.bulk(entry.key());
                len += 1;
            }
        });
        cursor = match next {
            Some(position) => Cursor { position, ..cursor },
            None => Cursor { shard: cursor.shard + 1, position: 0 },
        };
    }
    out.array(2);
    out.bulk(cursor.number().to_string().as_bytes());
    out.array(len);
    out.bytes_mut().extend_from_slice(found.bytes());
    Ok(())
}
