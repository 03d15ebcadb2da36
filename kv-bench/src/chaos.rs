//! Faults on spawned servers: what is done to which of them, and when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::units;

/// What is done to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// SIGKILL: what it had not made durable is gone.
    Kill,
    /// Start it again on the same port, with what it finds of its data.
    Restart,
    /// SIGSTOP, and SIGCONT after this long.
    Pause(Duration),
}

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    pub action: Action,
    /// As in its name: `server_1` is 1.
    pub server: u32,
    /// Since the beginning of the measurement.
    pub at: Duration,
}

/// Faults in the order of their times, each possible after those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chaos {
    faults: Vec<Fault>,
}

/// Why faults make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChaosError {
    #[error("'{0}' is no fault (such as kill:2@10s, restart:2@13s, pause:1@5s+500ms)")]
    Form(String),
    #[error("'{fault}': {problem}")]
    Time { fault: String, problem: String },
    #[error("'{0}': a pause needs its length (such as {0}+500ms)")]
    PauseWithoutLength(String),
    #[error("'{0}': a pause of no time is none")]
    NoLength(String),
    #[error("'{0}': only a pause has a length")]
    Length(String),
    #[error("'{fault}': there is no server {server}, they are 1 to {servers}")]
    NoServer { fault: Fault, server: u32, servers: u32 },
    #[error("'{0}': it has been killed by then (restart:{server}@… comes first)", server = .0.server)]
    Dead(Fault),
    #[error("'{0}': it runs then (kill:{server}@… comes first)", server = .0.server)]
    Alive(Fault),
    #[error("'{0}': it is paused then, until {1:?}")]
    Paused(Fault, Duration),
    #[error(
        "'{0}': the measurement is over after {1:?}: do it earlier, or give a longer --duration"
    )]
    TooLate(Fault, Duration),
    #[error(
        "'{0}': a run of a number of operations would wait for it in vain: give --duration, or \
         restart:{server}@… later", server = .0.server
    )]
    NeverBack(Fault),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, server, at } = self;
        let name = action.name();
        write!(f, "{name}:{server}@{at:?}")?;
        match action {
            Action::Pause(length) => write!(f, "+{length:?}"),
            _ => Ok(()),
        }
    }
}

impl Action {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Pause(_) => "pause",
        }
    }
}

impl FromStr for Fault {
    type Err = ChaosError;

    fn from_str(text: &str) -> Result<Self, ChaosError> {
        let form = || ChaosError::Form(text.to_owned());
        let (what, when) = text.split_once('@').ok_or_else(form)?;
        let (name, server) = what.split_once(':').ok_or_else(form)?;
        let server = server.trim().parse().map_err(|_| form())?;
        let time = |word: &str| {
            units::duration(word)
                .map_err(|problem| ChaosError::Time { fault: text.to_owned(), problem })
        };
        let (at, length) = match when.split_once('+') {
            Some((at, length)) => (time(at)?, Some(time(length)?)),
            None => (time(when)?, None),
        };
        let action = match (name.trim(), length) {
            ("kill", None) => Action::Kill,
            ("restart", None) => Action::Restart,
            ("pause", Some(Duration::ZERO)) => return Err(ChaosError::NoLength(text.to_owned())),
            ("pause", Some(length)) => Action::Pause(length),
            ("pause", None) => return Err(ChaosError::PauseWithoutLength(text.to_owned())),
            ("kill" | "restart", Some(_)) => return Err(ChaosError::Length(text.to_owned())),
            _ => return Err(form()),
        };
        Ok(Self { action, server, at })
    }
}

impl FromStr for Chaos {
    type Err = ChaosError;

    /// Reads faults with commas between them, in any order.
    fn from_str(text: &str) -> Result<Self, ChaosError> {
        let words = text.split(',').map(str::trim);
        let mut faults = words.map(str::parse).collect::<Result<Vec<Fault>, _>>()?;
        faults.sort_by_key(|fault| fault.at);
        Ok(Self { faults })
    }
}

impl fmt::Display for Chaos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        f.write_str(&words.join(","))
    }
}

/// What a server is in between.
#[derive(Clone, Copy)]
enum State {
    Running { since: Duration },
    Killed { by: Fault },
}

impl Chaos {
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Checks that each fault can be done to one of `servers` servers, within `length` if the
    /// measurement has one.
    ///
    /// # Errors
    ///
    /// Names the fault that cannot, and what is needed before it.
    pub fn check(&self, servers: u32, length: Option<Duration>) -> Result<(), ChaosError> {
        let mut states = vec![State::Running { since: Duration::ZERO }; servers as usize];
        for &fault in &self.faults {
            let Fault { action, server, at } = fault;
            let index = (server as usize).wrapping_sub(1);
            let Some(state) = states.get_mut(index) else {
                return Err(ChaosError::NoServer { fault, server, servers });
            };
            if let Some(length) = length.filter(|&length| at >= length) {
                return Err(ChaosError::TooLate(fault, length));
            }
            *state = match (*state, action) {
                (State::Running { since }, _) if at < since => {
                    return Err(ChaosError::Paused(fault, since));
                }
                (State::Running { .. }, Action::Pause(pause)) => {
                    State::Running { since: at.saturating_add(pause) }
                }
                (State::Running { .. }, Action::Kill) => State::Killed { by: fault },
                (State::Running { .. }, Action::Restart) => return Err(ChaosError::Alive(fault)),
                (State::Killed { .. }, Action::Restart) => State::Running { since: at },
                (State::Killed { .. }, _) => return Err(ChaosError::Dead(fault)),
            };
        }
        match states.into_iter().find_map(State::killed_by) {
            Some(fault) if length.is_none() => Err(ChaosError::NeverBack(fault)),
            _ => Ok(()),
        }
    }
}

impl State {
    fn killed_by(self) -> Option<Fault> {
        match self {
            Self::Killed { by } => Some(by),
            Self::Running { .. } => None,
        }
    }
}
