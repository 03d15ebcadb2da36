//! An encrypted connection: rustls, which knows no sockets, between a socket and its connection's
//! thread.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use rustls::{ServerConfig, ServerConnection};

use crate::stream::{Ready, poll_socket};

/// Room for what is taken off the socket at once: a TLS record of the largest size.
const RAW_BYTES: usize = 18 * 1024;

/// Bytes that are encrypted before the socket has taken those before: four records.
const CHUNK_BYTES: usize = 64 * 1024;

/// Only the connection's own thread asks anything but for the addresses and for the end, so that
/// nobody ever waits for the lock.
#[derive(Debug)]
pub(crate) struct TlsStream {
    pub(crate) socket: TcpStream,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    connection: ServerConnection,
    /// What was taken off the socket; that before `looked_at` was decrypted.
    raw: Vec<u8>,
    looked_at: usize,
    /// Bytes that were decrypted and not received yet.
    readable: usize,
    /// Bytes taken off the socket so far.
    taken: u64,
    /// Bytes in front of what is to be sent that are encrypted and not with the socket yet.
    encrypted: usize,
    /// The peer sends nothing more.
    ended: bool,
}

impl TlsStream {
    pub(crate) fn new(socket: TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let state = State {
            connection: ServerConnection::new(config)?,
            raw: Vec::with_capacity(RAW_BYTES),
            looked_at: 0,
            readable: 0,
            taken: 0,
            encrypted: 0,
            ended: false,
        };
        Ok(Self { socket, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Agrees with the peer upon keys before anything is received. `gives_up` is asked whenever the
    /// thread is woken.
    ///
    /// # Errors
    /// The peer speaks no TLS, refuses, shows no certificate that it should, or takes longer than
    /// `time` for all of it.
    pub(crate) fn handshake(&self, time: Duration, gives_up: impl Fn() -> bool) -> io::Result<()> {
        let deadline = Instant::now() + time;
        let mut state = self.lock();
        loop {
            state.decrypt(&self.socket)?;
            let unsent = state.flush(&self.socket)?;
            if !state.connection.is_handshaking() {
                return Ok(());
            }
            if state.ended {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if gives_up() {
                return Err(ErrorKind::Interrupted.into());
            }
            let wanted = if unsent { Ready::BOTH } else { Ready::READ };
            if poll_socket(self.socket.as_fd(), wanted, None, Some(left))?.read {
                state.take(&self.socket, RecvFlags::DONTWAIT)?;
            }
        }
    }

    /// As [`Stream::recv`](crate::stream::Stream::recv), or without waiting.
    pub(crate) fn recv(&self, buffer: &mut Vec<u8>, flags: RecvFlags) -> io::Result<Option<usize>> {
        let mut state = self.lock();
        loop {
            state.decrypt(&self.socket)?;
            if state.readable > 0 {
                return state.receive(buffer).map(Some);
            }
            if state.ended {
                return Ok(Some(0));
            }
            let mut flags = flags;
            // Hardly ever: a peer that does not even read what TLS itself has to say.
            if state.flush(&self.socket)? && flags != RecvFlags::DONTWAIT {
                poll_socket(self.socket.as_fd(), Ready::BOTH, None, None)?;
                flags = RecvFlags::DONTWAIT;
            }
            if state.take(&self.socket, flags)? == 0 && !state.ended {
                return Ok(None);
            }
        }
    }

    /// As [`Stream::try_send`](crate::stream::Stream::try_send). What was encrypted already and did
    /// not fit is told as not sent: the next call has to bring the same bytes again in front.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.lock();
        let mut sent = 0;
        loop {
            if state.encrypted == 0 {
                let chunk = &bytes[sent..];
                let chunk = &chunk[..chunk.len().min(CHUNK_BYTES)];
                state.encrypted = state.connection.writer().write(chunk)?;
            }
            if state.flush(&self.socket)? || state.encrypted == 0 {
                return Ok(sent);
            }
            sent += std::mem::take(&mut state.encrypted);
        }
    }

    /// Whether something can be received without the socket, and whether TLS itself has something
    /// to send that did not fit.
    pub(crate) fn before_wait(&self) -> io::Result<Ready> {
        let mut state = self.lock();
        let write = state.flush(&self.socket)?;
        Ok(Ready { read: state.has_unread() || state.ended, write })
    }

    /// Whether bytes that were taken off the socket have not been received yet.
    pub(crate) fn has_unread(&self) -> bool {
        self.lock().has_unread()
    }

    /// Encrypted bytes taken off the socket so far.
    pub(crate) fn taken(&self) -> u64 {
        self.lock().taken
    }

    /// Tells the peer that nothing more comes. By the connection's own thread.
    pub(crate) fn close_write(&self) {
        let mut state = self.lock();
        state.connection.send_close_notify();
        // A peer that does not read is no concern of one who leaves.
        drop(state.flush(&self.socket));
        drop(self.socket.shutdown(Shutdown::Write));
    }
}

impl State {
    fn has_unread(&self) -> bool {
        self.readable > 0 || self.looked_at < self.raw.len()
    }

    /// Decrypts what was taken off the socket, until there is something to receive.
    fn decrypt(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.readable == 0 && !self.ended && self.looked_at < self.raw.len() {
            let read = self.connection.read_tls(&mut &self.raw[self.looked_at..])?;
            self.looked_at += read;
            match self.connection.process_new_packets() {
                Ok(state) => {
                    self.readable = state.plaintext_bytes_to_read();
                    self.ended |= state.peer_has_closed() || read == 0;
                }
                Err(error) => {
                    // The peer is told why, if it listens.
                    drop(self.flush(socket));
                    return Err(io::Error::new(ErrorKind::InvalidData, error));
                }
            }
        }
        Ok(())
    }

    /// Appends what is decrypted to `buffer`, at most its spare capacity.
    fn receive(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (before, room) = (buffer.len(), buffer.capacity() - buffer.len());
        buffer.resize(before + room.min(self.readable), 0);
        let received = self.connection.reader().read(&mut buffer[before..]);
        buffer.truncate(before + received.as_ref().copied().unwrap_or(0));
        self.readable -= received.as_ref().copied().unwrap_or(0);
        received
    }

    /// Takes bytes off the socket, once those before were looked at; 0 when there are none, or, with
    /// `ended`, will be none.
    fn take(&mut self, socket: &TcpStream, flags: RecvFlags) -> io::Result<usize> {
        self.raw.clear();
        self.looked_at = 0;
        match recv(socket, spare_capacity(&mut self.raw), flags) {
            Ok((taken, _)) => {
                self.ended = taken == 0;
                self.taken += taken as u64;
                Ok(taken)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(0),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Sends what is encrypted, without waiting; answers whether some of it is left.
    fn flush(&mut self, socket: &TcpStream) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Outlet(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

/// A socket to write to that never blocks and kills nobody with a signal.
struct Outlet<'a>(&'a TcpStream);

const SEND_FLAGS: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);

impl Write for Outlet<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(send(self.0, bytes, SEND_FLAGS)?)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(self.0, parts, &mut SendAncillaryBuffer::default(), SEND_FLAGS)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
