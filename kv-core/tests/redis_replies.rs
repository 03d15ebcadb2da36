//! The same commands, sent to the engine and to a real redis-server: every reply is the same, byte
//! for byte, and so is what `COMMAND INFO` says of every command that both have.

mod peer;
mod store;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

use kv_core::command::{Access, COMMANDS, Run, Scope};
use kv_core::resp::reply::{self, Scanner, Value};
use kv_core::{Clock, Engine};
use peer::Redis;
use proptest::prelude::*;
use store::{encode, split};

/// A connection to a redis-server that forgets expired keys only when they are touched, as the
/// engine does between sweeps.
struct Reference {
    _redis: Redis,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Reference {
    fn start() -> Option<Self> {
        let redis = Redis::start(&["--enable-debug-command", "yes"])?;
        let stream = TcpStream::connect(("127.0.0.1", redis.port)).expect("redis is up");
        let mut reference = Self { _redis: redis, stream, received: Vec::new() };
        assert_eq!(reference.reply(&["debug", "set-active-expire", "0"]), b"+OK\r\n");
        let info = reference.reply(&["info", "server"]);
        let info = String::from_utf8_lossy(&info);
        if !info.contains("redis_version:7.0.") {
            println!("note: the reference is not redis 7.0; texts may differ");
        }
        Some(reference)
    }

    fn send<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.stream.write_all(&encode(args)).expect("redis reads");
    }

    /// The bytes of the next reply.
    fn receive(&mut self) -> Vec<u8> {
        let mut scanner = Scanner::default();
        loop {
            if let Some(range) = scanner.scan(&self.received).expect("RESP") {
                return self.received.drain(..range.end).collect();
            }
            let mut chunk = [0; 16 * 1024];
            let read = self.stream.read(&mut chunk).expect("redis answers");
            assert!(read > 0, "redis closed the connection");
            self.received.extend_from_slice(&chunk[..read]);
        }
    }

    fn reply<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Vec<u8> {
        self.send(args);
        self.receive()
    }
}

/// Runs a script on both, from an empty store, and compares every reply.
fn compare(reference: &mut Reference, script: &[Vec<Vec<u8>>]) -> Result<(), TestCaseError> {
    let engine = Engine::new(Clock::System);
    assert_eq!(reference.reply(&["flushall"]), b"+OK\r\n");
    for args in script {
        reference.send(args);
    }
    let expected: Vec<Vec<u8>> = script.iter().map(|_| reference.receive()).collect();
    for (args, expected) in script.iter().zip(expected) {
        let actual = store::reply(&engine, 0, args);
        let command: Vec<_> = args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
        prop_assert_eq!(
            actual.escape_ascii().to_string(),
            expected.escape_ascii().to_string(),
            "{}",
            command.join(" ")
        );
    }
    Ok(())
}

/// One script per line group; each group begins with an empty store.
const SCRIPTS: &str = include_str!("data/commands.txt");

#[test]
fn hand_picked_commands_answer_as_in_redis() {
    let Some(mut reference) = Reference::start() else { return };
    let mut failures = Vec::new();
    for group in SCRIPTS.split("\n\n") {
        let script: Vec<_> = group
            .lines()
            .filter(|line| !line.starts_with("//") && !line.is_empty())
            .map(split)
            .collect();
        if let Err(failure) = compare(&mut reference, &script) {
            failures.push(failure.to_string());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn numbers_of_absurd_length_answer_as_in_redis() {
    let Some(mut reference) = Reference::start() else { return };
    let nines = |len: usize| "9".repeat(len);
    let numbers = [
        nines(18),
        nines(19),
        nines(20),
        nines(4000),
        nines(5000),
        format!("0.{}", nines(5000)),
        format!("0.{}", "0".repeat(5000)),
        format!("{}1", "0".repeat(5000)),
        format!("1e{}", nines(5000)),
        format!("1e-{}", nines(5000)),
        format!("0e-{}", nines(5000)),
        format!("1{}e-5000", "0".repeat(5000)),
        format!("0x{}", "f".repeat(5000)),
        format!("0x1p{}", nines(30)),
        nines(5119),
        nines(5120),
        nines(100_000),
    ];
    for command in ["incrby", "incrbyfloat", "expireat"] {
        for number in &numbers {
            let script = [["set", "k", "1"], [command, "k", number], ["incrbyfloat", "k", "0"]];
            let script = script.map(|args| args.map(|arg| arg.as_bytes().to_vec()).to_vec());
            compare(&mut reference, &script).expect("the same replies");
        }
    }
}

#[test]
fn every_command_refuses_a_wrong_number_of_arguments_as_redis_does() {
    let Some(mut reference) = Reference::start() else { return };
    let mut script = Vec::new();
    for spec in COMMANDS.iter().filter(|spec| matches!(spec.run, Run::Data(_))) {
        for len in (1..8).filter(|&len| !spec.accepts(len)) {
            let mut args = vec![spec.name.as_bytes().to_vec()];
            args.resize(len, b"1".to_vec());
            script.push(args);
        }
    }
    compare(&mut reference, &script).expect("the same replies");
}

/// A number as people type them, and as nobody should.
fn any_number() -> impl Strategy<Value = String> {
    prop_oneof![
        (-12i64..12).prop_map(|number| number.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[-+]?[0-9]{0,3}(\\.[0-9]{0,4})?(e[-+]?[0-9]{1,2})?",
        proptest::sample::select(vec![
            "",
            "-",
            "+1",
            " 1",
            "1 ",
            "01",
            "-0",
            "-0.0",
            "0x10",
            "0x1p3",
            "0x.8",
            "0xg",
            ".",
            "5.",
            ".5",
            "1e",
            "1e+",
            "e1",
            "nan",
            "inf",
            "-inf",
            "infinity",
            "Infinity",
            "+inf",
            "1e400",
            "-1e400",
            "1e4931",
            "1e4933",
            "1e-400",
            "1e-4950",
            "1e-5000",
            "3.0e0",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "1e308",
            "0.1",
            "0.2",
            "1.23456789012345678",
            "99999999999999999.5",
            "123456789.987654321",
            "9999999999999999999999",
            "abc",
        ])
        .prop_map(str::to_owned),
    ]
}

fn any_key() -> impl Strategy<Value = String> {
    proptest::sample::select(vec!["a", "b", "c", ""]).prop_map(str::to_owned)
}

fn any_value() -> impl Strategy<Value = String> {
    prop_oneof![any_number(), "[a-c\\PC]{0,6}"]
}

/// Only times far away, so that the two clocks agree on what has expired.
fn any_time_s() -> impl Strategy<Value = String> {
    prop_oneof![
        proptest::sample::select(vec![
            "1",
            "0",
            "-1",
            "99999999999",
            "99999999998",
            "9223372036854775807",
            "9223372036854775",
            "9223372036854776",
            "-9223372036854775808",
            "abc",
            "1.5",
        ])
        .prop_map(str::to_owned),
        (99_999_999_990i64..99_999_999_999).prop_map(|number| number.to_string()),
    ]
}

fn any_option() -> impl Strategy<Value = Vec<String>> {
    let alone = ["nx", "XX", "get", "KEEPTTL", "persist", "gt", "LT", "ex", "count", "nonsense"];
    prop_oneof![
        proptest::sample::select(alone.to_vec()).prop_map(|word| vec![word.to_owned()]),
        (proptest::sample::select(vec!["exat", "PXAT"]), any_time_s())
            .prop_map(|(unit, time)| vec![unit.to_owned(), time]),
    ]
}

fn any_lcs_option() -> impl Strategy<Value = Vec<String>> {
    let alone = ["len", "IDX", "withmatchlen", "minmatchlen", "what"];
    prop_oneof![
        proptest::sample::select(alone.to_vec()).prop_map(|word| vec![word.to_owned()]),
        (-1i64..4).prop_map(|len| vec!["minmatchlen".to_owned(), len.to_string()]),
    ]
}

fn any_bit_offset() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0i64..80).prop_map(|offset| offset.to_string()),
        1 => (0i64..9).prop_map(|index| format!("#{index}")),
        1 => any_number(),
    ]
}

/// Where an index may be typed, which is mostly a sensible one.
fn any_index() -> impl Strategy<Value = String> {
    prop_oneof![4 => (-30i64..30).prop_map(|index| index.to_string()), 1 => any_number()]
}

fn any_bitfield_step() -> impl Strategy<Value = Vec<String>> {
    let kind = prop_oneof![
        4 => (proptest::bool::ANY, 1u32..64)
            .prop_map(|(signed, bits)| format!("{}{bits}", if signed { 'i' } else { 'u' })),
        1 => proptest::sample::select(vec!["i64", "u64", "i65", "i0", "u", "x8", "I8", "i8x", ""])
            .prop_map(str::to_owned),
    ];
    let number = prop_oneof![(-300i64..300).prop_map(|number| number.to_string()), any_number()];
    let overflow = ["wrap", "SAT", "fail", "fail", "nonsense"];
    prop_oneof![
        1 => proptest::sample::select(overflow.to_vec())
            .prop_map(|word| vec!["overflow".to_owned(), word.to_owned()]),
        4 => (proptest::sample::select(vec!["get", "set", "INCRBY"]), kind, any_bit_offset(), number)
            .prop_map(|(word, kind, offset, number)| {
                let mut words = vec![word.to_owned(), kind, offset];
                words.extend((word != "get").then_some(number));
                words
            }),
    ]
}

fn any_bit_command() -> impl Strategy<Value = Vec<String>> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let units = proptest::sample::select(vec!["bit", "BYTE", "nibble"]);
    prop_oneof![
        2 => (any_key(), any_bit_offset(), proptest::sample::select(vec!["0", "1", "1", "2", "-1", ""]))
            .prop_map(move |(key, offset, bit)| words(&["setbit", &key, &offset, bit])),
        1 => (any_key(), any_bit_offset()).prop_map(move |(key, offset)| words(&["getbit", &key, &offset])),
        2 => (any_key(), any_index(), any_index(), units.clone(), 0usize..4)
            .prop_map(move |(key, start, end, unit, len)| {
                words(&["bitcount", &key, &start, &end, unit][..2 + len])
            }),
        2 => (any_key(), proptest::sample::select(vec!["0", "1", "2", "x"]), any_index(), any_index(), units, 0usize..4)
            .prop_map(move |(key, bit, start, end, unit, len)| {
                words(&["bitpos", &key, bit, &start, &end, unit][..3 + len])
            }),
        2 => (proptest::sample::select(vec!["and", "OR", "xor", "not", "nand"]),
              proptest::collection::vec(any_key(), 2..5))
            .prop_map(move |(operation, keys)| [words(&["bitop", operation]), keys].concat()),
        3 => (proptest::sample::select(vec!["bitfield", "bitfield_ro"]), any_key(),
              proptest::collection::vec(any_bitfield_step(), 0..4))
            .prop_map(move |(name, key, steps)| [words(&[name, &key]), steps.concat()].concat()),
    ]
}

fn any_command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let simple = prop_oneof![
        Just(vec!["get"]),
        Just(vec!["getdel"]),
        Just(vec!["strlen"]),
        Just(vec!["type"]),
        Just(vec!["incr"]),
        Just(vec!["decr"]),
        Just(vec!["persist"]),
        Just(vec!["expiretime"]),
        Just(vec!["pexpiretime"]),
        Just(vec!["exists"]),
        Just(vec!["del"]),
        Just(vec!["bitcount"]),
    ];
    let words = prop_oneof![
        3 => (simple, any_key()).prop_map(|(mut name, key)| {
            let mut args: Vec<String> = name.drain(..).map(str::to_owned).collect();
            args.push(key);
            args
        }),
        3 => (any_key(), any_value(), proptest::collection::vec(any_option(), 0..4))
            .prop_map(|(key, value, options)| [vec!["set".into(), key, value], options.concat()].concat()),
        1 => (any_key(), proptest::collection::vec(any_option(), 0..3))
            .prop_map(|(key, options)| [vec!["getex".into(), key], options.concat()].concat()),
        2 => (proptest::sample::select(vec!["expireat", "pexpireat"]), any_key(), any_time_s(),
              proptest::collection::vec(any_option(), 0..3))
            .prop_map(|(name, key, time, options)| [vec![name.into(), key, time], options.concat()].concat()),
        3 => (proptest::sample::select(vec!["incrby", "decrby", "incrbyfloat"]), any_key(), any_number())
            .prop_map(|(name, key, number)| vec![name.into(), key, number]),
        2 => (proptest::sample::select(vec!["append", "setnx", "getset", "rename", "renamenx"]), any_key(), any_value())
            .prop_map(|(name, key, value)| vec![name.into(), key, value]),
        1 => (any_key(), any_key()).prop_map(|(from, to)| vec!["rename".into(), from, to]),
        1 => (any_key(), any_key()).prop_map(|(from, to)| vec!["renamenx".into(), from, to]),
        2 => (proptest::sample::select(vec!["getrange", "substr"]), any_key(), any_number(), any_number())
            .prop_map(|(name, key, start, end)| vec![name.into(), key, start, end]),
        1 => (any_key(), -3i64..40, any_value())
            .prop_map(|(key, offset, value)| vec!["setrange".into(), key, offset.to_string(), value]),
        3 => any_bit_command(),
        1 => (any_key(), any_key(), proptest::collection::vec(any_lcs_option(), 0..3))
            .prop_map(|(one, other, options)| [vec!["lcs".into(), one, other], options.concat()].concat()),
        1 => (any_key(), any_key(), proptest::sample::select(vec!["", "replace", "db", "what"]))
            .prop_map(|(from, to, option)| {
                let words = ["copy", &from, &to, option];
                words.iter().filter(|word| !word.is_empty()).map(|word| (*word).to_owned()).collect()
            }),
        2 => (proptest::sample::select(vec!["mget", "mset", "msetnx", "del", "unlink", "exists", "touch"]),
              proptest::collection::vec(any_key(), 1..6))
            .prop_map(|(name, keys)| [vec![name.into()], keys].concat()),
    ];
    words.prop_map(|words| words.into_iter().map(String::into_bytes).collect())
}

#[test]
fn random_commands_answer_as_in_redis() {
    let Some(reference) = Reference::start() else { return };
    let reference = std::cell::RefCell::new(reference);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    let scripts = proptest::collection::vec(any_command(), 1..120);
    runner
        .run(&scripts, |script| compare(&mut reference.borrow_mut(), &script))
        .unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn patterns_match_as_in_redis() {
    let Some(reference) = Reference::start() else { return };
    let reference = std::cell::RefCell::new(reference);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(1500));
    let cases = ("[ab*?\\[\\]^\\\\-]{0,8}", "[ab\\]^\\\\-]{0,5}");
    runner
        .run(&cases, |(pattern, key)| {
            let script = [
                vec![b"set".to_vec(), key.into_bytes(), Vec::new()],
                vec![b"keys".to_vec(), pattern.into_bytes()],
            ];
            compare(&mut reference.borrow_mut(), &script)
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

/// What came after 7.0.
const LATER: [&str; 3] = ["client|no-touch", "client|setinfo", "waitaof"];

/// Ours are not for transactions: a file is not written while keys are locked.
const NOT_IN_TRANSACTIONS: [&str; 1] = ["config|rewrite"];

#[test]
fn the_command_table_says_of_each_command_what_redis_says() {
    let Some(mut reference) = Reference::start() else { return };
    let all = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
    for spec in all.filter(|spec| !LATER.contains(&spec.name)) {
        let bytes = reference.reply(&["command", "info", spec.name]);
        let (value, _) = reply::decode(&bytes).expect("RESP").expect("whole");
        let Value::Array(mut infos) = value else { panic!("{value:?}") };
        let Value::Array(info) = infos.remove(0) else { panic!("redis has no {}", spec.name) };
        assert_eq!(info[1], Value::Integer(spec.arity.into()), "arity of {}", spec.name);

        let Value::Array(flags) = &info[2] else { panic!("{info:?}") };
        let mut theirs: BTreeSet<String> = flags
            .iter()
            .map(|flag| match flag {
                Value::Simple(text) => String::from_utf8_lossy(text).into_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        if NOT_IN_TRANSACTIONS.contains(&spec.name) {
            theirs.insert("no_multi".to_owned());
        }
        let access = match spec.access {
            Access::None => None,
            Access::Read => Some("readonly"),
            Access::Write => Some("write"),
        };
        let ours: BTreeSet<String> =
            spec.flags.iter().copied().chain(access).map(str::to_owned).collect();
        assert_eq!(ours, theirs, "flags of {}", spec.name);

        let (first, last, step) = match spec.scope {
            Scope::Keys { first, last, step } => (first as i64, i64::from(last), step as i64),
            _ => (0, 0, 0),
        };
        let positions = [first, last, step].map(Value::Integer);
        assert_eq!(info[3..6], positions, "keys of {}", spec.name);
    }
}
