//! Being one of kv-bench's own servers: a child that cannot outlive its parent.
//!
//! Two ropes tie it: the kernel kills it when the thread that spawned it ends (PDEATHSIG), and its
//! standard input is a pipe that ends when the parent does, for kernels and sandboxes without the
//! first. A foreign program may be a script around a server, which PDEATHSIG would not reach: it
//! runs below a supervisor that holds the pipe and, when that ends, kills the whole process group.

use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;

use clap::CommandFactory;
use rustix::process::{
    Signal, getpid, getppid, kill_process_group, set_parent_process_death_signal,
};
use signal_hook::consts::SIGTERM;
use signal_hook::{flag, low_level};

use crate::args::ServeArgs;
use crate::progress::complain;

/// Runs the server until it ends or the parent does.
pub(crate) fn serve(args: &ServeArgs) -> ExitCode {
    // Its file is called exe (`/proc/self/exe`), and so would it be in ps and top.
    let name = if args.exec.is_none() { c"kv-server" } else { c"kv-bench-serve" };
    // A name is all that is lost where it cannot be set.
    let _ = rustix::thread::set_name(name);
    if args.exec.is_none() {
        // Where the kernel cannot, the pipe still does.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get().unsigned_abs());
    if parent != Some(args.parent) {
        // It died before the rope was tied.
        return ExitCode::FAILURE;
    }
    if let Some(program) = &args.exec {
        return supervise(program, &args.server_args);
    }
    std::thread::spawn(|| {
        await_end_of_standard_input();
        std::process::exit(0);
    });
    serve_own(&args.server_args)
}

/// Runs a foreign program to its end, and ends as it did.
fn supervise(program: &Path, words: &[String]) -> ExitCode {
    // SIGTERM goes to the whole group: the program is to end by it, and this process after it. A
    // handler, because an ignored signal would stay ignored in the program.
    if let Err(error) = flag::register(SIGTERM, Arc::default()) {
        complain(format_args!("cannot wait for {}: {error}", program.display()));
        return ExitCode::FAILURE;
    }
    let mut child = match Command::new(program).args(words).stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(error) => {
            complain(format_args!("cannot run {}: {error}", program.display()));
            return ExitCode::FAILURE;
        }
    };
    // The folder is the program's; where it cannot be left, it can stay.
    let _ = std::env::set_current_dir("/");
    std::thread::spawn(|| {
        await_end_of_standard_input();
        // It is the leader of its group, and so ends with it.
        let _ = kill_process_group(getpid(), Signal::KILL);
        std::process::exit(1);
    });
    let status = match child.wait() {
        Ok(status) => status,
        Err(error) => {
            complain(format_args!("cannot wait for {}: {error}", program.display()));
            return ExitCode::FAILURE;
        }
    };
    if let Some(signal) = status.signal() {
        // Does not return for a signal that ends a process.
        let _ = low_level::emulate_default_handler(signal);
    }
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}

/// kv-server's own command line, behind ours.
#[derive(Debug, clap::Parser)]
#[command(name = "kv-bench serve --")]
struct OwnServer {
    #[command(flatten)]
    args: kv_server::Args,
}

fn serve_own(server_args: &[String]) -> ExitCode {
    let words = std::iter::once("kv-bench serve --").chain(server_args.iter().map(String::as_str));
    kv_server::serve(&kv_server::Args::from_words(&OwnServer::command(), words))
}

fn await_end_of_standard_input() {
    let mut buffer = [0; 64];
    loop {
        match std::io::stdin().read(&mut buffer) {
            Ok(0) => return,
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}
