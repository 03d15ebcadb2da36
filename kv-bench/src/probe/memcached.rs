//! A look at a memcached: `mn`, which every one answers since the meta commands are stable, then
//! what it says of itself.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::time::Duration;

use kv_core::client::ClientError;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{Identity, ProbeError, client_address, is_it};
use crate::scenario::is_local;
use crate::target::{Address, Endpoint, login_request};

/// More lines than any statistics have: who sends on and on is no memcached.
const LINES_MAX: usize = 10_000;

/// How far ahead of its life memcached's `uptime` is: its clock begins at 2, so that 0 and 1 are
/// free for other meanings.
const UPTIME_AHEAD_S: f64 = 2.0;

/// Connects, logs in where that is wanted, and asks who is there.
pub(super) fn probe(endpoint: &Endpoint, timeout: Duration) -> Result<Identity, ProbeError> {
    let mut talk = Talk::begin(endpoint, timeout)?;
    let mut greeting = talk.ask(b"mn\r\n")?;
    let login = login_request(&endpoint.credentials);
    match login {
        // It hangs up on who is not known.
        Some(login) if wants_login(&greeting) => {
            talk = Talk::begin(endpoint, timeout)?;
            let answer = talk.ask(&login)?;
            if answer != "STORED" {
                let address = client_address(&endpoint.address);
                return Err(ProbeError::Client(ClientError::Auth { address, message: answer }));
            }
            greeting = talk.ask(b"mn\r\n")?;
        }
        Some(_) if greeting == "MN" => return Err(ProbeError::NoLogin(endpoint.name.clone())),
        _ => {}
    }
    if wants_login(&greeting) {
        let (name, form) = (endpoint.name.clone(), "memcached://user:password@host:port");
        return Err(ProbeError::Login { name, message: greeting, form });
    }
    if greeting != "MN" {
        return Err(ProbeError::NoMemcached { name: endpoint.name.clone(), answer: greeting });
    }
    talk.identity()
}

fn wants_login(answer: &str) -> bool {
    answer == "CLIENT_ERROR unauthenticated"
}

/// Questions and answers over one connection.
struct Talk<'a> {
    endpoint: &'a Endpoint,
    timeout: Duration,
    input: BufReader<Socket>,
}

impl<'a> Talk<'a> {
    fn begin(endpoint: &'a Endpoint, timeout: Duration) -> Result<Self, ProbeError> {
        let socket = connect(&endpoint.address, timeout).map_err(|cause| {
            let address = client_address(&endpoint.address);
            ProbeError::of(ClientError::Connect { address, cause }, endpoint)
        })?;
        Ok(Self { endpoint, timeout, input: BufReader::new(socket) })
    }

    /// Sends a request and returns the first line that comes back.
    fn ask(&mut self, request: &[u8]) -> Result<String, ProbeError> {
        self.input.get_mut().write_all(request).map_err(|cause| self.failed(cause))?;
        self.line()
    }

    fn line(&mut self) -> Result<String, ProbeError> {
        let mut line = Vec::new();
        let within = &mut io::Read::take(&mut self.input, 4096);
        let read = within.read_until(b'\n', &mut line);
        match read {
            Ok(0) => Err(self.failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(String::from_utf8_lossy(&line).trim_end().to_owned()),
            Err(cause) => Err(self.failed(cause)),
        }
    }

    /// The value of each of `names` in the statistics that `request` asks for.
    fn statistics<const N: usize>(
        &mut self,
        request: &[u8],
        names: [&str; N],
    ) -> Result<[Option<String>; N], ProbeError> {
        let mut found = [const { None }; N];
        let mut line = self.ask(request)?;
        for _ in 0..LINES_MAX {
            // Its end, or a server without them.
            let Some(statistic) = line.strip_prefix("STAT ") else { break };
            if let Some((name, value)) = statistic.split_once(' ')
                && let Some(index) = names.iter().position(|wanted| *wanted == name)
            {
                found[index] = Some(value.to_owned());
            }
            line = self.line()?;
        }
        Ok(found)
    }

    fn identity(&mut self) -> Result<Identity, ProbeError> {
        let version = self.ask(b"version\r\n")?;
        let version = version.strip_prefix("VERSION ").map(|text| format!("memcached {text}"));
        let [pid, uptime_s] = self.statistics(b"stats\r\n", ["pid", "uptime"])?;
        let [item_bytes_max] = self.statistics(b"stats settings\r\n", ["item_size_max"])?;
        let pid = pid.and_then(|pid| pid.parse().ok());
        let uptime_s = uptime_s.and_then(|text| text.parse::<f64>().ok());
        let uptime_s = uptime_s.map(|uptime_s| uptime_s - UPTIME_AHEAD_S);
        let local = is_local(&self.endpoint.address);
        Ok(Identity {
            version: version.unwrap_or_default(),
            pid: pid.filter(|&pid| local && is_it(pid, uptime_s)),
            item_bytes_max: item_bytes_max.and_then(|text| text.parse().ok()),
        })
    }

    fn failed(&self, cause: io::Error) -> ProbeError {
        let address = client_address(&self.endpoint.address);
        let after = self.timeout;
        ProbeError::Client(match cause.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Timeout { address, after }
            }
            io::ErrorKind::UnexpectedEof => ClientError::Closed { address },
            _ => ClientError::Io { address, cause },
        })
    }
}

fn connect(address: &Address, timeout: Duration) -> io::Result<Socket> {
    let (domain, address) = match address {
        Address::Tcp(address) => (Domain::for_address(*address), SockAddr::from(*address)),
        Address::Unix(path) => (Domain::UNIX, SockAddr::unix(path)?),
        Address::InProcess => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect_timeout(&address, timeout)?;
    socket.set_read_timeout(Some(timeout))?;
    socket.set_write_timeout(Some(timeout))?;
    Ok(socket)
}
