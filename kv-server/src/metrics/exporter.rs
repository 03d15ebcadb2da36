//! The thread that answers scrapes: few, slow-moving connections, all in one loop, none of which
//! can keep the others waiting.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{self, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::page::{CONTENT_TYPE, Page, WriteFigures};
use super::request::{Asked, REQUEST_BYTES_MAX};
use crate::shutdown::Shutdown;

/// Connections at a time; with more, the oldest is closed that is not being answered.
const VISITORS_MAX: usize = 16;

/// How long a whole exchange may take.
const EXCHANGE_TIME: Duration = Duration::from_secs(5);

/// Pause after `accept` failed for want of something, such as file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Whether who has come is to be answered.
pub type Admit = Box<dyn Fn(&TcpStream) -> bool + Send>;

/// The thread that answers.
pub type Exporter = JoinHandle<()>;

/// Answers scrapes on `listeners`, which must not block, on a thread of its own until `shutdown` is
/// raised. `name` is that of the program, `admit` turns away whom it does not serve, and `write` is
/// called once a second at most.
///
/// # Errors
/// When no thread can be started.
pub fn serve(
    name: &'static str,
    shutdown: Shutdown,
    listeners: Vec<TcpListener>,
    admit: Admit,
    write: WriteFigures,
) -> io::Result<Exporter> {
    let site = Site { name, page: Page::new(write) };
    let mut service = Service { shutdown, site, admit, listeners, visitors: Vec::new() };
    thread::Builder::new().name("metrics".to_owned()).spawn(move || service.run())
}

struct Service {
    shutdown: Shutdown,
    site: Site,
    admit: Admit,
    listeners: Vec<TcpListener>,
    /// The oldest first.
    visitors: Vec<Visitor>,
}

/// What is shown.
struct Site {
    name: &'static str,
    page: Page,
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

impl Service {
    fn run(&mut self) {
        while !self.shutdown.is_raised() {
            if let Err(errno) = self.turn() {
                log::error!("no more metrics: {errno}");
                return;
            }
        }
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self) -> Result<(), Errno> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.shutdown.fd(), PollFlags::IN)];
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
        let site = &mut self.site;
        self.visitors.retain_mut(|visitor| {
            let is_ready = ready.next().copied().unwrap_or(false);
            visitor.deadline > now && (!is_ready || visitor.advance(site))
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
        if stream.set_nonblocking(true).is_err() {
            return;
        }
        let stage = if (self.admit)(&stream) {
            Stage::Asking(Vec::new())
        } else {
            Stage::Answering(Asked::FromAfar.answer(self.site.name, CONTENT_TYPE, String::new))
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
    fn advance(&mut self, site: &mut Site) -> bool {
        match self.try_advance(site) {
            Ok(goes_on) => goes_on,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn try_advance(&mut self, site: &mut Site) -> io::Result<bool> {
        let mut chunk = [0; REQUEST_BYTES_MAX];
        match &mut self.stage {
            Stage::Asking(request) => {
                let room = REQUEST_BYTES_MAX - request.len();
                let received = self.stream.read(&mut chunk[..room])?;
                request.extend_from_slice(&chunk[..received]);
                let asked = Asked::of(request);
                if asked == Asked::More {
                    return Ok(received > 0);
                }
                self.stage = Stage::Answering(
                    asked.answer(site.name, CONTENT_TYPE, || site.page.text().to_owned()),
                );
                self.try_advance(site)
            }
            Stage::Answering(answer) => {
                while !answer.is_empty() {
                    let sent = self.stream.write(answer)?;
                    answer.drain(..sent);
                }
                self.stream.shutdown(net::Shutdown::Write)?;
                self.stage = Stage::Parting;
                Ok(true)
            }
            Stage::Parting => Ok(self.stream.read(&mut chunk)? > 0),
        }
    }
}
