//! Lines of a trace as operations in their order, with account of those that are none.

use std::io;
use std::ops::ControlFlow;

use super::Format;
use super::entry::{Action, Entry, Key, Line, Unlike};
use super::input::Lines;
use super::meta::Columns;
use super::monitor::Monitor;
use super::tally::{Tally, is_hopeless};
use super::twitter;
use crate::target::Protocol;

/// The longest key that memcached takes.
const MEMCACHED_KEY_BYTES_MAX: usize = 250;

/// What the target can be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Fit {
    pub protocol: Protocol,
    /// Bytes that stand before each key.
    pub prefix_bytes: usize,
}

impl Fit {
    /// The name by which `action` is left out; `None` when the target takes it.
    fn lack(self, action: Action<'_>) -> Option<&'static str> {
        if self.protocol != Protocol::Memcached {
            return None;
        }
        match action {
            Action::Increment { .. } => Some("incr"),
            Action::Decrement { .. } => Some("decr"),
            Action::Get { key } | Action::Put { key, .. } | Action::Delete { key } => {
                (!self.takes(key)).then_some("keys that memcached does not take")
            }
            Action::Command(_) => Some("commands"),
        }
    }

    fn takes(self, key: Key<'_>) -> bool {
        let is_short = self.prefix_bytes + key.bytes <= MEMCACHED_KEY_BYTES_MAX;
        is_short && !key.text.iter().any(|byte| byte.is_ascii_control() || *byte == b' ')
    }
}

enum Parser {
    Twitter,
    Meta(Columns),
    Monitor(Box<Monitor>),
}

impl Parser {
    fn parse<'a>(&'a mut self, line: &'a [u8]) -> Result<Line<'a>, Unlike> {
        match self {
            Self::Twitter => twitter::parse(line),
            Self::Meta(columns) => columns.parse(line),
            Self::Monitor(monitor) => monitor.parse(line),
        }
    }
}

/// The format that lines are of, by the first of them that is of any; `None` when none is.
pub(super) fn detect(lines: &mut Lines) -> io::Result<Option<Format>> {
    const LINES_LOOKED_AT: usize = 100;
    let mut monitor = Monitor::default();
    let is_it =
        |line: Result<Line<'_>, Unlike>| matches!(line, Ok(Line::Entry(_) | Line::LeftOut(_)));
    for _ in 0..LINES_LOOKED_AT {
        let Some((_, line)) = lines.next()? else { break };
        let Some(line) = line else { continue };
        if Columns::read(line).is_some() {
            return Ok(Some(Format::Meta));
        }
        if is_it(monitor.parse(line)) {
            return Ok(Some(Format::Monitor));
        }
        if is_it(twitter::parse(line)) {
            return Ok(Some(Format::Twitter));
        }
    }
    Ok(None)
}

/// What reading a trace comes to next.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    Entry(Entry<'a>),
    /// What is read next may not be there yet.
    Wait,
}

/// A trace that is read.
pub struct Reading {
    lines: Lines,
    parser: Parser,
    fit: Fit,
    last_ns: u64,
    pub tally: Tally,
}

impl Reading {
    /// Of `lines`, which have not been read yet, in `format`. `None` when a header is missing.
    ///
    /// # Errors
    ///
    /// When the header cannot be read.
    pub fn new(mut lines: Lines, format: Format, fit: Fit) -> io::Result<Option<Self>> {
        let mut tally = Tally::default();
        let parser = match format {
            Format::Twitter => Parser::Twitter,
            Format::Monitor => Parser::Monitor(Box::default()),
            Format::Meta => {
                tally.lines += 1;
                let header = lines.next()?.and_then(|(_, line)| Columns::read(line?));
                let Some(columns) = header else { return Ok(None) };
                Parser::Meta(columns)
            }
        };
        Ok(Some(Self { lines, parser, fit, last_ns: 0, tally }))
    }

    /// Whether its lines tell when they were.
    pub fn has_times(&self) -> bool {
        !matches!(&self.parser, Parser::Meta(columns) if !columns.has_times())
    }

    /// Gives `take` one step after the other until there is none any more, or it wants no more. Times
    /// never go backwards: what the trace has later is no earlier than what it has before.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read, or decompressed.
    pub fn each(
        &mut self,
        mut take: impl FnMut(&Tally, Step<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let Self { lines, parser, fit, last_ns, tally } = self;
        loop {
            if lines.may_wait() && take(tally, Step::Wait).is_break() {
                break;
            }
            let Some((number, line)) = lines.next()? else { break };
            tally.lines += 1;
            let parsed = line.map_or_else(
                || Err(Unlike::of("a line of more than 16 MiB")),
                |line| parser.parse(line),
            );
            let entry = match parsed {
                Ok(Line::Entry(entry)) => entry,
                Ok(Line::LeftOut(name)) => {
                    tally.leave_out(name, 1);
                    continue;
                }
                Ok(Line::Nothing) => continue,
                Err(unlike) => {
                    tally.complain(number, &unlike);
                    if is_hopeless(tally) {
                        break;
                    }
                    continue;
                }
            };
            if let Some(name) = fit.lack(entry.action) {
                tally.leave_out(name, entry.times);
                continue;
            }
            tally.backwards += u64::from(entry.at_ns < *last_ns);
            *last_ns = entry.at_ns.max(*last_ns);
            tally.operations += u64::from(entry.times);
            let step = Step::Entry(Entry { at_ns: *last_ns, ..entry });
            if take(tally, step).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Whether it was given up for its bad lines.
    pub fn is_hopeless(&self) -> bool {
        is_hopeless(&self.tally)
    }
}
