//! Histories of concurrent clients: recorded, judged, and explained where they are impossible.

pub(crate) mod checker;
pub(crate) mod recorder;
pub(crate) mod register;
pub(crate) mod server;

use std::collections::BTreeMap;
use std::fmt::Write;

use checker::{Impasse, Verdict};
use register::{Command, Register, Reply};

/// Calls tried per key before the search is given up: no recorded history has needed as many, and
/// what is remembered of them fits into memory.
const STEPS_MAX: usize = 1_000_000;

/// How many calls of the order found an explanation shows, from its end.
const ORDER_SHOWN: usize = 10;

/// A call on one key, with times in nanoseconds.
pub(crate) type Call = checker::Call<Command, Reply>;

/// What all clients did, key by key.
#[derive(Debug, Default)]
pub(crate) struct History {
    keys: BTreeMap<String, Vec<Call>>,
}

/// Why a history is not accepted.
#[derive(Debug)]
pub(crate) enum Objection {
    /// It cannot be explained, and that is how far it can.
    NotLinearizable(String),
    /// The search for an order took too long.
    Undecided {
        /// Of this key.
        key: String,
    },
}

impl History {
    pub(crate) fn push(&mut self, key: &str, call: Call) {
        match self.keys.get_mut(key) {
            Some(calls) => calls.push(call),
            None => drop(self.keys.insert(key.to_owned(), vec![call])),
        }
    }

    /// How many calls were answered.
    pub(crate) fn answered(&self) -> usize {
        self.keys.values().flatten().filter(|call| call.returned.is_some()).count()
    }

    /// Judges it.
    ///
    /// # Errors
    /// It is not linearizable, or nobody knows.
    pub(crate) fn judge(&self) -> Result<(), Objection> {
        for (key, calls) in &self.keys {
            match checker::check::<Register>(calls, STEPS_MAX) {
                Verdict::Linearizable => {}
                Verdict::Undecided => return Err(Objection::Undecided { key: key.clone() }),
                Verdict::NotLinearizable(impasse) => {
                    return Err(Objection::NotLinearizable(explain(key, calls, &impasse)));
                }
            }
        }
        Ok(())
    }
}

/// For a person: what was the last that made sense, what came then, and what else might have helped.
pub(crate) fn explain(key: &str, calls: &[Call], impasse: &Impasse<Option<i64>>) -> String {
    let offender = &calls[impasse.offender];
    let known = |call: &Call| call.invoked <= offender.returned.unwrap_or(u64::MAX);
    let mut text = format!(
        "not linearizable: key {key}, {} calls; no order lets this one return:\n  {}\n",
        calls.len(),
        line(offender)
    );
    let hidden = impasse.order.len().saturating_sub(ORDER_SHOWN);
    let held = Reply::Value(impasse.state);
    let placed = impasse.order.len();
    writeln!(text, "an order of the {placed} calls before it leaves {held}; its end:")
        .expect("writing to memory cannot fail");
    for &call in &impasse.order[hidden..] {
        writeln!(text, "  {}", line(&calls[call])).expect("writing to memory cannot fail");
    }
    text.push_str("under way at that time and not in this order:\n");
    for (id, call) in calls.iter().enumerate() {
        if id != impasse.offender && known(call) && !impasse.order.contains(&id) {
            writeln!(text, "  {}", line(call)).expect("writing to memory cannot fail");
        }
    }
    text
}

fn line(call: &Call) -> String {
    let micros = |nanos: u64| format!("{}.{:03}", nanos / 1000, nanos % 1000);
    let returned = call.returned.map_or_else(|| "never".to_owned(), micros);
    let reply = call.reply.map_or_else(|| "unknown".to_owned(), |reply| reply.to_string());
    let (client, invoked) = (call.client, micros(call.invoked));
    format!("client {client:2}, {invoked} to {returned} us: {} -> {reply}", call.operation)
}
