//! Meta's traces of its key-value caches, as `CacheLib` publishes them: CSV whose header names the
//! columns. Those of 2022 have `op_time,key,key_size,op,op_count,size,cache_hits,ttl`, later ones
//! `usecase` and `sub_usecase` besides; the first ones had no `op_time`. Columns are known by their names
//! alone, and others are passed over.

use super::entry::{Action, Entry, Line, Unlike};
use super::fields::{key, number, seconds, ttl_s, value_bytes};

/// More repetitions than a line of a sampled trace has.
const TIMES_MAX: u64 = 1_000_000;
const FIELDS_MAX: usize = 64;

/// Where the columns are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    key: usize,
    op: usize,
    size: usize,
    time: Option<usize>,
    key_size: Option<usize>,
    times: Option<usize>,
    ttl: Option<usize>,
    count: usize,
}

impl Columns {
    /// Reads a header; `None` when it is none.
    pub fn read(header: &[u8]) -> Option<Self> {
        let names = || header.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let at = |name: &str| names().position(|other| other == name.as_bytes());
        let count = names().count();
        Some(Self {
            key: at("key")?,
            op: at("op")?,
            size: at("size")?,
            time: at("op_time"),
            key_size: at("key_size"),
            times: at("op_count"),
            ttl: at("ttl"),
            count,
        })
        .filter(|_| count <= FIELDS_MAX)
    }

    /// Whether lines tell when they were.
    pub fn has_times(&self) -> bool {
        self.time.is_some()
    }

    /// What a line asks for.
    ///
    /// # Errors
    ///
    /// Says what was expected.
    pub fn parse<'a>(&self, line: &'a [u8]) -> Result<Line<'a>, Unlike> {
        // Files that were put together have their headers in between.
        if line.is_empty() || Self::read(line).is_some() {
            return Ok(Line::Nothing);
        }
        let mut fields: [&[u8]; FIELDS_MAX] = [&[]; FIELDS_MAX];
        let mut count = 0;
        for field in line.split(|&byte| byte == b',') {
            if let Some(place) = fields.get_mut(count) {
                *place = field;
            }
            count += 1;
        }
        if count != self.count {
            return Err(Unlike(format!("{count} fields, and the header has {}", self.count)));
        }
        let of = |column: Option<usize>| column.map(|column| fields[column]);
        let key = key(fields[self.key], of(self.key_size))?;
        let times = of(self.times).map_or(Ok(1), |f| number(f, "op_count", TIMES_MAX))?;
        if times == 0 {
            return Err(Unlike::of("op_count 0, where 1 is the least"));
        }
        let action = match fields[self.op].trim_ascii() {
            b"GET" | b"GET_LEASE" => Action::Get { key },
            b"SET" | b"SET_LEASE" => Action::Put {
                key,
                value_bytes: value_bytes(fields[self.size])?,
                ttl_s: of(self.ttl).map_or(Ok(None), ttl_s)?,
            },
            b"DELETE" => Action::Delete { key },
            other => {
                let other = super::fields::shown(other, 20);
                return Err(Unlike(format!(
                    "the operation '{other}', which is none of GET, GET_LEASE, SET, SET_LEASE or \
                     DELETE"
                )));
            }
        };
        let at_ns = of(self.time).map_or(Ok(0), seconds)?;
        Ok(Line::Entry(Entry { at_ns, times: times as u32, action }))
    }
}
