//! Which arguments of a command are keys and what becomes of them: the key specifications of
//! `COMMAND INFO` and the flags of `COMMAND GETKEYSANDFLAGS`. All words are Redis 7's, which a test
//! asks a real one.

use super::{Access, Call, Scope, Spec};

/// Keys at regular places, all used alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySpec {
    /// The place of the first one, counted from the command's name.
    pub first: usize,
    /// The last one: counted from `first`, or from the end when negative.
    pub last: i32,
    pub step: usize,
    /// How the command works on them (`RO`, `RW`, `OW`: overwrites, `RM`: removes), then what it does
    /// with what they hold.
    pub flags: &'static [&'static str],
    /// What the flags don't say.
    pub notes: Option<&'static str>,
}

const KEY_READ: &[&str] = &["RO", "access"];
/// Facts about a key, not its value.
const KEY_ASKED_ABOUT: &[&str] = &["RO"];
const KEY_CHANGED: &[&str] = &["RW", "access", "update"];
/// Changed without a look at what was there.
const KEY_CHANGED_UNSEEN: &[&str] = &["RW", "update"];
const KEY_REPLACED: &[&str] = &["OW", "update"];
const KEY_MADE: &[&str] = &["OW", "insert"];
const KEY_REMOVED: &[&str] = &["RM", "delete"];
const KEY_TAKEN: &[&str] = &["RW", "access", "delete"];
const KEY_VARIES: &[&str] = &["RW", "access", "update", "variable_flags"];

impl Spec {
    /// Where the keys are and what becomes of them.
    pub fn key_specs(&self) -> Vec<KeySpec> {
        let Scope::Keys { first, last, step } = self.scope else { return Vec::new() };
        let spec = |first, last, step, flags| KeySpec { first, last, step, flags, notes: None };
        match self.name {
            "copy" => vec![spec(1, 0, 1, KEY_READ), spec(2, 0, 1, KEY_REPLACED)],
            "rename" => vec![spec(1, 0, 1, KEY_TAKEN), spec(2, 0, 1, KEY_REPLACED)],
            "renamenx" => vec![spec(1, 0, 1, KEY_TAKEN), spec(2, 0, 1, KEY_MADE)],
            "bitop" => vec![spec(2, 0, 1, KEY_REPLACED), spec(3, -1, 1, KEY_READ)],
            _ => {
                let last = if last < 0 { last } else { last - first as i32 };
                vec![KeySpec {
                    notes: self.key_notes(),
                    ..spec(first, last, step, self.key_flags())
                }]
            }
        }
    }

    fn key_flags(&self) -> &'static [&'static str] {
        match self.name {
            "set" | "bitfield" => KEY_VARIES,
            "setex" | "psetex" | "mset" => KEY_REPLACED,
            "setnx" | "msetnx" => KEY_MADE,
            "append" => &["RW", "insert"],
            "setrange" | "expire" | "pexpire" | "expireat" | "pexpireat" | "persist" => {
                KEY_CHANGED_UNSEEN
            }
            "getdel" => KEY_TAKEN,
            "del" | "unlink" => KEY_REMOVED,
            "strlen" | "exists" | "touch" | "type" | "watch" => KEY_ASKED_ABOUT,
            name if name.contains('|') => KEY_ASKED_ABOUT,
            _ if self.access == Access::Write => KEY_CHANGED,
            _ => KEY_READ,
        }
    }

    fn key_notes(&self) -> Option<&'static str> {
        match self.name {
            "set" => Some("RW and ACCESS due to the optional `GET` argument"),
            "getex" => Some("RW and UPDATE because it changes the TTL"),
            "bitfield" => Some("This command allows both access and modification of the key"),
            _ => None,
        }
    }
}

impl<'a> Call<'a> {
    /// The keys among the arguments, each with what becomes of it in this very call.
    pub fn keys_and_flags(&self) -> Vec<(&'a [u8], &'static [&'static str])> {
        let mut keys = Vec::new();
        for spec in self.spec.key_specs() {
            let from_end = self.args.len() as i32 + spec.last;
            let last = if spec.last < 0 { from_end } else { spec.first as i32 + spec.last };
            let flags =
                if spec.flags == KEY_VARIES { self.varying_key_flags() } else { spec.flags };
            for index in (spec.first..=last.max(0) as usize).step_by(spec.step) {
                keys.push((self.args.at(index), flags));
            }
        }
        keys
    }

    fn varying_key_flags(&self) -> &'static [&'static str] {
        match self.spec.name {
            "bitfield" if self.only_reads_fields() => KEY_READ,
            "set" if !self.args.from(3).any(|arg| arg.eq_ignore_ascii_case(b"get")) => KEY_REPLACED,
            _ => KEY_CHANGED,
        }
    }

    /// Whether a `BITFIELD` has no steps that write; one that makes no sense might have.
    fn only_reads_fields(&self) -> bool {
        let mut words = self.args.from(2);
        while let Some(word) = words.next() {
            let operands = match word.to_ascii_lowercase().as_slice() {
                b"get" => 2,
                b"overflow" => 1,
                _ => return false,
            };
            if words.len() < operands {
                return false;
            }
            words.nth(operands - 1);
        }
        true
    }
}
