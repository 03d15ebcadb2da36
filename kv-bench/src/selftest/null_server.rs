//! A server that does nothing: what is left of a measurement is the generator.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{SendFlags, send};

const WAKE: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;

/// What is written to an eventfd: a number other than 0, in whatever order its bytes are.
const ONE: [u8; 8] = [1; 8];

const EVENTS_MAX: usize = 256;
const RECEIVE_BYTES: usize = 64 * 1024;

/// A missing key: the shortest answer to a GET.
const REPLY: &[u8] = b"$-1\r\n";

/// With what a client greets, and the answer.
const PING: &[u8] = b"*1\r\n";
const PONG: &[u8] = b"+PONG\r\n";

/// Answers every GET as if its key were missing, from one thread. A request is told by its first
/// byte, `*`, which must not stand in a key.
pub(super) struct NullServer {
    pub(super) address: SocketAddr,
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
}

struct Orders {
    /// Readable when there is one.
    wake: OwnedFd,
    stop: AtomicBool,
    stall_ns: AtomicU64,
}

impl NullServer {
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let orders = Arc::new(Orders {
            wake: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            stop: AtomicBool::new(false),
            stall_ns: AtomicU64::new(0),
        });
        let mut answering = Answering::new(listener, Arc::clone(&orders))?;
        let thread = thread::Builder::new()
            .name("null-server".to_owned())
            // A failure ends its connections, which their clients tell.
            .spawn(move || drop(answering.run()))?;
        Ok(Self { address, orders, thread: Some(thread) })
    }

    /// Has it do nothing for so long, from now on.
    pub(super) fn stall(&self, time: Duration) {
        self.orders.stall_ns.store(time.as_nanos() as u64, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        // Fails only when it is readable as it is.
        let _ = rustix::io::write(&self.orders.wake, &ONE);
    }
}

impl Drop for NullServer {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            // If it panicked, it has said so.
            let _ = thread.join();
        }
    }
}

/// The thread's part.
struct Answering {
    orders: Arc<Orders>,
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<TcpStream>>,
    input: Vec<u8>,
    /// As many replies as there are requests in one read, at most.
    replies: Vec<u8>,
}

impl Answering {
    fn new(listener: TcpListener, orders: Arc<Orders>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        epoll::add(&epoll, &orders.wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let replies = REPLY.repeat(RECEIVE_BYTES);
        let input = vec![0; RECEIVE_BYTES];
        Ok(Self { orders, epoll, listener, connections: Vec::new(), input, replies })
    }

    fn run(&mut self) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match { event.data }.u64() {
                    WAKE => {
                        if self.obey() {
                            return Ok(());
                        }
                    }
                    LISTENER => self.accept()?,
                    index => self.answer(index as usize),
                }
            }
        }
    }

    /// Does what is ordered; whether that is to stop.
    fn obey(&self) -> bool {
        let _ = rustix::io::read(&self.orders.wake, &mut [0_u8; 8]);
        let stall_ns = self.orders.stall_ns.swap(0, Ordering::Acquire);
        thread::sleep(Duration::from_nanos(stall_ns));
        self.orders.stop.load(Ordering::Acquire)
    }

    fn accept(&mut self) -> io::Result<()> {
        let stream = match self.listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let data = EventData::new_u64(self.connections.len() as u64);
        epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
        self.connections.push(Some(stream));
        Ok(())
    }

    /// Reads once and answers what came; a connection that fails is over.
    fn answer(&mut self, index: usize) {
        let Some(stream) = &self.connections[index] else { return };
        let received = match rustix::io::read(stream, &mut self.input) {
            Ok(received) => received,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
            Err(_) => 0,
        };
        let input = &self.input[..received];
        let replies = if input.starts_with(PING) {
            PONG
        } else {
            &self.replies[..requests(input) * REPLY.len()]
        };
        // Nobody pipelines so much that their replies do not fit into a socket's buffer.
        let is_sent = send(stream.as_fd(), replies, SendFlags::NOSIGNAL)
            .is_ok_and(|sent| sent == replies.len());
        if received == 0 || !is_sent {
            self.connections[index] = None;
        }
    }
}

#[expect(clippy::naive_bytecount, reason = "the compiler makes vector instructions of it")]
fn requests(input: &[u8]) -> usize {
    input.iter().filter(|&&byte| byte == b'*').count()
}
