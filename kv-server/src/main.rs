//! `kv-server`: the command line of the server.

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "kv-server", version, about, long_about = None)]
struct Cli {
    #[command(flatten)]
    args: kv_server::Args,
}

fn main() -> ExitCode {
    kv_server::serve(&Cli::parse().args)
}
