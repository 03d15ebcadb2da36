//! kv-core in this process: no server, no network, and so the ceiling of what a server of it can do.
//!
//! What is encoded for it is no protocol but the words of a call, back to back, behind their number and
//! the value's size: a [`Caller`] finds the words where they lie, and the engine runs them. Its replies
//! are RESP, which is what the engine writes.
//!
//! A batch is what kv-server's connections make of a pipeline: what is under its keys is brought near
//! side by side, each call is run by itself, and the log is waited for once. It is not a transaction,
//! which would lock all that it touches until its end.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kv_core::command::Run;
use kv_core::engine::{KeysAhead, Tally};
use kv_core::resp::Encoder;
use kv_core::resp::request::ArgSpans;
use kv_core::{Call, Engine, Spec};

use super::{Codec, Decoded, Endpoint, Handshake, Node, Operation, Reply, Resp, RespCodec, Target};
use crate::workload::{Command, Part, Request, Word};

/// A request's number, and the size of the value in it.
const HEAD_BYTES: usize = 1 + size_of::<u32>();

/// How a kind of request is called.
#[derive(Debug, Clone)]
struct Form {
    spec: &'static Spec,
    /// The words without what is between them.
    parts: Vec<Part>,
    /// Of each word: its bytes beside values, and how many of these it has.
    words: Vec<(usize, usize)>,
}

impl Form {
    /// Of words with keys of `key_size` bytes.
    ///
    /// # Errors
    ///
    /// When the engine has no such command; the message says why.
    fn new(words: &[Word], key_size: usize) -> Result<Self, String> {
        let sizes = |word: &Word| {
            let bytes = |part: &Part| match part {
                Part::Text(text) => text.len(),
                Part::Key => key_size,
                Part::Value => 0,
            };
            let values = word.iter().filter(|part| **part == Part::Value).count();
            (word.iter().map(bytes).sum(), values)
        };
        let sizes: Vec<(usize, usize)> = words.iter().map(sizes).collect();
        Ok(Self { spec: spec(words)?, parts: words.concat(), words: sizes })
    }

    /// Adds where the words are behind the head of a call, and answers where it ends.
    #[inline]
    fn spread(&self, value_size: usize, spans: &mut ArgSpans) -> usize {
        let mut at = HEAD_BYTES;
        for &(bytes, values) in &self.words {
            let end = at + bytes + values * value_size;
            spans.push(at..end);
            at = end;
        }
        at
    }
}

/// The command that these words call, if the engine runs it.
fn spec(words: &[Word]) -> Result<&'static Spec, String> {
    let text = |word: &Word| match word.first() {
        Some(Part::Text(text)) if word.len() == 1 => text.clone(),
        _ => Vec::new(),
    };
    let (mut bytes, mut spans) = (Vec::new(), ArgSpans::default());
    for word in words.iter().map(text) {
        spans.push(bytes.len()..bytes.len() + word.len());
        bytes.extend_from_slice(&word);
    }
    let args = spans.view(0..spans.len(), &bytes);
    let name = String::from_utf8_lossy(args.get(0).unwrap_or_default()).into_owned();
    let spec = Spec::find(name.as_bytes()).ok_or_else(|| format!("the engine has no {name}"))?;
    let spec = spec.narrow(&args).map_err(|error| error.to_string())?;
    match spec.run {
        Run::Data(_) => Ok(spec),
        _ => Err(format!(
            "{name} is for a server to run, and engine: is none: it runs commands on keys"
        )),
    }
}

/// One engine, which the workers call.
pub struct InProcess {
    node: Node,
    engine: Arc<Engine>,
    codec: InProcessCodec,
}

impl InProcess {
    /// Calls `engine`. Keys are `key_size` bytes long; what is put lives for `ttl`, in whole
    /// milliseconds.
    ///
    /// # Errors
    ///
    /// When one of `commands` is none for an engine.
    pub fn new(
        engine: Arc<Engine>,
        key_size: usize,
        ttl: Option<Duration>,
        commands: &[Command],
    ) -> Result<Self, String> {
        let endpoint = Endpoint::in_process();
        let node = Node { name: endpoint.name.clone(), address: endpoint.address.clone() };
        // Of its encoding nothing is used.
        let resp = Resp::new(&[endpoint], Box::new(|_| 0), key_size, 0);
        let forms = forms(key_size, ttl, commands)?.into();
        Ok(Self { node, engine, codec: InProcessCodec { forms, resp: resp.codec() } })
    }

    /// Refuses `commands` that are none for an engine.
    ///
    /// # Errors
    ///
    /// As [`InProcess::new`].
    pub fn check(commands: &[Command]) -> Result<(), String> {
        forms(0, None, commands).map(drop)
    }
}

/// How each request is called, by its number.
fn forms(
    key_size: usize,
    ttl: Option<Duration>,
    commands: &[Command],
) -> Result<Vec<Form>, String> {
    let text = |text: &str| vec![Part::Text(text.as_bytes().to_vec())];
    let (key, value) = (vec![Part::Key], vec![Part::Value]);
    let mut set = vec![text("SET"), key.clone(), value];
    if let Some(ttl) = ttl {
        set.extend([text("PX"), text(&ttl.as_millis().to_string())]);
    }
    let own = [vec![text("GET"), key.clone()], set, vec![text("DEL"), key]];
    let theirs = commands.iter().map(|command| &command.words);
    own.iter().chain(theirs).map(|words| Form::new(words, key_size)).collect()
}

/// The form of a request.
#[inline]
fn number(request: Request) -> u8 {
    match request {
        Request::Get => 0,
        Request::Put => 1,
        Request::Delete => 2,
        Request::Command(index) => 3 + index,
    }
}

impl Target for InProcess {
    type Codec = InProcessCodec;
    const IS_CALLED: bool = true;

    fn nodes(&self) -> Vec<Node> {
        vec![self.node.clone()]
    }

    fn node(&self, _index: usize) -> Node {
        self.node.clone()
    }

    fn places(&self) -> usize {
        1
    }

    fn route(&self, _key: &[u8]) -> usize {
        0
    }

    fn handshake(&self, _node: usize) -> Handshake {
        Handshake::default()
    }

    fn codec(&self) -> InProcessCodec {
        self.codec.clone()
    }

    fn caller(&self) -> Option<Caller> {
        Some(Caller {
            engine: Arc::clone(&self.engine),
            forms: Arc::clone(&self.codec.forms),
            spans: ArgSpans::default(),
            batch: Vec::new(),
            ahead: KeysAhead::default(),
            out: Encoder::default(),
        })
    }
}

/// Calls to bytes, and replies, which are RESP's, back.
#[derive(Debug, Clone)]
pub struct InProcessCodec {
    forms: Arc<[Form]>,
    resp: RespCodec,
}

impl Codec for InProcessCodec {
    #[inline]
    fn encode(&self, operation: Operation<'_>, out: &mut Vec<u8>) {
        let number = number(operation.request);
        out.push(number);
        out.extend_from_slice(&(operation.value.len() as u32).to_le_bytes());
        for part in &self.forms[usize::from(number)].parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Key => out.extend_from_slice(operation.key),
                Part::Value => out.extend_from_slice(operation.value),
            }
        }
    }

    #[inline]
    fn decode<'a>(&self, request: Request, bytes: &'a [u8]) -> Decoded<Reply<'a>> {
        self.resp.decode(request, bytes)
    }

    fn value<'a>(&self, reply: &'a [u8]) -> &'a [u8] {
        self.resp.value(reply)
    }

    fn decode_handshake<'a>(&self, bytes: &'a [u8]) -> Decoded<Option<&'a [u8]>> {
        self.resp.decode_handshake(bytes)
    }
}

/// A call of a batch: its form, where its words are among the spans, and its bytes.
#[derive(Debug, Clone)]
struct Pending {
    form: u8,
    words: Range<usize>,
    bytes: Range<usize>,
}

/// One client of an engine. What it needs for a batch is kept from one to the next.
pub struct Caller {
    engine: Arc<Engine>,
    forms: Arc<[Form]>,
    spans: ArgSpans,
    batch: Vec<Pending>,
    ahead: KeysAhead,
    out: Encoder,
}

impl Caller {
    /// Makes the calls that are encoded in `requests`, in their order, and adds their replies to
    /// `replies`.
    pub fn call(&mut self, requests: &[u8], replies: &mut Vec<u8>) {
        std::mem::swap(self.out.bytes_mut(), replies);
        let before = self.out.bytes().len();
        let (mut at, mut count, mut depends_on) = (0, 0, 0);
        let mut tally = Tally::default();
        while at < requests.len() {
            at = self.gather(requests, at);
            self.engine.warm(0, &mut self.ahead);
            for Pending { form, words, bytes } in self.batch.drain(..) {
                let args = self.spans.view(words, &requests[bytes]);
                let call = Call { spec: self.forms[usize::from(form)].spec, args, db: 0 };
                depends_on = self.engine.run(&call, &mut self.out, &mut tally).max(depends_on);
                count += 1;
            }
        }
        if let Err(failure) = self.engine.settle(depends_on) {
            // What is not kept was not done, as far as a caller may tell.
            self.out.bytes_mut().truncate(before);
            (0..count).for_each(|_| self.out.error(format_args!("MISCONF {failure}")));
        }
        std::mem::swap(self.out.bytes_mut(), replies);
    }

    /// Takes as many calls from `requests` as the engine looks ahead for, and answers where they end.
    #[inline]
    fn gather(&mut self, requests: &[u8], mut at: usize) -> usize {
        self.spans.clear();
        while at < requests.len() && !self.ahead.is_full() && self.batch.len() < BATCH {
            let number = requests[at];
            let size: [u8; 4] = requests[at + 1..at + HEAD_BYTES].try_into().unwrap_or_default();
            let first = self.spans.len();
            let form = &self.forms[usize::from(number)];
            let end = at + form.spread(u32::from_le_bytes(size) as usize, &mut self.spans);
            let words = first..self.spans.len();
            // A lone call has nothing to be looked ahead for.
            if (at, end) != (0, requests.len())
                && let Some(key) = self.spans.view(words.clone(), &requests[at..end]).get(1)
            {
                self.engine.expect(&mut self.ahead, key);
            }
            self.batch.push(Pending { form: number, words, bytes: at..end });
            at = end;
        }
        at
    }
}

/// Calls that are gathered at once where no keys are: as many as [`KeysAhead`] holds.
const BATCH: usize = 16;
