//! One encrypted connection.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use rustls::Connection;

/// Room for what is taken off the socket at once: a TLS record of the largest size.
const RAW_BYTES: usize = 18 * 1024;

/// Bytes that are encrypted before the socket has taken those before: four records.
const CHUNK_BYTES: usize = 64 * 1024;

/// One end of an encrypted connection. Nothing here blocks but what says so.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// What was taken off the socket; that before `looked_at` was decrypted.
    raw: Vec<u8>,
    looked_at: usize,
    /// Bytes that were decrypted and not read yet.
    readable: usize,
    /// Bytes taken off the socket so far.
    taken: u64,
    /// Bytes in front of what is to be sent that are encrypted and not with the socket yet.
    encrypted: usize,
    /// The socket had less than there was room for.
    emptied: bool,
    /// The peer sends nothing more.
    ended: bool,
}

impl Session {
    /// A session whose handshake is still to come.
    pub fn new(connection: impl Into<Connection>) -> Self {
        Self {
            connection: connection.into(),
            raw: Vec::with_capacity(RAW_BYTES),
            looked_at: 0,
            readable: 0,
            taken: 0,
            encrypted: 0,
            emptied: true,
            ended: false,
        }
    }

    /// Whether the two ends have not agreed upon keys yet.
    pub fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Agrees with the peer upon keys, and waits for it. `gives_up` is asked whenever a signal has
    /// interrupted that.
    ///
    /// # Errors
    /// The peer speaks no TLS, refuses, shows no certificate that it should, or takes longer than
    /// `time` for all of it.
    pub fn handshake(
        &mut self,
        socket: impl AsFd,
        time: Duration,
        gives_up: impl Fn() -> bool,
    ) -> io::Result<()> {
        let (socket, deadline) = (socket.as_fd(), Instant::now() + time);
        loop {
            self.decrypt(socket)?;
            let unsent = self.flush(socket)?;
            if !self.is_handshaking() {
                return Ok(());
            }
            if self.ended {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            if gives_up() {
                return Err(ErrorKind::Interrupted.into());
            }
            wait(socket, unsent, Some(left))?;
            self.take(socket, RecvFlags::DONTWAIT)?;
        }
    }

    /// How many bytes can be read: at least one, 0 once the peer is done, `None` when nothing is
    /// there. Without `DONTWAIT` waits for bytes, or until a signal interrupts that, which is `None`
    /// too.
    ///
    /// # Errors
    /// The connection has failed, or what has come is no TLS; the peer was told.
    pub fn fill(&mut self, socket: impl AsFd, mut flags: RecvFlags) -> io::Result<Option<usize>> {
        let socket = socket.as_fd();
        loop {
            self.decrypt(socket)?;
            if self.readable > 0 {
                return Ok(Some(self.readable));
            }
            if self.ended {
                return Ok(Some(0));
            }
            match self.flush(socket) {
                // Hardly ever: a peer that does not even read what TLS itself has to say.
                Ok(true) if !flags.contains(RecvFlags::DONTWAIT) => {
                    wait(socket, true, None)?;
                    flags = RecvFlags::DONTWAIT;
                }
                Ok(_) => {}
                // What the peer sent before it left is still to be read.
                Err(error) => match self.take(socket, RecvFlags::DONTWAIT)? {
                    0 if !self.ended => return Err(error),
                    _ => continue,
                },
            }
            if self.take(socket, flags)? == 0 && !self.ended {
                return Ok(None);
            }
        }
    }

    /// Reads what [`fill`](Self::fill) has found.
    ///
    /// # Errors
    /// It has found nothing.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.connection.reader().read(buffer)?;
        self.readable -= size;
        Ok(size)
    }

    /// Sends what fits into the socket's buffer; 0 when that is nothing. What was encrypted already
    /// and did not fit is told as not sent: the next call has to bring the same bytes again in
    /// front.
    ///
    /// # Errors
    /// The connection has failed.
    pub fn try_send(&mut self, socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
        let socket = socket.as_fd();
        let mut sent = 0;
        loop {
            if self.encrypted == 0 {
                let chunk = &bytes[sent..];
                let chunk = &chunk[..chunk.len().min(CHUNK_BYTES)];
                self.encrypted = self.connection.writer().write(chunk)?;
            }
            if self.flush(socket)? || self.encrypted == 0 {
                return Ok(sent);
            }
            sent += std::mem::take(&mut self.encrypted);
        }
    }

    /// Sends what is encrypted; answers whether some of it is left.
    ///
    /// # Errors
    /// The connection has failed.
    pub fn flush(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let mut outlet = Outlet(socket.as_fd());
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut outlet) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Tells the peer that nothing more comes; answers whether that is still to be
    /// [flushed](Self::flush).
    ///
    /// # Errors
    /// The connection has failed.
    pub fn close(&mut self, socket: impl AsFd) -> io::Result<bool> {
        self.connection.send_close_notify();
        self.flush(socket)
    }

    /// Whether bytes that were taken off the socket have not been read yet.
    pub fn has_unread(&self) -> bool {
        self.readable > 0 || self.looked_at < self.raw.len()
    }

    /// Whether more can be expected at once: the last look at the socket did not empty it.
    pub fn may_have_more(&self) -> bool {
        self.has_unread() || !self.emptied
    }

    /// Whether the peer sends nothing more.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Encrypted bytes taken off the socket so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Decrypts what was taken off the socket, until there is something to read.
    fn decrypt(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
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

    /// Takes bytes off the socket, once those before were looked at; 0 when there are none, or, with
    /// `ended`, will be none.
    fn take(&mut self, socket: BorrowedFd<'_>, flags: RecvFlags) -> io::Result<usize> {
        self.raw.clear();
        self.looked_at = 0;
        match recv(socket, spare_capacity(&mut self.raw), flags) {
            Ok((taken, _)) => {
                self.emptied = taken < RAW_BYTES;
                self.ended = taken == 0;
                self.taken += taken as u64;
                Ok(taken)
            }
            Err(Errno::INTR) => Ok(0),
            Err(Errno::AGAIN) => {
                self.emptied = true;
                Ok(0)
            }
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Waits until the socket can be read (or, when asked, written), or a signal interrupts that.
fn wait(socket: BorrowedFd<'_>, write: bool, timeout: Option<Duration>) -> io::Result<()> {
    let events = if write { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut [PollFd::from_borrowed_fd(socket, events)], timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// A socket to write to that never blocks and kills nobody with a signal.
struct Outlet<'a>(BorrowedFd<'a>);

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
