//! Why operations fail.

use std::io::{self, ErrorKind};

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure<'a> {
    Timeout,
    Connection(Loss),
    Protocol,
    /// The reply was not what had been written.
    Verify,
    /// The server's error message.
    Server(&'a [u8]),
}

/// How a connection was lost, or could not be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Loss {
    /// Nobody listened there.
    Refused,
    Reset,
    /// Closed by the server or by us, or any other way.
    #[default]
    Closed,
}

impl Loss {
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            // Of a Unix socket, whose file may have gone with its server.
            ErrorKind::ConnectionRefused | ErrorKind::NotFound => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Self::Reset,
            _ => Self::Closed,
        }
    }
}

/// Why there was no reply to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// It, or one before it on its connection, took longer than a client waits.
    TimedOut,
    /// Its connection was lost, or could not be had.
    Away,
    /// The run was broken off.
    BrokenOff,
}
