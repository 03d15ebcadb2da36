//! Lives of a store: it recovers, goes on with a history, is told what will survive, and crashes.
//! Each test file that needs them includes this module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kv_core::Engine;
use kv_core::data_dir::{DataDir, Durability, Progress, Recovered, RecoveryError};
use kv_core::log::{LogError, LogOptions, SyncMode};
use kv_core::snapshot::SnapshotError;

use crate::faulty::Faulty;
use crate::history::{Action, History, empty, run};

/// All that keep anything.
pub(crate) const MODES: [Durability; 4] =
    [Durability::Snapshot, Durability::Os, Durability::Everysec, Durability::Always];

/// How long anything may take that happens soon, on the slowest of machines.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where in its history a store was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Steps that it has seen.
    pub(crate) steps: usize,
    /// The number of its last change.
    pub(crate) sequence: u64,
}

/// What became of a store in one life, and what it promised.
#[derive(Debug)]
pub(crate) struct Life {
    durability: Durability,
    /// The number of the last change after so many steps, from where it began.
    reached: Vec<Place>,
    /// Snapshots that it tried to take.
    tried: Vec<u64>,
    /// The last change that survives the end of the process, and that of the power.
    pub(crate) kill: u64,
    pub(crate) power_cut: u64,
    /// Whether all steps were done and none was refused.
    pub(crate) is_whole: bool,
}

/// Many segments, and nothing that happens by itself; a full disk is tried again at once.
fn options(mode: SyncMode) -> LogOptions {
    LogOptions {
        segment_bytes_max: 1500,
        sync_interval: Duration::from_hours(1),
        exposure_max: Duration::from_hours(1),
        retry_interval: Duration::from_micros(100),
        ..LogOptions::new(mode)
    }
}

fn open(
    folder: &Faulty,
    engine: &Engine,
    durability: Durability,
) -> Result<(DataDir, Recovered), RecoveryError> {
    let storage = Arc::new(folder.clone());
    DataDir::open_with(storage, engine, durability, options, &Progress::default())
}

/// Recovers the store and goes on from `from`, which is what it holds, to the end of the history or
/// until nothing works any more.
pub(crate) fn live(
    history: &History,
    folder: &Faulty,
    durability: Durability,
    from: Place,
) -> Life {
    let mut life = Life {
        durability,
        reached: vec![from],
        tried: vec![from.sequence],
        kill: from.sequence,
        power_cut: from.sequence,
        is_whole: false,
    };
    let (engine, clock_ms) = empty();
    let data_dir = match open(folder, &engine, durability) {
        Ok((data_dir, _)) => data_dir,
        Err(error) => {
            assert!(is_io(&error), "{error}");
            return life;
        }
    };
    life.is_whole = true;
    for (steps, step) in (1..).zip(&history.steps).skip(from.steps) {
        if !accepts(folder, &engine) {
            life.is_whole = false;
            break;
        }
        clock_ms.store(step.at_ms, Ordering::Relaxed);
        life.is_whole &= life.act(&engine, &data_dir, &step.action);
        life.reached.push(Place { steps, sequence: engine.sequence() });
    }
    life.note_durable(&engine);
    // The last of the history, kept in order; a crash may come here too.
    if let Some(log) = engine.log() {
        life.is_whole &= log.close().is_ok();
        life.note_durable(&engine);
    }
    life
}

/// Calls `check` with each of the numbers, on all cores.
pub(crate) fn each(numbers: impl Iterator<Item = u64>, check: impl Fn(u64) + Sync) {
    let numbers: Vec<u64> = numbers.collect();
    let next = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed) as usize)
                {
                    check(number);
                }
            });
        }
    });
}

/// Whether a server would take a change now; waits for what passes by itself, as long as there is
/// power.
fn accepts(folder: &Faulty, engine: &Engine) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the log never takes changes again");
        match engine.log().and_then(kv_core::log::Log::refusal) {
            None => return true,
            Some(failure) if failure.lasting || folder.is_frozen() => return false,
            Some(_) => std::thread::yield_now(),
        }
    }
}

/// A recovery may fail when a call does, and for no other reason.
pub(crate) fn is_io(error: &RecoveryError) -> bool {
    matches!(
        error,
        RecoveryError::Io { .. }
            | RecoveryError::Log(LogError::Io { .. })
            | RecoveryError::Snapshot(SnapshotError::Io { .. })
    )
}

impl Life {
    /// Does a step, and notes what was acknowledged; answers whether it was.
    fn act(&mut self, engine: &Engine, data_dir: &DataDir, action: &Action) -> bool {
        match action {
            Action::Run(commands) => {
                let sequence = run(engine, commands);
                let is_kept = engine.settle(sequence).is_ok();
                if is_kept && engine.log().is_some() {
                    self.kill = self.kill.max(sequence);
                    if self.durability == Durability::Always {
                        self.power_cut = self.power_cut.max(sequence);
                    }
                }
                is_kept
            }
            Action::Sync => {
                let Some(log) = engine.log() else { return true };
                let is_durable = log.wait_durable(engine.sequence()).is_ok();
                self.note_durable(engine);
                is_durable
            }
            Action::Save => {
                self.tried.push(engine.sequence());
                let Ok(saved) = data_dir.save(engine) else { return false };
                assert_eq!(saved.sequence, engine.sequence());
                self.kill = saved.sequence;
                self.power_cut = saved.sequence;
                true
            }
        }
    }

    fn note_durable(&mut self, engine: &Engine) {
        if let Some(log) = engine.log() {
            self.power_cut = self.power_cut.max(log.durable());
            self.kill = self.kill.max(self.power_cut);
        }
    }

    /// Recovers the store from what a crash left, twice; asserts that it is the history up to some
    /// step, with all changes up to `least`. Answers where that is, and the folder to go on with.
    pub(crate) fn check(
        &self,
        history: &History,
        left: &Faulty,
        least: u64,
        context: &str,
    ) -> (Place, Faulty) {
        let (first, left) = self.recover(history, left, context);
        let context = format!("{context}: found {first:?}, of {least} promised");
        assert!(first.sequence >= least, "{context}");
        if self.durability == Durability::Snapshot {
            assert!(self.tried.contains(&first.sequence), "{context}: none of the snapshots");
        }
        let (second, left) = self.recover(history, &left, &context);
        assert_eq!(first, second, "{context}");
        (first, left)
    }

    fn recover(&self, history: &History, left: &Faulty, context: &str) -> (Place, Faulty) {
        self.try_recover(history, left, context)
            .unwrap_or_else(|error| panic!("{context}: {error}"))
    }

    /// Recovers the store from what is left; asserts that it is the history up to some step. Answers
    /// where that is, and the folder to go on with.
    ///
    /// # Errors
    /// Why it cannot be recovered.
    pub(crate) fn try_recover(
        &self,
        history: &History,
        left: &Faulty,
        context: &str,
    ) -> Result<(Place, Faulty), RecoveryError> {
        let (engine, _) = empty();
        let (_, recovered) = open(left, &engine, self.durability)?;
        let sequence = recovered.sequence;
        let steps = self.reached.partition_point(|place| place.sequence <= sequence);
        assert!(steps > 0, "{context}: {sequence} is before where it began");
        let steps = self.reached[steps - 1].steps;
        let found = history.state(&engine);
        assert!(
            found == history.states[steps],
            "{context}: change {sequence} is step {steps}, which is {}, but found was {}",
            shown(&history.states[steps]),
            shown(&found)
        );
        Ok((Place { steps, sequence }, left.killed()))
    }
}

fn shown(state: &crate::saved::State) -> String {
    let entries = state.iter().map(|((db, key), (value, expires_at_ms))| {
        let key = String::from_utf8_lossy(key);
        format!("{db}:{key} = {} bytes, {expires_at_ms:?}", value.len())
    });
    entries.collect::<Vec<_>>().join("; ")
}
