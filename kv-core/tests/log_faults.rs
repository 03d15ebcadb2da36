//! The log when the disk fails: what is refused, what waits, what is never tried again.

mod faulty;
mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use faulty::{EIO, ENOSPC, Fault, Faulty, Operation, Random};
use kv_core::log::{Effect, Log, LogOptions, SyncMode};
use kv_core::storage::Storage;
use trace::{MODES, Records, START, append, assert_prefix, begin, options, read_back, recover};

fn folder() -> (Faulty, Arc<dyn Storage>) {
    let folder = Faulty::default();
    (folder.clone(), Arc::new(folder))
}

/// Makes records and acknowledges them as the mode does; answers the last one acknowledged.
fn acknowledge(log: &Log, mode: SyncMode, known: &mut Records, count: u64) -> u64 {
    let mut random = Random(log.sequence());
    let mut acknowledged = 0;
    for _ in 0..count {
        let (sequence, effects) = append(log, &mut random);
        known.insert(sequence, effects);
        let result = match mode {
            SyncMode::Always => log.wait_durable(sequence),
            _ => log.flush(sequence),
        };
        if result.is_ok() {
            acknowledged = sequence;
        }
    }
    acknowledged
}

/// Waits until the thread has brought about what `is_so` says.
fn wait_until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < Duration::from_mins(1), "it never happened");
        std::thread::yield_now();
    }
}

#[test]
fn a_failed_sync_poisons_the_log_and_is_never_repeated() {
    for mode in MODES {
        let (folder, storage) = folder();
        let log = begin(&storage, options(mode));
        let mut known = Records::new();
        acknowledge(&log, mode, &mut known, 5);
        log.wait_durable(5).unwrap();
        folder.fail_next(Operation::SyncData, 1, EIO);
        let (sequence, effects) = append(&log, &mut Random(2));
        known.insert(sequence, effects);
        let failure = log.wait_durable(sequence).unwrap_err();
        assert_eq!(&*failure.reason, "Input/output error", "{mode:?}");
        assert!(failure.lasting);
        assert_eq!(log.refusal(), Some(failure));

        let calls = [Operation::SyncData, Operation::Write, Operation::SetLen];
        let before = calls.map(|operation| folder.calls(operation));
        assert!(log.wait_durable(sequence).is_err());
        let (sequence, _) = append(&log, &mut Random(3));
        assert!(log.flush(sequence).is_err());
        assert!(log.wait_durable(sequence).is_err());
        assert!(log.rotate().is_err());
        assert!(log.wait_durable(5).is_ok(), "what was durable is");
        assert!(log.close().is_err());
        assert_eq!(calls.map(|operation| folder.calls(operation)), before, "{mode:?}");

        for seed in 0..20 {
            let survivor: Arc<dyn Storage> = Arc::new(folder.survivor(seed, 50));
            let (records, _log) = recover(&survivor, options(mode)).unwrap();
            assert_prefix(&records, &known, 5, &format!("{mode:?}, seed {seed}"));
        }
    }
}

#[test]
fn a_restart_makes_durable_what_a_failed_sync_gave_up() {
    for segment_bytes_max in [64 << 20, 700] {
        let (folder, storage) = folder();
        let options = LogOptions { segment_bytes_max, ..options(SyncMode::Everysec) };
        let log = begin(&storage, options);
        let mut known = Records::new();
        let synced = acknowledge(&log, SyncMode::Everysec, &mut known, 10);
        log.wait_durable(synced).unwrap();
        let written = acknowledge(&log, SyncMode::Everysec, &mut known, 20);
        folder.fail_from_now(Operation::SyncData, EIO);
        assert!(log.wait_durable(written).is_err());
        drop(log);

        let killed = folder.killed();
        let storage: Arc<dyn Storage> = Arc::new(killed.clone());
        let (records, log) = recover(&storage, options).unwrap();
        assert_prefix(&records, &known, written, "read by the restart");
        assert_eq!(log.durable(), written, "so says the next mark");
        let (records, _) = read_back(&killed.survivor(1, 0), START).unwrap();
        assert_prefix(&records, &known, written, "after a power cut then");
    }
}

#[test]
fn everysec_keeps_nothing_that_a_failed_sync_gave_up() {
    let (folder, storage) = folder();
    let log = begin(&storage, options(SyncMode::Everysec));
    let (synced, _) = append(&log, &mut Random(1));
    log.wait_durable(synced).unwrap();
    let (written, _) = append(&log, &mut Random(2));
    log.settle(written).unwrap();
    assert_eq!(log.kept(), written, "it has a second for its sync");
    folder.fail_next(Operation::SyncData, 1, EIO);
    let failure = log.wait_durable(written).unwrap_err();
    assert_eq!(log.settle(written), Err(failure));
    assert_eq!(log.kept(), synced);
    log.settle(synced).unwrap();
}

#[test]
fn every_waiter_learns_that_the_sync_failed() {
    let (folder, storage) = folder();
    let log = begin(&storage, options(SyncMode::Always));
    folder.hold_syncs();
    folder.fail_next(Operation::SyncData, 2, EIO);
    std::thread::scope(|scope| {
        let waits: Vec<_> = (0..8)
            .map(|seed| {
                let log = &log;
                scope.spawn(move || log.wait_durable(append(log, &mut Random(seed)).0))
            })
            .collect();
        folder.wait_for_held_sync();
        wait_until(|| log.sequence() == 8);
        // The sync that hangs works; if it has taken all, one more record meets the one that fails.
        let last = append(&log, &mut Random(9)).0;
        folder.release_syncs();
        assert!(log.wait_durable(last).is_err());
        let failed = waits.into_iter().filter_map(|wait| wait.join().unwrap().err()).count();
        assert_eq!(failed as u64, 8 - log.durable());
    });
}

#[test]
fn a_failed_write_poisons_the_log() {
    for mode in MODES {
        let (folder, storage) = folder();
        let log = begin(&storage, options(mode));
        let mut known = Records::new();
        acknowledge(&log, mode, &mut known, 3);
        folder.fail_next(Operation::Write, 1, EIO);
        assert_eq!(acknowledge(&log, mode, &mut known, 2), 0);
        let calls = (folder.calls(Operation::Write), folder.calls(Operation::SyncData));
        assert_eq!(acknowledge(&log, mode, &mut known, 2), 0);
        assert_eq!(log.refusal().unwrap().reason.as_ref(), "Input/output error");
        drop(log);
        assert_eq!(calls, (folder.calls(Operation::Write), folder.calls(Operation::SyncData)));
        let (records, _) = read_back(&folder.killed(), START).unwrap();
        assert_prefix(&records, &known, 3, &format!("{mode:?}"));
    }
}

fn retrying(mode: SyncMode) -> LogOptions {
    LogOptions { retry_interval: Duration::from_millis(1), ..options(mode) }
}

/// Leaves this much room on the disk and makes records until they do not fit; answers the last one
/// acknowledged.
fn fill(folder: &Faulty, log: &Log, mode: SyncMode, known: &mut Records, room: usize) -> u64 {
    let names = folder.list().expect("a list");
    let used: usize = names.iter().map(|name| folder.content(name).len()).sum();
    folder.limit(Some(used + room));
    if mode != SyncMode::Always {
        return acknowledge(log, mode, known, 20);
    }
    // Longer than the zeros that were written ahead.
    let value = vec![7; 1 << 20];
    let effect = Effect::Put { db: 0, key: b"k", value: &value, expires_at_ms: None };
    let mut record = log.begin();
    record.push(&effect);
    let sequence = record.close();
    effect.encode(known.entry(sequence).or_default());
    assert!(log.wait_durable(sequence).is_err());
    0
}

fn assert_full(log: &Log, context: &str) {
    let refusal = log.refusal().expect(context);
    assert_eq!(refusal.reason.as_ref(), "No space left on device");
    assert!(!refusal.lasting);
}

#[test]
fn a_full_disk_leaves_whole_records_only() {
    for mode in MODES {
        for room in [0, 1, 30, 400, 700] {
            let context = format!("{mode:?}, {room} bytes left");
            let (folder, storage) = folder();
            let never = Duration::from_hours(1);
            let log = begin(&storage, LogOptions { retry_interval: never, ..options(mode) });
            let mut known = Records::new();
            let before = acknowledge(&log, mode, &mut known, 20);
            let acknowledged = fill(&folder, &log, mode, &mut known, room).max(before);
            assert_full(&log, &context);
            let (records, end) = read_back(&folder.killed(), START).unwrap();
            assert_prefix(&records, &known, acknowledged, &context);
            assert_eq!(end.torn, None, "{context}");
        }
    }
}

#[test]
fn a_full_disk_refuses_changes_and_the_log_goes_on_when_there_is_space() {
    for mode in MODES {
        for room in [0, 1, 30, 400, 700] {
            let context = format!("{mode:?}, {room} bytes left");
            let (folder, storage) = folder();
            let log = begin(&storage, retrying(mode));
            let mut known = Records::new();
            acknowledge(&log, mode, &mut known, 20);
            fill(&folder, &log, mode, &mut known, room);
            assert_full(&log, &context);
            folder.limit(None);
            wait_until(|| log.refusal().is_none());
            let acknowledged = acknowledge(&log, mode, &mut known, 5);
            assert_eq!(acknowledged, log.sequence(), "{context}");
            log.close().unwrap();
            let (records, _) = read_back(&folder, START).unwrap();
            assert_prefix(&records, &known, acknowledged, &context);
        }
    }
}

#[test]
fn what_was_written_before_the_disk_was_full_can_still_be_synced() {
    let (folder, storage) = folder();
    let log = begin(&storage, options(SyncMode::Everysec));
    let mut known = Records::new();
    let written = acknowledge(&log, SyncMode::Everysec, &mut known, 3);
    folder.fail_from_now(Operation::Write, ENOSPC);
    assert_eq!(acknowledge(&log, SyncMode::Everysec, &mut known, 3), 0);
    log.wait_durable(written).unwrap();
    assert!(log.wait_durable(written + 1).is_err());
}

#[test]
fn what_a_full_disk_did_not_take_stays_exposed() {
    let (folder, storage) = folder();
    let log = begin(&storage, options(SyncMode::Everysec));
    let mut known = Records::new();
    let written = acknowledge(&log, SyncMode::Everysec, &mut known, 3);
    let written_bytes = log.appended_bytes();
    folder.fail_from_now(Operation::Write, ENOSPC);
    assert_eq!(acknowledge(&log, SyncMode::Everysec, &mut known, 3), 0);
    log.wait_durable(written).unwrap();
    let unwritten_bytes = log.appended_bytes() - written_bytes;
    assert_eq!(log.exposure().unsynced_bytes, unwritten_bytes);
    let before_ms = log.exposure().unsynced_ms;
    wait_until(|| log.exposure().unsynced_ms > before_ms);
}

#[test]
fn a_full_disk_that_cannot_be_cut_back_poisons_the_log() {
    let (folder, storage) = folder();
    let log = begin(&storage, retrying(SyncMode::Os));
    let mut known = Records::new();
    acknowledge(&log, SyncMode::Os, &mut known, 3);
    folder.fail_from_now(Operation::Write, ENOSPC);
    folder.fail_from_now(Operation::SetLen, EIO);
    assert_eq!(acknowledge(&log, SyncMode::Os, &mut known, 1), 0);
    assert!(log.refusal().unwrap().lasting);
}

#[test]
fn no_space_for_zeros_ahead_is_no_failure() {
    let (folder, storage) = folder();
    folder.limit(Some(5000));
    let log = begin(&storage, options(SyncMode::Always));
    let mut known = Records::new();
    assert_eq!(acknowledge(&log, SyncMode::Always, &mut known, 10), 10);
    assert_eq!(log.refusal(), None);
    let (records, _) = read_back(&folder.survivor(1, 0), START).unwrap();
    assert_prefix(&records, &known, 10, "plain appending");
}

#[test]
fn a_segment_that_cannot_be_made_is_tried_again() {
    for (operation, lasting) in [(Operation::Create, false), (Operation::SyncDir, true)] {
        let (folder, storage) = folder();
        let log = begin(&storage, retrying(SyncMode::Everysec));
        let mut known = Records::new();
        acknowledge(&log, SyncMode::Everysec, &mut known, 3);
        folder.fail_from_now(operation, ENOSPC);
        assert_eq!(log.rotate().unwrap_err().lasting, lasting, "{operation:?}");
        folder.mend();
        if !lasting {
            wait_until(|| log.refusal().is_none());
            assert_eq!(acknowledge(&log, SyncMode::Everysec, &mut known, 3), 6);
            assert_eq!(log.rotate().unwrap(), 3);
            assert_prefix(&read_back(&folder, START).unwrap().0, &known, 6, "all");
        }
    }
}

#[test]
fn a_log_that_cannot_begin_says_which_file() {
    for operation in [Operation::Create, Operation::SyncDir, Operation::Write, Operation::SyncData]
    {
        let (folder, storage) = folder();
        folder.fail_next(operation, 1, EIO);
        let at = kv_core::log::LogEnd::before(1, trace::SALT, 0);
        let Err(error) = Log::start(Arc::clone(&storage), options(SyncMode::Os), &at) else {
            panic!("{operation:?} failed unseen")
        };
        assert_eq!(error.to_string(), "memory/log-0000000001.kv: Input/output error");
        // Nothing was promised, so it can be tried again.
        begin(&storage, options(SyncMode::Os)).close().unwrap();
    }
}

#[test]
fn everysec_acknowledges_while_a_sync_hangs_until_too_much_is_at_risk() {
    let (folder, storage) = folder();
    let hour = Duration::from_hours(1);
    let log = begin(&storage, LogOptions { exposure_max: hour, ..options(SyncMode::Everysec) });
    let (first, _) = append(&log, &mut Random(1));
    folder.hold_syncs();
    log.flush(first).unwrap();
    assert!(!log.wait_durable_until(first, Instant::now()).unwrap(), "asks, and does not wait");
    folder.wait_for_held_sync();
    let (second, _) = append(&log, &mut Random(2));
    log.flush(second).unwrap();
    assert_eq!((log.written(), log.durable()), (second, 0));
    assert!(log.exposure().unsynced_bytes > 0);
    assert!(!log.wait_durable_until(second, Instant::now()).unwrap(), "the deadline passes");
    folder.release_syncs();
    log.wait_durable(second).unwrap();
    assert_eq!(log.exposure(), kv_core::log::Exposure::default());
}

#[test]
fn everysec_waits_for_a_sync_that_lets_others_be_at_risk_for_too_long() {
    let (folder, storage) = folder();
    let log =
        begin(&storage, LogOptions { exposure_max: Duration::ZERO, ..options(SyncMode::Everysec) });
    folder.hold_syncs();
    let released = AtomicU64::new(0);
    let (first, _) = append(&log, &mut Random(1));
    std::thread::scope(|scope| {
        let flusher = scope.spawn(|| {
            // Whatever is older than nothing at all waits for its sync.
            while log.durable() < first {
                log.flush(log.sequence()).unwrap();
            }
            released.load(Ordering::SeqCst)
        });
        folder.wait_for_held_sync();
        released.store(1, Ordering::SeqCst);
        folder.release_syncs();
        assert_eq!(flusher.join().unwrap(), 1);
    });
}

#[test]
fn always_answers_only_what_is_durable() {
    let (folder, storage) = folder();
    let log = begin(&storage, options(SyncMode::Always));
    folder.hold_syncs();
    let (first, _) = append(&log, &mut Random(1));
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| log.wait_durable(first));
        folder.wait_for_held_sync();
        assert_eq!(log.durable(), 0);
        assert!(!log.wait_durable_until(first, Instant::now()).unwrap());
        assert!(read_back(&folder.survivor(1, 0), START).unwrap().0.is_empty());
        folder.release_syncs();
        waits.join().unwrap().unwrap();
    });
    assert_eq!(read_back(&folder.survivor(1, 0), START).unwrap().0.len(), 1);
}

#[test]
fn a_sync_a_second_happens_by_itself() {
    let (_, storage) = folder();
    let often = Duration::from_millis(1);
    let log = begin(&storage, LogOptions { sync_interval: often, ..options(SyncMode::Everysec) });
    let (sequence, _) = append(&log, &mut Random(1));
    log.flush(sequence).unwrap();
    wait_until(|| log.durable() == sequence);
}

#[test]
fn a_burst_of_failures_of_one_kind_does_not_mix_up_the_log() {
    // Short writes and full disks at every call of a trace, each followed by space again.
    for nth in 1..40 {
        let (folder, storage) = folder();
        let options = LogOptions { segment_bytes_max: 700, ..retrying(SyncMode::Everysec) };
        let log = begin(&storage, options);
        let mut known = Records::new();
        let first = folder.calls(Operation::Write) + nth;
        folder.fail(Fault { operation: Operation::Write, first, count: 2, errno: ENOSPC });
        for _ in 0..40 {
            acknowledge(&log, SyncMode::Everysec, &mut known, 1);
            if log.refusal().is_some() {
                wait_until(|| log.refusal().is_none());
            }
        }
        log.close().unwrap();
        let (records, _) = read_back(&folder, START).unwrap();
        assert_prefix(&records, &known, 40, &format!("write {nth} fails"));
    }
}

/// Leaves word; answers how often that was called, and what was durable when it was.
fn leave_word(log: &Arc<Log>, sequence: u64) -> Arc<(AtomicU64, AtomicU64)> {
    let told = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let (theirs, weak) = (Arc::clone(&told), Arc::downgrade(log));
    let notice = move || {
        let durable = weak.upgrade().map_or(0, |log| log.durable());
        theirs.1.store(durable, Ordering::SeqCst);
        theirs.0.fetch_add(1, Ordering::SeqCst);
    };
    log.notify(sequence, Arc::new(notice));
    told
}

#[test]
fn who_leaves_word_is_told_once_the_record_is_durable_and_not_before() {
    for mode in MODES {
        let (folder, storage) = folder();
        let log = Arc::new(begin(&storage, options(mode)));
        folder.hold_syncs();
        let first = append(&log, &mut Random(1)).0;
        let told_first = leave_word(&log, first);
        folder.wait_for_held_sync();
        let second = append(&log, &mut Random(2)).0;
        let told_second = leave_word(&log, second);
        assert!(log.verdict(first).is_none(), "{mode:?}");
        assert_eq!(told_first.0.load(Ordering::SeqCst), 0, "{mode:?}");
        folder.release_syncs();
        for (sequence, told) in [(first, told_first), (second, told_second)] {
            wait_until(|| told.0.load(Ordering::SeqCst) == 1);
            assert!(told.1.load(Ordering::SeqCst) >= sequence, "{mode:?}");
        }
        // Of what is durable already, as of what somebody else's sync makes so.
        let told = leave_word(&log, first);
        wait_until(|| told.0.load(Ordering::SeqCst) == 1);
    }
}

#[test]
fn one_who_comes_alone_after_a_crowd_is_served_too() {
    let (folder, storage) = folder();
    let log = Arc::new(begin(&storage, options(SyncMode::Always)));
    folder.hold_syncs();
    let word = |seed| leave_word(&log, append(&log, &mut Random(seed)).0);
    let first = word(0);
    folder.wait_for_held_sync();
    // A sync that takes long, and a crowd that comes meanwhile: the next one serves them together.
    let crowd: Vec<_> = (1..100).map(word).chain([first]).collect();
    folder.release_syncs();
    for told in crowd {
        wait_until(|| told.0.load(Ordering::SeqCst) == 1);
    }
    let alone = word(100);
    wait_until(|| alone.0.load(Ordering::SeqCst) == 1);
}

#[test]
fn who_leaves_word_is_told_when_the_log_fails() {
    for mode in MODES {
        let (folder, storage) = folder();
        let log = Arc::new(begin(&storage, options(mode)));
        let sequence = append(&log, &mut Random(1)).0;
        folder.fail_next(Operation::SyncData, 1, EIO);
        let told = leave_word(&log, sequence);
        wait_until(|| told.0.load(Ordering::SeqCst) == 1);
        assert!(log.verdict(sequence).is_some() && log.wait_durable(sequence).is_err(), "{mode:?}");
        assert!(told.1.load(Ordering::SeqCst) < sequence, "{mode:?}");

        let told = leave_word(&log, append(&log, &mut Random(2)).0);
        wait_until(|| told.0.load(Ordering::SeqCst) == 1);
    }
}

#[test]
fn who_leaves_word_is_told_that_the_disk_is_full() {
    for mode in MODES {
        let (folder, storage) = folder();
        let log = Arc::new(begin(&storage, options(mode)));
        folder.fail_from_now(Operation::Write, ENOSPC);
        let sequence = append(&log, &mut Random(1)).0;
        let told = leave_word(&log, sequence);
        wait_until(|| told.0.load(Ordering::SeqCst) == 1);
        let failure = log.wait_durable(sequence).unwrap_err();
        assert!(!failure.lasting, "{mode:?}");
    }
}
