//! What a change did, not which command asked for it: the outcome depends on no clock, no arithmetic
//! and no option of the server that reads it.
//!
//! ```text
//! offset  bytes
//!      0      1  kind
//!      1      1  db
//!      2      …  by kind:
//!   1  Put          key, value
//!   2  PutExpiring  u64 expires_at_ms, key, value
//!   3  Splice       key, u32 value_len, u32 offset, bytes
//!   4  Expire       u64 at_ms, key
//!   5  Persist      key
//!   6  Remove       key
//!   7  Clear        nothing
//!   8  SwapDb       u8 other db
//!   9  Durable      u64 sequence (db is 0)
//! ```
//!
//! A key, a value and bytes are a u32 length and what it counts: neither can be 4 GiB long in memory.
//! Numbers are little-endian. Times are absolute, in Unix milliseconds, so that it does not matter
//! when a log is read.

use crate::table::DATABASES;

/// One effect of a change on a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect<'a> {
    /// The key has this value and expiry, whatever it had.
    Put { db: u8, key: &'a [u8], value: &'a [u8], expires_at_ms: Option<u64> },
    /// The key's value (empty if there was none) is `value_len` long, cut or filled with zeros, and
    /// has `bytes` at `offset`; its expiry stays.
    Splice { db: u8, key: &'a [u8], value_len: u32, offset: u32, bytes: &'a [u8] },
    /// The key expires at this Unix time.
    Expire { db: u8, key: &'a [u8], at_ms: u64 },
    /// The key does not expire.
    Persist { db: u8, key: &'a [u8] },
    /// The key is gone.
    Remove { db: u8, key: &'a [u8] },
    /// The database is empty.
    Clear { db: u8 },
    /// The two databases have changed places.
    SwapDb { db: u8, other: u8 },
    /// All records up to this one were durable when this was logged. Changes nothing; tells a torn
    /// tail from corruption.
    Durable { sequence: u64 },
}

/// A payload that no version of this log wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no effect that this version knows, {offset} bytes into its record's payload")]
pub struct EffectError {
    /// Where the effect begins.
    pub offset: usize,
}

const PUT: u8 = 1;
const PUT_EXPIRING: u8 = 2;
const SPLICE: u8 = 3;
const EXPIRE: u8 = 4;
const PERSIST: u8 = 5;
const REMOVE: u8 = 6;
const CLEAR: u8 = 7;
const SWAP_DB: u8 = 8;
const DURABLE: u8 = 9;

impl<'a> Effect<'a> {
    /// The key that it is about; `None` for an effect on whole databases, or on none.
    pub fn key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Put { key, .. }
            | Self::Splice { key, .. }
            | Self::Expire { key, .. }
            | Self::Persist { key, .. }
            | Self::Remove { key, .. } => Some(key),
            Self::Clear { .. } | Self::SwapDb { .. } | Self::Durable { .. } => None,
        }
    }
}

impl Effect<'_> {
    /// Appends the effect to a payload.
    ///
    /// # Panics
    /// When a key or value is 4 GiB or more; the protocol's limits are far below.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Put { db, key, value, expires_at_ms: None } => {
                out.reserve(10 + key.len() + value.len());
                out.extend_from_slice(&[PUT, db]);
                put_bytes(out, key);
                put_bytes(out, value);
            }
            Self::Put { db, key, value, expires_at_ms: Some(at_ms) } => {
                out.reserve(18 + key.len() + value.len());
                out.extend_from_slice(&[PUT_EXPIRING, db]);
                out.extend_from_slice(&at_ms.to_le_bytes());
                put_bytes(out, key);
                put_bytes(out, value);
            }
            Self::Splice { db, key, value_len, offset, bytes } => {
                out.extend_from_slice(&[SPLICE, db]);
                put_bytes(out, key);
                out.extend_from_slice(&value_len.to_le_bytes());
                out.extend_from_slice(&offset.to_le_bytes());
                put_bytes(out, bytes);
            }
            Self::Expire { db, key, at_ms } => {
                out.extend_from_slice(&[EXPIRE, db]);
                out.extend_from_slice(&at_ms.to_le_bytes());
                put_bytes(out, key);
            }
            Self::Persist { db, key } => {
                out.extend_from_slice(&[PERSIST, db]);
                put_bytes(out, key);
            }
            Self::Remove { db, key } => {
                out.extend_from_slice(&[REMOVE, db]);
                put_bytes(out, key);
            }
            Self::Clear { db } => out.extend_from_slice(&[CLEAR, db]),
            Self::SwapDb { db, other } => out.extend_from_slice(&[SWAP_DB, db, other]),
            Self::Durable { sequence } => {
                out.extend_from_slice(&[DURABLE, 0]);
                out.extend_from_slice(&sequence.to_le_bytes());
            }
        }
    }
}

#[inline]
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("keys and values below 4 GiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(bytes);
}

/// The effects of a payload, one after another, and nothing more after an error.
#[derive(Debug, Clone)]
pub struct Effects<'a> {
    payload: &'a [u8],
    at: usize,
}

impl<'a> Effects<'a> {
    /// Any bytes will do; what is no effect is answered as an error.
    pub fn of(payload: &'a [u8]) -> Self {
        Self { payload, at: 0 }
    }

    fn decode(&mut self) -> Option<Effect<'a>> {
        let [kind, db] = self.take()?;
        if !is_database(db) {
            return None;
        }
        Some(match kind {
            PUT => {
                Effect::Put { db, key: self.bytes()?, value: self.bytes()?, expires_at_ms: None }
            }
            PUT_EXPIRING => {
                let expires_at_ms = Some(u64::from_le_bytes(self.take()?));
                Effect::Put { db, key: self.bytes()?, value: self.bytes()?, expires_at_ms }
            }
            SPLICE => self.splice(db)?,
            EXPIRE => {
                let at_ms = u64::from_le_bytes(self.take()?);
                Effect::Expire { db, key: self.bytes()?, at_ms }
            }
            PERSIST => Effect::Persist { db, key: self.bytes()? },
            REMOVE => Effect::Remove { db, key: self.bytes()? },
            CLEAR => Effect::Clear { db },
            SWAP_DB => {
                let [other] = self.take()?;
                is_database(other).then_some(Effect::SwapDb { db, other })?
            }
            DURABLE => Effect::Durable { sequence: u64::from_le_bytes(self.take()?) },
            _ => return None,
        })
    }

    fn splice(&mut self, db: u8) -> Option<Effect<'a>> {
        let key = self.bytes()?;
        let value_len = u32::from_le_bytes(self.take()?);
        let offset = u32::from_le_bytes(self.take()?);
        let bytes = self.bytes()?;
        let end = u64::from(offset) + bytes.len() as u64;
        (end <= u64::from(value_len)).then_some(Effect::Splice {
            db,
            key,
            value_len,
            offset,
            bytes,
        })
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.payload.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(taken)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_le_bytes(self.take()?) as usize;
        let bytes = self.payload.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(bytes)
    }
}

fn is_database(db: u8) -> bool {
    db < DATABASES
}

impl<'a> Iterator for Effects<'a> {
    type Item = Result<Effect<'a>, EffectError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.payload.len() {
            return None;
        }
        let offset = self.at;
        let effect = self.decode().ok_or(EffectError { offset });
        if effect.is_err() {
            self.at = self.payload.len();
        }
        Some(effect)
    }
}
