//! A server that does as it is told: a real listener on loopback whose answers a test scripts.

mod dialect;

pub(crate) use dialect::Dialect;

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
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
    #[allow(dead_code, reason = "few tests turn anybody away")]
    refuses: Arc<AtomicBool>,
    /// Connections that were closed at once.
    #[allow(dead_code, reason = "few tests turn anybody away")]
    pub turned_away: Arc<AtomicUsize>,
}

impl Server {
    /// Speaks RESP until the test ends. `script` decides by the operation's number and words.
    pub(crate) fn start(
        script: impl Fn(usize, &[String]) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::speaking(Dialect::Resp, script)
    }

    /// The same in any dialect; the words are `GET key`, `SET key value` and `DEL key` in all.
    pub(crate) fn speaking(
        dialect: Dialect,
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
                std::thread::spawn(move || {
                    stream.set_nodelay(true)?;
                    dialect.converse((&stream, &stream), &*script, &number, &record)
                });
            }
        });
        Self { address, seen, refuses, turned_away }
    }

    /// Closes every connection from now on that is new.
    #[allow(dead_code, reason = "few tests turn anybody away")]
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, Ordering::SeqCst);
    }
}

/// Answers one connection, of whatever kind, in RESP until it ends.
pub(crate) fn converse(
    input: impl Read,
    out: impl Write,
    script: &Script,
    number: &AtomicUsize,
    seen: &Mutex<Vec<Vec<String>>>,
) -> io::Result<()> {
    Dialect::Resp.converse((input, out), script, number, seen)
}

impl Dialect {
    fn converse(
        self,
        (input, mut out): (impl Read, impl Write),
        script: &Script,
        number: &AtomicUsize,
        seen: &Mutex<Vec<Vec<String>>>,
    ) -> io::Result<()> {
        let mut input = BufReader::new(input);
        while let Some(words) = self.read_command(&mut input)? {
            if let Some(reply) = self.greeting(&words) {
                out.write_all(reply)?;
                continue;
            }
            seen.lock().expect("unpoisoned").push(words.clone());
            let reply = self.reply(&words);
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
}
