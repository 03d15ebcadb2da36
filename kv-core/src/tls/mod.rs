//! TLS over sockets that somebody else has: rustls, which knows no sockets, between them and what
//! is said. The server, the clients and the load generator all speak through a [`Session`].

mod connector;
mod pem;
mod session;

pub use connector::{TlsConnector, TlsOptions, TlsOptionsError};
pub use pem::{PemError, read_certificates, read_key};
pub use session::Session;
