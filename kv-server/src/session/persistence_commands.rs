//! Commands on what is kept: `SAVE`, `BGSAVE`, `BGREWRITEAOF`, `WAITAOF`.

use std::time::{Duration, Instant};

use kv_core::command::CommandError;
use kv_core::resp::request::parse_i64;
use kv_core::resp::{Args, Encoder};

use super::Session;
use crate::persistence::Persistence;

impl Session {
    pub(super) fn save(&mut self, out: &mut Encoder) {
        match self.shared.persistence.save(&self.shared.engine) {
            Ok(_) => out.ok(),
            Err(refusal) => self.fail(format_args!("ERR {refusal}"), out),
        }
    }

    pub(super) fn bg_save(&mut self, args: Args<'_>, out: &mut Encoder) {
        let scheduled = args.get(1).is_some_and(|word| word.eq_ignore_ascii_case(b"schedule"));
        if args.len() > 2 || (args.len() == 2 && !scheduled) {
            return self.fail_syntax(out);
        }
        self.save_in_background("Background saving started", out);
    }

    pub(super) fn save_in_background(&mut self, answer: &str, out: &mut Encoder) {
        match Persistence::save_in_background(&self.shared) {
            Ok(()) => out.simple(answer),
            Err(refusal) => self.fail(format_args!("ERR {refusal}"), out),
        }
    }

    /// There are no replicas; what can be waited for is that this connection's writes are durable
    /// here.
    pub(super) fn wait_aof(&mut self, args: Args<'_>, out: &mut Encoder) {
        let numbers = [1, 2, 3].map(|index| parse_i64(args.at(index)));
        let [Some(local), Some(replicas), Some(timeout_ms)] = numbers else {
            return match numbers[2] {
                None if numbers[0].is_some() && numbers[1].is_some() => {
                    self.fail("ERR timeout is not an integer or out of range", out);
                }
                _ => self.fail(CommandError::NotAnInteger, out),
            };
        };
        if !(0..=1).contains(&local) || replicas < 0 {
            return self.fail("ERR value is out of range, must be positive", out);
        }
        if timeout_ms < 0 {
            return self.fail("ERR timeout is negative", out);
        }
        let Some(log) = self.shared.engine.log() else {
            return match local {
                0 => write_counts(false, out),
                _ => self.fail(
                    "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
                    out,
                ),
            };
        };
        // No time is no limit, as in Redis; nor is one that the clock will not reach.
        let patience = (timeout_ms > 0).then(|| Duration::from_millis(timeout_ms as u64));
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        let durable = match local {
            1 if !self.in_exec => match deadline {
                None => log.wait_durable(self.last_write).is_ok(),
                Some(deadline) => {
                    log.wait_durable_until(self.last_write, deadline).unwrap_or(false)
                }
            },
            // Nobody waits under the locks of a transaction.
            _ => log.durable() >= self.last_write,
        };
        write_counts(durable, out);
    }
}

fn write_counts(durable: bool, out: &mut Encoder) {
    out.array(2);
    out.integer(durable.into());
    out.integer(0);
}
