//! `CONFIG`: the settings, and those that may change while the server runs.

use kv_core::command::{glob_match, quoted};
use kv_core::resp::{Args, Encoder};

use super::Session;
use crate::settings::{SETTINGS, Setting};

/// The one setting that may be any bytes, and so is no row of the table.
const PASSWORD: &[u8] = b"requirepass";

impl Session {
    pub(super) fn config(&mut self, args: Args<'_>, out: &mut Encoder) {
        match args.at(1).to_ascii_lowercase().as_slice() {
            b"get" => self.config_get(args, out),
            b"set" if args.len().is_multiple_of(2) => self.config_set(args, out),
            b"resetstat" => {
                self.shared.clients.reset_totals();
                self.shared.stats.reset();
                self.shared.engine.forget_evicted_keys();
                out.ok();
            }
            b"rewrite" => self.config_rewrite(out),
            _ => self.fail_syntax(out),
        }
    }

    /// A name that was typed in full is answered as it was typed.
    fn config_get(&self, args: Args<'_>, out: &mut Encoder) {
        let mut matching: Vec<(&[u8], Vec<u8>)> = Vec::new();
        let asked = |name: &'static [u8]| {
            let pattern = args.from(2).find(|word| glob_match(&word.to_ascii_lowercase(), name))?;
            Some(if pattern.eq_ignore_ascii_case(name) { pattern } else { name })
        };
        for setting in SETTINGS {
            if let Some(name) = asked(setting.name.as_bytes()) {
                matching.push((name, (setting.get)(&self.shared).into_bytes()));
            }
        }
        if let Some(name) = asked(PASSWORD) {
            matching.push((name, self.shared.settings.password()));
        }
        out.map(matching.len());
        for (name, value) in matching {
            out.bulk(name);
            out.bulk(&value);
        }
    }

    /// Checks every pair before it changes anything.
    fn config_set(&mut self, args: Args<'_>, out: &mut Encoder) {
        let pairs: Vec<(&[u8], &[u8])> =
            args.from(2).step_by(2).zip(args.from(3).step_by(2)).collect();
        for (index, (name, value)) in pairs.iter().enumerate() {
            let twice = pairs[..index].iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
            let checked = check(name, value).and_then(|()| match twice {
                true => Err(refusal(name, "duplicate parameter")),
                false => Ok(()),
            });
            if let Err(error) = checked {
                return self.fail(error, out);
            }
        }
        for (name, value) in pairs {
            if name.eq_ignore_ascii_case(PASSWORD) {
                let password = Some(value.to_vec()).filter(|password| !password.is_empty());
                self.shared.settings.set_password(password);
            } else if let Some(setting) = find(name) {
                setting.change.apply(&self.shared, value);
            }
        }
        out.ok();
    }

    fn config_rewrite(&mut self, out: &mut Encoder) {
        match self.shared.kept.rewrite(&self.shared) {
            Ok(()) => out.ok(),
            Err(error) => self.fail(format_args!("ERR {error}"), out),
        }
    }
}

fn find(name: &[u8]) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name.as_bytes().eq_ignore_ascii_case(name))
}

/// Whether a setting can be changed to a value, in Redis' words where it can't.
fn check(name: &[u8], value: &[u8]) -> Result<(), String> {
    if name.eq_ignore_ascii_case(PASSWORD) {
        return Ok(());
    }
    let setting = find(name).ok_or_else(|| {
        let name = quoted(name);
        format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
    })?;
    setting.change.check(value).map_err(|reason| refusal(name, &reason))
}

fn refusal(name: &[u8], reason: &str) -> String {
    let name = quoted(name);
    format!("ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
}
