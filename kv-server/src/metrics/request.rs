//! One HTTP exchange: what was asked, and what is answered. Sans-IO.

use std::fmt::Write as _;

use httparse::{EMPTY_HEADER, Request, Status};

/// A request with its header fields is smaller, whoever sends it.
pub(super) const REQUEST_BYTES_MAX: usize = 8 * 1024;

const HEADERS_MAX: usize = 64;

/// What a request turns out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// More has to arrive first.
    More,
    Metrics,
    /// The same without the page.
    MetricsHead,
    /// The front page.
    Root,
    Elsewhere,
    AnotherMethod,
    TooLong,
    Nonsense,
    /// Whatever it is, it comes from a machine that is not served.
    FromAfar,
}

impl Asked {
    /// Reads a request from what has arrived of it.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut headers = [EMPTY_HEADER; HEADERS_MAX];
        let mut request = Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) if bytes.len() >= REQUEST_BYTES_MAX => return Self::TooLong,
            Ok(Status::Partial) => return Self::More,
            Err(httparse::Error::TooManyHeaders) => return Self::TooLong,
            Err(_) => return Self::Nonsense,
        }
        let path = request.path.unwrap_or_default();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        match (request.method.unwrap_or_default(), path) {
            ("GET", "/metrics") => Self::Metrics,
            ("HEAD", "/metrics") => Self::MetricsHead,
            ("GET", "/") => Self::Root,
            ("GET" | "HEAD", _) => Self::Elsewhere,
            _ => Self::AnotherMethod,
        }
    }

    /// The answer of the program called `name`; `page` makes the figures in the format
    /// `content_type`.
    pub(super) fn answer(
        self,
        name: &str,
        content_type: &str,
        page: impl FnOnce() -> String,
    ) -> Vec<u8> {
        const TEXT: &str = "text/plain; charset=utf-8";
        let said = |text: &str| (TEXT, format!("{text}\n"));
        let (status, (kind, body)) = match self {
            Self::Metrics | Self::MetricsHead => ("200 OK", (content_type, page())),
            Self::Root => ("200 OK", said(&format!("{name}: the figures are at /metrics"))),
            Self::Elsewhere => ("404 Not Found", said("the figures are at /metrics")),
            Self::AnotherMethod => ("405 Method Not Allowed", said("GET /metrics is all there is")),
            Self::FromAfar => (
                "403 Forbidden",
                said(
                    "this server runs in protected mode: without a password it serves only its own \
                     machine. Start it with --requirepass, or with --protected-mode no where nobody \
                     else can reach it",
                ),
            ),
            Self::TooLong => {
                ("431 Request Header Fields Too Large", said("GET /metrics needs no more"))
            }
            Self::More | Self::Nonsense => ("400 Bad Request", said("this port speaks HTTP/1.1")),
        };
        let mut answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Connection: close\r\n",
            body.len()
        );
        if self == Self::AnotherMethod {
            answer.push_str("Allow: GET, HEAD\r\n");
        }
        let body = if self == Self::MetricsHead { "" } else { &body };
        write!(answer, "\r\n{body}").expect("writing to memory");
        answer.into_bytes()
    }
}
