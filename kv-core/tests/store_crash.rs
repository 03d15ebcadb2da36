//! The whole store over crashes and failing disks: what comes back is what clients did up to some
//! step, whole transactions only, with all that they were promised.
//!
//! `KV_SEEDS` (a number, or `FIRST-END`) asks for so many random crashes, and for each crash that one
//! history can have; without it a part of them is tried.

mod faulty;
mod history;
mod lives;
mod saved;
mod store;

use faulty::{EIO, ENOSPC, Faulty, Random, seeds_wanted};
use history::History;
use kv_core::data_dir::Durability;
use lives::{Life, MODES, Place, each, live};

const STEPS: usize = 200;

/// Every so many of the crashes of one history are tried, and others in each mode.
fn stride() -> usize {
    if seeds_wanted().is_some() { 1 } else { 29 }
}

/// Storage calls of a history that nothing disturbs.
fn calls(history: &History, durability: Durability) -> u64 {
    let folder = Faulty::default();
    let life = live(history, &folder, durability, Place::default());
    assert!(life.is_whole, "{durability}: nothing fails");
    let end = life.check(history, &folder.survivor(0, 0), 0, "an orderly end").0;
    if durability != Durability::Snapshot {
        assert_eq!(end.steps, STEPS, "an orderly end loses nothing");
    }
    folder.changing_calls()
}

/// A life that ends with the power, after so many calls.
fn cut_life(
    history: &History,
    folder: &Faulty,
    durability: Durability,
    from: Place,
    after: u64,
) -> Life {
    folder.freeze_after(after);
    live(history, folder, durability, from)
}

#[test]
fn a_power_cut_or_a_kill_at_every_call_leaves_a_prefix_with_all_that_was_promised() {
    let history = History::new(1, STEPS);
    for (phase, durability) in MODES.into_iter().enumerate() {
        let calls = calls(&history, durability);
        assert!(calls > 30, "{durability}: {calls} calls");
        each((phase as u64..=calls).step_by(stride()), |after| {
            let folder = Faulty::default();
            let life = cut_life(&history, &folder, durability, Place::default(), after);
            let context = format!("{durability}, cut after {after} of {calls} calls");
            life.check(&history, &folder.killed(), life.kill, &format!("{context}, killed"));
            for (seed, keep) in [0, 40, 80, 100].into_iter().enumerate() {
                let context = format!("{context}, {keep} % of the rest kept");
                let left = folder.survivor(seed as u64, keep);
                let (place, left) = life.check(&history, &left, life.power_cut, &context);
                // It goes on, and crashes again.
                let again = cut_life(&history, &left, durability, place, after % 40);
                let least = again.power_cut;
                again.check(&history, &left.survivor(seed as u64, keep), least, &context);
            }
        });
    }
}

#[test]
fn random_lives_in_random_modes_leave_a_prefix_with_all_that_was_promised() {
    // The same for all portions of the long mode: a seed means the same in each.
    let histories = if seeds_wanted().is_some() { 100 } else { 2 };
    let histories: Vec<History> = (0..histories).map(|seed| History::new(seed, STEPS)).collect();
    each(seeds_wanted().unwrap_or(0..60), |seed| {
        let mut random = Random(seed);
        let history = &histories[random.below(histories.len() as u64) as usize];
        let (mut folder, mut place) = (Faulty::default(), Place::default());
        for number in 0..4 {
            let durability = MODES[random.below(4) as usize];
            let is_early = random.percent(30);
            let after = random.below(if is_early { 12 } else { 150 });
            let life = cut_life(history, &folder, durability, place, after);
            let context = format!("seed {seed}, life {number}, {durability}, {after} calls");
            let (left, least) = match random.percent(25) {
                true => (folder.killed(), life.kill),
                false => (folder.survivor(random.next(), random.below(101)), life.power_cut),
            };
            (place, folder) = life.check(history, &left, least, &context);
        }
    });
}

#[test]
fn a_call_that_fails_once_loses_nothing_acknowledged() {
    let history = History::new(2, STEPS);
    for (phase, durability) in MODES.into_iter().enumerate() {
        let calls = calls(&history, durability);
        for errno in [EIO, ENOSPC] {
            each((phase as u64 + 1..=calls).step_by(2 * stride()), |nth| {
                let folder = Faulty::default();
                folder.fail_change(nth, errno);
                let life = live(&history, &folder, durability, Place::default());
                let context = format!("{durability}, call {nth} of {calls} fails with {errno}");
                life.check(&history, &folder.survivor(nth, 50), life.power_cut, &context);
                let (place, left) = life.check(&history, &folder.killed(), life.kill, &context);
                // Nothing fails any more: what was not done is done now.
                let rest = live(&history, &left, durability, place);
                assert!(rest.is_whole, "{context}");
                let (end, _) = rest.check(&history, &left.killed(), rest.kill, &context);
                assert!(durability == Durability::Snapshot || end.steps == STEPS, "{context}");
            });
        }
    }
}
