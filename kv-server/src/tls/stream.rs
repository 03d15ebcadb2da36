//! An encrypted connection, as one kind of [`Stream`](crate::stream::Stream).

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kv_core::tls::Session;
use rustix::net::{RecvFlags, recv};
use rustls::{ServerConfig, ServerConnection};

use crate::stream::{Ready, poll_socket};

/// How long a peer whose handshake has failed may take to notice.
const REFUSAL_TIME: Duration = Duration::from_millis(250);

/// How long a peer that does not read may keep the end from being told.
const GOODBYE_TIME: Duration = Duration::from_millis(250);

/// Only the connection's own thread asks anything but for the addresses and for the end, so that
/// nobody ever waits for the lock.
#[derive(Debug)]
pub(crate) struct TlsStream {
    pub(crate) socket: TcpStream,
    session: Mutex<Session>,
}

impl TlsStream {
    pub(crate) fn new(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let session = Session::new(ServerConnection::new(config)?);
        Ok(Self { socket, session: Mutex::new(session) })
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Agrees with the peer upon keys before anything is received. `gives_up` is asked whenever the
    /// thread is woken.
    pub(crate) fn handshake(&self, time: Duration, gives_up: impl Fn() -> bool) -> io::Result<()> {
        let agreed = self.session().handshake(&self.socket, time, gives_up);
        if agreed.is_err() {
            self.refuse();
        }
        agreed
    }

    /// Ends a handshake that has failed. Closing while unread bytes wait would reset the connection
    /// and could destroy the alert that says why, so what the peer has sent meanwhile is swallowed.
    fn refuse(&self) {
        self.close_write();
        let (deadline, mut bytes) = (Instant::now() + REFUSAL_TIME, [0; 4096]);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let socket = self.socket.as_fd();
            let arrived = poll_socket(socket, Ready::READ, None, Some(left));
            if left.is_zero() || !arrived.is_ok_and(|ready| ready.read) {
                return;
            }
            match recv(socket, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((1.., _)) => {}
                Ok((0, _)) | Err(_) => return,
            }
        }
    }

    /// As [`Stream::recv`](crate::stream::Stream::recv), or without waiting.
    pub(crate) fn recv(&self, buffer: &mut Vec<u8>, flags: RecvFlags) -> io::Result<Option<usize>> {
        let mut session = self.session();
        let Some(readable) = session.fill(&self.socket, flags)? else { return Ok(None) };
        let (before, room) = (buffer.len(), buffer.capacity() - buffer.len());
        buffer.resize(before + room.min(readable), 0);
        // At the end there is nothing to read.
        let size = if readable == 0 { 0 } else { session.read(&mut buffer[before..])? };
        buffer.truncate(before + size);
        Ok(Some(size))
    }

    /// As [`Stream::try_send`](crate::stream::Stream::try_send).
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.session().try_send(&self.socket, bytes)
    }

    /// Whether something can be received without the socket, and whether TLS itself has something
    /// to send that did not fit.
    pub(crate) fn before_wait(&self) -> io::Result<Ready> {
        let mut session = self.session();
        let write = session.flush(&self.socket)?;
        Ok(Ready { read: session.has_unread() || session.has_ended(), write })
    }

    /// Whether bytes that were taken off the socket have not been received yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.session().has_unread()
    }

    /// Encrypted bytes taken off the socket so far.
    pub(crate) fn taken(&self) -> u64 {
        self.session().taken()
    }

    /// Tells the peer that nothing more comes, which it may have to make room for. By the
    /// connection's own thread.
    pub(crate) fn close_write(&self) {
        let (deadline, socket) = (Instant::now() + GOODBYE_TIME, self.socket.as_fd());
        let mut session = self.session();
        let mut unsent = session.close(socket);
        while matches!(unsent, Ok(true)) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || poll_socket(socket, Ready::WRITE, None, Some(left)).is_err() {
                break;
            }
            unsent = session.flush(socket);
        }
        // A peer that is gone, or does not read, is no concern of one who leaves.
        drop(self.socket.shutdown(Shutdown::Write));
    }
}
