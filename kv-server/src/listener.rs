//! The sockets that are listened on.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::stream::Stream;

/// A socket that takes connections. The file of a Unix socket goes with it.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
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
    /// Listens on an address; port 0 chooses a free one.
    pub(crate) fn tcp(address: SocketAddr, backlog: i32) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            // `::` and `0.0.0.0` can then both be listened on.
            socket.set_only_v6(true)?;
        }
        socket.bind(&SockAddr::from(address))?;
        socket.listen(backlog)?;
        socket.set_nonblocking(true)?;
        Ok(Self::Tcp(socket.into()))
    }

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
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix { listener, .. } => listener.as_fd(),
        }
    }

    /// The next connection, without waiting for one.
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        Ok(match self {
            Self::Tcp(listener) => Stream::Tcp(listener.accept()?.0),
            Self::Unix { listener, .. } => Stream::Unix(listener.accept()?.0),
        })
    }

    /// The TCP address with its real port.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix { .. } => None,
        }
    }
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
