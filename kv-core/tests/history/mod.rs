//! What clients did to a store, by a seed, and what the store held after each step.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::engine::Tally;
use kv_core::resp::Encoder;
use kv_core::resp::request::OwnedArgs;
use kv_core::snapshot::{Entries, EntryBuffer, Fill};
use kv_core::{Call, Clock, Engine};

use crate::faulty::Random;
use crate::saved::{State, collect};
use crate::store::{BEGIN_MS, call, split};

/// Databases that are used.
const DATABASES: u64 = 4;

/// What happens at once.
pub(crate) enum Action {
    /// A command, or the commands of a transaction, each in a database.
    Run(Vec<(u8, OwnedArgs)>),
    /// Somebody waits until all so far is durable.
    Sync,
    /// A snapshot is taken.
    Save,
}

pub(crate) struct Step {
    pub(crate) at_ms: u64,
    pub(crate) action: Action,
}

pub(crate) struct History {
    pub(crate) steps: Vec<Step>,
    /// What is there after so many steps, without what has expired at the end.
    pub(crate) states: Vec<State>,
    end_ms: u64,
}

impl History {
    pub(crate) fn new(seed: u64, len: usize) -> Self {
        let mut random = Random(seed);
        let mut at_ms = BEGIN_MS;
        let steps: Vec<Step> = (0..len)
            .map(|_| {
                at_ms += random.below(20);
                Step { at_ms, action: any_action(&mut random) }
            })
            .collect();
        Self::of(steps)
    }

    /// The history of these steps.
    pub(crate) fn of(steps: Vec<Step>) -> Self {
        let end_ms = steps.last().map_or(BEGIN_MS, |step| step.at_ms);
        let mut this = Self { steps, states: Vec::new(), end_ms };
        // The same store without a log: what it keeps is tested here, what it answers elsewhere.
        let (engine, clock_ms) = empty();
        this.states.push(this.state(&engine));
        for step in &this.steps {
            clock_ms.store(step.at_ms, Ordering::Relaxed);
            if let Action::Run(commands) = &step.action {
                run(&engine, commands);
            }
            let state = this.state(&engine);
            this.states.push(state);
        }
        this
    }

    /// All that a store holds, without what has expired at the end of the history: when such a key
    /// goes depends on who looks for it.
    pub(crate) fn state(&self, engine: &Engine) -> State {
        let mut moment = engine.point_in_time().expect("no snapshot is under way");
        let mut out = EntryBuffer::default();
        while moment.fill(&mut out) == Fill::More {}
        let mut state = State::new();
        collect(&mut Entries::new(out.bytes()), &mut state);
        state.retain(|_, (_, expires_at_ms)| expires_at_ms.is_none_or(|at| at > self.end_ms));
        state
    }
}

/// A store to recover into, and its clock.
pub(crate) fn empty() -> (Engine, Arc<AtomicU64>) {
    let clock_ms = Arc::new(AtomicU64::new(BEGIN_MS));
    (Engine::new(Clock::Manual(Arc::clone(&clock_ms))), clock_ms)
}

/// Runs a command or a transaction; answers the change that its replies depend on.
pub(crate) fn run(engine: &Engine, commands: &[(u8, OwnedArgs)]) -> u64 {
    let calls: Vec<Call<'_>> = commands.iter().map(|(db, args)| call(args, *db)).collect();
    let (mut out, mut tally) = (Encoder::default(), Tally::default());
    if let [call] = calls.as_slice() {
        return engine.run(call, &mut out, &mut tally);
    }
    let mut transaction = engine.transaction(&calls);
    for call in &calls {
        transaction.run(call, &mut out);
    }
    transaction.commit(&mut tally)
}

fn any_action(random: &mut Random) -> Action {
    match random.below(40) {
        0 => Action::Save,
        1..4 => Action::Sync,
        4..8 => {
            let count = 2 + random.below(4);
            Action::Run((0..count).map(|_| any_command(random)).collect())
        }
        _ => Action::Run(vec![any_command(random)]),
    }
}

fn any_command(random: &mut Random) -> (u8, OwnedArgs) {
    let db = random.below(DATABASES) as u8;
    let line = any_line(random);
    (db, split(&line).iter().collect())
}

fn any_line(random: &mut Random) -> String {
    let (key, other) = (random.below(8), random.below(8));
    let (db, number) = (random.below(DATABASES), random.below(1000));
    // Some longer than what a disk loses as one.
    let len = if random.percent(10) { 1200 } else { random.below(60) } as usize;
    let value = format!("{number:x>len$}");
    match random.below(34) {
        0..6 => format!("SET k{key} {value}"),
        // Some expire within the history.
        6..8 => format!("SET k{key} {value} PX {}", 1 + number),
        8..10 => format!("SET k{key} {value} EX 1000"),
        10..13 => format!("DEL k{key} k{other}"),
        13..16 => format!("APPEND k{key} {value}"),
        16..18 => format!("SETRANGE k{key} {} {value}", number % 100),
        18..21 => format!("INCR n{key}"),
        21 => format!("EXPIRE k{key} {}", 1 + number),
        22 => format!("PERSIST k{key}"),
        23..26 => format!("MSET k{key} {value} k{other} {number} m{key} {value}"),
        26..28 => format!("RENAME k{key} k{other}"),
        28 => format!("MOVE k{key} {db}"),
        29..31 => format!("COPY k{key} c{other} DB {db} REPLACE"),
        31 => format!("GETEX k{key} PERSIST"),
        32 => format!("GET k{key}"),
        _ if number < 100 => format!("SWAPDB {db} {}", (db + 1) % DATABASES),
        _ if number < 400 => "FLUSHDB".to_owned(),
        _ => format!("GETDEL k{key}"),
    }
}
