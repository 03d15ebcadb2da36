//! A connected socket, TCP (with TLS or without) or Unix, that never blocks but in `wait`.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;
use socket2::{Domain, SockAddr, Socket, Type};

use super::Endpoint;
use crate::tls::{Session, TlsConnector};

#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(TcpStream, Box<Session>),
}

/// What a socket is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) read: bool,
    pub(super) write: bool,
}

impl Stream {
    /// Connects within `timeout`, but for the name look-up, which the system bounds.
    pub(super) fn connect(endpoint: &Endpoint, timeout: Duration) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(host, port) => connect_tcp(host, *port, timeout).map(Self::Tcp),
            Endpoint::Unix(path) => connect_unix(path, timeout),
        }
    }

    /// The same, encrypted from now on; a Unix socket stays as it is, for it does not leave the
    /// machine. The handshake takes at most `timeout`.
    pub(super) fn encrypt(
        self,
        endpoint: &Endpoint,
        tls: &TlsConnector,
        timeout: Duration,
    ) -> io::Result<Self> {
        let (Stream::Tcp(socket), Endpoint::Tcp(host, _)) = (&self, endpoint) else {
            return Ok(self);
        };
        let mut session = Box::new(tls.session(host)?);
        session.handshake(socket, timeout, || false)?;
        match self {
            Stream::Tcp(socket) => Ok(Stream::Tls(socket, session)),
            stream => Ok(stream),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
            Stream::Tls(socket, session) => match session.fill(socket, RecvFlags::DONTWAIT)? {
                None => Err(io::ErrorKind::WouldBlock.into()),
                Some(0) => Ok(0),
                Some(_) => session.read(buffer),
            },
        }
    }

    /// Bytes that were not taken have to come first in the next call.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
            Stream::Tls(socket, session) => match session.try_send(socket, bytes)? {
                0 => Err(io::ErrorKind::WouldBlock.into()),
                sent => Ok(sent),
            },
        }
    }

    /// Waits until the socket can be read (or, when asked, written), or fails with `TimedOut`.
    pub(super) fn wait(&self, write: bool, timeout: Option<Duration>) -> io::Result<Ready> {
        if let Stream::Tls(_, session) = self
            && (session.has_unread() || session.has_ended())
        {
            return Ok(Ready { read: true, write: false });
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let events = if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut fds = [PollFd::from_borrowed_fd(self.as_fd(), events)];
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            match poll(&mut fds, left.as_ref()) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(_) => {
                    let found = fds[0].revents();
                    // An error or hang-up is for read and write to report.
                    let broken = found.intersects(PollFlags::ERR | PollFlags::HUP);
                    let read = broken || found.contains(PollFlags::IN);
                    return Ok(Ready { read, write: broken || found.contains(PollFlags::OUT) });
                }
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Tcp(stream) | Stream::Tls(stream, _) => stream.as_fd(),
            Stream::Unix(stream) => stream.as_fd(),
        }
    }
}

fn connect_tcp(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let started = Instant::now();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        let left = timeout.saturating_sub(started.elapsed());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Through `socket2`, for a plain connect blocks without limit while the server's backlog is full.
fn connect_unix(path: &Path, timeout: Duration) -> io::Result<Stream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.connect_timeout(&SockAddr::unix(path)?, timeout)?;
    socket.set_nonblocking(true)?;
    Ok(Stream::Unix(OwnedFd::from(socket).into()))
}
