//! The servers that commands go to.

use std::io;
use std::ops::ControlFlow;

use kv_core::client::{Client, ClientError, ConnectOptions};
use kv_core::resp::Protocol;
use kv_core::resp::reply::Value;
use kv_core::ring_client::{RingClient, RingClientError};

/// Which of the servers gets a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum To {
    /// There is but one.
    Only,
    /// The owner of its key.
    Owner,
    /// Each of them.
    All,
}

/// What one server said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Its name and address, where there is more than one to tell apart.
    pub(crate) server: Option<String>,
    pub(crate) outcome: Result<Value, ClientError>,
}

#[derive(Debug)]
pub(crate) struct Session {
    client: RingClient,
    to: To,
}

impl Session {
    pub(crate) fn new(client: RingClient, to: To) -> Self {
        Self { client, to }
    }

    pub(crate) fn to(&self) -> To {
        self.to
    }

    /// What the prompt says: the server, or how many there are, and the database.
    pub(crate) fn label(&mut self) -> String {
        let servers = match self.client.addresses() {
            [only] => only.to_string(),
            many => format!("{} servers", many.len()),
        };
        match self.client.options_mut().db {
            0 => servers,
            db => format!("{servers}[{db}]"),
        }
    }

    /// Talks to each server once; `None` for those that answered, if only to refuse.
    pub(crate) fn connect(&mut self) -> Vec<Option<ClientError>> {
        let servers = 0..self.client.addresses().len();
        servers.map(|server| self.client.call_on(server, &["PING"]).err()).collect()
    }

    /// Runs a command and collects the answers: one, or one of each server.
    ///
    /// # Errors
    /// The ring does not say which server is meant.
    pub(crate) fn ask(&mut self, args: &[Vec<u8>]) -> Result<Vec<Answer>, RingClientError> {
        let servers = match self.to {
            To::Only => 0..1,
            To::All => 0..self.client.addresses().len(),
            To::Owner => {
                let owner = self.client.route(args)?;
                owner..owner + 1
            }
        };
        let answers = servers.map(|server| Answer {
            server: (self.to != To::Only).then(|| self.client.addresses()[server].to_string()),
            outcome: ending_is_ok(args, self.client.call_on(server, args)),
        });
        let answers: Vec<Answer> = answers.collect();
        self.remember_db(args, &answers);
        Ok(answers)
    }

    /// Runs a command that the one server answers for as long as it lives, on a connection of its
    /// own; `print` gets each reply until it refuses one.
    ///
    /// # Errors
    /// Of `print` outside, of the server inside.
    pub(crate) fn follow(
        &mut self,
        args: &[Vec<u8>],
        mut print: impl FnMut(&Value) -> io::Result<ControlFlow<()>>,
    ) -> io::Result<Result<(), ClientError>> {
        // Silence is no failure here; and RESP3 would make messages pushes, which are no replies.
        let options = self.client.options_mut();
        let options =
            ConnectOptions { reply_timeout: None, protocol: Protocol::Resp2, ..options.clone() };
        let mut client = match Client::connect(&self.client.addresses()[0], &options) {
            Ok(client) => client,
            Err(error) => return Ok(Err(error)),
        };
        let mut reply = client.call(args);
        loop {
            match reply {
                Ok(value) if print(&value)?.is_break() => return Ok(Ok(())),
                Ok(_) => {}
                Err(error) => return Ok(Err(error)),
            }
            reply = client.receive();
        }
    }

    /// A connection lost later is made anew: with the database that was selected last.
    fn remember_db(&mut self, args: &[Vec<u8>], answers: &[Answer]) {
        let [name, db] = args else { return };
        let done = answers.iter().any(|answer| matches!(answer.outcome, Ok(Value::Simple(_))));
        if let (true, true, Some(db)) = (done, name.eq_ignore_ascii_case(b"select"), number(db)) {
            self.client.options_mut().db = db;
        }
    }
}

/// `SHUTDOWN` has no reply but the end of the connection: that is its success.
fn ending_is_ok(
    args: &[Vec<u8>],
    outcome: Result<Value, ClientError>,
) -> Result<Value, ClientError> {
    let ending = args[0].eq_ignore_ascii_case(b"shutdown") || args[0].eq_ignore_ascii_case(b"end");
    match outcome {
        Err(ClientError::Closed { .. }) if ending => Ok(Value::Simple(b"OK".to_vec())),
        outcome => outcome,
    }
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}
