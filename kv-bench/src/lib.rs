//! Load tester.
pub mod result;
