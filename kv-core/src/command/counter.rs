//! Commands on values that are numbers.

use crate::engine::{Expiry, Transaction};
use crate::resp::Encoder;
use crate::resp::request::parse_i64;
use crate::table::Form;

use super::long_double::LongDouble;
use super::{Call, CommandError, Outcome};

/// Adds `by` to the integer at the command's key.
fn add(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder, by: i64) -> Outcome {
    let key = tx.key(call.args.at(1));
    let current = match tx.peek(&key) {
        Some(entry) => parse_i64(entry.value()).ok_or(CommandError::NotAnInteger)?,
        None => 0,
    };
    let sum = current.checked_add(by).ok_or(CommandError::Overflow)?;
    tx.put(&key, sum.to_string().as_bytes(), Expiry::Keep);
    out.integer(sum);
    Ok(())
}

pub(super) fn incr(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    add(tx, call, out, 1)
}

pub(super) fn decr(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    add(tx, call, out, -1)
}

pub(super) fn incrby(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let by = parse_i64(call.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    add(tx, call, out, by)
}

pub(super) fn decrby(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let by = parse_i64(call.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    add(tx, call, out, by.checked_neg().ok_or(CommandError::DecrementOverflow)?)
}

pub(super) fn incrbyfloat(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let current = match tx.peek(&key) {
        Some(entry) => LongDouble::parse(entry.value()).ok_or(CommandError::NotAFloat)?,
        None => LongDouble::ZERO,
    };
    let by = LongDouble::parse(call.args.at(2)).ok_or(CommandError::NotAFloat)?;
    let sum = current.add(by).ok_or(CommandError::NotFinite)?.to_string();
    tx.put(&key, sum.as_bytes(), Expiry::Keep);
    tx.hold_as(&key, Form::Text);
    out.bulk(sum.as_bytes());
    Ok(())
}
