//! Random commands, as `grammar.txt` describes them: mostly sensible, often wrong.

use std::collections::HashMap;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// A command: its name and its arguments.
pub(crate) type Words = Vec<Vec<u8>>;

const TEXT: &str = include_str!("grammar.txt");

/// Which times a script may use, so that both servers, whose clocks are never read at the same
/// moment, must still answer the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// Absolute ones far ahead.
    Absolute,
    /// From now on: the answers are near each other.
    Relative,
    /// Absolute ones, also some that have passed: keys that are there and yet are not.
    Past,
}

/// A source of choices.
pub(crate) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    pub(crate) fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    /// One of the words between the bars.
    fn word(&mut self, words: &str) -> Vec<u8> {
        let words: Vec<&str> = words.split('|').collect();
        self.pick(&words).as_bytes().to_vec()
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.below(among.len())]
    }
}

/// The grammar, read once.
pub(crate) struct Grammar {
    /// Each as often as its weight says.
    commands: Vec<&'static str>,
    names: HashMap<&'static str, Vec<&'static str>>,
}

const KEYS: [&[u8]; 12] =
    [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"key:1", b"key:2", b"", b"\x00\xff\r\n", b"{t}x"];

const VALUES: [&[u8]; 16] = [
    b"",
    b"x",
    b"hello world",
    b"0",
    b"1",
    b"9999",
    b"10000",
    b"-7",
    b"3.0",
    b"0.1",
    b"\x00\x01\xfe\xff",
    b"a\r\nb",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"ohmytext",
    b"mynewtext",
];

const NUMBERS: &str = "\
    |-|+1| 1|1 |01|-0|-0.0|0x10|0x1p3|.|5.|.5|1e|e1|nan|inf|-inf|Infinity|1e400|1e4931|\
    1e-400|3.0e0|9223372036854775807|9223372036854775808|-9223372036854775808|\
    -9223372036854775809|18446744073709551616|1e308|0.1|0.2|1.23456789012345678|\
    99999999999999999.5|abc|2147483648|4294967296";

const WORDS: &str = "\
    |nx|xx|get|keepttl|ex|px|persist|gt|lt|len|idx|bit|byte|replace|db|match|count|type|\
    samples|sync|async|help|0|1|-1|2|auth|setname|nosuch|*|string|a b|x\ny|\u{e4}|\0|'";

const PATTERNS: &str = "\
    *|a|?|??|[a-c]|[^a]|key:*|*1||\\a|[|[a|a*b*|k[e-]*|{t}*|[z-a]";

/// Far ahead: the year 5138, and none of both clocks will come near.
const FAR_S: i64 = 99_999_999_990;

impl Grammar {
    pub(crate) fn read() -> Self {
        let (mut commands, mut names) = (Vec::new(), HashMap::new());
        for line in TEXT.lines().filter(|line| !line.is_empty() && !line.starts_with("//")) {
            if let Some((name, alternatives)) = line.split_once(" = ") {
                names.insert(name, alternatives.split(" | ").collect());
            } else {
                let (weight, template) = line.split_once(' ').expect("a weight and a template");
                let weight: usize = weight.parse().expect("a weight");
                commands.extend(std::iter::repeat_n(template, weight));
            }
        }
        Self { commands, names }
    }

    /// Every command that can be said on purpose.
    pub(crate) fn command_names(&self) -> Vec<&'static str> {
        let first = self.commands.iter().filter_map(|template| template.split(' ').next());
        first.flat_map(|word| word.split('/')).collect()
    }

    /// A command at random.
    pub(crate) fn command(&self, dice: &mut Dice, times: Times) -> Words {
        let mut words = Vec::new();
        self.expand(dice.pick(&self.commands), times, dice, &mut words);
        // With other numbers it would wait, and for ever.
        if dice.one_in(12) && words[0] != b"wait" {
            spoil(dice, &mut words);
        }
        take_soon(times, &mut words);
        // What is longer of two times from now on is a matter of microseconds.
        let ahead = words.get(2).is_some_and(|time| !time.starts_with(b"-"));
        if ahead && words[0].to_ascii_lowercase().ends_with(b"expire") {
            for word in &mut words[1..] {
                if word.eq_ignore_ascii_case(b"gt") || word.eq_ignore_ascii_case(b"lt") {
                    *word = b"xx".to_vec();
                }
            }
        }
        words
    }

    fn expand(&self, template: &str, times: Times, dice: &mut Dice, words: &mut Words) {
        for word in template.split(' ') {
            let (word, count) = match word.as_bytes().last() {
                Some(b'?') if word.len() > 1 => (&word[..word.len() - 1], dice.below(2)),
                Some(b'*') if word.len() > 1 => (&word[..word.len() - 1], dice.below(4)),
                Some(b'+') if word.len() > 1 => (&word[..word.len() - 1], 1 + dice.below(4)),
                _ => (word, 1),
            };
            for _ in 0..count {
                let choices: Vec<&str> = word.split('/').collect();
                self.expand_word(dice.pick(&choices), times, dice, words);
            }
        }
    }

    fn expand_word(&self, word: &str, times: Times, dice: &mut Dice, words: &mut Words) {
        if let Some(alternatives) = self.names.get(word) {
            return self.expand(dice.pick(alternatives), times, dice, words);
        }
        if word.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return words.push(made(word, times, dice));
        }
        words.push(match dice.below(8) {
            0 => word.to_uppercase().into_bytes(),
            _ => word.as_bytes().to_vec(),
        });
    }
}

/// A word of a kind that is named in the grammar and explained here.
fn made(kind: &str, times: Times, dice: &mut Dice) -> Vec<u8> {
    let far_s = |dice: &mut Dice| FAR_S + dice.below(10) as i64;
    let number = match kind {
        "KEY" => return dice.pick(&KEYS).to_vec(),
        "VALUE" => return value(dice),
        "WORD" => return dice.word(WORDS),
        "PATTERN" => return dice.word(PATTERNS),
        "FIELDTYPE" => return field_type(dice),
        "NAME" => return dice.pick(&["nosuch", "get|x", "client|nosuch"]).as_bytes().to_vec(),
        _ if dice.one_in(8) => return dice.word(NUMBERS),
        "CURSOR" => 0,
        "NUMBER" => match dice.below(4) {
            0 => dice.below(1_000_000_000_000) as i64 - 500_000_000_000,
            _ => dice.below(600) as i64 - 300,
        },
        "INDEX" => dice.below(60) as i64 - 30,
        "OFFSET" => dice.below(50) as i64 - 2,
        "BIT" if dice.one_in(6) => return format!("#{}", dice.below(9)).into_bytes(),
        "BIT" => dice.below(90) as i64 - 2,
        "DB" => dice.below(18) as i64 % 5 - i64::from(dice.one_in(20)),
        "SECONDS" if times == Times::Relative => 10_000 * (1 + dice.below(9) as i64),
        "MILLIS" if times == Times::Relative => 10_000_000 * (1 + dice.below(9) as i64),
        "SECONDS" | "MILLIS" => dice.pick(&[0, -1, i64::MIN, i64::MAX, i64::MAX / 1000]),
        "SETAT" | "SETATMS" if times == Times::Past && dice.one_in(3) => 1 + dice.below(9) as i64,
        "UNIX" | "UNIXMS" if dice.one_in(8) => dice.pick(&[0, 1, -1, i64::MIN]),
        "SETAT" | "UNIX" => far_s(dice),
        "SETATMS" | "UNIXMS" => 1000 * far_s(dice) + dice.below(3) as i64,
        _ => panic!("{kind} is explained nowhere"),
    };
    number.to_string().into_bytes()
}

fn value(dice: &mut Dice) -> Vec<u8> {
    match dice.below(10) {
        0 => dice.word(NUMBERS),
        1 => (dice.below(20_000) as i64 - 500).to_string().into_bytes(),
        2 => (0..dice.below(200)).map(|_| dice.below(256) as u8).collect(),
        3 => vec![b'v'; 40 + dice.below(10)],
        _ => dice.pick(&VALUES).to_vec(),
    }
}

fn field_type(dice: &mut Dice) -> Vec<u8> {
    if dice.one_in(6) {
        return dice
            .pick(&["i64", "u64", "i65", "i0", "u", "x8", "I8", "i8x", ""])
            .as_bytes()
            .to_vec();
    }
    format!("{}{}", dice.pick(&["i", "u"]), 1 + dice.below(63)).into_bytes()
}

/// Takes away the times that a word meant for something else has become: what ends while a script is
/// said may end between the two servers, and a key set with a time that has passed is still counted
/// by `DBSIZE` until somebody meets it, which only scripts about the past make allowance for.
fn take_soon(times: Times, words: &mut Words) {
    let name = words[0].to_ascii_lowercase();
    for at in 2..words.len() {
        let before = words[at - 1].to_ascii_lowercase();
        let unit = match name.as_slice() {
            b"set" | b"getex" => before.as_slice(),
            b"setex" | b"expire" if at == 2 => b"ex",
            b"psetex" | b"pexpire" if at == 2 => b"px",
            _ => continue,
        };
        // The least that scripts say on purpose.
        let ahead = match unit {
            b"ex" => 10_000,
            b"px" => 10_000_000,
            b"exat" if times != Times::Past => FAR_S,
            b"pxat" if times != Times::Past => 1000 * FAR_S,
            _ => continue,
        };
        let time = str::from_utf8(&words[at]).ok().and_then(|word| word.parse::<i64>().ok());
        // What only we take for a number, like `+1`, stays: it should be refused.
        let written_so = |time: &i64| time.to_string().as_bytes() == words[at];
        if time.filter(written_so).is_some_and(|time| (1..ahead).contains(&time)) {
            words[at] = b"0".to_vec();
        }
    }
}

/// Makes something wrong with a command.
fn spoil(dice: &mut Dice, words: &mut Words) {
    let at = 1 + dice.below(words.len());
    let word = match dice.below(3) {
        0 => dice.word(NUMBERS),
        _ => dice.word(WORDS),
    };
    match dice.below(4) {
        0 => words.truncate(at),
        1 => words.insert(at, word),
        2 if at < words.len() => words[at] = word,
        _ if at < words.len() => drop(words.remove(at)),
        _ => words.push(word),
    }
}
