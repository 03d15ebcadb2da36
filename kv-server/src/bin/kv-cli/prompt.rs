//! The prompt: lines with editing and history.

use std::io::{self, Write as _};
use std::path::PathBuf;

use kv_core::client::ClientError;
use kv_core::resp::split_line;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::format::Format;
use crate::run::{Printer, Status, in_words, is_leave};
use crate::session::Session;

const HELP: &str = "\
put KEY VALUE      store a value (also: set KEY VALUE [EX seconds] ...)
get KEY            print it
delete KEY ...     remove it (also: del)
end                stop the server
help COMMAND       what the server says about one of its commands
quit, exit, ^D     leave

Every other command goes to the server as typed; 'command list' names them all.
Quote what has blanks: put k \"two words\"; \"\\n\", \"\\x00\" are bytes, '...' is taken as it is.";

/// Reads and runs lines until the user leaves. What fails is said, and the prompt comes back.
pub(crate) fn run(session: &mut Session, format: Format) -> anyhow::Result<Status> {
    let printer = Printer { format, place: None };
    // A server that is not there should be known before anything is typed.
    if let Some(status) = greet(session, &printer) {
        return Ok(status);
    }
    let mut editor = DefaultEditor::new()?;
    let history = history_path();
    if let Some(path) = &history {
        let _ = editor.load_history(path); // there is none yet
    }
    loop {
        let typed = match editor.readline(&format!("{}> ", session.label())) {
            Ok(typed) => typed,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        let args = match split_line(typed.as_bytes()) {
            Ok(args) => args,
            Err(reason) => {
                printer.complain(reason);
                continue;
            }
        };
        if !args.is_empty() && !is_secret(&args) {
            editor.add_history_entry(typed.as_str())?;
        }
        match args.as_slice() {
            [] => {}
            [word] if is_leave(word) => break,
            [word] if word.eq_ignore_ascii_case(b"help") => writeln!(io::stdout(), "{HELP}")?,
            [word, command, ..] if word.eq_ignore_ascii_case(b"help") => {
                let ask = [b"COMMAND".to_vec(), b"DOCS".to_vec(), command.clone()];
                printer.run(session, &ask)?;
            }
            _ => {
                printer.run(session, &args)?;
            }
        }
    }
    save(&mut editor, history.as_ref(), &printer);
    Ok(Status::Fine)
}

fn save(editor: &mut DefaultEditor, history: Option<&PathBuf>, printer: &Printer) {
    let Some(path) = history else { return };
    if let Err(error) = editor.save_history(path) {
        printer.complain(&format!("history not saved to {}: {error}", path.display()));
    }
}

/// Connects; the status to end with when no server lets us in. One that wants a password first does:
/// `auth` can be typed.
fn greet(session: &mut Session, printer: &Printer) -> Option<Status> {
    let refusals: Vec<Option<ClientError>> = session.connect();
    for error in refusals.iter().flatten() {
        printer.complain(&in_words(error));
    }
    let worst = refusals.iter().map(|error| error.as_ref().map(Status::from));
    worst.min().flatten()
}

/// Passwords do not belong into a file.
fn is_secret(args: &[Vec<u8>]) -> bool {
    let is = |index: usize, word: &str| {
        args.get(index).is_some_and(|arg: &Vec<u8>| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    is(0, "auth") || is(0, "hello") || is(0, "acl") || (is(0, "config") && is(1, "set"))
}

/// `KVCLI_HISTFILE`, or `.kv_cli_history` at home; nowhere when the variable is empty.
fn history_path() -> Option<PathBuf> {
    match std::env::var_os("KVCLI_HISTFILE") {
        Some(path) => (!path.is_empty()).then(|| path.into()),
        None => std::env::home_dir().map(|home| home.join(".kv_cli_history")),
    }
}
