//! A damaged folder, and a disk that cannot be read: through the whole of recovery, what comes back
//! is the store as it was at some step, or nothing and the reason.
//!
//! The readers of log and snapshot meet every bit in their own tests; here it is every one with
//! `KV_SEEDS` set, and a part of them without, but for the manifest.

mod faulty;
mod history;
mod lives;
mod saved;
mod store;

use std::sync::Arc;

use faulty::{EIO, ENOSPC, Faulty, Operation, seeds_wanted};
use history::{Action, History, empty};
use kv_core::Engine;
use kv_core::data_dir::{DataDir, Durability, Progress, RecoveryError};
use kv_core::storage::Storage;
use lives::{Life, MODES, Place, each, is_io, live};

const MANIFEST: &str = "MANIFEST";

/// Every so many of all cases are tried, and others in each mode.
const STRIDE: usize = 97;

fn stride() -> usize {
    if seeds_wanted().is_some() { 1 } else { STRIDE }
}

/// A store that lived: in a snapshot and, where the mode has one, a log of some segments.
struct Lived {
    history: History,
    life: Life,
    folder: Faulty,
    /// Those of its files that recovery keeps: the others are rubbish that a crash left.
    files: Vec<String>,
    /// Its last change.
    last: Place,
}

impl Lived {
    /// To an orderly end: all of it is durable, and the log says so.
    fn to_the_end(durability: Durability) -> Self {
        let mut steps = History::new(5, 60).steps;
        steps[20].action = Action::Save;
        // In `snapshot` mode a server takes one at its end.
        steps[59].action = match durability {
            Durability::Snapshot => Action::Save,
            _ => Action::Sync,
        };
        let history = History::of(steps);
        let folder = Faulty::default();
        let life = live(&history, &folder, durability, Place::default());
        assert!(life.is_whole);
        let this = Self::found(history, life, folder);
        assert_eq!(this.last.steps, 60);
        this
    }

    /// To a kill: what is behind the last mark is not known to be durable.
    fn to_a_kill(durability: Durability) -> Self {
        let Self { history, folder, .. } = Self::to_the_end(durability);
        let calls = folder.changing_calls();
        let folder = Faulty::default();
        folder.freeze_after(calls - 4);
        let life = live(&history, &folder, durability, Place::default());
        Self::found(history, life, folder.killed())
    }

    fn found(history: History, life: Life, folder: Faulty) -> Self {
        let (last, left) = life.check(&history, &folder.killed(), life.kill, "not damaged");
        let left = left.list().expect("a list");
        let mut files = folder.list().expect("a list");
        files.retain(|name| left.contains(name));
        Self { history, life, folder, files, last }
    }
}

/// What may be found of a damaged store: a part of the log, and all of the rest.
fn check_found(lived: &Lived, damaged: &Faulty, name: &str, least: usize, context: &str) {
    match lived.life.try_recover(&lived.history, damaged, context) {
        Ok((place, _)) => {
            assert!(name.starts_with("log-"), "{context}: nobody noticed");
            assert!(place.steps >= least, "{context}: found {place:?} of {least} steps");
        }
        Err(error) => {
            assert!(!is_io(&error), "{context}: {error}");
            assert!(error.to_string().contains("memory/"), "{context}: {error} names no file");
        }
    }
}

fn flip_bits(lived: &Lived, durability: Durability, phase: usize, least: usize) {
    for name in &lived.files {
        let bits = lived.folder.content(name).len() * 8;
        let stride = if name == MANIFEST { 1 } else { stride() };
        each((phase as u64 % stride as u64..bits as u64).step_by(stride), |bit| {
            let damaged = lived.folder.killed();
            damaged.flip(name, bit as usize / 8, 1 << (bit % 8));
            let context = format!("{durability}: bit {bit} of {name}");
            check_found(lived, &damaged, name, least, &context);
        });
    }
}

#[test]
fn every_flipped_bit_of_a_store_that_ended_in_order_is_refused_or_costs_only_a_mark() {
    for (phase, durability) in MODES.into_iter().enumerate() {
        let lived = Lived::to_the_end(durability);
        flip_bits(&lived, durability, phase, lived.last.steps);
    }
}

#[test]
fn every_flipped_bit_of_a_store_that_was_killed_is_refused_or_costs_only_the_end_of_the_log() {
    for (phase, durability) in MODES.into_iter().enumerate() {
        let lived = Lived::to_a_kill(durability);
        flip_bits(&lived, durability, phase, 0);
    }
}

#[test]
fn a_store_with_a_file_cut_anywhere_is_refused_or_lost_only_the_end_of_the_log() {
    for (phase, durability) in MODES.into_iter().enumerate() {
        for lived in [Lived::to_the_end(durability), Lived::to_a_kill(durability)] {
            for name in &lived.files {
                let bytes = lived.folder.content(name);
                let stride = if name == MANIFEST { 1 } else { stride() };
                each((phase as u64 % stride as u64..bytes.len() as u64).step_by(stride), |len| {
                    let damaged = lived.folder.killed();
                    damaged.put(name, &bytes[..len as usize]);
                    let context = format!("{durability}: {name} cut at {len}");
                    check_found(&lived, &damaged, name, 0, &context);
                });
            }
        }
    }
}

#[test]
fn a_store_without_one_of_its_files_is_refused_or_lost_only_the_end_of_the_log() {
    for durability in MODES {
        let lived = Lived::to_the_end(durability);
        for name in &lived.files {
            let damaged = lived.folder.killed();
            damaged.remove(name).expect("it is there");
            let context = format!("{durability}: without {name}");
            match lived.life.try_recover(&lived.history, &damaged, &context) {
                Ok(_) => assert!(name.starts_with("log-"), "{context}: nobody noticed"),
                // That there is none of this name is an error of the system.
                Err(error) => assert!(error.to_string().contains("memory/"), "{error}"),
            }
        }
    }
}

#[test]
fn a_call_that_fails_during_recovery_loses_nothing() {
    for durability in MODES {
        let lived = Lived::to_a_kill(durability);
        let mut failed = 0;
        for operation in Operation::ALL {
            for errno in [EIO, ENOSPC] {
                for nth in 1.. {
                    let folder = lived.folder.killed();
                    folder.fail_next(operation, nth, errno);
                    let context = format!("{durability}: {operation:?} {nth} fails with {errno}");
                    let promised = match lived.life.try_recover(&lived.history, &folder, &context) {
                        // Not every call is needed. What it read is durable from then on.
                        Ok((place, _)) => {
                            assert_eq!(place, lived.last, "{context}");
                            place.sequence
                        }
                        Err(error) => {
                            failed += 1;
                            assert!(is_io(&error), "{context}: {error}");
                            let text = error.to_string();
                            assert!(text.contains("memory/"), "{context}: {text} names no file");
                            lived.life.power_cut
                        }
                    };
                    let is_past = folder.calls(operation) < nth;
                    // Nothing fails any more.
                    let left = folder.killed();
                    let (place, _) = lived.life.check(&lived.history, &left, 0, &context);
                    assert_eq!(place, lived.last, "{context}");
                    for seed in 0..2 {
                        let left = folder.survivor(seed, 50);
                        let context = format!("{context}, then a power cut, seed {seed}");
                        lived.life.check(&lived.history, &left, promised, &context);
                    }
                    if is_past {
                        break;
                    }
                }
            }
        }
        assert!(failed > 10, "{durability}: {failed} recoveries failed");
    }
}

#[test]
fn a_recovery_that_is_cancelled_changes_nothing() {
    for durability in MODES {
        let lived = Lived::to_a_kill(durability);
        let folder = lived.folder.killed();
        let (engine, _) = empty();
        let progress = Progress::default();
        progress.cancel();
        let storage = Arc::new(folder.clone());
        let opened = DataDir::open(storage, &engine, durability, &progress);
        assert!(matches!(opened, Err(RecoveryError::Cancelled)), "{durability}");
        assert_eq!(folder.changing_calls(), 0, "{durability}");
        let (place, _) = lived.life.check(&lived.history, &folder, lived.life.kill, "afterwards");
        assert_eq!(place, lived.last);
    }
}

/// A full disk let a start fail after the end of the log was cut off; the next start found nothing
/// wrong, and nobody ever read that something had been there, nor where it is.
#[test]
fn a_start_that_fails_after_the_log_was_cut_still_tells_what_was_cut() {
    let folder = Lived::to_a_kill(Durability::Os).folder;
    let names = folder.list().expect("a list");
    // The next one may be there already, made ahead of need.
    let is_used = |name: &&String| folder.content(name).iter().any(|&byte| byte != 0);
    let mut logs = names.iter().filter(|name| name.starts_with("log-"));
    let last = logs.rfind(is_used).expect("a log");
    let torn = [&folder.content(last)[..], b"half a record"].concat();
    folder.put(last, &torn);
    // The copy of what is cut off, and then the next segment.
    folder.fail_next(Operation::Create, 2, ENOSPC);
    let progress = Progress::default();
    let storage: Arc<dyn Storage> = Arc::new(folder.clone());
    let opened = DataDir::open(storage, &Engine::default(), Durability::Os, &progress);
    assert!(opened.is_err());
    let cut = progress.cut().expect("it was cut");
    assert_eq!(cut.torn.bytes, 13);
    assert_eq!((cut.kept.files.len(), &cut.kept.not_all), (1, &None));
    assert!(!folder.content(last).ends_with(b"half a record"));
}
