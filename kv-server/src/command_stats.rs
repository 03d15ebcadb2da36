//! How often each command ran, for how long and with which errors: `INFO commandstats`,
//! `errorstats` and metrics. Every connection counts for itself and hands its figures over once per batch.

use std::time::Duration;

use kv_core::Spec;
use kv_core::command::Access;

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
}

/// What the commands of a family do to the table, as far as durations are told apart.
const FAMILIES: [(Access, &str); 3] =
    [(Access::None, "neither"), (Access::Read, "read"), (Access::Write, "write")];

/// Durations up to 1 µs, 2 µs, 4 µs … 4.2 s, and longer ones.
const BUCKETS: usize = 24;

/// How long the commands of one family took, counted by powers of two of a microsecond.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Durations {
    counts: [u64; BUCKETS],
    count: u64,
    sum: Duration,
}

impl Durations {
    #[inline]
    fn note(&mut self, took: Duration) {
        let us = (took.as_nanos() as u64).div_ceil(1000).max(1);
        let bucket = (u64::BITS - (us - 1).leading_zeros()) as usize;
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.count += 1;
        self.sum += took;
    }

    fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.count += other.count;
        self.sum += other.sum;
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bucket's upper bound in seconds and what is in it and in no bucket before.
    pub(crate) fn buckets(&self) -> [(f64, u64); BUCKETS] {
        std::array::from_fn(|index| {
            let last = index == BUCKETS - 1;
            let bound_s = if last { f64::INFINITY } else { (1u64 << index) as f64 / 1e6 };
            (bound_s, self.counts[index])
        })
    }
}

/// Figures of every command that was met, and of every error.
#[derive(Debug, Default)]
pub(crate) struct CommandStats {
    families: [Durations; FAMILIES.len()],
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
        stat.failed += u64::from(failed);
        let family = FAMILIES.iter().position(|(access, _)| *access == spec.access);
        self.families[family.unwrap_or(0)].note(took);
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
            let sum = self.of(spec);
            sum.calls += stat.calls;
            sum.time += stat.time;
            sum.rejected += stat.rejected;
            sum.failed += stat.failed;
        }
        for (word, count) in &other.errors {
            self.add_error(word, *count);
        }
        for (sum, durations) in self.families.iter_mut().zip(&other.families) {
            if durations.count > 0 {
                sum.add(durations);
            }
        }
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.commands.clear();
        self.errors.clear();
        for durations in &mut self.families {
            if durations.count > 0 {
                *durations = Durations::default();
            }
        }
    }

    /// The families and how long their commands took.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&'static str, &Durations)> {
        FAMILIES.iter().map(|(_, name)| *name).zip(&self.families)
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
