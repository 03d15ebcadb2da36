//! Readiness of sockets, and a slow tick, from one epoll instance.
//!
//! Sockets are registered once, edge-triggered: an operation costs no `epoll_ctl`, and a socket
//! that was read empty is not looked at again before it has something new. The tick is a timer
//! descriptor and not a timeout of each wait, because arming a timer at every wait costs more than
//! ten ticks a second do.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

const TICK: u64 = u64::MAX;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;

/// What a wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Tick,
    Connection {
        id: usize,
        writable: bool,
        /// The peer closed or the connection failed: read until the end of it.
        closing: bool,
    },
}

pub(super) struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// A new instance that ticks every `tick`.
    pub(super) fn new(tick: Duration) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let every = timespec(tick);
        timerfd_settime(
            &timer,
            TimerfdTimerFlags::empty(),
            &Itimerspec { it_interval: every, it_value: every },
        )?;
        epoll::add(&epoll, &timer, EventData::new_u64(TICK), EventFlags::IN)?;
        Ok(Self { epoll, timer, events: Vec::with_capacity(EVENTS_MAX) })
    }

    /// Watches a socket for input, its end, and, while `writable`, for room to write.
    pub(super) fn add(&self, socket: impl AsFd, id: usize, writable: bool) -> io::Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(id as u64), flags(writable))?;
        Ok(())
    }

    /// Changes whether room to write is watched for.
    pub(super) fn modify(&self, socket: impl AsFd, id: usize, writable: bool) -> io::Result<()> {
        epoll::modify(&self.epoll, socket, EventData::new_u64(id as u64), flags(writable))?;
        Ok(())
    }

    /// Waits for events, at most `timeout` when one is given, and returns how many there are.
    #[inline]
    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        self.events.clear();
        let timeout = timeout.map(timespec);
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(self.events.len()),
            Err(error) => Err(error.into()),
        }
    }

    /// Event number `index` of the last wait.
    #[inline]
    pub(super) fn event(&mut self, index: usize) -> Ready {
        let Event { flags, data, .. } = self.events[index];
        if data.u64() == TICK {
            let mut expirations = [0u8; 8];
            // An unread timer descriptor would not be armed again; a failed read means that it had
            // not expired, which the next wait finds out.
            let _ = rustix::io::read(&self.timer, &mut expirations);
            return Ready::Tick;
        }
        Ready::Connection {
            id: data.u64() as usize,
            writable: flags.contains(EventFlags::OUT),
            closing: flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR),
        }
    }
}

fn flags(writable: bool) -> EventFlags {
    let flags = EventFlags::IN | EventFlags::RDHUP | EventFlags::ET;
    if writable { flags | EventFlags::OUT } else { flags }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) }
}
