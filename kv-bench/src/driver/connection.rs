//! One non-blocking connection: connecting, greeting, sending, receiving.
//!
//! ```text
//! Down ──open──▶ Connecting ──writable──▶ Greeting ──all replies good──▶ Ready
//!   ▲                 │                       │                           │
//!   └─────────────────┴──────── close ────────┴───────────────────────────┘
//! ```

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use kv_core::tls::Session;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::clock::now_ns;
use super::following::{Following, Note};
use super::poll::Poll;
use super::strays::Trail;
use crate::recorder::{Failure, Loss};
use crate::target::{Address, Caller, Codec, Handshake};
use crate::workload::Kind;

/// First pause before a lost connection is opened again; it doubles up to that of [`back_off_ns_max`].
const BACK_OFF_NS_MIN: u64 = 10_000_000;
/// Pause per connection of the run: a server that is away is tried a thousand times a second in all.
const BACK_OFF_NS_EACH: u64 = 1_000_000;

/// The longest pause before one of so many connections is opened again. An outage seems longer by up
/// to that, because who pauses does not see that the server is back.
pub(super) fn back_off_ns_max(connections: u64) -> u64 {
    (connections * BACK_OFF_NS_EACH).clamp(2 * BACK_OFF_NS_MIN, 100 * BACK_OFF_NS_MIN)
}

/// A reply longer than this is not read: a server that promises more is not answering us.
const REPLY_BYTES_MAX: usize = 1 << 30;

/// An operation that was sent and not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) kind: Kind,
    pub(super) sent_ns: u64,
    /// When it was to be sent, in an open loop.
    pub(super) due_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Down { retry_at_ns: u64 },
    Connecting,
    Greeting { replies: u32 },
    Ready,
}

/// What a read brought.
pub(super) enum Received {
    /// This many bytes, and whether there may be more.
    Bytes {
        size: usize,
        more: bool,
    },
    Nothing,
    Closed(io::Error),
}

pub(super) struct Connection {
    id: usize,
    pub(super) state: State,
    socket: Option<Socket>,
    tls: Option<Box<Session>>,
    /// In the place of a socket, what is called.
    caller: Option<Box<Caller>>,
    /// When the last call returned, and how long all have taken.
    pub(super) returned_ns: u64,
    pub(super) called_ns: u64,
    /// Encoded requests; those before `written` are with the kernel.
    pub(super) outgoing: Vec<u8>,
    written: usize,
    watching_writable: bool,
    /// The beginning of a reply whose rest has not come yet.
    pub(super) partial: Vec<u8>,
    pub(super) in_flight: VecDeque<InFlight>,
    /// Of those among them that have one.
    pub(super) notes: VecDeque<Note>,
    /// What a cluster needs of them.
    pub(super) trail: Trail,
    /// Operations at the end of `in_flight` that wait for the next flush.
    pub(super) unsent: usize,
    back_off_ns: u64,
    back_off_ns_max: u64,
    opened_at_ns: u64,
    /// How it was lost last, or could not be had.
    pub(super) loss: Loss,
}

impl Connection {
    pub(super) fn new(id: usize, pipeline: usize, back_off_ns_max: u64) -> Self {
        Self {
            id,
            state: State::Down { retry_at_ns: 0 },
            socket: None,
            tls: None,
            caller: None,
            returned_ns: 0,
            called_ns: 0,
            outgoing: Vec::with_capacity(256),
            written: 0,
            watching_writable: false,
            partial: Vec::new(),
            in_flight: VecDeque::with_capacity(pipeline),
            notes: VecDeque::new(),
            trail: Trail::default(),
            unsent: 0,
            back_off_ns: BACK_OFF_NS_MIN,
            back_off_ns_max,
            opened_at_ns: 0,
            loss: Loss::Closed,
        }
    }

    /// Starts to connect and queues the handshake.
    pub(super) fn open(
        &mut self,
        address: &Address,
        handshake: Handshake,
        poll: &Poll,
        now_ns: u64,
    ) -> io::Result<()> {
        self.loss = Loss::Closed;
        let session = handshake.tls.map(|tls| tls.session(""));
        self.tls = session.transpose()?.map(Box::new);
        let socket = connect(address)?;
        poll.add(&socket, self.id, true)?;
        self.watching_writable = true;
        self.socket = Some(socket);
        self.outgoing = handshake.bytes;
        self.written = 0;
        self.state = State::Connecting;
        self.opened_at_ns = now_ns;
        Ok(())
    }

    /// Calls `caller` from now on, which is ready.
    pub(super) fn call_instead(&mut self, caller: Caller) {
        self.caller = Some(Box::new(caller));
        self.state = State::Ready;
    }

    /// Whether the last call brought something that nobody has looked at. Its time would be lost
    /// with the next one.
    pub(super) fn has_returned(&self) -> bool {
        !self.partial.is_empty()
    }

    /// Makes the calls that are encoded. Their replies are read as any others are.
    fn call(&mut self) {
        let (Some(caller), Some(last)) = (&mut self.caller, self.in_flight.back()) else { return };
        caller.call(&self.outgoing, &mut self.partial);
        self.outgoing.clear();
        self.returned_ns = now_ns();
        self.called_ns += self.returned_ns - last.sent_ns;
    }

    /// Remembers how it is lost, and says it.
    pub(super) fn lost_by(&mut self, error: &io::Error) -> String {
        self.loss = Loss::of(error);
        error.to_string()
    }

    /// What fails by its being lost.
    pub(super) fn failure(&self) -> Failure<'static> {
        Failure::Connection(self.loss)
    }

    /// Closes and schedules the next attempt. What was in flight stays for the caller to count.
    pub(super) fn close(&mut self, now_ns: u64) {
        self.socket = None;
        self.tls = None;
        self.outgoing.clear();
        self.written = 0;
        self.unsent = 0;
        self.partial.clear();
        self.state = State::Down { retry_at_ns: now_ns + self.back_off_ns };
        self.back_off_ns = (self.back_off_ns * 2).min(self.back_off_ns_max);
    }

    /// Since when the oldest operation, or the handshake, has waited for its reply.
    pub(super) fn waiting_since_ns(&self) -> Option<u64> {
        match self.state {
            State::Down { .. } => None,
            State::Connecting | State::Greeting { .. } => Some(self.opened_at_ns),
            // A call takes as long as it takes.
            State::Ready if self.caller.is_some() => None,
            State::Ready => self.in_flight.front().map(|front| self.trail.since_ns(front.sent_ns)),
        }
    }

    /// When the oldest operation in flight was sent, and how many there are; `None` of none.
    #[inline]
    pub(super) fn waiting(&self) -> Option<(u64, usize)> {
        Some((self.in_flight.front()?.sent_ns, self.in_flight.len()))
    }

    /// The note of the oldest operation in flight, or of the one that was just taken from there, if
    /// its kind has one.
    #[inline]
    pub(super) fn take_note(&mut self, following: &Following, kind: Kind) -> Option<Note> {
        if following.is_noted(kind) { self.notes.pop_front() } else { None }
    }

    /// The socket may be written to: finishes connecting, sends what waits.
    pub(super) fn writable(&mut self, replies: u32, poll: &Poll) -> io::Result<()> {
        let Some(socket) = &self.socket else { return Ok(()) };
        if self.state == State::Connecting {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            self.state = State::Greeting { replies };
        }
        self.write(poll)
    }

    /// Stamps the operations that wait with `now_ns` and sends everything in one call.
    #[inline]
    pub(super) fn flush(&mut self, now_ns: u64, poll: &Poll) -> io::Result<()> {
        let waiting = self.in_flight.len() - self.unsent;
        for operation in self.in_flight.range_mut(waiting..) {
            operation.sent_ns = now_ns;
        }
        self.unsent = 0;
        self.write(poll)
    }

    /// Sends what is encoded, as far as the kernel takes it.
    #[inline]
    pub(super) fn write(&mut self, poll: &Poll) -> io::Result<()> {
        let Some(socket) = &self.socket else {
            self.call();
            return Ok(());
        };
        if let Some(tls) = &mut self.tls {
            // Before the handshake is over, the session keeps what it is given.
            self.written += tls.try_send(socket, &self.outgoing[self.written..])?;
            if self.written < self.outgoing.len() || tls.flush(socket)? {
                return self.watch_writable(poll);
            }
        }
        while self.written < self.outgoing.len() {
            match send(socket, &self.outgoing[self.written..], SendFlags::NOSIGNAL) {
                Ok(size) => self.written += size,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return self.watch_writable(poll),
                Err(error) => return Err(error.into()),
            }
        }
        self.outgoing.clear();
        self.written = 0;
        if self.watching_writable {
            poll.modify(socket, self.id, false)?;
            self.watching_writable = false;
        }
        Ok(())
    }

    fn watch_writable(&mut self, poll: &Poll) -> io::Result<()> {
        if let (Some(socket), false) = (&self.socket, self.watching_writable) {
            poll.modify(socket, self.id, true)?;
            self.watching_writable = true;
        }
        Ok(())
    }

    /// Reads once: into `buffer`, or behind the beginning of a reply that waits in `partial`, so
    /// that a long reply is not copied once per read.
    #[inline]
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Received {
        let Some(socket) = &self.socket else { return self.returned() };
        if let Some(tls) = &mut self.tls {
            return decrypt(tls, socket, buffer, &mut self.partial)
                .unwrap_or_else(Received::Closed);
        }
        loop {
            let (result, room) = if self.partial.is_empty() {
                let result = recv(socket.as_fd(), &mut *buffer, RecvFlags::empty());
                (result.map(|(size, _)| size), buffer.len())
            } else {
                self.partial.reserve(buffer.len());
                let room = self.partial.capacity() - self.partial.len();
                let spare = spare_capacity(&mut self.partial);
                (recv(socket.as_fd(), spare, RecvFlags::empty()).map(|(size, _)| size), room)
            };
            return match result {
                Ok(0) => Received::Closed(io::ErrorKind::UnexpectedEof.into()),
                Ok(size) => Received::Bytes { size, more: size == room },
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => Received::Nothing,
                Err(error) => Received::Closed(error.into()),
            };
        }
    }

    /// What the last call brought, which is where the rest of a reply would be waited for.
    fn returned(&self) -> Received {
        match self.partial.len() {
            0 => Received::Nothing,
            size => Received::Bytes { size, more: false },
        }
    }

    /// Reads replies to the handshake from the front of `bytes` and returns how many bytes it took.
    pub(super) fn greet(&mut self, codec: &impl Codec, bytes: &[u8]) -> Result<usize, String> {
        let mut taken = 0;
        while let State::Greeting { replies } = self.state {
            match codec.decode_handshake(&bytes[taken..]) {
                Ok(None) => break,
                Ok(Some((size, None))) => taken += size,
                Ok(Some((_, Some(message)))) => {
                    return Err(String::from_utf8_lossy(message).into_owned());
                }
                Err(_) => return Err("the server does not speak this protocol".to_owned()),
            }
            self.state = State::Greeting { replies: replies - 1 };
            if replies == 1 {
                self.state = State::Ready;
                self.back_off_ns = BACK_OFF_NS_MIN;
            }
        }
        Ok(taken)
    }

    /// Keeps `bytes` but for the `taken` in front, the beginning of a reply, for the next read.
    /// False when it is too long.
    pub(super) fn keep(&mut self, mut bytes: Vec<u8>, taken: usize) -> bool {
        bytes.drain(..taken);
        self.partial = bytes;
        self.partial.len() <= REPLY_BYTES_MAX
    }
}

/// As [`Connection::receive`], of what is encrypted.
fn decrypt(
    tls: &mut Session,
    socket: &Socket,
    buffer: &mut [u8],
    partial: &mut Vec<u8>,
) -> io::Result<Received> {
    let readable = match tls.fill(socket, RecvFlags::DONTWAIT)? {
        None => return Ok(Received::Nothing),
        Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
        Some(readable) => readable,
    };
    let size = if partial.is_empty() {
        tls.read(buffer)?
    } else {
        let before = partial.len();
        partial.resize(before + readable, 0);
        tls.read(&mut partial[before..])?
    };
    Ok(Received::Bytes { size, more: tls.may_have_more() })
}

fn connect(address: &Address) -> io::Result<Socket> {
    let (domain, protocol, address) = match address {
        Address::Tcp(address) => {
            (Domain::for_address(*address), Some(Protocol::TCP), SockAddr::from(*address))
        }
        Address::Unix(path) => (Domain::UNIX, None, SockAddr::unix(path)?),
        Address::InProcess => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = Socket::new(domain, Type::STREAM, protocol)?;
    socket.set_nonblocking(true)?;
    if protocol.is_some() {
        socket.set_tcp_nodelay(true)?;
    }
    match socket.connect(&address) {
        Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => Err(error),
        _ => Ok(socket),
    }
}
