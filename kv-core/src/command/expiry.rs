//! Commands on the time at which a key stops to exist.

use crate::engine::Transaction;
use crate::resp::Encoder;
use crate::resp::request::parse_i64;
use crate::table::Entry;

use super::{Call, CommandError, Outcome, quoted};

/// How a number says when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    InSeconds,
    InMillis,
    AtSeconds,
    AtMillis,
}

impl Unit {
    /// The unit of an option of `SET` and `GETEX`.
    pub(super) fn of_option(word: &[u8]) -> Option<Self> {
        let options: [(&[u8], Self); 4] = [
            (b"ex", Self::InSeconds),
            (b"px", Self::InMillis),
            (b"exat", Self::AtSeconds),
            (b"pxat", Self::AtMillis),
        ];
        options.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, unit)| *unit)
    }

    /// Unix time in milliseconds, unless it overflows.
    fn at_ms(self, number: i64, now_ms: u64) -> Option<i64> {
        let millis = match self {
            Self::InSeconds | Self::AtSeconds => number.checked_mul(1000)?,
            Self::InMillis | Self::AtMillis => number,
        };
        match self {
            Self::InSeconds | Self::InMillis => millis.checked_add(now_ms as i64),
            Self::AtSeconds | Self::AtMillis => Some(millis),
        }
    }
}

/// A time as an option gives it, unparsed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline<'a> {
    pub(super) unit: Unit,
    pub(super) number: &'a [u8],
}

impl<'a> Deadline<'a> {
    /// What an option makes of an earlier one: the same unit again replaces it, as in Redis; another
    /// unit, an unknown word or a missing number is an error.
    pub(super) fn replace(
        earlier: Option<Self>,
        unit: Option<Unit>,
        number: Option<&'a [u8]>,
    ) -> Result<Self, CommandError> {
        let unit = unit.filter(|unit| earlier.is_none_or(|earlier| earlier.unit == *unit));
        let (unit, number) = unit.zip(number).ok_or(CommandError::Syntax)?;
        Ok(Self { unit, number })
    }

    /// Unix time in milliseconds; a number that is not positive is an error of `command`.
    pub(super) fn at_ms(
        self,
        tx: &Transaction<'_>,
        command: &'static str,
    ) -> Result<u64, CommandError> {
        let number = parse_i64(self.number).ok_or(CommandError::NotAnInteger)?;
        let at_ms = (number > 0).then(|| self.unit.at_ms(number, tx.now_ms())).flatten();
        at_ms.map(|at_ms| at_ms as u64).ok_or(CommandError::InvalidExpiry(command))
    }
}

/// When `EXPIRE` may change the expiry.
#[derive(Debug, Default)]
struct Conditions {
    if_none: bool,
    if_some: bool,
    if_later: bool,
    if_sooner: bool,
}

impl Conditions {
    fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, CommandError> {
        let mut conditions = Self::default();
        for word in words {
            let flag = match word.to_ascii_lowercase().as_slice() {
                b"nx" => &mut conditions.if_none,
                b"xx" => &mut conditions.if_some,
                b"gt" => &mut conditions.if_later,
                b"lt" => &mut conditions.if_sooner,
                _ => {
                    let word = quoted(word);
                    return Err(CommandError::UnsupportedOption(word));
                }
            };
            *flag = true;
        }
        let Self { if_none, if_some, if_later, if_sooner } = conditions;
        if if_none && (if_some || if_later || if_sooner) {
            return Err(CommandError::ExpiryConditionsWithNx);
        }
        if if_later && if_sooner {
            return Err(CommandError::ExpiryConditionsGtLt);
        }
        Ok(conditions)
    }

    /// No expiry counts as one in the infinite future.
    fn allow(&self, current_ms: Option<u64>, at_ms: i64) -> bool {
        let current = current_ms.map_or(i64::MAX, |current_ms| current_ms as i64);
        !(self.if_none && current_ms.is_some()
            || self.if_some && current_ms.is_none()
            || self.if_later && (current_ms.is_none() || at_ms <= current)
            || self.if_sooner && at_ms >= current && current_ms.is_some())
    }
}

/// `EXPIRE`, `PEXPIRE`, `EXPIREAT`, `PEXPIREAT`.
pub(super) fn expire(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let unit = match call.spec.name {
        "expire" => Unit::InSeconds,
        "pexpire" => Unit::InMillis,
        "expireat" => Unit::AtSeconds,
        _ => Unit::AtMillis,
    };
    let conditions = Conditions::parse(call.args.from(3))?;
    let number = parse_i64(call.args.at(2)).ok_or(CommandError::NotAnInteger)?;
    let at_ms =
        unit.at_ms(number, tx.now_ms()).ok_or(CommandError::InvalidExpiry(call.spec.name))?;
    let key = tx.key(call.args.at(1));
    let allowed = tx
        .peek(&key)
        .map(Entry::expires_at_ms)
        .is_some_and(|current_ms| conditions.allow(current_ms, at_ms));
    if allowed {
        if at_ms <= tx.now_ms() as i64 {
            tx.remove(&key);
        } else {
            tx.set_expiry(&key, Some(at_ms as u64));
        }
    }
    out.integer(allowed.into());
    Ok(())
}

pub(super) fn persist(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let expiring = tx.peek(&key).and_then(Entry::expires_at_ms).is_some();
    if expiring {
        tx.set_expiry(&key, None);
    }
    out.integer(expiring.into());
    Ok(())
}

/// `TTL`, `PTTL`, `EXPIRETIME`, `PEXPIRETIME`: -2 without the key, -1 without an expiry.
pub(super) fn ttl(tx: &mut Transaction<'_>, call: &Call<'_>, out: &mut Encoder) -> Outcome {
    let key = tx.key(call.args.at(1));
    let at_ms = tx.inspect(&key, |entry| entry.map(Entry::expires_at_ms));
    let now_ms = tx.now_ms();
    let answer = match (at_ms, call.spec.name) {
        (None, _) => -2,
        (Some(None), _) => -1,
        (Some(Some(at_ms)), "ttl") => {
            (at_ms.saturating_sub(now_ms).saturating_add(500) / 1000) as i64
        }
        (Some(Some(at_ms)), "pttl") => at_ms.saturating_sub(now_ms) as i64,
        (Some(Some(at_ms)), "expiretime") => (at_ms.saturating_add(500) / 1000) as i64,
        (Some(Some(at_ms)), _) => at_ms as i64,
    };
    out.integer(answer);
    Ok(())
}
