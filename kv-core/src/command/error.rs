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
    #[error("ERR DB index is out of range")]
    NoSuchDatabase,
    #[error("ERR invalid {0} DB index")]
    InvalidDatabase(&'static str),
    /// Redis' wording, its grammar included.
    #[error("ERR value is out of range, value must between {} and {}", i32::MIN, i32::MAX)]
    BeyondInt,
    #[error("ERR source and destination objects are the same")]
    SameObject,
    #[error("ERR bit offset is not an integer or out of range")]
    BitOffset,
    #[error("ERR bit is not an integer or out of range")]
    NotABit,
    #[error("ERR The bit argument must be 1 or 0.")]
    BitArgument,
    #[error("ERR BITOP NOT must be called with a single source key.")]
    BitNotOfSeveral,
    #[error(
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."
    )]
    BitfieldType,
    #[error("ERR Invalid OVERFLOW type specified")]
    OverflowType,
    #[error("ERR BITFIELD_RO only supports the GET subcommand")]
    BitfieldReadOnly,
    #[error("ERR If you want both the length and indexes, please just use IDX.")]
    LcsOfBoth,
    #[error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")]
    LcsTooBig,
    #[error(
        "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."
    )]
    NoFrequencies,
    #[error("OOM command not allowed when used memory > 'maxmemory'.")]
    OutOfMemory,
    #[error("{0}")]
    UnknownCommand(UnknownCommand),
    #[error("ERR unknown subcommand '{subcommand}'. Try {command} HELP.")]
    UnknownSubcommand { command: String, subcommand: String },
}

impl CommandError {
    /// The arity error of the command as it was typed.
    pub fn wrong_arity(name: &[u8]) -> Self {
        Self::WrongArity(String::from_utf8_lossy(name).to_lowercase())
    }

    /// The error for a request whose command has no such subcommand.
    pub(super) fn unknown_subcommand(args: &Args<'_>) -> Self {
        let subcommand = args.get(1).unwrap_or_default();
        Self::UnknownSubcommand {
            command: String::from_utf8_lossy(args.at(0)).to_uppercase(),
            subcommand: quoted(&subcommand[..subcommand.len().min(QUOTED_BYTES_MAX)]),
        }
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
        let name = c_string(args.next().unwrap_or_default(), QUOTED_BYTES_MAX);
        let mut shown = Vec::new();
        for arg in args {
            if shown.len() >= QUOTED_BYTES_MAX {
                break;
            }
            let arg = c_string(arg, QUOTED_BYTES_MAX - shown.len());
            shown.extend_from_slice(&[b"'", arg, b"' "].concat());
        }
        Self { name: quoted(name), quoted_args: String::from_utf8_lossy(&shown).into_owned() }
    }
}

/// What a client typed, as an error of Redis quotes it: up to a NUL. What is not UTF-8 is replaced,
/// because most clients decode errors so.
pub fn quoted(word: &[u8]) -> String {
    String::from_utf8_lossy(c_string(word, usize::MAX)).into_owned()
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
