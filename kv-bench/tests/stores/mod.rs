//! Real servers of every kind that is driven, each with a client that is not kv-bench's.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::resp::reply::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::peer::{Memcached, Redis};
use crate::program::wait_for;
use crate::server;

/// A running server, which ends with this.
pub(crate) struct Store {
    /// As `--target` wants it.
    pub(crate) target: String,
    outside: Outside,
    /// None when it was killed.
    process: Option<Process>,
}

#[expect(dead_code, reason = "they live, and end when they are dropped")]
enum Process {
    Own(server::Server, tempfile::TempDir),
    Redis(Redis),
    Memcached(Memcached),
}

/// How it is looked at from outside.
enum Outside {
    Resp(Address),
    /// Its classic text protocol, of which kv-bench sends nothing but the login.
    Classic(SockAddr),
}

impl Store {
    /// One of each kind and address that there is here.
    pub(crate) fn each() -> Vec<Self> {
        let mut stores: Vec<Self> = Self::each_over_tcp();
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kv.sock").display().to_string();
        let server = server::Server::told(0, &["--unixsocket", &path]);
        stores.push(Self::resp(format!("unix://{path}"), Process::Own(server, folder)));
        if let Some(redis) = Redis::start(&[]) {
            stores.push(Self::resp(format!("unix://{}", redis.socket()), Process::Redis(redis)));
        }
        if let Some(memcached) = Memcached::on_socket() {
            stores.push(Self {
                target: format!("memcached://{}", memcached.socket().display()),
                outside: Outside::Classic(SockAddr::unix(memcached.socket()).expect("short")),
                process: Some(Process::Memcached(memcached)),
            });
        }
        stores
    }

    /// One of each kind on a port.
    pub(crate) fn each_over_tcp() -> Vec<Self> {
        let (own, folder) = (server::Server::ready(), tempfile::tempdir().expect("a folder"));
        let mut stores = vec![Self::resp(own.address.to_string(), Process::Own(own, folder))];
        if let Some(redis) = Redis::start(&[]) {
            stores.push(Self::resp(format!("redis://{}", redis.address()), Process::Redis(redis)));
        }
        stores.extend(Memcached::start(&[]).map(Self::memcached));
        stores
    }

    pub(crate) fn memcached(memcached: Memcached) -> Self {
        Self {
            target: format!("memcached://{}", memcached.address()),
            outside: Outside::Classic(memcached.address().into()),
            process: Some(Process::Memcached(memcached)),
        }
    }

    fn resp(target: String, process: Process) -> Self {
        let address = match target.strip_prefix("unix://") {
            Some(path) => Address::unix(path),
            None => target.trim_start_matches("redis://").parse().expect("an address"),
        };
        Self { target, outside: Outside::Resp(address), process: Some(process) }
    }

    /// Ends it as kill -9 does.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) {
        match &self.outside {
            Outside::Resp(address) => {
                let stored = resp(address, &[b"SET", key.as_bytes(), value]);
                assert!(matches!(stored, Value::Simple(_)), "{}: {stored:?}", self.target);
            }
            Outside::Classic(address) => {
                let mut classic = classic(address);
                let head = format!("set {key} 0 0 {}\r\n", value.len());
                let request = [head.as_bytes(), value, b"\r\n"].concat();
                classic.get_mut().write_all(&request).expect("it listens");
                assert_eq!(line(&mut classic), "STORED", "{}", self.target);
            }
        }
    }

    pub(crate) fn get(&self, key: &str) -> Option<Vec<u8>> {
        match &self.outside {
            Outside::Resp(address) => match resp(address, &[b"GET", key.as_bytes()]) {
                Value::Bulk(value) => Some(value),
                _ => None,
            },
            Outside::Classic(address) => {
                let mut classic = classic(address);
                write!(classic.get_mut(), "get {key}\r\n").expect("it listens");
                let head = line(&mut classic);
                let size = head.strip_prefix(&format!("VALUE {key} 0 "))?;
                let mut value = vec![0; size.parse().expect("a size")];
                classic.read_exact(&mut value).expect("as long as it says");
                Some(value)
            }
        }
    }

    /// Hits and misses of reads by the server's own count.
    pub(crate) fn reads(&self) -> (u64, u64) {
        match &self.outside {
            Outside::Resp(address) => {
                let Value::Bulk(info) = resp(address, &[b"INFO", b"stats"]) else { panic!("INFO") };
                let info = String::from_utf8_lossy(&info).into_owned();
                let count = |name| number(info.lines(), name);
                (count("keyspace_hits:"), count("keyspace_misses:"))
            }
            Outside::Classic(address) => {
                let mut classic = classic(address);
                classic.get_mut().write_all(b"stats\r\n").expect("it listens");
                let lines: Vec<String> =
                    std::iter::from_fn(|| Some(line(&mut classic)).filter(|l| l != "END"))
                        .collect();
                let count = |name| number(lines.iter().map(String::as_str), name);
                (count("STAT get_hits "), count("STAT get_misses "))
            }
        }
    }

    /// Waits until it has answered more reads than it had.
    pub(crate) fn await_load(&self) {
        let before = self.reads();
        wait_for(|| (self.reads() != before).then_some(()));
    }
}

fn number<'a>(mut lines: impl Iterator<Item = &'a str>, name: &str) -> u64 {
    let text = lines.find_map(|line| line.strip_prefix(name)).expect(name);
    text.trim().parse().expect(name)
}

fn resp(address: &Address, words: &[&[u8]]) -> Value {
    let mut client = Client::connect(address, &ConnectOptions::default()).expect("it listens");
    client.call(words).expect("it answers")
}

fn classic(address: &SockAddr) -> BufReader<Socket> {
    let domain = if address.is_unix() { Domain::UNIX } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
    socket.connect(address).expect("it listens");
    BufReader::new(socket)
}

fn line(input: &mut BufReader<Socket>) -> String {
    let mut line = String::new();
    input.read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}
