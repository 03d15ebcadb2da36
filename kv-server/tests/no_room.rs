//! Where files cannot grow: nothing that was acknowledged is lost, what cannot be kept is refused, and
//! the log says where and what to do.

mod support;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, prlimit};
use support::{Process, eventually, request};

/// Far beyond what the server's own log takes, which is a file as well.
const FILE_BYTES_MAX: u64 = 64 * 1024;

const REFUSAL: &str = "-MISCONF Errors writing to the AOF file: File too large";

fn serve(dir: &Path, mode: &str) -> Process {
    Process::start(&["--data-dir", dir.to_str().expect("a plain path"), "--durability", mode])
}

/// Limits the size of the files that a running server writes; `None`: no longer.
fn limit(server: &Process, bytes: Option<u64>) {
    let limit = Rlimit { current: bytes, maximum: None };
    prlimit(Some(server.pid()), Resource::Fsize, limit).expect("it is our child");
}

/// The system once killed the server at `ulimit -f`, without a word from anybody.
#[test]
fn a_log_at_the_limit_of_file_sizes_refuses_writes_and_goes_on_where_the_limit_is_raised() {
    for mode in ["os", "everysec", "always"] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut server = serve(folder.path(), mode);
        limit(&server, Some(FILE_BYTES_MAX));
        let (mut wire, value) = (server.connect(), "x".repeat(1000));
        let mut kept = 0;
        let refusal = loop {
            wire.send(format!("SET key{kept} {value}\r\n"));
            match wire.line() {
                ok if ok == "+OK" => kept += 1,
                refusal => break refusal,
            }
        };
        assert_eq!(refusal, REFUSAL, "{mode}");
        assert!((50..64).contains(&kept), "{mode}: {kept} values of 1000 bytes");
        wire.send("GET key0\r\n").expect(format!("$1000\r\n{value}\r\n"));
        let file = folder.path().join("log-0000000001.kv");
        let said = format!(
            "writes are refused until that has passed: {}: File too large; raise the limit on \
             the size of files",
            file.display()
        );
        eventually("the log says so", || server.log().contains(&said));
        limit(&server, None);
        eventually("writes are taken again", || {
            wire.send("SET later x\r\n");
            wire.line() == "+OK"
        });
        server.signal(Signal::KILL);
        server.ended();
        let server = serve(folder.path(), mode);
        let mut wire = server.connect();
        for key in (0..kept).map(|number| format!("key{number}")) {
            wire.send(format!("STRLEN {key}\r\n")).expect(":1000\r\n");
        }
        wire.send("STRLEN later\r\n").expect(":1\r\n");
    }
}

#[test]
fn a_snapshot_beyond_the_limit_of_file_sizes_is_an_error_and_the_older_one_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut server = serve(folder.path(), "none");
    let mut wire = server.connect();
    wire.send("SET old x\r\nSAVE\r\n").expect("+OK\r\n+OK\r\n");
    limit(&server, Some(FILE_BYTES_MAX));
    wire.send(request(&[b"SET", b"new", &vec![b'x'; 100_000]])).expect("+OK\r\n");
    let refusal = wire.send("SAVE\r\n").line();
    assert!(refusal.contains("snapshot-") && refusal.contains("File too large"), "{refusal}");
    server.signal(Signal::KILL);
    server.ended();
    let server = serve(folder.path(), "none");
    server.connect().send("DBSIZE\r\nGET old\r\n").expect(":1\r\n$1\r\nx\r\n");
}

/// One line that could not be written once ended the record until a restart.
#[test]
fn requests_are_recorded_again_where_the_limit_is_raised_and_those_between_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("requests");
    let recorded = || std::fs::read_to_string(&path).expect("the record");
    let server = Process::start(&["--log-requests", path.to_str().expect("a plain path")]);
    limit(&server, Some(FILE_BYTES_MAX));
    let (mut wire, count) = (server.connect(), 2_000);
    wire.send("INCR n\r\n".repeat(count));
    (1..=count).for_each(|n| assert_eq!(wire.line(), format!(":{n}")));
    let said = "File too large (os error 27); requests are not recorded until it can be written";
    eventually("the log says so", || server.log().contains(said));
    limit(&server, None);
    eventually("requests are recorded", || {
        wire.send("PING\r\n").expect("+PONG\r\n");
        server.log().contains("requests are recorded again")
    });
    let recorded = recorded();
    let missing = recorded.lines().find(|line| line.starts_with('#')).expect("a word on it");
    let (lost, why) = missing[2..].split_once(' ').expect("a number");
    assert_eq!(why, "requests were not recorded: File too large (os error 27)");
    let whole = recorded.lines().filter(|line| line.ends_with('"')).count();
    let asked = count + recorded.matches("PING").count();
    let lost: usize = lost.parse().expect("a number");
    assert!(lost > 0 && whole + lost >= asked, "{whole} and {lost} of {asked}");
}

#[test]
fn output_beyond_the_limit_of_file_sizes_is_an_error_of_the_command_line_client() {
    let server = Process::start(&[]);
    let value = "x".repeat(10_000);
    server.connect().send(format!("SET k {value}\r\n")).expect("+OK\r\n");
    let folder = tempfile::tempdir().expect("a folder");
    let output = File::create(folder.path().join("output")).expect("a new file");
    let command = Command::new("prlimit")
        .args(["--fsize=4096", env!("CARGO_BIN_EXE_kv-cli"), "--port"])
        .args([&server.address.port().to_string(), "get", "k"])
        .stdout(output)
        .stderr(Stdio::piped())
        .output();
    let output = command.expect("prlimit is part of util-linux");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said, "kv-cli: the output is larger than files may be: raise ulimit -f\n");
}
