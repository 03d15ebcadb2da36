//! A trace that is to be replayed: looked at as a whole, with what was wished of it.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use super::reading::detect;
use super::tally::{is_bad, is_hopeless};
use super::{
    Cut, Fit, Format, Reading, Requests, Source, Speed, Spread, Survey, left_out_names, too_bad,
};
use crate::digest::hex;
use crate::driver::Until;
use crate::number::{decimal, grouped};
use crate::schedule::Process;
use crate::target::Protocol;
use crate::workload::{COMMANDS_MAX, Command, Kind, Mix};

/// What commands are counted as that have no name of their own.
const OTHERS: &str = "others";
/// No run takes longer.
pub const LENGTH_MAX: Duration = Duration::from_hours(365 * 24);

/// A trace that has been looked at, and how it is replayed.
#[derive(Debug, Clone)]
pub struct Replay {
    pub source: Source,
    pub format: Format,
    pub speed: Speed,
    /// How operations are spread over seconds.
    pub process: Process,
    pub seed: u64,
    pub fit: Fit,
    /// What stands before each key.
    pub prefix: &'static str,
    /// No more operations than these.
    pub operations: u64,
    /// None that is due later, where times are honoured.
    pub before: Duration,
    pub survey: Arc<Survey>,
    /// Those of commands, by their numbers.
    pub names: Arc<[String]>,
    pub is_compressed: bool,
    /// Bytes as they are stored, and SHA-256 of them, of a trace that is read as a whole.
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    pub path: &'a Path,
    /// That of the first lines without.
    pub format: Option<Format>,
    pub speed: Speed,
    pub process: Option<Process>,
    pub seed: u64,
    pub protocol: Protocol,
    pub prefix: &'static str,
    pub operations: Option<u64>,
    pub duration: Option<Duration>,
    /// Of the look at it, which takes a while where it is long.
    pub progress: ProgressBar,
}

impl Replay {
    /// Looks at a trace.
    ///
    /// # Errors
    ///
    /// Says why it cannot be replayed as it is wished.
    pub fn new(wish: &Wish<'_>) -> Result<Self, String> {
        let unreadable = |error: io::Error| describe(&error);
        let source = Source::of(wish.path, &wish.progress).map_err(unreadable)?;
        let format = format_of(&source, wish.format)?;
        let fit = Fit { protocol: wish.protocol, prefix_bytes: wish.prefix.len() };
        check_process(format, wish)?;
        let (lines, checksum) = source.survey(&wish.progress).map_err(unreadable)?;
        let is_compressed = lines.is_compressed();
        let reading = Reading::new(lines, format, fit).map_err(unreadable)?;
        let reading = reading.ok_or("the first line is no header with key, op and size in it")?;
        let operations = wish.operations.unwrap_or(u64::MAX);
        let is_timed = matches!(wish.speed, Speed::Times(_));
        let before = wish.duration.filter(|_| is_timed).unwrap_or(Duration::MAX);
        let cut = Cut { operations, before: scaled(before, wish.speed) };
        let survey = Survey::of(reading, format.is_coarse(), source.is_whole(), cut);
        let survey = survey.map_err(unreadable)?;
        let replay = Self {
            process: wish.process.unwrap_or(Process::Poisson),
            speed: wish.speed,
            seed: wish.seed,
            prefix: wish.prefix,
            names: names(&survey, format, source.is_whole()),
            survey: Arc::new(survey),
            source,
            format,
            fit,
            operations,
            before,
            is_compressed,
            bytes: None,
            sha256: None,
        };
        replay.check()?;
        if replay.source.is_whole() {
            replay.source.sum_up(&checksum).map_err(unreadable)?;
        }
        let checksum = checksum.lock().unwrap_or_else(PoisonError::into_inner);
        let is_whole = replay.source.is_whole();
        let (bytes, sha256) =
            (is_whole.then_some(checksum.bytes), is_whole.then(|| checksum.hex()));
        Ok(Self { bytes, sha256, ..replay })
    }

    fn check(&self) -> Result<(), String> {
        let tally = &self.survey.tally;
        // The beginning of it ends within a line.
        let is_whole = self.source.is_whole();
        if is_hopeless(tally) || (is_whole && is_bad(tally)) {
            return Err(too_bad(tally, self.format));
        }
        if self.survey.operations() == 0 {
            let left_out: u64 = tally.left_out.values().sum();
            return Err(match (left_out, tally.lines) {
                (0, 0) => "it is empty".to_owned(),
                (0, _) => "there is no operation in it".to_owned(),
                (all, _) => format!(
                    "none of its operations can be replayed: {} left out ({})",
                    grouped(all),
                    left_out_names(tally)
                ),
            });
        }
        if !self.is_timed() {
            return Ok(());
        }
        if !self.survey.has_times {
            return Err("there is no column op_time in it: --trace-speed max replays it".to_owned());
        }
        if !self.source.is_whole() && self.format.is_coarse() {
            return Err(
                "its times are in seconds, over which operations are spread, and how many there are \
                 is not known of standard input: give a file, or --trace-speed max"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Whether operations have due times.
    pub fn is_timed(&self) -> bool {
        matches!(self.speed, Speed::Times(_))
    }

    /// How long what is replayed takes at its speed.
    pub fn length(&self) -> Duration {
        let Speed::Times(times) = self.speed else { return Duration::ZERO };
        Duration::try_from_secs_f64(self.survey.length.as_secs_f64() / times)
            .unwrap_or(Duration::MAX)
            .min(self.before)
    }

    /// How operations are spread over seconds, where they are.
    pub fn spread_process(&self) -> Option<Process> {
        (self.is_timed() && self.format.is_coarse()).then_some(self.process)
    }

    /// How many operations per second are due, on average.
    pub fn rate_ops_s(&self) -> Option<f64> {
        let Speed::Times(times) = self.speed else { return None };
        let survey = &self.survey;
        let (operations, length_s) = match survey.seconds.as_deref() {
            Some(seconds) => self.due_within(seconds),
            None => (survey.operations() as f64, survey.length.as_secs_f64()),
        };
        let is_known = self.source.is_whole() && length_s > 0.0;
        is_known.then(|| operations * times / length_s)
    }

    /// How many operations there are to replay. Not known of standard input, nor where the time ends
    /// within a second: at which times of it they are due is drawn while it runs.
    pub fn operations(&self) -> Option<u64> {
        let is_known = self.source.is_whole() && self.last_second() >= 1.0;
        is_known.then(|| self.survey.operations())
    }

    /// Of `seconds` of which the last may not be replayed to its end: how many operations that is on
    /// average, and how much of the trace's time.
    fn due_within(&self, seconds: &[(u64, u32)]) -> (f64, f64) {
        let all: u64 = seconds.iter().map(|&(_, count)| u64::from(count)).sum();
        let last = f64::from(seconds.last().map_or(1, |&(_, count)| count));
        let behind = all.saturating_sub(self.survey.operations()) as f64;
        let rest = (1.0 - self.last_second()).max(behind / last);
        (all as f64 - last * rest, self.survey.length.as_secs_f64() - rest)
    }

    /// The part of the last second that is within the time, where times are in seconds.
    fn last_second(&self) -> f64 {
        match (self.speed, &self.survey.seconds) {
            (Speed::Times(times), Some(_)) if self.before < Duration::MAX => {
                let before_s = self.before.as_secs_f64() * times;
                (before_s + 1.0 - self.survey.length.as_secs_f64()).min(1.0)
            }
            _ => 1.0,
        }
    }

    /// Whether a run that ends so may end before it does.
    pub fn is_cut_by(&self, until: Until) -> bool {
        match until {
            Until::Elapsed(_) => !self.is_timed() || !self.source.is_whole(),
            Until::Operations(_) => !self.source.is_whole(),
        }
    }

    /// Bytes per value of what is put, on average.
    pub fn value_bytes_mean(&self) -> u64 {
        self.survey.value_bytes / self.survey.puts.max(1)
    }

    /// The trace from its beginning.
    ///
    /// # Errors
    ///
    /// When it cannot be opened any more.
    pub fn reading(&self) -> io::Result<Reading> {
        let reading = Reading::new(self.source.open()?, self.format, self.fit)?;
        reading.ok_or_else(|| io::Error::other("its header is gone"))
    }

    /// When its operations are due.
    pub fn spread(&self) -> Spread {
        let times = if let Speed::Times(times) = self.speed { times } else { 1.0 };
        Spread::new(self.survey.seconds.clone(), self.process, times, self.seed)
    }

    /// Its operations as requests.
    pub fn requests(&self) -> Requests {
        Requests::new(self.fit.protocol, self.prefix, &self.names)
    }

    /// Its operations in their proportions.
    ///
    /// # Panics
    ///
    /// Never: there is an operation in it.
    pub fn mix(&self) -> Mix {
        let survey = &self.survey;
        // What comes on standard input may be of any kind.
        let least = u64::from(!self.source.is_whole());
        let fixed =
            [(Kind::Get, survey.gets), (Kind::Put, survey.puts), (Kind::Delete, survey.deletes)];
        let is_monitor = self.format == Format::Monitor;
        let fixed = fixed.into_iter().filter(|_| !is_monitor);
        let fixed = fixed.map(|(kind, count)| (kind, count.max(least)));
        let named =
            self.names.iter().map(|name| (Command::named(name), self.count(name).max(least)));
        Mix::of_counts(fixed.collect(), named.collect())
    }

    fn count(&self, name: &str) -> u64 {
        let survey = &self.survey;
        match (self.format, name) {
            (Format::Twitter, "incr") => survey.increments,
            (Format::Twitter, _) => survey.decrements,
            (_, OTHERS) => survey.commands.iter().skip(self.names.len() - 1).map(|c| c.1).sum(),
            _ => survey.commands.iter().find(|(other, _)| other == name).map_or(0, |c| c.1),
        }
    }

    /// 64 bits in hex over what is replayed, and how.
    pub fn digest(&self, streams: u64) -> String {
        let mut hash = Sha256::new();
        hash.update(self.survey.digest);
        let end = (self.operations, self.before);
        let how = (self.sha256.as_deref(), self.format, end, self.process, self.seed, streams);
        hash.update(format!("{how:?} {} {}", self.speed, self.prefix));
        hex(&hash.finalize()[..8])
    }

    /// As a run begins with it: `trace web.zst (twitter, 1,000 operations) at 2 times its speed`.
    pub fn headline(&self) -> String {
        let told = |operations| format!(", {} operations", grouped(operations));
        let count = self.operations().map(told).unwrap_or_default();
        let speed = match self.speed {
            Speed::Max => "as fast as replies come".to_owned(),
            Speed::Times(1.0) => format!("at its own speed ({})", self.spread_told()),
            Speed::Times(times) => {
                format!("at {} times its speed ({})", decimal(times, 2), self.spread_told())
            }
        };
        format!("trace {} ({}{count}) {speed}", self.source.name(), self.format.name())
    }

    /// What is known of when operations are due.
    fn spread_told(&self) -> String {
        match (self.format.is_coarse(), self.process) {
            (false, _) => "to the microsecond".to_owned(),
            (true, Process::Poisson) => "at random times within each second".to_owned(),
            (true, Process::Constant) => "evenly within each second".to_owned(),
        }
    }
}

/// What is wrong with the input, in words.
pub fn describe(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            "the compressed data ends too early: it was cut off".to_owned()
        }
        _ => error.to_string(),
    }
}

fn format_of(source: &Source, wished: Option<Format>) -> Result<Format, String> {
    if let Some(format) = wished {
        return Ok(format);
    }
    let (mut lines, _) = source.survey(&ProgressBar::hidden()).map_err(|error| describe(&error))?;
    match detect(&mut lines).map_err(|error| describe(&error))? {
        Some(format) => Ok(format),
        None if lines.is_empty() => Err("it is empty".to_owned()),
        None => Err(
            "its first lines are of no known format: twitter (timestamp,key,key size,value size,client \
             id,operation,TTL), meta (a header with key, op and size), or monitor \
             (1460100081.165665 [0 127.0.0.1:51706] \"set\" \"key\" \"value\")"
                .to_owned(),
        ),
    }
}

fn check_process(format: Format, wish: &Wish<'_>) -> Result<(), String> {
    match (wish.process, wish.speed) {
        (Some(_), Speed::Max) => {
            Err("--arrivals is for times that are honoured, and not for --trace-speed max"
                .to_owned())
        }
        (Some(_), _) if !format.is_coarse() => {
            Err("--arrivals is for traces whose times are in seconds, and these have microseconds"
                .to_owned())
        }
        _ => Ok(()),
    }
}

/// As long as `length` of the run is in the trace.
fn scaled(length: Duration, speed: Speed) -> Duration {
    match speed {
        Speed::Times(times) if length < Duration::MAX => {
            Duration::try_from_secs_f64(length.as_secs_f64() * times).unwrap_or(Duration::MAX)
        }
        _ => Duration::MAX,
    }
}

/// Those of commands, of which more than can be told apart are counted together.
fn names(survey: &Survey, format: Format, is_whole: bool) -> Arc<[String]> {
    if format == Format::Twitter {
        let known = [("incr", survey.increments), ("decr", survey.decrements)];
        let known = known.into_iter().filter(|&(_, count)| count > 0 || !is_whole);
        return known.map(|(name, _)| name.to_owned()).collect();
    }
    let mut names: Vec<_> = survey.commands.iter().map(|(name, _)| name.clone()).collect();
    if names.len() > COMMANDS_MAX || (!is_whole && format == Format::Monitor) {
        names.truncate(COMMANDS_MAX - 1);
        names.push(OTHERS.to_owned());
    }
    names.into()
}
