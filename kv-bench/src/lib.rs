//! Load tester.
pub mod driver;
mod number;
pub mod percentiles;
pub mod plot;
pub mod recorder;
pub mod report;
pub mod result;
pub mod schedule;
pub mod target;
pub mod workload;
