//! Files that are whole or not there.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Lets `write` make a file beside `path` and moves it into place, so that a reader never meets
/// half a file and a failure leaves an older one as it was.
///
/// The temporary name keeps the extension: image encoders choose the format by it.
///
/// # Errors
/// Names `path` and what could not be done.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".partial-{}-{name}", std::process::id()));
    let moved = write(&temporary).and_then(|()| Ok(fs::rename(&temporary, path)?));
    if moved.is_err() {
        // Best effort: the error that matters is the one returned.
        let _ = fs::remove_file(&temporary);
    }
    moved.with_context(|| format!("cannot write {}", path.display()))
}

/// [`replace`] with bytes that are already made.
pub(super) fn replace_with(path: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    replace(path, |temporary| Ok(fs::write(temporary, bytes)?))
}
