//! What may help where the system refuses a file or a folder.

use std::io::{self, ErrorKind};

use rustix::io::Errno;

/// For a file that somebody has named and that cannot be opened or made. To stand behind the system's
/// words; empty where those have to do.
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

/// The same, for the folder of a store and what lies in it.
pub(crate) fn store_hint(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "; restore it from a backup",
        ErrorKind::PermissionDenied => {
            "; give the folder and its files to the user that the server runs as (chown), or name \
             another folder"
        }
        ErrorKind::ReadOnlyFilesystem => "; let the server write there, or name another folder",
        ErrorKind::StorageFull => "; make room on that disk",
        ErrorKind::QuotaExceeded => "; remove files, or raise the quota",
        ErrorKind::FileTooLarge => {
            "; raise the limit on the size of files (prlimit --fsize, ulimit -f, LimitFSIZE=)"
        }
        _ if is_out_of_files(error) => "; raise ulimit -n",
        _ => "",
    }
}

fn is_out_of_files(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}
