//! How a server begins and ends: what it prints, what it takes, and its exit codes.

mod support;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::{Namespace, Process, Wire, eventually, request};

/// What docker gives a container before it kills it.
const PATIENCE_OF_OTHERS: Duration = Duration::from_secs(10);

fn run(args: &[&str]) -> Output {
    let mut command = Process::command();
    command.env_remove("KV_PORT").env_remove("KV_REQUIREPASS").args(args);
    Process::outcome(command)
}

fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

#[test]
fn a_signal_under_load_lets_every_request_be_answered_whole() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = Process::start(&[]);
        let began = AtomicBool::new(false);
        let count = 200;
        let signalled = std::thread::scope(|scope| {
            // Who connected only after the signal would find nobody listening.
            let wires: Vec<Wire> = (0..8).map(|_| process.connect()).collect();
            let clients: Vec<_> = wires
                .into_iter()
                .map(|mut wire| {
                    let began = &began;
                    scope.spawn(move || {
                        let batch = "INCR n\r\n".repeat(count);
                        loop {
                            if wire.stream.write_all(batch.as_bytes()).is_err() {
                                return;
                            }
                            let mut whole = 0;
                            while whole < count {
                                let byte = wire.read(1);
                                if byte.is_empty() {
                                    return;
                                }
                                assert_eq!(byte, b":");
                                wire.line();
                                whole += 1;
                            }
                            began.store(true, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            eventually("they are at it", || began.load(Ordering::Relaxed));
            let signalled = Instant::now();
            process.signal(signal);
            for client in clients {
                client.join().expect("replies are whole");
            }
            signalled
        });
        assert_eq!(process.ended().code(), Some(0), "{signal:?}");
        assert!(signalled.elapsed() < PATIENCE_OF_OTHERS, "{signal:?}");
        assert!(process.log().contains("stopped"), "{}", process.log());
    }
}

#[test]
fn what_was_asked_before_the_signal_is_answered_after_it() {
    let mut process = Process::start(&[]);
    let value = vec![b'v'; 1_000_000];
    let mut wire = process.connect();
    wire.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n");
    wire.send("GET k\r\n".repeat(20));
    // The first byte says that the request has arrived.
    wire.expect("$");
    process.signal(Signal::TERM);
    eventually("nobody listens any more", || TcpStream::connect(process.address).is_err());
    let reply = [b"1000000\r\n", value.as_slice(), b"\r\n$"].concat();
    let rest = wire.rest();
    let whole = [b"$", rest.as_slice(), b"$"].concat();
    assert_eq!(whole.len(), 1 + 20 * reply.len() + 1 - 1);
    assert!(rest.starts_with(&reply));
    assert_eq!(process.ended().code(), Some(0));
}

/// The server once shut its sockets down for reading to wake its threads. Whatever a client sent
/// after the last reply, the kernel then answered with a reset, which overtook replies.
#[test]
fn who_goes_on_writing_reads_whole_replies_and_then_the_end() {
    let mut process = Process::start(&[]);
    let address = process.address;
    let began = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|client| {
                let began = &began;
                scope.spawn(move || {
                    let wire = Wire::to(address);
                    let mut writer = wire.stream.try_clone().expect("a socket");
                    let ended = AtomicBool::new(false);
                    std::thread::scope(|scope| {
                        scope.spawn(|| {
                            let batch = format!("INCR n{client}\r\n").repeat(500);
                            while !ended.load(Ordering::Relaxed) {
                                writer.write_all(batch.as_bytes()).expect("no reset");
                            }
                        });
                        let mut lines = BufReader::new(&wire.stream).split(b'\n');
                        for number in 1.. {
                            let line = lines.next().map(|line| line.expect("no reset"));
                            let Some(line) = line else { break };
                            assert_eq!(line, format!(":{number}\r").as_bytes());
                            if number == 1000 {
                                began.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        ended.store(true, Ordering::Relaxed);
                    });
                })
            })
            .collect();
        eventually("they are at it", || began.load(Ordering::Relaxed) == clients.len());
        process.signal(Signal::TERM);
        for client in clients {
            client.join().expect("replies are whole");
        }
    });
    assert_eq!(process.ended().code(), Some(0));
    assert!(!process.log().contains("did not end"), "{}", process.log());
}

#[test]
fn who_writes_all_before_it_reads_any_can_finish_after_the_signal() {
    let mut process = Process::start(&[]);
    let value = vec![b'v'; 1_000_000];
    let mut wire = process.connect();
    wire.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n");
    wire.send("GET k\r\n".repeat(20)).expect("$");
    process.signal(Signal::TERM);
    eventually("nobody listens any more", || TcpStream::connect(process.address).is_err());
    wire.send("PING\r\n".repeat(3_000_000));
    let replies = [b"$1000000\r\n", value.as_slice(), b"\r\n"].concat().repeat(20);
    let mut rest = Vec::new();
    wire.stream.read_to_end(&mut rest).expect("no reset");
    assert!(rest.starts_with(&replies[1..]));
    assert!(rest[replies.len() - 1..].chunks(7).all(|reply| reply == b"+PONG\r\n"));
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut process = Process::start(&[]);
    let mut wire = process.connect();
    wire.send(request(&[b"SET", b"k", &vec![b'v'; 30_000_000]])).expect("+OK\r\n");
    // Who does not read keeps the server from ending of itself.
    wire.send("GET k\r\n").expect("$30000000\r\n");
    process.signal(Signal::TERM);
    eventually("nobody listens any more", || TcpStream::connect(process.address).is_err());
    assert!(process.lives());
    process.signal(Signal::TERM);
    assert_eq!(process.ended().code(), Some(128 + 15));
}

#[test]
fn a_client_that_never_reads_does_not_hold_up_the_end_for_long() {
    let mut process = Process::start(&[]);
    let mut wire = process.connect();
    wire.send(request(&[b"SET", b"k", &vec![b'v'; 30_000_000]])).expect("+OK\r\n");
    wire.send("GET k\r\n").expect("$30000000\r\n");
    let signalled = Instant::now();
    process.signal(Signal::INT);
    assert_eq!(process.ended().code(), Some(0));
    assert!(signalled.elapsed() < PATIENCE_OF_OTHERS);
    assert!(process.log().contains("1 connections did not end"), "{}", process.log());
}

#[test]
fn other_machines_stop_the_server_only_with_leave() {
    let Some(elsewhere) = Namespace::create() else { return };
    let refusal = "-NOPERM only clients on the server's machine may stop it; start it with \
                   --allow-shutdown or --requirepass to let others\r\n";
    let from_there = |process: &Process, lines: &str| {
        let address = SocketAddr::new(elsewhere.host, process.address.port());
        let rest = elsewhere.enter(|| Wire::to(address).send(lines).rest());
        String::from_utf8(rest).expect("text")
    };
    let open = ["--bind", "0.0.0.0", "--protected-mode", "no"];
    let mut process = Process::start(&open);
    let answer = from_there(&process, "END\r\nSHUTDOWN\r\nMULTI\r\nPING\r\nEXEC\r\nQUIT\r\n");
    assert_eq!(answer, format!("{refusal}{refusal}+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n+OK\r\n"));
    assert!(process.lives());
    let loopback = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), process.address.port());
    Wire::to(loopback).ask("END", "+OK\r\n").expect_end();
    assert_eq!(process.ended().code(), Some(0));

    let mut process = Process::start(&[&open[..], &["--allow-shutdown"]].concat());
    assert_eq!(from_there(&process, "END\r\n"), "+OK\r\n");
    assert_eq!(process.ended().code(), Some(0));

    let mut process = Process::start(&["--bind", "0.0.0.0", "--requirepass", "x"]);
    let answer = from_there(&process, "END\r\nAUTH x\r\nEND\r\n");
    assert_eq!(answer, "-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn a_port_in_use_is_one_clear_line() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound listener").port();
    let output = run(&["--port", &port.to_string()]);
    assert_eq!(output.status.code(), Some(1));
    let error = error_of(&output);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
    assert!(error.contains("choose another --port"), "{error}");
}

#[test]
fn nobody_to_hear_it_is_no_reason_to_fail_otherwise() {
    let full = || File::options().write(true).open("/dev/full").expect("a device");
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (args, code) in
        [(&["--nosuch"][..], 2), (&["--bind", ""], 2), (&["--bind", "192.0.2.1"], 1)]
    {
        let status = Process::command().args(args).stderr(full()).status().expect("it runs");
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
    let (reader, announcements) = std::io::pipe().expect("a pipe");
    drop(reader);
    let path = folder.path().join("kv.sock");
    let mut server = Process::command()
        .args(["--bind", "none", "--announce", "--unixsocket"])
        .arg(&path)
        .stdout(announcements)
        .stderr(full())
        .spawn()
        .expect("it runs");
    eventually("it listens", || UnixStream::connect(&path).is_ok());
    Wire::to_path(&path).ask("END", "+OK\r\n");
    assert_eq!(server.wait().expect("our child").code(), Some(0));
}

#[test]
fn what_cannot_be_done_is_one_clear_line_and_exit_code_1() {
    for (args, named) in [
        (&["--port", "0", "--bind", "192.0.2.1"][..], "--bind takes addresses of this machine"),
        (
            &["--port", "0", "--log-file", "/nowhere/log"],
            "/nowhere/log: No such file or directory (os error 2); make the folder it is to lie in",
        ),
        (
            &["--port", "0", "--log-requests", "/nowhere/requests"],
            "/nowhere/requests: No such file or directory (os error 2); make the folder it is to lie",
        ),
        (
            &["--port", "0", "--log-requests", "/"],
            "Is a directory (os error 21); name a file in it",
        ),
        (
            &["--port", "0", "--data-dir", "/dev/full"],
            "/dev/full: /dev/full is a file; name a folder, which need not exist",
        ),
        (
            &["--port", "0", "--data-dir", "/dev/full/store"],
            "/dev/full/store: /dev/full is a file; name a folder",
        ),
        (
            &["--port", "0", "--data-dir", "/proc/nowhere"],
            "cannot create the data folder /proc/nowhere: No such file or directory (os error 2)\n",
        ),
        (
            &["--bind", "none", "--unixsocket", "/nowhere/kv.sock"],
            "/nowhere/kv.sock: No such file or directory (os error 2); make the folder",
        ),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let error = error_of(&output);
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn a_command_line_without_sense_is_exit_code_2() {
    for (args, named) in [
        (&["--port", "65536"][..], "--port"),
        (&["--port", "x"], "--port"),
        (&["seven"], "seven"),
        (&["7000", "--port", "7001"], "--port"),
        (&["--nosuch"], "--nosuch"),
        (&["--maxclients", "0"], "--maxclients"),
        (&["--partial-timeout", "0"], "--partial-timeout"),
        (&["--timeout", "-1"], "-1"),
        (&["--timeout", "soon"], "--timeout"),
        (&["--durability", "always"], "--durability"),
        (&["--protected-mode", "maybe"], "--protected-mode"),
        (&["--loglevel", "loud"], "--loglevel"),
        (&["--bind", "localhost.example"], "--bind takes IP addresses such as 127.0.0.1"),
        (&["--bind", "none"], "--unixsocket"),
        (&["--bind", ""], "--bind"),
        (&["--requirepass", ""], "--requirepass is empty"),
        (&["--output-limit", "1"], "--output-limit"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", error_of(&output));
        assert!(error_of(&output).contains(named), "{args:?}: {}", error_of(&output));
    }
}

#[test]
fn help_teaches() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    let help = String::from_utf8(output.stdout).expect("text");
    for word in
        ["Examples:", "kv-server 7000", "--requirepass", "default: 65432", "SIGTERM", "kv-cli end"]
    {
        assert!(help.contains(word), "{word} in {help}");
    }
}

#[test]
fn the_port_may_stand_alone_also_against_the_environment() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound listener").port();
    let mut command = Process::command();
    command.env("KV_PORT", "1").arg(port.to_string());
    let output = Process::outcome(command);
    assert!(error_of(&output).contains(&format!("127.0.0.1:{port}")), "{}", error_of(&output));
}

#[test]
fn each_address_is_announced_and_served() {
    let mut process = Process::start(&["--bind", "127.0.0.1,127.0.0.2"]);
    let other = SocketAddr::new(Ipv4Addr::new(127, 0, 0, 2).into(), process.address.port());
    assert!(process.log().contains(&format!("ready on {other}")), "{}", process.log());
    Wire::to(other).ask("PING", "+PONG\r\n").ask("END", "+OK\r\n");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn every_request_is_recorded_with_its_result_but_no_password() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("requests");
    let flags = ["--requirepass", "hush", "--log-requests", path.to_str().expect("ASCII")];
    let mut process = Process::start(&flags);
    let mut wire = process.connect();
    wire.send("AUTH hush\r\nPUT key1 value1\r\nget key1\r\nDELETE key1\r\nGET key1\r\nNOSUCH\r\n");
    wire.send("HELLO 2 AUTH default hush SETNAME me\r\nCONFIG SET requirepass hush\r\n");
    wire.send("CONFIG GET requirepass\r\nSET k \"a\\n\\x01\"\r\nEND now\r\n").rest();
    assert_eq!(process.ended().code(), Some(0));
    let recorded = std::fs::read_to_string(&path).expect("the record");
    for line in [
        r#"client=1 "PUT key1 value1" -> "+OK""#,
        r#"client=1 "get key1" -> "$6\r\nvalue1""#,
        r#"client=1 "DELETE key1" -> ":1""#,
        r#"client=1 "GET key1" -> "$-1""#,
        r#""NOSUCH" -> "-ERR unknown command"#,
        r#""SET k a\n\x01" -> "+OK""#,
        r#""END now" -> "+OK""#,
    ] {
        assert!(recorded.contains(line), "{line} in\n{recorded}");
    }
    assert_eq!(recorded.lines().count(), 11, "{recorded}");
    assert!(!recorded.contains("hush"), "{recorded}");
}

#[test]
fn nothing_asked_before_the_end_is_missing_from_the_record() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("requests");
    let mut process = Process::start(&["--log-requests", path.to_str().expect("ASCII")]);
    let count = 20_000;
    let mut wire = process.connect();
    wire.send("INCR n\r\n".repeat(count)).send("END\r\n").rest();
    assert_eq!(process.ended().code(), Some(0));
    let recorded = std::fs::read_to_string(&path).expect("the record");
    assert_eq!(recorded.lines().count(), count + 1);
}

#[test]
fn an_idle_server_with_32_clients_hardly_uses_the_processor() {
    let process = Process::start(&[]);
    let mut wires: Vec<Wire> = (0..32).map(|_| process.connect()).collect();
    for wire in &mut wires {
        wire.ask("PING", "+PONG\r\n");
    }
    let before = process.cpu_ticks();
    std::thread::sleep(Duration::from_secs(3));
    let ticks = process.cpu_ticks() - before;
    // One per cent of a processor. Unoptimised, the expiry sweep's empty rounds cost ten times more.
    let allowed = if cfg!(debug_assertions) { 30 } else { 3 };
    assert!(ticks <= allowed, "{ticks} hundredths of a second of processor time within three");
}
