//! A connection's socket: blocking where there is nothing to do but wait, never where a client
//! could make it wait for good.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionread};
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::shutdown::Shutdown;
use crate::tls::TlsStream;

/// Any kind of connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

/// What a socket is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ready {
    pub read: bool,
    pub write: bool,
}

impl Ready {
    pub(crate) const READ: Self = Self { read: true, write: false };
    pub(crate) const WRITE: Self = Self { read: false, write: true };
    pub(crate) const BOTH: Self = Self { read: true, write: true };
}

impl Stream {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.socket.as_fd(),
        }
    }

    /// The TCP socket, if it is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(stream) => Some(stream),
            Self::Unix(_) => None,
            Self::Tls(stream) => Some(&stream.socket),
        }
    }

    /// What comes before the first byte is received: with TLS its handshake, which may take `time`
    /// and ends when the server does.
    pub(crate) fn handshake(&self, time: Duration, shutdown: &Shutdown) -> io::Result<()> {
        match self {
            Self::Tls(stream) => stream.handshake(time, || shutdown.is_raised()),
            Self::Tcp(_) | Self::Unix(_) => Ok(()),
        }
    }

    /// Waits for bytes and appends them to `buffer`, at most its spare capacity. 0 means that the
    /// peer is done, `None` that the thread was woken.
    #[inline]
    pub(crate) fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        self.recv_with(buffer, RecvFlags::empty())
    }

    /// Appends what is there, without waiting; `None` when that is nothing.
    pub(crate) fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        self.recv_with(buffer, RecvFlags::DONTWAIT)
    }

    #[inline]
    fn recv_with(&self, buffer: &mut Vec<u8>, flags: RecvFlags) -> io::Result<Option<usize>> {
        if let Self::Tls(stream) = self {
            return stream.recv(buffer, flags);
        }
        match recv(self.fd(), spare_capacity(buffer), flags) {
            Ok((received, _)) => Ok(Some(received)),
            Err(Errno::INTR | Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Bytes that have arrived and are still in the socket.
    pub(crate) fn arrived(&self) -> io::Result<u64> {
        ioctl_fionread(self.fd()).map_err(io::Error::from)
    }

    /// Bytes taken off the socket so far, when `received` is what was made of them.
    pub(crate) fn taken(&self, received: u64) -> u64 {
        match self {
            Self::Tcp(_) | Self::Unix(_) => received,
            Self::Tls(stream) => stream.taken(),
        }
    }

    /// Whether bytes that were taken off the socket have not been received yet.
    pub(crate) fn has_unread(&self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) => false,
            Self::Tls(stream) => stream.has_unread(),
        }
    }

    /// Sends what fits into the socket's buffer, without waiting; 0 when that is nothing. The bytes
    /// that were not sent have to stand in front at the next call.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        if let Self::Tls(stream) = self {
            return stream.try_send(bytes);
        }
        loop {
            match send(self.fd(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => return Ok(sent),
                Err(Errno::AGAIN) => return Ok(0),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Bytes that were sent and that the peer has not acknowledged (or, over a Unix socket, read).
    ///
    /// # Errors
    /// Also with TLS, which may hold more than the socket knows of.
    pub(crate) fn unacknowledged(&self) -> io::Result<usize> {
        if let Self::Tls(_) = self {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let mut bytes: libc::c_int = 0;
        // SAFETY: the descriptor is open for as long as `self` is borrowed, and this request writes
        // one int, which outlives the call.
        match unsafe { libc::ioctl(self.fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) } {
            0 => Ok(bytes as usize),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until the socket is ready for any of what is `wanted`, or until `timeout` has passed or
    /// the thread was woken, which leaves both false.
    pub(crate) fn wait(&self, wanted: Ready, timeout: Option<Duration>) -> io::Result<Ready> {
        self.wait_or(wanted, None, timeout)
    }

    /// As [`Stream::wait`], and until `other` can be read.
    pub(crate) fn wait_or(
        &self,
        wanted: Ready,
        other: Option<BorrowedFd<'_>>,
        timeout: Option<Duration>,
    ) -> io::Result<Ready> {
        let Self::Tls(stream) = self else {
            return poll_socket(self.fd(), wanted, other, timeout);
        };
        let before = stream.before_wait()?;
        let unread = wanted.read && before.read;
        let polled = Ready { read: wanted.read, write: wanted.write || before.write };
        let timeout = if unread { Some(Duration::ZERO) } else { timeout };
        let ready = poll_socket(self.fd(), polled, other, timeout)?;
        Ok(Ready { read: ready.read || unread, write: ready.write && wanted.write })
    }

    /// Waits for `time`, or until the peer has finished sending or somebody has shut the socket down;
    /// answers whether neither has happened.
    pub(crate) fn is_open_for(&self, time: Duration) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.fd(), PollFlags::RDHUP)];
        let time = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        !matches!(poll(&mut fds, Some(&time)), Ok(1..))
    }

    /// Ends this direction, once what was sent before has arrived.
    pub(crate) fn close_write(&self) {
        match self {
            Self::Tls(stream) => stream.close_write(),
            Self::Tcp(_) | Self::Unix(_) => self.shutdown(std::net::Shutdown::Write),
        }
    }

    /// Cuts one direction or both; a thread that waits in [`Stream::recv`] wakes up.
    pub(crate) fn shutdown(&self, how: std::net::Shutdown) {
        // A peer that is gone already is no news.
        drop(match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
            Self::Tls(stream) => stream.socket.shutdown(how),
        });
    }

    /// The peer's address; a Unix socket has none.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.peer_addr().ok()
    }

    /// Our own address on this connection.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.tcp()?.local_addr().ok()
    }

    /// Whether the peer is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.tcp().is_none_or(is_local)
    }
}

/// Waits until a socket is ready for any of what is `wanted`, or `other` can be read, or `timeout`
/// has passed, or the thread was woken.
pub(crate) fn poll_socket(
    socket: BorrowedFd<'_>,
    wanted: Ready,
    other: Option<BorrowedFd<'_>>,
    timeout: Option<Duration>,
) -> io::Result<Ready> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, wanted.read);
    flags.set(PollFlags::OUT, wanted.write);
    let mut fds = [
        PollFd::from_borrowed_fd(socket, flags),
        PollFd::from_borrowed_fd(other.unwrap_or(socket), PollFlags::IN),
    ];
    let polled = if other.is_some() { 2 } else { 1 };
    let timeout = timeout.map(|timeout| Timespec {
        tv_sec: timeout.as_secs() as i64,
        tv_nsec: timeout.subsec_nanos().into(),
    });
    match poll(&mut fds[..polled], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let events = fds[0].revents();
    // A hang-up is told by the read that it makes possible.
    let read = events.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR);
    Ok(Ready { read, write: events.contains(PollFlags::OUT) })
}

/// Whether the other end of a TCP connection is on this machine.
pub(crate) fn is_local(stream: &TcpStream) -> bool {
    stream.peer_addr().is_ok_and(|addr| match addr.ip() {
        IpAddr::V4(ip) => ip.is_loopback(),
        IpAddr::V6(ip) => {
            ip.is_loopback() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
        }
    })
}
