//! Lines of traces: what they mean, and what is wrong with those that mean nothing.

use kv_bench::trace::{
    Action, Columns, Entry, KEY_BYTES_MAX, Key, Line, Monitor, Unlike, parse_twitter,
};
use proptest::prelude::*;

fn entry(at_s: u64, action: Action<'_>) -> Result<Line<'_>, Unlike> {
    Ok(Line::Entry(Entry { at_ns: at_s * 1_000_000_000, times: 1, action }))
}

fn key(text: &str) -> Key<'_> {
    Key { text: text.as_bytes(), bytes: text.len() }
}

/// What is wrong with a line.
fn problem(line: Result<Line<'_>, Unlike>) -> String {
    line.expect_err("a bad line").0
}

#[test]
fn a_line_of_twitters_is_an_operation_with_its_sizes_and_its_time_to_live() {
    let put = |ttl_s| Action::Put { key: key("ab"), value_bytes: 213, ttl_s };
    assert_eq!(parse_twitter(b"12,ab,2,213,7,set,3600"), entry(12, put(Some(3600))));
    assert_eq!(parse_twitter(b"12,ab,2,213,7,set,9999999999"), entry(12, put(None)), "for ever");
    for name in ["add", "replace", "cas", "append", "prepend"] {
        let line = format!("12,ab,2,213,7,{name},0");
        assert_eq!(parse_twitter(line.as_bytes()), entry(12, put(None)), "{name}");
    }
    for name in ["get", "gets"] {
        let line = format!("0,ab,2,0,7,{name},0");
        assert_eq!(parse_twitter(line.as_bytes()), entry(0, Action::Get { key: key("ab") }));
    }
    assert_eq!(parse_twitter(b"1,ab,2,0,7,delete,0"), entry(1, Action::Delete { key: key("ab") }));
    assert_eq!(parse_twitter(b"1,ab,2,0,7,incr,0"), entry(1, Action::Increment { key: key("ab") }));
    assert_eq!(parse_twitter(b"1,ab,2,0,7,decr,0"), entry(1, Action::Decrement { key: key("ab") }));
    // A key that was longer than its anonymized text, and one with commas in it.
    let long = Key { text: b"ab", bytes: 20 };
    assert_eq!(parse_twitter(b"1,ab,20,0,7,get,0"), entry(1, Action::Get { key: long }));
    assert_eq!(parse_twitter(b"1,a,b,3,0,7,get,0"), entry(1, Action::Get { key: key("a,b") }));
    assert_eq!(parse_twitter(b""), Ok(Line::Nothing));
}

#[test]
fn a_bad_line_tells_what_was_expected() {
    let cases: [(&[u8], &str); 9] = [
        (b"nonsense", "expected timestamp,key,key size"),
        (b"1,ab,2,0,7,get", "expected timestamp,key,key size"),
        (b"x,ab,2,0,7,get,0", "'x' where the time in seconds, a whole number, is expected"),
        (b"-1,ab,2,0,7,get,0", "'-1' where the time in seconds"),
        (b"1,,0,0,7,get,0", "an empty key"),
        (b"1,a\0b,3,0,7,get,0", "a zero byte in the key"),
        (b"1,ab,65537,0,7,get,0", "the key's size 65537, where 65536 is the most"),
        (b"1,ab,2,5000000000,7,set,0", "the value's size 5000000000, where 536870912 is the most"),
        (b"1,ab,2,0,7,peek,0", "the operation 'peek', which is none of get, gets, set"),
    ];
    for (line, expected) in cases {
        let problem = problem(parse_twitter(line));
        assert!(problem.contains(expected), "{}: {problem}", line.escape_ascii());
    }
    let long = format!("1,{},2,0,7,get,0", "k".repeat(KEY_BYTES_MAX + 1));
    assert!(problem(parse_twitter(long.as_bytes())).contains("a key of 65537 bytes"));
}

#[test]
fn columns_of_metas_are_known_by_their_names() {
    let columns =
        Columns::read(b"op_time,key,key_size,op,op_count,size,cache_hits,ttl").expect("2022");
    let key = Key { text: b"1668", bytes: 31 };
    let put = Action::Put { key, value_bytes: 520, ttl_s: Some(60) };
    assert_eq!(
        columns.parse(b"5,1668,31,SET,3,520,0,60"),
        Ok(Line::Entry(Entry { at_ns: 5_000_000_000, times: 3, action: put }))
    );
    assert_eq!(columns.parse(b"5,1668,31,GET_LEASE,1,0,1,0"), entry(5, Action::Get { key }));
    assert_eq!(columns.parse(b"5,1668,31,DELETE,1,0,1,0"), entry(5, Action::Delete { key }));
    // Of 2024, and one of the first ones, in another order and without a time.
    let later = b"op_time,key,key_size,op,op_count,size,cache_hits,ttl,usecase,sub_usecase";
    let later = Columns::read(later).expect("2024");
    assert_eq!(later.parse(b"5,1668,31,GET,1,0,1,0,u,s"), entry(5, Action::Get { key }));
    let first = Columns::read(b"key,op,size,op_count,key_size").expect("the first");
    assert!(!first.has_times());
    assert_eq!(first.parse(b"1668,GET,9,1,31"), entry(0, Action::Get { key }));
    // Files that were put together.
    assert_eq!(first.parse(b"key,op,size,op_count,key_size"), Ok(Line::Nothing));
    assert_eq!(Columns::read(b"op_time,key,op"), None);
    for (line, expected) in [
        (b"1668,GET,9,1".as_slice(), "4 fields, and the header has 5"),
        (b"1668,GET,9,0,31", "op_count 0, where 1 is the least"),
        (b"1668,GET,9,1000001,31", "op_count 1000001, where 1000000 is the most"),
        (b"1668,POKE,9,1,31", "the operation 'POKE', which is none of GET, GET_LEASE"),
    ] {
        assert!(problem(first.parse(line)).contains(expected), "{}", line.escape_ascii());
    }
}

/// The words of a line of `MONITOR`'s, or the name by which it is left out.
fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    match Monitor::default().parse(line) {
        Ok(Line::Entry(Entry { action: Action::Command(words), .. })) => {
            Ok(words.iter().map(<[u8]>::to_vec).collect())
        }
        Ok(Line::LeftOut(name)) => Err(format!("left out: {name}")),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_line_of_monitors_is_a_command_with_its_own_words() {
    let lines: [(&[u8], &[&[u8]]); 4] = [
        (br#"1460100081.165665 [0 127.0.0.1:51706] "set" "k" "v""#, &[b"set", b"k", b"v"]),
        (
            br#"+1460100081.165665 [0 [::1]:51706] "GET" "a\"\\\x00\n\r\t\a\b\xff""#,
            &[b"GET", b"a\"\\\0\n\r\t\x07\x08\xff"],
        ),
        (br#"1460100081.165665 [0 unix:/tmp/a] b.sock] "incr" "k""#, &[b"incr", b"k"]),
        (br#"1460100081.165665 [0 lua] "set" "" "v""#, &[b"set", b"", b"v"]),
    ];
    for (line, expected) in lines {
        assert_eq!(words(line).expect("a command"), expected, "{}", line.escape_ascii());
    }
    let mut monitor = Monitor::default();
    let line = br#"1460100081.165665 [0 127.0.0.1:1] "get" "k""#;
    let Ok(Line::Entry(entry)) = monitor.parse(line) else { panic!("an operation") };
    assert_eq!(entry.at_ns, 1_460_100_081_165_665_000);
    assert_eq!(monitor.parse(b"OK"), Ok(Line::Nothing));
    // Of another database than the first key's.
    let other = br#"1460100081.165665 [3 127.0.0.1:1] "get" "k""#;
    assert_eq!(monitor.parse(other), Ok(Line::LeftOut("database 3")));
}

/// Clients shake hands in database 0 before they choose another: all the sets behind such a line were left
/// out as those of another database. Keys that Redis has taken were bad lines where they were empty, or
/// longer than those of caches.
#[test]
fn the_database_is_that_of_the_first_key_whatever_the_key_is() {
    let mut monitor = Monitor::default();
    let mut is_taken = |line: &str| matches!(monitor.parse(line.as_bytes()), Ok(Line::Entry(_)));
    assert!(!is_taken(r#"1.000000 [0 127.0.0.1:1] "client" "setinfo" "LIB-NAME" "x""#));
    assert!(is_taken(r#"1.000000 [0 127.0.0.1:1] "ping""#));
    assert!(is_taken(r#"1.000000 [5 127.0.0.1:1] "set" "" "v""#));
    assert!(!is_taken(r#"1.000000 [0 127.0.0.1:1] "set" "k" "v""#));
    let long = "k".repeat(KEY_BYTES_MAX + 1);
    assert!(is_taken(&format!(r#"1.000000 [5 127.0.0.1:1] "get" "{long}""#)));
}

#[test]
fn commands_that_are_not_known_to_touch_their_keys_alone_are_left_out_by_name() {
    let left_out = [
        "flushall",
        "shutdown",
        "config|get",
        "subscribe",
        "blpop",
        "multi",
        "exec",
        "eval",
        "select",
        "keys",
        "script",
        "debug",
        "monitor",
        "replicaof",
        "ft.search",
        "copy",
    ];
    for name in left_out {
        let line = format!(
            "1.000000 [0 127.0.0.1:1] \"{}\" \"a\" \"b\" \"DB\" \"1\"",
            name.to_uppercase()
        );
        assert_eq!(words(line.as_bytes()), Err(format!("left out: {name}")));
    }
}

#[test]
fn lines_that_are_none_of_monitors_are_told() {
    for (line, expected) in [
        (b"nonsense".as_slice(), "expected 1460100081.165665 [0"),
        (br#"1.5 [0 127.0.0.1:1] "get" "k""#, "six places behind its point"),
        (br#"1.000000 [0 127.0.0.1:1] "get" "k"#, "the line ends before its last quote"),
        (br#"1.000000 [0 127.0.0.1:1] "get" "k"x"#, "a blank and a quote behind each word"),
        (br#"1.000000 [0 127.0.0.1:1] "get" "\xg0""#, "two hex digits behind"),
        (br#"1.000000 [0 127.0.0.1:1] "get" "\q""#, "before what needs none"),
        (b"1.000000 [0 127.0.0.1:1] \"get\" \"\0\"", "a zero byte, which is written"),
        (br#"1.000000 [0 127.0.0.1:1] "g t" "k""#, "is no name of a command"),
    ] {
        let told = words(line).expect_err("bad");
        assert!(told.contains(expected), "{}: {told}", line.escape_ascii());
    }
}

/// As Redis quotes what it prints.
fn quoted(word: &[u8]) -> Vec<u8> {
    let mut text = vec![b'"'];
    for &byte in word {
        match byte {
            b'\\' | b'"' => text.extend([b'\\', byte]),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            7 => text.extend(b"\\a"),
            8 => text.extend(b"\\b"),
            b' '..=b'~' => text.push(byte),
            _ => text.extend(format!("\\x{byte:02x}").bytes()),
        }
    }
    text.push(b'"');
    text
}

proptest! {
    /// Whatever the bytes, they are a line, none, or a bad one.
    #[test]
    fn no_bytes_are_too_much_for_a_parser(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_twitter(&line);
        let columns = Columns::read(b"op_time,key,key_size,op,op_count,size,ttl").expect("a header");
        let _ = columns.parse(&line);
        let mut monitor = Monitor::default();
        let _ = monitor.parse(&line);
        let framed = [br#"1.000000 [0 127.0.0.1:1] "set" ""#.as_slice(), &line, b"\""].concat();
        let _ = monitor.parse(&framed);
    }

    /// Near misses of real lines, which get further.
    #[test]
    fn no_changed_byte_is_too_much_for_a_parser(at in 0_usize..60, byte in any::<u8>()) {
        for line in [
            b"12,abc,3,213,7,set,3600".as_slice(),
            br#"1460100081.165665 [0 127.0.0.1:51706] "zunionstore" "d" "2" "a" "b""#,
        ] {
            let mut line = line.to_vec();
            let at = at % line.len();
            line[at] = byte;
            let _ = parse_twitter(&line);
            let _ = Monitor::default().parse(&line);
        }
    }

    /// What Redis quotes is read as it was, and as redis-cli reads it.
    #[test]
    fn words_are_unescaped_as_they_were(value in prop::collection::vec(any::<u8>(), 0..100)) {
        let line = [b"1.000000 [0 127.0.0.1:1] \"set\" \"k\" ".as_slice(), &quoted(&value)].concat();
        let read = words(&line).expect("a command");
        prop_assert_eq!(&read, &[b"set".to_vec(), b"k".to_vec(), value.clone()]);
        let typed = [b"set k ".as_slice(), &quoted(&value)].concat();
        prop_assert_eq!(Ok(read), kv_core::resp::split_line(&typed));
    }
}
