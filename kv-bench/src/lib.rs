//! Load tester.
mod number;
pub mod percentiles;
pub mod plot;
pub mod report;
pub mod result;
