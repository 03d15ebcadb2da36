//! The two servers, and what is said to both on connections that belong together.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use kv_core::resp::reply::{Scanner, Value, decode};

use super::exceptions::{Alike, alike, alike_values, rule};
use super::grammar::{Times, Words};
use super::support::{PATIENCE, request, shown};

/// Of a longer answer only a part is shown.
const EXCERPT_BYTES: usize = 4_000;

/// A command, on which connection, and whether its answer is awaited before the next one is sent.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) connection: usize,
    pub(crate) words: Words,
    pub(crate) inline: bool,
    pub(crate) awaited: bool,
}

/// An answer of ours that is not as good as that of Redis.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Which step.
    pub(crate) step: usize,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

/// One connection to one server.
struct End {
    stream: TcpStream,
    received: Vec<u8>,
    taken: usize,
}

impl End {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        // Some commands make values of 512 MB, and long runs go at the lowest of priorities.
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(10 * PATIENCE)).expect("a socket option");
        Self { stream, received: Vec::new(), taken: 0 }
    }

    /// The bytes of the next reply; why there is none, otherwise.
    fn reply(&mut self) -> Result<Vec<u8>, String> {
        let mut scanner = Scanner::default();
        self.received.drain(..self.taken);
        self.taken = 0;
        loop {
            match scanner.scan(&self.received) {
                Ok(Some(range)) => {
                    self.taken = range.end;
                    return Ok(self.received[range].to_vec());
                }
                Ok(None) => {}
                Err(error) => return Err(format!("{error}: {}", excerpt(&self.received, 0))),
            }
            let mut chunk = vec![0; 256 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err("the connection ended".to_owned()),
                Ok(read) => self.received.extend_from_slice(&chunk[..read]),
                // Whoever suspends a long run ends its calls with a deadline when it goes on.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("no reply: {error}")),
            }
        }
    }
}

/// Connections to both servers.
pub(crate) struct Pair {
    addresses: [SocketAddr; 2],
    connections: Vec<[End; 2]>,
}

/// What is known of a connection while a script runs: the rules of the commands in its queue.
#[derive(Default)]
struct Queue(Option<VecDeque<Alike>>);

impl Pair {
    /// So many connections to `theirs` and as many to `ours`.
    pub(crate) fn new(theirs: SocketAddr, ours: SocketAddr, connections: usize) -> Self {
        let mut pair = Self { addresses: [theirs, ours], connections: Vec::new() };
        pair.connect(connections);
        pair
    }

    fn connect(&mut self, connections: usize) {
        let addresses = self.addresses;
        self.connections = (0..connections).map(|_| addresses.map(End::to)).collect();
    }

    /// Runs a script from an empty store on connections as new; the first difference, if any.
    pub(crate) fn run(&mut self, script: &[Step], times: Times) -> Option<Difference> {
        let count = self.connections.len();
        let begun = self.begin();
        let difference = match begun {
            Ok(()) => self.say(script, times),
            Err(why) => panic!("no script can begin: {why}"),
        };
        // After a difference nobody knows what else is to come on these connections.
        if difference.is_some() {
            self.connect(count);
        }
        difference
    }

    fn begin(&mut self) -> Result<(), String> {
        for (index, end) in self.connections.iter_mut().flatten().enumerate() {
            let lines: &[&str] =
                if index < 2 { &["RESET\r\n", "FLUSHALL\r\n"] } else { &["RESET\r\n"] };
            for line in lines {
                end.stream.write_all(line.as_bytes()).map_err(|error| error.to_string())?;
                end.reply()?;
            }
        }
        Ok(())
    }

    fn say(&mut self, script: &[Step], times: Times) -> Option<Difference> {
        let mut queues: Vec<Queue> = self.connections.iter().map(|_| Queue::default()).collect();
        let mut first = 0;
        while first < script.len() {
            let connection = script[first].connection;
            let len = script[first..]
                .iter()
                .take_while(|step| step.connection == connection)
                .position(|step| step.awaited);
            let others = script[first..].iter().take_while(|step| step.connection == connection);
            let len = len.map_or(others.count(), |last| last + 1);
            let batch = &script[first..first + len];
            let bytes: Vec<u8> = batch.iter().flat_map(encode).collect();
            let ends = &mut self.connections[connection];
            let sent: Vec<_> = ends.iter_mut().map(|end| end.stream.write_all(&bytes)).collect();
            for (index, step) in batch.iter().enumerate() {
                let replies = [0, 1].map(|side| match &sent[side] {
                    Ok(()) => ends[side].reply(),
                    Err(error) => Err(error.to_string()),
                });
                if !queues[connection].accepts(step, times, &replies) {
                    let [theirs, ours] = both_shown(replies);
                    return Some(Difference { step: first + index, theirs, ours });
                }
            }
            first += len;
        }
        None
    }
}

impl Queue {
    /// Whether the second reply is as good as the first. A connection that both have ended, or both
    /// leave without a reply, is a difference too: no command of the grammar asks for that.
    fn accepts(
        &mut self,
        step: &Step,
        times: Times,
        replies: &[Result<Vec<u8>, String>; 2],
    ) -> bool {
        let [Ok(theirs), Ok(ours)] = replies else { return false };
        let mine = rule(&step.words, times);
        let is = |name: &str| step.words[0].eq_ignore_ascii_case(name.as_bytes());
        if theirs.starts_with(b"+QUEUED") {
            self.0.get_or_insert_default().push_back(mine);
            return ours == theirs;
        }
        let queued = match is("exec") || is("discard") || is("reset") {
            true => self.0.take(),
            false => None,
        };
        match queued {
            Some(rules) if is("exec") => alike_each(&rules, theirs, ours),
            _ => alike(mine, theirs, ours),
        }
    }
}

/// The elements of what `EXEC` answers, each by the rule of its command.
fn alike_each(rules: &VecDeque<Alike>, theirs: &[u8], ours: &[u8]) -> bool {
    let parse = |bytes| decode(bytes).ok().flatten().map(|(value, _)| value);
    match (parse(theirs), parse(ours)) {
        _ if theirs == ours => true,
        (Some(Value::Array(theirs)), Some(Value::Array(ours))) => {
            theirs.len() == rules.len()
                && ours.len() == rules.len()
                && (theirs.iter().zip(&ours).zip(rules))
                    .all(|((theirs, ours), rule)| alike_values(*rule, theirs, ours))
        }
        _ => false,
    }
}

/// Two answers, to be read; of long ones what stands near the first difference.
fn both_shown(replies: [Result<Vec<u8>, String>; 2]) -> [String; 2] {
    let at = match &replies {
        [Ok(theirs), Ok(ours)] => theirs.iter().zip(ours).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    replies.map(|reply| reply.map_or_else(|why| why, |bytes| excerpt(&bytes, at)))
}

/// Bytes as text: all, or some thousand around `at`, as there are values of 512 MB.
fn excerpt(bytes: &[u8], at: usize) -> String {
    let start = at.saturating_sub(EXCERPT_BYTES / 2).min(bytes.len().saturating_sub(EXCERPT_BYTES));
    let end = bytes.len().min(start + EXCERPT_BYTES);
    let text = shown(&bytes[start..end]);
    if end - start == bytes.len() {
        return text;
    }
    format!("(bytes {start} to {end} of {}) {text}", bytes.len())
}

fn encode(step: &Step) -> Vec<u8> {
    if step.inline {
        let mut line = step.words.join(&b' ');
        line.extend_from_slice(b"\r\n");
        return line;
    }
    let words: Vec<&[u8]> = step.words.iter().map(Vec::as_slice).collect();
    request(&words)
}
