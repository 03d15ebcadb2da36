//! The sockets that are listened on.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::config::Config;
use crate::server::ServerError;
use crate::stream::Stream;
use crate::tls::Acceptor;

/// A socket that takes connections. The file of a Unix socket goes with it.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener, Arc<Acceptor>),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The path of a Unix socket, removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

impl Listener {
    /// Listens on a path, over the socket that a dead server left there, but not over a living
    /// one, nor over any other file.
    pub(crate) fn unix(path: &Path, backlog: i32) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        if let Err(error) = socket.bind(&address) {
            if error.kind() != io::ErrorKind::AddrInUse || !is_dead_socket(path, &address) {
                return Err(error);
            }
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        let file = SocketFile(path.to_owned());
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Unix { listener: OwnedFd::from(socket).into(), _file: file })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) | Self::Tls(listener, _) => listener.as_fd(),
            Self::Unix { listener, .. } => listener.as_fd(),
        }
    }

    /// The next connection, without waiting for one.
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept()?.0),
            Self::Tls(listener, acceptor) => {
                let stream = acceptor.accept(listener.accept()?.0).map_err(io::Error::other)?;
                Stream::Tls(Box::new(stream))
            }
            Self::Unix { listener, .. } => Stream::Unix(listener.accept()?.0),
        })
    }
}

/// The ports that are listened on; 0 without one.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ports {
    pub(crate) plain: u16,
    pub(crate) tls: u16,
    pub(crate) metrics: u16,
}

/// Everything that is listened on.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) clients: Vec<Listener>,
    pub(crate) metrics: Vec<TcpListener>,
    pub(crate) ports: Ports,
}

impl Listeners {
    /// Listens as `config` says.
    ///
    /// # Errors
    /// When one address can't be listened on, or TLS can't be set up.
    pub(crate) fn open(config: &Config) -> Result<Self, ServerError> {
        let mut opened = Self::default();
        let (bind, backlog) = (&config.bind, config.tcp_backlog);
        if config.plain_tcp {
            let (listeners, port) = listen_all(bind, config.port, backlog, "port")?;
            opened.clients.extend(listeners.into_iter().map(Listener::Tcp));
            opened.ports.plain = port;
        }
        if let Some(tls) = &config.tls {
            let acceptor = Arc::new(Acceptor::new(tls)?);
            let (listeners, port) = listen_all(bind, tls.port, backlog, "tls-port")?;
            let with_tls = |listener| Listener::Tls(listener, Arc::clone(&acceptor));
            opened.clients.extend(listeners.into_iter().map(with_tls));
            opened.ports.tls = port;
        }
        if let Some(path) = &config.unix_socket {
            let listener = Listener::unix(path, backlog)
                .map_err(|cause| ServerError::Unix { path: path.clone(), cause })?;
            opened.clients.push(listener);
        }
        if opened.clients.is_empty() {
            return Err(ServerError::NothingToListenOn);
        }
        if let Some(port) = config.metrics_port {
            let loopback = [IpAddr::from([127, 0, 0, 1])];
            let bind = if bind.is_empty() { &loopback[..] } else { bind };
            (opened.metrics, opened.ports.metrics) =
                listen_all(bind, port, backlog, "metrics-port")?;
        }
        Ok(opened)
    }

    /// The addresses with their real ports, each with what is spoken there: nothing for plain TCP.
    pub(crate) fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let clients = self.clients.iter().filter_map(|listener| match listener {
            Listener::Tcp(listener) => Some(("", listener)),
            Listener::Tls(listener, _) => Some(("tls:", listener)),
            Listener::Unix { .. } => None,
        });
        let all = clients.chain(self.metrics.iter().map(|listener| ("metrics:", listener)));
        all.filter_map(|(kind, listener)| Some((kind, listener.local_addr().ok()?))).collect()
    }
}

/// Listens on one port of several addresses; with port 0, they share the one that the first got.
fn listen_all(
    bind: &[IpAddr],
    port: u16,
    backlog: i32,
    flag: &'static str,
) -> Result<(Vec<TcpListener>, u16), ServerError> {
    let (mut listeners, mut port) = (Vec::new(), port);
    for ip in bind {
        let address = SocketAddr::new(*ip, port);
        let listener =
            listen(address, backlog).map_err(|cause| ServerError::Tcp { address, flag, cause })?;
        port = listener.local_addr().map_or(port, |address| address.port());
        listeners.push(listener);
    }
    let port = if listeners.is_empty() { 0 } else { port };
    Ok((listeners, port))
}

/// Listens on an address, without blocking; port 0 chooses a free one.
pub(crate) fn listen(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `::` and `0.0.0.0` can then both be listened on.
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))?;
    socket.listen(backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Whether a path is a socket at which nobody listens. Connecting to a file of another kind is
/// refused just as well, and such a file is not ours to remove.
fn is_dead_socket(path: &Path, address: &SockAddr) -> bool {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = || -> io::Result<bool> {
        let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        // A living server that is too busy to accept must not make us wait.
        probe.set_nonblocking(true)?;
        let connected = probe.connect(address);
        Ok(connected.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused))
    };
    is_socket && refused().unwrap_or(false)
}
