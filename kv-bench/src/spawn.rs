//! Servers that kv-bench starts, watches and ends.
//!
//! Each is a child in its own process group, so that Ctrl-C reaches kv-bench alone, tied to it as
//! [`crate::serve`] describes. All are started by the main thread: PDEATHSIG follows the thread
//! that spawned, and that one lives as long as the process.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use kv_core::data_dir::Durability;
use rustix::process::{
    Pid, Signal, getpgid, kill_process, kill_process_group, test_kill_process_group,
};

use crate::interrupt::Interrupt;
use crate::probe::{Identity, probe};
use crate::scratch::Scratch;
use crate::target::{Address, Credentials, Endpoint, Protocol};

/// How long a server may take until it answers PING.
const START_TIME: Duration = Duration::from_secs(10);
/// How long it may take to end before it is killed.
const END_TIME: Duration = Duration::from_secs(2);
/// How long a server that is about to be stopped may take to say which process it is.
const PAUSE_PROBE_TIME: Duration = Duration::from_millis(200);
/// Another process may take a port between our choice and the server's bind.
const ATTEMPTS: u32 = 5;
/// Lines of a dead server's log that a message shows.
const LOG_LINES: usize = 3;
/// What lines hold that tell of a failure.
const ERROR_WORDS: [&str; 12] = [
    "error",
    "fatal",
    "panic",
    "fail",
    "cannot",
    "can't",
    "abort",
    "out of memory",
    "denied",
    "crash",
    "assert",
    "no space",
];

/// How a server is started, the first time and again.
#[derive(Clone)]
struct Start {
    name: String,
    port: u16,
    /// Where it runs and keeps its data.
    folder: PathBuf,
    /// The program, if not kv-bench's own.
    program: Option<PathBuf>,
    durability: Durability,
}

/// One server of ours.
struct Spawned {
    start: Start,
    child: Child,
    /// The child is the supervisor of a foreign program.
    supervised: bool,
    log: PathBuf,
    /// How long its log was when it answered: before that it told of its start.
    log_at_start: u64,
    identity: Identity,
    /// We killed it, and mean to.
    killed: bool,
}

/// What servers to start.
pub(crate) struct Plan<'a> {
    /// The program, if not kv-bench's own.
    pub(crate) program: Option<&'a Path>,
    pub(crate) durability: Durability,
    /// Where their folders are.
    pub(crate) scratch: &'a Scratch,
}

/// The servers of one measurement, ended when dropped.
pub(crate) struct Servers {
    list: Vec<Spawned>,
}

impl Servers {
    /// Starts `count` servers and waits until each answers.
    ///
    /// # Errors
    ///
    /// When one cannot be started; the message holds the last lines of its log.
    pub(crate) fn start(
        count: u32,
        plan: &Plan<'_>,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let mut servers = Self { list: Vec::new() };
        for number in 1..=count {
            let name = format!("server_{number}");
            servers.list.push(spawn(&name, plan)?);
        }
        for server in &mut servers.list {
            let mut attempt = 1;
            while let Err(error) = server.await_answer(interrupt) {
                if attempt == ATTEMPTS || !server.lost_its_port() {
                    return Err(error);
                }
                attempt += 1;
                let name = server.start.name.clone();
                *server = spawn(&name, plan)?;
            }
        }
        Ok(servers)
    }

    /// Where they listen.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.list.iter().map(Spawned::endpoint).collect()
    }

    /// Who they are.
    pub(crate) fn identities(&self) -> Vec<Identity> {
        self.list.iter().map(|server| server.identity.clone()).collect()
    }

    /// Why the run cannot go on, when a server has ended by itself.
    pub(crate) fn obituary(&mut self) -> Option<String> {
        self.list.iter_mut().filter(|server| !server.killed).find_map(|server| {
            let status = server.child.try_wait().ok()??;
            Some(server.describe_end(status))
        })
    }
}

/// What is done to them on purpose. They are numbered from 0.
impl Servers {
    /// Kills one.
    pub(crate) fn kill(&mut self, index: usize) {
        let server = &mut self.list[index];
        server.killed = true;
        server.signal(Signal::KILL);
        // Nobody can outlive that.
        let _ = server.child.wait();
        server.identity.pid = None;
        server.await_end_of_group();
    }

    /// Starts one that was killed again, where it was and with what is left of its data. It may not
    /// answer yet.
    ///
    /// # Errors
    ///
    /// When its process cannot be started.
    pub(crate) fn restart(&mut self, index: usize) -> anyhow::Result<()> {
        let server = &mut self.list[index];
        *server = launch(server.start.clone())?;
        Ok(())
    }

    /// Stops one until [`Servers::resume`].
    ///
    /// # Errors
    ///
    /// When its process is not known.
    pub(crate) fn pause(&mut self, index: usize) -> anyhow::Result<()> {
        self.list[index].learn_identity();
        self.list[index].signal_program(Signal::STOP)
    }

    /// Lets one that was stopped go on.
    ///
    /// # Errors
    ///
    /// When its process is not known.
    pub(crate) fn resume(&self, index: usize) -> anyhow::Result<()> {
        self.list[index].signal_program(Signal::CONT)
    }

    /// Whether we killed one, and it has not been started again.
    pub(crate) fn is_killed(&self, index: usize) -> bool {
        self.list[index].killed
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.list.retain(|server| !server.killed);
        for server in &self.list {
            // One that is stopped does not hear that it is to end.
            let _ = server.signal_program(Signal::CONT);
            server.ask_to_end();
        }
        let deadline = Instant::now() + END_TIME;
        for server in &mut self.list {
            server.end(deadline);
        }
    }
}

impl Spawned {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            name: self.start.name.clone(),
            address: self.address(),
            protocol: Protocol::Resp,
            credentials: Credentials::default(),
        }
    }

    fn address(&self) -> Address {
        Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.start.port)))
    }

    fn await_answer(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        let endpoint = self.endpoint();
        let deadline = Instant::now() + START_TIME;
        loop {
            let answer = probe(&endpoint, START_TIME);
            // Asked after the answer: another server on the port must not pass for ours.
            if let Some(status) = self.child.try_wait()? {
                bail!("cannot start {}", self.describe_end(status));
            }
            match answer {
                _ if interrupt.is_wanted() => {
                    bail!("interrupted while {} started", self.start.name)
                }
                Ok(identity) => {
                    let pid = identity.pid.filter(|&pid| self.is_ours(pid));
                    self.identity = Identity { pid: pid.or_else(|| self.program()), ..identity };
                    self.log_at_start = fs::metadata(&self.log).map_or(0, |log| log.len());
                    return Ok(());
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(error).with_context(|| {
                        format!("{} did not become ready within {START_TIME:?}", self.start.name)
                    });
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Whether a process is of the group that we started.
    fn is_ours(&self, pid: u32) -> bool {
        let group = i32::try_from(pid).ok().and_then(Pid::from_raw).map(|pid| getpgid(Some(pid)));
        group.is_some_and(|group| group.ok() == Pid::from_raw(self.child.id() as i32))
    }

    /// The process that we started: below a supervisor the program, where the kernel tells.
    fn program(&self) -> Option<u32> {
        let pid = self.child.id();
        if !self.supervised {
            return Some(pid);
        }
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_ascii_whitespace().next()?.parse().ok()
    }

    /// Whether its end looks like a lost race for the port.
    fn lost_its_port(&self) -> bool {
        fs::read_to_string(&self.log)
            .is_ok_and(|log| log.to_ascii_lowercase().contains("address already in use"))
    }

    fn describe_end(&self, status: ExitStatus) -> String {
        let how = match (status.signal(), status.code()) {
            (Some(signal), _) => format!("was killed by signal {signal}"),
            // As shells report what a signal ended, of which there are 64.
            (None, Some(code @ 129..=192)) if self.supervised => {
                format!("ended with exit code {code} (killed by signal {})", code - 128)
            }
            (None, Some(code)) => format!("ended with exit code {code}"),
            (None, None) => "ended".to_owned(),
        };
        let said =
            self.last_words().map_or_else(String::new, |words| format!("; it said: {words}"));
        // The process that we started is above the program.
        let pid = self.identity.pid.or((!self.supervised).then(|| self.child.id()));
        let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        format!("{}{pid}: it {how}{said}", self.start.name)
    }

    /// The last lines of its log since it answered that tell of a failure, or else the last of all.
    fn last_words(&self) -> Option<String> {
        let log = fs::read(&self.log).unwrap_or_default();
        let since = usize::try_from(self.log_at_start).ok().and_then(|start| log.get(start..));
        let log = String::from_utf8_lossy(since.unwrap_or_default());
        let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty());
        let is_error = |line: &&str| {
            let line = line.to_ascii_lowercase();
            ERROR_WORDS.iter().any(|word| line.contains(word))
        };
        let last = |lines: Vec<&str>| lines[lines.len().saturating_sub(LOG_LINES)..].join(" | ");
        let errors: Vec<&str> = lines().filter(is_error).collect();
        let words = match errors.as_slice() {
            [] => last(lines().collect()),
            // What went wrong may follow below a headline that says that something did.
            [error] => {
                let from: Vec<&str> = lines().skip_while(|line| line != error).collect();
                from[..from.len().min(1 + LOG_LINES)].join(" | ")
            }
            _ => last(errors),
        };
        Some(words).filter(|words| !words.is_empty())
    }

    /// Waits until what stood below a supervisor has ended too, and with it its port is free.
    fn await_end_of_group(&self) {
        let Some(group) = Pid::from_raw(self.child.id() as i32) else { return };
        let deadline = Instant::now() + END_TIME;
        while test_kill_process_group(group).is_ok() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Asks it who it is, where that is not known since it was started again.
    fn learn_identity(&mut self) {
        let endpoint = self.endpoint();
        if self.identity.pid.is_none()
            && let Ok(identity) = probe(&endpoint, PAUSE_PROBE_TIME)
        {
            self.identity.pid = identity.pid.filter(|&pid| self.is_ours(pid));
        }
    }

    fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    fn end(&mut self, deadline: Instant) {
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.signal(Signal::KILL);
        // Nobody can outlive that; waiting takes it off the process table.
        let _ = self.child.wait();
    }

    /// Signals the server alone: what stands above it must be able to end it.
    fn signal_program(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.identity.pid.or_else(|| self.program());
        let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        let pid =
            pid.with_context(|| format!("the process of {} is not known", self.start.name))?;
        Ok(kill_process(pid, signal)?)
    }

    /// Signals the server's whole process group: `--server-bin` may name a script around a server.
    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            // A group that has ended needs no signal.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn spawn(name: &str, plan: &Plan<'_>) -> anyhow::Result<Spawned> {
    let port = free_port().context("no free port on 127.0.0.1")?;
    let folder = plan.scratch.path().join(name);
    // Fresh servers are empty ones: one of this name may have kept its data here.
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error)
                .with_context(|| format!("cannot remove the folder {}", folder.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let program = plan.program.map(resolve).transpose()?;
    let start = Start { name: name.to_owned(), port, folder, program, durability: plan.durability };
    launch(start)
}

/// Starts the process of a server, in a folder that is there.
fn launch(start: Start) -> anyhow::Result<Spawned> {
    let log = start.folder.join("log");
    let output = File::options().create(true).append(true).open(&log);
    let output = output.with_context(|| format!("cannot write {}", log.display()))?;
    // The file itself, so that a rebuild during a run does not change what is measured.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("kv-bench");
    command.args(["serve", "--parent", &std::process::id().to_string()]);
    if let Some(program) = &start.program {
        command.arg("--exec").arg(program);
    }
    command.args(["--", "--port", &start.port.to_string(), "--bind", "127.0.0.1"]);
    if start.durability != Durability::None {
        command.args(["--durability", start.durability.name(), "--data-dir", "data"]);
    }
    let child = command
        // Settings for the user's own server would make ours unreachable.
        .env_remove("KV_PORT")
        .env_remove("KV_REQUIREPASS")
        .env_remove("KV_DATA_DIR")
        .env_remove("KV_DURABILITY")
        .current_dir(&start.folder)
        .stdin(Stdio::piped())
        .stdout(output.try_clone()?)
        .stderr(output)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", start.name))?;
    let log_at_start = fs::metadata(&log).map_or(0, |log| log.len());
    Ok(Spawned {
        supervised: start.program.is_some(),
        start,
        child,
        log_at_start,
        log,
        identity: Identity::default(),
        killed: false,
    })
}

/// A path with a folder is taken from where kv-bench runs, not from the server's own folder.
fn resolve(program: &Path) -> anyhow::Result<PathBuf> {
    if program.components().count() == 1 {
        return Ok(program.to_owned());
    }
    fs::canonicalize(program).with_context(|| format!("--server-bin {}", program.display()))
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
