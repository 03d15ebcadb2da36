//! Twitter's cache traces: `timestamp,key,key size,value size,client id,operation,TTL`, in seconds and
//! bytes, without a header (J. Yang, Y. Yue and K. V. Rashmi, OSDI 2020).
//!
//! A key may have commas in it: the last five fields are found from the end.

use super::entry::{Action, Entry, Line, Unlike};
use super::fields::{key, seconds, ttl_s, value_bytes};

const FORM: &str = "timestamp,key,key size,value size,client id,operation,TTL";
const OPERATIONS: &str = "get, gets, set, add, replace, cas, append, prepend, delete, incr or decr";

/// What a line asks for.
///
/// # Errors
///
/// Says what was expected.
pub fn parse(line: &[u8]) -> Result<Line<'_>, Unlike> {
    if line.is_empty() {
        return Ok(Line::Nothing);
    }
    let form = || Unlike(format!("expected {FORM}"));
    let (time, rest) = split_at_comma(line).ok_or_else(form)?;
    let mut fields = rest.rsplitn(6, |&byte| byte == b',');
    let mut next = || fields.next().ok_or_else(form);
    let (ttl, operation, _client, size, key_size, text) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    let key = key(text, Some(key_size))?;
    let value_bytes = value_bytes(size)?;
    let action = match operation.trim_ascii() {
        b"get" | b"gets" => Action::Get { key },
        b"set" | b"add" | b"replace" | b"cas" | b"append" | b"prepend" => {
            Action::Put { key, value_bytes, ttl_s: ttl_s(ttl)? }
        }
        b"delete" => Action::Delete { key },
        b"incr" => Action::Increment { key },
        b"decr" => Action::Decrement { key },
        other => {
            let other = super::fields::shown(other, 20);
            return Err(Unlike(format!("the operation '{other}', which is none of {OPERATIONS}")));
        }
    };
    Ok(Line::Entry(Entry { at_ns: seconds(time)?, times: 1, action }))
}

fn split_at_comma(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = line.iter().position(|&byte| byte == b',')?;
    Some((&line[..at], &line[at + 1..]))
}
