//! Any file as a snapshot: what is read is what was written, all of it; reading and recovery agree;
//! and what was read can be written and read again.

use std::sync::Mutex;

use kv_core::snapshot::{
    Entries, EntryBuffer, Fill, Header, SnapshotError, SnapshotReader, StoredEntry, file_name,
    write,
};

use super::edit::Edits;
use super::recovered::{State, collect, recover};
use super::tape::Tape;
use crate::faulty::Faulty;
use crate::frame::{MANIFEST, manifest, snapshot};

const HEADER: Header = Header { sequence: 7, created_ms: 1_700_000_000_000, salt: 3 };

/// The first byte says whether a file follows as it is, or blocks around which a file is made.
pub(crate) fn check(input: &[u8]) {
    let mut tape = Tape::new(input);
    match tape.byte() {
        0 => check_file(tape.rest()),
        _ => check_blocks(tape),
    }
}

/// Bytes of no known origin do no harm.
fn check_file(file: &[u8]) {
    let folder = folder(file);
    match read(&folder) {
        Ok(state) => go_on(&state),
        Err(_) => drop(recover(&folder).expect_err("what cannot be read is not recovered")),
    }
}

/// Blocks come back if they are entries and nothing was damaged.
fn check_blocks(mut tape: Tape<'_>) {
    let edits = Edits::take(&mut tape);
    let mut blocks = Vec::new();
    while !tape.is_empty() {
        let len = tape.number();
        blocks.push(tape.take(len));
    }
    let mut counts = [0; 16];
    for entry in blocks.iter().flat_map(|block| Entries::new(block)).flatten() {
        counts[usize::from(entry.db)] += 1;
    }
    let mut files = [snapshot(&HEADER, &blocks, counts)];
    edits.apply(&mut files);
    let [file] = files;
    let folder = folder(&file);
    let found = read(&folder);
    let are_entries = blocks
        .iter()
        .all(|block| !block.is_empty() && Entries::new(block).all(|entry| entry.is_ok()));
    let written = collect(&blocks.concat());
    match (&found, edits.is_none()) {
        (Ok(_), true) => assert!(are_entries),
        (Err(error), true) => assert!(!are_entries, "{error}"),
        (Ok(_), false) => assert_eq!(file, snapshot(&HEADER, &blocks, counts), "damage was found"),
        (Err(_), false) => {}
    }
    match found {
        Err(_) => drop(recover(&folder).expect_err("what cannot be read is not recovered")),
        // Nobody writes a key twice: which of the two counts is nobody's business.
        Ok(_) if written.is_none() => drop(recover(&folder)),
        Ok(found) => {
            assert_eq!(Some(&found), written.as_ref());
            assert_eq!(recover(&folder).expect("it can be read"), found);
            go_on(&found);
        }
    }
}

fn folder(file: &[u8]) -> Faulty {
    let folder = Faulty::default();
    folder.put(MANIFEST, &manifest(Some(HEADER.sequence), false));
    folder.put(&file_name(HEADER.sequence), file);
    folder
}

fn read(folder: &Faulty) -> Result<State, SnapshotError> {
    let state = Mutex::new(State::new());
    let reader = SnapshotReader::open(folder, &file_name(HEADER.sequence))?;
    reader.for_each_block(
        |entries| {
            for entry in entries {
                let entry = entry?;
                let value = (entry.value.to_vec(), entry.expires_at_ms);
                state.lock().expect("no panic").insert((entry.db, entry.key.to_vec()), value);
            }
            Ok(())
        },
        |_| true,
    )?;
    Ok(state.into_inner().expect("no panic"))
}

/// Writes what was read, and reads it again.
fn go_on(state: &State) {
    let folder = Faulty::default();
    let mut entries = state.iter();
    let fill = |out: &mut EntryBuffer| match entries.next() {
        None => Fill::End,
        Some(((db, key), (value, expires_at_ms))) => {
            out.push(&StoredEntry { db: *db, key, value, expires_at_ms: *expires_at_ms });
            Fill::More
        }
    };
    write(&folder, &HEADER, fill).expect("a disk that works");
    assert_eq!(&read(&folder).expect("as it was written"), state);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let entry = |db, key: &[u8], value: &[u8], expires_at_ms| {
        let mut out = EntryBuffer::default();
        out.push(&StoredEntry { db, key, value, expires_at_ms });
        out.bytes().to_vec()
    };
    let first = [entry(0, b"key", b"value", None), entry(15, b"", b"", Some(1 << 41))].concat();
    let second = entry(1, b"key", &[7; 100], Some(0));
    let block = |bytes: &[u8]| [&(bytes.len() as u16).to_le_bytes()[..], bytes].concat();
    let blocks = [block(&first), block(&second)].concat();
    let mut counts = [0; 16];
    (counts[0], counts[1], counts[15]) = (1, 1, 1);
    let file = snapshot(&HEADER, &[&first, &second], counts);
    let mut seeds = vec![Vec::new(), vec![0], [&[0][..], &file].concat()];
    seeds.push([&[0][..], &file[..100]].concat());
    // The third is in a value, which nothing but its block's checksum knows.
    let edits: [&[u8]; 5] = [
        &[0],
        &[1, 0, 60, 0, 1],
        &[1, 0, 66, 0, 1],
        &[1, 0, 90, 0, 0],
        &[2, 0, 50, 0, 8, 0, 52, 0, 1],
    ];
    seeds.extend(edits.map(|edits| [&[1][..], edits, &blocks].concat()));
    seeds.push([&[1, 0][..], &block(&first[..first.len() - 1])].concat());
    seeds.push([&[1, 0][..], &block(&first), &block(&first)].concat());
    seeds.push([&[1, 0][..], &block(&[])].concat());
    seeds
}
