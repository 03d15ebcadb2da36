//! Which server owns a key: three ways of placing keys on *named* servers.
//!
//! | mode | a key's place | largest share at 4 servers | for whom |
//! |---|---|---|---|
//! | [`RingMode::Slots`] | CRC16 mod 16384, slots dealt evenly | 1.000 × the mean | everybody; moving to Redis Cluster keeps slots and `{tags}` |
//! | [`RingMode::Ketama`] | md5 on 160 points per server | about 1.08 ×, at worst 1.28 × | data placed by twemproxy (`distribution: ketama`, `hash: md5`) |
//! | [`RingMode::Uhashring`] | sha256, then md5 on 10 points per server | about 1.32 ×, at worst 2 × | data placed by the original Python clients |
//!
//! Names, not addresses, place keys, so a server can move to another host without moving a key.
//! A server added at the *end* of the list takes keys from the others, and no key moves between
//! those. Ketama has one exception, inherited from twemproxy: see [`ketama`].
//!
//! The ring has no memory and no fault handling: a server that is down keeps its keys.

pub mod ketama;
pub mod slots;
pub mod uhashring;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use ketama::Ketama;
use slots::{Slots, by_weight};
use uhashring::Uhashring;

pub use slots::key_slot;

/// Most servers in one ring: the size to which Redis Cluster is specified.
pub const SERVERS_MAX: usize = 1000;
/// Longest server name in bytes: a domain name's limit.
pub const NAME_BYTES_MAX: usize = 255;

/// How keys are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RingMode {
    /// Redis Cluster's 16384 hash slots, dealt evenly.
    #[default]
    Slots,
    /// twemproxy's `distribution: ketama` with `hash: md5`.
    Ketama,
    /// The original Python system's ring.
    Uhashring,
}

impl RingMode {
    /// Every mode, in the order help texts list them.
    pub const ALL: [RingMode; 3] = [RingMode::Slots, RingMode::Ketama, RingMode::Uhashring];

    /// The name used on command lines and in results.
    pub fn name(self) -> &'static str {
        match self {
            RingMode::Slots => "slots",
            RingMode::Ketama => "ketama",
            RingMode::Uhashring => "uhashring",
        }
    }
}

impl fmt::Display for RingMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for RingMode {
    type Err = RingError;

    fn from_str(text: &str) -> Result<Self, RingError> {
        let mode = Self::ALL.into_iter().find(|mode| mode.name().eq_ignore_ascii_case(text));
        mode.ok_or_else(|| RingError::UnknownMode(text.to_owned()))
    }
}

/// A list of servers that makes no ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Not the name of a [`RingMode`].
    #[error("unknown ring '{0}': use slots, ketama or uhashring")]
    UnknownMode(String),
    /// No servers.
    #[error("a ring needs at least one server")]
    Empty,
    /// More than [`SERVERS_MAX`] servers.
    #[error("{0} servers are too many for a ring: at most {SERVERS_MAX}")]
    TooMany(usize),
    /// Two servers of one name would own the same keys.
    #[error("server '{0}' is listed twice: give each its own name, as in name=host:port")]
    Duplicate(String),
    /// An empty name or one longer than [`NAME_BYTES_MAX`].
    #[error("server name '{0}' must have 1 to {NAME_BYTES_MAX} bytes")]
    NameLength(String),
}

/// The placement of keys on a list of named servers. Immutable; build another to change the list.
#[derive(Debug, Clone)]
pub struct Ring {
    names: Vec<String>,
    placement: Placement,
}

#[derive(Debug, Clone)]
enum Placement {
    Slots(Slots),
    Ketama(Ketama),
    Uhashring(Uhashring),
}

impl Ring {
    /// Builds the ring of these servers. The order of names matters to `slots` (append new servers
    /// at the end); to the other modes it does not.
    ///
    /// # Errors
    /// No names, more than [`SERVERS_MAX`], a name twice, empty or longer than [`NAME_BYTES_MAX`].
    pub fn new(mode: RingMode, names: &[impl AsRef<str>]) -> Result<Self, RingError> {
        let names: Vec<String> = names.iter().map(|name| name.as_ref().to_owned()).collect();
        check(&names)?;
        let placement = match mode {
            RingMode::Slots => {
                Placement::Slots(Slots::deal(names[1..].iter().map(|name| by_weight(name))))
            }
            RingMode::Ketama => Placement::Ketama(Ketama::new(&names)),
            RingMode::Uhashring => Placement::Uhashring(Uhashring::new(&names)),
        };
        Ok(Self { names, placement })
    }

    /// For each of these servers, in their order, the ring without it: as [`new`](Self::new) makes it of
    /// the other names, without ranking every slot for each of them each time.
    ///
    /// # Errors
    /// As [`new`](Self::new), which also wants one server to be left.
    pub fn without_each(mode: RingMode, names: &[impl AsRef<str>]) -> Result<Vec<Self>, RingError> {
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        let left = |index: usize| [&names[..index], &names[index + 1..]].concat();
        if mode != RingMode::Slots {
            return (0..names.len()).map(|index| Self::new(mode, &left(index))).collect();
        }
        check(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>())?;
        let favourites: Vec<Vec<u16>> = names.iter().map(|name| by_weight(name)).collect();
        let without = |index: usize| {
            let names: Vec<String> = left(index).into_iter().map(str::to_owned).collect();
            check(&names)?;
            let others = favourites.iter().enumerate().filter(|&(other, _)| other != index);
            let slots = Slots::deal(others.skip(1).map(|(_, favourites)| favourites));
            Ok(Self { names, placement: Placement::Slots(slots) })
        };
        (0..names.len()).map(without).collect()
    }

    /// The index, in [`names`](Self::names), of the server that owns `key`. Never allocates.
    #[inline]
    pub fn owner(&self, key: &[u8]) -> usize {
        match &self.placement {
            Placement::Slots(slots) => slots.owner(key),
            Placement::Ketama(ketama) => ketama.owner(key),
            Placement::Uhashring(uhashring) => uhashring.owner(key),
        }
    }

    /// The servers, in the order given.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// How keys are placed.
    pub fn mode(&self) -> RingMode {
        match self.placement {
            Placement::Slots(_) => RingMode::Slots,
            Placement::Ketama(_) => RingMode::Ketama,
            Placement::Uhashring(_) => RingMode::Uhashring,
        }
    }

    /// The part of the whole key space that each server owns, in the order of names; their sum is 1.
    pub fn shares(&self) -> Vec<f64> {
        let servers = self.names.len();
        match &self.placement {
            Placement::Slots(slots) => slots.shares(servers),
            Placement::Ketama(ketama) => ketama.shares(servers),
            Placement::Uhashring(uhashring) => uhashring.shares(servers),
        }
    }
}

fn check(names: &[String]) -> Result<(), RingError> {
    match names.len() {
        0 => return Err(RingError::Empty),
        1..=SERVERS_MAX => {}
        many => return Err(RingError::TooMany(many)),
    }
    let mut seen = HashSet::new();
    for name in names {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(RingError::NameLength(name.clone()));
        }
        if !seen.insert(name) {
            return Err(RingError::Duplicate(name.clone()));
        }
    }
    Ok(())
}
