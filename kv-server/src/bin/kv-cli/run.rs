//! Runs commands and prints what came of them: one from the command line, or those of standard
//! input.

use std::io::{self, BufRead, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use kv_core::client::ClientError;
use kv_core::resp::reply::Value;
use kv_core::resp::split_line;
use kv_core::ring_client::RingClientError;

use crate::complain;
use crate::format::{Format, quote};
use crate::session::{Answer, Session, To};

/// How it went, the worst last; the exit status is its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Fine = 0,
    /// The key is not there, or the server answered with an error.
    Failed = 1,
    Usage = 2,
    Unreachable = 3,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        ExitCode::from(status as u8)
    }
}

impl From<&ClientError> for Status {
    fn from(error: &ClientError) -> Self {
        match error {
            ClientError::Auth { .. } | ClientError::Refused { .. } => Status::Failed,
            _ => Status::Unreachable,
        }
    }
}

/// Prints answers and complaints.
#[derive(Debug)]
pub(crate) struct Printer {
    pub(crate) format: Format,
    /// Where complaints come from, such as `line 3: `; `None` at the prompt, where they need no name
    /// and replies are printed whatever they say.
    pub(crate) place: Option<String>,
}

impl Printer {
    /// Runs one command. The error is standard output's.
    pub(crate) fn run(&self, session: &mut Session, args: &[Vec<u8>]) -> io::Result<Status> {
        if let Some(reason) = unanswerable(args) {
            self.complain(reason);
            return Ok(Status::Usage);
        }
        if is_stream(args) {
            return self.follow(session, args);
        }
        let answers = match session.ask(args) {
            Ok(answers) => answers,
            Err(error @ RingClientError::NoKey { .. }) => {
                self.complain(&format!("{error} with --all-servers"));
                return Ok(Status::Usage);
            }
            Err(error) => {
                self.complain(&error.to_string());
                return Ok(Status::Usage);
            }
        };
        let mut worst = Status::Fine;
        for answer in &answers {
            worst = worst.max(self.print(args, answer, session.to())?);
        }
        Ok(worst)
    }

    /// Prints what a command is told, until Ctrl-C ends this process or the server ends.
    fn follow(&self, session: &mut Session, args: &[Vec<u8>]) -> io::Result<Status> {
        let command = String::from_utf8_lossy(&args[0]).into_owned();
        if session.to() != To::Only {
            self.complain(&format!(
                "{command} follows one server: name it with --host and --port, not --servers"
            ));
            return Ok(Status::Usage);
        }
        if self.place.is_none() {
            self.complain(&format!(
                "{command} goes on until Ctrl-C, which would end the prompt: run it from your shell"
            ));
            return Ok(Status::Usage);
        }
        let mut status = Status::Fine;
        let followed = session.follow(args, |value| {
            let answer = Answer { server: None, outcome: Ok(value.clone()) };
            status = self.print(args, &answer, To::Only)?;
            Ok(if matches!(value, Value::Error(_)) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(match followed {
            Ok(()) => status,
            Err(error) => {
                self.complain(&in_words(&error));
                Status::from(&error)
            }
        })
    }

    pub(crate) fn complain(&self, message: &str) {
        match &self.place {
            Some(place) => complain(format_args!("kv-cli: {place}{message}")),
            None => complain(message),
        }
    }

    fn print(&self, args: &[Vec<u8>], answer: &Answer, to: To) -> io::Result<Status> {
        let value = match &answer.outcome {
            Ok(value) => value,
            Err(error) => {
                self.complain(&in_words(error));
                return Ok(error.into());
            }
        };
        let trouble = trouble(args, value);
        let status = if trouble.is_some() { Status::Failed } else { Status::Fine };
        let server = answer.server.as_deref();
        if let (Some(trouble), Some(_), false) =
            (&trouble, &self.place, self.format == Format::Json)
        {
            match server {
                Some(server) => self.complain(&format!("{server}: {trouble}")),
                None => self.complain(trouble),
            }
            return Ok(status);
        }
        let text = match (server, to, self.format) {
            (Some(server), To::All, _) | (Some(server), _, Format::Typed | Format::Json) => {
                self.format.text_of(server, args, value)
            }
            (server, _, format) => {
                // A script wants the value alone: the name goes beside it.
                if let Some(server) = server {
                    complain(format_args!("answered by {server}"));
                }
                format.text(args, value)
            }
        };
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()?;
        Ok(status)
    }
}

/// Runs each line of standard input as it comes, and goes on after a failure unless a server cannot
/// be reached: then the lines behind it would mean something else without it.
pub(crate) fn pipe(session: &mut Session, format: Format) -> io::Result<Status> {
    let mut input = io::stdin().lock();
    let mut worst = Status::Fine;
    let mut buffer = Vec::new();
    for number in 1_u64.. {
        buffer.clear();
        match input.read_until(b'\n', &mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                complain(format_args!("kv-cli: cannot read standard input: {error}"));
                return Ok(Status::Usage);
            }
        }
        let printer = Printer { format, place: Some(format!("line {number}: ")) };
        let args = match split_line(buffer.trim_ascii_end()) {
            Ok(args) => args,
            Err(reason) => {
                printer.complain(reason);
                worst = worst.max(Status::Usage);
                continue;
            }
        };
        match args.as_slice() {
            [] => continue,
            [word] if is_leave(word) => break,
            _ => {}
        }
        worst = worst.max(printer.run(session, &args)?);
        if worst == Status::Unreachable {
            if input.fill_buf().is_ok_and(|left| !left.is_empty()) {
                printer.complain("the lines after it were not sent");
            }
            break;
        }
    }
    Ok(worst)
}

/// The words that end the prompt and pipe mode.
pub(crate) fn is_leave(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"quit") || word.eq_ignore_ascii_case(b"exit")
}

/// Why a server gave no reply.
pub(crate) fn in_words(error: &ClientError) -> String {
    match error {
        ClientError::Auth { address, message } => {
            format!("{address} refused the login: {}", with_hint(message))
        }
        error => error.to_string(),
    }
}

/// A server's error, and behind it what the user of this program can do about it.
fn with_hint(error: &str) -> String {
    let hint = match error.split(' ').next() {
        Some("NOAUTH") => "give the password with --password (-a), or as KVCLI_AUTH",
        Some("WRONGPASS") => {
            "check --password (-a), or KVCLI_AUTH, REDISCLI_AUTH or KV_REQUIREPASS in the \
             environment, and --user"
        }
        _ => return error.to_owned(),
    };
    format!("{}; {hint}", error.trim_end_matches('.'))
}

/// Why a reply is not what was hoped for.
fn trouble(args: &[Vec<u8>], value: &Value) -> Option<String> {
    let named =
        |names: &[&str]| names.iter().any(|name| args[0].eq_ignore_ascii_case(name.as_bytes()));
    let missing = |key: &Vec<u8>| {
        let shown = quote(key);
        format!("key '{}' not found", &shown[1..shown.len() - 1])
    };
    match (value, args) {
        (Value::Error(text), _) if named(&["help"]) && text.starts_with(b"ERR unknown command") => {
            Some("'help' is for the prompt: kv-cli --help, or command docs COMMAND".to_owned())
        }
        (Value::Error(text), _) => Some(with_hint(&String::from_utf8_lossy(text))),
        (Value::Null, [_, key, ..]) if named(&["get", "getdel", "getex", "dump"]) => {
            Some(missing(key))
        }
        // With GET, the reply is the old value, and none says nothing of the new one.
        (Value::Null, [_, _, _, options @ ..])
            if named(&["set", "put"])
                && options.iter().any(|option| option.eq_ignore_ascii_case(b"get")) =>
        {
            None
        }
        (Value::Null, [_, _, _, ..]) if named(&["set", "put"]) => {
            Some("(nil): not set, for the condition does not hold".to_owned())
        }
        (Value::Null, _) => Some("(nil): there is nothing".to_owned()),
        (Value::Integer(0), [_, key]) if named(&["del", "delete", "unlink"]) => Some(missing(key)),
        (Value::Integer(0), [_, _, ..]) if named(&["del", "delete", "unlink"]) => {
            Some("none of the keys was found".to_owned())
        }
        _ => None,
    }
}

/// Whether `args` has one of `words` at `index`.
fn has(args: &[Vec<u8>], index: usize, words: &[&str]) -> bool {
    let is = |arg: &Vec<u8>| words.iter().any(|word| arg.eq_ignore_ascii_case(word.as_bytes()));
    args.get(index).is_some_and(is)
}

/// Whether a command is answered for as long as the server lives.
fn is_stream(args: &[Vec<u8>]) -> bool {
    has(args, 0, &["subscribe", "psubscribe", "ssubscribe", "monitor"])
}

/// Why a command cannot be run here: what it starts is no reply.
fn unanswerable(args: &[Vec<u8>]) -> Option<&'static str> {
    if has(args, 0, &["sync", "psync"]) {
        return Some("a replication stream is not for people: redis-cli --replica shows it");
    }
    if has(args, 0, &["client"]) && has(args, 1, &["reply"]) && has(args, 2, &["off", "skip"]) {
        return Some("one reply is awaited per command: CLIENT REPLY must stay ON");
    }
    None
}
