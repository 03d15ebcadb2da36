//! memcached as a target: what it is asked, what it may not be asked, and what is said then.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;

use std::fs;
use std::process::Output;
use std::time::Duration;

use kv_bench::result::RunResult;
use kv_bench::target::{
    Address, Codec as _, Credentials, Endpoint, Garbage, KeyError, Memcached, MemcachedCodec,
    Operation, Protocol, Reply, Target as _,
};
use kv_bench::workload::Request;
use program::stderr;
use proptest::prelude::*;
use tempfile::TempDir;

fn target(key: &[u8]) -> Result<Memcached, KeyError> {
    let endpoint = Endpoint {
        name: "memcached".to_owned(),
        address: Address::Tcp(([127, 0, 0, 1], 11211).into()),
        protocol: Protocol::Memcached,
        credentials: Credentials::default(),
    };
    Memcached::new(&[endpoint], Box::new(|_| 0), key, 5)
}

fn codec() -> MemcachedCodec {
    target(b"key").expect("a key").codec()
}

fn encoded(request: Request, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    codec().encode(Operation { request, key: b"key", value }, &mut out);
    out
}

#[test]
fn requests_are_those_of_the_protocols_description() {
    assert_eq!(encoded(Request::Get, b""), b"mg key v\r\n");
    assert_eq!(encoded(Request::Delete, b""), b"md key\r\n");
    assert_eq!(encoded(Request::Put, b"hello"), b"ms key 5\r\nhello\r\n");
    // Longer and shorter than most, and with what ends a line in it.
    assert_eq!(encoded(Request::Put, b"a\r\nlong one"), b"ms key 11\r\na\r\nlong one\r\n");
    assert_eq!(encoded(Request::Put, b""), b"ms key 0\r\n\r\n");
}

#[test]
fn what_is_put_lives_for_so_many_seconds() {
    let target = target(b"key").expect("a key").with_ttl(Some(Duration::from_mins(1)));
    let encoded = |value| {
        let mut out = Vec::new();
        let operation = Operation { request: Request::Put, key: b"key", value };
        target.codec().encode(operation, &mut out);
        out
    };
    assert_eq!(encoded(b"hello"), b"ms key 5 T60\r\nhello\r\n");
    assert_eq!(encoded(b"hello you"), b"ms key 9 T60\r\nhello you\r\n");
}

#[test]
fn what_memcached_does_not_know_is_refused() {
    let told = "--ttl 1.5s: memcached counts it in seconds, up to 720h (such as --ttl 60s)";
    assert_refused(2, "memcached://127.0.0.1:1", &["--ttl", "1500ms"], told);
    let told = "--command 'GET __key__': commands are of servers that speak RESP";
    assert_refused(2, "memcached://127.0.0.1:1", &["--command", "GET __key__"], told);
}

#[test]
fn keys_that_memcached_would_cut_are_refused() {
    let refused = |key: &[u8]| target(key).err().map(|error| error.to_string());
    assert_eq!(refused(&[b'k'; 250]), None);
    let told = refused(&[b'k'; 251]).expect("too long");
    assert_eq!(
        told,
        "keys of 251 bytes are too long for memcached, which takes at most 250: choose shorter ones"
    );
    for key in [&b"a key"[..], b"a\r\nflush_all", b"tab\t", b"\0"] {
        let told = refused(key).expect("not one word");
        assert!(told.contains("choose keys without") && !told.contains('\n'), "{told}");
    }
}

/// Every reply that is understood, and what it means.
const REPLIES: [(Request, &[u8], Reply<'_>); 9] = [
    (Request::Get, b"VA 5\r\nhe\r\no\r\n", Reply::Hit),
    (Request::Get, b"VA 0 W X\r\n\r\n", Reply::Hit),
    (Request::Get, b"EN\r\n", Reply::Miss),
    (Request::Put, b"HD\r\n", Reply::Stored),
    (Request::Put, b"NS\r\n", Reply::Error(b"NS (the value was not stored)")),
    (Request::Delete, b"HD\r\n", Reply::Hit),
    (Request::Delete, b"NF\r\n", Reply::Miss),
    (Request::Get, b"ERROR\r\n", Reply::Error(b"ERROR")),
    (
        Request::Put,
        b"SERVER_ERROR object too large\r\n",
        Reply::Error(b"SERVER_ERROR object too large"),
    ),
];

#[test]
fn a_reply_is_understood_when_it_is_whole_and_not_before() {
    for (request, bytes, meaning) in REPLIES {
        for end in 0..bytes.len() {
            assert_eq!(codec().decode(request, &bytes[..end]), Ok(None), "{bytes:?} to {end}");
        }
        let followed = [bytes, b"VA"].concat();
        assert_eq!(
            codec().decode(request, &followed),
            Ok(Some((bytes.len(), meaning))),
            "{bytes:?}"
        );
    }
}

#[test]
fn a_line_without_an_end_is_garbage_and_not_waited_for() {
    assert_eq!(codec().decode(Request::Get, &[b'x'; 10_000]), Err(Garbage));
    assert_eq!(codec().decode(Request::Get, b"VA 1073741825\r\n"), Err(Garbage));
}

proptest! {
    #[test]
    fn no_bytes_are_more_than_there_are(
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        code in prop::sample::select(vec![&b""[..], b"VA ", b"VA 18446744073709551615", b"HD", b"ERROR"]),
        request in prop::sample::select(vec![Request::Get, Request::Put, Request::Delete]),
    ) {
        let bytes = [code, &bytes].concat();
        if let Ok(Some((size, _))) = codec().decode(request, &bytes) {
            prop_assert!(0 < size && size <= bytes.len());
        }
        if let Ok(Some((size, _))) = codec().decode_handshake(&bytes) {
            prop_assert!(0 < size && size <= bytes.len());
        }
    }
}

fn run(target: &str, words: &[&str]) -> (Output, Option<RunResult>) {
    let dir = TempDir::new().expect("a folder");
    let requests = if words.contains(&"--requests") { &[][..] } else { &["--requests", "1000"] };
    program::run(target, dir.path(), &[&["--keys", "100"], requests, words].concat())
}

fn assert_refused(code: i32, target: &str, words: &[&str], told: &str) {
    let (output, result) = run(target, words);
    let message = stderr(&output);
    assert!(message.contains(told), "{target} {words:?}: {message}");
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(result.is_none(), "{target}: something was measured");
}

#[test]
fn a_login_is_used_where_one_is_wanted_and_nowhere_else() {
    let logins = tempfile::NamedTempFile::new().expect("a file");
    fs::write(logins.path(), "me:pass@word\n").expect("writable");
    let path = logins.path().display().to_string();
    let Some(locked) = peer::Memcached::start(&["-Y", &path]) else { return };
    let Some(open) = peer::Memcached::start(&[]) else { return };
    let (locked, open) = (locked.address(), open.address());
    let words = ["--clients", "3", "--preload"];
    let (output, result) = run(&format!("memcached://me:pass%40word@{locked}"), &words);
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.expect("written");
    assert_eq!((result.headline.hits, result.headline.errors), (1000, 0));
    let shown = format!(
        "{:?}{}{}",
        result.scenario,
        stderr(&output),
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(!shown.contains("pass%40"), "{shown}");
    let wanted = "wants a password: CLIENT_ERROR unauthenticated (give it as memcached://user:";
    assert_refused(1, &format!("memcached://{locked}"), &[], wanted);
    let wrong = "refused the login: CLIENT_ERROR authentication failure; check user and password";
    assert_refused(1, &format!("memcached://me:wrong@{locked}"), &[], wrong);
    let unwanted = "wants no login, and would store it as a value: leave user:password@ out";
    assert_refused(1, &format!("memcached://me:secret@{open}"), &[], unwanted);
}

#[test]
fn addresses_that_make_no_sense_are_refused_with_a_valid_one() {
    for (target, told) in [
        ("memcached://", "the host is missing"),
        ("memcached://h:x", "the port is not a number"),
        ("memcached://127.0.0.1/2", "memcached has no databases"),
        ("memcached://me@127.0.0.1", "memcached's login is a user and a password"),
        ("memcached://:pw@127.0.0.1", "memcached's login is a user and a password"),
        ("memcached://m%20e:pw@127.0.0.1", "no spaces and no control"),
        ("memcached://me:p%0aw@127.0.0.1", "no spaces and no control"),
    ] {
        assert_refused(2, target, &[], told);
        assert_refused(2, target, &[], "memcached://[user:password@]host[:port]");
    }
    assert_refused(2, "memcacheds://h", &[], "memcacheds:// targets are not supported");
    assert_refused(2, "memcached://127.0.0.1", &["--insecure"], "only for rediss:// targets");
    let both = ["--target", "redis://127.0.0.1:1"];
    assert_refused(2, "memcached://127.0.0.1", &both, "one run has one protocol");
    let twice = ["--target", "memcached://127.0.0.1:11211"];
    assert_refused(2, "memcached://127.0.0.1", &twice, "named twice");
    assert_refused(
        1,
        "memcached:///no/such.sock",
        &[],
        "(a server that does: memcached -s /no/such.sock)",
    );
}

#[test]
fn a_path_may_have_an_at_sign_in_it() {
    let endpoint = Endpoint::parse("memcached:///run/a@b:c.sock").expect("a path");
    assert_eq!(endpoint.address, Address::Unix("/run/a@b:c.sock".into()));
    assert_eq!(endpoint.credentials, Credentials::default());
}

#[test]
fn the_other_protocol_is_named_when_it_is_met() {
    let Some(redis) = peer::Redis::start(&[]) else { return };
    let Some(memcached) = peer::Memcached::start(&[]) else { return };
    let told = "answers as a memcached does (which is memcached://host:port)";
    assert_refused(1, &format!("redis://{}", memcached.address()), &[], told);
    let told = "answered mn with '-ERR unknown command";
    assert_refused(1, &format!("memcached://{}", redis.address()), &[], told);
}

#[test]
fn values_longer_than_its_items_are_refused_before_they_are_sent() {
    let Some(small) = peer::Memcached::start(&["-I", "512k"]) else { return };
    let target = format!("memcached://{}", small.address());
    let told = "stores at most 524,288 bytes per key and value, and --value-size asks for 600,000: give \
                a smaller one, or start it with room for more (memcached -I 1m)";
    assert_refused(1, &target, &["--mix", "put", "--value-size", "600k"], told);
    assert_refused(1, &target, &["--preload", "--value-size", "600k"], told);
    assert_refused(1, &target, &["--mix", "put", "--value-size", "10..600k"], told);
    // The long tail of a law is rare: what of it is too long is counted.
    assert!(run(&target, &["--mix", "put", "--value-size", "facebook-etc"]).0.status.success());
    // Who only reads sends none.
    assert!(run(&target, &["--value-size", "600k"]).0.status.success());
    // With its own bytes beside it, this one is too long by a little: memcached itself says so.
    let told = "SERVER_ERROR object too large for cache";
    let few = ["--value-size", "524250", "--requests", "20"];
    assert_refused(1, &target, &[&few[..], &["--preload"]].concat(), told);
    let (_, result) = run(&target, &[&few[..], &["--mix", "put"]].concat());
    let errors = result.expect("outcomes").errors.server;
    assert_eq!(errors.into_iter().collect::<Vec<_>>(), [("SERVER_ERROR".to_owned(), 20)]);
}

#[test]
fn several_servers_share_the_keys_as_the_ring_says() {
    let Some(one) = peer::Memcached::start(&[]) else { return };
    let Some(other) = peer::Memcached::start(&[]) else { return };
    let [a, b] = [&one, &other].map(|server| format!("memcached://{}", server.address()));
    for ring in ["slots", "ketama", "uhashring"] {
        let words = ["--target", &format!("b={b}"), "--ring", ring, "--preload", "--clients", "4"];
        let (output, result) = run(&format!("a={a}"), &words);
        assert!(output.status.success(), "{}", stderr(&output));
        let result = result.expect("written");
        assert_eq!((result.headline.hits, result.headline.misses), (1000, 0), "{ring}");
        let names: Vec<_> = result.servers.iter().map(|server| server.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(result.servers.iter().all(|server| server.operations > 0), "{ring}");
    }
}
