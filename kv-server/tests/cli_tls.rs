//! kv-cli over TLS, with our server and with redis-server, and what it says when there is none.

mod support;

use assert_cmd::assert::Assert;
use kv_server::{AuthClients, TlsConfig};
use support::{Certificates, Redis, Served, free_port};

/// A server of ours that asks its clients for certificates, or does not.
fn serve(files: &Certificates, auth_clients: AuthClients) -> Served {
    Served::with(|config| {
        config.tls = Some(TlsConfig {
            port: 0,
            cert_file: files.path("server.crt").into(),
            key_file: files.path("server.key").into(),
            ca_cert_file: Some(files.path("ca.crt").into()),
            auth_clients,
        });
    })
}

fn kv_cli() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_kv-cli"));
    command.env_remove("KVCLI_AUTH").env_remove("REDISCLI_AUTH").env_remove("KV_REQUIREPASS");
    command
}

fn run(port: u16, words: &[&str]) -> Assert {
    let port = port.to_string();
    kv_cli().args(["-h", "localhost", "-p", &port, "--tls"]).args(words).assert()
}

/// Exit code, and one line on standard error with this in it.
fn assert_line(assert: Assert, code: i32, words: &str) {
    let assert = assert.code(code).stdout("");
    let said = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(said.lines().count() == 1 && said.contains(words), "'{words}' in {said}");
}

#[test]
fn kv_cli_speaks_tls_with_our_server_and_with_redis() {
    let files = Certificates::new();
    let (ca, cert, key) =
        (files.path("ca.crt"), files.path("client.crt"), files.path("client.key"));
    let trusting = ["--cacert", &ca, "--cert", &cert, "--key", &key];
    let big = "v".repeat(100_000);
    let conversation = |port: u16| {
        let with = |words: &[&str]| run(port, &[&trusting[..], words].concat());
        with(&["set", "k", &big]).success().stdout("OK\n");
        with(&["get", "k"]).success().stdout(format!("{big}\n"));
        with(&["-3", "get", "none"]).code(1);
    };
    let served = serve(&files, AuthClients::Yes);
    conversation(served.address_for("tls:").port());
    let port = free_port();
    let (port_word, certificate) = (port.to_string(), files.path("server.crt"));
    let server_key = files.path("server.key");
    let redis = Redis::start(&[
        "--tls-port",
        &port_word,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &server_key,
        "--tls-ca-cert-file",
        &ca,
    ]);
    if redis.is_some() {
        conversation(port);
    }
}

#[test]
fn who_is_not_trusted_is_told_why_in_one_line() {
    let files = Certificates::new();
    let served = serve(&files, AuthClients::No);
    let (port, ca) = (served.address_for("tls:").port(), files.path("ca.crt"));
    let stranger = files.path("stranger.crt");
    let ping = |words: &[&str]| run(port, &[words, &["ping"]].concat());
    ping(&["--cacert", &ca]).success().stdout("PONG\n");
    ping(&["--insecure"]).success().stdout("PONG\n");
    ping(&["--cacert", &ca, "--sni", "127.0.0.1"]).success().stdout("PONG\n");
    assert_line(ping(&["--cacert", &stranger]), 3, "nobody we trust has signed");
    assert_line(ping(&["--cacert", &ca, "--sni", "other.example"]), 3, "other.example");
    let plain = served.address.port();
    let hint = "does not speak TLS on this port: leave out --tls (or the s of rediss://)";
    assert_line(run(plain, &["--insecure", "ping"]), 3, hint);
    let strict = serve(&files, AuthClients::Yes);
    let port = strict.address_for("tls:").port();
    assert_line(run(port, &["--cacert", &ca, "ping"]), 3, "asks for a certificate of ours");
}

/// All that it said once was that the reply "starts with byte 0x15".
#[test]
fn who_forgets_tls_is_told_to_add_it() {
    let files = Certificates::new();
    let served = serve(&files, AuthClients::No);
    let address = served.address_for("tls:");
    for words in [&["ping"][..], &["-3", "ping"], &["-a", "secret", "ping"], &["-n", "2", "ping"]] {
        let mut command = kv_cli();
        let assert = command.args(["-p", &address.port().to_string()]).args(words).assert();
        assert_line(assert, 3, &format!("{address}: this port speaks TLS: add --tls"));
    }
}

#[test]
fn files_and_flags_that_make_no_sense_are_wrong_usage() {
    let files = Certificates::new();
    let (cert, key) = (files.path("client.crt"), files.path("server.key"));
    let missing = files.path("missing.crt");
    assert_line(run(1, &["--cacert", &missing, "ping"]), 2, "missing.crt: no such file");
    assert_line(run(1, &["--cacert", &key, "ping"]), 2, "holds no certificate");
    let wrong = ["--insecure", "--cert", &cert, "--key", &key, "ping"];
    assert_line(run(1, &wrong), 2, "is not the one of the certificate");
    assert_line(run(1, &["--insecure", "--sni", "a b", "ping"]), 2, "'a b' is no server's name");
    run(1, &["--cert", &cert, "ping"]).code(2);
}
