//! Replies into one reused buffer. Where RESP2 and RESP3 differ, they differ here.

use std::fmt::Display;
use std::io::Write;

/// The protocol that a connection speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// Writes replies to the end of its buffer.
#[derive(Debug)]
pub struct Encoder {
    bytes: Vec<u8>,
    protocol: Protocol,
    bytes_max: usize,
    overflowed: bool,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new(Protocol::Resp2)
    }
}

impl Encoder {
    /// An empty buffer for `protocol`.
    pub fn new(protocol: Protocol) -> Self {
        Self { bytes: Vec::new(), protocol, bytes_max: usize::MAX, overflowed: false }
    }

    /// What was written and not yet cleared.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The buffer itself, for the sender to drain.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Speaks `protocol` from the next reply on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Writes no value that would make the buffer longer than `bytes_max`. One request can name a
    /// big value a million times, so the size of a reply is not bounded by what is asked.
    pub fn set_bytes_max(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// Whether a value was left out for want of room: the buffer then holds no whole reply and must
    /// not be sent.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.bytes.extend_from_slice(b"+OK\r\n");
    }

    /// A status line; `text` holds no line break.
    pub fn simple(&mut self, text: &str) {
        self.bytes.push(b'+');
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// An error; line breaks in `error` become blanks, because the line is the frame.
    pub fn error(&mut self, error: impl Display) {
        self.bytes.push(b'-');
        let start = self.bytes.len();
        write!(self.bytes, "{error}").expect("writing to memory");
        for byte in &mut self.bytes[start..] {
            if matches!(*byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub fn integer(&mut self, value: i64) {
        match value {
            0 => self.bytes.extend_from_slice(b":0\r\n"),
            1 => self.bytes.extend_from_slice(b":1\r\n"),
            _ => {
                self.bytes.push(b':');
                if value < 0 {
                    self.bytes.push(b'-');
                }
                push_decimal(&mut self.bytes, value.unsigned_abs());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    #[inline]
    pub fn bulk(&mut self, value: &[u8]) {
        if value.len() > self.bytes_max.saturating_sub(self.bytes.len()) {
            self.overflowed = true;
            return;
        }
        // One reservation for header, value and both line ends keeps the pushes below cheap.
        self.bytes.reserve(value.len() + 25);
        self.header(b'$', value.len());
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// No such value.
    #[inline]
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No such list, such as the reply of an `EXEC` that was not run.
    pub fn null_array(&mut self) {
        self.bytes.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// `len` replies follow.
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// Writes an array whose length is known only when `write_items`, which answers it, is done.
    pub fn array_of(&mut self, write_items: impl FnOnce(&mut Self) -> usize) {
        let start = self.bytes.len();
        let len = write_items(self);
        self.bytes.splice(start..start, format!("*{len}\r\n").into_bytes());
    }

    /// `len` pairs follow; RESP2 has no maps and sees a flat array.
    pub fn map(&mut self, len: usize) {
        match self.protocol {
            Protocol::Resp2 => self.header(b'*', len * 2),
            Protocol::Resp3 => self.header(b'%', len),
        }
    }

    /// `len` distinct replies follow; RESP2 sees an array.
    pub fn set(&mut self, len: usize) {
        self.header(if self.protocol == Protocol::Resp3 { b'~' } else { b'*' }, len);
    }

    /// Text for people, such as `INFO`'s.
    pub fn verbatim(&mut self, text: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(text.as_bytes()),
            Protocol::Resp3 => {
                self.header(b'=', text.len() + 4);
                self.bytes.extend_from_slice(b"txt:");
                self.bytes.extend_from_slice(text.as_bytes());
                self.bytes.extend_from_slice(b"\r\n");
            }
        }
    }

    fn header(&mut self, kind: u8, len: usize) {
        self.bytes.push(kind);
        push_decimal(&mut self.bytes, len as u64);
        self.bytes.extend_from_slice(b"\r\n");
    }
}

/// Appends `value` in decimal digits, as lengths and integers are written.
#[inline]
pub fn push_decimal(bytes: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    bytes.extend_from_slice(&digits[at..]);
}
