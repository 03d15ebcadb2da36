//! A key-value server, one thread per connection, speaking RESP2 and RESP3 as Redis 7 does.
//!
//! ```no_run
//! use kv_server::{Config, Server};
//!
//! let server = Server::bind(&Config { port: 0, ..Config::default() })?;
//! println!("listening on {:?}", server.local_addrs());
//! let shutdown = server.shutdown();
//! let serving = std::thread::spawn(|| server.run());
//! shutdown.raise();
//! serving.join().expect("the server does not panic")?;
//! # Ok::<(), kv_server::ServerError>(())
//! ```
//!
//! It is no cluster and has no async runtime; who outgrows it moves to Redis Cluster with the same
//! commands and the same hash slots. What it keeps on disk, and how surely, is
//! [`kv_core::data_dir`].

// `println!` and `eprintln!` panic when their reader has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod capacity;
mod clients;
mod command_stats;
mod complaint;
mod config;
mod config_file;
mod config_rewrite;
mod connection;
mod counters;
mod file_hint;
mod file_limit;
mod info;
mod latency_histogram;
mod listener;
mod log_file;
pub mod metrics;
mod monitor;
mod pause;
mod persistence;
mod repair;
mod request_log;
mod scheduling;
mod scout;
mod secrets;
mod server;
mod session;
mod settings;
mod shared;
mod shutdown;
mod slowlog;
mod stream;
mod ticker;
mod tls;
pub mod usage;
mod wakeup;

pub use args::{Args, serve};
pub use config::{AuthClients, Config, Limits, MemoryLimit, PORT_DEFAULT, TlsConfig};
pub use file_limit::survive_file_limit;
pub use server::{Server, ServerError};
pub use shutdown::Shutdown;
pub use tls::TlsError;

/// The version of Redis whose replies we give. Test suites of clients skip what came later.
pub const REDIS_VERSION: &str = "7.2.4";
