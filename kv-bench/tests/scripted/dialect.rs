//! The protocols that a scripted server speaks.

use std::io::{self, BufRead};
use std::net::SocketAddr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Resp,
    Memcached,
}

impl Dialect {
    pub(crate) const ALL: [Self; 2] = [Self::Resp, Self::Memcached];

    /// As `--target` wants it.
    pub(crate) fn url(self, address: SocketAddr) -> String {
        match self {
            Self::Resp => format!("redis://{address}"),
            Self::Memcached => format!("memcached://{address}"),
        }
    }

    /// A hit whose value is `value`.
    pub(crate) fn hit(self, value: &str) -> Vec<u8> {
        match self {
            Self::Resp => format!("${}\r\n{value}\r\n", value.len()).into_bytes(),
            Self::Memcached => format!("VA {}\r\n{value}\r\n", value.len()).into_bytes(),
        }
    }

    /// The next command in the words of RESP; `None` at the end.
    pub(super) fn read_command(self, input: &mut impl BufRead) -> io::Result<Option<Vec<String>>> {
        let mut line = String::new();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        match self {
            Self::Resp => read_array(&line, input).map(Some),
            Self::Memcached => read_meta(&line, input).map(Some),
        }
    }

    /// What is answered to who looks whether anybody is there, and is no operation.
    pub(super) fn greeting(self, words: &[String]) -> Option<&'static [u8]> {
        match (self, words[0].as_str()) {
            (Self::Resp, "PING") => Some(b"+PONG\r\n"),
            // It knows of nobody who has slots.
            (Self::Resp, "CLUSTER") => Some(b"*0\r\n"),
            (Self::Memcached, "mn") => Some(b"MN\r\n"),
            (Self::Memcached, "version") => Some(b"VERSION 1.6.99\r\n"),
            (Self::Memcached, "stats") => Some(b"END\r\n"),
            _ => None,
        }
    }

    /// The right reply to an operation: a hit, stored, deleted.
    pub(super) fn reply(self, words: &[String]) -> &'static [u8] {
        match (self, words[0].as_str()) {
            (Self::Resp, "GET") => b"$5\r\nhello\r\n",
            (Self::Resp, "SET") => b"+OK\r\n",
            (Self::Resp, _) => b":1\r\n",
            (Self::Memcached, "GET") => b"VA 5\r\nhello\r\n",
            (Self::Memcached, _) => b"HD\r\n",
        }
    }
}

fn read_array(line: &str, input: &mut impl BufRead) -> io::Result<Vec<String>> {
    let count: usize = line.trim_start_matches('*').trim().parse().expect("an array");
    let mut words = Vec::new();
    for _ in 0..count {
        let mut line = String::new();
        input.read_line(&mut line)?;
        let size = line.trim_start_matches('$').trim().parse().expect("a bulk string");
        words.push(read_block(size, input)?);
    }
    Ok(words)
}

fn read_meta(line: &str, input: &mut impl BufRead) -> io::Result<Vec<String>> {
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let word = match (words[0].as_str(), words.len()) {
        ("mg", 3) if words[2] == "v" => "GET",
        ("ms", 3) => {
            words[2] = read_block(words[2].parse().expect("a size"), input)?;
            "SET"
        }
        ("md", 2) => "DEL",
        ("mn" | "version" | "stats", _) => return Ok(words),
        _ => panic!("no command of ours: {line:?}"),
    };
    word.clone_into(&mut words[0]);
    words.truncate(if word == "SET" { 3 } else { 2 });
    Ok(words)
}

/// So many bytes, and the end of the line behind them.
fn read_block(size: usize, input: &mut impl BufRead) -> io::Result<String> {
    let mut block = vec![0; size + 2];
    input.read_exact(&mut block)?;
    assert!(block.ends_with(b"\r\n"), "{block:?}");
    block.truncate(size);
    Ok(String::from_utf8(block).expect("text"))
}
