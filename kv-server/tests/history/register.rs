//! One key of the store: a register that holds a number or nothing.

use std::fmt;

use super::checker::Model;

/// What is asked of a key. All values are numbers, so that each can be incremented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Get,
    Set(i64),
    /// `SET key value NX`
    SetNx(i64),
    Del,
    Incr,
    GetDel,
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `+OK`
    Done,
    /// A bulk string, or nil.
    Value(Option<i64>),
    /// `:1`
    Number(i64),
}

/// The sequential specification.
pub(crate) struct Register;

impl Register {
    /// Runs a command on the value there is, and answers.
    pub(crate) fn apply(value: &mut Option<i64>, command: Command) -> Reply {
        match command {
            Command::Get => Reply::Value(*value),
            Command::SetNx(_) if value.is_some() => Reply::Value(None),
            Command::Set(new) | Command::SetNx(new) => {
                *value = Some(new);
                Reply::Done
            }
            Command::Del => Reply::Number(i64::from(value.take().is_some())),
            Command::Incr => {
                let sum = value.unwrap_or(0) + 1;
                *value = Some(sum);
                Reply::Number(sum)
            }
            Command::GetDel => Reply::Value(value.take()),
        }
    }
}

impl Model for Register {
    type Operation = Command;
    type Reply = Reply;
    type State = Option<i64>;

    fn step(state: &Option<i64>, command: &Command, reply: Option<&Reply>) -> Option<Option<i64>> {
        let mut value = *state;
        let answer = Self::apply(&mut value, *command);
        reply.is_none_or(|reply| *reply == answer).then_some(value)
    }

    fn only_reads(command: &Command, reply: Option<&Reply>) -> bool {
        match (command, reply) {
            (Command::Get, _) => true,
            (Command::SetNx(_) | Command::GetDel, Some(reply)) => *reply == Reply::Value(None),
            (Command::Del, Some(reply)) => *reply == Reply::Number(0),
            _ => false,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Get => f.write_str("GET"),
            Command::Set(value) => write!(f, "SET {value}"),
            Command::SetNx(value) => write!(f, "SET {value} NX"),
            Command::Del => f.write_str("DEL"),
            Command::Incr => f.write_str("INCR"),
            Command::GetDel => f.write_str("GETDEL"),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Done => f.write_str("OK"),
            Reply::Value(None) => f.write_str("nil"),
            Reply::Value(Some(number)) | Reply::Number(number) => write!(f, "{number}"),
        }
    }
}
