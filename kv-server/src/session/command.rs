//! `COMMAND`: what the commands are, read off the table that runs them.

use kv_core::command::{Access, COMMANDS, Call, Run, Scope, Spec, glob_match};
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
            b"getkeys" => self.command_getkeys(args, out),
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

    fn command_getkeys(&mut self, args: Args<'_>, out: &mut Encoder) {
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
        let keys: Vec<&[u8]> = Call { spec, args, db: 0 }.keys().collect();
        out.array(keys.len());
        for key in keys {
            out.bulk(key);
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

/// Redis' ten fields of a command; the tips and the key specifications are empty.
fn write_spec(spec: &Spec, out: &mut Encoder) {
    let (first, last, step) = match spec.scope {
        Scope::Keys { first, last, step } => (first as i64, i64::from(last), step as i64),
        _ => (0, 0, 0),
    };
    let flags: Vec<&str> = access(spec).into_iter().chain(spec.flags.iter().copied()).collect();
    out.array(10);
    out.bulk(spec.name.as_bytes());
    out.integer(spec.arity.into());
    out.set(flags.len());
    for flag in flags {
        out.simple(flag);
    }
    for number in [first, last, step] {
        out.integer(number);
    }
    let categories = categories(spec);
    out.set(categories.len());
    for category in categories {
        out.simple(category);
    }
    out.array(0);
    out.array(0);
    out.array(spec.subcommands.len());
    for subcommand in spec.subcommands {
        write_spec(subcommand, out);
    }
}

/// Redis' categories; a command of which only the subcommands run is just slow.
fn categories(spec: &Spec) -> Vec<&'static str> {
    if matches!(spec.run, Run::Subcommand) {
        return vec!["@slow"];
    }
    let group = match spec.group {
        "string" => Some("@string"),
        "bitmap" => Some("@bitmap"),
        "generic" if spec.access != Access::None => Some("@keyspace"),
        "connection" => Some("@connection"),
        "transactions" => Some("@transaction"),
        "scripting" => Some("@scripting"),
        _ => None,
    };
    let access = match spec.access {
        Access::None => None,
        Access::Read => Some("@read"),
        Access::Write => Some("@write"),
    };
    let admin: &[&str] =
        if spec.flags.contains(&"admin") { &["@admin", "@dangerous"] } else { &[] };
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
