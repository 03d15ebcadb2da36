//! Where a reply ends, found without building it and without looking at a byte twice.

use std::ops::Range;

use super::token::{self, Kind, Token};
use super::{DEPTH_MAX, ReplyError};

/// Finds the end of one reply in a buffer that grows between calls. Holds no bytes and never
/// allocates.
///
/// ```
/// use kv_core::resp::reply::Scanner;
/// let mut scanner = Scanner::default();
/// assert_eq!(scanner.scan(b"*2\r\n:1\r\n"), Ok(None));
/// assert_eq!(scanner.scan(b"*2\r\n:1\r\n:2\r\n+OK\r\n"), Ok(Some(0..12)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Scanner {
    position: usize,
    head: usize,
    depth: usize,
    frames: [Frame; DEPTH_MAX],
}

/// An aggregate that is still open.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    remaining: usize,
    /// False for pushes and attributes: when they close, nothing has been counted.
    counts: bool,
}

impl Scanner {
    /// Goes on where the last call stopped. `bytes` is the same buffer as then with more at its
    /// end. Returns the range of the complete reply, pushes and attributes before it left out (its
    /// end is the number of bytes to consume), and starts over; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ReplyError`] when the bytes are not RESP or exceed the limits.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<Option<Range<usize>>, ReplyError> {
        loop {
            let Some((token, next)) = token::next(bytes, self.position)? else { return Ok(None) };
            let start = std::mem::replace(&mut self.position, next);
            if self.accept(&token, start)? {
                let reply = self.head..self.position;
                *self = Self::default();
                return Ok(Some(reply));
            }
        }
    }

    /// Takes one token; true when it completes the reply.
    fn accept(&mut self, token: &Token<'_>, start: usize) -> Result<bool, ReplyError> {
        let (counts, elements) = match *token {
            Token::Open { kind: Kind::Push, .. } if self.depth > 0 => {
                return Err(ReplyError::NestedPush);
            }
            Token::Open { kind, elements } => {
                (!matches!(kind, Kind::Push | Kind::Attribute), elements)
            }
            _ => (true, 0),
        };
        if counts && self.depth == 0 {
            self.head = start;
        }
        if elements == 0 {
            return Ok(counts && self.close());
        }
        let frame = self.frames.get_mut(self.depth).ok_or(ReplyError::TooDeep)?;
        *frame = Frame { remaining: elements, counts };
        self.depth += 1;
        Ok(false)
    }

    /// Counts one finished element up through the aggregates it completes; true at the top.
    fn close(&mut self) -> bool {
        while self.depth > 0 {
            let frame = &mut self.frames[self.depth - 1];
            frame.remaining -= 1;
            if frame.remaining > 0 {
                return false;
            }
            self.depth -= 1;
            if !frame.counts {
                return false;
            }
        }
        true
    }
}
