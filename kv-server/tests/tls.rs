//! TLS as clients meet it: what is said is the same, and who is not who they should be says nothing.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kv_core::client::{Address, Client, ConnectOptions};
use kv_core::resp::reply::Value;
use kv_core::tls::{TlsConnector, TlsOptions, read_certificates, read_key};
use kv_server::{AuthClients, TlsConfig};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::{Certificates, PATIENCE, Process, Served, Wire, eventually, request, skip};

type TlsWire = Wire<StreamOwned<ClientConnection, TcpStream>>;

fn settings(files: &Certificates, auth_clients: AuthClients) -> TlsConfig {
    TlsConfig {
        port: 0,
        cert_file: files.path("server.crt").into(),
        key_file: files.path("server.key").into(),
        ca_cert_file: Some(files.path("ca.crt").into()),
        auth_clients,
    }
}

fn serve(files: &Certificates, auth_clients: AuthClients) -> Served {
    Served::with(|config| config.tls = Some(settings(files, auth_clients)))
}

/// A client that trusts the authority and shows the certificate of `name`, if any.
fn client(files: &Certificates, name: Option<&str>) -> ClientConfig {
    let path = |file: &str| files.folder().join(file);
    let mut roots = RootCertStore::empty();
    for authority in read_certificates(&path("ca.crt")).expect("an authority") {
        roots.add(authority).expect("an authority");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let Some(name) = name else { return builder.with_no_client_auth() };
    let chain = read_certificates(&path(&format!("{name}.crt"))).expect("a certificate");
    let key = read_key(&path(&format!("{name}.key"))).expect("a key");
    builder.with_client_auth_cert(chain, key).expect("a pair")
}

fn connect(config: ClientConfig, address: SocketAddr) -> TlsWire {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_nodelay(true).expect("a socket option");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    Wire { stream: StreamOwned::new(connection, stream) }
}

/// Connects without a certificate.
fn wire(files: &Certificates, served: &Served) -> TlsWire {
    connect(client(files, None), served.address_for("tls:"))
}

#[test]
fn values_of_any_size_come_and_go_encrypted() {
    let files = Certificates::new();
    let served = serve(&files, AuthClients::No);
    let mut wire = wire(&files, &served);
    for size in [0, 1, 16_383, 16_384, 16_385, 100_000, 5_000_000] {
        let value: Vec<u8> = (0..size).map(|index: u32| (index % 251) as u8).collect();
        wire.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n");
        let reply = [format!("${size}\r\n").as_bytes(), &value, b"\r\n"].concat();
        wire.send(request(&[b"GET", b"k"]));
        assert!(wire.read(reply.len()) == reply, "a value of {size} bytes");
    }
    served.connect().ask("EXISTS k", ":1\r\n");
}

#[test]
fn twenty_megabytes_of_requests_before_the_first_read_are_all_answered() {
    const REQUESTS: usize = 20_000;
    let files = Certificates::new();
    let served = serve(&files, AuthClients::No);
    let mut wire = wire(&files, &served);
    wire.send(request(&[b"SET", b"k", &[b'v'; 1000]])).expect("+OK\r\n");
    let get = request(&[b"MGET", b"k", &[b'x'; 1000]]);
    wire.send(get.repeat(REQUESTS));
    let reply = [&b"*2\r\n$1000\r\n"[..], &[b'v'; 1000], b"\r\n$-1\r\n"].concat();
    for number in 0..REQUESTS {
        assert!(wire.read(reply.len()) == reply, "reply {number}");
    }
    wire.ask("QUIT", "+OK\r\n").expect_end();
}

#[test]
fn the_client_sends_what_no_socket_holds_at_once() {
    const REQUESTS: usize = 20_000;
    let files = Certificates::new();
    let served = serve(&files, AuthClients::No);
    let address = Address::tcp("localhost", served.address_for("tls:").port());
    let tls = TlsOptions { ca_cert: Some(files.path("ca.crt").into()), ..TlsOptions::default() };
    let tls = Some(TlsConnector::new(&tls).expect("an authority"));
    let mut client =
        Client::connect(&address, &ConnectOptions { tls, ..ConnectOptions::default() })
            .expect("a server");
    let big = vec![b'v'; 20 << 20];
    let ok = client.call(&[b"SET", b"big".as_slice(), &big]).expect("a reply");
    assert_eq!(ok, Value::Simple(b"OK".to_vec()));
    let value = vec![b'w'; 1000];
    client.call(&[b"SET", b"k".as_slice(), &value]).expect("a reply");
    for _ in 0..REQUESTS {
        client.send(&[b"MGET", b"k".as_slice(), &value]).expect("room");
    }
    for number in 0..REQUESTS {
        let reply = client.receive().expect("a reply");
        let expected = Value::Array(vec![Value::Bulk(value.clone()), Value::Null]);
        assert!(reply == expected, "reply {number}");
    }
}

#[test]
fn who_leaves_replies_unread_costs_no_more_than_the_limit() {
    let files = Certificates::new();
    let served = Served::with(|config| {
        config.tls = Some(settings(&files, AuthClients::No));
        config.limits.output_bytes_max = 1024 * 1024;
    });
    let mut good = served.connect();
    good.send(request(&[b"SET", b"k", &vec![b'v'; 1_000_000]])).expect("+OK\r\n");
    let mut greedy = wire(&files, &served);
    drop(greedy.stream.write_all(&b"GET k\r\n".repeat(100)));
    eventually("it is closed", || good.info("client_output_buffer_limit_disconnections") == 1);
}

#[test]
fn the_end_of_the_server_answers_what_has_arrived_and_says_goodbye() {
    let files = Certificates::new();
    let served = serve(&files, AuthClients::No);
    let mut idle = wire(&files, &served);
    idle.ask("PING", "+PONG\r\n");
    let mut busy = wire(&files, &served);
    busy.ask("PING", "+PONG\r\n");
    busy.send(b"PING\r\n".repeat(100));
    // In the server's socket by now: it is on the same machine.
    served.shut_down();
    busy.expect(b"+PONG\r\n".repeat(100)).expect_end();
    // A connection that is cut, not closed, fails the test: the client is told (close_notify).
    idle.expect_end();
}

#[test]
fn a_client_in_the_middle_of_its_handshake_does_not_keep_the_server_from_ending() {
    let files = Certificates::new();
    let served = Served::with(|config| {
        config.tls = Some(settings(&files, AuthClients::No));
        config.limits.partial_time = PATIENCE * 10;
    });
    let mut half = Wire::to(served.address_for("tls:"));
    half.send([22, 3, 1]);
    let mut other = served.connect();
    eventually("it is there", || other.info("connected_clients") == 2);
    drop(served);
    assert!(half.rest().len() < 100, "nothing but perhaps an alert");
}

#[test]
fn a_handshake_that_does_not_go_on_is_given_up() {
    let files = Certificates::new();
    let served = Served::with(|config| {
        config.tls = Some(settings(&files, AuthClients::No));
        config.limits.partial_time = Duration::from_secs(1);
    });
    let address = served.address_for("tls:");
    let mut between = wire(&files, &served);
    between.ask("PING", "+PONG\r\n");
    for begun in [&b""[..], &[22], &[22, 3, 1, 2, 0, 1, 0, 1]] {
        // The end of a session is an alert of seven bytes.
        let rest = Wire::to(address).send(begun).rest();
        assert!(rest.is_empty() || (rest.len() == 7 && rest[0] == 21), "not {rest:?}");
    }
    let mut other = served.connect();
    eventually("they are counted no more", || other.info("connected_clients") == 2);
    // Half a record behind it is half a request, but here it is between requests.
    between.ask("PING", "+PONG\r\n");
}

#[test]
fn requests_without_tls_to_the_tls_port_are_refused_and_logged() {
    let files = Certificates::new();
    let (cert, key) = (files.path("server.crt"), files.path("server.key"));
    let process = Process::start(&[
        "--tls-port",
        "0",
        "--tls-auth-clients",
        "no",
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
    ]);
    let address: SocketAddr = process
        .log()
        .lines()
        .find_map(|line| line.split("tls:").nth(1))
        .and_then(|address| address.parse().ok())
        .expect("the log tells the address");
    let mut plain = Wire::to(address);
    plain.send("PING\r\n");
    let reply = plain.rest();
    assert_eq!(reply.first(), Some(&21), "an alert, not {reply:?}");
    let said = "no TLS: it speaks plain RESP, or anything else, to the port for TLS";
    eventually("the log says why", || process.log().contains(said));
}

#[test]
fn tls_to_a_port_without_is_told_so() {
    let files = Certificates::new();
    let served = Served::start();
    let mut lost = connect(client(&files, None), served.address);
    let error = lost.stream.write_all(b"PING\r\n").expect_err("no handshake");
    assert!(error.to_string().contains("corrupt"), "{error}");
    let mut raw = Wire::to(served.address);
    raw.send([22, 3, 1]).expect("-ERR this port does not speak TLS\r\n").done_sending();
    raw.expect_end();
}

#[test]
fn only_clients_of_the_authority_come_in_where_clients_must_show_who_they_are() {
    let files = Certificates::new();
    let cases = [
        (AuthClients::Yes, None, false),
        (AuthClients::Yes, Some("client"), true),
        (AuthClients::Yes, Some("stranger"), false),
        (AuthClients::Optional, None, true),
        (AuthClients::Optional, Some("client"), true),
        (AuthClients::Optional, Some("stranger"), false),
        (AuthClients::No, None, true),
        (AuthClients::No, Some("stranger"), true),
    ];
    for (auth_clients, name, comes_in) in cases {
        let served = serve(&files, auth_clients);
        let mut wire = connect(client(&files, name), served.address_for("tls:"));
        let mut reply = [0; 7];
        let said = wire.stream.write_all(b"PING\r\n");
        let answered = said.and_then(|()| wire.stream.read_exact(&mut reply)).is_ok();
        assert_eq!(answered, comes_in, "{auth_clients:?} {name:?}");
        assert_eq!(&reply == b"+PONG\r\n", comes_in, "{auth_clients:?} {name:?}");
    }
}

#[test]
fn settings_and_listeners_can_be_asked_for() {
    let files = Certificates::new();
    let served = serve(&files, AuthClients::Optional);
    let mut wire = wire(&files, &served);
    let port = served.address_for("tls:").port();
    assert!(wire.text("INFO server").contains(&format!("name=tls,bind=127.0.0.1,port={port}\r\n")));
    let expected = format!("*2\r\n$8\r\ntls-port\r\n${}\r\n{port}\r\n", port.to_string().len());
    wire.ask("CONFIG GET tls-port", &expected);
    wire.ask("CONFIG GET tls-auth-clients", "*2\r\n$16\r\ntls-auth-clients\r\n$8\r\noptional\r\n");
}

#[test]
fn files_of_no_use_are_refused_in_one_line() {
    let files = Certificates::new();
    let path = |file: &str| files.path(file);
    let empty = files.folder().join("empty.crt");
    std::fs::write(&empty, "nothing\n").expect("room for a file");
    let start = |cert: &str, key: &str, more: &[&str]| {
        let mut command = Process::command();
        command.args(["--port", "none", "--tls-port", "0"]);
        command.args(["--tls-cert-file", cert, "--tls-key-file", key]).args(more);
        Process::outcome(command)
    };
    let no = &["--tls-auth-clients", "no"][..];
    let (server, key) = (path("server.crt"), path("server.key"));
    let (expired, expired_key) = (path("expired.crt"), path("expired.key"));
    let (early, early_key) = (path("early.crt"), path("early.key"));
    let (missing, empty) = (path("missing.crt"), path("empty.crt"));
    let cases = [
        (start(&missing, &key, no), 1, "no such file"),
        (start(&empty, &key, no), 1, "holds no certificate"),
        (start(&server, &server, no), 1, "holds no private key"),
        (start(&server, &expired_key, no), 1, "is not the one of the certificate"),
        (start(&expired, &expired_key, no), 1, "expired"),
        (start(&early, &early_key, no), 1, "becomes valid in"),
        (start(&server, &key, &[]), 2, "--tls-ca-cert-file"),
        (start(&server, &key, &["--tls-ca-cert-file", &empty]), 1, "holds no certificate"),
    ];
    for (output, code, reason) in cases {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        let [line] = lines[..] else { panic!("one line, not {said}") };
        assert!(line.starts_with("kv-server: ") && line.contains(reason), "'{reason}' in {line}");
    }
}

#[test]
fn tls_without_its_files_and_files_without_tls_are_wrong_usage() {
    for words in [
        &["--tls-port", "0"][..],
        &["--tls-cert-file", "c"],
        &["--port", "none"],
        &["--port", "70000"],
        &["--tls-port", "0", "--tls-cert-file", "c"],
    ] {
        let mut command = Process::command();
        command.args(words);
        let output = Process::outcome(command);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
    }
}

#[test]
fn redis_cli_speaks_tls_with_us() {
    if Command::new("redis-cli").arg("--version").output().is_err() {
        return skip("redis-cli cannot be run");
    }
    let files = Certificates::new();
    let served = serve(&files, AuthClients::Yes);
    let port = served.address_for("tls:").port().to_string();
    let ask = |words: &[&str]| {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &port, "--tls", "--cacert", &files.path("ca.crt")]);
        command.args(["--cert", &files.path("client.crt"), "--key", &files.path("client.key")]);
        let output = command.args(words).output().expect("it is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    assert_eq!(ask(&["SET", "k", "v"]), "OK");
    assert_eq!(ask(&["GET", "k"]), "v");
}
