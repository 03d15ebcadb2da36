//! What a trace holds, as one look at all of it before the run tells.

use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::entry::{Action, Entry};
use super::reading::{Reading, Step};
use super::spread::{SECOND_NS, Seconds};
use super::tally::Tally;

/// Distinct commands that are told apart before they are counted together.
const NAMES_MAX: usize = 4096;
/// Seconds that have operations in them: three years of a busy trace.
const SECONDS_MAX: usize = 100_000_000;
/// Lines that the digest is made of.
const DIGESTED: u64 = 65_536;
/// As much of a word as it looks at.
const DIGESTED_BYTES: usize = 256;

/// Where a run ends, in the trace's own terms.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub operations: u64,
    /// After the first operation's time.
    pub before: Duration,
}

/// What is in the part of a trace that a run replays, or in what is known of it.
#[derive(Debug, Clone)]
pub struct Survey {
    pub tally: Tally,
    pub gets: u64,
    pub puts: u64,
    pub deletes: u64,
    pub increments: u64,
    pub decrements: u64,
    /// Commands by their names, the most frequent first.
    pub commands: Vec<(String, u64)>,
    pub key_bytes: u64,
    pub value_bytes: u64,
    /// From the first time to the last, of which each second is a whole one where it is all that is known.
    pub length: Duration,
    pub has_times: bool,
    /// Where times are in seconds; of the last one also what is not replayed.
    pub seconds: Option<Seconds>,
    /// Of the beginning of the operations.
    pub digest: [u8; 32],
}

/// A survey under way.
struct Surveyor {
    survey: Survey,
    names: HashMap<String, u64>,
    hash: Sha256,
    digested: u64,
    first_ns: Option<u64>,
    last_ns: u64,
    seconds: Vec<(u64, u32)>,
}

impl Survey {
    /// Reads up to `cut`, of what is all of it or but its beginning. Times are in seconds where
    /// `is_coarse`.
    ///
    /// # Errors
    ///
    /// When the trace cannot be read or decompressed.
    pub fn of(mut reading: Reading, is_coarse: bool, is_whole: bool, cut: Cut) -> io::Result<Self> {
        let mut surveyor = Surveyor::new(reading.has_times());
        let before_ns = u64::try_from(cut.before.as_nanos()).unwrap_or(u64::MAX);
        // That of what is replayed, once more is read.
        let mut tally_at_cut = None;
        let read = reading.each(|tally, step| {
            let Step::Entry(entry) = step else { return ControlFlow::Continue(()) };
            if tally_at_cut.is_some() {
                return surveyor.count_behind(entry);
            }
            let first_ns = *surveyor.first_ns.get_or_insert(entry.at_ns);
            if entry.at_ns - first_ns >= before_ns {
                return ControlFlow::Break(());
            }
            let before = tally.operations - u64::from(entry.times);
            let times = u64::from(entry.times).min(cut.operations.saturating_sub(before));
            surveyor.count(entry, times, is_coarse);
            if tally.operations < cut.operations {
                return ControlFlow::Continue(());
            }
            tally_at_cut = Some(tally.clone());
            surveyor.count_behind(Entry { times: entry.times - times as u32, ..entry })
        });
        let tally = tally_at_cut.unwrap_or_else(|| reading.tally.clone());
        // The beginning of something compressed ends where it ends.
        if let Err(error) = read
            && (is_whole || error.kind() != io::ErrorKind::UnexpectedEof)
        {
            return Err(error);
        }
        Ok(surveyor.finish(tally, is_coarse))
    }

    /// Operations, of all kinds.
    pub fn operations(&self) -> u64 {
        let commands: u64 = self.commands.iter().map(|(_, count)| count).sum();
        self.gets + self.puts + self.deletes + self.increments + self.decrements + commands
    }
}

impl Surveyor {
    fn new(has_times: bool) -> Self {
        let survey = Survey {
            tally: Tally::default(),
            gets: 0,
            puts: 0,
            deletes: 0,
            increments: 0,
            decrements: 0,
            commands: Vec::new(),
            key_bytes: 0,
            value_bytes: 0,
            length: Duration::ZERO,
            has_times,
            seconds: None,
            digest: [0; 32],
        };
        let (names, hash) = (HashMap::new(), Sha256::new());
        Self { survey, names, hash, digested: 0, first_ns: None, last_ns: 0, seconds: Vec::new() }
    }

    fn count(&mut self, entry: Entry<'_>, times: u64, is_coarse: bool) {
        let survey = &mut self.survey;
        let key = match entry.action {
            Action::Get { key } => (&mut survey.gets, key),
            Action::Put { key, value_bytes, .. } => {
                survey.value_bytes += u64::from(value_bytes) * times;
                (&mut survey.puts, key)
            }
            Action::Delete { key } => (&mut survey.deletes, key),
            Action::Increment { key } => (&mut survey.increments, key),
            Action::Decrement { key } => (&mut survey.decrements, key),
            Action::Command(words) => {
                let name = String::from_utf8_lossy(words.get(0).unwrap_or_default());
                let name = name.to_ascii_lowercase();
                if let Some(count) = self.names.get_mut(&name) {
                    *count += times;
                } else if self.names.len() < NAMES_MAX {
                    self.names.insert(name, times);
                }
                self.note(entry, times, is_coarse);
                return;
            }
        };
        *key.0 += times;
        survey.key_bytes += key.1.bytes as u64 * times;
        self.note(entry, times, is_coarse);
    }

    /// For the schedule and the digest.
    fn note(&mut self, entry: Entry<'_>, times: u64, is_coarse: bool) {
        self.last_ns = entry.at_ns;
        if is_coarse && self.seconds.len() < SECONDS_MAX {
            let at_s = entry.at_ns / SECOND_NS;
            match self.seconds.last_mut().filter(|last| last.0 == at_s) {
                Some(last) => last.1 = last.1.saturating_add(times as u32),
                None => self.seconds.push((at_s, times as u32)),
            }
        }
        if self.digested < DIGESTED {
            self.digested += 1;
            digest(&mut self.hash, entry);
        }
    }

    /// What is behind the last operation: its second goes on, and is as long as it was.
    fn count_behind(&mut self, entry: Entry<'_>) -> ControlFlow<()> {
        let at_s = entry.at_ns / SECOND_NS;
        let has_times = self.survey.has_times;
        match self.seconds.last_mut().filter(|last| has_times && last.0 == at_s) {
            Some(last) => last.1 = last.1.saturating_add(entry.times),
            None => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn finish(mut self, tally: Tally, is_coarse: bool) -> Survey {
        let mut commands: Vec<_> = self.names.into_iter().collect();
        commands.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then(a.cmp(b)));
        self.survey.commands = commands;
        let second_ns = if is_coarse && self.survey.has_times { SECOND_NS } else { 0 };
        let length_ns = self.first_ns.map_or(0, |first| self.last_ns - first + second_ns);
        self.survey.length = Duration::from_nanos(length_ns);
        self.survey.seconds = is_coarse.then(|| self.seconds.into());
        self.survey.digest = self.hash.finalize().into();
        Survey { tally, ..self.survey }
    }
}

fn digest(hash: &mut Sha256, entry: Entry<'_>) {
    let mut word = |word: &[u8]| {
        hash.update((word.len() as u64).to_le_bytes());
        hash.update(&word[..word.len().min(DIGESTED_BYTES)]);
    };
    word(&entry.at_ns.to_le_bytes());
    word(&entry.times.to_le_bytes());
    let (kind, key) = match entry.action {
        Action::Get { key } => (b"get".as_slice(), key),
        Action::Put { key, value_bytes, ttl_s } => {
            word(&value_bytes.to_le_bytes());
            word(&ttl_s.unwrap_or(0).to_le_bytes());
            (b"put".as_slice(), key)
        }
        Action::Delete { key } => (b"delete".as_slice(), key),
        Action::Increment { key } => (b"incr".as_slice(), key),
        Action::Decrement { key } => (b"decr".as_slice(), key),
        Action::Command(words) => return words.iter().for_each(word),
    };
    word(kind);
    word(key.text);
    word(&(key.bytes as u64).to_le_bytes());
}
