//! How often each command ran, for how long and with which errors: `INFO commandstats`,
//! `errorstats` and metrics. Every connection counts for itself and hands its figures over once per batch.

use std::time::Duration;

use kv_core::Spec;
use kv_core::command::Access;

use crate::latency_histogram::LatencyHistogram;

/// Different errors that are told apart; text that a client makes up must not fill memory.
const ERRORS_MAX: usize = 128;

/// What became of one command.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CommandStat {
    pub(crate) calls: u64,
    pub(crate) time: Duration,
    /// Refused before it ran.
    pub(crate) rejected: u64,
    /// Answered with an error.
    pub(crate) failed: u64,
    pub(crate) latencies: LatencyHistogram,
}

impl CommandStat {
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.time += other.time;
        self.rejected += other.rejected;
        self.failed += other.failed;
        self.latencies.add(&other.latencies);
    }
}

/// What the commands of a family do to the table.
const FAMILIES: [(Access, &str); 3] =
    [(Access::None, "neither"), (Access::Read, "read"), (Access::Write, "write")];

/// Figures of every command that was met, and of every error.
#[derive(Debug, Default)]
pub(crate) struct CommandStats {
    commands: Vec<(&'static Spec, CommandStat)>,
    /// The first words of errors, such as `ERR`.
    errors: Vec<(Box<[u8]>, u64)>,
}

impl CommandStats {
    pub(crate) fn is_empty(&self) -> bool {
        self.commands.is_empty() && self.errors.is_empty()
    }

    /// The figures of a command. Connections use few different ones, the one before most often.
    #[inline]
    pub(crate) fn of(&mut self, spec: &'static Spec) -> &mut CommandStat {
        let known = self.commands.iter().rposition(|(known, _)| std::ptr::eq(*known, spec));
        let index = known.unwrap_or_else(|| {
            self.commands.push((spec, CommandStat::default()));
            self.commands.len() - 1
        });
        &mut self.commands[index].1
    }

    /// Counts a run of a command.
    #[inline]
    pub(crate) fn ran(&mut self, spec: &'static Spec, took: Duration, failed: bool) {
        let stat = self.of(spec);
        stat.calls += 1;
        stat.time += took;
        stat.latencies.count(took);
        stat.failed += u64::from(failed);
    }

    /// Counts an error reply.
    #[cold]
    pub(crate) fn count_error(&mut self, reply: &[u8]) {
        let text = reply.strip_prefix(b"-").unwrap_or(reply);
        let word = text.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        self.add_error(word, 1);
    }

    fn add_error(&mut self, word: &[u8], count: u64) {
        match self.errors.iter().position(|(known, _)| **known == *word) {
            Some(index) => self.errors[index].1 += count,
            None if self.errors.len() < ERRORS_MAX => self.errors.push((Box::from(word), count)),
            None => {}
        }
    }

    /// Adds what `other` has counted.
    pub(crate) fn add(&mut self, other: &Self) {
        for (spec, stat) in &other.commands {
            self.of(spec).add(stat);
        }
        for (word, count) in &other.errors {
            self.add_error(word, *count);
        }
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.commands.clear();
        self.errors.clear();
    }

    /// The families of commands and what became of each, taken together.
    pub(crate) fn families(&self) -> [(&'static str, CommandStat); FAMILIES.len()] {
        FAMILIES.map(|(access, name)| {
            let mut sum = CommandStat::default();
            for (_, stat) in self.commands.iter().filter(|(spec, _)| spec.access == access) {
                sum.add(stat);
            }
            (name, sum)
        })
    }

    /// The commands by name.
    pub(crate) fn commands(&self) -> Vec<(&'static str, CommandStat)> {
        let mut commands: Vec<_> =
            self.commands.iter().map(|(spec, stat)| (spec.name, *stat)).collect();
        commands.sort_unstable_by_key(|(name, _)| *name);
        commands
    }

    /// The errors by their first word.
    pub(crate) fn errors(&self) -> Vec<(String, u64)> {
        let shown =
            |(word, count): &(Box<[u8]>, u64)| (String::from_utf8_lossy(word).into_owned(), *count);
        let mut errors: Vec<_> = self.errors.iter().map(shown).collect();
        errors.sort_unstable();
        errors
    }
}
