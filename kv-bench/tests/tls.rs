//! kv-bench over TLS: the same counts, each operation answered.

#[path = "../../kv-server/tests/support/certificates.rs"]
mod certificates;
#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;

use std::path::Path;
use std::process::Output;
use std::thread::JoinHandle;

use certificates::Certificates;
use kv_bench::report;
use kv_server::{AuthClients, Config, Server, ServerError, Shutdown, TlsConfig};
use peer::Redis;
use program::{kv_bench, stderr};

/// A server of ours in this process, stopped when dropped.
struct Served {
    port: u16,
    shutdown: Shutdown,
    serving: Option<JoinHandle<Result<(), ServerError>>>,
}

impl Served {
    fn start(files: &Certificates) -> Self {
        let tls = TlsConfig {
            port: 0,
            cert_file: files.path("server.crt").into(),
            key_file: files.path("server.key").into(),
            ca_cert_file: Some(files.path("ca.crt").into()),
            auth_clients: AuthClients::Yes,
        };
        let config = Config { plain_tcp: false, tls: Some(tls), ..Config::default() };
        let server = Server::bind(&config).expect("a free port");
        let port = server.labelled_addrs()[0].1.port();
        let shutdown = server.shutdown();
        Self { port, shutdown, serving: Some(std::thread::spawn(|| server.run())) }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.shutdown.raise();
        drop(self.serving.take().map(JoinHandle::join));
    }
}

fn run(port: u16, files: &Certificates, out: &Path, words: &[&str]) -> Output {
    let target = format!("rediss://localhost:{port}");
    let mut command = kv_bench(&["run", "--target", &target, "--out"]);
    command.arg(out).args(["--warmup", "0", "--preload", "--keys", "100", "--requests", "5000"]);
    command.args(["--mix", "get=50,put=50"]);
    command.args(["--cert", &files.path("client.crt"), "--key", &files.path("client.key")]);
    command.args(words).output().expect("it runs")
}

fn assert_answers_everything(port: u16, files: &Certificates) {
    let ca = files.path("ca.crt");
    for shape in [
        &["--threads", "2", "--clients", "4"][..],
        &["--threads", "1", "--clients", "8", "--pipeline", "16"],
        &["--threads", "1", "--clients", "2", "--pipeline", "8", "--value-size", "40k"],
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("results");
        let output = run(port, files, &out, &[&["--cacert", &ca][..], shape].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let result = report::json::load(&out.join("result.json")).expect("a result");
        let headline = &result.headline;
        assert_eq!((headline.operations, headline.errors), (5000, 0), "{shape:?}");
        assert_eq!(headline.misses, 0, "{shape:?}");
    }
}

#[test]
fn every_operation_is_answered_by_our_server() {
    let files = Certificates::new();
    let served = Served::start(&files);
    assert_answers_everything(served.port, &files);
}

#[test]
fn every_operation_is_answered_by_redis() {
    let files = Certificates::new();
    let port = peer::free_port();
    let words = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", files.path("server.crt")),
        ("--tls-key-file", files.path("server.key")),
        ("--tls-ca-cert-file", files.path("ca.crt")),
    ];
    let words: Vec<&str> = words.iter().flat_map(|(flag, value)| [*flag, value]).collect();
    let Some(_redis) = Redis::start(&words) else { return };
    assert_answers_everything(port, &files);
}

#[test]
fn a_server_that_is_not_trusted_is_not_driven() {
    let files = Certificates::new();
    let served = Served::start(&files);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("results");
    let output = run(served.port, &files, &out, &["--cacert", &files.path("stranger.crt")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("nobody we trust has signed"), "{}", stderr(&output));
    let output = run(served.port, &files, &out, &["--cacert", &files.path("missing.crt")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("missing.crt"), "{}", stderr(&output));
}

#[test]
fn flags_of_tls_without_tls_are_wrong_usage() {
    let output = kv_bench(&["run", "--insecure", "--requests", "1"]).output().expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("only for rediss:// targets"), "{}", stderr(&output));
}
