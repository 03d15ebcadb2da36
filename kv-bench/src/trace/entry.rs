//! One line of a trace, whatever its format: what was asked for, and when.

/// What a line asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// In nanoseconds of the trace's own clock; 0 where the trace has no times.
    pub at_ns: u64,
    /// How often, one after the other.
    pub times: u32,
    pub action: Action<'a>,
}

/// An operation on one key, or a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'a> {
    Get {
        key: Key<'a>,
    },
    Put {
        key: Key<'a>,
        value_bytes: u32,
        /// How long it lives; for ever without.
        ttl_s: Option<u32>,
    },
    Delete {
        key: Key<'a>,
    },
    Increment {
        key: Key<'a>,
    },
    Decrement {
        key: Key<'a>,
    },
    /// A command as it was, its name first.
    Command(&'a Words),
}

/// A key as a trace tells of it: its text, which may be short for one of more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    pub text: &'a [u8],
    /// As long as it was, if that was longer than the text.
    pub bytes: usize,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    Entry(Entry<'a>),
    /// An operation that is not replayed, by the name that it is counted by.
    LeftOut(&'a str),
    /// Nothing, such as an empty line or a header.
    Nothing,
}

/// What was expected where a line is none of its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlike(pub String);

impl Unlike {
    pub(super) fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The words of a command, in one piece of memory that is used again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Words {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn push_byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn end_word(&mut self) {
        self.ends.push(self.bytes.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Word number `index`.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let begin = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.bytes[begin..end])
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }
}
