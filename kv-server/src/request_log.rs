//! `--log-requests`: a line for each request and its result, written by a thread of its own.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use crossbeam::channel::{Receiver, Sender, bounded};
use kv_core::resp::Args;

use crate::secrets::is_secret;

/// Lines that may wait for the disk. Beyond them lines are dropped and counted: a log must not
/// slow down a reply.
const LINES_MAX: usize = 65_536;

/// Bytes of an argument or a reply that a line shows.
const SHOWN_BYTES_MAX: usize = 64;

/// Bytes of a reply that are searched for the password.
const SETTINGS_BYTES_MAX: usize = 64 * 1024;

/// The sending end of the log.
#[derive(Debug)]
pub(crate) struct RequestLog {
    messages: Sender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Line),
    /// All that came before is written when the sender is dropped.
    End(Sender<()>),
}

#[derive(Debug)]
struct Line {
    at: SystemTime,
    client: u64,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl RequestLog {
    /// Opens the log for appending and starts its writer; `-` is standard error.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if path.as_os_str() == "-" {
            Box::new(io::stderr())
        } else {
            Box::new(OpenOptions::new().create(true).append(true).open(path)?)
        };
        let (messages, received) = bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self { messages, dropped: Arc::clone(&dropped) };
        let file = path.display().to_string();
        thread::Builder::new().name("request-log".to_owned()).spawn(move || {
            if let Err(error) = write_lines(&received, &dropped, BufWriter::new(out)) {
                log::error!(
                    "request log {file}: {error}; requests are not recorded until a restart"
                );
            }
        })?;
        Ok(log)
    }

    /// Records a request and the reply it got; drops the line when the disk is behind.
    pub(crate) fn record(&self, client: u64, args: &Args<'_>, reply: &[u8]) {
        let mut request = Vec::with_capacity(SHOWN_BYTES_MAX);
        for (index, arg) in args.from(0).take(8).enumerate() {
            if index > 0 {
                request.push(b' ');
            }
            let secret = is_secret(args, index);
            request.extend_from_slice(if secret { b"(redacted)" } else { shown(arg) });
        }
        let reply = if shows_password(reply) { b"(redacted)" } else { shown(reply) };
        let line = Line { at: SystemTime::now(), client, request, reply: reply.to_vec() };
        if self.messages.try_send(Message::Line(line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything recorded so far is written.
    pub(crate) fn close(&self) {
        let (written, wait) = bounded(0);
        if self.messages.send(Message::End(written)).is_ok() {
            // Nothing is ever sent: the other end is dropped.
            let _ = wait.recv();
        }
    }
}

/// Whether the reply holds the setting that is the password, from CONFIG GET alone or in an EXEC.
fn shows_password(reply: &[u8]) -> bool {
    const SETTING: &[u8] = b"requirepass";
    // Settings are few and short: what is longer holds values.
    let start = &reply[..reply.len().min(SETTINGS_BYTES_MAX)];
    start.windows(SETTING.len()).any(|window| window == SETTING)
}

fn shown(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SHOWN_BYTES_MAX)]
}

fn write_lines(
    messages: &Receiver<Message>,
    dropped: &AtomicU64,
    mut out: impl Write,
) -> io::Result<()> {
    while let Ok(message) = messages.recv() {
        let end = match message {
            Message::Line(line) => {
                line.write(&mut out)?;
                None
            }
            Message::End(written) => Some(written),
        };
        if messages.is_empty() || end.is_some() {
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                writeln!(out, "# {lost} requests were not recorded: the disk was behind")?;
            }
            out.flush()?;
        }
        drop(end);
    }
    out.flush()
}

impl Line {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        writeln!(
            out,
            "{}.{:06} client={} \"{}\" -> \"{}\"",
            since.as_secs(),
            since.subsec_micros(),
            self.client,
            self.request.escape_ascii(),
            self.reply.trim_ascii_end().escape_ascii(),
        )
    }
}
