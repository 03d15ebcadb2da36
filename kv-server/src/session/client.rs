//! `CLIENT` and `INFO`: who is connected, and how the server does.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use kv_core::engine::DatabaseSize;
use kv_core::resp::{Args, Encoder};

use super::{Flow, Replies, Session, subcommands};
use crate::clients::Client;
use crate::info;

impl Session {
    pub(super) fn info(&mut self, args: Args<'_>, sizes: &[DatabaseSize], out: &mut Encoder) {
        // Who asks wants what came before counted, also within one pipeline.
        let counted = self.take_counted();
        self.client.counters.add(&counted);
        let wanted: Vec<String> =
            args.from(1).map(|word| String::from_utf8_lossy(word).to_lowercase()).collect();
        out.verbatim(&info::text(&self.shared, sizes, &wanted));
    }

    pub(super) fn client_command(&mut self, args: Args<'_>, out: &mut Encoder) -> Flow {
        let sub = args.at(1).to_ascii_lowercase();
        match (sub.as_slice(), args.len()) {
            (b"id", 2) => out.integer(self.client.id as i64),
            (b"getname", 2) => {
                let name = self.labels().name;
                if name.is_empty() { out.null() } else { out.bulk(name.as_bytes()) }
            }
            (b"setname", 3) => {
                if self.set_name(args.at(2), out) {
                    out.ok();
                }
            }
            (b"setinfo", 4) => self.set_info(args, out),
            (b"info", 2) => out.verbatim(&describe(&self.client, self.uptime_s())),
            (b"list", 2) => {
                let lines: Vec<String> = self
                    .shared
                    .clients
                    .list()
                    .iter()
                    .map(|client| describe(client, self.uptime_s()))
                    .collect();
                out.verbatim(&lines.concat());
            }
            (b"no-evict", 3) => match is_on(args.at(2)) {
                Some(_) => out.ok(),
                None => self.fail_syntax(out),
            },
            (b"reply", 3) => self.set_replies(args.at(2), out),
            (b"help", _) => subcommands::help("CLIENT", out),
            _ => self.fail_syntax(out),
        }
        Flow::Continue
    }

    fn labels(&self) -> crate::clients::Labels {
        self.client.labels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn uptime_s(&self) -> u32 {
        self.shared.uptime_s.load(Ordering::Relaxed)
    }

    fn set_info(&mut self, args: Args<'_>, out: &mut Encoder) {
        let (field, value) = (args.at(2).to_ascii_lowercase(), args.at(3));
        if !value.iter().all(u8::is_ascii_graphic) {
            let field = String::from_utf8_lossy(&field).into_owned();
            return self.fail(
                format!("ERR {field} cannot contain spaces, newlines or special characters."),
                out,
            );
        }
        let value = String::from_utf8_lossy(value).into_owned();
        let mut labels = self.client.labels.lock().unwrap_or_else(PoisonError::into_inner);
        match field.as_slice() {
            b"lib-name" => labels.lib_name = value,
            b"lib-ver" => labels.lib_ver = value,
            _ => {
                drop(labels);
                let field = String::from_utf8_lossy(&field).into_owned();
                return self.fail(format!("ERR Unrecognized option '{field}'"), out);
            }
        }
        drop(labels);
        out.ok();
    }

    fn set_replies(&mut self, word: &[u8], out: &mut Encoder) {
        match word.to_ascii_lowercase().as_slice() {
            b"on" => {
                self.replies = Replies::On;
                out.ok();
            }
            b"off" => self.replies = Replies::Off,
            b"skip" if self.replies == Replies::Off => {}
            b"skip" => self.replies = Replies::SkipNext,
            _ => self.fail_syntax(out),
        }
    }
}

fn is_on(word: &[u8]) -> Option<bool> {
    match word.to_ascii_lowercase().as_slice() {
        b"on" => Some(true),
        b"off" => Some(false),
        _ => None,
    }
}

/// A line of `CLIENT LIST`.
fn describe(client: &Client, uptime_s: u32) -> String {
    let labels = client.labels.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let totals = client.counters.totals();
    format!(
        "id={} addr={} laddr={} name={} age={} idle={} flags=N db={} resp={} lib-name={} \
         lib-ver={} tot-cmds={} tot-net-in={} tot-net-out={} user=default\n",
        client.id,
        client.address,
        client.local_address,
        labels.name,
        client.connected_at.elapsed().as_secs(),
        uptime_s.saturating_sub(client.active_s.load(Ordering::Relaxed)),
        client.db.load(Ordering::Relaxed),
        client.protocol.load(Ordering::Relaxed),
        labels.lib_name,
        labels.lib_ver,
        totals.commands,
        totals.bytes_in,
        totals.bytes_out,
    )
}
