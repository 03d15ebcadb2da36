//! Command lines without sense, each refused in one line that names the fix: for every program of
//! the workspace, in the place of clap's several lines.

use std::error::Error as _;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::num::ParseIntError;
use std::process;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command};

/// The exit code for wrong usage, as clap's own.
pub const EXIT_USAGE: u8 = 2;

/// What was typed, as clap understands it. Help and the version end the process as clap does; words
/// without sense end it with one line behind `speaker`, and with [`EXIT_USAGE`].
pub fn matches<I, T>(command: Command, words: I, speaker: &str) -> ArgMatches
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let mut command = taking_negative_numbers(command);
    // Arguments that are not built have no names to show.
    command.build();
    match command.try_get_matches_from_mut(words) {
        Ok(matches) => matches,
        Err(error) if prints_itself(&error) => error.exit(),
        Err(error) => refuse(speaker, &refusal(&error, &command)),
    }
}

/// Ends the process for wrong usage, with one line.
pub fn refuse(speaker: &str, reason: &str) -> ! {
    // The exit code says it too, and there is nowhere left to complain.
    let _ = writeln!(io::stderr(), "{speaker}: {reason}");
    process::exit(EXIT_USAGE.into())
}

fn prints_itself(error: &clap::Error) -> bool {
    !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
}

/// So that `--threads -1` is a wrong number of threads, and not an unknown flag `-1`.
fn taking_negative_numbers(command: Command) -> Command {
    let of_arg = |arg: Arg| match arg.get_action().takes_values() && !arg.is_positional() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    };
    command.mut_args(of_arg).mut_subcommands(taking_negative_numbers)
}

/// Why `command` cannot be run as it was typed, and what can: one line.
pub fn refusal(error: &clap::Error, command: &Command) -> String {
    let arg = texts(error, ContextKind::InvalidArg);
    let prior = texts(error, ContextKind::PriorArg);
    match (error.kind(), arg.as_slice(), prior.as_slice()) {
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, [arg], _) => {
            wrong_value(error, arg, find(command, arg))
        }
        (ErrorKind::UnknownArgument, [arg], _) => unknown(error, arg, command),
        (ErrorKind::InvalidSubcommand, ..) => unknown_subcommand(error, command),
        (ErrorKind::ArgumentConflict, [], [first, ..]) => {
            let subcommand = text(error, ContextKind::InvalidSubcommand);
            let name = name_of(first);
            let program = command.get_name();
            format!(
                "{name} belongs behind the subcommand: {program} {subcommand} {}",
                first.as_str()
            )
        }
        (ErrorKind::ArgumentConflict, [arg], [prior]) if arg == prior => {
            format!("{} is given twice: give it once", name_of(arg))
        }
        (ErrorKind::ArgumentConflict, [arg], [_, ..]) => {
            let others: Vec<&str> = prior.iter().map(|other| name_of(other)).collect();
            let others = others.join(" and ");
            format!("{} cannot be used with {others}: leave one of them out", name_of(arg))
        }
        (ErrorKind::TooManyValues, [arg], _) => {
            format!("{} takes no value: it is given or left out", name_of(arg))
        }
        (ErrorKind::MissingRequiredArgument, [_, ..], _) => {
            let verb = if arg.len() == 1 { "is" } else { "are" };
            format!("{} {verb} missing{}", arg.join(" and "), usage(error))
        }
        _ => first_line(error),
    }
}

/// The strings that clap has of one kind.
fn texts(error: &clap::Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    texts(error, kind).into_iter().next().unwrap_or_default()
}

/// `--port` of `--port <PORT>`, `PORT` of `[PORT]`.
fn name_of(shown: &str) -> &str {
    let name = shown.split([' ', '=']).next().unwrap_or_default();
    name.trim_matches(['[', ']', '<', '>', '.'])
}

fn find<'a>(command: &'a Command, shown: &str) -> Option<&'a Arg> {
    let here = command.get_arguments().find(|arg| arg.to_string() == shown);
    here.or_else(|| command.get_subcommands().find_map(|inner| find(inner, shown)))
}

/// A value that its flag, or the variable that speaks for the flag, does not take.
fn wrong_value(error: &clap::Error, shown: &str, arg: Option<&Arg>) -> String {
    let value = text(error, ContextKind::InvalidValue);
    let variable = arg.and_then(Arg::get_env).filter(|variable| {
        std::env::var_os(variable).is_some_and(|said| said == OsString::from(&value))
    });
    // Typed words win over the environment, so that one with this value was not typed.
    let variable = variable.map(|variable| variable.to_string_lossy().into_owned());
    let is_variable = variable.is_some();
    let shown_value = if value.is_empty() { "''" } else { &value };
    let name = variable.unwrap_or_else(|| name_of(shown).to_owned());
    let valid = texts(error, ContextKind::ValidValue).join(", ");
    if value.is_empty() && error.kind() == ErrorKind::InvalidValue {
        return match (is_variable, valid.as_str()) {
            (true, _) => format!("{name} is empty: unset it, or give it a value"),
            (false, "") => format!("{shown}: the value is missing"),
            (false, valid) => format!("{name} needs a value: one of {valid}"),
        };
    }
    if !valid.is_empty() {
        return format!("{name} {shown_value}: must be one of {valid}");
    }
    let problem = problem(error, &value);
    let example = arg
        .filter(|arg| is_number_error(error) && !arg.is_positional())
        .and_then(|arg| arg.get_default_values().first())
        .map_or_else(String::new, |default| {
            format!(" (such as {} {})", name_of(shown), default.to_string_lossy())
        });
    format!("{name} {shown_value}: {problem}{example}")
}

fn is_number_error(error: &clap::Error) -> bool {
    error.source().is_some_and(<dyn std::error::Error>::is::<ParseIntError>)
}

/// What is wrong with a value, in the words of who refused it, but for the standard library's.
fn problem(error: &clap::Error, value: &str) -> String {
    let Some(source) = error.source() else { return first_line(error) };
    if source.is::<ParseIntError>() {
        let digits = value.trim_start_matches('-');
        let is_whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        return match (is_whole, value.starts_with('-')) {
            (true, true) => "must not be below 0".to_owned(),
            (true, false) => "is too large".to_owned(),
            (false, _) => "must be a whole number".to_owned(),
        };
    }
    let words = source.to_string();
    let range = words.split_once(" is not in ").and_then(|(_, range)| range.split_once(".."));
    match range {
        // clap leaves the `=` out where there is no upper end.
        Some((low, high)) => match high.strip_prefix('=') {
            Some(high) => format!("must be from {low} to {high}"),
            None => format!("must be {low} or more"),
        },
        None => words,
    }
}

fn unknown(error: &clap::Error, arg: &str, command: &Command) -> String {
    if !arg.starts_with('-') {
        return format!("'{arg}' is a word too many{}", usage(error));
    }
    let has_it = |inner: &&Command| {
        let mut names = inner.get_arguments().filter_map(Arg::get_long);
        names.any(|name| arg.strip_prefix("--") == Some(name))
    };
    if let Some(inner) = command.get_subcommands().filter(|inner| !inner.is_hide_set()).find(has_it)
    {
        let (program, name) = (command.get_name(), inner.get_name());
        return format!("{arg} belongs to another subcommand: {program} {name} {arg}");
    }
    if arg[1..].starts_with(|c: char| c.is_ascii_digit()) {
        return format!("there is no flag {arg}, and no value here may be below 0{}", usage(error));
    }
    let similar = text(error, ContextKind::SuggestedArg);
    if similar.is_empty() {
        return format!("there is no flag {arg}{}", usage(error));
    }
    if !is_near(arg, &similar) {
        // clap's usage is that of the flag which it takes for similar.
        return format!(
            "there is no flag {arg} ({} --help lists them)",
            program(&usage_line(error))
        );
    }
    format!("there is no flag {arg}: did you mean {}?", visible(command, &similar))
}

/// Whether `flag` may be what was meant by `typed`: it begins so, or is as many letters away as fingers
/// slip. clap's own measure takes any flag for similar that shares some letters.
pub fn is_near(typed: &str, flag: &str) -> bool {
    let (typed, flag) = (typed.trim_start_matches('-'), flag.trim_start_matches('-'));
    let slips_max = (typed.len() / 4).max(1);
    let is_prefix = typed.len() >= 3 && flag.starts_with(typed);
    !flag.is_empty() && (is_prefix || strsim::damerau_levenshtein(typed, flag) <= slips_max)
}

/// The name in the help of a flag that clap knows by a hidden one.
fn visible(command: &Command, flag: &str) -> String {
    let is_alias = |arg: &&Arg| {
        let aliases = arg.get_all_aliases().unwrap_or_default();
        aliases.iter().any(|alias| Some(*alias) == flag.strip_prefix("--"))
    };
    let here = command.get_arguments().find(is_alias).and_then(Arg::get_long);
    let inner = || {
        let found = command.get_subcommands().map(|inner| visible(inner, flag));
        found.into_iter().find(|name| name != flag).unwrap_or_else(|| flag.to_owned())
    };
    here.map_or_else(inner, |name| format!("--{name}"))
}

fn unknown_subcommand(error: &clap::Error, command: &Command) -> String {
    let name = text(error, ContextKind::InvalidSubcommand);
    let known = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    let known: Vec<&str> = known.map(Command::get_name).filter(|&name| name != "help").collect();
    format!("there is no subcommand '{name}': it is one of {}", known.join(", "))
}

/// How it would be right, as clap draws it.
fn usage(error: &clap::Error) -> String {
    let line = usage_line(error);
    if line.is_empty() {
        return line;
    }
    format!(" (usage: {line}; {} --help says more)", program(&line))
}

fn usage_line(error: &clap::Error) -> String {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else {
        return String::new();
    };
    let usage = usage.to_string();
    let line = usage.lines().next().unwrap_or_default();
    line.trim_start_matches("Usage:").trim().to_owned()
}

/// The program and its subcommand.
fn program(usage_line: &str) -> String {
    let words = usage_line.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
    words.collect::<Vec<_>>().join(" ")
}

/// clap's reason, without its tips.
fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
