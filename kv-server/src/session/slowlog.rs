//! `SLOWLOG`: the commands that took long.

use kv_core::resp::request::parse_i64;
use kv_core::resp::{Args, Encoder};

use super::Session;

/// Entries that `GET` answers unless it is told.
const COUNT_DEFAULT: usize = 10;

impl Session {
    pub(super) fn slowlog(&mut self, args: Args<'_>, out: &mut Encoder) {
        let slowlog = &self.shared.slowlog;
        match args.at(1).to_ascii_lowercase().as_slice() {
            b"len" => out.integer(slowlog.len() as i64),
            b"reset" => {
                slowlog.reset();
                out.ok();
            }
            _ if args.len() > 3 => self.fail_subcommand(args, out),
            _ => match args.get(2).map(parse_i64) {
                None => slowlog.write(COUNT_DEFAULT, out),
                Some(Some(-1)) => slowlog.write(usize::MAX, out),
                Some(Some(count @ 0..)) => slowlog.write(count as usize, out),
                Some(_) => self.fail("ERR count should be greater than or equal to -1", out),
            },
        }
    }
}
