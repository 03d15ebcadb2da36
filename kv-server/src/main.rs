//! `kv-server`: the command line of the server.

use std::process::ExitCode;

use clap::CommandFactory;
use kv_server::Args;

#[derive(Debug, clap::Parser)]
#[command(name = "kv-server", version, about, long_about = None)]
struct Cli {
    #[command(flatten)]
    args: kv_server::Args,
}

fn main() -> ExitCode {
    kv_server::serve(&Args::from_words(&Cli::command(), std::env::args_os()))
}
