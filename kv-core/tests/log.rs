//! The log: what comes back of it, whole, cut anywhere, and with any bit changed.

mod faulty;
mod trace;

use std::sync::Arc;

use faulty::{Faulty, Random};
use kv_core::log::segment::{SEGMENT_HEADER_BYTES, segment_name};
use kv_core::log::{
    Effect, EffectError, Effects, Keeping, LogEnd, LogError, LogStart, SyncMode, cut,
};
use kv_core::storage::{Disk, DiskError, Storage};
use trace::{
    MODES, Records, SALT, START, append, assert_prefix, begin, options, read_back, recover,
    small_segments,
};

/// A log of at least this many bytes, synced now and then, and what was made.
fn written(mode: SyncMode, segment_bytes_max: u64, bytes: u64) -> (Faulty, Records) {
    let folder = Faulty::default();
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    let log = begin(&storage, small_segments(mode, segment_bytes_max));
    let (mut random, mut known) = (Random(1), Records::new());
    while log.appended_bytes() < bytes {
        let (sequence, effects) = append(&log, &mut random);
        known.insert(sequence, effects);
        log.flush(sequence).expect("a disk that works");
        if mode != SyncMode::Os && random.percent(20) {
            log.wait_durable(sequence).expect("a disk that works");
        }
    }
    drop(log);
    (folder, known)
}

/// The same folder with another content of one file.
fn with_file(folder: &Faulty, name: &str, bytes: &[u8]) -> Faulty {
    let changed = folder.killed();
    changed.put(name, bytes);
    changed
}

fn used_bytes(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1)
}

#[test]
fn every_effect_comes_back_as_it_was() {
    let effects = [
        Effect::Put { db: 0, key: b"", value: b"", expires_at_ms: None },
        Effect::Put { db: 15, key: b"key", value: &[0; 3000], expires_at_ms: Some(u64::MAX) },
        Effect::Splice { db: 1, key: b"key", value_len: 10, offset: 7, bytes: b"abc" },
        Effect::Expire { db: 2, key: b"key", at_ms: 1_700_000_000_000 },
        Effect::Persist { db: 3, key: b"key" },
        Effect::Remove { db: 4, key: b"key" },
        Effect::Clear { db: 5 },
        Effect::SwapDb { db: 6, other: 7 },
        Effect::Durable { sequence: 1 << 40 },
    ];
    let mut payload = Vec::new();
    for effect in &effects {
        effect.encode(&mut payload);
    }
    let back: Vec<_> = Effects::of(&payload).map(Result::unwrap).collect();
    assert_eq!(back, effects);
}

#[test]
fn a_payload_of_nonsense_is_an_error_and_never_a_panic() {
    let mut random = Random(3);
    let mut errors = 0;
    for _ in 0..100_000 {
        let bytes: Vec<u8> =
            (0..random.below(40)).map(|_| (random.next() & random.next()) as u8 & 0x1f).collect();
        errors += u32::from(Effects::of(&bytes).any(|effect| effect.is_err()));
    }
    assert!(errors > 50_000, "{errors} of 100,000");
    let beyond = [3, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, b'x'];
    assert_eq!(Effects::of(&beyond).filter(Result::is_err).count(), 1, "a splice beyond its value");
    // Each with a database that there is not: 16 and 15, the same two swapped with each other.
    for payload in [&[7, 16][..], &[6, 255, 0, 0, 0, 0], &[8, 16, 15], &[8, 15, 16]] {
        let effects: Vec<_> = Effects::of(payload).collect();
        assert_eq!(effects, [Err(EffectError { offset: 0 })], "{payload:?}");
    }
}

#[test]
fn all_records_come_back_in_every_mode_after_close_and_after_kill() {
    for mode in MODES {
        for segment_bytes_max in [64 << 20, 1500] {
            let context = format!("{mode:?}, segments of {segment_bytes_max}");
            let (folder, known) = written(mode, segment_bytes_max, 30_000);
            let (records, end) = read_back(&folder, START).unwrap();
            assert_eq!(records, known, "{context}, killed");
            assert_eq!(end.torn, None, "{context}");

            let storage: Arc<dyn Storage> = Arc::new(folder.clone());
            let (_, log) = recover(&storage, small_segments(mode, segment_bytes_max)).unwrap();
            let (sequence, effects) = append(&log, &mut Random(2));
            log.close().unwrap();
            let last = segment_name(folder.list().unwrap().len() as u64);
            let bytes = folder.content(&last);
            assert!(bytes.len() - used_bytes(&bytes) < 8, "{context}: zeros behind the mark");
            let (records, end) = read_back(&folder, START).unwrap();
            let known: Records = known.into_iter().chain([(sequence, effects)]).collect();
            assert_prefix(&records, &known, sequence, &context);
            assert_eq!(end.torn, None, "{context}");
            assert_eq!(records.len() as u64, sequence + 1, "{context}: the mark of a clean end");
        }
    }
}

#[test]
fn records_on_disk_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn Storage> = Arc::new(Disk::open(folder.path().join("a/b")).unwrap());
    for mode in MODES {
        let (before, log) = match read_back(&*disk, START) {
            Err(LogError::Missing { .. }) => (Records::new(), begin(&disk, options(mode))),
            _ => recover(&disk, small_segments(mode, 3000)).unwrap(),
        };
        let (mut known, mut random) = (before, Random(4));
        for _ in 0..100 {
            let (sequence, effects) = append(&log, &mut random);
            known.insert(sequence, effects);
            log.flush(sequence).unwrap();
        }
        log.close().unwrap();
        let (records, _) = read_back(&*disk, START).unwrap();
        assert_prefix(&records, &known, 100, &format!("{mode:?}"));
    }
}

#[test]
fn a_folder_is_locked_for_one_and_free_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let second = Disk::open(folder.path());
    assert!(matches!(second, Err(DiskError::InUse { .. })), "{second:?}");
    drop(disk);
    Disk::open(folder.path()).unwrap();
}

#[test]
fn a_log_cut_at_every_byte_is_exactly_a_prefix_and_says_how_many_bytes_were_torn() {
    let (folder, known) = written(SyncMode::Os, 64 << 20, 16_000);
    let (name, bytes) = (segment_name(1), folder.content(&segment_name(1)));
    // Where each record ends, as its header says.
    let mut ends = vec![SEGMENT_HEADER_BYTES];
    while *ends.last().unwrap() < bytes.len() {
        let at = *ends.last().unwrap();
        let len = u64::from_le_bytes(bytes[at + 16..at + 24].try_into().unwrap());
        ends.push(at + 24 + len as usize);
    }
    assert_eq!(ends.len() - 1, known.len());
    for len in SEGMENT_HEADER_BYTES..=bytes.len() {
        let context = format!("cut at {len}");
        let torn_folder = with_file(&folder, &name, &bytes[..len]);
        let (records, end) = read_back(&torn_folder, START).unwrap();
        let whole = ends.iter().filter(|&&end| end <= len).count() - 1;
        assert_eq!(records.len(), whole, "{context}");
        assert_prefix(&records, &known, whole as u64, &context);
        let torn_bytes = used_bytes(&bytes[ends[whole]..len]) as u64;
        assert_eq!(end.torn.as_ref().map_or(0, |torn| torn.bytes), torn_bytes, "{context}");
        if let Some(torn) = &end.torn {
            assert_eq!((torn.segment, torn.offset), (1, ends[whole] as u64), "{context}");
            cut(&torn_folder, torn, Keeping::All).unwrap();
            let (again, end) = read_back(&torn_folder, START).unwrap();
            assert_eq!((again, end.torn), (records, None), "{context}");
        }
    }
}

#[test]
fn a_last_segment_cut_at_every_byte_is_a_torn_tail_too() {
    let (folder, known) = written(SyncMode::Os, 4000, 10_000);
    let name = segment_name(folder.list().unwrap().len() as u64);
    let bytes = folder.content(&name);
    for len in 0..bytes.len() {
        let context = format!("cut at {len}");
        let storage: Arc<dyn Storage> = Arc::new(with_file(&folder, &name, &bytes[..len]));
        let (records, end) = read_back(&*storage, START).unwrap();
        assert_prefix(&records, &known, 1, &context);
        if len < SEGMENT_HEADER_BYTES {
            let torn_bytes = end.torn.map_or(0, |torn| torn.bytes);
            assert_eq!(torn_bytes, used_bytes(&bytes[..len]) as u64, "{context}");
            let (again, log) = recover(&storage, options(SyncMode::Os)).unwrap();
            assert_eq!(again, records);
            let sequence = append(&log, &mut Random(5)).0;
            log.close().unwrap();
            assert_eq!(sequence, records.len() as u64 + 1);
            assert_eq!(read_back(&*storage, START).unwrap().0.len() as u64, sequence + 1);
        }
    }
}

/// Reads the log with each bit changed. Asserts that a change is always found, that no wrong value
/// comes out, and that nothing is cut that a mark or a snapshot covers.
fn flip_every_bit(folder: &Faulty, known: &Records, durable: u64) {
    let names: Vec<String> = folder.list().expect("a list");
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(move || {
                let flipped = folder.killed();
                for at in 0..folder.content(name).len() {
                    for bit in 0..8 {
                        flipped.flip(name, at, 1 << bit);
                        check_flipped(&flipped, name, at as u64, known, durable);
                        flipped.flip(name, at, 1 << bit);
                    }
                }
            });
        }
    });
}

fn check_flipped(flipped: &Faulty, name: &str, at: u64, known: &Records, durable: u64) {
    let context = format!("{name} changed at {at}");
    match read_back(flipped, START) {
        Ok((records, end)) => {
            assert_prefix(&records, known, durable, &context);
            assert!(end.torn.expect(&context).bytes > 0, "{context}");
        }
        Err(LogError::Corrupt { torn, .. }) => {
            assert!(torn.file.contains("memory/log-"), "{context}: {torn:?}");
            assert!(torn.offset <= at || !torn.file.ends_with(name), "{context}: {torn:?}");
        }
        Err(LogError::UnknownVersion { file, .. }) => assert!(file.ends_with(name) && at < 12),
        Err(error) => panic!("{context}: {error}"),
    }
}

#[test]
fn every_flipped_bit_of_a_log_that_nothing_marks_is_found_and_costs_only_the_tail() {
    let (folder, known) = written(SyncMode::Os, 64 << 20, 4000);
    flip_every_bit(&folder, &known, 0);
}

#[test]
fn every_flipped_bit_of_a_closed_log_is_refused_or_costs_only_its_mark() {
    let (folder, known) = written(SyncMode::Everysec, 4000, 16_000);
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    let (_, log) = recover(&storage, options(SyncMode::Everysec)).unwrap();
    append(&log, &mut Random(9));
    let last = log.sequence();
    let mut known = known;
    known.insert(last, read_last(&log, &folder));
    log.close().unwrap();
    flip_every_bit(&folder, &known, last);
}

fn read_last(log: &kv_core::log::Log, folder: &Faulty) -> Vec<u8> {
    log.flush(log.sequence()).expect("a disk that works");
    read_back(folder, START).expect("a whole log").0.pop_last().expect("a record").1
}

#[test]
fn a_hole_below_a_mark_is_refused_with_file_and_offset() {
    let (folder, _) = written(SyncMode::Always, 64 << 20, 16_000);
    let mut bytes = folder.content(&segment_name(1));
    bytes[4096..4608].fill(0);
    let error = read_back(&with_file(&folder, &segment_name(1), &bytes), START).unwrap_err();
    let LogError::Corrupt { torn, .. } = &error else { panic!("{error}") };
    assert!(torn.offset <= 4608 && torn.bytes > 8000, "{torn:?}");
    let text = error.to_string();
    assert!(text.contains("memory/log-0000000001.kv") && text.contains(&torn.offset.to_string()));
}

#[test]
fn a_refused_log_can_be_repaired_where_the_error_says() {
    let (folder, known) = written(SyncMode::Always, 64 << 20, 16_000);
    let mut bytes = folder.content(&segment_name(1));
    bytes[8000] ^= 1;
    let broken = with_file(&folder, &segment_name(1), &bytes);
    let error = read_back(&broken, START).unwrap_err();
    cut(&broken, error.torn().unwrap(), Keeping::All).unwrap();
    let (records, end) = read_back(&broken, START).unwrap();
    assert_prefix(&records, &known, 10, "repaired");
    assert_eq!(end.torn, None);
}

/// Damage behind the last mark was once taken for a crash's work, and cut: all that a server had
/// written before it went quiet.
#[test]
fn damage_in_a_log_that_was_marked_when_no_changes_came_is_refused() {
    for mode in [SyncMode::Everysec, SyncMode::Always] {
        let folder = Faulty::default();
        let storage: Arc<dyn Storage> = Arc::new(folder.clone());
        let log = begin(&storage, options(mode));
        log.mark();
        assert_eq!(log.sequence(), 0, "nothing is there to be marked");
        let (first, effects) = append(&log, &mut Random(1));
        log.flush(first).expect("a disk that works");
        if mode == SyncMode::Everysec {
            log.mark();
            assert_eq!(log.sequence(), first, "it is not durable yet");
        }
        log.wait_durable(first).expect("a disk that works");
        for _ in 0..3 {
            log.mark();
            log.wait_durable(log.sequence()).expect("a disk that works");
            assert_eq!(log.sequence(), first + 1, "a mark needs no mark");
        }
        let name = segment_name(1);
        let bytes = folder.content(&name);
        let whole = Records::from([(first, effects), (first + 1, Vec::new())]);
        let (records, end) = read_back(&folder.killed(), START).expect("a whole log");
        assert_eq!((&records, end.torn), (&whole, None));
        for at in [SEGMENT_HEADER_BYTES + 2, SEGMENT_HEADER_BYTES + 40] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            let error = read_back(&with_file(&folder, &name, &damaged), START).unwrap_err();
            assert!(matches!(error, LogError::Corrupt { .. }), "{mode:?}, byte {at}: {error}");
        }
        drop(log);
    }
}

#[test]
fn what_was_cut_is_kept_once_and_not_in_the_place_of_something_else() {
    let (folder, _) = written(SyncMode::Os, 2000, 8000);
    let name = segment_name(2);
    let bytes = folder.content(&name);
    folder.put(&name, &bytes[..1500]);
    let torn = read_back(&folder, START).expect("a torn end").1.torn.expect("a torn end");
    assert_eq!(torn.segment, 2);
    let rest = &bytes[torn.offset as usize..1500];
    let kept = format!("{name}.cut-{}", torn.sequence);
    let third = folder.content(&segment_name(3));
    let set_aside = format!("{}.cut-{}", segment_name(3), torn.sequence);
    // As an interrupted copy left it.
    folder.put(&kept, &rest[..5]);
    let again = folder.killed();
    let files = |folder: &Faulty| cut(folder, &torn, Keeping::All).unwrap().files;
    assert!(files(&folder).starts_with(std::slice::from_ref(&kept)));
    assert_eq!(folder.content(&kept), rest);
    assert_eq!(folder.content(&set_aside), third);
    assert_eq!(read_back(&folder, START).unwrap().1.torn, None);

    let other = [&bytes[..torn.offset as usize], b"something else"].concat();
    again.put(&kept, rest);
    again.put(&name, &other);
    assert!(files(&again).starts_with(&[format!("{kept}-2")]));
    assert_eq!(again.content(&kept), rest);
    assert_eq!(again.content(&format!("{kept}-2")), b"something else");
}

/// A server that crashes again and again filled its disk with the segments behind a torn one.
#[test]
fn no_more_than_a_few_files_are_kept_unless_all_are_asked_for() {
    let (folder, _) = written(SyncMode::Os, 600, 20_000);
    let name = segment_name(2);
    let bytes = folder.content(&name);
    folder.put(&name, &bytes[..bytes.len() - 3]);
    let torn = read_back(&folder, START).expect("a torn end").1.torn.expect("a torn end");
    let is_used = |name: &String| folder.content(name).iter().any(|&byte| byte != 0);
    let used = folder.list().unwrap().into_iter().filter(is_used).count();
    assert!(used > 20, "{used} segments");
    for (keeping, files) in [(Keeping::WhatFits, 16), (Keeping::All, used - 1)] {
        let folder = folder.killed();
        let kept = cut(&folder, &torn, keeping).unwrap();
        assert_eq!(kept.files.len(), files, "{keeping:?}");
        assert_eq!(kept.not_all.is_some(), keeping == Keeping::WhatFits);
        assert_eq!(read_back(&folder, START).unwrap().1.torn, None);
        assert_eq!(
            folder.list().unwrap().iter().filter(|name| name.contains(".cut-")).count(),
            files
        );
    }
}

/// What could not be copied for want of room must not be gone because of that.
#[test]
fn what_cannot_be_kept_leaves_the_log_as_it_was() {
    let (folder, _) = written(SyncMode::Os, 64 << 20, 4000);
    let name = segment_name(1);
    let mut bytes = folder.content(&name);
    bytes.truncate(bytes.len() - 3);
    folder.put(&name, &bytes);
    let torn = read_back(&folder, START).expect("a torn end").1.torn.expect("a torn end");
    let full = folder.killed();
    full.limit(Some(bytes.len()));
    cut(&full, &torn, Keeping::All).unwrap_err();
    assert_eq!((full.list().unwrap(), full.content(&name)), (vec![name], bytes));
}

#[test]
fn a_log_shorter_than_its_snapshot_is_refused() {
    let (folder, known) = written(SyncMode::Os, 64 << 20, 4000);
    let last = *known.last_key_value().unwrap().0;
    let from = |after_sequence| LogStart { after_sequence, ..START };
    let (records, end) = read_back(&folder, from(last)).unwrap();
    assert_eq!((records.len(), end.sequence), (0, last));
    let (records, _) = read_back(&folder, from(last - 2)).unwrap();
    assert_eq!(records.len(), 2, "only what the snapshot lacks");
    let error = read_back(&folder, from(last + 1)).unwrap_err();
    assert!(matches!(error, LogError::Corrupt { .. }), "{error}");
}

#[test]
fn a_segment_that_is_missing_is_named() {
    let (folder, _) = written(SyncMode::Os, 2000, 12_000);
    for number in [1, 3] {
        let without = folder.killed();
        without.remove(&segment_name(number)).unwrap();
        let error = read_back(&without, START).unwrap_err();
        let name = segment_name(number);
        assert!(
            matches!(&error, LogError::Missing { file, .. } if file.ends_with(&name)),
            "{error}"
        );
    }
}

#[test]
fn an_unknown_version_is_refused_in_any_segment() {
    let (folder, _) = written(SyncMode::Os, 2000, 12_000);
    for number in [1, 4] {
        let mut bytes = folder.content(&segment_name(number));
        bytes[8] = 2;
        let error = read_back(&with_file(&folder, &segment_name(number), &bytes), START);
        let text = error.unwrap_err().to_string();
        assert!(text.contains(&segment_name(number)) && text.contains("version 2"), "{text}");
    }
}

#[test]
fn a_segment_of_another_store_or_place_is_refused() {
    let (folder, _) = written(SyncMode::Os, 2000, 12_000);
    let start = LogStart { salt: SALT + 1, ..START };
    assert!(matches!(read_back(&folder, start), Err(LogError::Foreign { .. })));
    let moved = with_file(&folder, &segment_name(2), &folder.content(&segment_name(3)));
    assert!(matches!(read_back(&moved, START), Err(LogError::Foreign { .. })));
}

#[test]
fn a_copy_of_the_log_stored_as_a_value_does_not_turn_a_torn_tail_into_corruption() {
    let (folder, _) = written(SyncMode::Always, 64 << 20, 8000);
    let copy = folder.content(&segment_name(1));
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    let (records, log) = recover(&storage, options(SyncMode::Os)).unwrap();
    let mut record = log.begin();
    record.push(&Effect::Put { db: 0, key: b"copy", value: &copy, expires_at_ms: None });
    let sequence = record.close();
    log.flush(sequence).unwrap();
    drop(log);
    let name = segment_name(2);
    let mut bytes = folder.content(&name);
    bytes[SEGMENT_HEADER_BYTES] ^= 1;
    let (again, end) = read_back(&with_file(&folder, &name, &bytes), START).unwrap();
    assert_eq!(again, records);
    assert!(end.torn.is_some());
}

/// Two logs of the same salt, segment and sequences, each record as long in one as in the other.
fn two_histories() -> [Vec<u8>; 2] {
    [b"one", b"two"].map(|value| {
        let folder = Faulty::default();
        let storage: Arc<dyn Storage> = Arc::new(folder.clone());
        let log = begin(&storage, options(SyncMode::Os));
        for _ in 0..10 {
            let mut record = log.begin();
            record.push(&Effect::Put { db: 0, key: b"key", value, expires_at_ms: None });
            record.close();
        }
        log.flush(10).expect("a disk that works");
        folder.content(&segment_name(1))
    })
}

#[test]
fn a_record_of_another_history_does_not_go_on_with_this_one() {
    let [one, two] = two_histories();
    let record_bytes = (one.len() - SEGMENT_HEADER_BYTES) / 10;
    let at = SEGMENT_HEADER_BYTES + 4 * record_bytes;
    let folder = Faulty::default();
    folder.put(&segment_name(1), &[&one[..at], &two[at..]].concat());
    let (records, end) = read_back(&folder, START).unwrap();
    assert_eq!(records.len(), 4);
    assert_eq!(end.torn.unwrap().offset, at as u64);
}

#[test]
fn blocks_of_another_segment_are_no_records_of_this_one() {
    // As when a file system gives a file that grew the blocks of one that was removed.
    let (folder, _) = written(SyncMode::Always, 3000, 12_000);
    let first = folder.content(&segment_name(1));
    let third = folder.content(&segment_name(3));
    let left = Faulty::default();
    let records = &third[SEGMENT_HEADER_BYTES..];
    left.put(&segment_name(1), &[&first[..2000], &[0; 48], records].concat());
    let (_, end) = read_back(&left, START).unwrap();
    assert!(end.torn.is_some(), "no mark in them says what was durable here");
}

#[test]
fn rotation_leaves_the_old_segments_free_to_go() {
    let folder = Faulty::default();
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    let log = begin(&storage, options(SyncMode::Everysec));
    assert_eq!(log.rotate().unwrap(), 1, "nothing is in the first yet");
    let mut random = Random(6);
    let snapshot = (0..10).map(|_| append(&log, &mut random).0).last().unwrap();
    let first_segment = log.rotate().unwrap();
    assert_eq!(first_segment, 2);
    assert_eq!(log.durable(), snapshot, "a snapshot may rely on it");
    let (sequence, effects) = append(&log, &mut random);
    storage.remove(&segment_name(1)).unwrap();
    log.close().unwrap();
    assert_eq!(folder.list().unwrap(), [segment_name(2)]);
    let start = LogStart { first_segment, after_sequence: snapshot, ..START };
    let (records, end) = read_back(&folder, start).unwrap();
    assert_eq!(records[&sequence], effects);
    assert_eq!(end.next_segment, 3);
}

#[test]
fn a_log_after_a_snapshot_alone_begins_behind_it() {
    let folder = Faulty::default();
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    let at = LogEnd::before(1, SALT, 100);
    let log = kv_core::log::Log::start(storage, options(SyncMode::Os), &at).unwrap();
    assert_eq!(append(&log, &mut Random(7)).0, 101);
    log.close().unwrap();
    let (records, _) = read_back(&folder, LogStart { after_sequence: 100, ..START }).unwrap();
    assert_eq!(*records.first_key_value().unwrap().0, 101);
    let error = read_back(&folder, START).unwrap_err();
    assert!(error.to_string().contains("begins with record 101"), "{error}");
}
