//! Real servers of every kind that is driven, each with a client that is not kv-bench's; and kv-core in
//! kv-bench, whose store is looked at between runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::data_dir::{DataDir, Durability, Progress};
use kv_core::engine::Tally;
use kv_core::resp::Encoder;
use kv_core::resp::reply::{Value, decode};
use kv_core::resp::request::OwnedArgs;
use kv_core::storage::Disk;
use kv_core::{Call, Engine, Spec};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::nodes::Nodes;
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
    Cluster(Nodes),
    Memcached(Memcached),
    None(tempfile::TempDir),
}

/// How it is looked at from outside.
enum Outside {
    Resp(Address),
    /// Its classic text protocol, of which kv-bench sends nothing but the login.
    Classic(SockAddr),
    /// The store of an engine, which is nobody's between runs.
    Folder(PathBuf),
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
        stores.push(Self::engine());
        stores
    }

    /// One of each kind on a port.
    pub(crate) fn each_over_tcp() -> Vec<Self> {
        let (own, folder) = (server::Server::ready(), tempfile::tempdir().expect("a folder"));
        let mut stores = vec![Self::resp(own.address.to_string(), Process::Own(own, folder))];
        if let Some(redis) = Redis::start(&[]) {
            stores.push(Self::resp(format!("redis://{}", redis.address()), Process::Redis(redis)));
        }
        if let Some(nodes) = Nodes::start(1, false) {
            stores.push(Self::resp(nodes.target(0), Process::Cluster(nodes)));
        }
        stores.extend(Memcached::start(&[]).map(Self::memcached));
        stores
    }

    /// kv-core in kv-bench.
    fn engine() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = folder.path().join("store");
        Self {
            target: format!("engine:?durability=os&data-dir={}", store.display()),
            outside: Outside::Folder(store),
            process: Some(Process::None(folder)),
        }
    }

    /// Whether it has a process of its own, and counts what it is asked.
    pub(crate) fn is_server(&self) -> bool {
        !matches!(self.outside, Outside::Folder(_))
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
            None => {
                let address = target.rsplit('/').next().unwrap_or_default();
                address.parse().expect("an address")
            }
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
            Outside::Folder(store) => {
                let stored = stored(store, &[&[b"SET", key.as_bytes(), value]]);
                assert!(matches!(stored[..], [Value::Simple(_)]), "{}: {stored:?}", self.target);
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
            Outside::Folder(_) => self.get_all(&[key.to_owned()]).remove(0),
        }
    }

    pub(crate) fn get_all(&self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        let Outside::Folder(store) = &self.outside else {
            return keys.iter().map(|key| self.get(key)).collect();
        };
        let gets: Vec<[&[u8]; 2]> = keys.iter().map(|key| [&b"GET"[..], key.as_bytes()]).collect();
        let gets: Vec<&[&[u8]]> = gets.iter().map(|words| &words[..]).collect();
        let value = |answer| if let Value::Bulk(value) = answer { Some(value) } else { None };
        stored(store, &gets).into_iter().map(value).collect()
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
            Outside::Folder(_) => panic!("it counts nothing between runs"),
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

/// The answers of the store in this folder.
fn stored(folder: &Path, calls: &[&[&[u8]]]) -> Vec<Value> {
    let engine = Engine::default();
    // A process that another test is about to start holds what we have locked, for a moment.
    let disk = Arc::new(wait_for(|| Disk::open(folder).ok()));
    let opened = DataDir::open(disk, &engine, Durability::Os, &Progress::default());
    let (_data_dir, _) = opened.expect("a store");
    let answer = |words: &&[&[u8]]| {
        let args: OwnedArgs = words.iter().collect();
        let spec = Spec::find(words[0]).expect("a command");
        let (mut out, mut tally) = (Encoder::default(), Tally::default());
        engine.run(&Call { spec, args: args.view(), db: 0 }, &mut out, &mut tally);
        decode(out.bytes()).expect("RESP").expect("whole").0
    };
    let answers = calls.iter().map(answer).collect();
    engine.log().expect("it is kept").close().expect("a disk with room");
    answers
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
