//! A RESP server that does as it is told: a real listener on loopback whose answers a test scripts.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with one operation.
#[allow(dead_code, reason = "no test needs every answer")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The right reply: a hit for GET, OK for SET, 1 for DEL.
    Normal,
    /// The right reply, each byte in a packet of its own.
    Split,
    /// The right reply after a pause.
    Late(Duration),
    /// These bytes instead.
    Raw(&'static [u8]),
    /// Nothing, ever; the connection stays open.
    Never,
    /// The connection is closed.
    Close,
}

pub(crate) type Script = dyn Fn(usize, &[String]) -> Answer + Send + Sync;

pub(crate) struct Server {
    pub address: SocketAddr,
    /// Every operation that came, in order of arrival; the handshake's PING is none.
    pub seen: Arc<Mutex<Vec<Vec<String>>>>,
    refuses: Arc<AtomicBool>,
    /// Connections that were closed at once.
    #[allow(dead_code, reason = "few tests turn anybody away")]
    pub turned_away: Arc<AtomicUsize>,
}

impl Server {
    /// Serves until the test ends. `script` decides by the operation's number and words.
    pub(crate) fn start(
        script: impl Fn(usize, &[String]) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (script, number): (Arc<Script>, _) = (Arc::new(script), Arc::new(AtomicUsize::new(0)));
        let (record, refuses) = (Arc::clone(&seen), Arc::new(AtomicBool::new(false)));
        let hang_up = Arc::clone(&refuses);
        let turned_away = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&turned_away);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if hang_up.load(Ordering::SeqCst) {
                    count.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let (script, number, record) = (script.clone(), number.clone(), record.clone());
                // A client that goes away in the middle is part of the tests.
                std::thread::spawn(move || serve(&stream, &*script, &number, &record));
            }
        });
        Self { address, seen, refuses, turned_away }
    }

    /// Closes every connection from now on that is new.
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }
}

fn serve(
    stream: &TcpStream,
    script: &Script,
    number: &AtomicUsize,
    seen: &Mutex<Vec<Vec<String>>>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    converse(stream, stream, script, number, seen)
}

/// Answers one connection, of whatever kind, until it ends.
pub(crate) fn converse(
    input: impl Read,
    mut out: impl Write,
    script: &Script,
    number: &AtomicUsize,
    seen: &Mutex<Vec<Vec<String>>>,
) -> io::Result<()> {
    let mut input = BufReader::new(input);
    while let Some(words) = read_command(&mut input)? {
        if words[0] == "PING" {
            out.write_all(b"+PONG\r\n")?;
            continue;
        }
        seen.lock().expect("unpoisoned").push(words.clone());
        let reply = match words[0].as_str() {
            "GET" => b"$5\r\nhello\r\n".as_slice(),
            "SET" => b"+OK\r\n",
            _ => b":1\r\n",
        };
        match script(number.fetch_add(1, Ordering::SeqCst), &words) {
            Answer::Normal => out.write_all(reply)?,
            Answer::Split => reply.iter().try_for_each(|byte| out.write_all(&[*byte]))?,
            Answer::Late(pause) => {
                std::thread::sleep(pause);
                out.write_all(reply)?;
            }
            Answer::Raw(bytes) => out.write_all(bytes)?,
            Answer::Never => {}
            Answer::Close => return Ok(()),
        }
    }
    Ok(())
}

fn read_command(input: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let count: usize = line.trim_start_matches('*').trim().parse().expect("an array");
    let mut words = Vec::new();
    for _ in 0..count {
        line.clear();
        input.read_line(&mut line)?;
        let size: usize = line.trim_start_matches('$').trim().parse().expect("a bulk string");
        let mut word = vec![0; size + 2];
        input.read_exact(&mut word)?;
        word.truncate(size);
        words.push(String::from_utf8(word).expect("text"));
    }
    Ok(Some(words))
}
