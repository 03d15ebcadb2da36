//! Clients of one server see one store: every recorded history is linearizable, also when the
//! server is killed in the middle and its data survives. And whoever judges that is judged too.
//!
//! `KV_HISTORIES` says how many histories each test records on the real server.

mod history;
mod linearizable {
    mod mutants;
    mod porcupine;
    mod verdicts;
}
mod support;

use history::recorder::{Plan, below, record};
use history::server::{Home, Socket};
use history::{History, Objection};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

/// Calls in each history.
const CALLS: usize = 1000;

/// How many histories to record.
fn histories(default: usize) -> usize {
    match std::env::var("KV_HISTORIES") {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("KV_HISTORIES={text} is no number")),
        Err(_) => default,
    }
}

/// Plan number `number`, for 8 to 32 clients and 5 to 20 keys of its own; and how many clients.
fn plan(number: usize) -> (Plan, usize) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(number as u64);
    let clients = 8 + below(&mut random, 25);
    let keys = 5 + below(&mut random, 16);
    let keys = (0..keys).map(|key| format!("history:{number}:{key}")).collect();
    (Plan { keys, calls: CALLS.div_ceil(clients), seed: number as u64 }, clients)
}

#[track_caller]
fn accept(number: usize, history: &History) {
    match history.judge() {
        Ok(()) => {}
        Err(Objection::NotLinearizable(why)) => panic!("history {number} is {why}"),
        Err(Objection::Undecided { key }) => panic!("history {number}: {key} takes too long"),
    }
}

#[test]
fn histories_of_many_clients_are_linearizable() {
    let home = Home::start(&[]);
    let mut sockets: Vec<Socket<'_>> = (0..32).map(|_| home.connect()).collect();
    let (count, mut calls) = (histories(10), 0);
    for number in 0..count {
        let (plan, clients) = plan(number);
        let history = record(&mut sockets[..clients], &plan, &|| {});
        assert_eq!(history.answered(), clients * plan.calls, "nobody disturbed them");
        accept(number, &history);
        calls += history.answered();
    }
    println!("{count} histories, {calls} calls answered, all linearizable");
}

#[test]
fn histories_across_kill_9_are_linearizable_in_always() {
    let (count, mut calls, mut open) = (histories(4), 0, 0);
    for number in 0..count {
        let data = tempfile::tempdir().expect("a temporary folder");
        let folder = data.path().to_str().expect("a plain path");
        let home = Home::start(&["--data-dir", folder, "--durability", "always"]);
        let (plan, clients) = plan(number);
        let mut sockets: Vec<Socket<'_>> = (0..clients).map(|_| home.connect()).collect();
        let history = record(&mut sockets, &plan, &|| home.crash());
        // One call each, on the connection that broke.
        let lost = clients * plan.calls - history.answered();
        assert!(lost <= clients, "{lost} calls of {clients} clients had no answer");
        accept(number, &history);
        (calls, open) = (calls + history.answered(), open + lost);
    }
    println!("{count} histories, {calls} calls answered, {open} not, all linearizable");
}

#[test]
fn a_server_that_keeps_nothing_is_caught_by_kill_9() {
    let home = Home::start(&[]);
    let mut caught = 0;
    for number in 0..3 {
        let (plan, clients) = plan(number);
        let mut sockets: Vec<Socket<'_>> = (0..clients).map(|_| home.connect()).collect();
        let history = record(&mut sockets, &plan, &|| home.crash());
        caught += usize::from(matches!(history.judge(), Err(Objection::NotLinearizable(_))));
    }
    assert!(caught > 0, "all was forgotten, and nobody saw it");
    println!("caught in {caught} of 3 histories");
}
