//! What porcupine says of histories recorded by others, the checker says too. `data/porcupine`
//! tells where they come from.

use std::collections::BTreeMap;

use crate::history::checker::{Call, Model, Verdict, check};

/// A key of that store: a text that grows, at first empty.
struct Text;

enum Operation {
    Get,
    Put(String),
    Append(String),
}

impl Model for Text {
    type Operation = Operation;
    type Reply = String;
    type State = String;

    fn step(state: &String, operation: &Operation, reply: Option<&String>) -> Option<String> {
        match operation {
            Operation::Get => reply.is_none_or(|reply| reply == state).then(|| state.clone()),
            Operation::Put(text) => Some(text.clone()),
            Operation::Append(text) => Some(format!("{state}{text}")),
        }
    }

    fn only_reads(operation: &Operation, _: Option<&String>) -> bool {
        matches!(operation, Operation::Get)
    }
}

type Calls = Vec<Call<Operation, String>>;

/// Reads a file, key by key; the time is the number of the line. A line is
/// `{:process 0, :type :invoke, :f :append, :key "0", :value "x 0 0 y"}`, or `:value nil`.
fn read(text: &str) -> BTreeMap<String, Calls> {
    let mut keys: BTreeMap<String, Calls> = BTreeMap::new();
    for (time, line) in (0..).zip(text.lines()) {
        let field = |name: &str| {
            let value = line.split_once(name).unwrap_or_else(|| panic!("{name} in {line}")).1;
            value.split([',', '}']).next().expect("something").trim().trim_matches('"').to_owned()
        };
        let client = field(":process").parse().expect("a number");
        let calls = keys.entry(field(":key")).or_default();
        if field(":type") == ":invoke" {
            let operation = match field(":f").as_str() {
                ":get" => Operation::Get,
                ":put" => Operation::Put(field(":value")),
                ":append" => Operation::Append(field(":value")),
                other => panic!("{other} in {line}"),
            };
            calls.push(Call { client, invoked: time, returned: None, operation, reply: None });
        } else {
            let mut open = calls.iter_mut().rev();
            let call = open.find(|call| call.client == client).expect("an invocation before");
            call.returned = Some(time);
            call.reply = matches!(call.operation, Operation::Get).then(|| field(":value"));
        }
    }
    keys
}

#[track_caller]
fn judge(text: &str, linearizable: bool) {
    let keys = read(text);
    let verdicts = keys.values().map(|calls| check::<Text>(calls, 1_000_000));
    let mut violations = 0;
    for verdict in verdicts {
        assert_ne!(verdict, Verdict::Undecided);
        violations += usize::from(verdict != Verdict::Linearizable);
    }
    assert_eq!(violations == 0, linearizable, "{violations} keys");
}

#[test]
fn histories_that_porcupine_accepts_are_accepted() {
    judge(include_str!("../data/porcupine/c01-ok.txt"), true);
    judge(include_str!("../data/porcupine/c10-ok.txt"), true);
}

#[test]
fn histories_that_porcupine_refuses_are_refused() {
    judge(include_str!("../data/porcupine/c01-bad.txt"), false);
    judge(include_str!("../data/porcupine/c10-bad.txt"), false);
}
