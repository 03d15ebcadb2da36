//! What can go wrong between a client and its server. Every message names the server.

use std::io;
use std::time::Duration;

use super::Address;
use crate::resp::reply::ReplyError;

/// A call that got no reply. An error *reply* is none: it is a [`Value`](crate::resp::reply::Value).
/// After any of these the connection is of no more use, and whether the server ran the command is
/// unknown.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection.
    #[error("cannot reach {address}: {}; is the server running there?", reason(cause))]
    Connect {
        /// The server.
        address: Address,
        /// Why.
        cause: io::Error,
    },
    /// Silence for longer than the reply timeout.
    #[error("{address} did not answer within {after:?}; a longer timeout may help")]
    Timeout {
        /// The server.
        address: Address,
        /// How long we waited.
        after: Duration,
    },
    /// The server hung up.
    #[error("{address} closed the connection before it answered; its log may say why")]
    Closed {
        /// The server.
        address: Address,
    },
    /// The connection broke.
    #[error("lost the connection to {address}: {}", reason(cause))]
    Io {
        /// The server.
        address: Address,
        /// Why.
        cause: io::Error,
    },
    /// Server and client do not trust or understand each other.
    #[error("no TLS with {address}: {}", tls_reason(cause))]
    Tls {
        /// The server.
        address: Address,
        /// Why.
        cause: io::Error,
    },
    /// What came back is no RESP.
    #[error("{address}: {}", protocol_reason(cause))]
    Protocol {
        /// The server.
        address: Address,
        /// What is wrong with it.
        cause: ReplyError,
    },
    /// User or password refused, or a password missing.
    #[error("{address} refused the login: {}; check user and password", message.trim_end_matches('.'))]
    Auth {
        /// The server.
        address: Address,
        /// The server's words.
        message: String,
    },
    /// `HELLO 3` or `SELECT` refused.
    #[error("{address} refused {command}: {message}")]
    Refused {
        /// The server.
        address: Address,
        /// What we asked for.
        command: String,
        /// The server's words.
        message: String,
    },
    /// A command without a name would get no reply.
    #[error("empty command for {address}: there is nothing to send")]
    Empty {
        /// The server.
        address: Address,
    },
}

/// Why there is no TLS, and what may help.
fn tls_reason(error: &io::Error) -> String {
    use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
    let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>());
    let words = match (tls, error.kind()) {
        (Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)), _) => {
            "nobody we trust has signed its certificate; name who did (--cacert)"
        }
        (Some(Error::AlertReceived(AlertDescription::CertificateRequired)), _) => {
            "it asks for a certificate of ours (--cert, --key)"
        }
        (Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)), _) => {
            "it does not speak TLS on this port: leave out --tls (or the s of rediss://), or name its port \
             for TLS"
        }
        (Some(error), _) => return error.to_string(),
        (None, io::ErrorKind::TimedOut) => {
            "it did not finish the handshake in time; does it speak TLS on this port?"
        }
        (
            None,
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe,
        ) => "it hung up; does it speak TLS on this port?",
        (None, _) => return reason(error),
    };
    words.to_owned()
}

/// How a server that expects a TLS handshake says that a request is none (RFC 8446, 5.1: the content
/// type of an alert), which no reply begins with.
const TLS_ALERT: u8 = 21;

/// What is wrong with what came back, and what may help.
fn protocol_reason(error: &ReplyError) -> String {
    match error {
        ReplyError::UnknownType(TLS_ALERT) => {
            "this port speaks TLS: add --tls (or write rediss://), with --cacert FILE where the system \
             does not know who signed its certificate"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// The operating system's words without its "(os error 111)".
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or_default();
    words.strip_prefix("failed to lookup address information: ").unwrap_or(words).to_lowercase()
}
