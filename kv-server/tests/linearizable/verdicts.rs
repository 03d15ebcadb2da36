//! The checker against histories whose verdict is known: from the literature, by construction, and
//! from another way of judging.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::history::checker::{Impasse, Model, Verdict, check};
use crate::history::recorder::below;
use crate::history::register::Command::{Del, Get, GetDel, Incr, Set, SetNx};
use crate::history::register::Reply::{Done, Number, Value};
use crate::history::register::{Command, Register, Reply};
use crate::history::{Call, History, Objection};

const NIL: Reply = Value(None);
const PLENTY: usize = 1_000_000;

fn value(number: i64) -> Reply {
    Value(Some(number))
}

/// Calls of one client each: invocation, return, command, reply.
fn calls(list: &[(u64, u64, Command, Reply)]) -> Vec<Call> {
    let call = |(client, &(invoked, returned, operation, reply))| {
        let (returned, reply) = (Some(returned), Some(reply));
        Call { client, invoked, returned, operation, reply }
    };
    list.iter().enumerate().map(call).collect()
}

fn open(client: usize, invoked: u64, operation: Command) -> Call {
    Call { client, invoked, returned: None, operation, reply: None }
}

fn accepted(calls: &[Call]) -> bool {
    match check::<Register>(calls, PLENTY) {
        Verdict::Linearizable => true,
        Verdict::NotLinearizable(_) => false,
        Verdict::Undecided => panic!("too many steps for {calls:?}"),
    }
}

#[test]
fn a_read_during_a_write_may_see_the_old_value_or_the_new_one() {
    for seen in [NIL, value(1)] {
        assert!(accepted(&calls(&[(0, 10, Set(1), Done), (2, 8, Get, seen)])));
    }
    assert!(!accepted(&calls(&[(0, 10, Set(1), Done), (2, 8, Get, value(2))])));
}

#[test]
fn a_read_after_a_write_may_not_miss_it() {
    assert!(!accepted(&calls(&[(0, 1, Set(1), Done), (2, 3, Get, NIL)])));
    assert!(!accepted(&calls(&[
        (0, 1, Set(1), Done),
        (2, 3, Set(2), Done),
        (4, 5, Get, value(1))
    ])));
}

/// The new-old inversion of Lamport, "On interprocess communication" (1986), which tells an atomic
/// register from a regular one.
#[test]
fn once_the_new_value_was_read_nobody_reads_the_old_one() {
    let inverted = [
        (0, 1, Set(1), Done),
        (2, 20, Set(2), Done),
        (4, 6, Get, value(2)),
        (8, 10, Get, value(1)),
    ];
    assert!(!accepted(&calls(&inverted)));
    let [first, write, new, old] = inverted;
    let overlapping = [first, write, new, (5, 10, old.2, old.3)];
    assert!(accepted(&calls(&overlapping)));
}

/// A history is judged by the order of intervals, not by that of invocations or of returns alone:
/// after Herlihy & Wing (1990), where such registers are the first examples.
#[test]
fn an_order_may_differ_from_that_of_invocations_and_of_returns() {
    let writes = [(0, 10, Set(1), Done), (1, 9, Set(2), Done)];
    for last in [1, 2] {
        assert!(accepted(&calls(&[writes[0], writes[1], (11, 12, Get, value(last))])));
    }
    let both = [writes[0], writes[1], (11, 14, Get, value(1)), (12, 15, Get, value(2))];
    assert!(!accepted(&calls(&both)), "nothing was written in between");
}

#[test]
fn increments_are_neither_lost_nor_doubled() {
    assert!(accepted(&calls(&[(0, 10, Incr, Number(2)), (1, 9, Incr, Number(1))])));
    assert!(!accepted(&calls(&[(0, 10, Incr, Number(1)), (1, 9, Incr, Number(1))])));
    assert!(!accepted(&calls(&[(0, 1, Incr, Number(1)), (2, 3, Incr, Number(3))])));
}

#[test]
fn only_one_wins_where_only_one_can() {
    assert!(accepted(&calls(&[(0, 10, SetNx(1), Done), (1, 9, SetNx(2), NIL)])));
    assert!(!accepted(&calls(&[(0, 10, SetNx(1), Done), (1, 9, SetNx(2), Done)])));
    let removals = [(0, 1, Set(7), Done), (2, 10, GetDel, value(7)), (3, 9, GetDel, value(7))];
    assert!(!accepted(&calls(&removals)));
    let removals = [removals[0], removals[1], (3, 9, Del, Number(0))];
    assert!(accepted(&calls(&removals)));
}

#[test]
fn a_call_that_never_returned_may_take_effect_at_any_time_or_never() {
    let unseen = calls(&[(0, 1, Set(1), Done), (10, 11, Get, value(1)), (20, 21, Get, value(1))]);
    let late = calls(&[(0, 1, Set(1), Done), (10, 11, Get, value(1)), (20, 21, Get, value(2))]);
    let undone = calls(&[(0, 1, Set(1), Done), (10, 11, Get, value(2)), (20, 21, Get, value(1))]);
    let early = calls(&[(0, 1, Set(1), Done), (3, 4, Get, value(2)), (20, 21, Get, value(2))]);
    for (mut history, fine) in [(unseen, true), (late, true), (undone, false), (early, false)] {
        history.push(open(9, 5, Set(2)));
        assert_eq!(accepted(&history), fine, "{history:?}");
    }
}

#[test]
fn the_explanation_names_the_key_and_the_call_that_cannot_be() {
    let mut history = History::default();
    for call in calls(&[(0, 1000, Set(1), Done), (2000, 3000, Get, value(1))]) {
        history.push("innocent", call);
    }
    let guilty = [
        (0, 1000, Set(1), Done),
        (2000, 9000, Set(2), Done),
        (3000, 4500, Get, value(2)),
        (5000, 6000, Get, value(1)),
        (7000, 8000, Get, value(2)),
    ];
    for call in calls(&guilty) {
        history.push("guilty", call);
    }
    let Err(Objection::NotLinearizable(why)) = history.judge() else { panic!("it is not") };
    assert_eq!(
        why,
        "not linearizable: key guilty, 5 calls; no order lets this one return:
  client  3, 5.000 to 6.000 us: GET -> 1
an order of the 3 calls before it leaves 2; its end:
  client  0, 0.000 to 1.000 us: SET 1 -> OK
  client  1, 2.000 to 9.000 us: SET 2 -> OK
  client  2, 3.000 to 4.500 us: GET -> 2
under way at that time and not in this order:
"
    );
}

#[test]
fn the_offender_ends_the_shortest_prefix_that_cannot_be() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
    let mut found = 0;
    for _ in 0..200 {
        let mut history = construct(&mut random, 60);
        spoil(&mut random, &mut history);
        let Verdict::NotLinearizable(Impasse { offender, order, state }) =
            check::<Register>(&history, PLENTY)
        else {
            continue;
        };
        found += 1;
        let end = history[offender].returned.expect("an offender returns");
        let prefix = |time: u64| {
            let known = history.iter().filter(|call| call.invoked <= time).cloned();
            let cut = |mut call: Call| {
                if call.returned.is_some_and(|returned| returned > time) {
                    call.returned = None;
                }
                call
            };
            known.map(cut).collect::<Vec<_>>()
        };
        assert!(accepted(&prefix(end - 1)));
        assert!(!accepted(&prefix(end)));
        let replayed = order.iter().try_fold(None, |held, &call| {
            Register::step(&held, &history[call].operation, history[call].reply.as_ref())
        });
        assert_eq!(replayed, Some(state), "the order explains what it claims to");
    }
    assert!(found > 20, "{found} of 200 were spoiled");
}

#[test]
fn a_search_without_end_is_given_up() {
    // Sets that all overlap, and a read of what nobody wrote: every subset is a place to be.
    let mut history: Vec<Call> =
        (0..40).map(|client| calls(&[(0, 100, Set(client), Done)])[0].clone()).collect();
    history.push(calls(&[(200, 300, Get, value(-1))])[0].clone());
    assert_eq!(check::<Register>(&history, 10_000), Verdict::Undecided);
}

#[test]
fn histories_made_from_an_order_are_accepted() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    for _ in 0..200 {
        let history = construct(&mut random, 200);
        assert!(accepted(&history), "{history:?}");
    }
}

#[test]
fn a_read_of_what_was_overwritten_long_before_is_refused() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut spoiled = 0;
    for _ in 0..100 {
        let mut history = construct(&mut random, 200);
        // The values of this history's sets are its own, so each is gone once another replaced it.
        let is_set = |call: &&Call| matches!(call.operation, Set(_)) && call.returned.is_some();
        let sets: Vec<Call> = history.iter().filter(is_set).cloned().collect();
        let (first, middle) = (&sets[0], &sets[sets.len() / 2]);
        let after = middle.returned.expect("a set that returned");
        let separate = first.returned.is_some_and(|returned| returned < middle.invoked);
        let read = history
            .iter_mut()
            .find(|call| call.operation == Get && call.returned.is_some() && call.invoked > after);
        if let (true, Some(read), Set(old)) = (separate, read, first.operation) {
            read.reply = Some(value(old));
            assert!(!accepted(&history), "{history:?}");
            spoiled += 1;
        }
    }
    assert!(spoiled > 50, "{spoiled} of 100");
}

/// Tries all orders of all subsets that contain what returned.
fn possible(calls: &[Call], placed: &mut Vec<usize>, state: Option<i64>) -> bool {
    let left: Vec<usize> = (0..calls.len()).filter(|call| !placed.contains(call)).collect();
    if left.iter().all(|&call| calls[call].returned.is_none()) {
        return true;
    }
    left.iter().any(|&next| {
        let call = &calls[next];
        let overtakes =
            |&other: &usize| calls[other].returned.is_some_and(|end| end < call.invoked);
        if left.iter().any(overtakes) {
            return false;
        }
        let Some(state) = Register::step(&state, &call.operation, call.reply.as_ref()) else {
            return false;
        };
        placed.push(next);
        let found = possible(calls, placed, state);
        placed.pop();
        found
    })
}

#[test]
fn verdicts_are_those_of_trying_every_order() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let mut refused = 0;
    let rounds = 10_000;
    for _ in 0..rounds {
        let count = 2 + below(&mut random, 5);
        let mut history = construct(&mut random, count);
        for _ in 0..below(&mut random, 6) {
            spoil(&mut random, &mut history);
        }
        let expected = possible(&history, &mut Vec::new(), None);
        assert_eq!(accepted(&history), expected, "{history:?}");
        refused += usize::from(!expected);
    }
    assert!((rounds / 10..rounds * 9 / 10).contains(&refused), "{refused} were refused");
}

/// A history of overlapping calls that took effect in the order in which they are listed. Some have
/// no reply, and some of those no effect.
fn construct(random: &mut Xoshiro256PlusPlus, count: usize) -> Vec<Call> {
    let (mut state, mut history) = (None, Vec::new());
    for client in 0..count {
        let instant = 1000 + 100 * client as u64;
        let operation = match below(random, 6) {
            0 => Set(1000 * (client as i64 + 1)),
            1 => SetNx(1000 * (client as i64 + 1)),
            2 => Incr,
            3 => Del,
            4 => GetDel,
            _ => Get,
        };
        let invoked = instant - below(random, 400) as u64;
        let lost = below(random, 20) == 0;
        if lost && below(random, 2) == 0 {
            history.push(open(client, invoked, operation));
            continue;
        }
        let reply = Register::apply(&mut state, operation);
        let returned = (!lost).then(|| instant + below(random, 400) as u64);
        let reply = (!lost).then_some(reply);
        history.push(Call { client, invoked, returned, operation, reply });
    }
    history
}

/// Gives one call the reply of another, or a time of its own, which may or may not be possible.
fn spoil(random: &mut Xoshiro256PlusPlus, history: &mut [Call]) {
    let (one, other) = (below(random, history.len()), below(random, history.len()));
    let theirs = history[other].reply;
    let latest = 100 * history.len() + 400;
    let mine = &mut history[one];
    match (mine.operation, theirs) {
        (Get | GetDel, Some(Value(_))) | (Incr | Del, Some(Number(_))) if mine.reply.is_some() => {
            mine.reply = theirs;
        }
        _ => {
            let length = mine.returned.map(|returned| returned - mine.invoked);
            mine.invoked = 600 + below(random, latest) as u64;
            mine.returned = length.map(|length| mine.invoked + length);
        }
    }
}
