//! Which connections `CLIENT LIST` and `CLIENT KILL` are about.

use kv_core::command::quoted;
use kv_core::resp::Args;
use kv_core::resp::request::parse_i64;

use super::connection_commands::USER;
use crate::clients::Client;

const SYNTAX: &str = "ERR syntax error";

/// What must be true of a connection; what is not said need not.
#[derive(Debug, Default)]
pub(super) struct Filter<'a> {
    ids: Option<Vec<u64>>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    /// Whether connections of the kind there is are meant at all.
    other_kind: bool,
    /// Not the connection that asks.
    skip_me: bool,
}

impl<'a> Filter<'a> {
    /// What stands behind `CLIENT LIST`.
    ///
    /// # Errors
    /// The reply without its `-`.
    pub(super) fn of_list(args: Args<'a>) -> Result<Self, String> {
        let mut filter = Self::default();
        let word = args.get(2).map(<[u8]>::to_ascii_lowercase);
        match (word.as_deref(), args.len()) {
            (None, _) => {}
            (Some(b"type"), 4) => filter.other_kind = is_other_kind(args.at(3))?,
            (Some(b"id"), 4..) => {
                let id = |word| parse_i64(word).map(|id| id as u64).ok_or("ERR Invalid client ID");
                filter.ids = Some(args.from(3).map(id).collect::<Result<_, _>>()?);
            }
            _ => return Err(SYNTAX.to_owned()),
        }
        Ok(filter)
    }

    /// What stands behind `CLIENT KILL`, in its new form of pairs.
    ///
    /// # Errors
    /// The reply without its `-`.
    pub(super) fn of_kill(args: Args<'a>) -> Result<Self, String> {
        let mut filter = Self { skip_me: true, ..Self::default() };
        let mut words = args.from(2);
        while let Some(word) = words.next() {
            let value = words.next().ok_or(SYNTAX)?;
            match word.to_ascii_lowercase().as_slice() {
                b"id" => {
                    let id = parse_i64(value).filter(|id| *id > 0);
                    let id = id.ok_or("ERR client-id should be greater than 0")?;
                    filter.ids = Some(vec![id as u64]);
                }
                b"type" => filter.other_kind = is_other_kind(value)?,
                b"addr" => filter.address = Some(value),
                b"laddr" => filter.local_address = Some(value),
                b"user" if value == USER => {}
                b"user" => {
                    let user = quoted(value);
                    return Err(format!("ERR No such user '{user}'"));
                }
                b"skipme" => {
                    filter.skip_me = match value.to_ascii_lowercase().as_slice() {
                        b"yes" => true,
                        b"no" => false,
                        _ => return Err(SYNTAX.to_owned()),
                    };
                }
                _ => return Err(SYNTAX.to_owned()),
            }
        }
        Ok(filter)
    }

    /// The connection from this address, in the old form of `CLIENT KILL`.
    pub(super) fn of_address(address: &'a [u8]) -> Self {
        Self { address: Some(address), ..Self::default() }
    }

    /// Whether it is about a connection, asked for by the one with the number `me`.
    pub(super) fn matches(&self, client: &Client, me: u64) -> bool {
        let is = |wanted: Option<&[u8]>, text: &str| wanted.is_none_or(|it| it == text.as_bytes());
        !self.other_kind
            && self.ids.as_ref().is_none_or(|ids| ids.contains(&client.id))
            && is(self.address, &client.address)
            && is(self.local_address, &client.local_address)
            && !(self.skip_me && client.id == me)
    }
}

/// Whether a type of connection is one that we have none of.
fn is_other_kind(word: &[u8]) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(false),
        b"master" | b"replica" | b"slave" | b"pubsub" => Ok(true),
        _ => Err(format!("ERR Unknown client type '{}'", quoted(word))),
    }
}
