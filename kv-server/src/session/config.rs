//! `CONFIG`: the settings, and those that may change while the server runs.

use std::sync::atomic::Ordering;

use kv_core::command::{CommandError, glob_match};
use kv_core::resp::request::parse_i64;
use kv_core::resp::{Args, Encoder};

use super::Session;

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
            (sub @ (b"get" | b"set" | b"resetstat"), _) => {
                let name = format!("config|{}", String::from_utf8_lossy(sub));
                self.fail(CommandError::wrong_arity(name.as_bytes()), out);
            }
            _ => self.fail_subcommand(args, "CONFIG", out),
        }
    }

    fn config_get(&self, args: Args<'_>, out: &mut Encoder) {
        let matching: Vec<(&str, String)> = self
            .settings()
            .into_iter()
            .filter(|(name, _)| {
                args.from(2)
                    .any(|pattern| glob_match(&pattern.to_ascii_lowercase(), name.as_bytes()))
            })
            .collect();
        out.map(matching.len());
        for (name, value) in matching {
            out.bulk(name.as_bytes());
            out.bulk(value.as_bytes());
        }
    }

    /// Every setting, by Redis' names. What this store does not do is off.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let settings = &self.shared.settings;
        let limits = &settings.limits;
        let yes_no = |on: bool| if on { "yes" } else { "no" }.to_owned();
        vec![
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
            ("requirepass", settings.password()),
            ("save", String::new()),
            ("tcp-backlog", settings.tcp_backlog.to_string()),
            ("tcp-keepalive", settings.tcp_keepalive_s.to_string()),
            ("timeout", settings.idle_s.load(Ordering::Relaxed).to_string()),
            ("unixsocket", settings.unix_socket.clone()),
        ]
    }

    /// Checks every pair before it changes anything.
    fn config_set(&mut self, args: Args<'_>, out: &mut Encoder) {
        let pairs: Vec<(&[u8], &[u8])> =
            args.from(2).step_by(2).zip(args.from(3).step_by(2)).collect();
        for (name, value) in &pairs {
            if let Err(error) = check_setting(name, value) {
                return self.fail(error, out);
            }
        }
        let settings = &self.shared.settings;
        for (name, value) in pairs {
            let number = parse_i64(value).unwrap_or_default();
            match name.to_ascii_lowercase().as_slice() {
                b"maxclients" => settings.clients_max.store(number as usize, Ordering::Relaxed),
                b"timeout" => settings.idle_s.store(number as u64, Ordering::Relaxed),
                b"protected-mode" => {
                    let on = value.eq_ignore_ascii_case(b"yes");
                    settings.protected_mode.store(on, Ordering::Relaxed);
                }
                _ => {
                    let password = String::from_utf8_lossy(value).into_owned();
                    settings.set_password(Some(password).filter(|text| !text.is_empty()));
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
        b"maxclients" => in_range(1..=i64::from(u32::MAX)),
        b"timeout" => in_range(0..=i64::from(i32::MAX)),
        b"protected-mode" => match value.to_ascii_lowercase().as_slice() {
            b"yes" | b"no" => Ok(()),
            _ => Err("argument must be 'yes' or 'no'".to_owned()),
        },
        b"requirepass" => Ok(()),
        _ => {
            return Err(format!(
                "ERR Unknown option or number of arguments for CONFIG SET - '{}'",
                String::from_utf8_lossy(name)
            ));
        }
    };
    checked.map_err(|reason| {
        let name = String::from_utf8_lossy(name);
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
    })
}
