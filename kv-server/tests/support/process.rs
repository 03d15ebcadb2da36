//! The real binary, where signals, limits and exit codes matter.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{PATIENCE, Wire, eventually};

/// A kv-server of its own, killed when dropped.
pub(crate) struct Process {
    child: Child,
    /// The first address that it announced.
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Process {
    /// The binary under test.
    pub(crate) fn command() -> Command {
        Command::new(env!("CARGO_BIN_EXE_kv-server"))
    }

    /// Starts one on a free port.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = Self::command();
        command.args(["--port", "0", "--announce"]).args(args);
        Self::spawn(command)
    }

    /// Runs a command that becomes a kv-server and announces itself.
    pub(crate) fn spawn(command: Command) -> Self {
        Self::spawn_with(command, &[])
    }

    /// The same, with these variables in its environment.
    pub(crate) fn spawn_with(mut command: Command, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = fs::File::create(folder.path().join("log")).expect("a new file");
        command.env_remove("KV_PORT").env_remove("KV_REQUIREPASS").envs(variables.iter().copied());
        let mut child =
            command.stdout(Stdio::piped()).stderr(log).spawn().expect("kv-server starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("kv-server announces itself");
        let address = line.trim_end().strip_prefix("ready ").and_then(|text| text.parse().ok());
        let Some(address) = address else {
            let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
            panic!("kv-server announced '{line}' and said {log}")
        };
        Self { child, address, folder }
    }

    /// Runs one that should end of itself, such as a command line without sense, and answers what
    /// it said.
    pub(crate) fn outcome(mut command: Command) -> Output {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("kv-server starts");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("our child").is_none() {
            if Instant::now() > deadline {
                drop(child.kill());
                panic!("it should end, but serves: {:?}", child.wait_with_output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait_with_output().expect("our child")
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::to(self.address)
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the server lives");
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).expect("the log")
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server ends", || {
            status = self.child.try_wait().expect("our child");
            status.is_some()
        });
        status.expect("it has ended")
    }

    /// Whether it runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).expect("it lives")
    }

    /// Processor time used so far, in hundredths of a second.
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = self.proc("stat");
        // The name in parentheses may hold blanks; utime and stime are the 12th and 13th behind it.
        let fields = stat.rsplit_once(") ").expect("a name").1.split(' ');
        fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum()
    }

    /// A figure of `/proc/PID/status`, such as `Threads`; memory is in KiB.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let status = self.proc("status");
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let digits = value.and_then(|value| value.split_whitespace().next());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("{field}: {status}"))
    }

    /// How many memory mappings it has.
    pub(crate) fn mappings(&self) -> usize {
        self.proc("maps").lines().count()
    }

    /// How many files it has open.
    pub(crate) fn open_files(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it lives").count() as u64
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
