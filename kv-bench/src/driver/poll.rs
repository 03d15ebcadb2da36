//! Readiness of sockets, a slow tick, and an alarm, from one epoll instance.
//!
//! Sockets are registered once, edge-triggered: an operation costs no `epoll_ctl`, and a socket
//! that was read empty is not looked at again before it has something new. The tick is a timer
//! descriptor and not a timeout of each wait, because arming a timer at every wait costs more than
//! ten ticks a second do.
//!
//! The alarm is a timer descriptor, too, with absolute times: the timeouts of `epoll_wait` are in
//! milliseconds, and those of `epoll_pwait2`, which needs Linux 5.11, are subject to the thread's
//! timer slack and count from when the wait begins. Measured beside each other, descriptor and
//! `epoll_pwait2` without slack are as punctual.
//!
//! A core that has nothing to do sleeps, and takes a while to come back: 55 µs at the median on a
//! virtual machine, a few on others. Where there are cores to spare, the last stretch before an alarm
//! is therefore spent awake, looking for events all the while. How long it is follows from how late
//! alarms have been.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::clock::now_ns;

const TICK: u64 = u64::MAX;
const ALARM: u64 = u64::MAX - 1;

/// The longest stretch that is spent awake.
const STRETCH_NS_MAX: u64 = 200_000;
/// By how much an alarm that came too late prolongs the stretch, and one in time shortens it: so nine
/// of ten come in time.
const STRETCH_UP_NS: u64 = 9_000;
const STRETCH_DOWN_NS: u64 = 1_000;

/// Events taken from the kernel at once.
const EVENTS_MAX: usize = 256;

/// What a wait brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    Tick,
    /// The time that was waited for is near.
    Alarm,
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
    alarm: OwnedFd,
    /// When the alarm is due; 0 when it is not.
    alarm_ns: u64,
    /// How long before an alarm it stays awake, if it may.
    stretch_ns: u64,
    may_stay_awake: bool,
    /// Time spent awake without a need.
    awake_ns: u64,
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
        let alarm = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Edge-triggered, it needs no reading: it is armed anew for each alarm.
        let once = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &alarm, EventData::new_u64(ALARM), once)?;
        Ok(Self {
            epoll,
            timer,
            alarm,
            alarm_ns: 0,
            stretch_ns: 0,
            may_stay_awake: false,
            awake_ns: 0,
            events: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Lets it stay awake before alarms, or not.
    pub(super) fn stay_awake(&mut self, may: bool) {
        self.may_stay_awake = may;
    }

    /// Time spent awake without a need since this was asked last.
    pub(super) fn take_awake_ns(&mut self) -> u64 {
        std::mem::take(&mut self.awake_ns)
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

    /// Waits for events, at most until `wake_ns` on the monotonic clock when that is given, and
    /// returns how many there are.
    #[inline]
    pub(super) fn wait(&mut self, wake_ns: Option<u64>) -> io::Result<usize> {
        let Some(wake_ns) = wake_ns else { return self.take(None) };
        let now_ns = now_ns();
        if wake_ns <= now_ns {
            return self.take(Some(Duration::ZERO));
        }
        let stretch_ns = if self.may_stay_awake { self.stretch_ns } else { 0 };
        if wake_ns - now_ns <= stretch_ns {
            return self.watch(wake_ns, now_ns);
        }
        self.arm(wake_ns - stretch_ns)?;
        self.take(None)
    }

    /// Looks for events without a pause until there are any, or it is `wake_ns`.
    fn watch(&mut self, wake_ns: u64, begin_ns: u64) -> io::Result<usize> {
        loop {
            let events = self.take(Some(Duration::ZERO))?;
            let now_ns = now_ns();
            if events > 0 || now_ns >= wake_ns {
                self.awake_ns += now_ns - begin_ns;
                return Ok(events);
            }
        }
    }

    fn arm(&mut self, alarm_ns: u64) -> io::Result<()> {
        if self.alarm_ns != alarm_ns {
            let at = Itimerspec {
                it_interval: timespec(Duration::ZERO),
                it_value: timespec(Duration::from_nanos(alarm_ns)),
            };
            timerfd_settime(&self.alarm, TimerfdTimerFlags::ABSTIME, &at)?;
            self.alarm_ns = alarm_ns;
        }
        Ok(())
    }

    /// Learns from how late an alarm came.
    fn alarmed(&mut self) {
        let late_ns = now_ns().saturating_sub(self.alarm_ns);
        self.stretch_ns = if late_ns > self.stretch_ns {
            (self.stretch_ns + STRETCH_UP_NS).min(STRETCH_NS_MAX)
        } else {
            self.stretch_ns.saturating_sub(STRETCH_DOWN_NS)
        };
        self.alarm_ns = 0;
    }

    #[inline]
    fn take(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
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
        if data.u64() == ALARM {
            self.alarmed();
            return Ready::Alarm;
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
