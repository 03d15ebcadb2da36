//! What is legal and perhaps not meant.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use kv_core::data_dir::Durability;
use kv_core::storage::LOCK_FILE;

use super::Args;
use crate::config::Config;

impl Args {
    /// Says so, before the store is recovered.
    pub(super) fn warn(&self, config: &Config) {
        if config.durability == Durability::None {
            log::warn!("durability none: what is in the store ends with this process");
        }
        if config.durability != Durability::Snapshot
            && let Some(origin) = self.origins.get("snapshot-interval")
        {
            log::warn!(
                "{origin} changes nothing: durability is {}, and only --durability snapshot takes \
                 snapshots at intervals",
                config.durability
            );
        }
        if let Some(dir) = &config.data_dir
            && let Some(stranger) = stranger_in(dir, config)
        {
            log::warn!(
                "{} {}: no store is there yet, but {stranger}, which is not read: begins with an \
                 empty store beside it",
                self.origin("data-dir"),
                dir.display()
            );
        }
        let is_reachable = config.bind.iter().any(|address| !address.is_loopback());
        match (is_reachable && config.password.is_none(), config.protected_mode) {
            (false, _) => {}
            (true, true) => log::warn!(
                "{} without a password: clients on other machines are refused (protected mode); \
                 give --requirepass to let them in",
                self.origin("bind")
            ),
            (true, false) => log::warn!(
                "{} without a password or protected mode: whoever reaches this port can read and \
                 change everything; give --requirepass",
                self.origin("bind")
            ),
        }
    }
}

/// Something that a folder without a store holds: whoever names the folder of another server, or a
/// disk that is not mounted right, should know that nothing of it is read.
fn stranger_in(dir: &Path, config: &Config) -> Option<String> {
    let names = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    let is_store = |name: &String| {
        name.starts_with("MANIFEST") || name.starts_with("log-") || name.starts_with("snapshot-")
    };
    if names.iter().any(is_store) {
        return None;
    }
    // Hidden files, and where file systems put what they find, are part of many an empty folder.
    let ours: Vec<_> =
        [&config.log_file, &config.request_log, &config.unix_socket, &config.config_file]
            .into_iter()
            .flatten()
            .filter_map(|path| path.file_name())
            .collect();
    names.retain(|name| {
        let is_ours = name == LOCK_FILE || ours.contains(&OsStr::new(name));
        !is_ours && name != "lost+found" && !name.starts_with('.')
    });
    names.sort();
    names.into_iter().next()
}
