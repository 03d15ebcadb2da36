//! Replies as text: redis-cli's two formats, and JSON.

use std::fmt::Write;

use kv_core::resp::reply::Value;

/// How replies are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// With types and quotes, as redis-cli does on a terminal.
    Typed,
    /// Bare values, as redis-cli does into a pipe.
    Raw,
    /// One line of JSON.
    Json,
}

impl Format {
    /// The reply to a command with the newline that ends it.
    pub(crate) fn text(self, args: &[Vec<u8>], value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Format::Typed | Format::Raw if reads_as_text(args) => {
                raw(value, &mut out);
                if out.ends_with(b"\n") {
                    return out;
                }
            }
            Format::Typed => {
                typed(value, "", &mut out);
                return out;
            }
            Format::Raw => raw(value, &mut out),
            Format::Json => out = json(value).to_string().into_bytes(),
        }
        out.push(b'\n');
        out
    }

    /// As [`text`](Self::text), for one of several servers: it is named.
    pub(crate) fn text_of(self, server: &str, args: &[Vec<u8>], value: &Value) -> Vec<u8> {
        if self == Format::Json {
            let line = serde_json::json!({ "server": server, "reply": json(value) });
            return format!("{line}\n").into_bytes();
        }
        let text = self.text(args, value);
        let gap = if text.trim_ascii_end().contains(&b'\n') { b":\n" } else { b": " };
        [server.as_bytes(), gap, &text].concat()
    }
}

/// Commands whose reply is a text for people, which quotes would spoil.
fn reads_as_text(args: &[Vec<u8>]) -> bool {
    let is = |index: usize, word: &str| {
        args.get(index).is_some_and(|arg: &Vec<u8>| arg.eq_ignore_ascii_case(word.as_bytes()))
    };
    is(0, "info")
        || is(0, "lolwut")
        || (is(0, "client") && (is(1, "list") || is(1, "info")))
        || (is(0, "cluster") && (is(1, "info") || is(1, "nodes")))
        || (is(0, "memory") && (is(1, "doctor") || is(1, "malloc-stats")))
        || (is(0, "latency") && (is(1, "doctor") || is(1, "graph")))
}

fn typed(value: &Value, indent: &str, out: &mut Vec<u8>) {
    match value {
        Value::Simple(text) | Value::BigNumber(text) | Value::Verbatim { text, .. } => {
            out.extend_from_slice(text);
        }
        Value::Error(text) => {
            out.extend_from_slice(b"(error) ");
            out.extend_from_slice(text);
        }
        Value::Integer(number) => out.extend_from_slice(format!("(integer) {number}").as_bytes()),
        Value::Double(number) => out.extend_from_slice(format!("(double) {number}").as_bytes()),
        Value::Boolean(truth) => out.extend_from_slice(boolean(*truth)),
        Value::Bulk(text) => out.extend_from_slice(quote(text).as_bytes()),
        Value::Null => out.extend_from_slice(b"(nil)"),
        Value::Array(items) if items.is_empty() => out.extend_from_slice(b"(empty array)"),
        Value::Set(items) if items.is_empty() => out.extend_from_slice(b"(empty set)"),
        Value::Map(pairs) if pairs.is_empty() => out.extend_from_slice(b"(empty hash)"),
        Value::Array(items) => return typed_list(items, ')', indent, out),
        Value::Set(items) => return typed_list(items, '~', indent, out),
        Value::Map(pairs) => return typed_pairs(pairs, indent, out),
    }
    out.push(b'\n');
}

fn typed_list(items: &[Value], mark: char, indent: &str, out: &mut Vec<u8>) {
    let inner = deeper(indent, items.len());
    for (index, item) in items.iter().enumerate() {
        number_line(index, items.len(), mark, indent, out);
        typed(item, &inner, out);
    }
}

fn typed_pairs(pairs: &[(Value, Value)], indent: &str, out: &mut Vec<u8>) {
    let inner = deeper(indent, pairs.len());
    for (index, (key, value)) in pairs.iter().enumerate() {
        number_line(index, pairs.len(), '#', indent, out);
        typed(key, &inner, out);
        out.pop(); // the newline: the value stands on the same line
        out.extend_from_slice(b" => ");
        if is_list(value) {
            out.push(b'\n');
            out.extend_from_slice(inner.as_bytes());
        }
        typed(value, &inner, out);
    }
}

/// Whether a map's value starts on a line of its own, which redis-cli does not ask of sets.
fn is_list(value: &Value) -> bool {
    match value {
        Value::Array(items) => !items.is_empty(),
        Value::Map(pairs) => !pairs.is_empty(),
        _ => false,
    }
}

fn digits(count: usize) -> usize {
    count.to_string().len()
}

fn deeper(indent: &str, count: usize) -> String {
    format!("{indent}{:1$}", "", digits(count) + 2)
}

/// `1) `, behind the indent but for the first, which continues its parent's line.
fn number_line(index: usize, count: usize, mark: char, indent: &str, out: &mut Vec<u8>) {
    let indent = if index == 0 { "" } else { indent };
    let width = digits(count);
    out.extend_from_slice(format!("{indent}{:width$}{mark} ", index + 1).as_bytes());
}

fn raw(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Simple(text)
        | Value::Error(text)
        | Value::Bulk(text)
        | Value::BigNumber(text)
        | Value::Verbatim { text, .. } => out.extend_from_slice(text),
        Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Double(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Boolean(truth) => out.extend_from_slice(boolean(*truth)),
        Value::Null => {}
        Value::Array(items) | Value::Set(items) => {
            for (index, item) in items.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"\n" });
                raw(item, out);
            }
        }
        Value::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"\n" });
                raw(key, out);
                out.push(b' ');
                raw(value, out);
            }
        }
    }
}

fn boolean(truth: bool) -> &'static [u8] {
    if truth { b"(true)" } else { b"(false)" }
}

/// In double quotes, with escapes for all but printable ASCII, as the prompt reads them back.
pub(crate) fn quote(text: &[u8]) -> String {
    let mut out = String::from("\"");
    for &byte in text {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'"' => out.push_str("\\\""),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(byte)),
            _ => write!(out, "\\x{byte:02x}").expect("writing to memory cannot fail"),
        }
    }
    out.push('"');
    out
}

/// Strings that are no UTF-8 lose what is not; maps become objects, their keys as raw text.
fn json(value: &Value) -> serde_json::Value {
    let text = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
    match value {
        Value::Simple(s)
        | Value::Bulk(s)
        | Value::BigNumber(s)
        | Value::Verbatim { text: s, .. } => text(s).into(),
        Value::Error(s) => serde_json::json!({ "error": text(s) }),
        Value::Integer(number) => (*number).into(),
        Value::Double(number) if number.is_finite() => (*number).into(),
        Value::Double(number) => number.to_string().into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Null => serde_json::Value::Null,
        Value::Array(items) | Value::Set(items) => items.iter().map(json).collect(),
        Value::Map(pairs) => {
            let object = pairs.iter().map(|(key, value)| {
                let mut name = Vec::new();
                raw(key, &mut name);
                (text(&name), json(value))
            });
            serde_json::Value::Object(object.collect())
        }
    }
}
