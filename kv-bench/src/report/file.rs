//! Files that are whole or not there, and what is no file.

use std::borrow::Cow;
use std::fs;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

/// Lets `write` make a file beside `path` and moves it into place, so that a reader never meets
/// half a file and a failure leaves an older one as it was. A link stays: what it leads to is
/// replaced.
///
/// The temporary name keeps the extension: image encoders choose the format by it.
///
/// # Errors
/// Names `path` and what could not be done.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&Path) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let place = followed(path);
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let temporary = place.with_file_name(format!(".partial-{}-{name}", std::process::id()));
    let moved = write(&temporary).and_then(|()| Ok(fs::rename(&temporary, &place)?));
    if moved.is_err() {
        // Best effort: the error that matters is the one returned.
        let _ = fs::remove_file(&temporary);
    }
    moved.map_err(|error| refused(error, path))
}

fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.downcast_ref::<io::Error>().map(io::Error::kind)
}

fn refused(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let fix =
        if kind(&error) == Some(ErrorKind::FileTooLarge) { " (raise `ulimit -f`)" } else { "" };
    error.context(format!("cannot write {}{fix}", path.display()))
}

/// [`replace`] with bytes that are already made.
pub(super) fn replace_with(path: &Path, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
    write(path, |out| Ok(out.write_all(bytes.as_ref())?))
}

/// [`replace`] with what `fill` writes; what [`is_stream`] gets it as it comes.
pub(super) fn write(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if !is_stream(path) {
        return replace(path, |temporary| flushed(fs::File::create(temporary)?, fill));
    }
    let passed = if is_standard_output(path) {
        // Opened anew, a file would be written from its start, over what is printed already.
        flushed(io::stdout().lock(), fill)
    } else {
        let open = fs::OpenOptions::new().append(true).open(path);
        open.map_err(Into::into).and_then(|out| flushed(out, fill))
    };
    match passed {
        // Nobody reads it any more: that is their choice, not our failure.
        Err(error) if kind(&error) == Some(ErrorKind::BrokenPipe) => Ok(()),
        passed => passed.map_err(|error| refused(error, path)),
    }
}

fn flushed(
    out: impl Write,
    fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut out = BufWriter::new(out);
    fill(&mut out)?;
    Ok(out.flush()?)
}

/// What `-` stands for where a file is named.
pub(crate) const STANDARD_OUTPUT: &str = "/dev/stdout";

/// Whether `path` is our standard output, by any of its names.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    [STANDARD_OUTPUT, "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// Whether `path` is a device, a pipe or an open file of ours, which takes bytes in their order and
/// cannot be replaced.
pub(crate) fn is_stream(path: &Path) -> bool {
    let is_open = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];
    is_open.iter().any(|open| path.starts_with(open))
        || fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Where a link leads, also one to a file that is not there yet; any other path as it is.
pub(crate) fn followed(path: &Path) -> Cow<'_, Path> {
    let Ok(next) = fs::read_link(path) else { return path.into() };
    // Relative links start from their own folder.
    let next = path.parent().map_or_else(|| next.clone(), |folder| folder.join(&next));
    fs::canonicalize(path).unwrap_or(next).into()
}
