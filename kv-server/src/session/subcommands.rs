//! The subcommands of `CLIENT`, `COMMAND`, `CONFIG` and `FUNCTION`. To Redis they are commands of
//! their own, so that a wrong one is refused at once, before any password and within `MULTI`.

use kv_core::command::{CommandError, ConnectionCommand, Spec};
use kv_core::resp::{Args, Encoder};

/// Bytes of a subcommand that its error shows.
const SHOWN_BYTES_MAX: usize = 128;

/// Each with its arity, counted as in the command table.
fn subcommands(command: ConnectionCommand) -> &'static [(&'static str, i32)] {
    match command {
        ConnectionCommand::Client => &[
            ("getname", 2),
            ("help", 2),
            ("id", 2),
            ("info", 2),
            ("list", -2),
            ("no-evict", 3),
            ("reply", 3),
            ("setinfo", 4),
            ("setname", 3),
        ],
        ConnectionCommand::Command => {
            &[("count", 2), ("docs", -2), ("help", 2), ("info", -2), ("list", -2)]
        }
        ConnectionCommand::Config => &[("get", -3), ("help", 2), ("resetstat", 2), ("set", -4)],
        ConnectionCommand::Function => &[("flush", -2), ("help", 2)],
        _ => &[],
    }
}

/// Whether the subcommand, if the command has any, is one and has so many arguments.
///
/// # Errors
/// The reply without its `-`.
pub(super) fn check(command: ConnectionCommand, args: Args<'_>) -> Result<(), String> {
    let (known, Some(sub)) = (subcommands(command), args.get(1)) else { return Ok(()) };
    if known.is_empty() {
        return Ok(());
    }
    let name = String::from_utf8_lossy(args.at(0));
    let Some((sub, arity)) =
        known.iter().find(|(name, _)| sub.eq_ignore_ascii_case(name.as_bytes()))
    else {
        let sub = String::from_utf8_lossy(&sub[..sub.len().min(SHOWN_BYTES_MAX)]);
        return Err(format!("ERR unknown subcommand '{sub}'. Try {} HELP.", name.to_uppercase()));
    };
    let wanted = arity.unsigned_abs() as usize;
    let accepted = if *arity < 0 { args.len() >= wanted } else { args.len() == wanted };
    match accepted {
        true => Ok(()),
        false => Err(CommandError::wrong_arity(format!("{name}|{sub}").as_bytes()).to_string()),
    }
}

/// Answers `HELP`.
pub(super) fn help(command: &str, out: &mut Encoder) {
    out.array(3);
    out.simple(&format!("{command} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    out.simple(Spec::find(command.as_bytes()).map_or("", |spec| spec.usage));
    out.simple("HELP");
}
