//! Commands on values: GET, SET and their relatives.

use crate::engine::{Expiry, Transaction};
use crate::resp::request::parse_i64;
use crate::resp::{Args, Encoder};
use crate::table::{Entry, Key};

use super::expiry::{Deadline, Unit};
use super::{Call, CommandError, Outcome};

/// Writes the value of `key`, or null; answers whether it was there.
fn reply_value(tx: &mut Transaction<'_>, key: &Key, out: &mut Encoder) -> bool {
    tx.read(key, |entry| {
        match entry {
            Some(entry) => out.bulk(entry.value()),
            None => out.null(),
        }
        entry.is_some()
    })
}

pub(super) fn get(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    reply_value(tx, &tx.key(call.args.at(1)), out);
    Ok(())
}

/// The options of `SET` behind key and value.
#[derive(Debug, Default)]
struct SetOptions<'a> {
    if_absent: bool,
    if_present: bool,
    get: bool,
    keep_expiry: bool,
    deadline: Option<Deadline<'a>>,
}

impl<'a> SetOptions<'a> {
    /// Syntax alone; whether a number is one is for later, as in Redis.
    fn parse(args: Args<'a>) -> Result<Self, CommandError> {
        let mut options = Self::default();
        let mut rest = args.from(3);
        while let Some(word) = rest.next() {
            if word.eq_ignore_ascii_case(b"nx") && !options.if_present {
                options.if_absent = true;
            } else if word.eq_ignore_ascii_case(b"xx") && !options.if_absent {
                options.if_present = true;
            } else if word.eq_ignore_ascii_case(b"get") {
                options.get = true;
            } else if word.eq_ignore_ascii_case(b"keepttl") && options.deadline.is_none() {
                options.keep_expiry = true;
            } else {
                let unit = Unit::of_option(word).filter(|_| !options.keep_expiry);
                options.deadline = Some(Deadline::replace(options.deadline, unit, rest.next())?);
            }
        }
        Ok(options)
    }
}

pub(super) fn set(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let value = call.args.at(2);
    if call.args.len() == 3 {
        tx.put(&key, value, Expiry::Never);
        out.ok();
        return Ok(());
    }
    let options = SetOptions::parse(call.args)?;
    let expiry = match options.deadline {
        Some(deadline) => Expiry::At(deadline.at_ms(tx, "set")?),
        None if options.keep_expiry => Expiry::Keep,
        None => Expiry::Never,
    };
    let present = match options.get {
        true => reply_value(tx, &key, out),
        false => tx.peek(&key).is_some(),
    };
    let refused = (options.if_absent && present) || (options.if_present && !present);
    if !refused {
        tx.put(&key, value, expiry);
    }
    match (options.get, refused) {
        (true, _) => {}
        (false, true) => out.null(),
        (false, false) => out.ok(),
    }
    Ok(())
}

pub(super) fn setnx(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let absent = tx.peek(&key).is_none();
    if absent {
        tx.put(&key, call.args.at(2), Expiry::Never);
    }
    out.integer(absent.into());
    Ok(())
}

/// `SETEX` and `PSETEX`.
pub(super) fn setex(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let unit = if call.spec.name == "setex" { Unit::InSeconds } else { Unit::InMillis };
    let at_ms = Deadline { unit, number: call.args.at(2) }.at_ms(tx, call.spec.name)?;
    tx.put(&tx.key(call.args.at(1)), call.args.at(3), Expiry::At(at_ms));
    out.ok();
    Ok(())
}

pub(super) fn getset(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    reply_value(tx, &key, out);
    tx.put(&key, call.args.at(2), Expiry::Never);
    Ok(())
}

pub(super) fn getdel(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    if reply_value(tx, &key, out) {
        tx.remove(&key);
    }
    Ok(())
}

pub(super) fn getex(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let mut rest = call.args.from(2);
    let (mut persist, mut deadline) = (false, None);
    while let Some(word) = rest.next() {
        if word.eq_ignore_ascii_case(b"persist") && deadline.is_none() {
            persist = true;
        } else {
            let unit = Unit::of_option(word).filter(|_| !persist);
            deadline = Some(Deadline::replace(deadline, unit, rest.next())?);
        }
    }
    let key = tx.key(call.args.at(1));
    // As in Redis, a number is looked at only when there is a key whose expiry it is for.
    let at_ms = match tx.peek(&key) {
        Some(_) => deadline.map(|deadline| deadline.at_ms(tx, "getex")).transpose()?,
        None => None,
    };
    if !reply_value(tx, &key, out) {
        return Ok(());
    }
    match at_ms {
        Some(at_ms) if at_ms <= tx.now_ms() => drop(tx.remove(&key)),
        Some(at_ms) => tx.set_expiry(&key, Some(at_ms)),
        None if persist && tx.peek(&key).and_then(Entry::expires_at_ms).is_some() => {
            tx.set_expiry(&key, None);
        }
        None => {}
    }
    Ok(())
}

pub(super) fn mget(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    out.array(call.args.len() - 1);
    for key in call.keys() {
        reply_value(tx, &tx.key(key), out);
    }
    Ok(())
}

/// The pairs of `MSET`, or its arity error.
fn put_pairs(tx: &mut Transaction<'_>, call: &Call<'_>) {
    for (index, key) in call.keys().enumerate() {
        tx.put(&tx.key(key), call.args.at(2 * index + 2), Expiry::Never);
    }
}

pub(super) fn mset(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    check_pairs(call)?;
    put_pairs(tx, call);
    out.ok();
    Ok(())
}

pub(super) fn msetnx(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    check_pairs(call)?;
    let all_absent = call.keys().all(|key| tx.peek(&tx.key(key)).is_none());
    if all_absent {
        put_pairs(tx, call);
    }
    out.integer(all_absent.into());
    Ok(())
}

fn check_pairs(call: &Call<'_>) -> Outcome {
    if call.args.len().is_multiple_of(2) {
        return Err(CommandError::wrong_arity(call.spec.name.as_bytes()));
    }
    Ok(())
}

pub(super) fn strlen(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let len = tx.read(&key, |entry| entry.map_or(0, |entry| entry.value().len()));
    out.integer(len as i64);
    Ok(())
}

pub(super) fn append(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let tail = call.args.at(2);
    let Some(old_len) = tx.peek(&key).map(|entry| entry.value().len()) else {
        tx.put(&key, tail, Expiry::Never);
        out.integer(tail.len() as i64);
        return Ok(());
    };
    let len = tx.checked_len(old_len, tail.len()).ok_or(CommandError::StringTooLong)?;
    tx.splice(&key, len, old_len, tail);
    out.integer(len as i64);
    Ok(())
}

pub(super) fn setrange(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let offset = parse_i64(call.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    let offset = usize::try_from(offset).map_err(|_| CommandError::OffsetOutOfRange)?;
    let part = call.args.at(3);
    let old_len = tx.peek(&key).map_or(0, |entry| entry.value().len());
    if part.is_empty() {
        out.integer(old_len as i64);
        return Ok(());
    }
    let end = tx.checked_len(offset, part.len()).ok_or(CommandError::StringTooLong)?;
    let len = old_len.max(end);
    tx.splice(&key, len, offset, part);
    out.integer(len as i64);
    Ok(())
}

/// `GETRANGE` and `SUBSTR`.
pub(super) fn getrange(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let start = parse_i64(call.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    let end = parse_i64(call.args.at(3)).ok_or(CommandError::NotAnInteger)?;
    tx.read(&tx.key(call.args.at(1)), |entry| {
        out.bulk(entry.map_or(&[], |entry| range(entry.value(), start, end)));
    });
    Ok(())
}

/// The bytes from `start` to `end`, both included, counted from the end when negative.
fn range(value: &[u8], start: i64, end: i64) -> &[u8] {
    let len = value.len() as i64;
    if start < 0 && end < 0 && start > end {
        return &[];
    }
    let from_start = |index: i64| if index < 0 { index.saturating_add(len).max(0) } else { index };
    let (start, end) = (from_start(start), from_start(end).min(len - 1));
    if start > end { &[] } else { &value[start as usize..=end as usize] }
}
