//! The thread that answers scrapes: few, slow-moving connections, all in one loop, none of which
//! can keep the others waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::figures::{CONTENT_TYPE, Figures};
use super::request::{Asked, REQUEST_BYTES_MAX};
use crate::shared::Shared;
use crate::stream::is_local;

/// Connections at a time; with more, the oldest is closed that is not being answered.
const VISITORS_MAX: usize = 16;

/// How long a whole exchange may take.
const EXCHANGE_TIME: Duration = Duration::from_secs(5);

/// Pause after `accept` failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Starts to answer on sockets that do not block; ends with the server.
pub(crate) fn start(
    shared: &Arc<Shared>,
    listeners: Vec<TcpListener>,
) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let figures = Figures::new(Arc::clone(&shared));
    let mut exporter = Exporter { shared, figures, listeners, visitors: Vec::new() };
    thread::Builder::new().name("metrics".to_owned()).spawn(move || exporter.run())
}

struct Exporter {
    shared: Arc<Shared>,
    figures: Figures,
    listeners: Vec<TcpListener>,
    /// The oldest first.
    visitors: Vec<Visitor>,
}

struct Visitor {
    stream: TcpStream,
    deadline: Instant,
    stage: Stage,
}

enum Stage {
    /// What has arrived of the request.
    Asking(Vec<u8>),
    /// The rest of the answer.
    Answering(Vec<u8>),
    /// Answered; closing before the other end does could destroy the answer on its way.
    Parting,
}

impl Exporter {
    fn run(&mut self) {
        while !self.shared.shutdown.is_raised() {
            if let Err(errno) = self.turn() {
                log::error!("no more metrics: {errno}");
                return;
            }
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) -> Result<(), Errno> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.shared.shutdown.fd(), PollFlags::IN)];
        fds.extend(self.listeners.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        fds.extend(self.visitors.iter().map(|visitor| {
            let answering = matches!(visitor.stage, Stage::Answering(_));
            let wanted = if answering { PollFlags::OUT } else { PollFlags::IN };
            PollFd::new(&visitor.stream, wanted)
        }));
        let next = self.visitors.iter().map(|visitor| visitor.deadline).min();
        let timeout = next
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
            .and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (listeners, visitors) = ready[1..].split_at(self.listeners.len());
        let now = Instant::now();
        let mut ready = visitors.iter();
        let figures = &mut self.figures;
        self.visitors.retain_mut(|visitor| {
            let is_ready = ready.next().copied().unwrap_or(false);
            visitor.deadline > now && (!is_ready || visitor.advance(figures))
        });
        for (index, _) in listeners.iter().enumerate().filter(|(_, ready)| **ready) {
            self.accept(index);
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) {
        let stream = match self.listeners[listener].accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::ConnectionAborted) {
                    // Without a free descriptor, the same would be tried again at once.
                    thread::sleep(ACCEPT_PAUSE);
                }
                return;
            }
        };
        let settings = &self.shared.settings;
        let open = settings.has_password() || !settings.protected_mode.load(Ordering::Relaxed);
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let stage = if open || is_local(&stream) {
            Stage::Asking(Vec::new())
        } else {
            Stage::Answering(Asked::FromAfar.answer(CONTENT_TYPE, String::new))
        };
        if self.visitors.len() == VISITORS_MAX {
            let is_idle = |visitor: &Visitor| !matches!(visitor.stage, Stage::Answering(_));
            self.visitors.remove(self.visitors.iter().position(is_idle).unwrap_or(0));
        }
        let deadline = Instant::now() + EXCHANGE_TIME;
        self.visitors.push(Visitor { stream, deadline, stage });
    }
}

impl Visitor {
    /// Goes on as far as the socket allows; answers whether there is anything left to do.
    fn advance(&mut self, figures: &mut Figures) -> bool {
        match self.try_advance(figures) {
            Ok(goes_on) => goes_on,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn try_advance(&mut self, figures: &mut Figures) -> io::Result<bool> {
        let mut chunk = [0; REQUEST_BYTES_MAX];
        match &mut self.stage {
            Stage::Asking(request) => {
                let room = REQUEST_BYTES_MAX - request.len();
                let size = self.stream.read(&mut chunk[..room])?;
                request.extend_from_slice(&chunk[..size]);
                let asked = Asked::of(request);
                if asked == Asked::More {
                    return Ok(size > 0);
                }
                self.stage =
                    Stage::Answering(asked.answer(CONTENT_TYPE, || figures.page().to_owned()));
                self.try_advance(figures)
            }
            Stage::Answering(answer) => {
                while !answer.is_empty() {
                    let sent = self.stream.write(answer)?;
                    answer.drain(..sent);
                }
                self.stream.shutdown(Shutdown::Write)?;
                self.stage = Stage::Parting;
                Ok(true)
            }
            Stage::Parting => Ok(self.stream.read(&mut chunk)? > 0),
        }
    }
}
