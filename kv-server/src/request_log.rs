//! `--log-requests`: a line for each request and its result, written by a thread of its own.

use std::io::{self, Write};
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::SystemTime;

use crossbeam::channel::{Receiver, Sender, bounded};
use kv_core::resp::Args;

use crate::log_file::{LogFile, LogFiles, Readers};
use crate::secrets::is_secret;

/// Lines that may wait for the disk. Beyond them lines are dropped and counted: a log must not
/// slow down a reply.
const LINES_MAX: usize = 65_536;

/// Bytes of an argument or a reply that a line shows.
const SHOWN_BYTES_MAX: usize = 64;

/// Bytes of lines that are written at once.
const LINES_BYTES_MAX: usize = 64 * 1024;

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
    /// Opens the log for appending and starts its writer; `-` is standard error, and a file becomes
    /// one of `files`.
    pub(crate) fn open(path: &Path, files: &LogFiles) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = if path.as_os_str() == "-" {
            Box::new(io::stderr())
        } else {
            let file = LogFile::open(path, Readers::Owner)?;
            files.add(file.clone());
            Box::new(file)
        };
        let (messages, received) = bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self { messages, dropped: Arc::clone(&dropped) };
        let mut writer = Writer::new(path.display().to_string(), out, dropped);
        let write = move || writer.run(&received);
        thread::Builder::new().name("request-log".to_owned()).spawn(write)?;
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

/// The receiving end.
struct Writer {
    name: String,
    out: Box<dyn Write + Send>,
    dropped: Arc<AtomicU64>,
    /// Whole lines that are still to be written, and how many.
    lines: Vec<u8>,
    count: u64,
    /// Lines that could not be written, since that began.
    lost: u64,
    /// Why not; `None` when all is well.
    failure: Option<String>,
    /// What was written last may be half a line.
    is_torn: bool,
}

impl Writer {
    fn new(name: String, out: Box<dyn Write + Send>, dropped: Arc<AtomicU64>) -> Self {
        let lines = Vec::with_capacity(LINES_BYTES_MAX);
        Self { name, out, dropped, lines, count: 0, lost: 0, failure: None, is_torn: false }
    }

    fn run(&mut self, messages: &Receiver<Message>) {
        while let Ok(message) = messages.recv() {
            let end = match message {
                Message::Line(line) => {
                    line.append_to(&mut self.lines);
                    self.count += 1;
                    None
                }
                Message::End(written) => Some(written),
            };
            let is_much = self.lines.len() >= LINES_BYTES_MAX;
            if is_much || messages.is_empty() || end.is_some() {
                self.write();
            }
            drop(end);
        }
    }

    /// Writes what there is, behind a word on what is missing before it. What cannot be written is
    /// missing too: a disk may stay full for long, and memory is for something else.
    fn write(&mut self) {
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if self.count + dropped == 0 {
            return;
        }
        let missing = dropped + self.lost;
        let mut text = Vec::new();
        if self.is_torn {
            text.push(b'\n');
        }
        if missing > 0 {
            let why = self.failure.as_deref().unwrap_or("the disk was behind");
            text.extend_from_slice(
                format!("# {missing} requests were not recorded: {why}\n").as_bytes(),
            );
        }
        text.append(&mut self.lines);
        let count = mem::take(&mut self.count);
        match write_all(&mut *self.out, &text) {
            Ok(()) => {
                if self.failure.take().is_some() {
                    log::info!("request log {}: requests are recorded again", self.name);
                }
                (self.lost, self.is_torn) = (0, false);
            }
            Err((written, cause)) => {
                self.is_torn |= written > 0;
                self.lost = missing + count;
                if self.failure.replace(cause.to_string()).is_none() {
                    log::error!(
                        "request log {}: {cause}; requests are not recorded until it can be \
                         written again",
                        self.name
                    );
                }
            }
        }
    }
}

/// The error comes with how many bytes were written before it.
fn write_all(out: &mut dyn Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match out.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    out.flush().map_err(|error| (written, error))
}

impl Line {
    fn append_to(&self, lines: &mut Vec<u8>) {
        let since = self.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let line = format_args!(
            "{}.{:06} client={} \"{}\" -> \"{}\"",
            since.as_secs(),
            since.subsec_micros(),
            self.client,
            self.request.escape_ascii(),
            self.reply.trim_ascii_end().escape_ascii(),
        );
        // To memory, which cannot fail.
        let _ = writeln!(lines, "{line}");
    }
}
