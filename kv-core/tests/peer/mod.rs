//! Real servers to compare with. The tests of all three crates include this file.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// Says that a test is skipped for want of something; fails where `KV_REQUIRE_PEERS=1` asks for
/// everything.
pub(crate) fn skip(why: &str) {
    let required = std::env::var_os("KV_REQUIRE_PEERS").is_some_and(|value| value == "1");
    assert!(!required, "{why}");
    println!("skipped: {why}");
}

/// Whether a program can be run here; a line, where it cannot.
pub(crate) fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let found = command.status();
    if let Err(error) = &found {
        skip(&format!("{program} cannot be run: {error}"));
    }
    found.is_ok()
}

/// A redis-server of the test's own, stopped when dropped.
pub(crate) struct Redis {
    child: Child,
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Redis {
    /// Starts one on a free port and a Unix socket; `None`, and a line, without redis.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        Self::start_with(|| args.iter().map(|&arg| arg.to_owned()).collect())
    }

    /// The same with arguments that are made anew for each attempt, since ports among them may be taken
    /// like its own.
    pub(crate) fn start_with(args: impl Fn() -> Vec<String>) -> Option<Self> {
        if !is_there("redis-server") {
            return None;
        }
        // Another process may take a free port before redis does: then redis ends, and we try again.
        for _ in 0..10 {
            let (port, folder) = (free_port(), tempfile::tempdir().expect("a temporary folder"));
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""]);
            command.arg("--dir").arg(folder.path());
            command.arg("--unixsocket").arg(folder.path().join("redis.sock")).args(args());
            command.stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = command.spawn().expect("it is installed");
            let lines = BufReader::new(child.stdout.take().expect("a piped stdout")).lines();
            let redis = Self { child, port, folder };
            if lines.map_while(Result::ok).any(|line| line.contains("Ready to accept connections"))
            {
                return Some(redis);
            }
        }
        panic!("redis-server found no port in ten attempts");
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Ends it as kill -9 does. Its port is nobody's meanwhile: the server of another test there would
    /// pass for it.
    pub(crate) fn kill(self) -> DeadPort {
        let port = self.port;
        drop(self);
        DeadPort::at(port)
    }

    /// The path of its Unix socket.
    pub(crate) fn socket(&self) -> String {
        self.folder.path().join("redis.sock").display().to_string()
    }

    /// What redis-cli, which comes with it, prints for a command.
    pub(crate) fn ask(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]).args(words);
        let output = command.output().expect("redis-cli is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // It may have ended by itself, for want of its port.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A memcached of the test's own, stopped when dropped.
pub(crate) struct Memcached {
    child: Child,
    /// Of no meaning when it listens on a socket.
    pub(crate) port: u16,
    folder: tempfile::TempDir,
}

impl Memcached {
    /// Starts one on a free port; `None`, and a line, without memcached.
    pub(crate) fn start(args: &[&str]) -> Option<Self> {
        if !is_there("memcached") {
            return None;
        }
        // As with redis, another process may be faster.
        for _ in 0..10 {
            let port = free_port();
            let words = ["-l", "127.0.0.1", "-p", &port.to_string()];
            let memcached = Self::spawn(port, &[&words, args].concat(), |_, _| {});
            let address = memcached.address();
            if let Some(memcached) = memcached.listening(|| TcpStream::connect(address).is_ok()) {
                return Some(memcached);
            }
        }
        panic!("memcached found no port in ten attempts");
    }

    /// The same on a Unix socket, beside which memcached has no port.
    pub(crate) fn on_socket() -> Option<Self> {
        if !is_there("memcached") {
            return None;
        }
        let memcached = Self::spawn(0, &[], |command, folder| {
            command.arg("-s").arg(folder.join("memcached.sock"));
        });
        let socket = memcached.socket();
        memcached.listening(|| UnixStream::connect(&socket).is_ok())
    }

    fn spawn(port: u16, args: &[&str], more: impl FnOnce(&mut Command, &Path)) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new("memcached");
        // It refuses to run as root unless it is told so.
        command.args(["-u", "root"]).args(args).stdin(Stdio::null()).stderr(Stdio::null());
        more(&mut command, folder.path());
        Self { child: command.spawn().expect("it is installed"), port, folder }
    }

    /// Itself when it answers; `None` when it has ended.
    fn listening(mut self, answers: impl Fn() -> bool) -> Option<Self> {
        loop {
            let listens = answers();
            if self.child.try_wait().expect("it was ours").is_some() {
                return None;
            }
            if listens {
                return Some(self);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The path of its Unix socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("memcached.sock")
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        // It may have ended by itself, for want of its port.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that refuses connections for as long as this lives: it is taken, and nobody listens.
pub(crate) struct DeadPort {
    pub(crate) port: u16,
    _socket: OwnedFd,
}

impl DeadPort {
    pub(crate) fn new() -> Self {
        Self::at(0)
    }

    fn at(port: u16) -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        // Connections of who had it before may linger.
        set_socket_reuseaddr(&socket, true).expect("a socket");
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        bind(&socket, &address).expect("a free port");
        let address = SocketAddr::try_from(getsockname(&socket).expect("a bound socket"));
        Self { port: address.expect("an address").port(), _socket: socket }
    }
}

/// A port nobody listens at for now; another test may take it before it is used.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("a bound listener").port()
}
