//! The wire protocol.

pub mod reply;
