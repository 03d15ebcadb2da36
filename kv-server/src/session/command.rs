//! `COMMAND`: what the commands are, read off the table that runs them.

use kv_core::command::{Access, COMMANDS, Scope, Spec};
use kv_core::resp::{Args, Encoder};

use super::{Session, subcommands};

impl Session {
    pub(super) fn command_command(&mut self, args: Args<'_>, out: &mut Encoder) {
        let Some(sub) = args.get(1) else {
            return write_specs(out);
        };
        match sub.to_ascii_lowercase().as_slice() {
            b"count" if args.len() == 2 => out.integer(COMMANDS.len() as i64),
            b"list" if args.len() == 2 => {
                out.array(COMMANDS.len());
                for spec in COMMANDS {
                    out.bulk(spec.name.as_bytes());
                }
            }
            b"info" if args.len() == 2 => {
                write_specs(out);
            }
            b"info" => {
                out.array(args.len() - 2);
                for name in args.from(2) {
                    match Spec::find(name) {
                        Some(spec) => write_spec(spec, out),
                        None => out.null(),
                    }
                }
            }
            b"docs" => {
                let specs: Vec<&Spec> = match args.len() {
                    2 => COMMANDS.iter().collect(),
                    _ => args.from(2).filter_map(Spec::find).collect(),
                };
                out.map(specs.len());
                for spec in specs {
                    write_docs(spec, out);
                }
            }
            b"help" => subcommands::help("COMMAND", out),
            _ => self.fail_syntax(out),
        }
    }
}

fn write_specs(out: &mut Encoder) {
    out.array(COMMANDS.len());
    for spec in COMMANDS {
        write_spec(spec, out);
    }
}

/// Redis' ten fields of a command; the last three (tips, key specifications, subcommands) are
/// empty.
fn write_spec(spec: &Spec, out: &mut Encoder) {
    let (first, last, step) = match spec.scope {
        Scope::Keys { first, last, step } => (first as i64, i64::from(last), step as i64),
        _ => (0, 0, 0),
    };
    let access = match spec.access {
        Access::None => None,
        Access::Read => Some("readonly"),
        Access::Write => Some("write"),
    };
    let flags: Vec<&str> = access.into_iter().chain(spec.flags.iter().copied()).collect();
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
    out.set(0);
    out.set(0);
    out.set(0);
}

fn categories(spec: &Spec) -> Vec<&'static str> {
    let group = match spec.group {
        "string" => Some("@string"),
        "generic" if spec.access != Access::None => Some("@keyspace"),
        "connection" => Some("@connection"),
        "transactions" => Some("@transaction"),
        _ => None,
    };
    let access = match spec.access {
        Access::None => None,
        Access::Read => Some("@read"),
        Access::Write => Some("@write"),
    };
    let speed = if spec.flags.contains(&"fast") { "@fast" } else { "@slow" };
    group.into_iter().chain(access).chain([speed]).collect()
}

fn write_docs(spec: &Spec, out: &mut Encoder) {
    out.bulk(spec.name.as_bytes());
    out.map(3);
    for (field, text) in [("summary", spec.summary), ("group", spec.group), ("usage", spec.usage)] {
        out.bulk(field.as_bytes());
        out.bulk(text.as_bytes());
    }
}
