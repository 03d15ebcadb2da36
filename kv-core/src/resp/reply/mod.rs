//! The client's side of the wire: RESP2 and RESP3 replies out of a byte stream that may stop
//! anywhere.
//!
//! Three ways to read the same bytes, all built on one tokenizer:
//!
//! * [`skim`] tells what kind of reply stands at the front and where it ends, without allocating:
//!   the load generator's measured path.
//! * [`decode`] builds an owned [`Value`].
//! * [`Scanner`] finds the end of a reply *across* calls. `skim` and `decode` start over each time
//!   more bytes arrive, which is nothing for a string (its length is in its header) but quadratic
//!   for an array of a million elements that arrives in small reads; a `Scanner` looks at every
//!   byte once. Clients keep one per connection.
//!
//! Push messages (`>`) and attributes (`|`) are no replies: they are skipped, and the bytes
//! consumed include the ones in front of the reply. They stay in the caller's buffer until that
//! reply has arrived.
//!
//! Nothing is allocated from a declared length, only for elements whose bytes are there. An element
//! of three bytes becomes a `Value` of a few dozen, so a reply costs at most about ten times its size.

mod scan;
mod token;

pub use scan::Scanner;
use token::{Kind, Token};

/// Longest string, error or verbatim text accepted: Redis' `proto-max-bulk-len`, 512 MiB.
pub const BULK_BYTES_MAX: usize = 512 << 20;
/// Longest simple string, error line or number, in bytes without its CRLF.
pub const LINE_BYTES_MAX: usize = 64 << 10;
/// Most elements an aggregate may declare (a map of n pairs has 2n).
pub const ELEMENTS_MAX: usize = 1 << 31;
/// Deepest nesting of aggregates. Redis' own deepest reply (`COMMAND DOCS`) needs 8.
pub const DEPTH_MAX: usize = 32;

/// A reply, owned.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `+OK`
    Simple(Vec<u8>),
    /// `-ERR …` or RESP3's `!`: code and text as sent, without the type byte.
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3`
    Bulk(Vec<u8>),
    /// `_`, or RESP2's `$-1` and `*-1`.
    Null,
    /// `*2`
    Array(Vec<Value>),
    /// `%1`, pairs in the order sent.
    Map(Vec<(Value, Value)>),
    /// `~2`, in the order sent.
    Set(Vec<Value>),
    /// `,1.5`
    Double(f64),
    /// `#t`
    Boolean(bool),
    /// `(3492890328409238509324850943850943825024385`: sign and digits.
    BigNumber(Vec<u8>),
    /// `=`: text with a three-letter format such as `txt` or `mkd`.
    Verbatim {
        /// The three letters.
        format: [u8; 3],
        /// The text after `format:`.
        text: Vec<u8>,
    },
}

/// What stands at the front of the buffer, borrowed from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skim<'a> {
    /// A simple string, such as `OK`.
    Simple(&'a [u8]),
    /// An error reply: code and text.
    Error(&'a [u8]),
    /// An integer.
    Integer(i64),
    /// A bulk or verbatim string of this many bytes.
    Bulk(usize),
    /// A null of either protocol.
    Null,
    /// A double, boolean or big number.
    Scalar,
    /// An array, map or set of this many elements (a map of n pairs has 2n).
    Aggregate(usize),
}

/// The peer does not speak RESP, or exceeds our limits. Nothing after it can be understood: close
/// the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// A reply starts with a byte that is no RESP type.
    #[error("not a redis reply: it starts with byte 0x{0:02x}; is another service on this port?")]
    UnknownType(u8),
    /// A line or string does not end in CRLF where it must.
    #[error("malformed reply: CRLF expected")]
    MissingCrlf,
    /// A line is longer than [`LINE_BYTES_MAX`], or a number or length than any can be.
    #[error("malformed reply: line too long")]
    LineTooLong,
    /// Not an integer, double, boolean, big number or verbatim text of the announced type.
    #[error("malformed reply: invalid {0}")]
    Invalid(&'static str),
    /// A length above [`BULK_BYTES_MAX`] or [`ELEMENTS_MAX`], or a negative one.
    #[error("malformed reply: invalid length {0}")]
    InvalidLength(i64),
    /// Aggregates nested deeper than [`DEPTH_MAX`].
    #[error("malformed reply: nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// A push message inside another reply.
    #[error("malformed reply: push message inside a reply")]
    NestedPush,
}

/// Builds the reply at the front of `bytes` and tells how many bytes it and the pushes before it
/// took; `None` when more bytes are needed.
///
/// # Errors
/// [`ReplyError`] when the bytes are not RESP or exceed the limits of this module.
pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, ReplyError> {
    // Scanned first, so that an incomplete reply allocates nothing and depth is known to be bounded.
    let Some(reply) = Scanner::default().scan(bytes)? else { return Ok(None) };
    build(bytes, reply.start)
}

/// Tells the kind of the reply at the front of `bytes` and how many bytes it and the pushes before
/// it took; `None` when more bytes are needed. Never allocates.
///
/// # Errors
/// [`ReplyError`] when the bytes are not RESP or exceed the limits of this module.
#[inline]
pub fn skim(bytes: &[u8]) -> Result<Option<(Skim<'_>, usize)>, ReplyError> {
    match token::next(bytes, 0)? {
        None => Ok(None),
        Some((Token::Open { .. }, _)) => skim_across(bytes),
        Some((scalar, end)) => Ok(Some((Skim::from(scalar), end))),
    }
}

/// [`skim`] for what spans many tokens: aggregates, and replies behind pushes.
#[cold]
fn skim_across(bytes: &[u8]) -> Result<Option<(Skim<'_>, usize)>, ReplyError> {
    let Some(reply) = Scanner::default().scan(bytes)? else { return Ok(None) };
    let head = token::next(bytes, reply.start)?;
    Ok(head.map(|(token, _)| (Skim::from(token), reply.end)))
}

fn build(bytes: &[u8], start: usize) -> Result<Option<(Value, usize)>, ReplyError> {
    let mut at = start;
    loop {
        let Some((token, next)) = token::next(bytes, at)? else { return Ok(None) };
        at = next;
        let value = match token {
            Token::Open { kind: Kind::Push | Kind::Attribute, elements } => {
                let Some((_, end)) = build_elements(bytes, at, elements)? else { return Ok(None) };
                at = end;
                continue;
            }
            Token::Open { kind, elements } => {
                let Some((items, end)) = build_elements(bytes, at, elements)? else {
                    return Ok(None);
                };
                at = end;
                aggregate(kind, items)
            }
            Token::Simple(text) => Value::Simple(text.to_vec()),
            Token::Error(text) => Value::Error(text.to_vec()),
            Token::Integer(number) => Value::Integer(number),
            Token::Bulk(text) => Value::Bulk(text.to_vec()),
            Token::Null => Value::Null,
            Token::Double(number) => Value::Double(number),
            Token::Boolean(truth) => Value::Boolean(truth),
            Token::BigNumber(digits) => Value::BigNumber(digits.to_vec()),
            Token::Verbatim { format, text } => Value::Verbatim { format, text: text.to_vec() },
        };
        return Ok(Some((value, at)));
    }
}

fn build_elements(
    bytes: &[u8],
    start: usize,
    elements: usize,
) -> Result<Option<(Vec<Value>, usize)>, ReplyError> {
    let mut items = Vec::new();
    let mut at = start;
    for _ in 0..elements {
        let Some((item, next)) = build(bytes, at)? else { return Ok(None) };
        items.push(item);
        at = next;
    }
    Ok(Some((items, at)))
}

fn aggregate(kind: Kind, items: Vec<Value>) -> Value {
    match kind {
        Kind::Set => Value::Set(items),
        Kind::Map => {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        }
        Kind::Array | Kind::Push | Kind::Attribute => Value::Array(items),
    }
}

impl<'a> From<Token<'a>> for Skim<'a> {
    #[inline]
    fn from(token: Token<'a>) -> Self {
        match token {
            Token::Simple(text) => Skim::Simple(text),
            Token::Error(text) => Skim::Error(text),
            Token::Integer(number) => Skim::Integer(number),
            Token::Bulk(text) | Token::Verbatim { text, .. } => Skim::Bulk(text.len()),
            Token::Null => Skim::Null,
            Token::Double(_) | Token::Boolean(_) | Token::BigNumber(_) => Skim::Scalar,
            Token::Open { elements, .. } => Skim::Aggregate(elements),
        }
    }
}
