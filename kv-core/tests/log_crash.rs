//! The log after a power cut or a kill at any moment: nothing promised is lost, what is left is a
//! prefix, and a restart is never refused.

mod faulty;
mod trace;

use std::sync::Arc;
use std::sync::Mutex;

use faulty::{Faulty, Random, seeds_wanted};
use kv_core::log::{Log, LogError, SyncMode};
use kv_core::storage::Storage;
use trace::{MODES, Records, append, assert_prefix, begin, options, recover, small_segments};

/// What a client was told: up to which record it survives a kill, and a power cut.
#[derive(Debug, Clone, Copy, Default)]
struct Promised {
    kill: u64,
    power_cut: u64,
}

/// Makes records and acknowledges them as the mode does, until all are made or the power is cut;
/// some are made together, some synced, and now and then a segment is begun.
fn run(log: &Log, mode: SyncMode, seed: u64, count: u64, known: &mut Records) -> Promised {
    let mut random = Random(seed);
    let mut promised = Promised::default();
    for _ in 0..count {
        let (sequence, effects) = append(log, &mut random);
        known.insert(sequence, effects);
        if random.percent(30) {
            continue;
        }
        if mode == SyncMode::Always || random.percent(20) {
            if log.wait_durable(sequence).is_ok() {
                promised = Promised { kill: sequence, power_cut: sequence };
            }
        } else if log.flush(sequence).is_ok() {
            promised.kill = sequence;
        }
        if random.percent(3) && log.rotate().is_ok() {
            promised.power_cut = log.durable();
        }
    }
    promised
}

/// Restarts on what a crash left, asserts that it holds what was promised, and goes on.
fn check(left: &Faulty, mode: SyncMode, known: &Records, least: u64, context: &str) {
    let storage: Arc<dyn Storage> = Arc::new(left.clone());
    let (records, log) = recover(&storage, small_segments(mode, 900))
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    assert_prefix(&records, known, least, context);
    let mut known = records.clone();
    let promised = run(&log, mode, 77, 5, &mut known);
    log.close().unwrap_or_else(|error| panic!("{context}: {error}"));
    let (records, _log) = recover(&storage, options(mode)).expect(context);
    assert_prefix(&records, &known, promised.kill, context);
}

#[test]
fn a_power_cut_at_every_call_loses_nothing_promised() {
    for mode in MODES {
        for after in 0.. {
            let folder = Faulty::default();
            let storage: Arc<dyn Storage> = Arc::new(folder.clone());
            let log = begin(&storage, small_segments(mode, 900));
            folder.freeze_after(after);
            let mut known = Records::new();
            let promised = run(&log, mode, 1, 60, &mut known);
            let is_whole = log.refusal().is_none() && log.close().is_ok();
            let context = format!("{mode:?}, cut after {after} calls, {promised:?}");
            check(&folder.killed(), mode, &known, promised.kill, &context);
            for seed in 0..4 {
                let left = folder.survivor(seed, [0, 30, 70, 100][seed as usize]);
                let context = format!("{context}, seed {seed}");
                check(&left, mode, &known, promised.power_cut, &context);
            }
            if is_whole {
                assert!(after > 60, "{mode:?}: the trace ends after {after} calls");
                break;
            }
        }
    }
}

#[test]
fn what_a_restart_after_a_kill_read_is_durable_from_then_on() {
    // The first process never synced; the second one's marks cover what it read.
    for seed in 0..40 {
        let folder = Faulty::default();
        let storage: Arc<dyn Storage> = Arc::new(folder.clone());
        let log = begin(&storage, small_segments(SyncMode::Os, 900));
        let mut known = Records::new();
        for _ in 0..20 {
            let (sequence, effects) = append(&log, &mut Random(seed));
            known.insert(sequence, effects);
            log.flush(sequence).unwrap();
        }
        drop(log);
        let (_, log) = recover(&storage, options(SyncMode::Everysec)).unwrap();
        assert_eq!(log.durable(), 20);
        let promised = run(&log, SyncMode::Everysec, seed, 10, &mut known);
        drop(log);
        let least = promised.power_cut.max(20);
        check(&folder.survivor(seed, 50), SyncMode::Os, &known, least, &format!("seed {seed}"));
    }
}

#[test]
fn a_second_power_cut_during_recovery_loses_nothing_promised() {
    for mode in MODES {
        for seed in 0..60 {
            let folder = Faulty::default();
            let storage: Arc<dyn Storage> = Arc::new(folder.clone());
            let log = begin(&storage, small_segments(mode, 900));
            folder.freeze_after(10 + seed);
            let mut known = Records::new();
            let promised = run(&log, mode, seed, 60, &mut known);
            drop(log);
            for after in 0..12 {
                let left = folder.survivor(seed, 50);
                left.freeze_after(after);
                let again: Arc<dyn Storage> = Arc::new(left.clone());
                match recover(&again, options(mode)) {
                    Ok(_) | Err(LogError::Io { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
                let context = format!("{mode:?}, seed {seed}, second cut after {after} calls");
                let twice = left.survivor(seed + after, 50);
                check(&twice, mode, &known, promised.power_cut, &context);
            }
        }
    }
}

#[test]
fn random_power_cuts_leave_a_prefix_with_all_that_was_promised() {
    for seed in seeds_wanted().unwrap_or(0..200) {
        let mut random = Random(seed);
        let mode = MODES[random.below(3) as usize];
        let folder = Faulty::default();
        let storage: Arc<dyn Storage> = Arc::new(folder.clone());
        let segment_bytes_max = [300, 2000, 64 << 20][random.below(3) as usize];
        let log = begin(&storage, small_segments(mode, segment_bytes_max));
        folder.freeze_after(random.below(120));
        let mut known = Records::new();
        let promised = run(&log, mode, seed, 80, &mut known);
        drop(log);
        let context = format!("seed {seed}, {mode:?}, {promised:?}");
        let left = folder.survivor(seed, random.below(101));
        check(&left, mode, &known, promised.power_cut, &context);
        check(&folder.killed(), mode, &known, promised.kill, &context);
    }
}

#[test]
fn threads_that_append_at_once_lose_nothing_in_any_mode() {
    const THREADS: u64 = 8;
    const RECORDS: u64 = 200;
    for mode in MODES {
        let folder = Faulty::default();
        let storage: Arc<dyn Storage> = Arc::new(folder.clone());
        let log = begin(&storage, small_segments(mode, 5000));
        let known = Mutex::new(Records::new());
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (log, known) = (&log, &known);
                scope.spawn(move || {
                    let mut random = Random(thread);
                    for _ in 0..RECORDS {
                        let (sequence, effects) = append(log, &mut random);
                        assert!(known.lock().unwrap().insert(sequence, effects).is_none());
                        match mode {
                            SyncMode::Always => log.wait_durable(sequence).unwrap(),
                            _ => log.flush(sequence).unwrap(),
                        }
                        let reached = match mode {
                            SyncMode::Always => log.durable(),
                            _ => log.written(),
                        };
                        assert!(reached >= sequence);
                    }
                });
            }
        });
        let (known, all) = (known.into_inner().unwrap(), THREADS * RECORDS);
        let left = if mode == SyncMode::Always { folder.survivor(1, 0) } else { folder.killed() };
        check(&left, mode, &known, all, &format!("{mode:?}"));
    }
}

#[test]
fn a_power_cut_among_threads_keeps_what_each_was_told() {
    for seed in 0..40 {
        let folder = Faulty::default();
        let storage: Arc<dyn Storage> = Arc::new(folder.clone());
        let log = begin(&storage, small_segments(SyncMode::Always, 3000));
        folder.freeze_after(20 + 3 * seed);
        let shared = Mutex::new((Records::new(), 0));
        std::thread::scope(|scope| {
            for thread in 0..6 {
                let (log, shared) = (&log, &shared);
                scope.spawn(move || {
                    let mut random = Random(seed * 100 + thread);
                    for _ in 0..60 {
                        let (sequence, effects) = append(log, &mut random);
                        shared.lock().unwrap().0.insert(sequence, effects);
                        if log.wait_durable(sequence).is_err() {
                            break;
                        }
                        let promised = &mut shared.lock().unwrap().1;
                        *promised = sequence.max(*promised);
                    }
                });
            }
        });
        drop(log);
        let (known, promised) = shared.into_inner().unwrap();
        let context = format!("seed {seed}, {promised} promised");
        check(&folder.survivor(seed, 50), SyncMode::Always, &known, promised, &context);
    }
}

#[test]
fn a_folder_that_lost_its_names_starts_as_it_was_synced() {
    // A log begins only when its first segment's name is durable.
    let folder = Faulty::default();
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    drop(begin(&storage, options(SyncMode::Os)));
    assert_eq!(folder.survivor(1, 0).list().unwrap().len(), 1);
}
