//! The commands on the connection itself: who is there, in which database and protocol.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use kv_core::command::{CommandError, ConnectionCommand, Spec, parse_db, quoted};
use kv_core::resp::request::parse_i64;
use kv_core::resp::{Args, Encoder, Protocol};

use super::{Flow, Replies, Session};
use crate::{REDIS_VERSION, info};

const WRONG_PASSWORD: &str = "WRONGPASS invalid username-password pair or user is disabled.";

/// The one user there is.
pub(super) const USER: &[u8] = b"default";

impl Session {
    pub(super) fn run_connection_command(
        &mut self,
        command: ConnectionCommand,
        args: Args<'_>,
        out: &mut Encoder,
    ) -> Flow {
        match command {
            ConnectionCommand::Ping => self.ping(args, out),
            ConnectionCommand::Echo => out.bulk(args.at(1)),
            ConnectionCommand::Auth => self.auth(args, out),
            ConnectionCommand::Hello => self.hello(args, out),
            ConnectionCommand::Select => self.select(args, out),
            ConnectionCommand::Client => return self.client_command(args, out),
            ConnectionCommand::Command => self.command_command(args, out),
            ConnectionCommand::Config => self.config(args, out),
            ConnectionCommand::Debug => self.debug(args, out),
            ConnectionCommand::Function => self.function(args, out),
            ConnectionCommand::Info => {
                let sizes = self.shared.engine.sizes();
                self.info(args, &sizes, out);
            }
            ConnectionCommand::Help => help(args.at(0), out),
            ConnectionCommand::Latency => self.latency(args, out),
            ConnectionCommand::Memory => memory(args.at(1), out),
            ConnectionCommand::Monitor => self.monitor(out),
            ConnectionCommand::Role => role(out),
            ConnectionCommand::Slowlog => self.slowlog(args, out),
            ConnectionCommand::Time => time(out),
            ConnectionCommand::Wait => self.wait(args, out),
            ConnectionCommand::WaitAof => self.wait_aof(args, out),
            ConnectionCommand::Save => self.save(out),
            ConnectionCommand::BgSave => self.bg_save(args, out),
            ConnectionCommand::BgRewriteAof => {
                self.save_in_background("Background append only file rewriting started", out);
            }
            ConnectionCommand::LastSave => {
                out.integer(self.shared.persistence.saved_at_s() as i64);
            }
            ConnectionCommand::Multi => self.multi(out),
            ConnectionCommand::Exec => return self.exec(out),
            ConnectionCommand::Discard => self.discard(out),
            ConnectionCommand::Watch => self.watch(args, out),
            ConnectionCommand::Unwatch => {
                self.unwatch_all();
                out.ok();
            }
            ConnectionCommand::Reset => self.reset(out),
            ConnectionCommand::Quit => {
                out.ok();
                return Flow::Close;
            }
            ConnectionCommand::Shutdown => return self.shutdown(args, out),
        }
        Flow::Continue
    }

    fn ping(&mut self, args: Args<'_>, out: &mut Encoder) {
        match args.len() {
            1 => out.simple("PONG"),
            2 => out.bulk(args.at(1)),
            _ => self.fail(CommandError::wrong_arity(b"ping"), out),
        }
    }

    fn select(&mut self, args: Args<'_>, out: &mut Encoder) {
        match parse_db(args.at(1)) {
            Ok(db) => {
                self.set_db(db);
                out.ok();
            }
            Err(error) => self.fail(error, out),
        }
    }

    fn auth(&mut self, args: Args<'_>, out: &mut Encoder) {
        if args.len() > 3 {
            return self.fail_syntax(out);
        }
        if args.len() == 2 && !self.shared.settings.has_password() {
            return self.fail(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
                out,
            );
        }
        let user = if args.len() == 3 { args.at(1) } else { USER };
        if self.try_auth(user, args.at(args.len() - 1)) {
            out.ok();
        } else {
            self.fail(WRONG_PASSWORD, out);
        }
    }

    /// Without a password set, the default user gets in with any, as in Redis.
    fn try_auth(&mut self, user: &[u8], password: &[u8]) -> bool {
        let settings = &self.shared.settings;
        let right = user == USER && (!settings.has_password() || settings.is_password(password));
        self.authenticated |= right;
        right
    }

    fn hello(&mut self, args: Args<'_>, out: &mut Encoder) {
        let protocol = match args.get(1).map(parse_i64) {
            None => out.protocol(),
            Some(Some(2)) => Protocol::Resp2,
            Some(Some(3)) => Protocol::Resp3,
            Some(Some(_)) => return self.fail("NOPROTO unsupported protocol version", out),
            Some(None) => {
                return self.fail("ERR Protocol version is not an integer or out of range", out);
            }
        };
        let mut name = None;
        let mut words = args.from(2);
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"auth") && words.len() >= 2 {
                let (user, password) = (words.next(), words.next());
                if !self.try_auth(user.unwrap_or_default(), password.unwrap_or_default()) {
                    return self.fail(WRONG_PASSWORD, out);
                }
            } else if word.eq_ignore_ascii_case(b"setname") && words.len() >= 1 {
                name = words.next();
            } else {
                let word = quoted(word);
                return self.fail(format!("ERR Syntax error in HELLO option '{word}'"), out);
            }
        }
        if !self.is_authenticated() {
            return self.fail(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise \
                 the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the \
                 client and select the RESP protocol version at the same time",
                out,
            );
        }
        if let Some(name) = name
            && !self.set_name(name, out)
        {
            return;
        }
        self.set_protocol(protocol, out);
        self.write_hello(out);
    }

    fn write_hello(&self, out: &mut Encoder) {
        out.map(7);
        for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
            out.bulk(field.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"proto");
        out.integer(if out.protocol() == Protocol::Resp3 { 3 } else { 2 });
        out.bulk(b"id");
        out.integer(self.client.id as i64);
        for (field, value) in [("mode", "standalone"), ("role", "master")] {
            out.bulk(field.as_bytes());
            out.bulk(value.as_bytes());
        }
        out.bulk(b"modules");
        out.array(0);
    }

    fn set_protocol(&self, protocol: Protocol, out: &mut Encoder) {
        out.set_protocol(protocol);
        let number = if protocol == Protocol::Resp3 { 3 } else { 2 };
        self.client.protocol.store(number, Ordering::Relaxed);
    }

    /// Names the connection, unless the name has blanks or worse; says so then.
    pub(super) fn set_name(&mut self, name: &[u8], out: &mut Encoder) -> bool {
        if !name.iter().all(u8::is_ascii_graphic) {
            self.fail(
                "ERR Client names cannot contain spaces, newlines or special characters.",
                out,
            );
            return false;
        }
        let mut labels = self.client.labels.lock().unwrap_or_else(PoisonError::into_inner);
        labels.name = String::from_utf8_lossy(name).into_owned();
        true
    }

    fn reset(&mut self, out: &mut Encoder) {
        self.queue = None;
        self.unwatch_all();
        self.end_monitor();
        self.set_db(0);
        self.replies = Replies::On;
        self.no_touch = false;
        self.authenticated = !self.shared.settings.has_password();
        self.client.labels.lock().unwrap_or_else(PoisonError::into_inner).name.clear();
        self.set_protocol(Protocol::Resp2, out);
        out.simple("RESET");
    }

    fn wait(&mut self, args: Args<'_>, out: &mut Encoder) {
        if parse_i64(args.at(1)).is_none() {
            return self.fail(CommandError::NotAnInteger, out);
        }
        if self.parse_timeout_ms(args.at(2), out).is_some() {
            out.integer(0);
        }
    }

    fn function(&mut self, args: Args<'_>, out: &mut Encoder) {
        let how = args.get(2).map(<[u8]>::to_ascii_lowercase);
        match (how.as_deref(), args.len()) {
            (_, 4..) => self.fail_subcommand(args, out),
            (None | Some(b"sync" | b"async"), _) => out.ok(),
            _ => self.fail("ERR FUNCTION FLUSH only supports SYNC|ASYNC option", out),
        }
    }

    /// `SHUTDOWN` and its other spelling `END`. Who succeeds sees the connection close; `END`, as
    /// the original did, answers first.
    fn shutdown(&mut self, args: Args<'_>, out: &mut Encoder) -> Flow {
        let is_end = args[0].eq_ignore_ascii_case(b"end");
        if !is_end && let Err(error) = check_shutdown_options(args) {
            self.fail(error, out);
            return Flow::Continue;
        }
        let settings = &self.shared.settings;
        if !self.local
            && !settings.has_password()
            && !settings.allow_shutdown.load(Ordering::Relaxed)
        {
            self.fail(
                "NOPERM only clients on the server's machine may stop it; start it with \
                 --allow-shutdown or --requirepass to let others",
                out,
            );
            return Flow::Continue;
        }
        let has = |option: &[u8]| args.from(1).any(|word| word.eq_ignore_ascii_case(option));
        if !is_end
            && has(b"save")
            && let Err(refusal) = self.shared.persistence.save(&self.shared.engine)
        {
            log::error!("no snapshot before the end: {refusal}");
            if !has(b"force") {
                self.fail("ERR Errors trying to SHUTDOWN. Check logs.", out);
                return Flow::Continue;
            }
        }
        if !is_end && has(b"nosave") {
            self.shared.persistence.forgo_last_save();
        }
        log::info!("client {} ({}) asks for the end", self.client.id, self.client.address);
        if is_end {
            out.ok();
        }
        self.shared.shutdown.raise();
        Flow::Close
    }
}

/// There is never a shutdown to abort: it can't be kept waiting.
fn check_shutdown_options(args: Args<'_>) -> Result<(), &'static str> {
    const SYNTAX: &str = "ERR syntax error";
    let has = |option: &[u8]| args.from(1).any(|word| word.eq_ignore_ascii_case(option));
    let known = |word: &[u8]| {
        let options: [&[u8]; 5] = [b"nosave", b"save", b"now", b"force", b"abort"];
        options.iter().any(|option| word.eq_ignore_ascii_case(option))
    };
    let alone = args.from(1).all(|word| word.eq_ignore_ascii_case(b"abort"));
    match has(b"abort") {
        _ if !args.from(1).all(known) || (has(b"save") && has(b"nosave")) => Err(SYNTAX),
        true if !alone => Err(SYNTAX),
        true => Err("ERR No shutdown in progress."),
        false => Ok(()),
    }
}

/// Answers `HELP` from the table: each subcommand with its arguments, and a sentence.
fn help(command: &[u8], out: &mut Encoder) {
    let Some(spec) = Spec::find(command) else { return };
    out.array(1 + 2 * spec.subcommands.len());
    let name = spec.name.to_uppercase();
    out.simple(&format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for spec in spec.subcommands {
        let name = spec.name.split_once('|').map_or(spec.name, |(_, name)| name);
        out.simple(format!("{} {}", name.to_uppercase(), spec.usage).trim_end());
        out.simple(&format!("    {}", spec.summary));
    }
}

/// `MEMORY DOCTOR` and `PURGE`; the other subcommands ask about a key.
fn memory(subcommand: &[u8], out: &mut Encoder) {
    if subcommand.eq_ignore_ascii_case(b"purge") {
        info::trim_memory();
        return out.ok();
    }
    out.verbatim(
        "INFO memory tells what the keys take (used_memory), what the allocator has given out in \
         all (allocator_allocated), and what of this process is in memory (used_memory_rss); \
         MEMORY PURGE gives back what nobody uses where it can.\n",
    );
}

/// A master without replicas, at the offset where it always is.
fn role(out: &mut Encoder) {
    out.array(3);
    out.bulk(b"master");
    out.integer(0);
    out.array(0);
}

fn time(out: &mut Encoder) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    out.array(2);
    out.bulk(now.as_secs().to_string().as_bytes());
    out.bulk(now.subsec_micros().to_string().as_bytes());
}
