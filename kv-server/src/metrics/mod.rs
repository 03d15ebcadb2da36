//! Figures for Prometheus: what `INFO` tells, by name, label and unit, over HTTP on a port of its
//! own.

mod exporter;
mod figures;
mod process;
mod request;
mod sheet;

pub(crate) use exporter::start;
