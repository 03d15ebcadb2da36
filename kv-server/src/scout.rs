//! Looks at requests that have arrived before they run, so that the engine can bring near what
//! they will ask for.

use kv_core::engine::{Engine, KeysAhead};
use kv_core::resp::request::Decoded;
use kv_core::resp::{RequestDecoder, RequestLimits};

/// What names more keys than this is not guessed at.
const ARGS_MAX: usize = 64;

/// Longer ones are seldom keys, and take long to hash.
const KEY_BYTES_MAX: usize = 1024;

/// Reads ahead in one connection's input.
pub(crate) struct Scout {
    decoder: RequestDecoder,
    keys: KeysAhead,
    /// Up to where the input was looked at.
    seen: usize,
}

impl Scout {
    pub(crate) fn new() -> Self {
        let limits = RequestLimits { args_max: ARGS_MAX, ..RequestLimits::DEFAULT };
        Self { decoder: RequestDecoder::new(limits), keys: KeysAhead::default(), seen: 0 }
    }

    /// Forgets what it saw: the input has changed.
    pub(crate) fn restart(&mut self) {
        self.seen = 0;
    }

    /// Looks at the next requests, of which the first begins at `consumed`, unless it has seen them.
    /// What cannot be decoded is left to who runs the requests: this guesses which keys they name,
    /// and a wrong guess costs time only.
    #[inline]
    pub(crate) fn look(&mut self, engine: &Engine, db: u8, input: &[u8], consumed: usize) {
        if consumed >= self.seen && consumed < input.len() {
            self.look_from(consumed, input, engine, db);
        }
    }

    fn look_from(&mut self, start: usize, input: &[u8], engine: &Engine, db: u8) {
        self.decoder.restart();
        self.seen = start;
        while !self.keys.is_full()
            && let Ok(Decoded::Request { args, consumed }) =
                self.decoder.decode(&input[self.seen..])
        {
            self.seen += consumed;
            if let Some(key) = args.get(1).filter(|key| key.len() <= KEY_BYTES_MAX) {
                engine.expect(&mut self.keys, key);
            }
        }
        engine.warm(db, &mut self.keys);
    }
}
