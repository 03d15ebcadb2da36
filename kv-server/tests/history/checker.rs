//! Is a history linearizable? Could each call have taken effect at one instant between its
//! invocation and its return, so that all replies are those of a single sequential object
//! (Herlihy & Wing, "Linearizability", TOPLAS 1990)?
//!
//! The search is that of Wing & Gong ("Testing and verifying concurrent objects", JPDC 1993): of
//! the calls that may come next, those invoked before the first return among the calls not yet
//! placed, take one whose reply fits, go on, and take it back when that leads nowhere. As Lowe
//! ("Testing for linearizability", CCPE 2017) adds, a set of placed calls that led to the same state
//! before is not tried again. Callers split a history by key first, as porcupine does: keys are
//! independent objects, and linearizability is local.
//!
//! Calls that never returned would double the places to be with each of them. So they are placed
//! only where nothing else can be, and a place is not tried again that was left with fewer of them
//! used up: whatever can follow the one can follow the other.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

/// A sequential object.
pub(crate) trait Model {
    /// What is asked of it.
    type Operation;
    /// What it answers.
    type Reply;
    /// What it holds; the default is what it holds at first.
    type State: Clone + Eq + Hash + Default + Debug;

    /// The state after `operation`; `None` when it cannot have been answered with `reply` in this
    /// one. An unknown reply fits every state.
    fn step(
        state: &Self::State,
        operation: &Self::Operation,
        reply: Option<&Self::Reply>,
    ) -> Option<Self::State>;

    /// Whether `operation`, answered with `reply`, leaves every state as it is. Such a call may as
    /// well come as early as it can, which spares the search all other orders.
    fn only_reads(operation: &Self::Operation, reply: Option<&Self::Reply>) -> bool;
}

/// One operation as a client saw it, with times of one clock for all clients, in any unit.
#[derive(Debug, Clone)]
pub(crate) struct Call<O, R> {
    pub(crate) client: usize,
    /// Before the request was sent.
    pub(crate) invoked: u64,
    /// After the reply was received. If it never was, the call may take effect at any time after
    /// its invocation, or never.
    pub(crate) returned: Option<u64>,
    pub(crate) operation: O,
    /// Unknown where there was none, or where it says nothing.
    pub(crate) reply: Option<R>,
}

/// What [`check`] found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict<S> {
    Linearizable,
    /// There is no such order of the calls.
    NotLinearizable(Impasse<S>),
    /// The search was given up after as many steps as were allowed.
    Undecided,
}

/// How far a history can be explained. All calls are given by their index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Impasse<S> {
    /// The call whose return makes the history impossible: up to just before it there is an order,
    /// up to and with it there is none. Calls under way at that time may be in it, with the reply
    /// that they got later.
    pub(crate) offender: usize,
    /// An order that explains everything before that return.
    pub(crate) order: Vec<usize>,
    /// The state at the end of that order.
    pub(crate) state: S,
}

/// Judges the history of one object. `steps_max` bounds the number of calls tried, and so time and
/// memory: at most that many states are remembered, each with a bit for every call.
pub(crate) fn check<M: Model>(
    calls: &[Call<M::Operation, M::Reply>],
    steps_max: usize,
) -> Verdict<M::State> {
    Search::<M>::new(calls, steps_max).run()
}

/// Both ends of the calls that returned and are not placed yet, in the order of time: a list that
/// gives up and takes back its members in constant time (Knuth's dancing links). Call `c` is invoked
/// at position `2c + 1` and returns at `2c + 2`; position 0 is before the first.
struct Timeline {
    next: Vec<usize>,
    previous: Vec<usize>,
}

impl Timeline {
    fn new<O, R>(calls: &[Call<O, R>]) -> Self {
        let mut ends = Vec::new();
        for (id, call) in calls.iter().enumerate() {
            if let Some(returned) = call.returned {
                // At the same instant invocations come first: such calls overlap, which excludes
                // least.
                ends.push((call.invoked, 0, 2 * id + 1));
                ends.push((returned, 1, 2 * id + 2));
            }
        }
        ends.sort_unstable();
        let mut timeline =
            Self { next: vec![0; 2 * calls.len() + 1], previous: vec![0; 2 * calls.len() + 1] };
        let mut last = 0;
        for (_, _, position) in ends {
            timeline.next[last] = position;
            timeline.previous[position] = last;
            last = position;
        }
        timeline.next[last] = 0;
        timeline.previous[0] = last;
        timeline
    }

    fn give_up(&mut self, position: usize) {
        let (previous, next) = (self.previous[position], self.next[position]);
        self.next[previous] = next;
        self.previous[next] = previous;
    }

    /// Undoes the last [`give_up`](Self::give_up) that is not undone.
    fn take_back(&mut self, position: usize) {
        let (previous, next) = (self.previous[position], self.next[position]);
        self.next[previous] = position;
        self.previous[next] = position;
    }
}

/// A bit for every call.
type CallSet = Box<[u64]>;

/// Calls that returned and are placed, and the state they led to.
type Place<S> = (CallSet, S);

struct Search<'a, M: Model> {
    calls: &'a [Call<M::Operation, M::Reply>],
    timeline: Timeline,
    /// Calls that never returned, by invocation.
    open: Vec<usize>,
    /// The calls placed so far, in order, each with the state before it.
    order: Vec<(usize, M::State)>,
    state: M::State,
    /// Of those that returned, the ones that are placed.
    placed: CallSet,
    /// Of the others, the ones that are placed.
    used: CallSet,
    /// Where the search has been, and which open calls it had used up there.
    visited: HashMap<Place<M::State>, Vec<CallSet>>,
    /// Calls that returned and are not placed yet.
    due: usize,
    impasse: Option<Impasse<M::State>>,
    steps_left: usize,
}

/// There is nothing left to try, or not the time.
enum End {
    Exhausted,
    GivenUp,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(calls: &'a [Call<M::Operation, M::Reply>], steps_max: usize) -> Self {
        let none: CallSet = vec![0; calls.len().div_ceil(64)].into();
        let mut open: Vec<usize> =
            (0..calls.len()).filter(|&call| calls[call].returned.is_none()).collect();
        open.sort_by_key(|&call| calls[call].invoked);
        Self {
            calls,
            timeline: Timeline::new(calls),
            due: calls.len() - open.len(),
            open,
            order: Vec::new(),
            state: M::State::default(),
            placed: none.clone(),
            used: none,
            visited: HashMap::new(),
            impasse: None,
            steps_left: steps_max,
        }
    }

    fn run(mut self) -> Verdict<M::State> {
        let mut position = self.timeline.next[0];
        // What never returned need not take effect.
        while self.due > 0 {
            let call = (position - 1) / 2;
            let after = if position % 2 == 1 {
                self.try_call(call).map(|placed| if placed { 0 } else { position })
            } else {
                // It returned, but nothing that we placed lets it.
                self.note(call);
                self.detour(call)
            };
            match (after, self.impasse) {
                (Ok(after), impasse) => {
                    self.impasse = impasse;
                    position = self.timeline.next[after];
                }
                (Err(End::Exhausted), Some(impasse)) => return Verdict::NotLinearizable(impasse),
                (Err(_), _) => return Verdict::Undecided,
            }
        }
        Verdict::Linearizable
    }

    /// Goes on, before `due` returns, with an open call, or goes back to where something else can be
    /// tried. Answers the position after which to look.
    fn detour(&mut self, mut due: usize) -> Result<usize, End> {
        let mut next = 0;
        loop {
            while let Some(&call) = self.open.get(next) {
                next += 1;
                if Some(self.calls[call].invoked) <= self.calls[due].returned
                    && !contains(&self.used, call)
                    && self.try_call(call)?
                {
                    return Ok(0);
                }
            }
            let call = self.withdraw().ok_or(End::Exhausted)?;
            if self.calls[call].returned.is_some() {
                return Ok(2 * call + 1);
            }
            // What stood in the way before this detour stands there again.
            due = self.first_return();
            next = self.open.iter().position(|&open| open == call).map_or(0, |index| index + 1);
        }
    }

    /// The next call that must be placed.
    fn first_return(&self) -> usize {
        let mut position = self.timeline.next[0];
        while position % 2 == 1 {
            position = self.timeline.next[position];
        }
        (position - 1) / 2
    }

    /// Places a call next, unless its reply does not fit or that leads nowhere new.
    fn try_call(&mut self, id: usize) -> Result<bool, End> {
        self.steps_left = self.steps_left.checked_sub(1).ok_or(End::GivenUp)?;
        let call = &self.calls[id];
        let Some(state) = M::step(&self.state, &call.operation, call.reply.as_ref()) else {
            return Ok(false);
        };
        let returns = call.returned.is_some();
        if !returns && state == self.state {
            return Ok(false);
        }
        self.flip(id);
        if !self.visit(&state) {
            self.flip(id);
            return Ok(false);
        }
        self.order.push((id, std::mem::replace(&mut self.state, state)));
        if returns {
            self.timeline.give_up(2 * id + 1);
            self.timeline.give_up(2 * id + 2);
            self.due -= 1;
        }
        Ok(true)
    }

    /// Whether the search has not been there with as many open calls left.
    fn visit(&mut self, state: &M::State) -> bool {
        let used = &self.used;
        let before = self.visited.entry((self.placed.clone(), state.clone())).or_default();
        if before.iter().any(|before| is_subset(before, used)) {
            return false;
        }
        before.retain(|before| !is_subset(used, before));
        before.push(used.clone());
        true
    }

    /// Takes back the last placed call to which there is an alternative.
    fn withdraw(&mut self) -> Option<usize> {
        loop {
            let (id, state) = self.order.pop()?;
            self.state = state;
            self.flip(id);
            let call = &self.calls[id];
            if call.returned.is_some() {
                self.timeline.take_back(2 * id + 2);
                self.timeline.take_back(2 * id + 1);
                self.due += 1;
            }
            if !M::only_reads(&call.operation, call.reply.as_ref()) {
                return Some(id);
            }
        }
    }

    fn flip(&mut self, id: usize) {
        let returns = self.calls[id].returned.is_some();
        let set = if returns { &mut self.placed } else { &mut self.used };
        set[id / 64] ^= 1 << (id % 64);
    }

    /// Remembers the latest return that was reached and not passed.
    fn note(&mut self, call: usize) {
        let returned = |call: usize| (self.calls[call].returned, call);
        if self.impasse.as_ref().is_none_or(|known| returned(known.offender) < returned(call)) {
            let order = self.order.iter().map(|(call, _)| *call).collect();
            self.impasse = Some(Impasse { offender: call, order, state: self.state.clone() });
        }
    }
}

fn contains(set: &CallSet, call: usize) -> bool {
    set[call / 64] & (1 << (call % 64)) != 0
}

fn is_subset(small: &CallSet, big: &CallSet) -> bool {
    small.iter().zip(big).all(|(small, big)| small & !big == 0)
}
