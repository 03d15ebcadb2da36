//! TLS: the certificate and key that connections are accepted with, and their encrypted streams.

mod acceptor;
mod error;
mod stream;

pub(crate) use acceptor::Acceptor;
pub use error::TlsError;
pub(crate) use error::in_words;
pub(crate) use stream::TlsStream;
