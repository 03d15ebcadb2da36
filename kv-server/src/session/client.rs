//! `CLIENT` and `INFO`: who is connected, and how the server does.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kv_core::command::{CommandError, quoted};
use kv_core::engine::DatabaseSize;
use kv_core::resp::request::parse_i64;
use kv_core::resp::{Args, Encoder};

use super::client_filter::Filter;
use super::{Flow, Replies, Session};
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
        match sub.as_slice() {
            b"id" => out.integer(self.client.id as i64),
            b"getname" => {
                let name = self.labels().name;
                if name.is_empty() { out.null() } else { out.bulk(name.as_bytes()) }
            }
            b"setname" => {
                if self.set_name(args.at(2), out) {
                    out.ok();
                }
            }
            b"setinfo" => self.set_info(args, out),
            b"info" => out.verbatim(&describe(&self.client, self.uptime_s())),
            b"list" => match Filter::of_list(args) {
                Ok(filter) => self.list_clients(&filter, out),
                Err(error) => self.fail(error, out),
            },
            b"kill" => return self.kill_clients(args, out),
            b"no-evict" => match is_on(args.at(2)) {
                Some(_) => out.ok(),
                None => self.fail_syntax(out),
            },
            b"no-touch" => match is_on(args.at(2)) {
                Some(on) => {
                    self.no_touch = on;
                    out.ok();
                }
                None => self.fail_syntax(out),
            },
            b"tracking" => self.track(args, out),
            b"caching" => self.fail(
                "ERR CLIENT CACHING can be called only when the client is in tracking mode with \
                 OPTIN or OPTOUT mode enabled",
                out,
            ),
            b"reply" => self.set_replies(args.at(2), out),
            b"getredir" => out.integer(-1),
            b"trackinginfo" => write_tracking(out),
            b"unblock" => self.unblock(args, out),
            b"pause" => self.pause_clients(args, out),
            _ => {
                self.shared.pause.end();
                out.ok();
            }
        }
        Flow::Continue
    }

    /// Clients keep copies only if they are told when those are out of date.
    fn track(&mut self, args: Args<'_>, out: &mut Encoder) {
        match is_on(args.at(2)) {
            Some(false) => out.ok(),
            Some(true) => self.fail(
                "ERR CLIENT TRACKING is not supported: this server sends no invalidation \
                 messages, turn client-side caching off",
                out,
            ),
            None => self.fail_syntax(out),
        }
    }

    fn list_clients(&self, filter: &Filter<'_>, out: &mut Encoder) {
        let clients = self.shared.clients.list();
        let listed = clients.iter().filter(|client| filter.matches(client, self.client.id));
        let lines: Vec<String> = listed.map(|client| describe(client, self.uptime_s())).collect();
        out.verbatim(&lines.concat());
    }

    /// Closes connections, this one after its reply.
    fn kill_clients(&mut self, args: Args<'_>, out: &mut Encoder) -> Flow {
        let by_address = args.len() == 3;
        let filter = match by_address {
            true => Filter::of_address(args.at(2)),
            false => match Filter::of_kill(args) {
                Ok(filter) => filter,
                Err(error) => {
                    self.fail(error, out);
                    return Flow::Continue;
                }
            },
        };
        let mut clients = self.shared.clients.list();
        clients.retain(|client| filter.matches(client, self.client.id));
        for client in clients.iter().filter(|client| client.id != self.client.id) {
            client.stream.shutdown(std::net::Shutdown::Both);
        }
        match (by_address, clients.len()) {
            (true, 0) => self.fail("ERR No such client", out),
            (true, _) => out.ok(),
            (false, killed) => out.integer(killed as i64),
        }
        match clients.iter().any(|client| client.id == self.client.id) {
            true => Flow::Close,
            false => Flow::Continue,
        }
    }

    /// Nobody is ever blocked, so that there is nobody to wake.
    fn unblock(&mut self, args: Args<'_>, out: &mut Encoder) {
        let reason = args.get(3).map(<[u8]>::to_ascii_lowercase);
        match (reason.as_deref(), parse_i64(args.at(2))) {
            _ if args.len() > 4 => self.fail_subcommand(args, out),
            (None | Some(b"timeout" | b"error"), Some(_)) => out.integer(0),
            (None | Some(b"timeout" | b"error"), None) => {
                self.fail(CommandError::NotAnInteger, out);
            }
            _ => self.fail("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR", out),
        }
    }

    fn pause_clients(&mut self, args: Args<'_>, out: &mut Encoder) {
        let mode = args.get(3).map(<[u8]>::to_ascii_lowercase);
        let writes_only = match mode.as_deref() {
            _ if args.len() > 4 => return self.fail_subcommand(args, out),
            None | Some(b"all") => false,
            Some(b"write") => true,
            Some(_) => return self.fail("ERR CLIENT PAUSE mode must be WRITE or ALL", out),
        };
        if let Some(ms) = self.parse_timeout_ms(args.at(2), out) {
            self.shared.pause.begin(Duration::from_millis(ms), writes_only);
            // After that: the ticker takes it back when no pause is on.
            self.shared.engine.keep_expired(true);
            out.ok();
        }
    }

    /// A time to wait; says so when it is none.
    pub(super) fn parse_timeout_ms(&mut self, word: &[u8], out: &mut Encoder) -> Option<u64> {
        match parse_i64(word) {
            Some(ms @ 0..) => return Some(ms as u64),
            Some(_) => self.fail("ERR timeout is negative", out),
            None => self.fail("ERR timeout is not an integer or out of range", out),
        }
        None
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
            let field = quoted(&field);
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
                let field = quoted(&field);
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

/// That the changes of no key are told to this client.
fn write_tracking(out: &mut Encoder) {
    out.map(3);
    out.bulk(b"flags");
    out.set(1);
    out.bulk(b"off");
    out.bulk(b"redirect");
    out.integer(-1);
    out.bulk(b"prefixes");
    out.array(0);
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
