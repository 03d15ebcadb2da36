//! `kv-cli`: one command, a file of commands, or a prompt.

// `println!` and `eprintln!` panic when their reader has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod format;
mod prompt;
mod run;
mod session;

use std::fmt::Display;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use kv_server::{survive_file_limit, usage};

use args::Args;
use run::{Printer, Status};

fn main() -> ExitCode {
    survive_file_limit();
    let typed = usage::matches(<Args as CommandFactory>::command(), std::env::args_os(), "kv-cli");
    let args = Args::from_arg_matches(&typed).unwrap_or_else(|error| error.exit());
    match run(&args) {
        Ok(status) => status.into(),
        Err(error) => match error.downcast_ref::<io::Error>() {
            // Nobody reads our output any more: that is their choice, not our failure.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Some(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                complain("kv-cli: the output is larger than files may be: raise ulimit -f");
                Status::Failed.into()
            }
            Some(error) => {
                complain(format_args!("kv-cli: cannot write the output: {error}"));
                Status::Failed.into()
            }
            None => {
                complain(format_args!("kv-cli: {error:#}"));
                Status::Usage.into()
            }
        },
    }
}

/// Says something beside the replies. If nobody can hear it, the exit status tells.
fn complain(message: impl Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

fn run(args: &Args) -> anyhow::Result<Status> {
    let mut session = args.session()?;
    let format = args.format(io::stdout().is_terminal());
    let command = args.command();
    if !command.is_empty() {
        return Ok(Printer { format, place: Some(String::new()) }.run(&mut session, &command)?);
    }
    if io::stdin().is_terminal() {
        prompt::run(&mut session, format)
    } else {
        Ok(run::pipe(&mut session, format)?)
    }
}
