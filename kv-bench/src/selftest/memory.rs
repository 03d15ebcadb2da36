//! The last selftest, in the user's cache folder.

use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::machine;
use crate::result::Selftest;

const FILE: &str = "kv-bench/selftest.json";

/// Where it lies, by the XDG base directory specification; `None` without a home.
fn path() -> Option<PathBuf> {
    let folder =
        |variable| env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")))?;
    Some(cache.join(FILE))
}

/// Keeps a summary and says where.
pub(super) fn keep(summary: &Selftest) -> anyhow::Result<PathBuf> {
    let path = path().context("no cache folder: set XDG_CACHE_HOME or HOME")?;
    let cannot =
        || format!("cannot write {} (set XDG_CACHE_HOME to a folder of yours)", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let text = serde_json::to_string_pretty(summary)?;
    fs::write(&path, text + "\n").with_context(cannot)?;
    Ok(path)
}

/// That of this version on this machine, if there was one. What cannot be read is none.
pub(crate) fn remembered() -> Option<Selftest> {
    let text = fs::read_to_string(path()?).ok()?;
    let summary: Selftest = serde_json::from_str(&text).ok()?;
    (summary.machine == machine::fingerprint()).then_some(summary)
}
