//! `--repair`: says what is wrong with a store, and with `--yes` drops what cannot be used.

use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use kv_core::data_dir::{self, Condition};
use kv_core::log::Torn;
use kv_core::storage::Disk;

use crate::file_hint::store_hint;

/// There is damage, and it is still there.
const EXIT_DAMAGED: u8 = 1;

/// There is no such folder.
const EXIT_USAGE: u8 = 2;

/// Checks the store in a folder and, if it may, repairs it.
pub(crate) fn repair(dir: &Path, may_drop: bool) -> ExitCode {
    if !dir.is_dir() {
        complain(format_args!("there is no folder {}: nothing to repair", dir.display()));
        return ExitCode::from(EXIT_USAGE);
    }
    let disk = match Disk::open(dir) {
        Ok(disk) => disk,
        Err(error) => {
            let hint = error.cause().map_or("", store_hint);
            return damaged(format_args!("{error}{hint}"));
        }
    };
    let error = match data_dir::examine(&disk) {
        Ok(condition) => return sound(dir, "nothing to repair", &condition),
        Err(error) => error,
    };
    if let Some(cause) = error.cause().filter(|cause| cause.kind() != ErrorKind::NotFound) {
        return damaged(format_args!("{error}{}\nNothing was changed.", store_hint(cause)));
    }
    let Some(torn) = error.torn() else {
        let hint = error.cause().map_or("", store_hint);
        return damaged(format_args!(
            "{error}{hint}\nThis cannot be repaired. Nothing was changed."
        ));
    };
    let loss = loss(torn);
    if !may_drop {
        return damaged(format_args!(
            "{error}\nRepairing it would drop {loss}.\nNothing was changed: copy the folder, then \
             give --yes as well to do that."
        ));
    }
    let repaired = data_dir::repair(&disk, torn)
        .and_then(|kept| data_dir::examine(&disk).map(|condition| (kept, condition)));
    match repaired {
        Ok((kept, condition)) => {
            say(format_args!("dropped {loss}"));
            if !kept.is_empty() {
                say(format_args!("what was dropped is kept in {}", kept.join(", ")));
            }
            sound(dir, "repaired", &condition)
        }
        Err(error) => {
            let hint = error.cause().map_or("", store_hint);
            damaged(format_args!("the repair failed: {error}{hint}"))
        }
    }
}

fn loss(torn: &Torn) -> String {
    let Torn { file, offset, bytes, sequence, .. } = torn;
    format!(
        "{bytes} bytes of the log, {file} from byte {offset} on: change {sequence} and all later"
    )
}

fn sound(dir: &Path, what: &str, condition: &Condition) -> ExitCode {
    let dir = dir.display();
    if let Some(torn) = &condition.torn {
        say(format_args!(
            "{}: the next start cuts {} bytes at offset {} that a crash left unfinished",
            torn.file, torn.bytes, torn.offset
        ));
    }
    say(format_args!("{dir}: {what}, up to change {}", condition.sequence));
    ExitCode::SUCCESS
}

fn damaged(why: fmt::Arguments<'_>) -> ExitCode {
    complain(why);
    ExitCode::from(EXIT_DAMAGED)
}

// The exit code says it too, where nobody reads what is printed.
fn say(what: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{what}");
}

fn complain(why: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "kv-server: {why}");
}
