//! Commands of the user's own: words with places for the key and the value.

use std::sync::Arc;

use kv_core::resp::split_line;

use super::Kind;

/// More commands than one run tells apart.
pub const COMMANDS_MAX: usize = 16;
const WORDS_MAX: usize = 1024;
/// Of the text around a key, in one word.
pub const AFFIX_BYTES_MAX: usize = 256;

const KEY: &str = "__key__";
const DATA: &str = "__data__";

/// Commands whose replies belong to no request, or come to none any more.
const REFUSED: [&str; 9] = [
    "subscribe",
    "psubscribe",
    "ssubscribe",
    "monitor",
    "sync",
    "psync",
    "quit",
    "reset",
    "client reply",
];

/// The commands that a mix draws from.
pub type Commands = Arc<[Command]>;

/// A command, such as `SET __key__ __data__ EX 10`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// As it was typed.
    pub text: String,
    /// As results name it: that of the command, in small letters.
    pub name: String,
    pub words: Vec<Word>,
}

/// A word of a command: parts to be sent without anything between them.
pub type Word = Vec<Part>;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(Vec<u8>),
    Key,
    Value,
}

impl Command {
    /// Reads a command: words between blanks, in quotes if they hold any.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_end();
        // It would end the command, and what is behind it would be lost.
        if text.contains('\n') {
            return Err(
                "a line break: write it as \"\\n\", and each command with a --command of its \
                        own"
                .to_owned(),
            );
        }
        let words = split_line(text.as_bytes()).map_err(str::to_owned)?;
        if words.len() > WORDS_MAX {
            return Err(format!("{} words are more than {WORDS_MAX}", words.len()));
        }
        let plain: Vec<String> =
            words.iter().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase()).collect();
        let Some(name) = plain.first().filter(|name| !name.is_empty()) else {
            return Err("the command is missing (such as --command 'GET __key__')".to_owned());
        };
        let is = |refused: &&&str| {
            refused
                .split(' ')
                .enumerate()
                .all(|(at, word)| plain.get(at).is_some_and(|w| w == word))
        };
        if let Some(refused) = REFUSED.iter().find(is) {
            return Err(format!(
                "{} changes which replies come to which requests, and nothing could be measured: \
                 choose one that has one reply (such as --command 'GET __key__')",
                refused.to_ascii_uppercase()
            ));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !name.chars().all(allowed) || name.contains(KEY) || name.contains(DATA) {
            return Err(format!("'{name}' is no name of a command (such as GET __key__)"));
        }
        let words: Vec<Word> = words.iter().map(|word| parts(word)).collect();
        let affix = |word: &&Word| word.contains(&Part::Key) && text_bytes(word) > AFFIX_BYTES_MAX;
        if words.iter().any(|word| affix(&word)) {
            return Err(format!("more than {AFFIX_BYTES_MAX} bytes stand around a {KEY}"));
        }
        let command = Self { text: text.to_owned(), name: name.clone(), words };
        let places =
            |word: &Word| word.iter().filter(|part| !matches!(part, Part::Text(_))).count();
        if command.key_word().is_some_and(|word| places(word) > 1) {
            return Err(format!(
                "the first word with {KEY} chooses the server: it may have text around it, and no \
                 second {KEY} and no {DATA}"
            ));
        }
        Ok(command)
    }

    /// One of a trace, which has words of its own each time.
    pub fn named(name: &str) -> Self {
        Self { text: name.to_ascii_uppercase(), name: name.to_owned(), words: Vec::new() }
    }

    /// The word that places it on a server: the first with a key in it, which has no other place.
    pub fn key_word(&self) -> Option<&Word> {
        self.words.iter().find(|word| word.contains(&Part::Key))
    }

    /// Whether any word has a place for a value.
    pub fn has_value(&self) -> bool {
        self.words.iter().any(|word| word.contains(&Part::Value))
    }
}

fn text_bytes(word: &Word) -> usize {
    word.iter().map(|part| if let Part::Text(text) = part { text.len() } else { 0 }).sum()
}

/// The name of `kind` before `-service` and its like, in tags of histogram logs.
pub fn tag(kind: Kind, commands: &[Command]) -> String {
    match kind {
        Kind::Command(index) => commands[usize::from(index)].name.to_ascii_uppercase(),
        kind => kind.tag().to_owned(),
    }
}

/// Gives each of several commands of one name a name of its own: `get`, `get-2`.
pub(super) fn distinguish(commands: &mut [Command]) {
    for index in 1..commands.len() {
        let (before, rest) = commands.split_at_mut(index);
        let Some(command) = rest.first_mut() else { break };
        let name = command.name.clone();
        let mut number = 2;
        while before.iter().any(|other| other.name == command.name) {
            command.name = format!("{name}-{number}");
            number += 1;
        }
    }
}

/// Finds the places in a word.
fn parts(word: &[u8]) -> Word {
    let mut parts = Word::new();
    let mut text = Vec::new();
    let mut rest = word;
    while let Some(&first) = rest.first() {
        let place = [(KEY, Part::Key), (DATA, Part::Value)]
            .into_iter()
            .find_map(|(name, part)| Some((rest.strip_prefix(name.as_bytes())?, part)));
        if let Some((behind, part)) = place {
            if !text.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut text)));
            }
            parts.push(part);
            rest = behind;
        } else {
            text.push(first);
            rest = &rest[1..];
        }
    }
    if !text.is_empty() || parts.is_empty() {
        parts.push(Part::Text(text));
    }
    parts
}
