//! Servers that speak RESP: kv-server, Redis, Valkey and their kin.

use std::sync::Arc;
use std::time::Duration;

use kv_core::resp::encode::push_decimal;
use kv_core::resp::reply::{Skim, skim};

use super::template::Template;
use super::{
    Codec, Credentials, Decoded, Endpoint, Garbage, Handshake, Operation, Owner, Reply, Servers,
};
use crate::workload::{Command, Request};

/// The places of heads.
const GET: usize = 0;
const SET: usize = 1;
const DEL: usize = 2;

/// One or several RESP servers.
pub type Resp = Servers<RespCodec>;

impl Resp {
    /// Drives `endpoints`. `owner` maps a key to an index into them and is not asked when there is
    /// only one. Every key is `key_size` bytes long; most values may be `value_size`, whose head is
    /// built once.
    pub fn new(endpoints: &[Endpoint], owner: Owner, key_size: usize, value_size: usize) -> Self {
        Self::sharing(endpoints, handshake, owner, RespCodec::new(key_size, value_size))
    }

    /// The same, where what is put lives for `ttl`, in whole milliseconds.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<Duration>) -> Self {
        if let Some(ttl) = ttl {
            let ms = ttl.as_millis().to_string();
            self.codec.heads[SET] = head(5, "SET", self.codec.key_size);
            self.codec.value_tail =
                format!("\r\n$2\r\nPX\r\n${}\r\n{ms}\r\n", ms.len()).into_bytes();
        }
        self
    }

    /// The same, with commands of the user's own.
    #[must_use]
    pub fn with_commands(mut self, commands: &[Command]) -> Self {
        let template = |command| Template::new(command, self.codec.key_size);
        self.codec.commands = commands.iter().map(template).collect();
        self
    }
}

/// TLS, AUTH and SELECT where asked for, and always a PING, which shows a server that is loading or that
/// wants a password before the first operation does.
pub(super) fn handshake(credentials: &Credentials) -> Handshake {
    let mut commands: Vec<Vec<&str>> = Vec::new();
    let database = credentials.database.to_string();
    if let Some(password) = &credentials.password {
        let user = credentials.username.as_deref();
        commands.push(["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect());
    }
    if credentials.database != 0 {
        commands.push(vec!["SELECT", &database]);
    }
    commands.push(vec!["PING"]);
    let mut bytes = Vec::new();
    for words in &commands {
        bytes.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            bytes.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
        }
    }
    Handshake { bytes, replies: commands.len() as u32, tls: credentials.tls.clone() }
}

/// Requests are a constant head, the key, and for a put the value: built once, copied per operation.
#[derive(Debug, Clone)]
pub struct RespCodec {
    heads: [Vec<u8>; 3],
    /// Between the key and a value of `value_size`.
    value_head: Vec<u8>,
    /// Behind a value.
    value_tail: Vec<u8>,
    commands: Arc<[Template]>,
    key_size: usize,
    value_size: usize,
}

impl RespCodec {
    pub(super) fn new(key_size: usize, value_size: usize) -> Self {
        Self {
            heads: [("GET", 2), ("SET", 3), ("DEL", 2)]
                .map(|(name, words)| head(words, name, key_size)),
            value_head: format!("\r\n${value_size}\r\n").into_bytes(),
            value_tail: b"\r\n".to_vec(),
            commands: Arc::default(),
            key_size,
            value_size,
        }
    }
}

/// What stands before the key in a command of so many words.
fn head(words: u32, name: &str, key_size: usize) -> Vec<u8> {
    format!("*{words}\r\n${}\r\n{name}\r\n${key_size}\r\n", name.len()).into_bytes()
}

impl Codec for RespCodec {
    #[inline]
    fn encode(&self, operation: Operation<'_>, out: &mut Vec<u8>) {
        debug_assert_eq!(operation.key.len(), self.key_size, "the head names the key's size");
        let head = match operation.request {
            Request::Get => &self.heads[GET],
            Request::Put => &self.heads[SET],
            Request::Delete => &self.heads[DEL],
            Request::Command(index) => {
                return self.commands[usize::from(index)].encode(operation, out);
            }
        };
        out.extend_from_slice(head);
        out.extend_from_slice(operation.key);
        if operation.request == Request::Put {
            if operation.value.len() == self.value_size {
                out.extend_from_slice(&self.value_head);
            } else {
                out.extend_from_slice(b"\r\n$");
                push_decimal(out, operation.value.len() as u64);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(operation.value);
            out.extend_from_slice(&self.value_tail);
            return;
        }
        out.extend_from_slice(b"\r\n");
    }

    #[inline]
    fn decode<'a>(&self, request: Request, bytes: &'a [u8]) -> Decoded<Reply<'a>> {
        let Some((skim, size)) = skim(bytes).map_err(|_| Garbage)? else { return Ok(None) };
        let reply = match (request, skim) {
            (_, Skim::Error(message)) => Reply::Error(message),
            (Request::Get | Request::Command(_), Skim::Bulk(_))
            | (Request::Delete, Skim::Integer(1)) => Reply::Hit,
            (Request::Get | Request::Command(_), Skim::Null)
            | (Request::Delete, Skim::Integer(0)) => Reply::Miss,
            (Request::Put, Skim::Simple(_)) | (Request::Command(_), _) => Reply::Stored,
            _ => return Err(Garbage),
        };
        Ok(Some((size, reply)))
    }

    #[inline]
    fn place(&self, request: Request, key: &[u8], owner: &Owner) -> usize {
        match request {
            Request::Command(index) => self.commands[usize::from(index)].place(key, owner),
            _ => owner(key),
        }
    }

    fn value<'a>(&self, reply: &'a [u8]) -> &'a [u8] {
        // Pushes may stand before it.
        let Ok(Some((Skim::Bulk(length), _))) = skim(reply) else { return &[] };
        let end = reply.len().saturating_sub(2);
        &reply[end.saturating_sub(length)..end]
    }

    fn decode_handshake<'a>(&self, bytes: &'a [u8]) -> Decoded<Option<&'a [u8]>> {
        Ok(match skim(bytes).map_err(|_| Garbage)? {
            Some((Skim::Error(message), size)) => Some((size, Some(message))),
            Some((Skim::Simple(_), size)) => Some((size, None)),
            Some(_) => return Err(Garbage),
            None => None,
        })
    }
}
