//! `DEBUG`: of all that Redis has, what harms nobody else.

use std::time::{Duration, Instant};

use kv_core::command::CommandError;
use kv_core::resp::{Args, Encoder};

use super::Session;

/// How soon who sleeps notices a shutdown.
const SHUTDOWN_CHECKED: Duration = Duration::from_millis(100);

/// No sleep is longer, so that its end is a time that exists.
const SECONDS_MAX: f64 = 365.0 * 24.0 * 3600.0;

const HELP: [&str; 5] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "SLEEP seconds",
    "    Lets this connection wait, and no other one. Fractions are allowed.",
    "HELP",
    "    Says what there is to ask for.",
];

impl Session {
    pub(super) fn debug(&mut self, args: Args<'_>, out: &mut Encoder) {
        match (args.at(1).to_ascii_lowercase().as_slice(), args.len()) {
            (b"help", 2) => {
                out.array(HELP.len());
                for line in HELP {
                    out.simple(line);
                }
            }
            (b"sleep", 3) if self.in_exec => {
                self.fail(
                    "ERR DEBUG SLEEP is not allowed in a transaction, which holds locks",
                    out,
                );
            }
            (b"sleep", 3) => match parse_seconds(args.at(2)) {
                Some(time) => {
                    self.sleep(time);
                    out.ok();
                }
                None => self.fail(CommandError::NotAFloat, out),
            },
            _ => self.fail_subcommand(args, out),
        }
    }

    /// Waits, but not for longer than the client does and the server serves: a connection that is
    /// gone must not keep its place.
    fn sleep(&self, time: Duration) {
        let deadline = Instant::now() + time;
        while let Some(left) = deadline.checked_duration_since(Instant::now())
            && !left.is_zero()
            && !self.shared.shutdown.is_raised()
            && self.client.stream.is_open_for(left.min(SHUTDOWN_CHECKED))
        {}
    }
}

fn parse_seconds(word: &[u8]) -> Option<Duration> {
    let seconds: f64 = std::str::from_utf8(word).ok()?.parse().ok()?;
    // A negative time is none, and so is what is no number.
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(SECONDS_MAX)))
}
