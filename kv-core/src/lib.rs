//! Key-value engine.
