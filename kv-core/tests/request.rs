//! What clients send: cut anywhere, piped together, and what nobody should send. The rules are those
//! of Redis 7, and where they are subtle a real one is asked.

mod peer;
mod pieces;
mod store;

use std::io::{Read, Write};
use std::net::TcpStream;

use kv_core::resp::reply::{Scanner, Value, decode};
use kv_core::resp::request::Decoded;
use kv_core::resp::{ProtocolError, RequestDecoder, RequestLimits};
use pieces::{Outcome, decode_pieces};
use proptest::prelude::*;
use store::encode;

fn decode_whole(input: &[u8]) -> Outcome {
    decode_pieces(RequestLimits::DEFAULT, input, &[])
}

fn error(input: &[u8]) -> Option<String> {
    decode_whole(input).1.err().map(|error| error.to_string())
}

fn one_by_one(input: &[u8]) -> Vec<usize> {
    (1..input.len()).collect()
}

fn any_request() -> impl Strategy<Value = Vec<u8>> {
    let arg = proptest::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        4 => proptest::collection::vec(arg, 0..6).prop_map(|args| encode(&args)),
        2 => "[a-z0-9\"'\\\\ \t\x0b]{0,16}\r?\n".prop_map(String::into_bytes),
        1 => Just(b"*-10\r\n".to_vec()),
        1 => Just(b"*0\r\n".to_vec()),
    ]
}

/// Right requests, wrong ones, and bytes that look a little like requests.
fn any_input() -> impl Strategy<Value = Vec<u8>> {
    let noise = "[*$0-9\r\n\"'\\\\x a-c\x00-]{0,24}".prop_map(String::into_bytes);
    let piece = prop_oneof![6 => any_request(), 1 => noise];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn chunking_never_changes_the_result(
        input in any_input(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
        authenticated in any::<bool>(),
    ) {
        let limits = RequestLimits { line_bytes_max: 24, authenticated, ..RequestLimits::DEFAULT };
        let whole = decode_pieces(limits, &input, &[]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&decode_pieces(limits, &input, &cuts), &whole);
        prop_assert_eq!(&decode_pieces(limits, &input, &one_by_one(&input)), &whole);
    }

    #[test]
    fn what_a_client_sends_is_what_the_decoder_reads(
        requests in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..8),
            0..20,
        ),
    ) {
        let input: Vec<u8> = requests.iter().flat_map(|request| encode(request)).collect();
        prop_assert_eq!(decode_whole(&input), (requests, Ok(0)));
    }
}

#[test]
fn a_thousand_pipelined_requests_decode_alike_at_every_cut() {
    let request = [&b"SET"[..], b"key\r\n\0*1", b"$5\r\nvalue"];
    let input = [encode(&request), b"PING\r\n".to_vec()].concat().repeat(500);
    let whole = decode_whole(&input);
    assert_eq!((whole.0.len(), &whole.1), (1000, &Ok(0)));
    assert!(whole.0.iter().step_by(2).all(|args| *args == request));
    for cut in (0..100).chain([8191, 8192, 8193, input.len() - 1]) {
        assert_eq!(decode_pieces(RequestLimits::DEFAULT, &input, &[cut]), whole);
    }
}

#[test]
fn the_decoder_says_how_many_bytes_an_argument_still_needs() {
    let mut decoder = RequestDecoder::default();
    let input = b"*2\r\n$3\r\nGET\r\n$1000\r\nabc";
    match decoder.decode(input) {
        Ok(Decoded::More { missing_bytes }) => assert_eq!(missing_bytes, 1000 - 3 + 2),
        other => panic!("{other:?}"),
    }
}

#[test]
fn empty_requests_have_no_arguments_and_disturb_nothing() {
    for nothing in ["\r\n", "\n", "   \r\n", "*0\r\n", "*-1\r\n", "*-10\r\n"] {
        let (requests, rest) = decode_whole(format!("{nothing}PING\r\n").as_bytes());
        assert_eq!(requests, [vec![], vec![b"PING".to_vec()]], "{nothing:?}");
        assert_eq!(rest, Ok(0));
    }
}

#[test]
fn counts_are_numbers_up_to_the_cap() {
    let invalid = Some("Protocol error: invalid multibulk length".to_owned());
    for count in ["", "a", "1a", " 1", "1 ", "+1", "01", "-", "-0", "3.0", "\0", "1048577"] {
        let input = format!("*{count}\r\n");
        let expected = if count == "\0" { None } else { invalid.clone() };
        assert_eq!(error(input.as_bytes()), expected, "{count:?}");
    }
    for count in ["2147483648", "9223372036854775808", "-9223372036854775809"] {
        assert_eq!(error(format!("*{count}\r\n").as_bytes()), invalid, "{count:?}");
    }
    assert_eq!(decode_whole(b"*1048576\r\n"), (vec![], Ok(10)));
}

#[test]
fn lengths_are_numbers_up_to_the_cap() {
    let invalid = Some("Protocol error: invalid bulk length".to_owned());
    for length in ["", "a", "-1", "-2", "+1", "01", " 1", "1 ", "536870913", "9223372036854775808"]
    {
        assert_eq!(error(format!("*1\r\n${length}\r\n").as_bytes()), invalid, "{length:?}");
    }
    assert_eq!(error(b"*1\r\n$536870912\r\n"), None);
}

#[test]
fn an_argument_that_is_no_bulk_string_is_named() {
    for (nested, named) in
        [("*1\r\n", "*"), (":1\r\n", ":"), ("foo\r\n", "f"), ("*2\r\n$1\r\nx\r\n", "*")]
    {
        let expected = format!("Protocol error: expected '$', got '{named}'");
        assert_eq!(error(format!("*1\r\n{nested}").as_bytes()), Some(expected));
    }
    let deep = b"*1\r\n".repeat(100_000);
    assert_eq!(error(&deep), Some("Protocol error: expected '$', got '*'".to_owned()));
}

#[test]
fn lines_may_be_64_kib_long_and_no_longer() {
    const KIB_64: usize = 64 * 1024;
    let lines: [(&str, &str, &str); 3] = [
        ("", "", "Protocol error: too big inline request"),
        ("", "*", "Protocol error: too big mbulk count string"),
        ("*1\r\n", "$", "Protocol error: too big bulk count string"),
    ];
    for (before, first, too_long) in lines {
        for len in [KIB_64 - 1, KIB_64, KIB_64 + 1] {
            let line = format!("{before}{first}{}", "1".repeat(len - first.len()));
            let expected = (len > KIB_64).then(|| too_long.to_owned());
            assert_eq!(error(line.as_bytes()), expected, "{len} bytes without an end");
            let cuts = [1, 4, 5, KIB_64, KIB_64 + 1].map(|cut| cut.min(line.len()));
            let pieces = decode_pieces(RequestLimits::DEFAULT, line.as_bytes(), &cuts);
            assert_eq!(pieces, decode_whole(line.as_bytes()));
        }
    }
    let longest = format!("{}\r\n", "x".repeat(KIB_64 - 1));
    assert_eq!(decode_whole(longest.as_bytes()).0, [vec![vec![b'x'; KIB_64 - 1]]]);
}

#[test]
fn a_flood_behind_a_nul_ends_in_an_error() {
    let cases = [
        ("\0", "Protocol error: too big inline request"),
        ("*\0", "Protocol error: too big mbulk count string"),
        ("*1\r\n$\0", "Protocol error: too big bulk count string"),
    ];
    for (begin, expected) in cases {
        let flood = format!("{begin}{}", "AAAA\r\n".repeat(20_000));
        assert_eq!(error(flood.as_bytes()), Some(expected.to_owned()), "{begin:?}");
        let cuts: Vec<usize> = (1..flood.len()).step_by(1000).collect();
        let pieces = decode_pieces(RequestLimits::DEFAULT, flood.as_bytes(), &cuts);
        assert_eq!(pieces, decode_whole(flood.as_bytes()));
    }
}

#[test]
fn unauthenticated_clients_have_narrower_limits() {
    let limits = RequestLimits { authenticated: false, ..RequestLimits::DEFAULT };
    let error = |input: &str| {
        let outcome = decode_pieces(limits, input.as_bytes(), &[]).1;
        outcome.err().map(|error| error.to_string())
    };
    assert_eq!(error("*10\r\n"), None);
    let count = "Protocol error: unauthenticated multibulk length";
    assert_eq!(error("*11\r\n"), Some(count.to_owned()));
    assert_eq!(error("*1\r\n$16384\r\n"), None);
    let length = "Protocol error: unauthenticated bulk length";
    assert_eq!(error("*1\r\n$16385\r\n"), Some(length.to_owned()));
    // What is too much for anyone keeps its own text.
    assert_eq!(error("*1048577\r\n"), Some("Protocol error: invalid multibulk length".to_owned()));
    assert_eq!(error("*1\r\n$-1\r\n"), Some("Protocol error: invalid bulk length".to_owned()));
}

#[test]
fn a_request_may_not_be_larger_than_the_query_buffer_limit_however_it_arrives() {
    let limits = RequestLimits { request_bytes_max: 1000, ..RequestLimits::DEFAULT };
    let outcomes = |input: &[u8]| {
        let cuts = [vec![], one_by_one(input)];
        cuts.map(|cuts| decode_pieces(limits, input, &cuts).1)
    };
    assert_eq!(outcomes(&encode(&[&[b'x'; 900][..]])), [Ok(0), Ok(0)]);
    for large in [encode(&[&[b'x'; 1000][..]]), encode(&vec![b"x"; 200])] {
        let refused = Err(ProtocolError::RequestTooLong);
        assert_eq!(outcomes(&large), [refused, refused]);
    }
}

#[test]
fn limits_can_change_between_requests() {
    let mut decoder =
        RequestDecoder::new(RequestLimits { authenticated: false, ..RequestLimits::DEFAULT });
    assert!(matches!(decoder.decode(b"PING\n"), Ok(Decoded::Request { consumed: 5, .. })));
    decoder.set_limits(RequestLimits::DEFAULT);
    assert!(matches!(decoder.decode(b"*11\r\n"), Ok(Decoded::More { .. })));
}

/// Lines around an `ECHO`: what comes back tells how the line was split.
const INLINE: &[&str] = &[
    "ECHO hello",
    "  ECHO   hello  ",
    "\tECHO\thello\t",
    "ECHO \x0bhello",
    "ECHO a\x0bb",
    "ECHO a\x0cb",
    "\x0b\x0cECHO hello",
    "ECHO \"hello world\"",
    "ECHO 'hello world'",
    "ECHO \"\"",
    "ECHO ''",
    "ECHO foo\"bar\"",
    "ECHO foo'bar'",
    "ECHO \"foo\"bar",
    "ECHO 'foo'bar",
    "ECHO \"foo\" bar",
    "ECHO \"foo\"\x0b",
    "ECHO \"foo\"'bar'",
    "ECHO \"foo",
    "ECHO 'foo",
    "ECHO foo\"",
    "ECHO foo'",
    "ECHO \"foo\\\"",
    "ECHO \"foo\\",
    "ECHO 'foo\\'",
    "ECHO \"a\\nb\\rc\\td\\be\\af\"",
    "ECHO \"\\x41\\x7a\\xFf\\x00\"",
    "ECHO \"\\x4\"",
    "ECHO \"\\x4g\"",
    "ECHO \"\\xg4\"",
    "ECHO \"\\X41\"",
    "ECHO \"\\q\\\\\\\"\"",
    "ECHO '\\x41\\n'",
    "ECHO '\\''",
    "ECHO '\\\\'",
    "ECHO \\x41",
    "ECHO \\\"",
    "ECHO a\\ b",
    "ECHO \u{e9}\u{4e16}",
    "ECHO *1",
    "ECHO $1",
    "\"ECHO\" hello",
    "'ECHO' hello",
    "E\"CHO\" hello",
    "ECHO \r hello",
    "ECHO hello\r",
    "$3",
    "\"",
    "'",
    "\"\" x",
];

/// Sends a line to a real redis-server and then a command that it certainly answers; returns all it
/// answered until then or until it closed the connection.
fn ask_redis(port: u16, line: &str) -> Vec<u8> {
    const LAST: &[u8] = b"+PONG\r\n";
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("redis is up");
    stream.write_all(format!("{line}\r\nPING\r\n").as_bytes()).expect("redis reads");
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    while !answer.ends_with(LAST) {
        match stream.read(&mut chunk) {
            Ok(read) if read > 0 => answer.extend_from_slice(&chunk[..read]),
            _ => return answer,
        }
    }
    answer.truncate(answer.len() - LAST.len());
    answer
}

/// What a server that runs `ECHO` alone would answer to the decoded line.
fn answer(line: &str) -> Vec<u8> {
    let (requests, rest) = decode_whole(format!("{line}\r\n").as_bytes());
    if let Err(error) = rest {
        return format!("-ERR {error}\r\n").into_bytes();
    }
    let engine = kv_core::Engine::default();
    let answers =
        requests.iter().filter(|args| !args.is_empty()).map(|args| match args.as_slice() {
            [name, text] if name.eq_ignore_ascii_case(b"echo") => {
                [format!("${}\r\n", text.len()).as_bytes(), text, b"\r\n"].concat()
            }
            [name, ..] if name.eq_ignore_ascii_case(b"echo") => {
                b"-ERR wrong number of arguments for 'echo' command\r\n".to_vec()
            }
            _ => store::reply(&engine, 0, args),
        });
    answers.collect::<Vec<_>>().concat()
}

#[test]
fn inline_requests_are_split_as_redis_splits_them() {
    let Some(redis) = peer::Redis::start(&[]) else { return };
    for line in INLINE {
        let (ours, theirs) = (answer(line), ask_redis(redis.port, line));
        assert_eq!(
            ours.escape_ascii().to_string(),
            theirs.escape_ascii().to_string(),
            "{}",
            line.escape_debug()
        );
    }
}

#[test]
fn protocol_errors_read_as_redis_says_them() {
    let Some(redis) = peer::Redis::start(&[]) else { return };
    let long = "1".repeat(70_000);
    for input in [
        "*x\r\n".to_owned(),
        "*\r\n".to_owned(),
        "*3000000000\r\n".to_owned(),
        "*1\r\nfoo\r\n".to_owned(),
        "*1\r\n\r\n".to_owned(),
        "*1\r\n$-2\r\n".to_owned(),
        "*1\r\n$536870913\r\n".to_owned(),
        "*1\r\n$x\r\n".to_owned(),
        format!("*{long}"),
        format!("*1\r\n${long}"),
        long.clone(),
        "SET k \"\r\n".to_owned(),
        format!("\0{}", "A\r\n".repeat(30_000)),
        format!("*\0{}", "A\r\n".repeat(30_000)),
        format!("*1\r\n$\0{}", "A\r\n".repeat(30_000)),
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", redis.port)).expect("redis is up");
        // Redis may close, and so reset, while we still write.
        let _ = stream.write_all(input.as_bytes());
        let mut answer = Vec::new();
        let mut scanner = Scanner::default();
        let mut chunk = [0; 4096];
        while scanner.scan(&answer) == Ok(None) {
            let read = stream.read(&mut chunk).expect("an answer before the end");
            assert!(read > 0, "an answer before the end");
            answer.extend_from_slice(&chunk[..read]);
        }
        let Ok(Some((Value::Error(text), _))) = decode(&answer) else { panic!("{answer:?}") };
        let ours = error(input.as_bytes()).map(|text| format!("ERR {}", text.replace('\r', " ")));
        assert_eq!(ours.as_deref(), Some(&*String::from_utf8_lossy(&text)));
    }
}
