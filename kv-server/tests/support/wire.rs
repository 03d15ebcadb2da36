//! One end of a conversation, in raw bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use kv_core::resp::reply::{Value, decode};

use super::PATIENCE;

/// A connection to a server. Whatever goes wrong on it fails the test.
pub(crate) struct Wire<S = TcpStream> {
    pub(crate) stream: S,
}

impl Wire {
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("somebody listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream }
    }

    pub(crate) fn done_sending(&mut self) -> &mut Self {
        self.stream.shutdown(std::net::Shutdown::Write).expect("an open socket");
        self
    }
}

impl Wire<UnixStream> {
    pub(crate) fn to_path(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("somebody listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream }
    }
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server takes what is sent");
        self
    }

    /// Reads exactly as many bytes as these, which they must be.
    #[track_caller]
    pub(crate) fn expect(&mut self, reply: impl AsRef<[u8]>) -> &mut Self {
        let reply = reply.as_ref();
        let got = self.read(reply.len());
        assert_eq!(shown(&got), shown(reply));
        self
    }

    /// Reads so many bytes, or fewer when the connection ends before.
    #[track_caller]
    pub(crate) fn read(&mut self, len: usize) -> Vec<u8> {
        let mut got = Vec::new();
        match Read::by_ref(&mut self.stream).take(len as u64).read_to_end(&mut got) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("{error} after {}", shown(&got)),
        }
        got
    }

    /// Sends an inline command.
    #[track_caller]
    pub(crate) fn ask(&mut self, line: &str, reply: &str) -> &mut Self {
        self.send(format!("{line}\r\n")).expect(reply)
    }

    /// Sends an inline command whose reply is a bulk string, and answers that.
    #[track_caller]
    pub(crate) fn text(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n"));
        let header = self.line();
        let len: usize = header
            .strip_prefix('$')
            .and_then(|len| len.parse().ok())
            .unwrap_or_else(|| panic!("{line} answers {header}"));
        let mut text = self.read(len + 2);
        text.truncate(len);
        String::from_utf8(text).expect("text")
    }

    /// The next reply and its bytes.
    #[track_caller]
    pub(crate) fn value(&mut self) -> (Value, Vec<u8>) {
        let mut bytes = Vec::new();
        loop {
            if let Some((value, _)) = decode(&bytes).expect("RESP") {
                return (value, bytes);
            }
            // A byte at a time, so that nothing of the next reply is taken.
            let byte = self.read(1);
            assert!(!byte.is_empty(), "the connection ended within {}", shown(&bytes));
            bytes.extend(byte);
        }
    }

    /// A field of `INFO`.
    #[track_caller]
    pub(crate) fn info(&mut self, field: &str) -> u64 {
        let text = self.text("INFO");
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{field} in {text}"))
    }

    /// Reads one line, without its end.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let byte = self.read(1);
            assert!(!byte.is_empty(), "the connection ended within {}", shown(&line));
            line.extend(byte);
        }
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("text")
    }

    /// Everything up to the end of the connection.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.read(usize::MAX)
    }

    #[track_caller]
    pub(crate) fn expect_end(&mut self) {
        let rest = self.rest();
        assert!(rest.is_empty(), "the connection should end, not say {}", shown(&rest));
    }
}

/// A request of these arguments.
pub(crate) fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend(format!("${}\r\n", arg.len()).into_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Bytes as a person can read and compare them.
pub(crate) fn shown(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string().replace("\\r\\n", "\\r\\n\n")
}
