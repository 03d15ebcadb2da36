//! Commands: one row of one table says everything about each.
//!
//! Parsing, locking, `COMMAND`, help and the tests all derive from [`COMMANDS`]. A command that
//! touches keys runs within a [`Transaction`] and is a function here; a
//! command of the connection (`AUTH`, `MULTI`, `INFO` …) is only named here and run by the server.

mod bitfield;
mod bits;
mod counter;
mod error;
mod expiry;
mod glob;
mod key_specs;
mod keyspace;
mod lcs;
mod long_double;
mod object;
mod scan;
mod string;
mod subcommands;
mod table;
mod tips;

use std::hash::{BuildHasher, Hasher};
use std::sync::LazyLock;

use hashbrown::HashTable;

use crate::engine::Transaction;
use crate::resp::{Args, Encoder};

pub use error::{CommandError, quoted};
pub use glob::glob_match;
pub use key_specs::KeySpec;
pub use keyspace::parse_db;
pub use table::COMMANDS;

/// What a data command comes to: its reply is written, or this error is the reply.
type Outcome = Result<(), CommandError>;

/// Longest name in the table; anything longer is unknown without a look.
const NAME_BYTES_MAX: usize = 16;

/// All there is to know of a command.
#[derive(Debug)]
pub struct Spec {
    /// In lower case; that of a subcommand is `command|subcommand`.
    pub name: &'static str,
    /// Other spellings of the same command.
    pub aliases: &'static [&'static str],
    /// Number of arguments with the name; negative: at least so many.
    pub arity: i32,
    pub access: Access,
    pub scope: Scope,
    /// Redis' flags besides `write` and `readonly`, as `COMMAND` shows them.
    pub flags: &'static [&'static str],
    /// Redis' group, such as `string`.
    pub group: &'static str,
    /// The arguments, for people.
    pub usage: &'static str,
    /// One sentence.
    pub summary: &'static str,
    pub run: Run,
    /// A command that has any does nothing without one of them, but for `COMMAND`.
    pub subcommands: &'static [Spec],
}

/// What a command does to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    None,
    Read,
    Write,
}

/// Which part of the table a command touches, and so which shards are locked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// No key.
    None,
    /// The arguments `first, first + step, …` up to `last`, which counts from the end when negative.
    Keys { first: usize, last: i32, step: usize },
    /// Every key, at one moment.
    Keyspace,
    /// Every key, one shard at a time.
    Walk,
}

/// Who runs a command.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    Data(fn(&mut Transaction<'_>, &Call<'_>, &mut Encoder) -> Result<(), CommandError>),
    Connection(ConnectionCommand),
    /// One of its subcommands.
    Subcommand,
}

/// The commands that the server runs on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionCommand {
    Auth,
    BgRewriteAof,
    BgSave,
    Client,
    Command,
    Config,
    Debug,
    Discard,
    Echo,
    Exec,
    Function,
    Hello,
    Help,
    Info,
    LastSave,
    Latency,
    Memory,
    Monitor,
    Multi,
    Ping,
    Quit,
    Reset,
    Save,
    Role,
    Select,
    Shutdown,
    Slowlog,
    Time,
    Unwatch,
    Wait,
    WaitAof,
    Watch,
}

/// A command with its arguments, ready to run.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    pub spec: &'static Spec,
    pub args: Args<'a>,
    /// The database that it runs in.
    pub db: u8,
}

impl<'a> Call<'a> {
    /// The keys among the arguments.
    pub fn keys(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (first, last, step) = match self.spec.scope {
            Scope::Keys { first, last, step } => (first, self.index(last), step),
            _ => (1, 0, 1),
        };
        let args = self.args;
        (first..=last).step_by(step).map(move |index| args.at(index))
    }

    /// The key among the arguments, where it is the only one.
    #[inline]
    pub(crate) fn only_key(&self) -> Option<&'a [u8]> {
        let Scope::Keys { first, last, step } = self.spec.scope else { return None };
        (self.index(last) < first + step).then(|| self.args.at(first))
    }

    /// Counts a negative index from the end.
    #[inline]
    fn index(&self, index: i32) -> usize {
        (if index < 0 { self.args.len() as i32 + index } else { index }) as usize
    }
}

impl Spec {
    /// Whether `len` arguments, the name included, are a right number.
    #[inline]
    pub fn accepts(&self, len: usize) -> bool {
        let wanted = self.arity.unsigned_abs() as usize;
        if self.arity < 0 { len >= wanted } else { len == wanted }
    }

    /// The spec of what `args` ask of this command: its own, or that of a subcommand.
    ///
    /// # Errors
    /// When there is no such subcommand, or the number of arguments is wrong.
    #[inline]
    pub fn narrow(&'static self, args: &Args<'_>) -> Result<&'static Self, CommandError> {
        if !self.subcommands.is_empty()
            && let Some(word) = args.get(1)
        {
            let subcommand = self.subcommand(word);
            let subcommand = subcommand.ok_or_else(|| CommandError::unknown_subcommand(args))?;
            return match subcommand.accepts(args.len()) {
                true => Ok(subcommand),
                false => Err(CommandError::wrong_arity(subcommand.name.as_bytes())),
            };
        }
        match self.accepts(args.len()) {
            true => Ok(self),
            false => Err(CommandError::wrong_arity(args.at(0))),
        }
    }

    /// The subcommand of this name, in any case.
    pub fn subcommand(&self, word: &[u8]) -> Option<&'static Self> {
        self.subcommands.iter().find(|spec| {
            let name = spec.name.split_once('|').map_or(spec.name, |(_, name)| name);
            name.as_bytes().eq_ignore_ascii_case(word)
        })
    }

    /// The spec of a command by its name or an alias, in any case.
    pub fn find(name: &[u8]) -> Option<&'static Self> {
        let mut buffer = [0u8; NAME_BYTES_MAX];
        let lower = buffer.get_mut(..name.len())?;
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        let (_, spec) =
            NAMES.table.find(NAMES.hash(lower), |(known, _)| known.as_bytes() == lower)?;
        Some(spec)
    }
}

static NAMES: LazyLock<Names> = LazyLock::new(Names::new);

/// Every name and alias.
struct Names {
    table: HashTable<(&'static str, &'static Spec)>,
    hash_state: foldhash::fast::RandomState,
}

impl Names {
    fn new() -> Self {
        let mut names =
            Self { table: HashTable::new(), hash_state: foldhash::fast::RandomState::default() };
        for spec in COMMANDS {
            for &name in std::iter::once(&spec.name).chain(spec.aliases) {
                debug_assert!(name.len() <= NAME_BYTES_MAX);
                let hash = names.hash(name.as_bytes());
                let hash_state = &names.hash_state;
                names.table.insert_unique(hash, (name, spec), |(name, _)| {
                    hash_with(hash_state, name.as_bytes())
                });
            }
        }
        names
    }

    fn hash(&self, name: &[u8]) -> u64 {
        hash_with(&self.hash_state, name)
    }
}

fn hash_with(hash_state: &foldhash::fast::RandomState, bytes: &[u8]) -> u64 {
    let mut hasher = hash_state.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}
