//! Kinds of operations: what a mix names, what goes over the wire for it, and what is told of it.

use super::command::COMMANDS_MAX;

/// A kind of operation, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Get,
    Put,
    Delete,
    /// A put of a key that no client had before.
    Insert,
    /// A get and, upon its reply, a put of the same key: one operation, which lasts from the
    /// beginning of the one to the end of the other. It goes out as its two parts.
    ReadModifyWrite,
    /// The get of a [`Kind::ReadModifyWrite`].
    ModifyGet,
    /// The put of a [`Kind::ReadModifyWrite`].
    ModifyPut,
    /// The put that a get which found nothing gives rise to, in a cache. It is an operation of its
    /// own, and none that was drawn.
    Fill,
    /// One of the user's own commands, by its number.
    Command(u8),
}

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Get,
    Put,
    Delete,
    /// One of the user's own commands, by its number.
    Command(u8),
}

impl Kind {
    /// Every kind but the user's own commands, in the order of [`Kind::index`].
    const FIXED: [Self; 8] = [
        Self::Get,
        Self::Put,
        Self::Delete,
        Self::Insert,
        Self::ReadModifyWrite,
        Self::ModifyGet,
        Self::ModifyPut,
        Self::Fill,
    ];

    /// How many there are at most.
    pub const MAX: usize = Self::FIXED.len() + COMMANDS_MAX;

    /// Every kind, with so many commands of the user's own.
    pub fn all(commands: usize) -> impl Iterator<Item = Self> {
        Self::FIXED.into_iter().chain((0..commands).map(|index| Self::Command(index as u8)))
    }

    /// Every kind that results show, with so many commands of the user's own.
    pub fn shown(commands: usize) -> impl Iterator<Item = Self> {
        Self::NAMED.into_iter().chain(Self::all(commands).skip(Self::FIXED.len()))
    }

    /// The kinds that a mix can name, each of which has its place in results.
    pub const NAMED: [Self; 5] =
        [Self::Get, Self::Put, Self::Delete, Self::Insert, Self::ReadModifyWrite];

    /// Its place in arrays that hold one element per kind.
    pub const fn index(self) -> usize {
        match self {
            Self::Get => 0,
            Self::Put => 1,
            Self::Delete => 2,
            Self::Insert => 3,
            Self::ReadModifyWrite => 4,
            Self::ModifyGet => 5,
            Self::ModifyPut => 6,
            Self::Fill => 7,
            Self::Command(index) => Self::FIXED.len() + index as usize,
        }
    }

    /// The kind under which it stands in results: gets and puts are shown together, wherever they
    /// come from.
    #[must_use]
    pub const fn shown_as(self) -> Self {
        match self {
            Self::ModifyGet => Self::Get,
            Self::ModifyPut | Self::Fill => Self::Put,
            other => other,
        }
    }

    /// Whether it is a part of an operation, which is counted as a whole.
    pub const fn is_part(self) -> bool {
        matches!(self, Self::ModifyGet | Self::ModifyPut)
    }

    /// What goes out first when it is drawn.
    #[must_use]
    pub const fn first(self) -> Self {
        match self {
            Self::ReadModifyWrite => Self::ModifyGet,
            other => other,
        }
    }

    /// What it is over the wire; of a whole, what comes first.
    #[inline]
    pub const fn request(self) -> Request {
        match self {
            Self::Get | Self::ReadModifyWrite | Self::ModifyGet => Request::Get,
            Self::Put | Self::Insert | Self::ModifyPut | Self::Fill => Request::Put,
            Self::Delete => Request::Delete,
            Self::Command(index) => Request::Command(index),
        }
    }

    /// The name in mixes and messages.
    pub const fn name(self) -> &'static str {
        match self.shown_as() {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Insert => "insert",
            Self::ReadModifyWrite => "rmw",
            Self::Command(_) => "command",
            _ => "get",
        }
    }

    /// The beginning of its tags in histogram logs, before `-service` and its like; the user's own
    /// commands have names of their own there.
    pub(super) const fn tag(self) -> &'static str {
        match self.shown_as() {
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Insert => "INSERT",
            Self::ReadModifyWrite => "READ-MODIFY-WRITE",
            Self::Command(_) => "COMMAND",
            _ => "GET",
        }
    }
}
