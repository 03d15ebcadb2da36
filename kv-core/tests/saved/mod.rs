//! What a snapshot holds, and a folder to keep some in. Each test file that needs one includes this
//! module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use kv_core::snapshot::{
    Entries, EntryBuffer, Fill, Header, SnapshotError, SnapshotFile, SnapshotReader, StoredEntry,
    write,
};
use kv_core::storage::{Disk, Storage};
use tempfile::TempDir;

/// Database and key; value and expiry.
pub(crate) type State = BTreeMap<(u8, Vec<u8>), (Vec<u8>, Option<u64>)>;

pub(crate) struct Folder {
    pub(crate) disk: Disk,
    pub(crate) dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().expect("a temporary folder");
        Self { disk: Disk::open(dir.path()).expect("a folder of our own"), dir }
    }

    /// Puts a file there, whatever it holds, and reads it.
    pub(crate) fn read_bytes(&self, bytes: &[u8]) -> Result<State, SnapshotError> {
        std::fs::write(self.dir.path().join("some.kv"), bytes).expect("room in the folder");
        read(&self.disk, "some.kv")
    }

    /// The bytes of a file.
    pub(crate) fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name)).expect("the file is there")
    }
}

/// Adds encoded entries; none may be there before.
pub(crate) fn collect(entries: &mut Entries<'_>, state: &mut State) {
    for entry in entries {
        let StoredEntry { db, key, value, expires_at_ms } = entry.expect("an entry");
        let twice = state.insert((db, key.to_vec()), (value.to_vec(), expires_at_ms));
        assert_eq!(twice, None, "{:?} is there twice", String::from_utf8_lossy(key));
    }
}

/// Reads a whole snapshot.
pub(crate) fn read(storage: &dyn Storage, name: &str) -> Result<State, SnapshotError> {
    let state = Mutex::new(State::new());
    SnapshotReader::open(storage, name)?.for_each_block(
        |entries| {
            let mut found = State::new();
            for entry in entries {
                let entry = entry?;
                let value = (entry.value.to_vec(), entry.expires_at_ms);
                found.insert((entry.db, entry.key.to_vec()), value);
            }
            state.lock().expect("no panic").append(&mut found);
            Ok(())
        },
        |_| true,
    )?;
    Ok(state.into_inner().expect("no panic"))
}

/// Writes a snapshot of `state`, one entry after another.
pub(crate) fn write_state(
    storage: &dyn Storage,
    header: &Header,
    state: &State,
) -> Result<SnapshotFile, SnapshotError> {
    let mut entries = state.iter();
    write(storage, header, |out: &mut EntryBuffer| match entries.next() {
        None => Fill::End,
        Some(((db, key), (value, expires_at_ms))) => {
            out.push(&StoredEntry { db: *db, key, value, expires_at_ms: *expires_at_ms });
            Fill::More
        }
    })
}
