//! A store to send commands to, with a clock to turn by hand. Each test file that needs one includes
//! this module and uses part of it.
#![allow(dead_code, reason = "every test file is a crate of its own and needs another part")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::command::Run;
use kv_core::engine::{Tally, Watch};
use kv_core::resp::reply::{self, Value};
use kv_core::resp::request::{Decoded, OwnedArgs};
use kv_core::resp::{Encoder, RequestDecoder};
use kv_core::{Call, Clock, CommandError, Engine, Spec};

/// When a store with a manual clock begins, in Unix milliseconds.
pub(crate) const BEGIN_MS: u64 = 1_700_000_000_000;

pub(crate) struct Store {
    pub(crate) engine: Engine,
    clock_ms: Arc<AtomicU64>,
}

impl Store {
    /// An empty store whose clock stands still.
    pub(crate) fn new() -> Self {
        let clock_ms = Arc::new(AtomicU64::new(BEGIN_MS));
        Self { engine: Engine::new(Clock::Manual(Arc::clone(&clock_ms))), clock_ms }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.clock_ms.load(Ordering::Relaxed)
    }

    /// Lets time pass.
    pub(crate) fn advance_ms(&self, ms: u64) {
        self.clock_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// Sets the clock to a Unix time in milliseconds.
    pub(crate) fn set_now_ms(&self, ms: u64) {
        self.clock_ms.store(ms, Ordering::Relaxed);
    }

    /// The bytes that answer a command in database `db`, as a server would send them.
    pub(crate) fn reply<A: AsRef<[u8]>>(&self, db: u8, args: &[A]) -> Vec<u8> {
        reply(&self.engine, db, args)
    }

    /// The reply to a command in database 0, decoded.
    pub(crate) fn value<A: AsRef<[u8]>>(&self, args: &[A]) -> Value {
        value(&self.engine, 0, args)
    }

    /// The reply to a command typed as a line, decoded.
    pub(crate) fn line(&self, line: &str) -> Value {
        self.value(&split(line))
    }

    /// Runs lines as one transaction unless a watched key changed, as `EXEC` does, and ends the
    /// watches; answers whether it ran.
    pub(crate) fn exec(&self, watches: &[Watch], lines: &[&str]) -> bool {
        let queued: Vec<OwnedArgs> =
            lines.iter().map(|line| split(line).iter().collect()).collect();
        let calls: Vec<Call<'_>> = queued.iter().map(|args| call(args, 0)).collect();
        let mut transaction = self.engine.transaction_with(&calls, watches);
        let unchanged = transaction.unchanged(watches);
        if unchanged {
            let mut out = Encoder::default();
            for call in &calls {
                transaction.run(call, &mut out);
            }
        }
        transaction.commit(&mut Tally::default());
        for watch in watches {
            self.engine.unwatch(watch);
        }
        unchanged
    }
}

/// A command that is known to be in the table.
pub(crate) fn call(args: &OwnedArgs, db: u8) -> Call<'_> {
    let args = args.view();
    let spec = Spec::find(args.at(0)).and_then(|spec| spec.narrow(&args).ok());
    Call { spec: spec.expect("a command of ours"), args, db }
}

/// The bytes that answer a command: unknown names and wrong arities are refused first, as by a server.
pub(crate) fn reply<A: AsRef<[u8]>>(engine: &Engine, db: u8, args: &[A]) -> Vec<u8> {
    let owned: OwnedArgs = args.iter().collect();
    let args = owned.view();
    let mut out = Encoder::default();
    let found = Spec::find(args.at(0)).ok_or_else(|| CommandError::unknown_command(&args));
    match found.and_then(|spec| spec.narrow(&args)) {
        Err(error) => out.error(error),
        Ok(spec) => {
            assert!(matches!(spec.run, Run::Data(_)), "{} is run by the server", spec.name);
            engine.run(&Call { spec, args, db }, &mut out, &mut Tally::default());
        }
    }
    std::mem::take(out.bytes_mut())
}

pub(crate) fn value<A: AsRef<[u8]>>(engine: &Engine, db: u8, args: &[A]) -> Value {
    let bytes = reply(engine, db, args);
    let (value, consumed) = reply::decode(&bytes).expect("RESP").expect("a whole reply");
    assert_eq!(consumed, bytes.len(), "one reply per command");
    value
}

/// The arguments of a command typed as a line, with the quoting of inline requests.
pub(crate) fn split(line: &str) -> Vec<Vec<u8>> {
    let mut decoder = RequestDecoder::default();
    match decoder.decode(format!("{line}\n").as_bytes()) {
        Ok(Decoded::Request { args, .. }) => args.from(0).map(<[u8]>::to_vec).collect(),
        other => panic!("{line}: {other:?}"),
    }
}

/// The bytes of a request as clients send it.
pub(crate) fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = Encoder::default();
    out.array(args.len());
    for arg in args {
        out.bulk(arg.as_ref());
    }
    std::mem::take(out.bytes_mut())
}
