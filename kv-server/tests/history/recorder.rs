//! Makes histories: many threads, few keys, one clock.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::register::{Command, Reply};
use super::{Call, History};

/// What a client calls through.
pub(crate) trait Connection: Send {
    /// `None` when no reply came, or one that leaves open whether the command ran.
    fn call(&mut self, key: &str, command: Command) -> Option<Reply>;

    /// Makes it usable again after a call without a reply.
    fn renew(&mut self);
}

/// What the clients of one history do.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) keys: Vec<String>,
    /// Of each client.
    pub(crate) calls: usize,
    /// The same seed, the same commands; what happens in between is up to the machine.
    pub(crate) seed: u64,
}

/// Lets every connection carry out its part of the plan, all at once, and calls `halfway` on one of
/// the threads, between two of its calls, when half of all calls are done.
pub(crate) fn record<C: Connection>(
    connections: &mut [C],
    plan: &Plan,
    halfway: &(dyn Fn() + Sync),
) -> History {
    let session = Session {
        plan,
        origin: Instant::now(),
        start: Barrier::new(connections.len()),
        done: AtomicUsize::new(0),
        half: connections.len() * plan.calls / 2,
        halfway,
    };
    let mut history = History::default();
    thread::scope(|scope| {
        let clients: Vec<_> = connections
            .iter_mut()
            .enumerate()
            .map(|(client, connection)| {
                let session = &session;
                scope.spawn(move || session.carry_out(client, connection))
            })
            .collect();
        for client in clients {
            for (key, call) in client.join().expect("the client carries out its part") {
                history.push(&plan.keys[key], call);
            }
        }
    });
    history
}

/// What the threads of one history share.
struct Session<'a> {
    plan: &'a Plan,
    origin: Instant,
    start: Barrier,
    /// Calls of all clients so far.
    done: AtomicUsize,
    half: usize,
    halfway: &'a (dyn Fn() + Sync),
}

impl Session<'_> {
    /// Calls of one client, each with the index of its key.
    fn carry_out(&self, client: usize, connection: &mut impl Connection) -> Vec<(usize, Call)> {
        let plan = self.plan;
        let mut random = Xoshiro256PlusPlus::seed_from_u64(plan.seed ^ ((client as u64) << 32));
        let mut calls = Vec::with_capacity(plan.calls);
        self.start.wait();
        for number in 0..plan.calls {
            let key = below(&mut random, plan.keys.len());
            // No two writes give the same value, also after as many increments as there are calls.
            let unique = (client * plan.calls + number + 1) as i64 * 1_000_000;
            let operation = choose(&mut random, unique);
            let invoked = self.now();
            let reply = connection.call(&plan.keys[key], operation);
            let returned = reply.is_some().then(|| self.now());
            if reply.is_none() {
                connection.renew();
            }
            // A read without a reply says nothing.
            if reply.is_some() || operation != Command::Get {
                calls.push((key, Call { client, invoked, returned, operation, reply }));
            }
            if self.done.fetch_add(1, Ordering::Relaxed) + 1 == self.half {
                (self.halfway)();
            }
        }
        calls
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// A command, reads and writes about evenly.
fn choose(random: &mut Xoshiro256PlusPlus, unique: i64) -> Command {
    match below(random, 100) {
        0..40 => Command::Get,
        40..60 => Command::Set(unique),
        60..70 => Command::SetNx(unique),
        70..80 => Command::Del,
        80..95 => Command::Incr,
        _ => Command::GetDel,
    }
}

/// A random number less than this one.
pub(crate) fn below(random: &mut Xoshiro256PlusPlus, bound: usize) -> usize {
    ((u128::from(random.next_u64()) * bound as u128) >> 64) as usize
}
