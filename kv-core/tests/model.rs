//! Any sequence of commands against a `BTreeMap`: the same replies, in every database, to the
//! millisecond of a clock turned by hand. What redis says to wrong arguments is asked of a real one in
//! `redis_replies.rs`; here all commands are right ones.

mod store;

use std::collections::BTreeMap;

use kv_core::resp::reply::Value;
use proptest::prelude::*;
use store::{BEGIN_MS, Store};

const DATABASES: u8 = 3;

/// What `MEMORY USAGE` says of a key's place in the table, which stays when the key goes.
const SLOT_BYTES: i64 = 14;

#[derive(Debug, Clone)]
struct Held {
    value: Vec<u8>,
    expires_at_ms: Option<u64>,
}

/// What every key of every database is.
#[derive(Debug, Default)]
struct Model {
    keys: BTreeMap<(u8, String), Held>,
    now_ms: u64,
}

#[derive(Debug, Clone)]
enum Step {
    AdvanceMs(u64),
    Sweep,
    Command { db: u8, args: Vec<String> },
}

fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

fn bulk(value: Option<&Held>) -> Value {
    value.map_or(Value::Null, |held| Value::Bulk(held.value.clone()))
}

fn flag(truth: bool) -> Value {
    Value::Integer(truth.into())
}

impl Model {
    fn forget_expired(&mut self) {
        let now_ms = self.now_ms;
        self.keys.retain(|_, held| held.expires_at_ms.is_none_or(|at_ms| at_ms > now_ms));
    }

    fn set(&mut self, db: u8, key: &str, value: &[u8], expires_at_ms: Option<u64>) {
        self.keys.insert((db, key.to_owned()), Held { value: value.to_vec(), expires_at_ms });
        self.forget_expired();
    }

    fn change(&mut self, db: u8, key: &str, value: Vec<u8>) {
        let absent = Held { value: Vec::new(), expires_at_ms: None };
        self.keys.entry((db, key.to_owned())).or_insert(absent).value = value;
    }

    fn run(&mut self, db: u8, args: &[String]) -> Value {
        self.forget_expired();
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        self.run_on_key(db, &words)
            .or_else(|| self.run_on_expiry(db, &words))
            .or_else(|| self.run_on_keys(db, &words))
            .unwrap_or_else(|| panic!("the model lacks {words:?}"))
    }

    fn get(&self, db: u8, key: &str) -> Option<&Held> {
        self.keys.get(&(db, key.to_owned()))
    }

    fn remove(&mut self, db: u8, key: &str) -> Option<Held> {
        self.keys.remove(&(db, key.to_owned()))
    }

    fn run_on_key(&mut self, db: u8, words: &[&str]) -> Option<Value> {
        let &[name, key, ref rest @ ..] = words else { return None };
        let held = self.get(db, key).cloned();
        let old = held.as_ref().map(|held| held.value.clone()).unwrap_or_default();
        Some(match (name, rest) {
            ("get", []) => bulk(held.as_ref()),
            ("strlen", []) => Value::Integer(old.len() as i64),
            ("type", []) => {
                Value::Simple(if held.is_some() { b"string".to_vec() } else { b"none".to_vec() })
            }
            ("set", [value, options @ ..]) => return Some(self.run_set(db, key, value, options)),
            ("setnx", [value]) => {
                if held.is_none() {
                    self.set(db, key, value.as_bytes(), None);
                }
                flag(held.is_none())
            }
            ("getset", [value]) => {
                self.set(db, key, value.as_bytes(), None);
                bulk(held.as_ref())
            }
            ("getdel", []) => bulk(self.remove(db, key).as_ref()),
            ("append", [tail]) => {
                let value = [&old, tail.as_bytes()].concat();
                self.change(db, key, value.clone());
                Value::Integer(value.len() as i64)
            }
            ("setrange", [offset, part]) => {
                let offset: usize = offset.parse().expect("an offset");
                let mut value = old;
                if !part.is_empty() {
                    value.resize(value.len().max(offset + part.len()), 0);
                    value[offset..offset + part.len()].copy_from_slice(part.as_bytes());
                    self.change(db, key, value.clone());
                }
                Value::Integer(value.len() as i64)
            }
            ("getrange", [start, end]) => {
                let len = old.len() as i64;
                let number = |text: &str| text.parse::<i64>().expect("an index");
                let (first, last) = (number(start), number(end));
                // Redis moves an end before the first byte onto that byte.
                let index = |number: i64| if number < 0 { (number + len).max(0) } else { number };
                let backwards = first < 0 && last < 0 && first > last;
                let inside = |at: i64| !backwards && at >= index(first) && at <= index(last);
                let bytes = old.iter().enumerate().filter(|(at, _)| inside(*at as i64));
                Value::Bulk(bytes.map(|(_, &byte)| byte).collect())
            }
            ("incrby" | "decrby", [by]) => {
                let by: i64 = by.parse().expect("a number");
                let by = if name == "decrby" { -by } else { by };
                let text = if old.is_empty() && held.is_none() { "0".into() } else { old };
                let number = String::from_utf8(text).ok().and_then(|text| {
                    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
                });
                match number {
                    Some(number) => {
                        self.change(db, key, (number + by).to_string().into_bytes());
                        Value::Integer(number + by)
                    }
                    None => Value::Error(b"ERR value is not an integer or out of range".to_vec()),
                }
            }
            _ => return None,
        })
    }

    fn at_ms(&self, unit: &str, number: &str) -> u64 {
        let number: u64 = number.parse().expect("a number");
        match unit {
            "ex" => self.now_ms + number * 1000,
            "px" => self.now_ms + number,
            "exat" => number * 1000,
            "pxat" => number,
            _ => panic!("the model lacks {unit}"),
        }
    }

    fn run_set(&mut self, db: u8, key: &str, value: &str, options: &[&str]) -> Value {
        let held = self.get(db, key).cloned();
        let has = |word| options.contains(&word);
        let expires_at_ms = match options {
            [.., unit @ ("ex" | "px" | "exat" | "pxat"), number] => Some(self.at_ms(unit, number)),
            _ if has("keepttl") => held.as_ref().and_then(|held| held.expires_at_ms),
            _ => None,
        };
        let refused = has("nx") && held.is_some() || has("xx") && held.is_none();
        if !refused {
            self.set(db, key, value.as_bytes(), expires_at_ms);
        }
        match (has("get"), refused) {
            (true, _) => bulk(held.as_ref()),
            (false, true) => Value::Null,
            (false, false) => ok(),
        }
    }

    fn run_on_expiry(&mut self, db: u8, words: &[&str]) -> Option<Value> {
        let &[name, key, ref rest @ ..] = words else { return None };
        let now_ms = self.now_ms;
        let place = (db, key.to_owned());
        let at_ms = self.keys.get(&place).map(|held| held.expires_at_ms);
        let in_future = |at_ms: u64| (at_ms - now_ms) as i64;
        Some(match (name, rest) {
            ("expire" | "pexpire" | "expireat" | "pexpireat", [number, conditions @ ..]) => {
                let unit = match name {
                    "expire" => "ex",
                    "pexpire" => "px",
                    "expireat" => "exat",
                    _ => "pxat",
                };
                let target_ms = self.at_ms(unit, number);
                let Some(old_ms) = at_ms else { return Some(flag(false)) };
                let set = conditions.iter().all(|condition| match *condition {
                    "nx" => old_ms.is_none(),
                    "xx" => old_ms.is_some(),
                    "gt" => old_ms.is_some_and(|old_ms| target_ms > old_ms),
                    "lt" => old_ms.is_none_or(|old_ms| target_ms < old_ms),
                    other => panic!("the model lacks {other}"),
                });
                if set && let Some(held) = self.keys.get_mut(&place) {
                    held.expires_at_ms = Some(target_ms);
                }
                flag(set)
            }
            ("persist", []) => {
                if let Some(held) = self.keys.get_mut(&place) {
                    held.expires_at_ms = None;
                }
                flag(at_ms.flatten().is_some())
            }
            ("getex", options) => {
                let reply = bulk(self.keys.get(&place));
                let target_ms = match options {
                    [unit, number] => Some(Some(self.at_ms(unit, number))),
                    ["persist"] => Some(None),
                    _ => None,
                };
                if let (Some(target_ms), Some(held)) = (target_ms, self.keys.get_mut(&place)) {
                    held.expires_at_ms = target_ms;
                }
                reply
            }
            ("ttl" | "pttl" | "expiretime" | "pexpiretime", []) => {
                Value::Integer(match (at_ms, name) {
                    (None, _) => -2,
                    (Some(None), _) => -1,
                    (Some(Some(at_ms)), "ttl") => (in_future(at_ms) + 500) / 1000,
                    (Some(Some(at_ms)), "pttl") => in_future(at_ms),
                    (Some(Some(at_ms)), "expiretime") => (at_ms as i64 + 500) / 1000,
                    (Some(Some(at_ms)), _) => at_ms as i64,
                })
            }
            _ => return None,
        })
    }

    fn run_on_keys(&mut self, db: u8, words: &[&str]) -> Option<Value> {
        let keys = || words[1..].iter();
        Some(match words[0] {
            "mget" => Value::Array(keys().map(|key| bulk(self.get(db, key))).collect()),
            "del" | "unlink" => {
                Value::Integer(keys().filter(|key| self.remove(db, key).is_some()).count() as i64)
            }
            "exists" | "touch" => {
                Value::Integer(keys().filter(|key| self.get(db, key).is_some()).count() as i64)
            }
            name @ ("mset" | "msetnx") => {
                let pairs: Vec<_> = words[1..].chunks(2).collect();
                let absent = pairs.iter().all(|pair| self.get(db, pair[0]).is_none());
                if name == "mset" || absent {
                    for pair in pairs {
                        self.set(db, pair[0], pair[1].as_bytes(), None);
                    }
                }
                if name == "mset" { ok() } else { flag(absent) }
            }
            name @ ("rename" | "renamenx") => {
                let (from, to) = (words[1], words[2]);
                let Some(held) = self.get(db, from).cloned() else {
                    return Some(Value::Error(b"ERR no such key".to_vec()));
                };
                let refused = name == "renamenx" && self.get(db, to).is_some();
                if !refused {
                    self.remove(db, from);
                    self.set(db, to, &held.value, held.expires_at_ms);
                }
                if name == "rename" { ok() } else { flag(!refused) }
            }
            "keys" => Value::Array(
                self.keys
                    .keys()
                    .filter(|(of, _)| *of == db)
                    .map(|(_, key)| Value::Bulk(key.clone().into_bytes()))
                    .collect(),
            ),
            "swapdb" => {
                let [one, other] = [1, 2].map(|at| words[at].parse::<u8>().expect("a database"));
                self.keys = std::mem::take(&mut self.keys)
                    .into_iter()
                    .map(|((of, key), held)| match of {
                        of if of == one => ((other, key), held),
                        of if of == other => ((one, key), held),
                        of => ((of, key), held),
                    })
                    .collect();
                ok()
            }
            "flushdb" => {
                self.keys.retain(|(of, _), _| *of != db);
                ok()
            }
            "flushall" => {
                self.keys.clear();
                ok()
            }
            _ => return None,
        })
    }
}

fn words(name: &str, rest: &[String]) -> Vec<String> {
    [&[name.to_owned()], rest].concat()
}

/// Relative in seconds and milliseconds, or absolute; some of it past as the clock goes on.
fn any_deadline() -> impl Strategy<Value = Vec<String>> {
    const BEGIN_S: u64 = BEGIN_MS / 1000;
    prop_oneof![
        (1u64..6).prop_map(|number| words("ex", &[number.to_string()])),
        (1u64..4000).prop_map(|number| words("px", &[number.to_string()])),
        (BEGIN_S + 1..BEGIN_S + 60).prop_map(|number| words("exat", &[number.to_string()])),
        (BEGIN_MS + 1..BEGIN_MS + 60_000).prop_map(|number| words("pxat", &[number.to_string()])),
    ]
}

fn any_key() -> impl Strategy<Value = String> {
    "[a-e]"
}

fn any_args() -> impl Strategy<Value = Vec<String>> {
    let value = || prop_oneof!["[0-9]{0,3}", "[a-c]{0,40}", "-?[0-9]{1,4}"];
    let alone =
        ["get", "strlen", "type", "getdel", "persist", "ttl", "pttl", "expiretime", "pexpiretime"];
    let index = || (-8i64..8).prop_map(|index| index.to_string());
    let conditions = prop_oneof![
        2 => Just(vec![]),
        4 => proptest::sample::select(vec!["nx", "xx", "gt", "lt"]).prop_map(|word| vec![word.to_owned()]),
        1 => Just(vec!["xx".to_owned(), "gt".to_owned()]),
    ];
    prop_oneof![
        6 => (proptest::sample::select(alone.to_vec()), any_key())
            .prop_map(|(name, key)| words(name, &[key])),
        4 => (any_key(), value(), any_set_options())
            .prop_map(|(key, value, options)| words("set", &[vec![key, value], options].concat())),
        3 => (proptest::sample::select(vec!["setnx", "getset", "append"]), any_key(), value())
            .prop_map(|(name, key, value)| words(name, &[key, value])),
        1 => (any_key(), 0usize..50, value())
            .prop_map(|(key, offset, part)| words("setrange", &[key, offset.to_string(), part])),
        1 => (any_key(), index(), index())
            .prop_map(|(key, start, end)| words("getrange", &[key, start, end])),
        2 => (proptest::sample::select(vec!["incrby", "decrby"]), any_key(), index())
            .prop_map(|(name, key, by)| words(name, &[key, by])),
        4 => (any_key(), any_deadline(), conditions).prop_map(|(key, deadline, conditions)| {
            let name = match deadline[0].as_str() {
                "ex" => "expire",
                "px" => "pexpire",
                "exat" => "expireat",
                _ => "pexpireat",
            };
            words(name, &[vec![key, deadline[1].clone()], conditions].concat())
        }),
        2 => (any_key(), prop_oneof![any_deadline(), Just(vec![]), Just(vec!["persist".to_owned()])])
            .prop_map(|(key, options)| words("getex", &[vec![key], options].concat())),
        3 => (proptest::sample::select(vec!["mget", "del", "unlink", "exists", "touch"]),
              proptest::collection::vec(any_key(), 1..5))
            .prop_map(|(name, keys)| words(name, &keys)),
        2 => (proptest::sample::select(vec!["mset", "msetnx"]),
              proptest::collection::vec((any_key(), value()), 1..4))
            .prop_map(|(name, pairs)| {
                let flat: Vec<String> = pairs.into_iter().flat_map(|(key, value)| [key, value]).collect();
                words(name, &flat)
            }),
        2 => (proptest::sample::select(vec!["rename", "renamenx"]), any_key(), any_key())
            .prop_map(|(name, from, to)| words(name, &[from, to])),
        1 => Just(words("keys", &["*".to_owned()])),
        2 => (0..DATABASES, 0..DATABASES)
            .prop_map(|(one, other)| words("swapdb", &[one.to_string(), other.to_string()])),
        1 => proptest::sample::select(vec!["flushdb", "flushall"]).prop_map(|name| words(name, &[])),
    ]
}

fn any_set_options() -> impl Strategy<Value = Vec<String>> {
    let condition = prop_oneof![Just(""), Just("nx"), Just("xx")];
    let expiry = prop_oneof![Just(vec![]), Just(vec!["keepttl".to_owned()]), any_deadline()];
    (condition, any::<bool>(), expiry).prop_map(|(condition, get, expiry)| {
        let mut options = Vec::new();
        options.extend((!condition.is_empty()).then(|| condition.to_owned()));
        options.extend(get.then(|| "get".to_owned()));
        [options, expiry].concat()
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..DATABASES, any_args()).prop_map(|(db, args)| Step::Command { db, args }),
        2 => (0u64..3000).prop_map(Step::AdvanceMs),
        1 => Just(Step::Sweep),
    ]
}

/// Keys come in no order.
fn sorted(mut value: Value) -> Value {
    if let Value::Array(items) = &mut value {
        items.sort_by_key(|item| format!("{item:?}"));
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_reply_is_the_models(steps in proptest::collection::vec(any_step(), 1..150)) {
        let store = Store::new();
        let mut model = Model { now_ms: store.now_ms(), ..Model::default() };
        for step in &steps {
            match step {
                Step::AdvanceMs(ms) => {
                    store.advance_ms(*ms);
                    model.now_ms += ms;
                }
                Step::Sweep => {
                    store.engine.sweep_expired(std::time::Duration::from_mins(1));
                    model.forget_expired();
                }
                Step::Command { db, args } => {
                    let mut expected = model.run(*db, args);
                    let mut actual = store::value(&store.engine, *db, args);
                    if args[0] == "keys" {
                        (expected, actual) = (sorted(expected), sorted(actual));
                    }
                    prop_assert_eq!(actual, expected, "{:?}", args);
                }
            }
        }
        // Whatever is left, all of it and nothing else is there.
        store.engine.sweep_expired(std::time::Duration::from_mins(1));
        model.forget_expired();
        for (db, size) in (0..DATABASES).zip(store.engine.sizes()) {
            let held = || model.keys.iter().filter(|((of, _), _)| *of == db).map(|(_, held)| held);
            prop_assert_eq!(size.keys, held().count());
            prop_assert_eq!(size.expiring, held().filter(|held| held.expires_at_ms.is_some()).count());
        }
        // What each key is said to cost is what its end gives back; the tables are too small to shrink.
        for (db, key) in model.keys.keys() {
            let bytes = || store.engine.sizes()[usize::from(*db)].bytes as i64;
            let Value::Integer(usage) = store::value(&store.engine, *db, &["memory", "usage", key]) else {
                panic!("{key} is there");
            };
            let before = bytes();
            store.reply(*db, &["del", key]);
            prop_assert_eq!(before - bytes(), usage - SLOT_BYTES);
        }
    }
}
