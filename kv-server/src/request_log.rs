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

/// Lines that may wait for the disk. Beyond them lines are dropped and counted: a log must not
/// slow down a reply.
const LINES_MAX: usize = 65_536;

/// Bytes of an argument or a reply that a line shows.
const SHOWN_BYTES_MAX: usize = 64;

/// The sending end of the log.
#[derive(Debug)]
pub(crate) struct RequestLog {
    lines: Sender<Line>,
    dropped: Arc<AtomicU64>,
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
        let (lines, received) = bounded(LINES_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let log = Self { lines, dropped: Arc::clone(&dropped) };
        thread::Builder::new().name("request-log".to_owned()).spawn(move || {
            if let Err(error) = write_lines(&received, &dropped, BufWriter::new(out)) {
                log::error!("request log: {error}; requests are no longer recorded");
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
            // What authenticates is not for a file.
            let secret = index > 0 && args[0].eq_ignore_ascii_case(b"auth");
            request.extend_from_slice(if secret { b"(redacted)" } else { shown(arg) });
        }
        let line = Line { at: SystemTime::now(), client, request, reply: shown(reply).to_vec() };
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn shown(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SHOWN_BYTES_MAX)]
}

fn write_lines(lines: &Receiver<Line>, dropped: &AtomicU64, mut out: impl Write) -> io::Result<()> {
    while let Ok(line) = lines.recv() {
        let since = line.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        writeln!(
            out,
            "{}.{:06} client={} \"{}\" -> \"{}\"",
            since.as_secs(),
            since.subsec_micros(),
            line.client,
            line.request.escape_ascii(),
            line.reply.trim_ascii_end().escape_ascii(),
        )?;
        if lines.is_empty() {
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                writeln!(out, "# {lost} requests were not recorded: the disk was behind")?;
            }
            out.flush()?;
        }
    }
    out.flush()
}
