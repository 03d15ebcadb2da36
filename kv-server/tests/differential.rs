//! Random streams of commands, said to a redis-server and to ours over sockets: every answer is the
//! same, byte for byte, but for what `differential/exceptions.rs` lists.
//!
//! A script is some hundred commands on three connections that take turns, in pipelined batches, in
//! RESP2 or RESP3, with transactions that the other connections interfere with. It begins with an
//! empty store and is made of its seed alone. `KV_DIFFERENTIAL=1000000` runs so many commands,
//! `KV_DIFFERENTIAL_SEED=7` others than usual; a script whose answers differ is cut down to what is
//! needed for that and printed, with its seed.

mod differential {
    pub(crate) mod exceptions;
    pub(crate) mod grammar;
    pub(crate) mod pair;
    pub(crate) use super::support;
}
mod support;

use std::fmt::Write;
use std::time::Duration;

use differential::exceptions::NOT_SENT;
use differential::grammar::{Dice, Grammar, Times, Words};
use differential::pair::{Difference, Pair, Step};
use kv_core::command::COMMANDS;
use support::{Redis, Served};

/// Commands in the usual run.
const COMMANDS_USUALLY: usize = 20_000;
const CONNECTIONS: usize = 3;
/// Commands in a script.
const SCRIPT_LEN: usize = 500;
/// More than any replies are.
const UNLIMITED_BYTES: usize = 1 << 40;
/// Longer than any reply waits to be read.
const UNLIMITED_TIME: Duration = Duration::from_hours(24);
/// Scripts that are cut down and shown; with so many, more would not help.
const SHOWN_MAX: usize = 12;

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} should be a number, not '{value}'")))
}

/// The script of a seed.
fn script(grammar: &Grammar, seed: u64) -> (Vec<Step>, Times) {
    let mut dice = Dice::new(seed);
    let times = dice.pick(&[Times::Absolute, Times::Absolute, Times::Relative, Times::Past]);
    let mut steps = Vec::new();
    let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let step = |connection, words, awaited| Step { connection, words, inline: false, awaited };
    for connection in 0..CONNECTIONS {
        if dice.one_in(2) {
            steps.push(step(connection, words(&["hello", "3"]), true));
        }
    }
    while steps.len() < SCRIPT_LEN {
        let connection = dice.below(CONNECTIONS);
        for left in (0..=dice.below(20)).rev() {
            let words = match dice.below(100) {
                0 => wrong_arity(&mut dice),
                _ => grammar.command(&mut dice, times),
            };
            let inline = dice.one_in(10) && fits_a_line(&words);
            steps.push(Step { inline, ..step(connection, words, left == 0) });
        }
    }
    (steps, times)
}

/// A command with a number of arguments that it does not take.
fn wrong_arity(dice: &mut Dice) -> Words {
    let sent = |name: &str| !NOT_SENT.iter().any(|(not_sent, _)| *not_sent == name);
    let names: Vec<_> = COMMANDS.iter().filter(|spec| sent(spec.name)).collect();
    loop {
        let (spec, len) = (dice.pick(&names), 1 + dice.below(6));
        if !spec.accepts(len) {
            let mut words = vec![spec.name.as_bytes().to_vec()];
            words.resize(len, b"1".to_vec());
            return words;
        }
    }
}

/// Whether a command can be typed without quotes.
fn fits_a_line(words: &Words) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'".contains(byte);
    words.iter().all(|word| !word.is_empty() && word.iter().all(plain))
}

/// The shortest script found that still makes a difference, and that difference.
fn cut_down(
    pair: &mut Pair,
    script: &[Step],
    times: Times,
    found: Difference,
) -> (Vec<Step>, Difference) {
    let (mut script, mut difference) = (script[..=found.step].to_vec(), found);
    let mut chunk = script.len() / 2;
    while chunk > 0 {
        let mut at = 0;
        while at < script.len() {
            let mut shorter = script.clone();
            shorter.drain(at..(at + chunk).min(script.len()));
            match pair.run(&shorter, times) {
                Some(found) => {
                    shorter.truncate(found.step + 1);
                    (script, difference) = (shorter, found);
                }
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    (script, difference)
}

fn describe(seed: u64, script: &[Step], times: Times, difference: &Difference) -> String {
    let mut text = format!("seed {seed}, times {times:?}\n");
    for step in script {
        let words: Vec<String> =
            step.words.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect();
        writeln!(text, "  {}> {}", step.connection, words.join(" ")).expect("memory");
    }
    let Difference { theirs, ours, .. } = difference;
    write!(text, "--- redis\n{theirs}\n--- ours\n{ours}\n").expect("memory");
    text
}

#[test]
fn random_streams_are_answered_as_by_redis() {
    let Some(redis) = Redis::start(&["--enable-debug-command", "yes"]) else { return };
    // Both look at expired keys when they are asked for; neither sweeps them meanwhile.
    assert_eq!(redis.ask(&["debug", "set-active-expire", "0"]), "OK");
    // Redis closes no client for replies that it has not read. Ours would, where a value of 512 MB
    // waits until we have read it from Redis.
    let ours = Served::with(|config| {
        config.limits.output_bytes_max = UNLIMITED_BYTES;
        config.limits.output_soft_bytes_max = UNLIMITED_BYTES;
        config.limits.unacknowledged_time = UNLIMITED_TIME;
    });
    let wanted = from_environment("KV_DIFFERENTIAL").unwrap_or(COMMANDS_USUALLY as u64) as usize;
    let seed = from_environment("KV_DIFFERENTIAL_SEED").unwrap_or(1);
    let grammar = Grammar::read();
    let mut pair = Pair::new(redis.address(), ours.address, CONNECTIONS);
    let (mut said, mut different, mut shown) = (0, 0, Vec::new());
    for number in 0.. {
        if said >= wanted {
            break;
        }
        let seed = seed.wrapping_mul(1_000_000_007).wrapping_add(number);
        let (steps, times) = script(&grammar, seed);
        said += steps.len();
        let Some(difference) = pair.run(&steps, times) else { continue };
        different += 1;
        // Cutting it down may take long, where values are, and may not meet it again.
        let Difference { step, theirs, ours } = &difference;
        println!(
            "seed {seed}, times {times:?}, step {step}\n--- redis\n{theirs}\n--- ours\n{ours}\n"
        );
        if shown.len() < SHOWN_MAX {
            let (steps, difference) = cut_down(&mut pair, &steps, times, difference);
            let text = describe(seed, &steps, times, &difference);
            println!("{text}");
            shown.push(text);
        }
    }
    println!("{said} commands, seed {seed}: {different} scripts with differences");
    assert!(shown.is_empty(), "{different} scripts differ, among them\n{}", shown.join("\n"));
}

#[test]
fn every_command_is_said_or_has_a_reason_not_to_be() {
    let said = Grammar::read().command_names();
    for spec in COMMANDS {
        let unsaid = NOT_SENT.iter().any(|(name, _)| *name == spec.name);
        assert_ne!(said.contains(&spec.name), unsaid, "{}", spec.name);
    }
}
