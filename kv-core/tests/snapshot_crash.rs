//! Whatever goes wrong while a snapshot is written, the one before it stays, and under its own name
//! the new one is whole or not there at all.

mod faulty;
mod saved;

use std::collections::BTreeSet;

use faulty::{EIO, ENOSPC, Faulty, Operation};
use kv_core::snapshot::{Header, SnapshotError, SnapshotFile, file_name};
use kv_core::storage::Storage;
use saved::{State, read, write_state};

fn state(version: u8, len: usize) -> State {
    (0..10u8).map(|n| ((n % 3, vec![n]), (vec![version; len], Some(7)))).collect()
}

fn write(folder: &Faulty, sequence: u64, state: &State) -> Result<SnapshotFile, SnapshotError> {
    write_state(folder, &Header { sequence, created_ms: 0, salt: sequence }, state)
}

/// A folder with a snapshot of `state` under sequence 1.
fn with_first(state: &State) -> Faulty {
    let folder = Faulty::default();
    write(&folder, 1, state).expect("nothing fails yet");
    folder
}

/// Checks what a restart finds; answers whether the second snapshot is there.
fn check(found: &Faulty, first: &State, second: &State, told: bool) -> bool {
    assert_eq!(&read(found, &file_name(1)).expect("the first stays"), first);
    let names = found.list().expect("the folder");
    let is_there = names.contains(&file_name(2));
    if is_there {
        assert_eq!(&read(found, &file_name(2)).expect("whole, as it is there"), second);
    }
    assert!(is_there || !told, "it was told to be there");
    is_there
}

#[test]
fn a_power_cut_at_any_call_leaves_the_snapshot_before() {
    // Values of several disk blocks, in one block of the file and in three.
    for (len, seeds) in [(700, 40), (260 * 1024, 4)] {
        let (first, second) = (state(1, len), state(2, len));
        let whole = with_first(&first);
        let before = whole.changing_calls();
        write(&whole, 2, &second).expect("nothing fails");
        let calls = whole.changing_calls() - before;
        let mut outcomes = BTreeSet::new();
        for works in 0..=calls {
            let folder = with_first(&first);
            folder.freeze_after(works);
            let told = write(&folder, 2, &second).is_ok();
            assert_eq!(told, works == calls, "{works} of {calls} calls worked");
            outcomes.insert(check(&folder.killed(), &first, &second, told));
            for seed in 0..seeds {
                let survivor = folder.survivor(seed, [0, 50, 100][seed as usize % 3]);
                outcomes.insert(check(&survivor, &first, &second, told));
            }
        }
        assert_eq!(outcomes.len(), 2, "some left it and some did not");
    }
}

/// The snapshot of a store that did not change has the name of the one before.
#[test]
fn a_power_cut_while_a_snapshot_is_replaced_leaves_one_of_the_two() {
    let (first, second) = (state(1, 700), state(2, 700));
    for works in 0.. {
        let folder = with_first(&first);
        folder.freeze_after(works);
        let told = write(&folder, 1, &second).is_ok();
        for seed in 0..40 {
            let found = folder.survivor(seed, 50);
            let found = read(&found, &file_name(1)).expect("one of the two");
            assert!(found == second || (!told && found == first));
        }
        if told {
            break;
        }
    }
}

#[test]
fn a_call_that_fails_once_costs_only_that_snapshot() {
    let (first, second) = (state(1, 260 * 1024), state(2, 260 * 1024));
    for (operation, action) in [
        (Operation::Create, "create"),
        (Operation::Write, "write"),
        (Operation::SyncData, "write"),
        (Operation::Rename, "rename"),
        (Operation::SyncDir, "rename"),
    ] {
        for errno in [ENOSPC, EIO] {
            for nth in 1.. {
                let folder = with_first(&first);
                folder.fail_next(operation, nth, errno);
                let Err(error) = write(&folder, 2, &second) else {
                    assert!(nth > 1, "{operation:?} is called");
                    break;
                };
                let message = error.to_string();
                let expected = format!("memory/{}", file_name(2));
                assert!(message.starts_with(&expected), "{message}");
                assert!(message.contains(&format!(": cannot {action} it: ")), "{message}");
                assert!(message.contains(&format!("os error {errno}")), "{message}");
                check(&folder, &first, &second, false);
                let names = folder.list().expect("the folder");
                assert!(!names.contains(&format!("{}.tmp", file_name(2))), "{names:?}");
                write(&folder, 2, &second).expect("it failed once");
                check(&folder, &first, &second, true);
            }
        }
    }
}

#[test]
fn a_left_over_that_could_not_be_removed_is_written_over() {
    let (first, second) = (state(1, 700), state(2, 700));
    let folder = with_first(&first);
    folder.fail_next(Operation::SyncData, 1, ENOSPC);
    folder.fail_next(Operation::Remove, 1, EIO);
    write(&folder, 2, &state(3, 2000)).expect_err("its sync fails");
    assert!(folder.list().expect("the folder").contains(&format!("{}.tmp", file_name(2))));
    write(&folder, 2, &second).expect("nothing fails any more");
    assert!(check(&folder, &first, &second, true));
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let first = state(1, 700);
    for nth in 1.. {
        let folder = with_first(&first);
        folder.fail_next(Operation::Read, nth, EIO);
        let Err(error) = read(&folder, &file_name(1)) else {
            assert!(nth > 3, "header, footer and a block are read");
            break;
        };
        assert!(error.to_string().starts_with("memory/snapshot-"), "{error}");
    }
}
