//! A configuration file: lines of a flag's name and its value. Each becomes the default of that
//! flag, so that it is parsed, checked and documented where the flag is, and what is typed wins.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};
use kv_core::resp::request::{Decoded, RequestDecoder};
use thiserror::Error;

use crate::usage;

/// Flags that make no sense in a file.
const NOT_IN_FILES: [&str; 5] = ["config", "help", "repair", "version", "yes"];

/// Why a file can't be used.
#[derive(Debug, Error)]
pub(crate) enum ConfigFileError {
    #[error("cannot read the configuration file {}: {cause}", path.display())]
    Read { path: PathBuf, cause: io::Error },
    #[error("{}:{line}: {reason}", path.display())]
    Line { path: PathBuf, line: usize, reason: String },
}

/// The same command with what the file says as its defaults, and the place of each setting, such as
/// `kv.conf:3: port`.
///
/// # Errors
/// When the file can't be read or a line makes no sense; the message names file and line.
pub(crate) fn with_defaults(
    command: Command,
    path: &Path,
) -> Result<(Command, BTreeMap<String, String>), ConfigFileError> {
    let text = fs::read_to_string(path)
        .map_err(|cause| ConfigFileError::Read { path: path.to_owned(), cause })?;
    with_defaults_of(command, &text, path)
}

/// Whether a file of this text, at this path, could be used.
///
/// # Errors
/// As [`with_defaults`].
pub(crate) fn check_text(
    command: &Command,
    text: &str,
    path: &Path,
) -> Result<(), ConfigFileError> {
    with_defaults_of(command.clone(), text, path).map(drop)
}

/// The name of the setting in a line, in lower case.
pub(crate) fn name_of(line: &str) -> Option<String> {
    parse_line(line).ok().flatten().map(|(name, _)| name)
}

fn with_defaults_of(
    mut command: Command,
    text: &str,
    path: &Path,
) -> Result<(Command, BTreeMap<String, String>), ConfigFileError> {
    let plain = command.clone();
    let mut seen: Vec<(String, usize)> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let at = |reason| ConfigFileError::Line { path: path.to_owned(), line: index + 1, reason };
        let Some((name, value)) = parse_line(text).map_err(at)? else { continue };
        if let Some((_, first)) = seen.iter().find(|(known, _)| *known == name) {
            return Err(at(format!("'{name}' is set in line {first} already")));
        }
        let value = check(&plain, &name, &value).map_err(at)?;
        let id = id_of(&plain, &name).unwrap_or_default();
        command = command.mut_arg(id, |arg| arg.default_value(value));
        seen.push((name, index + 1));
    }
    let place = |(name, line): (String, usize)| {
        let place = format!("{}:{line}: {name}", path.display());
        (name, place)
    };
    Ok((command, seen.into_iter().map(place).collect()))
}

/// A name and what stands behind it, with the quoting of inline requests; nothing in a line of
/// blanks or with a comment.
fn parse_line(text: &str) -> Result<Option<(String, Vec<String>)>, String> {
    // Some editors begin a file with a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let mut decoder = RequestDecoder::default();
    let line = format!("{text}\n");
    let words: Vec<String> = match decoder.decode(line.as_bytes()) {
        Ok(Decoded::Request { args, .. }) if !text.starts_with('*') => {
            args.from(0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
        }
        _ => return Err("a line is a name and a value, with quotes in pairs".to_owned()),
    };
    let mut words = words.into_iter();
    let name = words.next().unwrap_or_default().to_lowercase();
    Ok(Some((name, words.collect())))
}

fn id_of(command: &Command, name: &str) -> Option<String> {
    let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
    (!NOT_IN_FILES.contains(&name)).then(|| arg.get_id().to_string())
}

/// Why a name is none, and what may have been meant.
fn unknown(plain: &Command, name: &str) -> String {
    let (before, _) = name.split_once(['=', ':']).unwrap_or((name, ""));
    if before != name && id_of(plain, before).is_some() {
        return format!("there is no setting '{name}': put a blank between the name and its value");
    }
    let mut names = plain.get_arguments().filter_map(Arg::get_long);
    match names.find(|known| usage::is_near(name, known) && id_of(plain, known).is_some()) {
        Some(known) => format!("there is no setting '{name}': did you mean {known}?"),
        None => format!("there is no setting '{name}'; --help lists them without their dashes"),
    }
}

/// The value as the flag takes it, once the flag has taken it.
fn check(plain: &Command, name: &str, words: &[String]) -> Result<String, String> {
    let id = id_of(plain, name).ok_or_else(|| unknown(plain, name))?;
    let is_switch = plain
        .get_arguments()
        .any(|arg| arg.get_id() == id.as_str() && matches!(arg.get_action(), ArgAction::SetTrue));
    if is_switch {
        return match words {
            [word] if word == "yes" => Ok("true".to_owned()),
            [word] if word == "no" => Ok("false".to_owned()),
            _ => Err(format!("'{name}' is yes or no, such as '{name} yes'")),
        };
    }
    let value = match words {
        [] => return Err(format!("'{name}' needs a value")),
        [value] => value.clone(),
        // As Redis lists addresses.
        several if name == "bind" => several.join(","),
        several if several.iter().any(|word| word.starts_with('#')) => {
            return Err(format!("'{name}' takes one value: a comment has a line of its own"));
        }
        _ => return Err(format!("'{name}' takes one value: put quotes around blanks")),
    };
    let typed = [plain.get_name().to_owned(), format!("--{name}={value}")];
    let mut command = plain.clone();
    match command.try_get_matches_from_mut(typed) {
        Ok(_) => Ok(value),
        // In a file the setting has no dashes.
        Err(error) => Err(usage::refusal(&error, &command).trim_start_matches('-').to_owned()),
    }
}
