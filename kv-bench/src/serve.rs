//! Being one of kv-bench's own servers: a child that cannot outlive its parent.
//!
//! Two ropes tie it: the kernel kills it when the thread that spawned it ends (PDEATHSIG, which
//! survives `exec`, so a foreign program is tied too), and its standard input is a pipe that ends
//! when the parent does, for kernels and sandboxes without the first.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use clap::Parser;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::args::ServeArgs;

/// Runs the server until it ends or the parent does.
pub(crate) fn serve(args: &ServeArgs) -> ExitCode {
    // Where the kernel cannot, the pipe still does.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(args.parent) {
        // It died before the rope was tied.
        return ExitCode::FAILURE;
    }
    if let Some(program) = &args.exec {
        let error = Command::new(program).args(&args.server_args).exec();
        eprintln!("cannot run {}: {error}", program.display());
        return ExitCode::FAILURE;
    }
    std::thread::spawn(end_with_standard_input);
    serve_own(&args.server_args)
}

/// kv-server's own command line, behind ours.
#[derive(Debug, Parser)]
#[command(name = "kv-bench serve --")]
struct OwnServer {
    #[command(flatten)]
    args: kv_server::Args,
}

fn serve_own(server_args: &[String]) -> ExitCode {
    let words = std::iter::once("kv-bench serve --").chain(server_args.iter().map(String::as_str));
    kv_server::serve(&OwnServer::parse_from(words).args)
}

fn end_with_standard_input() {
    let mut buffer = [0; 64];
    loop {
        match std::io::stdin().read(&mut buffer) {
            Ok(0) => std::process::exit(0),
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => std::process::exit(0),
            _ => {}
        }
    }
}
