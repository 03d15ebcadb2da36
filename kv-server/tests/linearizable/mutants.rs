//! Stores with one fault each. A judge that lets one of them pass is no judge.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use crate::history::recorder::{Connection, Plan, record};
use crate::history::register::{Command, Register, Reply};
use crate::history::{History, Objection};

/// What is wrong with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nothing.
    None,
    /// `INCR` reads under one lock and writes under another.
    UnlockedIncr,
    /// `SET NX` looks under one lock and writes under another.
    UnlockedSetNx,
    /// Each connection keeps what it read, for a while.
    StaleRead,
    /// `DEL` answers before it removes.
    LateDel,
    /// A crash takes what was acknowledged since the last write to disk.
    LostAtCrash,
}

/// Recorded for each fault. A race need not be lost in a single one, but in most of them it is.
const HISTORIES: u64 = 20;
/// How many calls pass before a late removal takes place.
const LATE_CALLS: usize = 5;
/// How often a kept read is given out again.
const STALE_READS: usize = 2;
/// How many calls a faulty store serves between two saves; the crash comes well after one.
const SAVE_CALLS: usize = 64;

#[derive(Debug, Default)]
struct Contents {
    live: HashMap<String, i64>,
    /// What survives a crash.
    saved: HashMap<String, i64>,
    unsaved: usize,
    /// Removals that were acknowledged, and how many calls they wait for.
    late: Vec<(usize, String)>,
    crashes: usize,
}

impl Contents {
    fn apply(&mut self, key: &str, command: Command) -> Reply {
        let mut value = self.live.get(key).copied();
        let reply = Register::apply(&mut value, command);
        match value {
            Some(value) => self.live.insert(key.to_owned(), value),
            None => self.live.remove(key),
        };
        reply
    }

    /// Removes what should have been removed before.
    fn remove_late(&mut self) {
        self.late.iter_mut().for_each(|(calls, _)| *calls -= 1);
        let due = self.late.extract_if(.., |(calls, _)| *calls == 0);
        for (_, key) in due {
            self.live.remove(&key);
        }
    }

    /// Saves once in so many calls.
    fn save(&mut self, calls: usize) {
        self.unsaved += 1;
        if self.unsaved >= calls {
            self.saved.clone_from(&self.live);
            self.unsaved = 0;
        }
    }
}

struct Store {
    fault: Fault,
    contents: Mutex<Contents>,
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("nobody panicked")
    }

    fn crash(&self) {
        let contents = &mut *self.lock();
        contents.live.clone_from(&contents.saved);
        contents.crashes += 1;
    }

    fn run(&self, key: &str, command: Command) -> Reply {
        match (self.fault, command) {
            (Fault::UnlockedIncr, Command::Incr) => {
                let sum = self.lock().live.get(key).copied().unwrap_or(0) + 1;
                race();
                self.lock().apply(key, Command::Set(sum));
                Reply::Number(sum)
            }
            (Fault::UnlockedSetNx, Command::SetNx(value)) => {
                if self.lock().live.contains_key(key) {
                    return Reply::Value(None);
                }
                race();
                self.lock().apply(key, Command::Set(value))
            }
            (Fault::LateDel, Command::Del) => {
                let mut contents = self.lock();
                contents.late.push((LATE_CALLS, key.to_owned()));
                Reply::Number(i64::from(contents.live.contains_key(key)))
            }
            _ => {
                let mut contents = self.lock();
                let reply = contents.apply(key, command);
                contents.save(if self.fault == Fault::LostAtCrash { SAVE_CALLS } else { 1 });
                reply
            }
        }
    }
}

/// Lets others run.
fn pass() {
    for _ in 0..4 {
        thread::yield_now();
    }
}

/// Lets others run for longer than their calls take.
fn race() {
    (0..10).for_each(|_| pass());
}

struct Handle {
    store: Arc<Store>,
    /// What was read, and how often it may be given out again.
    kept: HashMap<String, (Reply, usize)>,
}

impl Handle {
    fn kept(&mut self, key: &str) -> Option<Reply> {
        let (reply, left) = self.kept.get_mut(key)?;
        *left = left.checked_sub(1)?;
        Some(*reply)
    }
}

impl Connection for Handle {
    fn call(&mut self, key: &str, command: Command) -> Option<Reply> {
        let stale = self.store.fault == Fault::StaleRead && command == Command::Get;
        if let Some(reply) = stale.then(|| self.kept(key)).flatten() {
            return Some(reply);
        }
        let crashes = self.store.lock().crashes;
        pass();
        let reply = self.store.run(key, command);
        pass();
        let mut contents = self.store.lock();
        contents.remove_late();
        if stale {
            self.kept.insert(key.to_owned(), (reply, STALE_READS));
        }
        // A crash on the way ends the connection, whatever was done before.
        (contents.crashes == crashes).then_some(reply)
    }

    fn renew(&mut self) {
        self.kept.clear();
    }
}

/// A history of eight clients of a store, which crashes in the middle.
fn history(fault: Fault, seed: u64) -> History {
    let store = Arc::new(Store { fault, contents: Mutex::default() });
    let mut handles: Vec<Handle> =
        (0..8).map(|_| Handle { store: Arc::clone(&store), kept: HashMap::new() }).collect();
    let keys = (0..5).map(|key| key.to_string()).collect();
    let history = record(&mut handles, &Plan { keys, calls: 125, seed }, &|| store.crash());
    assert!(history.answered() >= 900, "a crash takes one call of each client at most");
    history
}

#[test]
fn a_store_without_fault_is_accepted() {
    for seed in 0..HISTORIES {
        if let Err(why) = history(Fault::None, seed).judge() {
            panic!("seed {seed}: {why:?}");
        }
    }
}

#[test]
fn every_fault_is_caught_in_most_histories() {
    let faults = [
        Fault::UnlockedIncr,
        Fault::UnlockedSetNx,
        Fault::StaleRead,
        Fault::LateDel,
        Fault::LostAtCrash,
    ];
    for fault in faults {
        let mut caught = 0;
        for seed in 0..HISTORIES {
            match history(fault, seed).judge() {
                Ok(()) => {}
                Err(Objection::NotLinearizable(_)) => caught += 1,
                Err(undecided) => panic!("{fault:?}, seed {seed}: {undecided:?}"),
            }
        }
        println!("{fault:?}: caught in {caught} of {HISTORIES} histories");
        assert!(caught > HISTORIES / 2, "{fault:?}: caught in {caught} of {HISTORIES}");
    }
}
