//! Records made by numbers, and what of them a log gives back. Each test file that needs them
//! includes this module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kv_core::log::{
    Effect, Effects, Keeping, Log, LogEnd, LogError, LogOptions, LogStart, SyncMode, cut, read,
};
use kv_core::storage::Storage;

use crate::faulty::Random;

pub(crate) const SALT: u64 = 0x0123_4567_89ab_cdef;
pub(crate) const MODES: [SyncMode; 3] = [SyncMode::Os, SyncMode::Everysec, SyncMode::Always];

/// The log as a new store reads it.
pub(crate) const START: LogStart = LogStart { salt: SALT, first_segment: 1, after_sequence: 0 };

/// Nothing happens by itself: syncs only when asked for.
pub(crate) fn options(mode: SyncMode) -> LogOptions {
    LogOptions {
        sync_interval: Duration::from_hours(1),
        exposure_max: Duration::from_hours(1),
        ..LogOptions::new(mode)
    }
}

/// The same, a segment being full so early that there are many.
pub(crate) fn small_segments(mode: SyncMode, segment_bytes_max: u64) -> LogOptions {
    LogOptions { segment_bytes_max, ..options(mode) }
}

/// A log in an empty folder.
pub(crate) fn begin(storage: &Arc<dyn Storage>, options: LogOptions) -> Log {
    Log::start(Arc::clone(storage), options, &LogEnd::before(1, SALT, 0)).expect("a new log")
}

/// The effects of each sequence, encoded, marks left out.
pub(crate) type Records = BTreeMap<u64, Vec<u8>>;

/// Makes a record of one to three effects that `random` chooses; answers its sequence and effects.
pub(crate) fn append(log: &Log, random: &mut Random) -> (u64, Vec<u8>) {
    let mut known = Vec::new();
    let mut record = log.begin();
    for _ in 0..=random.below(3) {
        with_effect(random, |effect| {
            effect.encode(&mut known);
            record.push(effect);
        });
    }
    (record.close(), known)
}

fn with_effect(random: &mut Random, mut push: impl FnMut(&Effect<'_>)) {
    let (db, key) = (random.below(16) as u8, format!("key:{}", random.below(50)));
    let key = key.as_bytes();
    let value: Vec<u8> = (0..random.below(120)).map(|_| random.next() as u8).collect();
    let value = &value[..];
    push(&match random.below(8) {
        0..3 => Effect::Put { db, key, value, expires_at_ms: None },
        3 => Effect::Put { db, key, value, expires_at_ms: Some(random.next()) },
        4 => Effect::Splice { db, key, value_len: 500, offset: 7, bytes: value },
        5 => Effect::Expire { db, key, at_ms: random.next() },
        6 => Effect::Remove { db, key },
        _ => Effect::Persist { db, key },
    });
}

/// What a log gives back, and where it ends.
pub(crate) fn read_back(
    storage: &dyn Storage,
    start: LogStart,
) -> Result<(Records, LogEnd), LogError> {
    let mut records = Records::new();
    let end = read(storage, start, |segment| {
        for record in segment.records {
            let mut effects = Vec::new();
            for effect in Effects::of(&segment.bytes[record.payload.clone()]) {
                match effect.expect("a record that was checked") {
                    Effect::Durable { .. } => {}
                    effect => effect.encode(&mut effects),
                }
            }
            assert!(records.insert(record.sequence, effects).is_none());
        }
        Ok(())
    })?;
    Ok((records, end))
}

/// Reads a log as a restart does: a torn tail is cut, and the log goes on.
pub(crate) fn recover(
    storage: &Arc<dyn Storage>,
    options: LogOptions,
) -> Result<(Records, Log), LogError> {
    let (records, mut end) = read_back(&**storage, START)?;
    if let Some(torn) = end.torn.take() {
        let failed = |cause| LogError::Io { file: torn.file.clone(), cause };
        cut(&**storage, &torn, Keeping::WhatFits).map_err(failed)?;
    }
    Ok((records, Log::start(Arc::clone(storage), options, &end)?))
}

/// Asserts that `found` are the first of `made`, up to `least` and perhaps beyond.
pub(crate) fn assert_prefix(found: &Records, known: &Records, least: u64, context: &str) {
    let count = found.len() as u64;
    assert!(count >= least, "{context}: {count} records, but {least} were promised");
    for (number, (sequence, effects)) in (1..).zip(found) {
        assert_eq!(*sequence, number, "{context}: a hole");
        let expected = known.get(sequence).map_or(&[][..], Vec::as_slice);
        assert_eq!(effects, expected, "{context}: record {sequence}");
    }
}
