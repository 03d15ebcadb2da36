//! Key-value engine.

pub mod resp;
