//! Operations of a trace as requests of the target's protocol.

use std::collections::HashMap;

use kv_core::resp::encode::push_decimal;

use super::block::{Block, Draft, Payload, Window};
use super::commands;
use super::entry::{Action, Key, Words};
use crate::target::{MEMCACHED_TTL_MAX, Protocol};
use crate::workload::Kind;

/// Makes requests.
pub struct Requests {
    protocol: Protocol,
    /// What stands before each key.
    prefix: &'static [u8],
    /// The numbers of commands by their names, and of those that have none.
    commands: HashMap<String, u8>,
    others: u8,
    /// Puts so far.
    puts: u64,
}

impl Requests {
    /// Of commands that are numbered as in `names`, the last being for those that are not among them.
    pub fn new(protocol: Protocol, prefix: &'static str, names: &[String]) -> Self {
        let numbered = names.iter().enumerate().map(|(index, name)| (name.clone(), index as u8));
        Self {
            protocol,
            prefix: prefix.as_bytes(),
            commands: numbered.collect(),
            others: names.len().saturating_sub(1) as u8,
            puts: 0,
        }
    }

    /// A number that is the same for all operations on a key: of a command's first.
    pub fn hash(action: &Action<'_>) -> u32 {
        crc32c::crc32c(match action {
            Action::Get { key }
            | Action::Put { key, .. }
            | Action::Delete { key }
            | Action::Increment { key }
            | Action::Decrement { key } => key.text,
            Action::Command(words) => words.get(first_key(words).unwrap_or(0)).unwrap_or_default(),
        })
    }

    /// Writes the request for `action` into `block`.
    pub fn push(&mut self, action: &Action<'_>, block: &mut Block, client: u32, due_ns: u64) {
        let mut draft = block.begin();
        let kind = match action {
            Action::Get { key } => {
                self.of_key(&mut draft, "GET", "mg ", *key);
                if self.protocol == Protocol::Memcached {
                    draft.bytes().extend_from_slice(b" v\r\n");
                }
                Kind::Get
            }
            Action::Delete { key } => {
                self.of_key(&mut draft, "DEL", "md ", *key);
                if self.protocol == Protocol::Memcached {
                    draft.bytes().extend_from_slice(b"\r\n");
                }
                Kind::Delete
            }
            Action::Put { key, value_bytes, ttl_s } => {
                self.puts += 1;
                let value = Payload::window(self.puts, *value_bytes);
                self.put(&mut draft, *key, (value, *value_bytes), *ttl_s);
                Kind::Put
            }
            Action::Increment { key } => {
                self.of_key(&mut draft, "INCR", "", *key);
                self.command("incr")
            }
            Action::Decrement { key } => {
                self.of_key(&mut draft, "DECR", "", *key);
                self.command("decr")
            }
            Action::Command(words) => self.words(&mut draft, words),
        };
        draft.end(kind, client, due_ns);
    }

    fn command(&self, name: &str) -> Kind {
        Kind::Command(self.commands.get(name).copied().unwrap_or(self.others))
    }

    /// A request of a name and a key; memcached's lacks its end.
    fn of_key(&self, draft: &mut Draft<'_>, name: &str, memcached: &str, key: Key<'_>) {
        if self.protocol == Protocol::Memcached {
            draft.bytes().extend_from_slice(memcached.as_bytes());
            return draft.key(self.prefix, key.text, key.bytes);
        }
        push_head(draft.bytes(), b'*', 2);
        push_word(draft.bytes(), name.as_bytes());
        self.push_key(draft, key.text, key.bytes);
    }

    fn push_key(&self, draft: &mut Draft<'_>, text: &[u8], bytes: usize) {
        push_head(draft.bytes(), b'$', self.prefix.len() + bytes.max(text.len()));
        draft.key(self.prefix, text, bytes);
        draft.bytes().extend_from_slice(b"\r\n");
    }

    fn put(
        &self,
        draft: &mut Draft<'_>,
        key: Key<'_>,
        (value, value_bytes): (Window, u32),
        ttl_s: Option<u32>,
    ) {
        if self.protocol == Protocol::Memcached {
            draft.bytes().extend_from_slice(b"ms ");
            draft.key(self.prefix, key.text, key.bytes);
            draft.bytes().push(b' ');
            push_decimal(draft.bytes(), value_bytes.into());
            if let Some(ttl_s) = ttl_s {
                draft.bytes().extend_from_slice(b" T");
                push_decimal(draft.bytes(), u64::from(ttl_s).min(MEMCACHED_TTL_MAX.as_secs()));
            }
            draft.bytes().extend_from_slice(b"\r\n");
            draft.value(value);
            return draft.bytes().extend_from_slice(b"\r\n");
        }
        push_head(draft.bytes(), b'*', if ttl_s.is_some() { 5 } else { 3 });
        push_word(draft.bytes(), b"SET");
        self.push_key(draft, key.text, key.bytes);
        push_head(draft.bytes(), b'$', value_bytes as usize);
        draft.value(value);
        draft.bytes().extend_from_slice(b"\r\n");
        if let Some(ttl_s) = ttl_s {
            push_word(draft.bytes(), b"EX");
            let mut digits = Vec::with_capacity(10);
            push_decimal(&mut digits, ttl_s.into());
            push_word(draft.bytes(), &digits);
        }
    }

    fn words(&self, draft: &mut Draft<'_>, words: &Words) -> Kind {
        let name = lower(words);
        push_head(draft.bytes(), b'*', words.len());
        let mut keys =
            commands::keys(&name, words).map(|keys| keys.places(words)).into_iter().flatten();
        // They are in their order, and the destination is in front.
        let mut key = keys.next();
        for (place, word) in words.iter().enumerate() {
            if key == Some(place) {
                self.push_key(draft, word, word.len());
                key = keys.next();
            } else {
                push_word(draft.bytes(), word);
            }
        }
        self.command(&name)
    }
}

fn lower(words: &Words) -> String {
    String::from_utf8_lossy(words.get(0).unwrap_or_default()).to_ascii_lowercase()
}

fn first_key(words: &Words) -> Option<usize> {
    commands::keys(&lower(words), words)?.places(words).next()
}

fn push_head(out: &mut Vec<u8>, mark: u8, count: usize) {
    out.push(mark);
    push_decimal(out, count as u64);
    out.extend_from_slice(b"\r\n");
}

fn push_word(out: &mut Vec<u8>, word: &[u8]) {
    push_head(out, b'$', word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}
