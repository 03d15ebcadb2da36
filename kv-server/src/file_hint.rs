//! What may help where a file that somebody has named cannot be opened or made.

use std::io::{self, ErrorKind};

/// To stand behind the system's words; empty where those have to do.
pub(crate) fn file_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "; make the folder it is to lie in first, or name another",
        ErrorKind::NotADirectory => "; a part of that path is a file: name another",
        ErrorKind::IsADirectory => "; name a file in it",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "; let the server write there, or name another"
        }
        _ => "",
    }
}
