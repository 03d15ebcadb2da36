//! One client's conversation: what was said so far, and who answers the next request.

mod client;
mod client_filter;
mod command;
mod config;
mod connection_commands;
mod debug;
mod latency;
mod outbox;
mod persistence_commands;
mod slowlog;
mod transaction;
mod unsettled;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use kv_core::command::{Access, Call, CommandError, ConnectionCommand, Run, Spec};
use kv_core::engine::Watch;
use kv_core::resp::{Args, Encoder};

use crate::clients::Client;
use crate::command_stats::CommandStats;
use crate::counters::Totals;
use crate::monitor::Feed;
use crate::shared::Shared;
use outbox::Outbox;
pub(crate) use outbox::Rests;
use transaction::Queue;
use unsettled::Unsettled;

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
    /// Reading a key is no use of it: `CLIENT NO-TOUCH`.
    no_touch: bool,
    /// What others ask, for a client that watches.
    feed: Option<Arc<Feed>>,
    /// What has happened since the figures were last handed over.
    counted: Totals,
    /// A transaction's commands are running, under its locks.
    in_exec: bool,
    /// The last change that the reply under way depends on.
    depends_on: u64,
    /// The last change that this connection made, or saw before it was durable.
    last_write: u64,
    /// Replies that have to wait until what they tell is kept.
    unsettled: Unsettled,
    outbox: Outbox,
    command_stats: CommandStats,
    /// When the command before ended, within a batch: one reading of the clock serves both.
    clock: Option<Instant>,
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

/// What became of a request.
#[derive(Debug, Clone, Copy)]
enum Served {
    Ran(&'static Spec),
    Refused(&'static Spec),
    /// Queued, or unknown.
    Otherwise,
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
            outbox: Outbox::new(&shared, &client),
            shared,
            client,
            local,
            db: 0,
            queue: None,
            watches: Vec::new(),
            watched: HashSet::new(),
            watched_bytes: 0,
            replies: Replies::On,
            no_touch: false,
            feed: None,
            counted: Totals::default(),
            in_exec: false,
            depends_on: 0,
            last_write: 0,
            unsettled: Unsettled::default(),
            command_stats: CommandStats::default(),
            clock: None,
            last: None,
        }
    }

    /// Whether the client may do as it likes: it has given the password, or none is asked for.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.authenticated || !self.shared.settings.has_password()
    }

    /// What a client that watches is to be told.
    #[inline]
    pub(crate) fn feed(&self) -> Option<Arc<Feed>> {
        self.feed.clone()
    }

    /// Hands over the figures since the last call.
    pub(crate) fn take_counted(&mut self) -> Totals {
        if !self.command_stats.is_empty() {
            self.client.command_stats().add(&self.command_stats);
            self.command_stats.clear();
        }
        // What comes next may be waited for first.
        self.clock = None;
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
        self.depends_on = 0;
        let began = self.clock.unwrap_or_else(Instant::now);
        let (flow, served) = self.dispatch(args, out);
        self.count(served, args, began, &out.bytes()[before..]);
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
        self.last_write = self.last_write.max(self.depends_on);
        self.unsettled.note(before..out.bytes().len(), self.depends_on);
        // What a client that watches asks itself stands right behind the reply.
        if let Some(feed) = &self.feed {
            feed.take_into(out.bytes_mut());
        }
        flow
    }

    /// Waits until the replies since the last call may be sent, or makes errors of those that never
    /// will.
    pub(crate) fn settle(&mut self, out: &mut Encoder) {
        self.unsettled.settle(&self.shared.engine, out.bytes_mut());
    }

    /// Leaves replies that wait for the disk to who knows when it is done, if they may be left:
    /// `out` is empty then.
    pub(crate) fn hand_over(&mut self, out: &mut Encoder) -> bool {
        self.feed.is_none() && self.outbox.hand_over(&mut self.unsettled, out.bytes_mut())
    }

    /// Takes replies back that were handed over and not sent yet, and tells whether there were any.
    pub(crate) fn take_back(&mut self, out: &mut Encoder) -> bool {
        self.outbox.take_back(&mut self.unsettled, out.bytes_mut())
    }

    /// Notes what became of a request that began then.
    fn count(&mut self, served: Served, args: Args<'_>, began: Instant, reply: &[u8]) {
        let now = Instant::now();
        self.clock = Some(now);
        let failed = reply.first() == Some(&b'-');
        match served {
            Served::Ran(spec) => {
                let took = now - began;
                self.command_stats.ran(spec, took, failed);
                if self.shared.monitors.any() && !spec.flags.contains(&"admin") {
                    self.tell_monitors(&args);
                }
                if self.shared.slowlog.is_slow(took) && !spec.flags.contains(&"skip_slowlog") {
                    self.shared.slowlog.record(&self.client, &args, took);
                }
            }
            Served::Refused(spec) => self.command_stats.of(spec).rejected += 1,
            Served::Otherwise => {}
        }
        if failed {
            self.command_stats.count_error(reply);
        }
    }

    /// The checks of Redis, in its order: does it exist, with so many arguments, for this client?
    fn dispatch(&mut self, args: Args<'_>, out: &mut Encoder) -> (Flow, Served) {
        let Some(command) = self.find(args.at(0)) else {
            return (self.refuse_unknown(args, out), Served::Otherwise);
        };
        let spec = match command.narrow(&args) {
            Ok(spec) => spec,
            Err(error) => {
                return (self.refuse_call(command, &error, out), Served::Refused(command));
            }
        };
        if !self.is_authenticated() && !spec.flags.contains(&"no_auth") {
            let error = "NOAUTH Authentication required.";
            return (self.refuse_call(spec, &error, out), Served::Refused(spec));
        }
        if self.feed.is_some() && spec.access != Access::None {
            let error = "ERR Replica can't interact with the keyspace";
            return (self.refuse_call(spec, &error, out), Served::Refused(spec));
        }
        if self.lacks_memory(spec, &args) {
            let error = CommandError::OutOfMemory;
            return (self.refuse_call(spec, &error, out), Served::Refused(spec));
        }
        if let Some(reason) = self.refusal(spec) {
            return (self.refuse_call(spec, &reason, out), Served::Refused(spec));
        }
        if self.queue.is_some() && !runs_within_multi(spec) {
            self.enqueue(spec, args, out);
            return (Flow::Continue, Served::Otherwise);
        }
        if self.shared.pause.may_be_on() && !is_of_connections(spec) {
            self.shared.pause.wait(self.writes(spec), &self.shared.shutdown);
            // Nothing was refused for want of memory meanwhile.
            if self.lacks_memory(spec, &args) {
                let error = CommandError::OutOfMemory;
                return (self.refuse_call(spec, &error, out), Served::Refused(spec));
            }
        }
        let flow = match spec.run {
            Run::Data(_) => {
                let call = Call { spec, args, db: self.db };
                let (engine, tally) = (&self.shared.engine, &mut self.counted.tally);
                self.depends_on = match self.no_touch {
                    false => engine.run(&call, out, tally),
                    true => engine.run_untouched(&call, out, tally),
                };
                Flow::Continue
            }
            Run::Connection(command) => self.run_connection_command(command, args, out),
            Run::Subcommand => unreachable!("narrowed to one of {}", spec.name),
        };
        (flow, Served::Ran(spec))
    }

    fn tell_monitors(&self, args: &Args<'_>) {
        let (shared, settings) = (&self.shared, &self.shared.settings);
        let bytes_max = settings.output_bytes_max.load(Ordering::Relaxed);
        let address = match self.client.stream.peer_addr() {
            Some(_) => self.client.address.clone(),
            None => format!("unix:{}", settings.unix_socket),
        };
        shared.monitors.tell(self.db, &address, args, bytes_max);
    }

    /// Begins to watch; one that watches already is not answered, as in Redis.
    fn monitor(&mut self, out: &mut Encoder) {
        if self.feed.is_some() {
            return;
        }
        match self.shared.monitors.register() {
            Ok(feed) => {
                self.feed = Some(feed);
                out.ok();
            }
            Err(error) => self.fail(format_args!("ERR cannot watch: {error}"), out),
        }
    }

    fn end_monitor(&mut self) {
        if let Some(feed) = self.feed.take() {
            self.shared.monitors.unregister(&feed);
        }
    }

    /// Whether running a command would change something, the commands queued for `EXEC` included.
    fn writes(&self, spec: &Spec) -> bool {
        let executes = matches!(spec.run, Run::Connection(ConnectionCommand::Exec));
        let queue_writes = || self.queue.as_ref().is_some_and(Queue::writes);
        spec.access == Access::Write || (executes && queue_writes())
    }

    /// Whether there is no room for a command that may need some: one that says so, and any that is
    /// queued, as in Redis. In a pause nobody asks, because nothing may go to make room.
    #[inline]
    fn lacks_memory(&self, spec: &Spec, args: &Args<'_>) -> bool {
        let shared = &self.shared;
        let has_limit = shared.engine.memory_limit() > 0;
        if !has_limit || shared.persistence.is_loading() || shared.pause.is_on() {
            return false;
        }
        let queue = self.queue.as_ref();
        let needs = match spec.run {
            Run::Connection(ConnectionCommand::Exec) => queue.is_some_and(Queue::needs_memory),
            Run::Connection(
                ConnectionCommand::Discard | ConnectionCommand::Quit | ConnectionCommand::Reset,
            ) => false,
            _ => queue.is_some() || needs_memory(spec),
        };
        needs && {
            let bytes =
                queue.map_or(0, Queue::bytes) + args.from(0).map(<[u8]>::len).sum::<usize>();
            shared.engine.make_room(bytes).is_err()
        }
    }

    /// Why the server takes no such command now.
    #[inline]
    fn refusal(&self, spec: &Spec) -> Option<String> {
        let persistence = &self.shared.persistence;
        let tells_of_disk = matches!(spec.run, Run::Connection(ConnectionCommand::Ping));
        if (self.writes(spec) || tells_of_disk)
            && let Some(reason) = persistence.refusal(&self.shared.engine)
        {
            return Some(reason);
        }
        // To Redis WATCH is harmless meanwhile; here it removes a key whose time has come, which the
        // log may yet put off.
        let watches = matches!(spec.run, Run::Connection(ConnectionCommand::Watch));
        (persistence.is_loading() && (watches || !spec.flags.contains(&"loading")))
            .then(|| "LOADING Redis is loading the dataset in memory".to_owned())
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

    pub(crate) fn db(&self) -> u8 {
        self.db
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
        self.end_monitor();
        self.unwatch_all();
    }
}

/// The commands that may make the store larger.
fn needs_memory(spec: &Spec) -> bool {
    spec.access == Access::Write && spec.flags.contains(&"denyoom")
}

/// The commands that a pause does not hold up, because one of them ends it.
fn is_of_connections(spec: &Spec) -> bool {
    matches!(spec.run, Run::Connection(ConnectionCommand::Client))
}

/// The commands that a `MULTI` does not queue.
fn runs_within_multi(spec: &Spec) -> bool {
    use ConnectionCommand::{Discard, Exec, Multi, Quit, Reset, Watch};
    matches!(spec.run, Run::Connection(Exec | Discard | Multi | Watch | Quit | Reset))
}
