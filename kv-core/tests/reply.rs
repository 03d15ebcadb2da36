//! The client's side of the wire: what redis sends, cut anywhere, and what nobody should send.

use kv_core::resp::reply::{
    BULK_BYTES_MAX, DEPTH_MAX, LINE_BYTES_MAX, ReplyError, Scanner, Skim, Value, decode, skim,
};
use proptest::prelude::*;

/// The bytes a server sends for a value, in RESP3 (whose scalars are those of RESP2).
fn encode(value: &Value, out: &mut Vec<u8>) {
    let line = |kind: u8, text: &[u8], out: &mut Vec<u8>| {
        out.push(kind);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    };
    let text = |kind: u8, text: &[u8], out: &mut Vec<u8>| {
        line(kind, text.len().to_string().as_bytes(), out);
        out.extend_from_slice(text);
        out.extend_from_slice(b"\r\n");
    };
    match value {
        Value::Simple(s) => line(b'+', s, out),
        Value::Error(s) => line(b'-', s, out),
        Value::Integer(n) => line(b':', n.to_string().as_bytes(), out),
        Value::Bulk(s) => text(b'$', s, out),
        Value::Null => out.extend_from_slice(b"_\r\n"),
        Value::Double(n) => line(b',', n.to_string().as_bytes(), out),
        Value::Boolean(b) => line(b'#', if *b { b"t" } else { b"f" }, out),
        Value::BigNumber(s) => line(b'(', s, out),
        Value::Verbatim { format, text: s } => {
            text(b'=', &[format.as_slice(), b":", s].concat(), out);
        }
        Value::Array(items) => {
            line(b'*', items.len().to_string().as_bytes(), out);
            for item in items {
                encode(item, out);
            }
        }
        Value::Set(items) => {
            line(b'~', items.len().to_string().as_bytes(), out);
            for item in items {
                encode(item, out);
            }
        }
        Value::Map(pairs) => {
            line(b'%', pairs.len().to_string().as_bytes(), out);
            for (key, value) in pairs {
                encode(key, out);
                encode(value, out);
            }
        }
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let line = || "[ -~]{0,12}".prop_map(String::into_bytes);
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let scalar = prop_oneof![
        line().prop_map(Value::Simple),
        line().prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<f64>().prop_filter("equal to itself", |n| !n.is_nan()).prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
        "-?[0-9]{1,30}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
        bytes().prop_map(|text| Value::Verbatim { format: *b"txt", text }),
    ];
    scalar.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Set),
            proptest::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
        ]
    })
}

/// A push, then an attribute, then the value: as a RESP3 server with client tracking may send it.
fn with_push_and_attribute(value: &Value) -> Vec<u8> {
    let mut bytes = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n|1\r\n+ttl\r\n:3600\r\n".to_vec();
    encode(value, &mut bytes);
    bytes
}

proptest! {
    #[test]
    fn every_value_survives_the_wire(value in any_value()) {
        let mut bytes = Vec::new();
        encode(&value, &mut bytes);
        let size = bytes.len();
        bytes.extend_from_slice(b"+next\r\n");
        prop_assert_eq!(decode(&bytes), Ok(Some((value, size))));
        let skimmed = skim(&bytes).unwrap().unwrap();
        prop_assert_eq!(skimmed.1, size);
    }

    #[test]
    fn a_reply_cut_anywhere_needs_more_bytes(value in any_value()) {
        let bytes = with_push_and_attribute(&value);
        for cut in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..cut]), Ok(None), "cut at {}", cut);
            prop_assert_eq!(skim(&bytes[..cut]), Ok(None), "cut at {}", cut);
        }
        prop_assert_eq!(decode(&bytes), Ok(Some((value, bytes.len()))));
    }

    #[test]
    fn a_scanner_finds_the_same_ends_however_the_bytes_arrive(
        values in proptest::collection::vec(any_value(), 1..5),
        chunks in proptest::collection::vec(1_usize..30, 1..200),
    ) {
        let mut stream = Vec::new();
        for value in &values {
            stream.extend(with_push_and_attribute(value));
        }
        let (mut scanner, mut received, mut seen) = (Scanner::default(), Vec::new(), Vec::new());
        let mut rest = stream.as_slice();
        let mut sizes = chunks.iter().cycle();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*sizes.next().unwrap()));
            received.extend_from_slice(now);
            rest = later;
            while let Some(reply) = scanner.scan(&received).unwrap() {
                let (value, size) = decode(&received[reply.clone()]).unwrap().unwrap();
                prop_assert_eq!(size, reply.len());
                seen.push(value);
                received.drain(..reply.end);
            }
        }
        prop_assert_eq!(seen, values);
        prop_assert!(received.is_empty());
    }

    #[test]
    fn garbage_is_an_error_or_a_reply_never_a_panic(
        bytes in proptest::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'*'), Just(b'|'), Just(b'>'),
                        Just(b'$'), Just(b'-'), Just(b'%'), any::<u8>()], 0..60)
    ) {
        let decoded = decode(&bytes).map(|found| found.map(|(_, size)| size));
        let skimmed = skim(&bytes).map(|found| found.map(|(_, size)| size));
        prop_assert_eq!(&decoded, &skimmed);
        prop_assert!(decoded.is_ok_and(|size| size.unwrap_or(0) <= bytes.len()) || skimmed.is_err());
    }
}

#[test]
fn the_load_generators_replies_are_told_apart() {
    for (bytes, kind) in [
        (&b"+OK\r\n"[..], Skim::Simple(b"OK")),
        (b"$3\r\nabc\r\n", Skim::Bulk(3)),
        (b"$0\r\n\r\n", Skim::Bulk(0)),
        (b"$-1\r\n", Skim::Null),
        (b"*-1\r\n", Skim::Null),
        (b"_\r\n", Skim::Null),
        (b":-42\r\n", Skim::Integer(-42)),
        (b":+7\r\n", Skim::Integer(7)),
        (b"-ERR no\r\n", Skim::Error(b"ERR no")),
        (b"!6\r\nERR no\r\n", Skim::Error(b"ERR no")),
        (b"*2\r\n$1\r\na\r\n$-1\r\n", Skim::Aggregate(2)),
        (b"%1\r\n+a\r\n*0\r\n", Skim::Aggregate(2)),
        (b"*0\r\n", Skim::Aggregate(0)),
        (b"#t\r\n", Skim::Scalar),
        (b",inf\r\n", Skim::Scalar),
        (b"=7\r\ntxt:abc\r\n", Skim::Bulk(3)),
        (b">1\r\n+x\r\n+OK\r\n", Skim::Simple(b"OK")),
        (b">0\r\n|0\r\n:1\r\n", Skim::Integer(1)),
    ] {
        assert_eq!(skim(bytes), Ok(Some((kind, bytes.len()))), "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_attribute_inside_an_array_is_no_element() {
    let bytes = b"*2\r\n:1\r\n|1\r\n+ttl\r\n:60\r\n:2\r\n";
    let expected = Value::Array(vec![Value::Integer(1), Value::Integer(2)]);
    assert_eq!(decode(bytes), Ok(Some((expected, bytes.len()))));
}

#[test]
fn numbers_keep_their_whole_range_and_no_more() {
    let integer = |text: &str| decode(format!(":{text}\r\n").as_bytes());
    for number in [i64::MIN, -1, 0, i64::MAX] {
        let text = number.to_string();
        assert_eq!(integer(&text), Ok(Some((Value::Integer(number), text.len() + 3))));
    }
    for text in ["9223372036854775808", "-9223372036854775809", "", "-", "1a", " 1", "1.0"] {
        assert_eq!(integer(text), Err(ReplyError::Invalid("integer")), "{text:?}");
    }
}

#[test]
fn what_is_not_resp_is_refused_at_once() {
    for (bytes, error) in [
        (&b"HTTP/1.1 400 Bad Request\r\n"[..], ReplyError::UnknownType(b'H')),
        (b"\0", ReplyError::UnknownType(0)),
        (b"+OK\n", ReplyError::MissingCrlf),
        (b"+O\rK", ReplyError::MissingCrlf),
        (b"$1\r\nab\r\n", ReplyError::MissingCrlf),
        (b"$1\r\na\rb", ReplyError::MissingCrlf),
        (b"$-2\r\n", ReplyError::InvalidLength(-2)),
        (b"*-2\r\n", ReplyError::InvalidLength(-2)),
        (b"%-1\r\n", ReplyError::InvalidLength(-1)),
        (b"!-1\r\n", ReplyError::InvalidLength(-1)),
        (b"$?\r\n", ReplyError::Invalid("integer")),
        (b"#x\r\n", ReplyError::Invalid("boolean")),
        (b",\r\n", ReplyError::Invalid("double")),
        (b"(12a\r\n", ReplyError::Invalid("big number")),
        (b"(\r\n", ReplyError::Invalid("big number")),
        (b"_x\r\n", ReplyError::Invalid("null")),
        (b"=3\r\ntxt\r\n", ReplyError::Invalid("verbatim string")),
        (b"*1\r\n>1\r\n+x\r\n", ReplyError::NestedPush),
    ] {
        assert_eq!(decode(bytes), Err(error.clone()), "{}", bytes.escape_ascii());
        assert_eq!(skim(bytes), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn limits_hold_exactly() {
    let deep = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert!(matches!(decode(&deep(DEPTH_MAX)), Ok(Some(_))));
    assert_eq!(decode(&deep(DEPTH_MAX + 1)), Err(ReplyError::TooDeep));

    let long = |size: usize| [b"+", "x".repeat(size).as_bytes(), b"\r\n"].concat();
    assert!(matches!(decode(&long(LINE_BYTES_MAX)), Ok(Some(_))));
    assert_eq!(decode(&long(LINE_BYTES_MAX + 1)), Err(ReplyError::LineTooLong));
    assert_eq!(decode(&[b"$".as_slice(), &[b'1'; 40]].concat()), Err(ReplyError::LineTooLong));

    assert_eq!(decode(format!("${BULK_BYTES_MAX}\r\n").as_bytes()), Ok(None));
    let above = i64::try_from(BULK_BYTES_MAX).unwrap() + 1;
    assert_eq!(decode(format!("${above}\r\n").as_bytes()), Err(ReplyError::InvalidLength(above)));
    assert_eq!(decode(b"*2147483648\r\n"), Ok(None), "declared is not allocated");
    let length = ReplyError::InvalidLength(2_147_483_649);
    assert_eq!(decode(b"*2147483649\r\n"), Err(length));
    assert_eq!(
        decode(b"%9223372036854775807\r\n"),
        Err(ReplyError::InvalidLength(i64::MAX)),
        "twice the count does not overflow"
    );
}
