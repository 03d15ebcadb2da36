//! `BITFIELD`: integers of any width anywhere in a value.

use std::ops::Range;

use crate::engine::Transaction;
use crate::resp::request::parse_i64;
use crate::resp::{Args, Encoder};
use crate::table::{Entry, Form};

use super::bits::{checked_bit_offset, parse_bit_offset};
use super::{Call, CommandError, Outcome};

/// An integer's sign and width, such as `i16`.
#[derive(Debug, Clone, Copy)]
struct Kind {
    signed: bool,
    /// 1 to 64, or 63 without a sign.
    bits: u32,
}

/// What becomes of a number that does not fit.
#[derive(Debug, Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Get,
    Set(i64, Overflow),
    Add(i64, Overflow),
}

/// One subcommand.
#[derive(Debug)]
struct Step {
    kind: Kind,
    /// The number of its first bit.
    at: usize,
    action: Action,
}

impl Kind {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let (signed, bits_max) = match word.first() {
            Some(b'i') => (true, 64),
            Some(b'u') => (false, 63),
            _ => return Err(CommandError::BitfieldType),
        };
        let bits = parse_i64(&word[1..]).filter(|bits| (1..=bits_max).contains(bits));
        let bits = bits.ok_or(CommandError::BitfieldType)?;
        Ok(Self { signed, bits: bits as u32 })
    }

    fn range(self) -> (i128, i128) {
        match self.signed {
            true => (-(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1),
            false => (0, (1 << self.bits) - 1),
        }
    }

    /// The number that these bits, the lowest of `raw`, are.
    fn number(self, raw: u64) -> i128 {
        let unused = 64 - self.bits;
        match self.signed {
            true => i128::from((raw << unused) as i64 >> unused),
            false => i128::from(raw << unused >> unused),
        }
    }

    /// The number as it will be stored; none when it does not fit and must.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i128> {
        let (min, max) = self.range();
        match overflow {
            _ if (min..=max).contains(&number) => Some(number),
            Overflow::Wrap => Some(self.number(number as u64)),
            Overflow::Saturate => Some(number.clamp(min, max)),
            Overflow::Fail => None,
        }
    }
}

impl Step {
    fn parse_all(tx: &Transaction<'_>, args: Args<'_>) -> Result<Vec<Self>, CommandError> {
        let mut steps = Vec::new();
        let mut overflow = Overflow::Wrap;
        let mut words = args.from(2);
        while let Some(word) = words.next() {
            let word = word.to_ascii_lowercase();
            if word == b"overflow" && words.len() >= 1 {
                overflow = Overflow::parse(words.next().unwrap_or_default())?;
                continue;
            }
            let operands = match word.as_slice() {
                b"get" => 2,
                b"set" | b"incrby" => 3,
                _ => return Err(CommandError::Syntax),
            };
            if words.len() < operands {
                return Err(CommandError::Syntax);
            }
            let kind = Kind::parse(words.next().unwrap_or_default())?;
            let at = parse_place(tx, words.next().unwrap_or_default(), kind)?;
            let mut number =
                || parse_i64(words.next().unwrap_or_default()).ok_or(CommandError::NotAnInteger);
            let action = match word.as_slice() {
                b"get" => Action::Get,
                b"set" => Action::Set(number()?, overflow),
                _ => Action::Add(number()?, overflow),
            };
            steps.push(Self { kind, at, action });
        }
        Ok(steps)
    }

    fn writes(&self) -> bool {
        !matches!(self.action, Action::Get)
    }

    /// The bytes that hold its bits.
    fn bytes(&self) -> Range<usize> {
        self.at / 8..(self.at + self.kind.bits as usize).div_ceil(8)
    }
}

impl Overflow {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        match word.to_ascii_lowercase().as_slice() {
            b"wrap" => Ok(Self::Wrap),
            b"sat" => Ok(Self::Saturate),
            b"fail" => Ok(Self::Fail),
            _ => Err(CommandError::OverflowType),
        }
    }
}

/// A bit's number, or with `#` the number of an integer of that width.
fn parse_place(tx: &Transaction<'_>, word: &[u8], kind: Kind) -> Result<usize, CommandError> {
    let Some(index) = word.strip_prefix(b"#") else { return parse_bit_offset(tx, word) };
    parse_i64(index)
        .and_then(|index| index.checked_mul(kind.bits.into()))
        .and_then(|offset| checked_bit_offset(tx, offset))
        .ok_or(CommandError::BitOffset)
}

/// The bytes of a value that the steps may touch; those that it does not have are zeros.
struct Window {
    start: usize,
    bytes: Vec<u8>,
}

impl Window {
    /// All that the steps touch of a value that is `len` bytes long.
    fn of(steps: &[Step], value: &[u8], len: usize) -> Self {
        let start = steps.iter().map(|step| step.bytes().start).min().unwrap_or(0).min(len);
        let end = steps.iter().map(|step| step.bytes().end).max().unwrap_or(0).min(len);
        let mut bytes = value[start.min(value.len())..end.min(value.len())].to_vec();
        bytes.resize(end - start, 0);
        Self { start, bytes }
    }

    /// The bits of a step, as the lowest of a number; an integer can lie in nine bytes.
    fn read(&self, step: &Step) -> u64 {
        let touched = step.bytes();
        let behind = touched.end * 8 - step.at - step.kind.bits as usize;
        let all = touched.fold(0u128, |all, at| {
            let byte = self.bytes.get(at - self.start).copied().unwrap_or_default();
            all << 8 | u128::from(byte)
        });
        (all >> behind) as u64
    }

    fn write(&mut self, step: &Step, number: i128) {
        let (first, bits) = (step.at - self.start * 8, step.kind.bits as usize);
        for index in 0..bits {
            let (bit, on) = (first + index, number >> (bits - 1 - index) & 1 != 0);
            let (byte, mask) = (&mut self.bytes[bit / 8], 0x80 >> (bit % 8));
            *byte = *byte & !mask | if on { mask } else { 0 };
        }
    }

    /// Runs the steps one after another; answers whether they changed anything.
    fn run_all(&mut self, steps: &[Step], out: &mut Encoder) -> bool {
        out.array(steps.len());
        let mut changed = false;
        for step in steps {
            changed |= self.run(step, out);
        }
        changed
    }

    /// Runs a step and answers it; whether that changed anything.
    fn run(&mut self, step: &Step, out: &mut Encoder) -> bool {
        let old = step.kind.number(self.read(step));
        let (new, answers_new) = match step.action {
            Action::Get => (Some(old), false),
            Action::Set(number, overflow) => {
                (step.kind.fit(as_stored(step.kind, number), overflow), false)
            }
            Action::Add(by, overflow) => (step.kind.fit(old + i128::from(by), overflow), true),
        };
        let Some(new) = new else {
            out.null();
            return false;
        };
        out.integer(if answers_new { new } else { old } as i64);
        if new != old {
            self.write(step, new);
        }
        new != old
    }
}

/// A negative number that is set without a sign is a big one, as in C.
fn as_stored(kind: Kind, number: i64) -> i128 {
    if kind.signed { number.into() } else { (number as u64).into() }
}

/// `BITFIELD` and `BITFIELD_RO`.
pub(super) fn bitfield(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let steps = Step::parse_all(tx, call.args)?;
    let key = tx.key(call.args.at(1));
    let written_end = steps.iter().filter(|step| step.writes()).map(|step| step.bytes().end).max();
    let Some(written_end) = written_end else {
        let mut window = tx.read(&key, |entry| {
            let value = entry.map_or(&[][..], Entry::value);
            Window::of(&steps, value, value.len())
        });
        window.run_all(&steps, out);
        return Ok(());
    };
    if call.spec.name == "bitfield_ro" {
        return Err(CommandError::BitfieldReadOnly);
    }
    let value = tx.peek(&key).map_or(&[][..], Entry::value);
    // As in Redis, room is made even for what then does not fit.
    let (len, grows) = (value.len().max(written_end), value.len() < written_end);
    let mut window = Window::of(&steps, value, len);
    if window.run_all(&steps, out) || grows {
        let Window { start, bytes } = window;
        tx.splice(&key, len, start, &bytes);
    } else {
        tx.hold_as(&key, Form::Raw);
    }
    Ok(())
}
