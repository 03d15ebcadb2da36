//! `MULTI`, `EXEC`, `DISCARD`, `WATCH`.

use std::time::Instant;

use kv_core::command::{Access, Call, CommandError, ConnectionCommand, Run, Spec, quoted};
use kv_core::resp::request::OwnedArgs;
use kv_core::resp::{Args, Encoder};

use super::{Flow, Served, Session, needs_memory};

/// Bytes of queued commands beyond which a transaction is refused.
const QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What a queued command costs besides its arguments: its place in the queue and two allocations.
const QUEUED_BYTES: usize = 160;

/// Bytes of watched keys beyond which no more are watched, counted with what each costs besides.
const WATCHED_BYTES_MAX: usize = 16 * 1024 * 1024;
const WATCHED_BYTES: usize = 256;

/// The commands between `MULTI` and `EXEC`.
#[derive(Debug, Default)]
pub(super) struct Queue {
    commands: Vec<(&'static Spec, OwnedArgs)>,
    bytes: usize,
    /// A command was refused, so `EXEC` will be too.
    pub(super) failed: bool,
}

impl Session {
    pub(super) fn enqueue(&mut self, spec: &'static Spec, args: Args<'_>, out: &mut Encoder) {
        if spec.flags.contains(&"no_multi") {
            self.refuse(&"ERR Command not allowed inside a transaction", out);
            return;
        }
        let Some(queue) = &mut self.queue else { return };
        let owned = OwnedArgs::from(args);
        queue.bytes += owned.bytes_len() + QUEUED_BYTES;
        if queue.bytes > QUEUE_BYTES_MAX {
            queue.commands = Vec::new();
            self.refuse(&"ERR transaction is larger than 256 MB, split it", out);
            return;
        }
        if !queue.failed {
            queue.commands.push((spec, owned));
        }
        out.simple("QUEUED");
    }

    pub(super) fn multi(&mut self, out: &mut Encoder) {
        if self.queue.is_some() {
            self.fail("ERR MULTI calls can not be nested", out);
            return;
        }
        self.queue = Some(Queue::default());
        out.ok();
    }

    pub(super) fn discard(&mut self, out: &mut Encoder) {
        if self.queue.take().is_none() {
            self.fail("ERR DISCARD without MULTI", out);
            return;
        }
        self.unwatch_all();
        out.ok();
    }

    pub(super) fn watch(&mut self, args: Args<'_>, out: &mut Encoder) {
        if self.queue.is_some() {
            self.fail("ERR WATCH inside MULTI is not allowed", out);
            return;
        }
        for key in args.from(1) {
            let watched = (self.db, Box::from(key));
            if self.watched.contains(&watched) {
                continue;
            }
            self.watched_bytes += key.len() + WATCHED_BYTES;
            if self.watched_bytes > WATCHED_BYTES_MAX {
                self.unwatch_all();
                self.fail("ERR too many watched keys; none is watched any more", out);
                return;
            }
            self.watches.push(self.shared.engine.watch(self.db, key));
            self.watched.insert(watched);
        }
        out.ok();
    }

    /// Runs the queue under the locks of all its keys; the answers of the connection's own
    /// commands stand between those of the others.
    pub(super) fn exec(&mut self, out: &mut Encoder) -> Flow {
        let Some(queue) = self.queue.take() else {
            self.fail("ERR EXEC without MULTI", out);
            return Flow::Continue;
        };
        if queue.failed {
            self.unwatch_all();
            self.fail("EXECABORT Transaction discarded because of previous errors.", out);
            return Flow::Continue;
        }
        let watches = std::mem::take(&mut self.watches);
        let shared = std::sync::Arc::clone(&self.shared);
        let calls: Vec<Call<'_>> = queue
            .commands
            .iter()
            .map(|(spec, args)| Call { spec, args: args.view(), db: self.db })
            .collect();
        // INFO counts keys, which it could not under locks that this thread holds.
        let sizes = queue.has_info().then(|| shared.engine.sizes());
        let mut transaction = shared.engine.transaction_with(&calls, &watches);
        if self.no_touch {
            transaction.leave_untouched();
        }
        let mut flow = Flow::Continue;
        self.in_exec = true;
        if transaction.unchanged(&watches) {
            out.array(calls.len());
            for call in calls {
                let (began, before) = (Instant::now(), out.bytes().len());
                match (call.spec.run, sizes) {
                    (Run::Data(_), _) => transaction.run(&Call { db: self.db, ..call }, out),
                    (Run::Connection(ConnectionCommand::Info), Some(sizes)) => {
                        self.info(call.args, &sizes, out);
                    }
                    (Run::Connection(ConnectionCommand::Monitor), _) => {
                        self.fail("ERR MONITOR isn't allowed for DENY BLOCKING client", out);
                    }
                    (Run::Connection(command), _) => {
                        if self.run_connection_command(command, call.args, out) == Flow::Close {
                            flow = Flow::Close;
                        }
                    }
                    (Run::Subcommand, _) => unreachable!("it was narrowed when it was queued"),
                }
                self.count(Served::Ran(call.spec), call.args, began, &out.bytes()[before..]);
            }
        } else {
            out.null_array();
        }
        self.in_exec = false;
        self.depends_on = self.depends_on.max(transaction.commit(&mut self.counted.tally));
        self.watches = watches;
        self.unwatch_all();
        flow
    }

    /// An error that leaves a queue as it is.
    pub(super) fn fail(&mut self, error: impl std::fmt::Display, out: &mut Encoder) {
        self.counted.tally.errors += 1;
        out.error(error);
    }

    /// The error for arguments that a subcommand does not take.
    pub(super) fn fail_subcommand(&mut self, args: Args<'_>, out: &mut Encoder) {
        let command = String::from_utf8_lossy(args.at(0)).to_uppercase();
        let subcommand = quoted(args.at(1));
        let what = "unknown subcommand or wrong number of arguments for";
        self.fail(format_args!("ERR {what} '{subcommand}'. Try {command} HELP."), out);
    }

    /// The syntax error.
    pub(super) fn fail_syntax(&mut self, out: &mut Encoder) {
        self.fail(CommandError::Syntax, out);
    }
}

impl Queue {
    pub(super) fn writes(&self) -> bool {
        self.commands.iter().any(|(spec, _)| spec.access == Access::Write)
    }

    /// Whether a queued command may make the store larger.
    pub(super) fn needs_memory(&self) -> bool {
        self.commands.iter().any(|(spec, _)| needs_memory(spec))
    }

    /// Bytes of the queued commands.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn has_info(&self) -> bool {
        self.commands
            .iter()
            .any(|(spec, _)| matches!(spec.run, Run::Connection(ConnectionCommand::Info)))
    }
}
