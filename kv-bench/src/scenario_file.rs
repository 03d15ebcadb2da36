//! Scenario files: flags in TOML, by their names without dashes.
//!
//! A file is turned into the words that would have been typed, and these are put behind those that
//! were, so that one place reads, checks and documents both. What was typed wins: a setting of the file
//! is left out when its flag, or one that excludes or replaces it, was typed.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use kv_server::usage;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The flag that names a file, and others that make no sense in one.
const FLAG: &str = "scenario";
const NOT_IN_FILES: [&str; 3] = [FLAG, "help", "version"];

/// Flags that, when they are typed, also take the place of settings with which clap knows no conflict:
/// a workload with a name is what it says, and what belongs to a flag goes with it.
const DISPLACES: [(&str, &[&str]); 4] = [
    (
        "workload",
        &[
            "mix",
            "key-distribution",
            "value-size",
            "value",
            "compressibility",
            "ttl",
            "command-ratio",
        ],
    ),
    ("command", &["command-ratio"]),
    ("mix", &["command-ratio"]),
    ("think-time", &["arrivals"]),
];

/// A setting of the file.
struct Setting<'a> {
    arg: &'a Arg,
    /// File and line.
    place: String,
    words: Vec<String>,
}

/// What was typed, with what a scenario file says.
pub(crate) struct Words {
    /// The program's name first.
    pub(crate) all: Vec<OsString>,
    /// Of each flag that is taken from the file, where it stands there.
    pub(crate) places: Vec<(String, String)>,
    /// The file.
    path: Option<PathBuf>,
}

impl Words {
    /// Who complains of these words: the file, where what was typed makes sense without it.
    pub(crate) fn speaker(&self, command: &Command, typed: &[OsString]) -> String {
        let is_fine = || command.clone().try_get_matches_from(typed).is_ok();
        match &self.path {
            Some(path) if is_fine() => format!("error: {}", path.display()),
            _ => "error".to_owned(),
        }
    }
}

/// `words`, the program's name first, with those of the scenario file that they name, if they do.
///
/// # Errors
///
/// When the file cannot be read, or a line of it makes no sense; the message names file and line.
pub(crate) fn with_file(command: &Command, words: Vec<OsString>) -> Result<Words, String> {
    let typed = |all| Words { all, places: Vec::new(), path: None };
    let lenient = command.clone().ignore_errors(true);
    // What makes no sense beside is told when all is read.
    let Ok(matches) = lenient.try_get_matches_from(&words) else { return Ok(typed(words)) };
    let mut command = command.clone();
    command.build();
    let (leaf, matches) = match matches.subcommand() {
        Some((name, inner)) => (command.find_subcommand(name), inner),
        None => (Some(&command), &matches),
    };
    let Some(leaf) = leaf else { return Ok(typed(words)) };
    let path = matches.try_get_one::<PathBuf>(FLAG).ok().flatten();
    let Some(path) = path else { return Ok(typed(words)) };
    let text = fs::read_to_string(path)
        .map_err(|cause| format!("cannot read the scenario file {}: {cause}", path.display()))?;
    let mut all = words;
    let mut places = Vec::new();
    for setting in settings(&command, leaf, &text, path)? {
        let excludes = leaf.get_arg_conflicts_with(setting.arg);
        let is_left_out =
            leaf.get_arguments().filter(|other| is_typed(matches, other)).any(|typed| {
                typed == setting.arg
                    || excludes.contains(&typed)
                    || leaf.get_arg_conflicts_with(typed).contains(&setting.arg)
                    || displaces(typed, setting.arg)
            });
        if !is_left_out {
            all.extend(setting.words.into_iter().map(OsString::from));
            let flag = setting.arg.get_long().unwrap_or_default().to_owned();
            places.push((flag, setting.place));
        }
    }
    Ok(Words { all, places, path: Some(path.clone()) })
}

fn displaces(typed: &Arg, setting: &Arg) -> bool {
    let [typed, setting] = [typed, setting].map(|arg| arg.get_long().unwrap_or_default());
    DISPLACES.iter().any(|(flag, others)| *flag == typed && others.contains(&setting))
}

fn is_typed(matches: &ArgMatches, arg: &Arg) -> bool {
    let id = arg.get_id().as_str();
    matches.try_contains_id(id).is_ok()
        && matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn settings<'a>(
    command: &Command,
    leaf: &'a Command,
    text: &str,
    path: &Path,
) -> Result<Vec<Setting<'a>>, String> {
    let place = |span: Range<usize>| {
        let line = text[..span.start.min(text.len())].matches('\n').count() + 1;
        format!("{}:{line}", path.display())
    };
    let at = |span, reason: String| format!("{}: {reason}", place(span));
    let table = DeTable::parse(text).map_err(|error| {
        at(error.span().unwrap_or_default(), error.message().replace('\n', ", "))
    })?;
    let setting = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &Cow<'_, str> = key.get_ref();
        let arg =
            arg_named(leaf, name).ok_or_else(|| at(key.span(), unknown(command, leaf, name)))?;
        let words = words(arg, name, value.get_ref()).and_then(|words| {
            check(leaf, &words)?;
            Ok(words)
        });
        let place = place(value.span());
        Ok(Setting { arg, place, words: words.map_err(|reason| at(value.span(), reason))? })
    };
    table.get_ref().iter().map(setting).collect()
}

fn arg_named<'a>(leaf: &'a Command, name: &str) -> Option<&'a Arg> {
    let arg = leaf.get_arguments().find(|arg| arg.get_long() == Some(name))?;
    (!NOT_IN_FILES.contains(&name)).then_some(arg)
}

/// Why a name is none, and what may have been meant.
fn unknown(command: &Command, leaf: &Command, name: &str) -> String {
    if name == FLAG {
        return "a scenario file names no other: put its settings here".to_owned();
    }
    let has_it = |inner: &&Command| {
        !inner.is_hide_set()
            && inner.get_arguments().any(|arg| arg.get_long() == Some(FLAG))
            && arg_named(inner, name).is_some()
    };
    if let Some(inner) = command.get_subcommands().find(has_it) {
        let (program, inner) = (command.get_name(), inner.get_name());
        return format!(
            "'{name}' belongs to another subcommand: {program} {inner} --scenario FILE, or leave it out"
        );
    }
    let hyphened = name.replace('_', "-");
    let mut names = leaf.get_arguments().filter_map(Arg::get_long);
    let near =
        names.find(|known| usage::is_near(&hyphened, known) && !NOT_IN_FILES.contains(known));
    match near {
        Some(known) => format!("there is no setting '{name}': did you mean {known}?"),
        None => format!(
            "there is no setting '{name}': they are the flags of kv-bench {} without their dashes",
            leaf.get_name()
        ),
    }
}

/// What would have been typed.
fn words(arg: &Arg, name: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    match value {
        DeValue::Boolean(is_on) if is_switch => {
            Ok(is_on.then(|| format!("--{name}")).into_iter().collect())
        }
        _ if is_switch => Err(format!("'{name}' is true or false, such as {name} = true")),
        DeValue::Array(values) if matches!(arg.get_action(), ArgAction::Append) => {
            values.iter().map(|value| word(name, value.get_ref())).collect()
        }
        value => Ok(vec![word(name, value)?]),
    }
}

fn word(name: &str, value: &DeValue<'_>) -> Result<String, String> {
    let text = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_err(|_| format!("'{name}' is too large a number"))?
            .to_string(),
        DeValue::Float(number) => number.as_str().to_owned(),
        other => {
            return Err(format!(
                "'{name}' is one number or text, and this is {}: put in quotes what is typed behind \
                 --{name}",
                described(other)
            ));
        }
    };
    Ok(format!("--{name}={text}"))
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
        DeValue::Datetime(_) => "a date",
        _ => "true or false",
    }
}

/// Whether the flag takes these words, whatever it needs beside it.
fn check(leaf: &Command, words: &[String]) -> Result<(), String> {
    let mut plain = leaf.clone();
    let program = leaf.get_name().to_owned();
    match plain.try_get_matches_from_mut(std::iter::once(&program).chain(words)) {
        Err(error)
            if matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) =>
        {
            Err(usage::refusal(&error, &plain))
        }
        _ => Ok(()),
    }
}
