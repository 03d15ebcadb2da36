//! Incremental, zero-copy decoding of requests.
//!
//! A request is either a *multibulk* (`*2\r\n$3\r\nGET\r\n$1\r\nk\r\n`) or an *inline* line
//! (`GET k\r\n`, with quoting). The decoder looks at the unconsumed front of a receive buffer and
//! remembers how far it came, so a request that arrives in a thousand pieces is scanned once.
//! Arguments are views into that buffer. Rules and error texts are those of Redis 7.2
//! `networking.c`, with the multibulk cap of Redis 6.2 (the looser one became CVE-2025-46686).

use std::ops::{Index, Range};

use thiserror::Error;

/// What a request may cost before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes in one argument (`proto-max-bulk-len`).
    pub bulk_bytes_max: usize,
    /// Arguments in one request.
    pub args_max: usize,
    /// Bytes in one line: an inline request, or a count.
    pub line_bytes_max: usize,
    /// Bytes in one whole request (`client-query-buffer-limit`); at most `u32::MAX`.
    pub request_bytes_max: usize,
    /// False holds the client to the `UNAUTHENTICATED_` limits as well.
    pub authenticated: bool,
}

/// Limits before a client has authenticated: Redis PR #9588, CVE-2021-32675.
const UNAUTHENTICATED_ARGS_MAX: usize = 10;
const UNAUTHENTICATED_BULK_BYTES_MAX: usize = 16_384;
const UNAUTHENTICATED_REQUEST_BYTES_MAX: usize = 1024 * 1024;

impl RequestLimits {
    /// Redis' defaults.
    pub const DEFAULT: Self = Self {
        bulk_bytes_max: 512 * 1024 * 1024,
        args_max: 1024 * 1024,
        line_bytes_max: 64 * 1024,
        request_bytes_max: 1024 * 1024 * 1024,
        authenticated: true,
    };

    fn request_bytes_max(&self) -> usize {
        match self.authenticated {
            true => self.request_bytes_max,
            false => self.request_bytes_max.min(UNAUTHENTICATED_REQUEST_BYTES_MAX),
        }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A request that breaks the protocol: answer it with `-ERR <this>` and close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    #[error("Protocol error: too big inline request")]
    InlineTooLong,
    #[error("Protocol error: unbalanced quotes in request")]
    UnbalancedQuotes,
    #[error("Protocol error: too big mbulk count string")]
    CountLineTooLong,
    #[error("Protocol error: invalid multibulk length")]
    InvalidCount,
    #[error("Protocol error: unauthenticated multibulk length")]
    UnauthenticatedCount,
    #[error("Protocol error: too big bulk count string")]
    LengthLineTooLong,
    #[error("Protocol error: expected '$', got '{}'", char::from(*.0))]
    ExpectedBulk(u8),
    #[error("Protocol error: invalid bulk length")]
    InvalidLength,
    #[error("Protocol error: unauthenticated bulk length")]
    UnauthenticatedLength,
    #[error("Protocol error: request larger than the query buffer limit")]
    RequestTooLong,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// The arguments of one request, command name first, as views into the receive buffer.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Number of arguments, the command name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when there is not even a command name.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The argument at `index`, if there is one.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        Some(&self.bytes[span.start as usize..span.end as usize])
    }

    /// The argument at `index`; unlike indexing, the view lives as long as the buffer.
    ///
    /// # Panics
    /// When there is no such argument.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.bytes[span.start as usize..span.end as usize]
    }

    /// All arguments from `first` on.
    pub fn from(&self, first: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let bytes = self.bytes;
        let rest = self.spans.get(first..).unwrap_or_default();
        rest.iter().map(move |span| &bytes[span.start as usize..span.end as usize])
    }
}

impl Index<usize> for Args<'_> {
    type Output = [u8];

    fn index(&self, index: usize) -> &[u8] {
        self.at(index)
    }
}

/// Where arguments are in bytes that lie there already: for who calls the engine without a request to
/// decode, again and again.
#[derive(Debug, Clone, Default)]
pub struct ArgSpans {
    spans: Vec<Span>,
}

impl ArgSpans {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// How many arguments there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Adds one that is at `range` in the bytes.
    #[inline]
    pub fn push(&mut self, range: Range<usize>) {
        self.spans.push(Span { start: range.start as u32, end: range.end as u32 });
    }

    /// Some of the arguments, of which the first is the name of a command.
    ///
    /// # Panics
    /// When there are not so many. Reading one that lies beyond `bytes` panics too.
    #[inline]
    pub fn view<'a>(&'a self, which: Range<usize>, bytes: &'a [u8]) -> Args<'a> {
        Args { bytes, spans: &self.spans[which] }
    }
}

/// Arguments that outlive the receive buffer, such as a command queued by `MULTI`.
#[derive(Debug, Clone, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl OwnedArgs {
    /// A view like that of a fresh request.
    pub fn view(&self) -> Args<'_> {
        Args { bytes: &self.bytes, spans: &self.spans }
    }

    /// Bytes held.
    pub fn bytes_len(&self) -> usize {
        self.bytes.len() + self.spans.len() * size_of::<Span>()
    }
}

impl<'a> From<Args<'a>> for OwnedArgs {
    fn from(args: Args<'a>) -> Self {
        args.from(0).collect()
    }
}

impl<B: AsRef<[u8]>> FromIterator<B> for OwnedArgs {
    fn from_iter<I: IntoIterator<Item = B>>(args: I) -> Self {
        let mut owned = Self::default();
        for arg in args {
            let start = owned.bytes.len() as u32;
            owned.bytes.extend_from_slice(arg.as_ref());
            owned.spans.push(Span { start, end: owned.bytes.len() as u32 });
        }
        owned
    }
}

/// Decodes the requests of one connection.
///
/// Each call gets the unconsumed bytes from the start of the current request; between calls that
/// answered "more" they may only grow.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: RequestLimits,
    /// Bytes of the current request that are already understood.
    position: usize,
    /// Arguments of the current multibulk that are still to come.
    missing: usize,
    /// Bytes that the argument under way still needs, once its length is known.
    bulk_len: Option<usize>,
    spans: Vec<Span>,
    /// An inline request, unquoted: the one case in which a view of the input is not enough.
    unquoted: Vec<u8>,
}

/// Arguments for which room is kept between requests.
const SPANS_KEPT: usize = 1024;

/// What stands at the front of the buffer.
#[derive(Debug)]
pub enum Decoded<'a> {
    /// A whole request of `consumed` bytes. Without arguments (an empty line, `*0`) it gets no
    /// reply.
    Request { args: Args<'a>, consumed: usize },
    /// More bytes are needed, at least `missing_bytes` of them.
    More { missing_bytes: usize },
}

impl Default for RequestDecoder {
    fn default() -> Self {
        Self::new(RequestLimits::DEFAULT)
    }
}

impl RequestDecoder {
    /// A decoder at the start of a request.
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            position: 0,
            missing: 0,
            bulk_len: None,
            spans: Vec::new(),
            unquoted: Vec::new(),
        }
    }

    /// Replaces the limits, from the next request on.
    pub fn set_limits(&mut self, limits: RequestLimits) {
        self.limits = limits;
    }

    /// Forgets a request under way: the next input begins one.
    pub fn restart(&mut self) {
        self.missing = 0;
        self.bulk_len = None;
    }

    /// Decodes the request at the start of `input`.
    ///
    /// # Errors
    /// The connection can't be understood any more and must be closed after the error reply.
    pub fn decode<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        if self.missing == 0 {
            self.forget_spans();
            self.position = 0;
            match input.first() {
                None => return Ok(Decoded::More { missing_bytes: 1 }),
                Some(b'*') => {}
                Some(_) => return self.decode_inline(input),
            }
            match self.decode_count(input)? {
                None => return Ok(Decoded::More { missing_bytes: 1 }),
                Some(0) => return Ok(self.finish(input)),
                Some(count) => self.missing = count,
            }
        }
        while self.missing > 0 {
            if let Some(missing_bytes) = self.decode_bulk(input)? {
                if self.position + missing_bytes > self.limits.request_bytes_max() {
                    return Err(ProtocolError::RequestTooLong);
                }
                return Ok(Decoded::More { missing_bytes });
            }
        }
        Ok(self.finish(input))
    }

    /// Starts over, and gives back what a request of a million arguments has taken.
    fn forget_spans(&mut self) {
        self.spans.clear();
        if self.spans.capacity() > SPANS_KEPT {
            self.spans = Vec::new();
        }
    }

    fn finish<'a>(&'a mut self, input: &'a [u8]) -> Decoded<'a> {
        let consumed = std::mem::take(&mut self.position);
        Decoded::Request { args: Args { bytes: input, spans: &self.spans }, consumed }
    }

    /// Reads `*<count>\r\n`; a negative count means none.
    fn decode_count(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let Some(line) = self.line(input, ProtocolError::CountLineTooLong)? else {
            return Ok(None);
        };
        let count = parse_i64(line)
            .filter(|&count| count <= self.limits.args_max as i64)
            .ok_or(ProtocolError::InvalidCount)?;
        if !self.limits.authenticated && count > UNAUTHENTICATED_ARGS_MAX as i64 {
            return Err(ProtocolError::UnauthenticatedCount);
        }
        self.position += line.len() + 3;
        Ok(Some(count.max(0) as usize))
    }

    /// Reads one `$<length>\r\n<bytes>\r\n`; answers how many bytes are missing, if any are.
    fn decode_bulk(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        let length = match self.bulk_len {
            Some(length) => length,
            None => match self.decode_bulk_len(input)? {
                Some(length) => length,
                None => return Ok(Some(1)),
            },
        };
        // The two bytes after the argument are skipped unseen, as in Redis.
        let end = self.position + length + 2;
        if input.len() < end {
            self.bulk_len = Some(length);
            return Ok(Some(end - input.len()));
        }
        self.spans.push(Span { start: self.position as u32, end: (end - 2) as u32 });
        self.position = end;
        self.bulk_len = None;
        self.missing -= 1;
        Ok(None)
    }

    fn decode_bulk_len(&mut self, input: &[u8]) -> Result<Option<usize>, ProtocolError> {
        // Redis looks for the end of the line first, so an endless line is too long before it is
        // anything else.
        let rest = &input[self.position..];
        if rest.is_empty() {
            return Ok(None);
        }
        let Some(line) = self.line(input, ProtocolError::LengthLineTooLong)? else {
            return Ok(None);
        };
        if rest[0] != b'$' {
            return Err(ProtocolError::ExpectedBulk(rest[0]));
        }
        let length = parse_i64(line)
            .and_then(|length| usize::try_from(length).ok())
            .filter(|&length| length <= self.limits.bulk_bytes_max)
            .ok_or(ProtocolError::InvalidLength)?;
        if !self.limits.authenticated && length > UNAUTHENTICATED_BULK_BYTES_MAX {
            return Err(ProtocolError::UnauthenticatedLength);
        }
        self.position += line.len() + 3;
        if self.position + length > self.limits.request_bytes_max() {
            return Err(ProtocolError::RequestTooLong);
        }
        Ok(Some(length))
    }

    /// The line at the current position without its type byte, when its `\r` and the byte behind
    /// that have arrived.
    fn line<'a>(
        &self,
        input: &'a [u8],
        too_long: ProtocolError,
    ) -> Result<Option<&'a [u8]>, ProtocolError> {
        let rest = &input[self.position..];
        let Some(cr) = self.line_end(rest, b'\r', too_long)? else { return Ok(None) };
        Ok((cr + 1 < rest.len()).then(|| &rest[1.min(cr)..cr]))
    }

    /// Where `end` stands, if it has arrived. Redis looks for it as in a C string: behind a NUL there
    /// is none, so a flood of them becomes a line that is too long.
    fn line_end(
        &self,
        rest: &[u8],
        end: u8,
        too_long: ProtocolError,
    ) -> Result<Option<usize>, ProtocolError> {
        let found = rest.iter().position(|&byte| byte == end || byte == 0);
        let found = found.filter(|&index| rest[index] == end);
        // The length of a line decides, not how much of it happened to arrive at once.
        match found.unwrap_or(rest.len()) > self.limits.line_bytes_max {
            true => Err(too_long),
            false => Ok(found),
        }
    }

    fn decode_inline<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<'a>, ProtocolError> {
        let Some(newline) = self.line_end(input, b'\n', ProtocolError::InlineTooLong)? else {
            return Ok(Decoded::More { missing_bytes: 1 });
        };
        let line = &input[..newline];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.unquoted.clear();
        unquote(line, &mut self.unquoted, &mut self.spans)?;
        Ok(Decoded::Request {
            args: Args { bytes: &self.unquoted, spans: &self.spans },
            consumed: newline + 1,
        })
    }
}

/// Splits an inline request into arguments: blanks separate, `"…"` knows `\n \r \t \b \a \xHH` and
/// `\<any>`, `'…'` knows only `\'`. A closing quote must be followed by a blank or the end. As in
/// Redis, vertical tabs and form feeds are blanks between arguments but not within one.
///
/// # Errors
/// [`ProtocolError::UnbalancedQuotes`].
fn unquote(line: &[u8], out: &mut Vec<u8>, spans: &mut Vec<Span>) -> Result<(), ProtocolError> {
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        if at >= line.len() {
            return Ok(());
        }
        let start = out.len() as u32;
        while let Some(&byte) = line.get(at).filter(|byte| !b" \t\r\n".contains(byte)) {
            at += 1;
            match byte {
                b'"' => at = unquote_double(line, at, out)?,
                b'\'' => at = unquote_single(line, at, out)?,
                _ => {
                    out.push(byte);
                    continue;
                }
            }
            if line.get(at).is_some_and(|&byte| !is_space(byte)) {
                return Err(ProtocolError::UnbalancedQuotes);
            }
            break;
        }
        spans.push(Span { start, end: out.len() as u32 });
    }
}

fn unquote_double(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        let byte = *line.get(at).ok_or(ProtocolError::UnbalancedQuotes)?;
        at += 1;
        match byte {
            b'"' => return Ok(at),
            b'\\' => {
                let escaped = *line.get(at).ok_or(ProtocolError::UnbalancedQuotes)?;
                at += 1;
                let hex = |index: usize| line.get(index).and_then(|&b| char::from(b).to_digit(16));
                match (escaped, hex(at), hex(at + 1)) {
                    (b'x', Some(high), Some(low)) => {
                        out.push((high * 16 + low) as u8);
                        at += 2;
                    }
                    (b'n', ..) => out.push(b'\n'),
                    (b'r', ..) => out.push(b'\r'),
                    (b't', ..) => out.push(b'\t'),
                    (b'b', ..) => out.push(8),
                    (b'a', ..) => out.push(7),
                    (other, ..) => out.push(other),
                }
            }
            _ => out.push(byte),
        }
    }
}

fn unquote_single(line: &[u8], mut at: usize, out: &mut Vec<u8>) -> Result<usize, ProtocolError> {
    loop {
        let byte = *line.get(at).ok_or(ProtocolError::UnbalancedQuotes)?;
        at += 1;
        match byte {
            b'\'' => return Ok(at),
            b'\\' if line.get(at) == Some(&b'\'') => {
                out.push(b'\'');
                at += 1;
            }
            _ => out.push(byte),
        }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Parses a whole decimal `i64` as strictly as Redis does: no sign but a leading `-`, no leading
/// zeros, no blanks.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // 19 digits are at most 9,999,999,999,999,999,999 < 2^64.
        magnitude = magnitude * 10 + u64::from(digit - b'0');
    }
    if negative {
        (magnitude <= 1 << 63).then(|| (magnitude as i64).wrapping_neg())
    } else {
        i64::try_from(magnitude).ok()
    }
}
