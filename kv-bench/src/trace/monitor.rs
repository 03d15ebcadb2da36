//! What Redis' `MONITOR` prints: `1460100081.165665 [0 127.0.0.1:51706] "set" "k" "v"`.
//!
//! Behind the time in seconds stand the database and the client: an address, `unix:` and the path of a
//! socket, or `lua` for what a script calls. The words are quoted with `\n`, `\r`, `\t`, `\a`, `\b`, `\\`,
//! `\"` and `\xHH` in them.

use super::commands;
use super::entry::{Action, Entry, Line, Unlike, Words};
use super::fields::{number, shown};

const FORM: &str = "expected 1460100081.165665 [0 127.0.0.1:51706] \"set\" \"key\" \"value\"";
/// More databases than any server has.
const DATABASES_MAX: u64 = 1_000_000;

/// What is kept from line to line.
#[derive(Debug, Clone, Default)]
pub struct Monitor {
    words: Words,
    name: String,
    /// That of the first line that is replayed and has a key: keys of another are other keys.
    database: Option<u64>,
}

impl Monitor {
    /// What a line asks for.
    ///
    /// # Errors
    ///
    /// Says what was expected.
    pub fn parse<'a>(&'a mut self, line: &[u8]) -> Result<Line<'a>, Unlike> {
        // redis-cli begins with the reply to MONITOR itself.
        if line.is_empty() || line == b"OK" || line == b"+OK" {
            return Ok(Line::Nothing);
        }
        let line = line.strip_prefix(b"+").unwrap_or(line);
        let form = || Unlike::of(FORM);
        let (time, rest) = split_at(line, b" [").ok_or_else(form)?;
        let at_ns = microseconds(time)? * 1000;
        let (database, rest) = split_at(rest, b" ").ok_or_else(form)?;
        let database = number(database, "the database", DATABASES_MAX)?;
        // The path of a socket may have anything in it.
        let (_client, rest) = split_at(rest, b"] \"").ok_or_else(form)?;
        self.read_words(rest)?;
        if self.database.is_some_and(|own| own != database) {
            self.name = format!("database {database}");
            return Ok(Line::LeftOut(&self.name));
        }
        let name = self.words.get(0).unwrap_or_default();
        self.name.clear();
        self.name.extend(name.iter().map(|byte| byte.to_ascii_lowercase() as char));
        let is_name = |c: char| c.is_ascii_alphanumeric() || "._-|".contains(c);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(is_name) {
            return Err(Unlike(format!("'{}' is no name of a command", shown(name, 20))));
        }
        let Some(keys) = commands::keys(&self.name, &self.words) else {
            return Ok(Line::LeftOut(&self.name));
        };
        if keys.places(&self.words).next().is_some() {
            self.database = Some(database);
        }
        Ok(Line::Entry(Entry { at_ns, times: 1, action: Action::Command(&self.words) }))
    }

    /// The words behind the first quote.
    fn read_words(&mut self, text: &[u8]) -> Result<(), Unlike> {
        self.words.clear();
        let mut rest = text;
        loop {
            rest = self.read_word(rest)?;
            self.words.end_word();
            match rest {
                [] => return Ok(()),
                [b' ', b'"', more @ ..] => rest = more,
                _ => return Err(Unlike::of("expected a blank and a quote behind each word")),
            }
        }
    }

    /// One word up to its closing quote; returns what is behind it.
    fn read_word<'b>(&mut self, mut rest: &'b [u8]) -> Result<&'b [u8], Unlike> {
        loop {
            let (byte, behind) = match rest {
                [b'"', behind @ ..] => return Ok(behind),
                [b'\\', b'x', high, low, behind @ ..] => {
                    let byte = hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low);
                    (byte.ok_or_else(|| Unlike::of("expected two hex digits behind \\x"))?, behind)
                }
                [b'\\', escape, behind @ ..] => {
                    let byte = match escape {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'a' => 7,
                        b'b' => 8,
                        b'\\' | b'"' => *escape,
                        _ => return Err(Unlike::of("a \\ before what needs none")),
                    };
                    (byte, behind)
                }
                [byte, behind @ ..] if *byte != b'\\' && *byte != 0 => (*byte, behind),
                [0, ..] => return Err(Unlike::of("a zero byte, which is written \\x00")),
                _ => return Err(Unlike::of("the line ends before its last quote")),
            };
            self.words.push_byte(byte);
            rest = behind;
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    (digit as char).to_digit(16).map(|digit| digit as u8)
}

/// Seconds with six places behind the point.
fn microseconds(time: &[u8]) -> Result<u64, Unlike> {
    let (seconds, micros) = split_at(time, b".").ok_or_else(|| Unlike::of(FORM))?;
    if micros.len() != 6 {
        return Err(Unlike::of("expected a time with six places behind its point"));
    }
    let seconds = number(seconds, "the time in seconds", 9_999_999_999)?;
    Ok(seconds * 1_000_000 + number(micros, "the microseconds", 999_999)?)
}

fn split_at<'a>(text: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(mark.len()).position(|window| window == mark)?;
    Some((&text[..at], &text[at + mark.len()..]))
}
