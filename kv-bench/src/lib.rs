//! A load tester for key-value servers that says when its own numbers cannot be believed.
//!
//! ```text
//! args → scenario → workload → driver( worker × N → target ) → recorder → result → report, plot
//! ```
//!
//! * [`args`] is what was typed, [`scenario`] what it means.
//! * [`workload`] draws each client's operations from a seed; [`schedule`] says when they are due.
//! * [`driver`] sends them: threads that share nothing, each one event loop over many clients.
//!   [`target`] is what it drives, without sockets or clocks.
//! * [`recorder`] keeps each worker's latencies and counts; [`trust`] judges the measurement.
//! * [`result`] is what a run leaves; [`report`] and [`plot`] show it.
//!
//! It is not a library of statistics, and it has no scripting language: what it can ask of a server
//! is on its command line.

// `println!` and `eprintln!` panic when their reader has gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod args;
pub mod chaos;
mod cluster;
pub mod confidence;
mod cpu;
pub mod curve;
pub mod demand;
pub mod digest;
pub mod driver;
pub mod fairness;
pub mod find_max;
mod in_process;
mod interrupt;
pub mod interval_log;
mod machine;
mod measurement;
mod metrics;
mod number;
pub mod objective;
pub mod open_curve;
mod outputs;
mod patience;
pub mod percentiles;
pub mod plot;
mod probe;
mod progress;
mod record;
pub mod recorder;
pub mod repeats;
pub mod report;
pub mod result;
pub mod scenario;
mod scenario_file;
pub mod schedule;
mod scratch;
mod selftest;
mod serve;
mod session;
mod spawn;
pub mod target;
pub mod trace;
pub mod trust;
pub mod units;
pub mod verify;
mod view;
pub mod workload;

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, FromArgMatches as _};
use kv_server::usage::{self, EXIT_USAGE};

use args::{Cli, Command, CurveArgs, FindMaxArgs, LoadArgs, ReportArgs};
use progress::complain;
use scenario::{FindMaxPlan, RatesPlan, Scenario, ScenarioError};

const FAILED: u8 = 1;

/// The program: reads the command line, does what it says, returns the exit code.
pub fn main() -> ExitCode {
    let typed: Vec<_> = std::env::args_os().collect();
    let words = scenario_file::with_file(&Cli::command(), typed.clone());
    let words = words.unwrap_or_else(|reason| usage::refuse("error", &reason));
    let speaker = words.speaker(&Cli::command(), &typed);
    let typed = usage::matches(Cli::command(), &words.all, &speaker);
    let mut cli = Cli::from_arg_matches(&typed).unwrap_or_else(|error| error.exit());
    if let Some(load) = cli.load_mut() {
        let text = |word: &std::ffi::OsString| word.to_string_lossy().into_owned();
        load.words = words.all.iter().skip(1).map(text).collect();
        load.places = words.places;
    }
    kv_server::survive_file_limit();
    match cli.command {
        None => curve(&cli.curve),
        Some(Command::Curve(args)) => curve(&args),
        Some(Command::Run(args)) => load(&args, None),
        Some(Command::FindMax(args)) => find_max(&args),
        Some(Command::Report(args)) => render(&args),
        Some(Command::Selftest(args)) => exit(selftest::run(&args)),
        Some(Command::Serve(args)) => serve::serve(&args),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "kv-bench", &mut script);
            exit(progress::say(&script).map(|()| ExitCode::SUCCESS))
        }
    }
}

fn load(args: &LoadArgs, curve_time: Option<Duration>) -> ExitCode {
    let checked = outputs::check(&args.output)
        .and_then(|()| curve_time.map_or(Ok(()), scenario::check_curve_time))
        .and_then(|()| curve_time.map_or(Ok(()), |_| scenario::check_curve_load(args)))
        .and_then(|()| Scenario::new(args));
    match checked {
        Ok(scenario) => exit(session::run(args, &scenario, curve_time)),
        Err(error) => refuse(&error, args),
    }
}

fn curve(args: &CurveArgs) -> ExitCode {
    let Some(rates) = &args.rates else { return load(&args.load, Some(args.curve_time)) };
    let checked = outputs::check(&args.load.output)
        .and_then(|()| RatesPlan::new(args, rates))
        .and_then(|(plan, load)| Ok((Scenario::new(&load)?, plan, load)));
    match checked {
        Ok((scenario, plan, load)) => exit(session::open_curve(&load, &scenario, &plan)),
        Err(error) => refuse(&error, &args.load),
    }
}

fn find_max(args: &FindMaxArgs) -> ExitCode {
    let checked = outputs::check(&args.load.output)
        .and_then(|()| FindMaxPlan::new(args))
        .and_then(|(plan, load)| Ok((Scenario::new(&load)?, plan, load)));
    match checked {
        Ok((scenario, plan, load)) => exit(session::find_max(&load, &scenario, &plan)),
        Err(error) => refuse(&error, &args.load),
    }
}

fn refuse(error: &ScenarioError, args: &LoadArgs) -> ExitCode {
    let place = args.places.iter().find(|(flag, _)| Some(flag.as_str()) == error.flag());
    match place {
        Some((_, place)) => complain(format_args!("error: {place}: {error}")),
        None => complain(format_args!("error: {error}")),
    }
    ExitCode::from(if error.is_usage() { EXIT_USAGE } else { FAILED })
}

fn render(args: &ReportArgs) -> ExitCode {
    if let Some(nonsense) = args.nonsense() {
        complain(format_args!("error: {nonsense}"));
        return ExitCode::from(EXIT_USAGE);
    }
    exit(report::again(args).map(|()| ExitCode::SUCCESS))
}

fn exit(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        complain(format_args!("error: {error:#}"));
        ExitCode::from(FAILED)
    })
}
