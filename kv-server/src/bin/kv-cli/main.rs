//! `kv-cli`: one command, a file of commands, or a prompt.

mod args;
mod format;
mod line;
mod prompt;
mod run;
mod session;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Parser;

use args::Args;
use run::{Printer, Status};

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(status) => status.into(),
        Err(error) => match error.downcast_ref::<io::Error>() {
            // Nobody reads our output any more: that is their choice, not our failure.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            _ => {
                eprintln!("kv-cli: {error:#}");
                Status::Usage.into()
            }
        },
    }
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
