//! Figures for Prometheus over HTTP, on a port of their own: those of a server, which are what `INFO`
//! tells by name, label and unit; and those of any program that has some ([`serve`]).

mod exporter;
mod figures;
mod page;
mod process;
mod request;
mod sheet;

pub use exporter::{Admit, Exporter, serve};
pub(crate) use figures::start;
pub use page::WriteFigures;
pub use process::write as write_process;
pub use sheet::{Buckets, Label, Name, Sheet};
