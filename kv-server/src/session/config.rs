//! `CONFIG`: the settings, and those that may change while the server runs.

use std::sync::atomic::Ordering;

use kv_core::command::glob_match;
use kv_core::resp::request::parse_i64;
use kv_core::resp::{Args, Encoder};

use super::Session;
use crate::capacity;

impl Session {
    pub(super) fn config(&mut self, args: Args<'_>, out: &mut Encoder) {
        match (args[1].to_ascii_lowercase().as_slice(), args.len()) {
            (b"get", 3..) => self.config_get(args, out),
            (b"set", 4..) if args.len().is_multiple_of(2) => self.config_set(args, out),
            (b"resetstat", 2) => {
                self.shared.clients.reset_totals();
                self.shared.stats.reset();
                out.ok();
            }
            _ => self.fail_syntax(out),
        }
    }

    /// A name that was typed in full is answered as it was typed.
    fn config_get(&self, args: Args<'_>, out: &mut Encoder) {
        let mut matching = Vec::new();
        for (name, value) in self.settings() {
            let pattern = args
                .from(2)
                .find(|pattern| glob_match(&pattern.to_ascii_lowercase(), name.as_bytes()));
            if let Some(pattern) = pattern {
                let typed = pattern.eq_ignore_ascii_case(name.as_bytes());
                matching.push((if typed { pattern } else { name.as_bytes() }, value));
            }
        }
        out.map(matching.len());
        for (name, value) in matching {
            out.bulk(name);
            out.bulk(&value);
        }
    }

    /// Every setting, by Redis' names. What this store does not do is off.
    fn settings(&self) -> Vec<(&'static str, Vec<u8>)> {
        let settings = &self.shared.settings;
        let limits = &settings.limits;
        let yes_no = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let texts = [
            ("appendonly", yes_no(false)),
            ("bind", settings.bind.clone()),
            (
                "client-output-buffer-limit",
                format!(
                    "normal {} {} {}",
                    limits.output_bytes_max,
                    limits.output_soft_bytes_max,
                    limits.output_soft_time.as_secs()
                ),
            ),
            ("databases", kv_core::table::DATABASES.to_string()),
            ("maxclients", settings.clients_max.load(Ordering::Relaxed).to_string()),
            ("maxmemory", "0".to_owned()),
            ("maxmemory-policy", "noeviction".to_owned()),
            ("port", self.shared.port.to_string()),
            ("proto-max-bulk-len", limits.bulk_bytes_max.to_string()),
            ("protected-mode", yes_no(settings.protected_mode.load(Ordering::Relaxed))),
            ("save", String::new()),
            (
                "slowlog-log-slower-than",
                self.shared.slowlog.slower_than_us.load(Ordering::Relaxed).to_string(),
            ),
            (
                "slowlog-max-len",
                self.shared.slowlog.entries_max.load(Ordering::Relaxed).to_string(),
            ),
            ("tcp-backlog", settings.tcp_backlog.to_string()),
            ("tcp-keepalive", settings.tcp_keepalive_s.to_string()),
            ("timeout", settings.idle_s.load(Ordering::Relaxed).to_string()),
            ("unixsocket", settings.unix_socket.clone()),
        ];
        let texts = texts.into_iter().map(|(name, text)| (name, text.into_bytes()));
        // The password alone may be any bytes.
        texts.chain([("requirepass", settings.password())]).collect()
    }

    /// Checks every pair before it changes anything.
    fn config_set(&mut self, args: Args<'_>, out: &mut Encoder) {
        let pairs: Vec<(&[u8], &[u8])> =
            args.from(2).step_by(2).zip(args.from(3).step_by(2)).collect();
        for (index, (name, value)) in pairs.iter().enumerate() {
            let twice = pairs[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            let checked = check_setting(name, value).and_then(|()| match twice {
                true => Err(refusal(name, "duplicate parameter")),
                false => Ok(()),
            });
            if let Err(error) = checked {
                return self.fail(error, out);
            }
        }
        let settings = &self.shared.settings;
        for (name, value) in pairs {
            let number = parse_i64(value).unwrap_or_default();
            match name.to_ascii_lowercase().as_slice() {
                b"maxclients" => settings.clients_max.store(number as usize, Ordering::Relaxed),
                b"timeout" => settings.idle_s.store(number as u64, Ordering::Relaxed),
                b"slowlog-log-slower-than" => {
                    self.shared.slowlog.slower_than_us.store(number, Ordering::Relaxed);
                }
                b"slowlog-max-len" => {
                    self.shared.slowlog.entries_max.store(number as usize, Ordering::Relaxed);
                }
                b"protected-mode" => {
                    let on = value.eq_ignore_ascii_case(b"yes");
                    settings.protected_mode.store(on, Ordering::Relaxed);
                }
                _ => {
                    let password = value.to_vec();
                    settings.set_password(Some(password).filter(|bytes| !bytes.is_empty()));
                }
            }
        }
        out.ok();
    }
}

/// Whether a setting can be changed to a value, in Redis' words where it can't.
fn check_setting(name: &[u8], value: &[u8]) -> Result<(), String> {
    let in_range = |range: std::ops::RangeInclusive<i64>| match parse_i64(value) {
        Some(number) if range.contains(&number) => Ok(()),
        Some(_) => {
            Err(format!("argument must be between {} and {} inclusive", range.start(), range.end()))
        }
        None => Err("argument couldn't be parsed into an integer".to_owned()),
    };
    let checked = match name.to_ascii_lowercase().as_slice() {
        b"maxclients" => in_range(1..=i64::from(u32::MAX)).and_then(|()| check_clients_max(value)),
        b"timeout" => in_range(0..=i64::from(i32::MAX)),
        b"protected-mode" => match value.to_ascii_lowercase().as_slice() {
            b"yes" | b"no" => Ok(()),
            _ => Err("argument must be 'yes' or 'no'".to_owned()),
        },
        b"slowlog-log-slower-than" => in_range(-1..=i64::MAX),
        b"slowlog-max-len" => in_range(0..=i64::MAX),
        b"requirepass" => Ok(()),
        _ => {
            return Err(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                String::from_utf8_lossy(name)
            ));
        }
    };
    checked.map_err(|reason| refusal(name, &reason))
}

fn refusal(name: &[u8], reason: &str) -> String {
    let name = String::from_utf8_lossy(name);
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}

/// Whether the system can handle so many clients.
fn check_clients_max(value: &[u8]) -> Result<(), String> {
    let clients = parse_i64(value).unwrap_or_default() as usize;
    match capacity::afford(clients).clients {
        affordable if affordable < clients => Err(format!(
            "The operating system is not able to handle the specified number of clients, try \
             with {affordable}"
        )),
        _ => Ok(()),
    }
}
