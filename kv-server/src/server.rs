//! The server: sockets to listen on, a thread for each connection, and the end.

use std::fmt::Display;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam::utils::CachePadded;
use kv_core::Engine;
use kv_core::data_dir::{Durability, RecoveryError};
use kv_core::storage::{Disk, DiskError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{SockRef, TcpKeepalive};
use thiserror::Error;

use crate::capacity;
use crate::clients::{Clients, Registration};
use crate::complaint::Complaint;
use crate::config::Config;
use crate::config_rewrite::Kept;
use crate::connection::Connection;
use crate::file_hint::{file_hint, store_hint};
use crate::listener::{Listener, Listeners};
use crate::log_file::{LogFile, LogFiles};
use crate::metrics;
use crate::monitor::Monitors;
use crate::pause::Pause;
use crate::persistence::Persistence;
use crate::request_log::RequestLog;
use crate::scheduling;
use crate::session::Rests;
use crate::shared::{Settings, Shared, Stats, new_run_id};
use crate::shutdown::Shutdown;
use crate::slowlog::Slowlog;
use crate::stream::Stream;
use crate::ticker;
use crate::tls::TlsError;
use crate::wakeup;

/// How long connections may take to finish what they have received: half of what service managers
/// and container engines wait before they kill.
const DRAIN_TIME: Duration = Duration::from_secs(5);

/// A store that is recovered within this time is there before the first client is.
const HEAD_START: Duration = Duration::from_millis(250);

/// Pause after `accept` failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Stack of a connection thread: it calls no deeper than a dozen frames.
const STACK_BYTES: usize = 256 * 1024;

/// Why a server could not start or go on.
#[derive(Debug, Error)]
pub enum ServerError {
    #[error("cannot listen on {address}: {cause}{}", tcp_hint(cause, flag))]
    Tcp { address: SocketAddr, flag: &'static str, cause: io::Error },
    #[error("cannot listen on {}: {cause}{}", path.display(), unix_hint(path, cause))]
    Unix { path: PathBuf, cause: io::Error },
    #[error("nothing to listen on: give an address with --bind or a path with --unixsocket")]
    NothingToListenOn,
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot open the request log {}: {cause}{}", path.display(), file_hint(cause))]
    RequestLog { path: PathBuf, cause: io::Error },
    #[error("--durability {0} needs a folder to keep the data in: give --data-dir DIR")]
    NoDataDir(Durability),
    #[error("{error}{}", folder_hint(error))]
    DataDir { error: DiskError },
    #[error("cannot recover the store: {error}{}", error.cause().map_or("", store_hint))]
    Recovery { error: RecoveryError },
    #[error("the last changes may be lost: {0}")]
    Close(String),
    #[error("cannot start: {cause}{}", start_hint(cause))]
    Start { cause: io::Error },
}

impl From<DiskError> for ServerError {
    fn from(error: DiskError) -> Self {
        Self::DataDir { error }
    }
}

impl From<RecoveryError> for ServerError {
    fn from(error: RecoveryError) -> Self {
        Self::Recovery { error }
    }
}

impl From<io::Error> for ServerError {
    fn from(cause: io::Error) -> Self {
        Self::Start { cause }
    }
}

/// One that is not there will not be in a backup either.
fn folder_hint(error: &DiskError) -> &'static str {
    let cause = error.cause().filter(|cause| cause.kind() != io::ErrorKind::NotFound);
    cause.map_or("", store_hint)
}

/// Nothing but threads and descriptors is asked for by then.
fn start_hint(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::AGAIN) => "; raise the limit on threads (ulimit -u, TasksMax=)",
        Some(Errno::MFILE | Errno::NFILE) => "; raise the limit on open files (ulimit -n)",
        _ => "",
    }
}

fn tcp_hint(error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("; stop who uses it, or choose another --{flag} (0: a free one)")
        }
        io::ErrorKind::PermissionDenied => {
            "; ports below 1024 need privileges, choose another".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => "; --bind takes addresses of this machine".to_owned(),
        _ => String::new(),
    }
}

fn unix_hint(path: &Path, error: &io::Error) -> &'static str {
    let is_socket = |file: fs::Metadata| file.file_type().is_socket();
    match error.kind() {
        io::ErrorKind::AddrInUse if fs::symlink_metadata(path).is_ok_and(is_socket) => {
            "; stop the server that listens there, or choose another --unixsocket"
        }
        io::ErrorKind::AddrInUse => {
            "; what is there is no socket and was left as it is: choose another --unixsocket, or move \
             it away"
        }
        io::ErrorKind::InvalidInput => "; choose a --unixsocket of at most 107 bytes",
        _ => file_hint(error),
    }
}

/// A server that listens, and serves once it [`run`](Server::run)s.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Listeners,
    /// The store's folder, which this process holds locked, until recovery takes it over.
    disk: Option<Disk>,
    durability: Durability,
    on_ready: Option<Box<dyn FnOnce() + Send>>,
}

impl Server {
    /// Listens as `config` says.
    ///
    /// # Errors
    /// When an address can't be listened on; the message names it and what to do.
    pub fn bind(config: &Config) -> Result<Self, ServerError> {
        let disk = match &config.data_dir {
            None if config.durability != Durability::None => {
                return Err(ServerError::NoDataDir(config.durability));
            }
            None => None,
            Some(path) => Some(Disk::open(path)?),
        };
        let listeners = Listeners::open(config)?;
        let log_files = LogFiles::default();
        let request_log = match &config.request_log {
            None => None,
            Some(path) => Some(
                RequestLog::open(path, &log_files)
                    .map_err(|cause| ServerError::RequestLog { path: path.clone(), cause })?,
            ),
        };
        let shared = Arc::new(Shared {
            engine: new_engine(config),
            persistence: Persistence::default(),
            clients: Arc::new(Clients::default()),
            settings: Settings::new(config),
            kept: Kept::default(),
            stats: Stats::default(),
            slowlog: Slowlog::new(config.slowlog_slower_than_us, config.slowlog_entries_max),
            shutdown: Shutdown::new()?,
            pause: Pause::default(),
            rests: Rests::default(),
            monitors: Monitors::default(),
            request_log,
            log_files,
            complaint: Complaint::default(),
            started_at: Instant::now(),
            uptime_s: CachePadded::default(),
            run_id: new_run_id(),
            ports: listeners.ports,
        });
        limit_clients(&shared.settings);
        shared.kept.note(&shared);
        Ok(Self { shared, listeners, disk, durability: config.durability, on_ready: None })
    }

    /// The TCP addresses that are listened on without TLS, with their real ports.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        let plain = self.labelled_addrs().into_iter().filter(|(label, _)| label.is_empty());
        plain.map(|(_, address)| address).collect()
    }

    /// All addresses that are listened on, with their real ports: those without TLS, those of
    /// `tls:`, those of `metrics:`.
    pub fn labelled_addrs(&self) -> Vec<(&'static str, SocketAddr)> {
        self.listeners.addresses()
    }

    /// What stops the server.
    pub fn shutdown(&self) -> Shutdown {
        self.shared.shutdown.clone()
    }

    /// Lets SIGHUP open `log_file`, and that of the requests, anew instead of ending the process.
    pub(crate) fn on_hangup(&self, log_file: Option<LogFile>) -> io::Result<()> {
        if let Some(file) = log_file {
            self.shared.log_files.add(file);
        }
        self.shared.log_files.on_hangup()
    }

    /// Lets `then` be called once the store is recovered, at once if there is nothing to recover.
    pub fn on_ready(&mut self, then: impl FnOnce() + Send + 'static) {
        self.on_ready = Some(Box::new(then));
    }

    /// Serves until told to stop, then drains the connections. Until the store is recovered clients
    /// are told that it is loading. The signal `SIGURG` is the server's from then on: it wakes
    /// threads to drain their connections. For one that may end the process see
    /// [`survive_file_limit`](crate::survive_file_limit).
    ///
    /// # Errors
    /// When the store can't be recovered, or the system refuses what a server can't do without.
    pub fn run(mut self) -> Result<(), ServerError> {
        wakeup::listen()?;
        let ticker = ticker::start(&self.shared)?;
        let metrics = match std::mem::take(&mut self.listeners.metrics) {
            listeners if listeners.is_empty() => None,
            listeners => Some(metrics::start(&self.shared, listeners)?),
        };
        let recovery = self.start_recovery()?;
        let accepted = self.accept_until_shutdown();
        let Self { shared, listeners, .. } = self;
        drop(listeners);
        shared.shutdown.raise();
        shared.persistence.progress.cancel();
        let left = shared.clients.drain(DRAIN_TIME);
        if left > 0 {
            log::warn!("{left} connections did not end within {DRAIN_TIME:?} and were cut");
        }
        drop(ticker.join());
        drop(metrics.map(JoinHandle::join));
        let recovered = recovery.map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(())));
        let closed = shared.persistence.close(&shared.engine);
        if let Some(log) = &shared.request_log {
            log.close();
        }
        match recovered {
            // Who stops a server that is still loading knows why there is no store.
            Err(RecoveryError::Cancelled) | Ok(()) => {
                log::info!("stopped");
                accepted.map_err(ServerError::from)?;
                closed.map_err(ServerError::Close)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn start_recovery(&mut self) -> io::Result<Option<JoinHandle<Result<(), RecoveryError>>>> {
        let on_ready = self.on_ready.take().unwrap_or_else(|| Box::new(|| ()));
        let Some(disk) = self.disk.take() else {
            on_ready();
            return Ok(None);
        };
        let (shared, durability) = (Arc::clone(&self.shared), self.durability);
        shared.persistence.announce_loading();
        let (end, ended) = crossbeam::channel::bounded::<()>(0);
        let recover = move || {
            let _end = end;
            let recovered = shared.persistence.recover(&shared.engine, Arc::new(disk), durability);
            match &recovered {
                Ok(()) => on_ready(),
                Err(_) => shared.shutdown.raise(),
            }
            recovered
        };
        let recovery = thread::Builder::new().name("recovery".to_owned()).spawn(recover)?;
        // Whoever connects meanwhile waits to be accepted. The sender never sends: it only ends.
        let _ = ended.recv_timeout(HEAD_START);
        Ok(Some(recovery))
    }

    fn accept_until_shutdown(&self) -> io::Result<()> {
        let fds: Vec<BorrowedFd<'_>> = std::iter::once(self.shared.shutdown.fd())
            .chain(self.listeners.clients.iter().map(Listener::fd))
            .collect();
        let complaint = &self.shared.complaint;
        while !self.shared.shutdown.is_raised() {
            let mut polled: Vec<PollFd<'_>> =
                fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
            let listeners = self.listeners.clients.iter().zip(&ready[1..]);
            for (listener, _) in listeners.filter(|(_, ready)| **ready) {
                match listener.accept() {
                    Ok(stream) => self.welcome(stream),
                    Err(error) if is_transient(&error) => {}
                    Err(error) => {
                        complaint.about(format_args!("cannot accept a connection: {error}"));
                        self.pause()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Waits for things to get better, but not for longer than a shutdown takes to come.
    fn pause(&self) -> io::Result<()> {
        let fd = self.shared.shutdown.fd();
        let timeout = Timespec { tv_sec: 0, tv_nsec: ACCEPT_PAUSE.subsec_nanos().into() };
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Gives a connection its thread, or the reason why not.
    fn welcome(&self, stream: Stream) {
        let shared = &self.shared;
        let complaint = &shared.complaint;
        shared.stats.connections_accepted.fetch_add(1, Ordering::Relaxed);
        let protected = shared.settings.protected_mode.load(Ordering::Relaxed);
        if protected && !shared.settings.has_password() && !stream.is_local() {
            shared.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            complaint.about("refused a client on another machine: protected mode, no password");
            send_off(
                &stream,
                "DENIED this server runs in protected mode: without a password it serves only \
                 its own machine. Start it with --requirepass, or with --protected-mode no where \
                 nobody else can reach it",
            );
            return;
        }
        set_options(&stream, &shared.settings);
        let stream = Arc::new(stream);
        let clients_max = shared.settings.clients_max.load(Ordering::Relaxed);
        let Some(registration) =
            shared.clients.register(&stream, clients_max, shared.uptime_s.load(Ordering::Relaxed))
        else {
            shared.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            complaint.about(format_args!("refused a connection: there are {clients_max} already"));
            send_off(&stream, "ERR max number of clients reached");
            return;
        };
        if let Err(error) = spawn(Arc::clone(shared), registration) {
            shared.stats.connections_rejected.fetch_add(1, Ordering::Relaxed);
            complaint.about(format_args!("refused a connection: no thread for it: {error}"));
            send_off(&stream, "ERR max number of clients reached");
        }
    }
}

/// Starts the thread of a connection.
fn spawn(shared: Arc<Shared>, registration: Registration) -> io::Result<()> {
    let serve = move || {
        scheduling::batch();
        registration.client().thread.introduce();
        Connection::new(shared, Arc::clone(registration.client())).serve();
    };
    let thread = thread::Builder::new().name("connection".to_owned()).stack_size(STACK_BYTES);
    thread.spawn(serve).map(drop)
}

/// A connection without these still works.
fn set_options(stream: &Stream, settings: &Settings) {
    let Some(stream) = stream.tcp() else { return };
    let socket = SockRef::from(stream);
    drop(socket.set_tcp_nodelay(true));
    let keepalive_s = settings.tcp_keepalive_s.load(Ordering::Relaxed);
    if keepalive_s > 0 {
        let probe_every = Duration::from_secs((keepalive_s / 3).max(1));
        let keepalive = TcpKeepalive::new()
            .with_time(Duration::from_secs(keepalive_s))
            .with_interval(probe_every)
            .with_retries(3);
        drop(socket.set_tcp_keepalive(&keepalive));
    }
    // Keep-alive finds a vanished client only on a silent connection. With replies on their way,
    // TCP repeats them for a quarter of an hour (`tcp_retries2`) and the thread, its buffers and its
    // place among `maxclients` are gone for as long. The price (tcp(7)): this limit also counts while
    // a living client leaves its receive window shut, and it ends keep-alive at the first probe
    // that stays unanswered.
    drop(socket.set_tcp_user_timeout(Some(settings.limits.unacknowledged_time)));
}

/// Says why and closes; a client that does not listen is not waited for.
fn send_off(stream: &Stream, reason: impl Display) {
    drop(stream.try_send(format!("-{reason}\r\n").as_bytes()));
    stream.close_write();
}

/// Errors of a connection that was gone before it was accepted.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

/// With fewer files or mappings than the clients need, allows fewer clients.
fn limit_clients(settings: &Settings) {
    let clients_max = settings.clients_max.load(Ordering::Relaxed);
    let affordable = capacity::afford(clients_max);
    if affordable.clients < clients_max {
        settings.clients_max.store(affordable.clients, Ordering::Relaxed);
        log::warn!(
            "maxclients is {} instead of {clients_max}: raise {} for more",
            affordable.clients,
            affordable.scarce
        );
    }
}

fn new_engine(config: &Config) -> Engine {
    let engine = Engine::default().with_value_bytes_max(config.limits.bulk_bytes_max);
    engine.set_memory_limit(config.memory.bytes);
    engine.set_eviction_policy(config.memory.policy);
    engine.set_eviction_samples(config.memory.samples);
    engine
}
