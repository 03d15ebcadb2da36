//! One client's conversation: what was said so far, and who answers the next request.

mod client;
mod command;
mod config;
mod connection_commands;
mod subcommands;
mod transaction;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kv_core::command::{Call, CommandError, ConnectionCommand, Run, Spec};
use kv_core::engine::Watch;
use kv_core::resp::{Args, Encoder};

use crate::clients::Client;
use crate::counters::Totals;
use crate::shared::Shared;
use transaction::Queue;

/// The state of one connection between requests.
pub(crate) struct Session {
    shared: Arc<Shared>,
    client: Arc<Client>,
    /// Whether the client is on this machine.
    local: bool,
    authenticated: bool,
    db: u8,
    queue: Option<Queue>,
    watches: Vec<Watch>,
    /// The keys of `watches`, with their databases.
    watched: HashSet<(u8, Box<[u8]>)>,
    watched_bytes: usize,
    replies: Replies,
    /// What has happened since the figures were last handed over.
    counted: Totals,
    /// The command before, which is often the next one too.
    last: Option<(&'static Spec, Box<[u8]>)>,
}

/// Which replies the client wants: `CLIENT REPLY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replies {
    On,
    Off,
    /// Not to the next request.
    SkipNext,
    /// Not to the request under way.
    SkipThis,
}

/// Whether the conversation goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// Close after what was answered so far.
    Close,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, client: Arc<Client>, local: bool) -> Self {
        Self {
            authenticated: !shared.settings.has_password(),
            shared,
            client,
            local,
            db: 0,
            queue: None,
            watches: Vec::new(),
            watched: HashSet::new(),
            watched_bytes: 0,
            replies: Replies::On,
            counted: Totals::default(),
            last: None,
        }
    }

    /// Whether the client may do as it likes: it has given the password, or none is asked for.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated || !self.shared.settings.has_password()
    }

    /// Hands over the figures since the last call.
    pub(crate) fn take_counted(&mut self) -> Totals {
        std::mem::take(&mut self.counted)
    }

    /// Answers one request.
    pub(crate) fn handle(&mut self, args: Args<'_>, out: &mut Encoder) -> Flow {
        let before = out.bytes().len();
        if self.replies == Replies::SkipNext {
            self.replies = Replies::SkipThis;
        }
        let silent = self.replies != Replies::On;
        self.counted.commands += 1;
        let flow = self.dispatch(args, out);
        if let Some(log) = &self.shared.request_log {
            log.record(self.client.id, &args, &out.bytes()[before..]);
        }
        // A request may have asked for replies again, its own included.
        if silent && self.replies != Replies::On {
            out.bytes_mut().truncate(before);
        }
        if self.replies == Replies::SkipThis {
            self.replies = Replies::On;
        }
        flow
    }

    /// The checks of Redis, in its order: does it exist, with so many arguments, for this client?
    fn dispatch(&mut self, args: Args<'_>, out: &mut Encoder) -> Flow {
        let Some(spec) = self.find(args.at(0)) else {
            return self.refuse_unknown(args, out);
        };
        if !spec.accepts(args.len()) {
            return self.refuse_call(spec, &CommandError::wrong_arity(args.at(0)), out);
        }
        if let Run::Connection(command) = spec.run
            && let Err(error) = subcommands::check(command, args)
        {
            return self.refuse(&error, out);
        }
        if !self.is_authenticated() && !spec.flags.contains(&"no_auth") {
            return self.refuse_call(spec, &"NOAUTH Authentication required.", out);
        }
        if self.queue.is_some() && !runs_within_multi(spec) {
            self.enqueue(spec, args, out);
            return Flow::Continue;
        }
        match spec.run {
            Run::Data(_) => {
                let call = Call { spec, args, db: self.db };
                self.shared.engine.run(&call, out, &mut self.counted.tally);
                Flow::Continue
            }
            Run::Connection(command) => self.run_connection_command(command, args, out),
        }
    }

    fn find(&mut self, name: &[u8]) -> Option<&'static Spec> {
        if let Some((spec, last_name)) = &self.last
            && **last_name == *name
        {
            return Some(spec);
        }
        let spec = Spec::find(name)?;
        self.last = Some((spec, Box::from(name)));
        Some(spec)
    }

    /// Refuses a known command. Whatever is wrong with an `EXEC`, it ends the transaction.
    fn refuse_call(
        &mut self,
        spec: &Spec,
        error: &dyn std::fmt::Display,
        out: &mut Encoder,
    ) -> Flow {
        if !matches!(spec.run, Run::Connection(ConnectionCommand::Exec)) {
            return self.refuse(error, out);
        }
        self.queue = None;
        self.unwatch_all();
        let error = error.to_string();
        let reason = error.strip_prefix("ERR ").unwrap_or(&error);
        self.refuse(&format_args!("EXECABORT Transaction discarded because of: {reason}"), out)
    }

    fn refuse(&mut self, error: &dyn std::fmt::Display, out: &mut Encoder) -> Flow {
        self.counted.tally.errors += 1;
        if let Some(queue) = &mut self.queue {
            queue.failed = true;
        }
        out.error(error);
        Flow::Continue
    }

    fn refuse_unknown(&mut self, args: Args<'_>, out: &mut Encoder) -> Flow {
        let name = args.at(0);
        // A browser that was talked into posting here must not get to run its body's lines.
        if name.eq_ignore_ascii_case(b"post") || name.eq_ignore_ascii_case(b"host:") {
            log::warn!(
                "closed client {} ({}): it speaks HTTP, possibly a cross-protocol attack",
                self.client.id,
                self.client.address
            );
            return Flow::Close;
        }
        self.refuse(&CommandError::unknown_command(&args), out)
    }

    fn set_db(&mut self, db: u8) {
        self.db = db;
        self.client.db.store(db, Ordering::Relaxed);
    }

    fn unwatch_all(&mut self) {
        self.watched.clear();
        self.watched_bytes = 0;
        for watch in self.watches.drain(..) {
            self.shared.engine.unwatch(&watch);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.unwatch_all();
    }
}

/// The commands that a `MULTI` does not queue.
fn runs_within_multi(spec: &Spec) -> bool {
    use ConnectionCommand::{Discard, Exec, Multi, Quit, Reset, Watch};
    matches!(spec.run, Run::Connection(Exec | Discard | Multi | Watch | Quit | Reset))
}
