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
        Self::UnknownCommand(UnknownCommand(args.from(0).map(<[u8]>::to_vec).take(40).collect()))
    }
}

/// The request whose command is not known, quoted as Redis does: 128 bytes of the name, and of the
/// arguments as many as begin within 128 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCommand(Vec<Vec<u8>>);

const QUOTED_BYTES_MAX: usize = 128;

impl Display for UnknownCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quote = |bytes: &[u8], bytes_max: usize| {
            String::from_utf8_lossy(&bytes[..bytes.len().min(bytes_max)]).into_owned()
        };
        let name = self.0.first().map_or(&[][..], Vec::as_slice);
        write!(
            f,
            "ERR unknown command '{}', with args beginning with: ",
            quote(name, QUOTED_BYTES_MAX)
        )?;
        let mut quoted = 0;
        for arg in self.0.iter().skip(1) {
            if quoted >= QUOTED_BYTES_MAX {
                break;
            }
            let text = quote(arg, QUOTED_BYTES_MAX - quoted);
            quoted += text.len() + 3;
            write!(f, "'{text}' ")?;
        }
        Ok(())
    }
}
