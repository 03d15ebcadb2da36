//! Any files as a log: what is read is what was written, up to some record; and where reading
//! accepts a log, recovery does, and writing goes on.

use std::sync::Arc;

use kv_core::log::segment::segment_name;
use kv_core::log::{
    Effect, Effects, Keeping, Log, LogEnd, LogError, LogOptions, LogStart, SyncMode, cut, read,
};
use kv_core::storage::Storage;

use super::edit::Edits;
use super::recovered::{recover, replay};
use super::tape::Tape;
use crate::faulty::Faulty;
use crate::frame::{LogFiles, MANIFEST, SALT, manifest};

const START: LogStart = LogStart { salt: SALT, first_segment: 1, after_sequence: 0 };

/// A record may say that a value is 4 GiB long: nobody else can write one, and here is no room.
const VALUE_BYTES_MAX: u32 = 4096;

/// Instead of the length of a record's payload: a new segment.
const NEW_SEGMENT: u8 = 0xff;

/// The first byte says whether files follow as they are, or records around which files are made.
pub(crate) fn check(input: &[u8]) {
    let mut tape = Tape::new(input);
    match tape.byte() {
        0 => check_files(tape),
        _ => check_records(tape),
    }
}

/// Bytes of no known origin do no harm.
fn check_files(mut tape: Tape<'_>) {
    let mut files = Vec::new();
    while !tape.is_empty() {
        let len = tape.number();
        files.push(tape.take(len).to_vec());
    }
    let folder = folder(&files);
    let (records, end) = read_all(&folder);
    if !records.iter().all(|record| is_small(record)) {
        return;
    }
    match end {
        Ok(end) => go_on(&folder, &records, end),
        Err(_) => drop(recover(&folder).expect_err("what cannot be read is not recovered")),
    }
}

/// Of records that were written, damaged or not, those come back that are before the damage.
fn check_records(mut tape: Tape<'_>) {
    let edits = Edits::take(&mut tape);
    let (mut log, mut written) = (LogFiles::default(), Vec::new());
    log.begin_segment(0);
    while !tape.is_empty() {
        match tape.byte() {
            NEW_SEGMENT => log.begin_segment(log.sequence * u64::from(tape.byte() & 1)),
            len => {
                let payload = tape.take(len.into());
                if is_small(payload) {
                    log.push(payload);
                    written.push(payload.to_vec());
                }
            }
        }
    }
    edits.apply(&mut log.files);
    let folder = folder(&log.files);
    let (records, end) = read_all(&folder);
    assert_eq!(records, written[..records.len()], "a prefix of what was written");
    if edits.is_none() {
        assert_eq!(records.len(), written.len(), "all of it, as nothing was damaged");
        assert_eq!(end.as_ref().expect("a whole log").torn, None);
    }
    let recovered = recover(&folder.killed());
    match end {
        Ok(end) if records.iter().all(|record| is_valid(record)) => {
            assert_eq!(recovered.expect("it can be read"), replay(&records));
            go_on(&folder, &records, end);
        }
        _ => drop(recovered.expect_err("it cannot be read, or not understood")),
    }
}

fn folder(files: &[Vec<u8>]) -> Faulty {
    let folder = Faulty::default();
    folder.put(MANIFEST, &manifest(None, true));
    for (number, file) in (1..).zip(files) {
        folder.put(&segment_name(number), file);
    }
    folder
}

/// What was read before the end or an error.
fn read_all(folder: &Faulty) -> (Vec<Vec<u8>>, Result<LogEnd, LogError>) {
    let mut records = Vec::new();
    let end = read(folder, START, |segment| {
        for record in segment.records {
            assert_eq!(record.sequence, records.len() as u64 + 1, "no holes");
            records.push(segment.bytes[record.payload.clone()].to_vec());
        }
        Ok(())
    });
    (records, end)
}

fn is_small(payload: &[u8]) -> bool {
    Effects::of(payload).all(|effect| match effect {
        Ok(Effect::Splice { value_len, .. }) => value_len <= VALUE_BYTES_MAX,
        _ => true,
    })
}

fn is_valid(payload: &[u8]) -> bool {
    Effects::of(payload).all(|effect| effect.is_ok())
}

/// Cuts what is torn, after which nothing is, and writes one more record.
fn go_on(folder: &Faulty, records: &[Vec<u8>], mut end: LogEnd) {
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    if let Some(torn) = end.torn.take() {
        cut(folder, &torn, Keeping::All).expect("a disk that works");
        let (again, end) = read_all(folder);
        assert_eq!(again, records, "only what was torn is cut");
        assert_eq!(end.expect("a whole log").torn, None);
    }
    let log = Log::start(storage, LogOptions::new(SyncMode::Os), &end).expect("a new segment");
    let mut record = log.begin();
    let effect = Effect::Put { db: 0, key: b"one", value: b"more", expires_at_ms: None };
    record.push(&effect);
    let sequence = record.close();
    log.flush(sequence).expect("a disk that works");
    drop(log);
    let (again, end) = read_all(folder);
    assert_eq!(end.expect("a whole log").torn, None);
    let (before, after) = again.split_at(records.len());
    assert_eq!(before, records);
    assert_eq!(after.len(), 1, "one more record");
    assert!(Effects::of(&after[0]).any(|found| found == Ok(effect)));
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![Vec::new(), vec![0], vec![0, 3, 0, 1, 2, 3]];
    let payloads = payloads();
    let mut made = LogFiles::default();
    made.begin_segment(0);
    for (number, payload) in payloads.iter().enumerate() {
        made.push(payload);
        if number == 4 {
            made.begin_segment(3);
        }
    }
    for damage in [0, 1] {
        let files = made.files.iter().flat_map(|file| {
            let mut file = file.clone();
            file[20] ^= damage;
            [&(file.len() as u16).to_le_bytes()[..], &file].concat()
        });
        seeds.push([vec![0], files.collect()].concat());
    }
    let records: Vec<u8> = payloads
        .iter()
        .enumerate()
        .flat_map(|(number, payload)| {
            let begin: &[u8] = if number % 4 == 3 { &[NEW_SEGMENT, 1] } else { &[] };
            [begin, &[payload.len() as u8], payload].concat()
        })
        .collect();
    let edits: [&[u8]; 5] = [
        &[0],
        &[1, 0, 60, 0, 1],
        &[1, 1, 10, 0, 0],
        &[2, 0, 100, 0, 128, 2, 55, 0, 2],
        &[1, 9, 9, 9, 0],
    ];
    seeds.extend(edits.map(|edits| [&[1][..], edits, &records].concat()));
    seeds
}

/// Every effect, alone and with others, and some that are none.
fn payloads() -> Vec<Vec<u8>> {
    let (db, key) = (1, &b"key"[..]);
    let put = Effect::Put { db, key, value: b"value", expires_at_ms: None };
    let timed = Effect::Put { db: 15, key: b"", value: b"", expires_at_ms: Some(1 << 40) };
    let changes: [&[Effect<'_>]; 9] = [
        &[put],
        &[timed, put],
        &[Effect::Splice { db, key, value_len: 10, offset: 7, bytes: b"abc" }],
        &[Effect::Durable { sequence: 2 }, Effect::Expire { db, key, at_ms: 1 << 41 }],
        &[Effect::Persist { db, key }, Effect::SwapDb { db, other: 0 }],
        &[Effect::Splice { db: 2, key: b"new", value_len: 3, offset: 0, bytes: b"" }],
        &[Effect::Remove { db: 0, key }],
        &[Effect::Durable { sequence: 6 }],
        &[Effect::Clear { db: 15 }, put],
    ];
    let encode = |effects: &&[Effect<'_>]| {
        let mut payload = Vec::new();
        effects.iter().for_each(|effect| effect.encode(&mut payload));
        payload
    };
    changes.iter().map(encode).collect()
}
