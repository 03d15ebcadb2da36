//! Fields that several formats have: numbers with their bounds, and keys.

use super::entry::{Key, Unlike};
use crate::workload::VALUE_BYTES_MAX;

/// A longer key is none that any cache would take.
pub const KEY_BYTES_MAX: usize = 64 * 1024;
/// Who keeps something for longer than a hundred years keeps it.
const TTL_S_MAX: u64 = 100 * 365 * 24 * 3600;
/// Later seconds are no times: it is the year 2286.
const SECONDS_MAX: u64 = 9_999_999_999;

/// A whole number up to `max`.
pub(super) fn number(field: &[u8], name: &str, max: u64) -> Result<u64, Unlike> {
    let digits = field.trim_ascii();
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    });
    match number.filter(|_| !digits.is_empty()) {
        Some(number) if number <= max => Ok(number),
        Some(number) => Err(Unlike(format!("{name} {number}, where {max} is the most"))),
        None => Err(Unlike(format!(
            "'{}' where {name}, a whole number, is expected",
            shown(digits, 20)
        ))),
    }
}

pub(super) fn seconds(field: &[u8]) -> Result<u64, Unlike> {
    Ok(number(field, "the time in seconds", SECONDS_MAX)? * 1_000_000_000)
}

pub(super) fn value_bytes(field: &[u8]) -> Result<u32, Unlike> {
    number(field, "the value's size", VALUE_BYTES_MAX).map(|bytes| bytes as u32)
}

/// 0 is for ever.
pub(super) fn ttl_s(field: &[u8]) -> Result<Option<u32>, Unlike> {
    let ttl_s = number(field, "the time to live in seconds", u64::MAX)?;
    Ok((1..=TTL_S_MAX).contains(&ttl_s).then_some(ttl_s as u32))
}

/// A key, and the size that it had.
pub(super) fn key<'a>(text: &'a [u8], bytes: Option<&[u8]>) -> Result<Key<'a>, Unlike> {
    let asked = bytes.map(|field| number(field, "the key's size", KEY_BYTES_MAX as u64));
    let bytes = asked.transpose()?.unwrap_or(0) as usize;
    if text.is_empty() {
        return Err(Unlike::of("an empty key"));
    }
    if text.len() > KEY_BYTES_MAX {
        return Err(Unlike(format!(
            "a key of {} bytes, where {KEY_BYTES_MAX} is the most",
            text.len()
        )));
    }
    if text.contains(&0) {
        return Err(Unlike::of("a zero byte in the key, which a text file has not"));
    }
    Ok(Key { text, bytes: bytes.max(text.len()) })
}

/// The beginning of a text for a message.
pub(super) fn shown(text: &[u8], bytes: usize) -> String {
    let more = if text.len() > bytes { "..." } else { "" };
    format!("{}{more}", text[..text.len().min(bytes)].escape_ascii())
}
