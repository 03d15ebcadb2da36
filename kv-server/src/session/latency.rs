//! `LATENCY`: how long commands take. Events, which Redis watches too, are not watched here.

use kv_core::Spec;
use kv_core::command::quoted;
use kv_core::resp::{Args, Encoder};

use super::Session;
use crate::command_stats::CommandStat;

impl Session {
    pub(super) fn latency(&mut self, args: Args<'_>, out: &mut Encoder) {
        match args.at(1).to_ascii_lowercase().as_slice() {
            b"doctor" => out.verbatim(
                "Latency events are not watched. SLOWLOG GET shows the commands that took long, \
                 LATENCY HISTOGRAM how long each takes, and a load tester what clients see.\n",
            ),
            b"histogram" => self.latency_histogram(args, out),
            b"graph" => {
                let event = quoted(args.at(2));
                self.fail(format_args!("ERR No samples available for event '{event}'"), out);
            }
            b"reset" => out.integer(0),
            _ => out.array(0),
        }
    }

    /// The latencies of all commands, or of those that are named, in the order of their names.
    fn latency_histogram(&mut self, args: Args<'_>, out: &mut Encoder) {
        // Who asks wants what came before counted, also within one pipeline.
        let counted = self.take_counted();
        self.client.counters.add(&counted);
        let stats = self.shared.clients.command_stats().commands();
        let called = stats.iter().filter(|(_, stat)| stat.calls > 0);
        let wanted: Vec<&(&str, CommandStat)> = match args.len() {
            2 => called.collect(),
            _ => args
                .from(2)
                .flat_map(|word| called.clone().filter(|(name, _)| is_of(name, word)))
                .collect(),
        };
        out.map(wanted.len());
        for (name, stat) in wanted {
            out.bulk(name.as_bytes());
            out.map(2);
            out.bulk(b"calls");
            out.integer(stat.calls as i64);
            out.bulk(b"histogram_usec");
            stat.latencies.write(out);
        }
    }
}

/// Whether a command or subcommand is the one that was typed, or one of its subcommands.
fn is_of(name: &str, typed: &[u8]) -> bool {
    let (command, subcommand) = match name.split_once('|') {
        Some((command, _)) => (command, true),
        None => (name, false),
    };
    match Spec::find(typed) {
        Some(spec) => spec.name == command,
        None => subcommand && name.as_bytes().eq_ignore_ascii_case(typed),
    }
}
