//! While the store is being recovered: what clients are told, and how a server ends that has not
//! finished. The test holds a lease on a file of the store (fcntl(2), "Leases"): whoever opens it
//! waits for the test to let go, so recovery is under way for exactly as long as the test wants.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use support::{Process, Wire, eventually, skip};

/// How many keys the store has.
const KEYS: usize = 1000;

const LOADING: &str = "-LOADING Redis is loading the dataset in memory\r\n";

/// Nobody else opens the file while this lives, but for the time of `/proc/sys/fs/lease-break-time`.
struct Lease {
    file: File,
    /// Somebody waits.
    is_wanted: Arc<AtomicBool>,
}

impl Lease {
    /// `None`, and a line, where the file system has no leases.
    fn take(path: &Path) -> Option<Self> {
        let is_wanted = Arc::new(AtomicBool::new(false));
        // Whoever opens the file makes the kernel send us this, which otherwise would end us.
        signal_hook::flag::register(signal_hook::consts::SIGIO, Arc::clone(&is_wanted))
            .expect("a signal to wait for");
        let file = File::open(path).expect("a file of the store");
        let lease = Self { file, is_wanted };
        match lease.set(libc::F_RDLCK) {
            Ok(()) => Some(lease),
            Err(error) => {
                skip(&format!("no lease on {}: {error}", path.display()));
                None
            }
        }
    }

    fn set(&self, kind: libc::c_int) -> std::io::Result<()> {
        // SAFETY: the descriptor is open, and F_SETLEASE takes a number.
        match unsafe { libc::fcntl(self.file.as_raw_fd(), libc::F_SETLEASE, kind) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Waits for somebody to come to the file.
    fn await_visitor(&self) {
        eventually("recovery comes to the file", || self.is_wanted.load(Ordering::Relaxed));
    }

    /// Lets go.
    fn release(self) {
        self.set(libc::F_UNLCK).expect("our own lease");
    }
}

/// A server that is recovering its store.
struct Recovering {
    child: Child,
    socket: PathBuf,
    log: PathBuf,
}

impl Recovering {
    fn start(folder: &Path) -> Self {
        let (socket, log) = (folder.join("socket"), folder.join("stderr"));
        let mut command = Process::command();
        command.args(["--port", "0", "--announce", "--data-dir"]).arg(folder.join("data"));
        command.args(["--durability", "everysec", "--unixsocket"]).arg(&socket);
        command.stdout(Stdio::piped()).stderr(File::create(&log).expect("a new file"));
        Self { child: command.spawn().expect("kv-server starts"), socket, log }
    }

    fn connect(&self) -> Wire<UnixStream> {
        eventually("it listens", || UnixStream::connect(&self.socket).is_ok());
        Wire::to_path(&self.socket)
    }

    /// Waits until it says that its store is there.
    fn await_ready(&mut self) {
        let mut line = String::new();
        let stdout = self.child.stdout.as_mut().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("it announces itself");
        assert!(line.starts_with("ready "), "{line}");
    }
}

impl Drop for Recovering {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder with a store in `data`, in a snapshot and behind it in a log.
fn store() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path");
    let mut server = Process::start(&["--data-dir", data, "--durability", "everysec"]);
    let mut wire = server.connect();
    for key in 0..KEYS {
        wire.ask(&format!("SET key:{key} value:{key}"), "+OK\r\n");
        if key == KEYS / 2 {
            wire.ask("SAVE", "+OK\r\n");
        }
    }
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    folder
}

/// The only file of the store whose name begins so.
fn file(folder: &Path, prefix: &str) -> PathBuf {
    let entries = std::fs::read_dir(folder.join("data")).expect("the folder");
    let mut paths = entries.map(|entry| entry.expect("an entry").path());
    let is_it = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    };
    paths.find(is_it).expect("a file of the store")
}

/// A server whose recovery has come to this file and waits, and a connection to it.
fn held_at(folder: &Path, prefix: &str) -> Option<(Lease, Recovering, Wire<UnixStream>)> {
    let lease = Lease::take(&file(folder, prefix))?;
    let server = Recovering::start(folder);
    let wire = server.connect();
    lease.await_visitor();
    Some((lease, server, wire))
}

fn expect_all(wire: &mut Wire<UnixStream>) {
    wire.ask("DBSIZE", &format!(":{KEYS}\r\n"));
    for key in 0..KEYS {
        let value = format!("value:{key}");
        wire.ask(&format!("GET key:{key}"), &format!("${}\r\n{value}\r\n", value.len()));
    }
}

/// The signal of a broken lease goes to the whole process: one test at a time waits for it.
static LEASES: Mutex<()> = Mutex::new(());

#[test]
fn clients_are_told_that_the_store_is_loading_until_it_is_there() {
    let _alone = LEASES.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = store();
    for name in ["snapshot-", "log-"] {
        let Some((lease, mut server, mut wire)) = held_at(folder.path(), name) else { return };
        for line in [
            "PING",
            "GET key:1",
            "SET key:1 x",
            "DEL key:1",
            "DBSIZE",
            "SAVE",
            "BGSAVE",
            "FLUSHALL",
        ] {
            wire.ask(line, LOADING);
        }
        let info = wire.text("INFO persistence");
        assert!(info.contains("loading:1\r\n"), "{info}");
        // A transaction is refused as a whole.
        wire.ask("MULTI", "+OK\r\n").ask("SET key:1 x", LOADING);
        wire.ask("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
        // What needs no store is answered.
        wire.ask("CLIENT SETNAME me", "+OK\r\n")
            .ask("SELECT 1", "+OK\r\n")
            .ask("SELECT 0", "+OK\r\n");
        lease.release();
        server.await_ready();
        let info = wire.text("INFO persistence");
        assert!(info.contains("loading:0\r\n"), "{info}");
        wire.ask("PING", "+PONG\r\n");
        expect_all(&mut wire);
    }
}

#[test]
fn a_signal_ends_a_server_that_is_still_loading_and_harms_nothing() {
    let _alone = LEASES.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = store();
    for name in ["snapshot-", "log-"] {
        let Some((lease, mut server, mut wire)) = held_at(folder.path(), name) else { return };
        wire.ask("PING", LOADING);
        kill_process(Pid::from_child(&server.child), Signal::TERM).expect("it lives");
        // It closes connections after it has told recovery to stop.
        wire.expect_end();
        lease.release();
        assert_eq!(server.child.wait().expect("our child").code(), Some(0));
        let log = std::fs::read_to_string(&server.log).expect("the log");
        assert!(!log.contains("recovered"), "it stopped: {log}");
    }
    let mut server = Recovering::start(folder.path());
    server.await_ready();
    expect_all(&mut server.connect());
}
