//! Key-value engine.

pub mod resp;
pub mod ring;
