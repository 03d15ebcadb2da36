//! A small blocking client with pipelining, for programs and tests that talk to one server.
//!
//! [`Client::call`] sends a command and waits for its reply. For a pipeline, [`Client::send`] as many
//! commands as you like, then [`Client::receive`] as many replies. While a write has to wait, replies
//! are read, so a pipeline of any length cannot deadlock; they are held in memory until received.
//!
//! Not meant for measuring: the load generator has its own sockets and clocks.

mod address;
mod error;
mod stream;

use std::io::{self, Write};
use std::time::Duration;

pub use address::{Address, AddressError, Endpoint};
pub use error::ClientError;
use stream::Stream;

use crate::resp::Protocol;
use crate::resp::reply::{Scanner, Value, decode};
use crate::tls::TlsConnector;

/// Bytes asked of the socket at once: a default socket buffer's worth.
const READ_BYTES: usize = 64 << 10;
/// Unsent bytes at which `send` starts writing, so that a long pipeline is not held twice.
const UNSENT_BYTES_MAX: usize = 256 << 10;

/// How to connect.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// Longest wait for the connection.
    pub connect_timeout: Duration,
    /// Longest silence while a reply (or room for a request) is awaited; `None` waits for ever.
    pub reply_timeout: Option<Duration>,
    /// User for `AUTH`; `None` is the default user.
    pub username: Option<String>,
    /// Password for `AUTH`; `None` logs nobody in, unless there is a username.
    pub password: Option<String>,
    /// Database for `SELECT`.
    pub db: u32,
    /// RESP2 or RESP3.
    pub protocol: Protocol,
    /// Encrypts TCP connections; `None` leaves them as they are.
    pub tls: Option<TlsConnector>,
}

impl Default for ConnectOptions {
    /// 5 s to connect, 30 s for a reply, nobody logged in, database 0, RESP2.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            reply_timeout: Some(Duration::from_secs(30)),
            username: None,
            password: None,
            db: 0,
            protocol: Protocol::default(),
            tls: None,
        }
    }
}

/// A connection to one server. After an error it stays unusable: connect again.
#[derive(Debug)]
pub struct Client {
    address: Address,
    stream: Stream,
    reply_timeout: Option<Duration>,
    unsent: Vec<u8>,
    received: Vec<u8>,
    /// How much of `received` has been handed out.
    taken: usize,
    scanner: Scanner,
    /// Nothing more can be sent; replies that came before may still be read.
    write_closed: bool,
    /// A reply was lost: those that follow would answer the wrong command.
    broken: bool,
}

impl Client {
    /// Connects, logs in, selects protocol and database.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses one of these.
    pub fn connect(address: &Address, options: &ConnectOptions) -> Result<Self, ClientError> {
        let (endpoint, timeout) = (address.endpoint(), options.connect_timeout);
        let mut stream = Stream::connect(endpoint, timeout)
            .map_err(|cause| ClientError::Connect { address: address.clone(), cause })?;
        if let Some(tls) = &options.tls {
            stream = stream
                .encrypt(endpoint, tls, timeout)
                .map_err(|cause| ClientError::Tls { address: address.clone(), cause })?;
        }
        let mut client = Self {
            address: address.clone(),
            stream,
            reply_timeout: options.reply_timeout,
            unsent: Vec::new(),
            received: Vec::new(),
            taken: 0,
            scanner: Scanner::default(),
            write_closed: false,
            broken: false,
        };
        client.log_in(options)?;
        Ok(client)
    }

    /// The server this client talks to.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Sends one command and waits for its reply. An error reply is an `Ok(Value::Error)`.
    ///
    /// # Errors
    /// No reply came: see [`ClientError`].
    pub fn call(&mut self, args: &[impl AsRef<[u8]>]) -> Result<Value, ClientError> {
        self.send(args)?;
        self.receive()
    }

    /// Queues one command. Long pipelines are sent along the way; [`flush`](Self::flush) or
    /// [`receive`](Self::receive) send the rest.
    ///
    /// # Errors
    /// No arguments, or the connection fails.
    pub fn send(&mut self, args: &[impl AsRef<[u8]>]) -> Result<(), ClientError> {
        if args.is_empty() {
            return Err(ClientError::Empty { address: self.address.clone() });
        }
        encode(args, &mut self.unsent);
        if self.unsent.len() >= UNSENT_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    /// Sends what is queued, reading replies whenever the server takes no more.
    ///
    /// # Errors
    /// The connection fails, or neither side moves for the reply timeout.
    pub fn flush(&mut self) -> Result<(), ClientError> {
        self.check()?;
        let unsent = std::mem::take(&mut self.unsent);
        let sent = self.write_all(&unsent);
        self.unsent = unsent;
        self.unsent.clear();
        sent.map_err(|cause| self.failed(cause))
    }

    /// The next reply. Waits for ever, or for the reply timeout, when no command is unanswered.
    ///
    /// # Errors
    /// No reply came: see [`ClientError`].
    pub fn receive(&mut self) -> Result<Value, ClientError> {
        self.flush()?;
        loop {
            if let Some(value) = self.take_reply()? {
                return Ok(value);
            }
            match self.read_waiting() {
                Ok(0) => return Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(cause) => return Err(self.failed(cause)),
            }
        }
    }

    fn log_in(&mut self, options: &ConnectOptions) -> Result<(), ClientError> {
        let user = options.username.as_deref();
        let password = options.password.as_deref();
        let login = user.is_some() || password.is_some();
        let password = password.unwrap_or_default();
        if options.protocol == Protocol::Resp3 {
            let auth = ["HELLO", "3", "AUTH", user.unwrap_or("default"), password];
            self.ask(if login { &auth } else { &auth[..2] }, "RESP3 (HELLO 3)")?;
        } else if login {
            match user {
                Some(user) => self.ask(&["AUTH", user, password], "AUTH")?,
                None => self.ask(&["AUTH", password], "AUTH")?,
            }
        }
        if options.db != 0 {
            let db = options.db.to_string();
            self.ask(&["SELECT", &db], &format!("database {db}"))?;
        }
        Ok(())
    }

    fn ask(&mut self, args: &[&str], what: &str) -> Result<(), ClientError> {
        let Value::Error(message) = self.call(args)? else { return Ok(()) };
        let message = String::from_utf8_lossy(&message).into_owned();
        let address = self.address.clone();
        let login = ["WRONGPASS", "NOAUTH", "NOPERM"].iter().any(|code| message.starts_with(code));
        Err(if login || args[0] == "AUTH" {
            ClientError::Auth { address, message }
        } else {
            ClientError::Refused { address, command: what.to_owned(), message }
        })
    }

    fn check(&self) -> Result<(), ClientError> {
        if self.broken {
            return Err(ClientError::Closed { address: self.address.clone() });
        }
        Ok(())
    }

    fn failed(&mut self, cause: io::Error) -> ClientError {
        self.broken = true;
        let address = self.address.clone();
        match cause.kind() {
            io::ErrorKind::TimedOut => {
                ClientError::Timeout { address, after: self.reply_timeout.unwrap_or_default() }
            }
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => ClientError::Closed { address },
            io::ErrorKind::InvalidData => ClientError::Tls { address, cause },
            _ => ClientError::Io { address, cause },
        }
    }

    fn take_reply(&mut self) -> Result<Option<Value>, ClientError> {
        let bytes = &self.received[self.taken..];
        let found = match self.scanner.scan(bytes) {
            Ok(None) => Ok(None),
            Ok(Some(range)) => decode(&bytes[range.clone()]).map(|value| Some((value, range.end))),
            Err(error) => Err(error),
        };
        match found {
            Ok(None) => Ok(None),
            Ok(Some((value, end))) => {
                self.taken += end;
                if self.taken == self.received.len() {
                    self.received.clear();
                    self.taken = 0;
                }
                Ok(value.map(|(value, _)| value))
            }
            Err(cause) => {
                self.broken = true;
                Err(ClientError::Protocol { address: self.address.clone(), cause })
            }
        }
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() && !self.write_closed {
            match self.stream.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock => self.wait_to_write()?,
                    // The server hung up, perhaps with a parting word: let receive find it.
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                        self.write_closed = true;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    fn wait_to_write(&mut self) -> io::Result<()> {
        let ready = self.stream.wait(true, self.reply_timeout)?;
        if !ready.read {
            return Ok(());
        }
        match self.read_available() {
            Ok(0) => self.write_closed = true,
            Ok(_) => {}
            // With TLS, what has come may be half a record, or for TLS itself.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Reads at least one byte; 0 is the end of the stream.
    fn read_waiting(&mut self) -> io::Result<usize> {
        loop {
            self.stream.wait(false, self.reply_timeout)?;
            match self.read_available() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return outcome,
            }
        }
    }

    fn read_available(&mut self) -> io::Result<usize> {
        // What has been handed out makes room once it is the larger part: moved at most once a byte.
        if self.taken > self.received.len() / 2 {
            self.received.drain(..self.taken);
            self.taken = 0;
        }
        let end = self.received.len();
        self.received.resize(end + READ_BYTES, 0);
        let outcome = loop {
            match self.stream.read(&mut self.received[end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome,
            }
        };
        self.received.truncate(end + outcome.as_ref().map_or(0, |&size| size));
        outcome
    }
}

/// A command as an array of bulk strings.
fn encode(args: &[impl AsRef<[u8]>], out: &mut Vec<u8>) {
    let header = |kind: char, size: usize, out: &mut Vec<u8>| {
        write!(out, "{kind}{size}\r\n").expect("writing to memory cannot fail");
    };
    header('*', args.len(), out);
    for arg in args {
        let arg = arg.as_ref();
        header('$', arg.len(), out);
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
}
