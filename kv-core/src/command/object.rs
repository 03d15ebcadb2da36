//! What is known of a key besides its value: `OBJECT` and `MEMORY USAGE`.

use crate::engine::{ACCESS_TICKS_PER_S, Transaction};
use crate::resp::Encoder;
use crate::resp::request::parse_i64;
use crate::table::{Entry, Form};

use super::{Call, CommandError, Outcome};

/// Bytes up to which Redis keeps a string in one piece with its header.
const EMBEDDED_BYTES_MAX: usize = 44;

/// Bytes of the longest `i64`.
const INTEGER_BYTES_MAX: usize = 20;

/// Redis shares the integers below this and says so by this count of references.
const SHARED_INTEGERS: i64 = 10_000;
const SHARED_REFERENCES: i64 = i32::MAX as i64;

/// A pointer and a tag byte in a bucket array that is from half to seven eighths full.
const BUCKET_BYTES: usize = 14;

/// The integer that a value is to Redis.
fn as_integer(value: &[u8]) -> Option<i64> {
    if value.len() <= INTEGER_BYTES_MAX { parse_i64(value) } else { None }
}

/// The encoding that Redis would have chosen for a value.
fn encoding(entry: &Entry) -> &'static str {
    match (entry.form(), entry.value().len()) {
        (Form::Chosen, _) if as_integer(entry.value()).is_some() => "int",
        (Form::Chosen | Form::Text, ..=EMBEDDED_BYTES_MAX) => "embstr",
        _ => "raw",
    }
}

fn references(entry: &Entry) -> i64 {
    match as_integer(entry.value()) {
        Some(0..SHARED_INTEGERS) if entry.form() == Form::Chosen => SHARED_REFERENCES,
        _ => 1,
    }
}

/// The subcommands of `OBJECT` that ask about a key, which is not used by that.
pub(super) fn object(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let access_now = tx.access_now();
    tx.inspect(&tx.key(call.args.at(2)), |entry| {
        let Some(entry) = entry else {
            out.null();
            return Ok(());
        };
        match call.spec.name {
            "object|encoding" => out.bulk(encoding(entry).as_bytes()),
            "object|refcount" => out.integer(references(entry)),
            "object|idletime" => {
                let idle = access_now.saturating_sub(entry.accessed_at());
                out.integer((idle / ACCESS_TICKS_PER_S).into());
            }
            _ => return Err(CommandError::NoFrequencies),
        }
        Ok(())
    })
}

/// Bytes that a key costs: what `maxmemory` counts for its entry, and its place in the table.
fn usage(entry: &Entry) -> usize {
    entry.heap_bytes() + BUCKET_BYTES
}

pub(super) fn memory_usage(
    tx: &mut Transaction<'_>,
    call: &Call<'_>,
    out: &mut Encoder,
) -> Outcome {
    let mut words = call.args.from(3);
    while let Some(word) = words.next() {
        // Values have no parts to sample; the number only has to be one.
        let samples = words.next().filter(|_| word.eq_ignore_ascii_case(b"samples"));
        let samples = parse_i64(samples.ok_or(CommandError::Syntax)?);
        if samples.ok_or(CommandError::NotAnInteger)? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    match tx.peek(&tx.key(call.args.at(2))).map(usage) {
        Some(bytes) => out.integer(bytes as i64),
        None => out.null(),
    }
    Ok(())
}
