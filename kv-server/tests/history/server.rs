//! A real kv-server, real sockets, and a kill in between.

use std::sync::Mutex;

use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::resp::reply::Value;
use rustix::process::Signal;

use super::recorder::Connection;
use super::register::{Command, Reply};
use crate::support::{Process, eventually};

/// A kv-server that comes back with the same arguments when it was killed.
pub(crate) struct Home {
    args: Vec<String>,
    process: Mutex<Process>,
}

impl Home {
    pub(crate) fn start(args: &[&str]) -> Self {
        let process = Mutex::new(Process::start(args));
        Self { args: args.iter().map(|&arg| arg.to_owned()).collect(), process }
    }

    /// kill -9, and another process in its place. Who loses its connection finds no address until
    /// that one serves.
    pub(crate) fn crash(&self) {
        let mut process = self.process.lock().expect("nobody panicked");
        process.signal(Signal::KILL);
        process.ended();
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        *process = Process::start(&args);
    }

    pub(crate) fn connect(&self) -> Socket<'_> {
        Socket { home: self, client: self.client() }
    }

    fn client(&self) -> Client {
        let address = self.process.lock().expect("nobody panicked").address;
        let address = Address::tcp(&address.ip().to_string(), address.port());
        let mut client =
            Client::connect(&address, &ConnectOptions::default()).expect("the server listens");
        eventually("the server has loaded its data", || match client.call(&["PING"]) {
            Ok(Value::Simple(_)) => true,
            Ok(Value::Error(text)) if text.starts_with(b"LOADING") => false,
            other => panic!("PING answers {other:?}"),
        });
        client
    }
}

/// A client of a [`Home`].
pub(crate) struct Socket<'a> {
    home: &'a Home,
    client: Client,
}

impl Connection for Socket<'_> {
    fn call(&mut self, key: &str, command: Command) -> Option<Reply> {
        let number = |value: i64| value.to_string();
        let reply = match command {
            Command::Get => self.client.call(&["GET", key]),
            Command::Set(value) => self.client.call(&["SET", key, &number(value)]),
            Command::SetNx(value) => self.client.call(&["SET", key, &number(value), "NX"]),
            Command::Del => self.client.call(&["DEL", key]),
            Command::Incr => self.client.call(&["INCR", key]),
            Command::GetDel => self.client.call(&["GETDEL", key]),
        };
        understand(&reply.ok()?).unwrap_or_else(|reply| panic!("{command} answers {reply}"))
    }

    fn renew(&mut self) {
        self.client = self.home.client();
    }
}

/// The reply, if it says whether the command ran.
///
/// # Errors
/// No server may answer so.
fn understand(reply: &Value) -> Result<Option<Reply>, String> {
    match reply {
        Value::Simple(text) if text == b"OK" => Ok(Some(Reply::Done)),
        Value::Null => Ok(Some(Reply::Value(None))),
        Value::Integer(number) => Ok(Some(Reply::Number(*number))),
        Value::Bulk(text) => {
            let number = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            number
                .map(|number| Some(Reply::Value(Some(number))))
                .ok_or_else(|| format!("{reply:?}"))
        }
        // The write may be in memory, or even on its way to the disk.
        Value::Error(text) if text.starts_with(b"MISCONF") => Ok(None),
        _ => Err(format!("{reply:?}")),
    }
}
