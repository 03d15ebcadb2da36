//! Key-value engine.

pub mod client;
pub mod resp;
pub mod ring;
pub mod ring_client;
