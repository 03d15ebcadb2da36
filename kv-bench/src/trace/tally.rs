//! What became of a trace's lines.

use std::collections::BTreeMap;

use super::Format;
use super::entry::Unlike;
use crate::number::grouped;

/// A trace of whose lines more than this are bad is another thing.
const BAD_SHARE_MAX: f64 = 0.01;
/// Bad lines that are shown.
const PROBLEMS_MAX: usize = 3;
/// Names that what is left out is counted by; the rest is counted together.
const NAMES_MAX: usize = 64;
const OTHERS: &str = "others";
/// Bad lines before which nobody gives up.
const BAD_MIN: u64 = 100;

pub(super) fn is_hopeless(tally: &Tally) -> bool {
    tally.bad >= BAD_MIN && is_bad(tally)
}

/// What became of the lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    pub lines: u64,
    /// Lines that are none of the format.
    pub bad: u64,
    /// The first of them: the line's number, and what was expected.
    pub problems: Vec<String>,
    /// Operations that are not replayed, by their names.
    pub left_out: BTreeMap<String, u64>,
    /// Lines whose time is before that of the line before.
    pub backwards: u64,
    /// Operations, repeated ones as often as they are.
    pub operations: u64,
}

impl Tally {
    pub(super) fn leave_out(&mut self, name: &str, times: u32) {
        let is_known = self.left_out.len() < NAMES_MAX || self.left_out.contains_key(name);
        let name = if is_known { name } else { OTHERS };
        match self.left_out.get_mut(name) {
            Some(count) => *count += u64::from(times),
            None => drop(self.left_out.insert(name.to_owned(), times.into())),
        }
    }

    pub(super) fn complain(&mut self, number: u64, unlike: &Unlike) {
        self.bad += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("line {number}: {}", unlike.0));
        }
    }
}

/// Whether too many lines are bad.
pub(super) fn is_bad(tally: &Tally) -> bool {
    tally.bad as f64 > tally.lines as f64 * BAD_SHARE_MAX
}

/// What is told then.
pub fn too_bad(tally: &Tally, format: Format) -> String {
    format!(
        "{} of {} lines are none of the format {}, and more than 1 % are too many: {}",
        grouped(tally.bad),
        grouped(tally.lines),
        format.name(),
        tally.problems.join("; ")
    )
}

/// `incr 3, config 1`
pub fn left_out_names(tally: &Tally) -> String {
    let named = tally.left_out.iter().map(|(name, count)| format!("{name} {}", grouped(*count)));
    named.collect::<Vec<_>>().join(", ")
}
