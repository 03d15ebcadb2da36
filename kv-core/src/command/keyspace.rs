//! Commands on keys, whatever their values.

use crate::engine::{Expiry, Transaction};
use crate::resp::Encoder;
use crate::resp::request::parse_i64;
use crate::table::DATABASES;

use super::{Call, CommandError, Outcome, glob_match};

/// Counts the keys among the arguments for which `each` is true.
fn count(call: &Call<'_>, out: &mut Encoder, mut each: impl FnMut(&[u8]) -> bool) {
    let count = call.keys().filter(|key| each(key)).count();
    out.integer(count as i64);
}

/// `DEL` and `UNLINK`.
pub(super) fn del(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    count(call, out, |key| tx.remove(&tx.key(key)).is_some());
    Ok(())
}

pub(super) fn exists(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    count(call, out, |key| tx.inspect(&tx.key(key), |entry| entry.is_some()));
    Ok(())
}

pub(super) fn touch(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    count(call, out, |key| tx.touch(&tx.key(key)));
    Ok(())
}

pub(super) fn type_of(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let present = tx.peek(&tx.key(call.args.at(1))).is_some();
    out.simple(if present { "string" } else { "none" });
    Ok(())
}

pub(super) fn keys(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let pattern = call.args.at(1);
    out.array_of(|out| {
        let mut len = 0;
        tx.for_each(|entry| {
            if glob_match(pattern, entry.key()) {
                out.bulk(entry.key());
                len += 1;
            }
        });
        len
    });
    Ok(())
}

pub(super) fn dbsize(tx: &mut Transaction<'_>, _: &Call<'_>, out: &mut Encoder) -> Outcome {
    out.integer(tx.len() as i64);
    Ok(())
}

/// `FLUSHDB` and `FLUSHALL`; memory is given back after the reply's locks either way, so `ASYNC` and
/// `SYNC` mean the same.
pub(super) fn flush(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let known =
        |word: &[u8]| word.eq_ignore_ascii_case(b"async") || word.eq_ignore_ascii_case(b"sync");
    if call.args.len() > 2 || !call.args.from(1).all(known) {
        return Err(CommandError::Syntax);
    }
    match call.spec.name {
        "flushdb" => tx.clear(call.db),
        _ => (0..DATABASES).for_each(|db| tx.clear(db)),
    }
    out.ok();
    Ok(())
}

/// `RENAME` and `RENAMENX`.
pub(super) fn rename(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let (from, to) = (tx.key(call.args.at(1)), tx.key(call.args.at(2)));
    let only_if_absent = call.spec.name == "renamenx";
    if tx.peek(&from).is_none() {
        return Err(CommandError::NoSuchKey);
    }
    let refused = only_if_absent && tx.peek(&to).is_some();
    if !refused
        && from.bytes != to.bytes
        && let Some(entry) = tx.remove(&from)
    {
        let expiry = entry.expires_at_ms().map_or(Expiry::Never, Expiry::At);
        tx.put(&to, entry.value(), expiry);
        tx.hold_as(&to, entry.form());
    }
    match only_if_absent {
        true => out.integer((!refused).into()),
        false => out.ok(),
    }
    Ok(())
}

/// The number of a database.
pub fn parse_db(word: &[u8]) -> Result<u8, CommandError> {
    let number = parse_i64(word).ok_or(CommandError::NotAnInteger)?;
    let number = i32::try_from(number).map_err(|_| CommandError::BeyondInt)?;
    let db = u8::try_from(number).ok().filter(|&db| db < DATABASES);
    db.ok_or(CommandError::NoSuchDatabase)
}

pub(super) fn copy(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let (mut db, mut replace) = (call.db, false);
    let mut words = call.args.from(3);
    while let Some(word) = words.next() {
        if word.eq_ignore_ascii_case(b"replace") {
            replace = true;
        } else if word.eq_ignore_ascii_case(b"db") && words.len() >= 1 {
            db = parse_db(words.next().unwrap_or_default())?;
        } else {
            return Err(CommandError::Syntax);
        }
    }
    let (from, to) = (tx.key(call.args.at(1)), tx.key(call.args.at(2)));
    if db == call.db && from.bytes == to.bytes {
        return Err(CommandError::SameObject);
    }
    let original = tx.read(&from, |entry| {
        entry.map(|entry| (entry.value().to_vec(), entry.expires_at_ms(), entry.form()))
    });
    let copied = original.is_some_and(|(value, expires_at_ms, form)| {
        tx.in_db(db, |tx| {
            let free = replace || tx.peek(&to).is_none();
            if free {
                tx.put(&to, &value, expires_at_ms.map_or(Expiry::Never, Expiry::At));
                tx.hold_as(&to, form);
            }
            free
        })
    });
    out.integer(copied.into());
    Ok(())
}

/// `MOVE`, which is no name for a function.
pub(super) fn move_key(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let (key, db) = (tx.key(call.args.at(1)), parse_db(call.args.at(2))?);
    if db == call.db {
        return Err(CommandError::SameObject);
    }
    let moved = tx.together(|tx| {
        let free = tx.in_db(db, |tx| tx.peek(&key).is_none());
        let entry = if free { tx.remove(&key)? } else { return None };
        let expiry = entry.expires_at_ms().map_or(Expiry::Never, Expiry::At);
        tx.in_db(db, |tx| {
            tx.put(&key, entry.value(), expiry);
            tx.hold_as(&key, entry.form());
        });
        Some(())
    });
    out.integer(moved.is_some().into());
    Ok(())
}

pub(super) fn swapdb(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let db = |index, which| match parse_db(call.args.at(index)) {
        Err(CommandError::NotAnInteger | CommandError::BeyondInt) => {
            Err(CommandError::InvalidDatabase(which))
        }
        parsed => Ok(parsed),
    };
    // Both are looked at before either is found to be out of range.
    let (one, other) = (db(1, "first")?, db(2, "second")?);
    let (one, other) = (one?, other?);
    if one != other {
        tx.swap_databases(one, other);
    }
    out.ok();
    Ok(())
}

pub(super) fn randomkey(tx: &mut Transaction<'_>, _: &Call<'_>, out: &mut Encoder) -> Outcome {
    match tx.random_key() {
        Some(key) => out.bulk(&key),
        None => out.null(),
    }
    Ok(())
}
