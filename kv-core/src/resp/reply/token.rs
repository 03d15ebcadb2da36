//! One token of a reply: a whole scalar, or the header of an aggregate.

use super::{BULK_BYTES_MAX, ELEMENTS_MAX, LINE_BYTES_MAX, ReplyError};

/// Longest length or integer line: sign and 19 digits, with room for leading zeros.
const NUMBER_BYTES_MAX: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    Simple(&'a [u8]),
    Error(&'a [u8]),
    Integer(i64),
    Bulk(&'a [u8]),
    Null,
    Double(f64),
    Boolean(bool),
    BigNumber(&'a [u8]),
    Verbatim { format: [u8; 3], text: &'a [u8] },
    Open { kind: Kind, elements: usize },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Array,
    Map,
    Set,
    Push,
    Attribute,
}

type Parsed<'a, T> = Result<Option<(T, usize)>, ReplyError>;

/// The token at `at` and where the next one starts; `None` when it is not all there.
#[inline]
pub(super) fn next(bytes: &[u8], at: usize) -> Parsed<'_, Token<'_>> {
    let Some(&kind) = bytes.get(at) else { return Ok(None) };
    let body = at + 1;
    match kind {
        b'$' => bulk(bytes, body).map(|found| match found {
            Some((Some(text), end)) => Some((Token::Bulk(text), end)),
            Some((None, end)) => Some((Token::Null, end)),
            None => None,
        }),
        b'+' => map(line(bytes, body, LINE_BYTES_MAX), |text| Ok(Token::Simple(text))),
        b'-' => map(line(bytes, body, LINE_BYTES_MAX), |text| Ok(Token::Error(text))),
        b':' => map(number(bytes, body), |number| Ok(Token::Integer(number))),
        _ => rarer(kind, bytes, body),
    }
}

fn rarer(kind: u8, bytes: &[u8], body: usize) -> Parsed<'_, Token<'_>> {
    match kind {
        b'*' => map(number(bytes, body), |count| match count {
            -1 => Ok(Token::Null),
            count => open(Kind::Array, count, 1),
        }),
        b'%' => map(number(bytes, body), |count| open(Kind::Map, count, 2)),
        b'~' => map(number(bytes, body), |count| open(Kind::Set, count, 1)),
        b'>' => map(number(bytes, body), |count| open(Kind::Push, count, 1)),
        b'|' => map(number(bytes, body), |count| open(Kind::Attribute, count, 2)),
        b'_' => map(line(bytes, body, LINE_BYTES_MAX), |text| match text {
            b"" => Ok(Token::Null),
            _ => Err(ReplyError::Invalid("null")),
        }),
        b'#' => map(line(bytes, body, LINE_BYTES_MAX), |text| match text {
            b"t" => Ok(Token::Boolean(true)),
            b"f" => Ok(Token::Boolean(false)),
            _ => Err(ReplyError::Invalid("boolean")),
        }),
        b',' => map(line(bytes, body, LINE_BYTES_MAX), double),
        b'(' => map(line(bytes, body, LINE_BYTES_MAX), big_number),
        b'!' => map(text_of(bytes, body), |text| Ok(Token::Error(text))),
        b'=' => map(text_of(bytes, body), verbatim),
        other => Err(ReplyError::UnknownType(other)),
    }
}

#[inline]
fn map<'a, T>(
    parsed: Parsed<'a, T>,
    make: impl FnOnce(T) -> Result<Token<'a>, ReplyError>,
) -> Parsed<'a, Token<'a>> {
    match parsed? {
        Some((part, end)) => Ok(Some((make(part)?, end))),
        None => Ok(None),
    }
}

/// The bytes up to CRLF. A bare LF is an error at once, where waiting for a CR might take for ever.
#[inline]
fn line(bytes: &[u8], start: usize, bytes_max: usize) -> Parsed<'_, &[u8]> {
    let rest = &bytes[start..];
    let window = &rest[..rest.len().min(bytes_max + 1)];
    match window.iter().position(|&byte| byte == b'\r' || byte == b'\n') {
        None if window.len() > bytes_max => Err(ReplyError::LineTooLong),
        None => Ok(None),
        Some(end) if window[end] == b'\n' => Err(ReplyError::MissingCrlf),
        Some(end) => match rest.get(end + 1) {
            None => Ok(None),
            Some(b'\n') => Ok(Some((&rest[..end], start + end + 2))),
            Some(_) => Err(ReplyError::MissingCrlf),
        },
    }
}

#[inline]
fn number(bytes: &[u8], start: usize) -> Parsed<'_, i64> {
    let Some((text, end)) = line(bytes, start, NUMBER_BYTES_MAX)? else { return Ok(None) };
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let invalid = ReplyError::Invalid("integer");
    if digits.is_empty() {
        return Err(invalid);
    }
    // Summed up as a negative number: i64::MIN has no positive twin.
    let mut sum = 0_i64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        let next = sum.checked_mul(10).and_then(|sum| sum.checked_sub(i64::from(digit)));
        match next {
            Some(next) if digit <= 9 => sum = next,
            _ => return Err(invalid),
        }
    }
    let value = if negative { Some(sum) } else { sum.checked_neg() };
    Ok(Some((value.ok_or(invalid)?, end)))
}

/// A length and as many bytes; the inner `None` is RESP2's null.
#[inline]
fn bulk(bytes: &[u8], start: usize) -> Parsed<'_, Option<&[u8]>> {
    let Some((length, text)) = number(bytes, start)? else { return Ok(None) };
    if length == -1 {
        return Ok(Some((None, text)));
    }
    let size = usize::try_from(length)
        .ok()
        .filter(|&size| size <= BULK_BYTES_MAX)
        .ok_or(ReplyError::InvalidLength(length))?;
    match bytes.get(text + size..) {
        Some([b'\r', b'\n', ..]) => Ok(Some((Some(&bytes[text..text + size]), text + size + 2))),
        Some([] | [b'\r']) | None => Ok(None),
        Some(_) => Err(ReplyError::MissingCrlf),
    }
}

fn text_of(bytes: &[u8], start: usize) -> Parsed<'_, &[u8]> {
    match bulk(bytes, start)? {
        Some((Some(text), end)) => Ok(Some((text, end))),
        Some((None, _)) => Err(ReplyError::InvalidLength(-1)),
        None => Ok(None),
    }
}

fn open<'a>(kind: Kind, count: i64, per_entry: usize) -> Result<Token<'a>, ReplyError> {
    let elements = usize::try_from(count)
        .ok()
        .and_then(|count| count.checked_mul(per_entry))
        .filter(|&elements| elements <= ELEMENTS_MAX)
        .ok_or(ReplyError::InvalidLength(count))?;
    Ok(Token::Open { kind, elements })
}

fn double(text: &[u8]) -> Result<Token<'_>, ReplyError> {
    let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    number.map(Token::Double).ok_or(ReplyError::Invalid("double"))
}

fn big_number(text: &[u8]) -> Result<Token<'_>, ReplyError> {
    let digits = text.strip_prefix(b"-").or(text.strip_prefix(b"+")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ReplyError::Invalid("big number"));
    }
    Ok(Token::BigNumber(text))
}

fn verbatim(text: &[u8]) -> Result<Token<'_>, ReplyError> {
    match text {
        [a, b, c, b':', text @ ..] => Ok(Token::Verbatim { format: [*a, *b, *c], text }),
        _ => Err(ReplyError::Invalid("verbatim string")),
    }
}
