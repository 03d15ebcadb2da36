//! `COMMAND`: what the commands are, read off the table that runs them.

use kv_core::command::{Access, COMMANDS, Call, KeySpec, Run, Scope, Spec, glob_match};
use kv_core::resp::request::OwnedArgs;
use kv_core::resp::{Args, Encoder};

use super::Session;

impl Session {
    pub(super) fn command_command(&mut self, args: Args<'_>, out: &mut Encoder) {
        let Some(subcommand) = args.get(1) else {
            return write_specs(out);
        };
        match subcommand.to_ascii_lowercase().as_slice() {
            b"count" => out.integer(COMMANDS.len() as i64),
            b"list" => self.command_list(args, out),
            b"info" if args.len() == 2 => write_specs(out),
            b"info" => {
                out.array(args.len() - 2);
                for name in args.from(2) {
                    match find(name) {
                        Some(spec) => write_spec(spec, out),
                        None => out.null(),
                    }
                }
            }
            b"getkeys" => self.command_getkeys(args, false, out),
            b"getkeysandflags" => self.command_getkeys(args, true, out),
            _ => {
                let specs: Vec<&Spec> = match args.len() {
                    2 => COMMANDS.iter().collect(),
                    _ => args.from(2).filter_map(find).collect(),
                };
                write_docs(&specs, out);
            }
        }
    }

    /// The names of all commands and subcommands, or of those that a filter lets through.
    fn command_list(&mut self, args: Args<'_>, out: &mut Encoder) {
        let lower = |index| args.get(index).unwrap_or_default().to_ascii_lowercase();
        let (filter, wanted) = (lower(3), lower(4));
        if args.len() > 2 && (args.len() != 5 || lower(2) != b"filterby") {
            return self.fail_syntax(out);
        }
        let passes: &dyn Fn(&Spec) -> bool = match filter.as_slice() {
            _ if args.len() == 2 => &|_| true,
            b"module" => &|_| false,
            b"aclcat" => {
                &|spec| categories(spec).iter().any(|category| category.as_bytes()[1..] == *wanted)
            }
            b"pattern" => &|spec| glob_match(&wanted, spec.name.as_bytes()),
            _ => return self.fail_syntax(out),
        };
        let all = COMMANDS.iter().flat_map(|spec| std::iter::once(spec).chain(spec.subcommands));
        let names: Vec<&str> = all.filter(|spec| passes(spec)).map(|spec| spec.name).collect();
        out.array(names.len());
        for name in names {
            out.bulk(name.as_bytes());
        }
    }

    /// The keys of the request behind `GETKEYS`, with what becomes of each if that is asked for.
    fn command_getkeys(&mut self, args: Args<'_>, with_flags: bool, out: &mut Encoder) {
        let request: OwnedArgs = args.from(2).collect();
        let args = request.view();
        let Some(spec) = Spec::find(args.at(0)) else {
            return self.fail("ERR Invalid command specified", out);
        };
        let narrowed = args.get(1).and_then(|word| spec.subcommand(word));
        if !spec.subcommands.is_empty() && args.len() > 1 && narrowed.is_none() {
            return self.fail("ERR Invalid command specified", out);
        }
        let spec = narrowed.unwrap_or(spec);
        if !matches!(spec.scope, Scope::Keys { .. }) {
            return self.fail("ERR The command has no key arguments", out);
        }
        if !spec.accepts(args.len()) {
            return self.fail("ERR Invalid number of arguments specified for command", out);
        }
        let keys = Call { spec, args, db: 0 }.keys_and_flags();
        out.array(keys.len());
        for (key, flags) in keys {
            if with_flags {
                out.array(2);
            }
            out.bulk(key);
            if with_flags {
                write_words(flags, out);
            }
        }
    }
}

/// A command, or a subcommand by `command|subcommand`.
fn find(name: &[u8]) -> Option<&'static Spec> {
    let mut parts = name.splitn(2, |&byte| byte == b'|');
    let spec = Spec::find(parts.next()?)?;
    parts.next().map_or(Some(spec), |subcommand| spec.subcommand(subcommand))
}

fn write_specs(out: &mut Encoder) {
    out.array(COMMANDS.len());
    for spec in COMMANDS {
        write_spec(spec, out);
    }
}

fn access(spec: &Spec) -> Option<&'static str> {
    match spec.access {
        Access::None => None,
        Access::Read => Some("readonly"),
        Access::Write => Some("write"),
    }
}

/// A set of words.
fn write_words(words: &[&str], out: &mut Encoder) {
    out.set(words.len());
    for word in words {
        out.simple(word);
    }
}

/// Redis' ten fields of a command.
fn write_spec(spec: &Spec, out: &mut Encoder) {
    let (first, last, step) = match spec.scope {
        Scope::Keys { first, last, step } => (first as i64, i64::from(last), step as i64),
        _ => (0, 0, 0),
    };
    let flags: Vec<&str> = access(spec).into_iter().chain(spec.flags.iter().copied()).collect();
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity.into());
    write_words(&flags, out);
    for number in [first, last, step] {
        out.integer(number);
    }
    write_words(&categories(spec), out);
    let (tips, key_specs) = (spec.tips(), spec.key_specs());
    out.set(tips.len());
    for tip in tips {
        out.bulk(tip.as_bytes());
    }
    out.set(key_specs.len());
    for key_spec in &key_specs {
        write_key_spec(key_spec, out);
    }
    match spec.subcommands.len() {
        0 => out.set(0),
        // As in Redis, which has a set only where there is nothing in it.
        len => out.array(len),
    }
    for subcommand in spec.subcommands {
        write_spec(subcommand, out);
    }
}

fn write_key_spec(spec: &KeySpec, out: &mut Encoder) {
    out.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        out.bulk(b"notes");
        out.bulk(notes.as_bytes());
    }
    out.bulk(b"flags");
    write_words(spec.flags, out);
    let numbers = [("lastkey", i64::from(spec.last)), ("keystep", spec.step as i64), ("limit", 0)];
    write_search("begin_search", "index", &[("index", spec.first as i64)], out);
    write_search("find_keys", "range", &numbers, out);
}

/// One of the two steps in which a client finds keys: its name, its kind, and the kind's numbers.
fn write_search(step: &str, kind: &str, numbers: &[(&str, i64)], out: &mut Encoder) {
    out.bulk(step.as_bytes());
    out.map(2);
    out.bulk(b"type");
    out.bulk(kind.as_bytes());
    out.bulk(b"spec");
    out.map(numbers.len());
    for (name, number) in numbers {
        out.bulk(name.as_bytes());
        out.integer(*number);
    }
}

/// Redis' categories; a command of which only the subcommands run is just slow.
fn categories(spec: &Spec) -> Vec<&'static str> {
    if matches!(spec.run, Run::Subcommand) {
        return vec!["@slow"];
    }
    let (command, _) = spec.name.split_once('|').unwrap_or((spec.name, ""));
    let group = match (spec.group, command) {
        ("string", _) => Some("@string"),
        ("bitmap", _) => Some("@bitmap"),
        (_, "wait" | "waitaof" | "command") | ("connection", _) => Some("@connection"),
        ("generic", _) | (_, "dbsize" | "flushall" | "flushdb" | "swapdb") => Some("@keyspace"),
        ("transactions", _) => Some("@transaction"),
        ("scripting", _) => Some("@scripting"),
        _ => None,
    };
    let access = match spec.access {
        Access::None => None,
        Access::Read => Some("@read"),
        Access::Write => Some("@write"),
    };
    let admin: &[&str] = match command {
        "keys" | "info" | "flushall" | "flushdb" | "swapdb" => &["@dangerous"],
        "lastsave" | "role" => &["@admin", "@dangerous"],
        _ if spec.flags.contains(&"admin") => &["@admin", "@dangerous"],
        _ => &[],
    };
    let speed = if spec.flags.contains(&"fast") { "@fast" } else { "@slow" };
    group.into_iter().chain(access).chain(admin.iter().copied()).chain([speed]).collect()
}

/// A map from names to descriptions, those of subcommands within.
fn write_docs(specs: &[&Spec], out: &mut Encoder) {
    out.map(specs.len());
    for spec in specs {
        out.bulk(spec.name.as_bytes());
        let fields = [("summary", spec.summary), ("group", spec.group), ("usage", spec.usage)];
        out.map(fields.len() + usize::from(!spec.subcommands.is_empty()));
        for (field, text) in fields {
            out.bulk(field.as_bytes());
            out.bulk(text.as_bytes());
        }
        if !spec.subcommands.is_empty() {
            out.bulk(b"subcommands");
            write_docs(&spec.subcommands.iter().collect::<Vec<_>>(), out);
        }
    }
}
