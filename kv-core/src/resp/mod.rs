//! The wire: RESP2 and RESP3, byte for byte as Redis 7 speaks them.
//!
//! [`request`] decodes what a client sends, [`encode`] writes what a server answers, and [`reply`]
//! decodes that answer on the client's side. None of them touches a socket.

pub mod encode;
mod line;
pub mod reply;
pub mod request;

pub use encode::{Encoder, Protocol};
pub use line::split_line;
pub use request::{Args, ProtocolError, RequestDecoder, RequestLimits};
