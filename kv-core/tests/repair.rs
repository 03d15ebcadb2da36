//! Repair, whatever interrupts it: the store can be repaired again, and what was cut off its log is
//! beside it.

mod faulty;
mod history;
mod lives;
mod saved;
mod store;

use std::sync::Arc;

use faulty::{EIO, Faulty};
use history::{Action, History};
use kv_core::Engine;
use kv_core::data_dir::{self, DataDir, Durability, Progress};
use kv_core::log::Torn;
use kv_core::log::segment::{SEGMENT_HEADER_BYTES, segment_name, segment_number};
use kv_core::storage::Storage;
use lives::{Place, live};

/// The power is cut, or the disk fails, at one call.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    PowerCut { kept_percent: u64 },
    Kill,
    Error,
}

const INTERRUPTIONS: [Interruption; 5] = [
    Interruption::PowerCut { kept_percent: 0 },
    Interruption::PowerCut { kept_percent: 50 },
    Interruption::PowerCut { kept_percent: 100 },
    Interruption::Kill,
    Interruption::Error,
];

/// A store with a snapshot and some segments of log behind it, all of it durable.
fn lived() -> Faulty {
    let mut steps = History::new(7, 120).steps;
    steps[20].action = Action::Save;
    steps[119].action = Action::Sync;
    let folder = Faulty::default();
    assert!(live(&History::of(steps), &folder, Durability::Os, Place::default()).is_whole);
    folder.killed()
}

fn segments(folder: &Faulty) -> Vec<u64> {
    let names = folder.list().expect("a list");
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    numbers.sort_unstable();
    numbers
}

/// A store that does not start, and where it says it could be repaired.
fn damaged(segment: u64, at: usize) -> (Faulty, Torn) {
    let folder = lived();
    let mut bytes = folder.content(&segment_name(segment));
    bytes[at] ^= 0x10;
    folder.put(&segment_name(segment), &bytes);
    let error = data_dir::examine(&folder).expect_err("damage");
    let torn = error.torn().cloned().unwrap_or_else(|| panic!("{error}: not to be repaired"));
    (folder, torn)
}

/// Runs a repair into an interruption at its nth change, unless it is done before.
fn interrupted(folder: &Faulty, torn: &Torn, nth: u64, by: Interruption) -> Option<Faulty> {
    let before = folder.changing_calls();
    match by {
        Interruption::Error => folder.fail_change(nth, EIO),
        _ => folder.freeze_after(nth - 1),
    }
    let done = data_dir::repair(folder, torn).is_ok();
    if done && folder.changing_calls() - before < nth {
        return None;
    }
    Some(match by {
        Interruption::PowerCut { kept_percent } => folder.survivor(nth, kept_percent),
        Interruption::Kill | Interruption::Error => folder.killed(),
    })
}

/// Repairs what has to be, starts the store, and looks for what the log held from the damage on.
fn check(folder: &Faulty, before: &Faulty, torn: &Torn, context: &str) {
    if let Err(error) = data_dir::examine(folder) {
        let torn = error.torn().unwrap_or_else(|| panic!("{context}: {error}"));
        data_dir::repair(folder, torn).unwrap_or_else(|error| panic!("{context}: {error}"));
    }
    let engine = Engine::default();
    let storage = Arc::new(folder.clone());
    DataDir::open(storage, &engine, Durability::Os, &Progress::default())
        .unwrap_or_else(|error| panic!("{context}: {error}"));
    let names = folder.list().expect("a list");
    for number in segments(before).into_iter().filter(|number| *number >= torn.segment) {
        let name = segment_name(number);
        let whole = before.content(&name);
        let from = if number == torn.segment { torn.offset as usize } else { 0 };
        let lost = &whole[from..];
        if lost.iter().all(|&byte| byte == 0) {
            continue;
        }
        let is_kept = names
            .iter()
            .filter(|file| file.starts_with(&format!("{name}.cut-")))
            .any(|file| folder.content(file) == lost);
        assert!(is_kept, "{context}: {name} is gone; there are {names:?}");
    }
}

fn interrupt_everywhere(segment: u64, at: usize) {
    let (before, torn) = damaged(segment, at);
    for by in INTERRUPTIONS {
        for nth in 1.. {
            let folder = before.survivor(0, 100);
            let context = format!("segment {segment}, byte {at}: {by:?} at change {nth}");
            let Some(left) = interrupted(&folder, &torn, nth, by) else {
                assert!(nth > 3, "{context}: a repair changes more than that");
                break;
            };
            check(&left, &before, &torn, &context);
        }
    }
}

#[test]
fn a_repair_of_a_log_without_a_beginning_can_be_interrupted_anywhere() {
    let first = segments(&lived())[0];
    interrupt_everywhere(first, 3);
}

#[test]
fn a_repair_in_the_middle_of_a_log_can_be_interrupted_anywhere() {
    let numbers = segments(&lived());
    assert!(numbers.len() > 3, "{numbers:?}");
    interrupt_everywhere(numbers[1], SEGMENT_HEADER_BYTES + 5);
}
