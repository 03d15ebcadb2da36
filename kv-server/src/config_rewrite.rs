//! `CONFIG REWRITE`: what `CONFIG SET` has changed, in the file that the server was started with.
//! Everything else in it, comments and order included, stays as its author left it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use clap::{Args as _, Command};
use thiserror::Error;

use crate::args::Args;
use crate::config_file::{self, ConfigFileError};
use crate::settings::{Change, SETTINGS};
use crate::shared::Shared;

/// Where lines are added.
const HEADER: &str = "# Written by CONFIG REWRITE:";

/// Why a file was left as it is.
#[derive(Debug, Error)]
pub(crate) enum RewriteError {
    #[error("The server is running without a config file")]
    NoFile,
    #[error("no thread to rewrite it: {0}")]
    NoThread(io::Error),
    #[error(
        "a file holds text, and requirepass is none: all else is written, and that stays as the \
         file has it"
    )]
    NotText,
    #[error("cannot rewrite {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the file would be refused at the next start: {0}")]
    Refused(#[from] ConfigFileError),
}

/// The values that the file, the command line and the environment gave, or that were last written.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Vec<(&'static str, String)>>);

impl Kept {
    /// Takes what the settings are now for what is kept.
    pub(crate) fn note(&self, shared: &Shared) {
        let now = current(shared).0;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    /// Writes what has changed since into the configuration file, on a thread of its own: parsing
    /// flags takes more stack than a connection has.
    pub(crate) fn rewrite(&self, shared: &Shared) -> Result<(), RewriteError> {
        thread::scope(|scope| {
            let writer = thread::Builder::new().name("rewrite".to_owned());
            let writer = writer.spawn_scoped(scope, || self.write(shared));
            let writer = writer.map_err(RewriteError::NoThread)?;
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn write(&self, shared: &Shared) -> Result<(), RewriteError> {
        let path = shared.settings.config_file.as_deref().ok_or(RewriteError::NoFile)?;
        let failed = |source| RewriteError::Write { path: path.to_owned(), source };
        // Two clients at once must not write over each other.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, password_is_text) = current(shared);
        let changed: Vec<_> = now.iter().filter(|setting| !kept.contains(setting)).collect();
        let old = fs::read_to_string(path).map_err(failed)?;
        let text = rewritten(&old, &changed);
        config_file::check_text(&Args::augment_args(Command::new("kv-server")), &text, path)?;
        replace(path, &text).map_err(failed)?;
        for (name, _) in changed {
            if let Some(origin) = shared.settings.overruling.get(*name) {
                log::warn!(
                    "{name} in {} changes nothing at the next start if {origin} is given again",
                    path.display()
                );
            }
        }
        // What is not in there was not written, and counts as changed.
        *kept = now;
        if password_is_text { Ok(()) } else { Err(RewriteError::NotText) }
    }
}

/// The settings that may change and that a file can hold, and whether the password is one of them:
/// it may be no text.
fn current(shared: &Shared) -> (Vec<(&'static str, String)>, bool) {
    let flags = Args::augment_args(Command::new("kv-server"));
    let changes = SETTINGS.iter().filter(|setting| !matches!(setting.change, Change::Never));
    let mut now: Vec<(&str, String)> = changes
        .filter(|setting| flags.get_arguments().any(|arg| arg.get_long() == Some(setting.name)))
        .map(|setting| (setting.name, (setting.get)(shared)))
        .collect();
    let password = String::from_utf8(shared.settings.password()).ok();
    let is_text = password.is_some();
    now.extend(password.map(|password| ("requirepass", password)));
    (now, is_text)
}

/// The text with each changed setting in the place where it was, or at the end. A setting without a
/// value, which only a password can be, has no line.
fn rewritten(old: &str, changed: &[&(&'static str, String)]) -> String {
    let end = if old.contains("\r\n") { "\r\n" } else { "\n" };
    let whole =
        |line: &str| if line.ends_with('\n') { line.to_owned() } else { format!("{line}{end}") };
    let mut lines: Vec<String> = old.split_inclusive('\n').map(whole).collect();
    for (name, value) in changed {
        let new = (!value.is_empty()).then(|| format!("{name} {}{end}", quoted(value)));
        let place =
            lines.iter().position(|line| config_file::name_of(line).as_deref() == Some(name));
        match (place, new) {
            (Some(at), Some(new)) => lines[at] = new,
            (Some(at), None) => drop(lines.remove(at)),
            (None, Some(new)) => {
                if !lines.iter().any(|line| line.trim_end() == HEADER) {
                    lines.push(format!("{HEADER}{end}"));
                }
                lines.push(new);
            }
            (None, None) => {}
        }
    }
    lines.concat()
}

/// A value as a line holds it.
fn quoted(value: &str) -> String {
    if value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'\\#".contains(&byte)) {
        return value.to_owned();
    }
    let escaped: String = value
        .bytes()
        .map(|byte| match byte {
            b'"' | b'\\' => format!("\\{}", byte as char),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        })
        .collect();
    format!("\"{escaped}\"")
}

/// Puts a new file in the place of the old one, whole or not at all.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    // What a link leads to is the file.
    let path = fs::canonicalize(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
    // One that a crash has left.
    drop(fs::remove_file(&temporary));
    let written = (|| {
        // Nobody else sees a password in it before it is as closed as the old one.
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&temporary)?;
        let (old, new) = (fs::metadata(&path)?, file.metadata()?);
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        file.set_permissions(old.permissions())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_stay_as_they_are() {
        let changed = [&("timeout", "9".to_owned()), &("maxclients", "7".to_owned())];
        let text = rewritten("# mine\r\ntimeout 5\r\nport 7000", &changed);
        let expected = format!("# mine\r\ntimeout 9\r\nport 7000\r\n{HEADER}\r\nmaxclients 7\r\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn all_but_the_changed_lines_stay() {
        let old = "# mine\n\nTimeout 5\nport 7000  \n";
        let text = rewritten(
            old,
            &[&("timeout", "9".to_owned()), &("requirepass", "a \"b\" \u{e4}\n".to_owned())],
        );
        let secret = "requirepass \"a \\\"b\\\" \\xc3\\xa4\\x0a\"";
        assert_eq!(text, format!("# mine\n\ntimeout 9\nport 7000  \n{HEADER}\n{secret}\n"));
        let again =
            rewritten(&text, &[&("requirepass", String::new()), &("maxclients", "7".to_owned())]);
        assert_eq!(again, format!("# mine\n\ntimeout 9\nport 7000  \n{HEADER}\nmaxclients 7\n"));
    }
}
