//! What a command can fail with, in the words of Redis 7.

use std::fmt::{self, Display};

use thiserror::Error;

use crate::resp::Args;

/// An error reply without its `-`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    #[error("ERR syntax error")]
    Syntax,
    #[error("ERR value is not an integer or out of range")]
    NotAnInteger,
    #[error("ERR value is not a valid float")]
    NotAFloat,
    #[error("ERR increment or decrement would overflow")]
    Overflow,
    #[error("ERR decrement would overflow")]
    DecrementOverflow,
    #[error("ERR increment would produce NaN or Infinity")]
    NotFinite,
    #[error("ERR invalid expire time in '{0}' command")]
    InvalidExpiry(&'static str),
    #[error("ERR NX and XX, GT or LT options at the same time are not compatible")]
    ExpiryConditionsWithNx,
    #[error("ERR GT and LT options at the same time are not compatible")]
    ExpiryConditionsGtLt,
    #[error("ERR Unsupported option {0}")]
    UnsupportedOption(String),
    #[error("ERR offset is out of range")]
    OffsetOutOfRange,
    #[error("ERR string exceeds maximum allowed size (proto-max-bulk-len)")]
    StringTooLong,
    #[error("ERR no such key")]
    NoSuchKey,
    #[error("ERR invalid cursor")]
    InvalidCursor,
    #[error("ERR wrong number of arguments for '{0}' command")]
    WrongArity(String),
    #[error("{0}")]
    UnknownCommand(UnknownCommand),
}

impl CommandError {
    /// The arity error of the command as it was typed.
    pub fn wrong_arity(name: &[u8]) -> Self {
        Self::WrongArity(String::from_utf8_lossy(name).to_lowercase())
    }

    /// The error for a request whose command is not in the table.
    pub fn unknown_command(args: &Args<'_>) -> Self {
        Self::UnknownCommand(UnknownCommand::new(args.from(0)))
    }
}

/// The request whose command is not known, quoted as Redis does: 128 bytes of the name, and of the
/// arguments as many as begin within 128 bytes; of each, what stands before a NUL. What is not
/// UTF-8 is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCommand {
    name: String,
    /// `'a' 'b' `, blanks included.
    quoted_args: String,
}

const QUOTED_BYTES_MAX: usize = 128;

impl UnknownCommand {
    fn new<'a>(mut args: impl Iterator<Item = &'a [u8]>) -> Self {
        let name = c_string(args.next().unwrap_or_default(), QUOTED_BYTES_MAX).to_vec();
        let mut quoted = Vec::new();
        for arg in args {
            if quoted.len() >= QUOTED_BYTES_MAX {
                break;
            }
            let arg = c_string(arg, QUOTED_BYTES_MAX - quoted.len());
            quoted.extend_from_slice(&[b"'", arg, b"' "].concat());
        }
        Self {
            name: String::from_utf8_lossy(&name).into_owned(),
            quoted_args: String::from_utf8_lossy(&quoted).into_owned(),
        }
    }
}

/// What C's `%.*s` prints of these bytes.
fn c_string(bytes: &[u8], bytes_max: usize) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    &bytes[..end.min(bytes_max)]
}

impl Display for UnknownCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, quoted_args } = self;
        write!(f, "ERR unknown command '{name}', with args beginning with: {quoted_args}")
    }
}
