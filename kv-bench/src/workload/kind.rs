//! Kinds of operations: what a mix names, what goes over the wire for it, and what is told of it.

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
}

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Get,
    Put,
    Delete,
}

impl Kind {
    /// Every kind, in the order of [`Kind::index`].
    pub const ALL: [Self; 8] = [
        Self::Get,
        Self::Put,
        Self::Delete,
        Self::Insert,
        Self::ReadModifyWrite,
        Self::ModifyGet,
        Self::ModifyPut,
        Self::Fill,
    ];

    /// The kinds that a mix can name, each of which has its place in results.
    pub const NAMED: [Self; 5] =
        [Self::Get, Self::Put, Self::Delete, Self::Insert, Self::ReadModifyWrite];

    /// Its place in arrays that hold one element per kind.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The kind under which it stands in results: gets and puts are shown together, wherever they
    /// come from.
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
        }
    }

    /// The name in mixes and messages.
    pub const fn name(self) -> &'static str {
        match self.shown_as() {
            Self::Put => "put",
            Self::Delete => "delete",
            Self::Insert => "insert",
            Self::ReadModifyWrite => "rmw",
            _ => "get",
        }
    }

    /// The beginning of its tags in histogram logs, before `-service` and its like.
    pub const fn tag(self) -> &'static str {
        match self.shown_as() {
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Insert => "INSERT",
            Self::ReadModifyWrite => "READ-MODIFY-WRITE",
            _ => "GET",
        }
    }
}

impl Request {
    /// Its place in arrays that hold one element per request.
    pub const fn index(self) -> usize {
        self as usize
    }
}
