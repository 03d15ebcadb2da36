//! Numbers with units as users type them: `100k`, `1.5m`, `10s`, `5ms`.

use std::num::IntErrorKind;
use std::time::Duration;

/// Reads a count: digits, or digits with k, m or g for thousands, millions and billions.
pub fn count(text: &str) -> Result<u64, String> {
    let invalid = || format!("'{text}' is not a count (such as 1000, 100k, 1.5m, 2g)");
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = match lower.char_indices().next_back() {
        Some((at, 'k')) => (&lower[..at], 1_000),
        Some((at, 'm')) => (&lower[..at], 1_000_000),
        Some((at, 'g')) => (&lower[..at], 1_000_000_000),
        _ => (lower.as_str(), 1),
    };
    let digits = digits.replace('_', "");
    let too_large = || format!("'{text}' is too large");
    match digits.parse::<u64>().map_err(|error| *error.kind()) {
        Ok(whole) => return whole.checked_mul(factor).ok_or_else(too_large),
        Err(IntErrorKind::PosOverflow) => return Err(too_large()),
        Err(_) => {}
    }
    let number = positive_decimal(&digits).filter(|_| factor > 1).ok_or_else(invalid)?;
    Ok((number * factor as f64).round() as u64)
}

/// Reads a count that fits 32 bits.
pub fn small_count(text: &str) -> Result<u32, String> {
    u32::try_from(count(text)?).map_err(|_| format!("'{text}' is above {}", u32::MAX))
}

/// Reads a duration: a number with us, ms, s, m or h; without a unit, seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 6] =
        [("us", 1e-6), ("µs", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| Some((lower.strip_suffix(unit)?, *factor)))
        .unwrap_or((lower.as_str(), 1.0));
    positive_decimal(digits.trim())
        .and_then(|number| Duration::try_from_secs_f64(number * factor).ok())
        .ok_or_else(|| format!("'{text}' is not a duration (such as 10s, 5ms, 2m, 1.5s)"))
}

/// Reads a number that may be written in percent, without a sign.
pub(crate) fn share(text: &str) -> Option<f64> {
    let text = text.trim();
    let (digits, scale) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 100.0));
    positive_decimal(digits).map(|number| number / scale)
}

/// Digits and at most one point: no sign, exponent, infinity or NaN.
pub(crate) fn positive_decimal(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| plain)
}
