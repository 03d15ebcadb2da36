//! What Prometheus finds while kv-bench runs, with its own parser as the judge of the format.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;
#[allow(dead_code, reason = "other tests need other dialects")]
mod scripted;

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kv_bench::report;
use program::{assert_refused, kv_bench, stderr, wait_for};
use scripted::{Answer, Server};
use tempfile::TempDir;

/// A run that goes on until the test has seen enough.
struct Run {
    child: Child,
    dir: TempDir,
    address: String,
}

impl Run {
    fn start(server: &Server, words: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let target = format!("redis://{}", server.address);
        let mut command = kv_bench(words);
        command.args(["--target", &target, "--metrics-port", "0", "--keys", "100", "--out"]);
        command.arg(dir.path().join("results")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let address =
            line.strip_prefix("metrics: http://").and_then(|l| l.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("'{line}' is no address")).to_owned();
        // Who does not read what is printed must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, dir, address }
    }

    fn get(&self, request: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn page(&self) -> String {
        let (head, body) = self.get("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        body
    }

    /// Waits for a page of which `is_it` is true.
    fn page_where(&self, is_it: impl Fn(&str) -> bool) -> String {
        wait_for(|| Some(self.page()).filter(|page| is_it(page)))
    }

    fn interrupt(mut self) -> kv_bench::result::RunResult {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap();
        report::json::load(&self.dir.path().join("results/result.json")).unwrap()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The value of a figure, with its labels as they are written.
#[track_caller]
fn figure(page: &str, name: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {page}"))
}

/// Every tenth operation is refused.
fn refusing() -> Server {
    Server::start(|number, _| match number % 10 {
        9 => Answer::Raw(b"-BUSY come back later\r\n"),
        _ => Answer::Normal,
    })
}

const LONG: [&str; 5] = ["run", "--rate", "500", "--duration", "10m"];

#[test]
fn a_running_measurement_is_seen_in_figures_that_add_up() {
    let server = refusing();
    let run = Run::start(&server, &LONG);
    let counted = |page: &str| {
        page.contains("kv_bench_errors_total{kind=\"BUSY\"}")
            && page.contains("kv_bench_trusted ")
            && figure(page, "kv_bench_throughput") > 0.0
    };
    let first = run.page_where(counted);
    assert!(first.contains("kv_bench_step_info{step=\"headline\"} 1"), "{first}");
    assert!(figure(&first, "kv_bench_warming_up").abs() < 0.5, "{first}");
    let failed = figure(&first, "kv_bench_errors_total{kind=\"BUSY\"}");
    assert!(failed > 0.0 && figure(&first, "kv_bench_errors_total{kind=\"timeout\"}") < 0.5);
    assert!(
        figure(&first, "kv_bench_operations_failed_total") >= failed,
        "as it is, and as it was"
    );
    let of_server = format!("kv_bench_server_operations_total{{server=\"{}\"}}", server.address);
    assert!(figure(&first, &of_server) > 0.0);
    assert!(figure(&first, "kv_bench_worker_cpu_seconds_total{worker=\"0\"}") > 0.0);
    figure(&first, "kv_bench_backlog");
    figure(&first, "process_resident_memory_bytes");
    for time in ["service", "response", "lateness"] {
        let all = figure(&first, &format!("kv_bench_latency_seconds_count{{time=\"{time}\"}}"));
        let most = format!("kv_bench_latency_seconds_bucket{{le=\"+Inf\",time=\"{time}\"}}");
        assert!(all > 0.0 && (figure(&first, &most) - all).abs() < 0.5, "{time}: {first}");
        assert!(figure(&first, &format!("kv_bench_latency_seconds_sum{{time=\"{time}\"}}")) > 0.0);
    }
    let (operations, before) =
        ("kv_bench_operations_total", figure(&first, "kv_bench_operations_total"));
    run.page_where(|page| figure(page, operations) > before + 100.0);
    let last = figure(&run.page(), operations);
    let seen = server.seen.clone();
    let result = run.interrupt();
    assert!(last <= result.headline.operations as f64, "without the warm-up");
    assert!(seen.lock().unwrap().len() as u64 > result.headline.operations, "which there was");
}

/// Puts that fill a cache were left out while a run went on, and counted at its end: each point of a
/// curve looked as if the load had leapt.
#[test]
fn operations_are_the_same_figure_while_a_run_goes_on_and_at_its_end() {
    let is_miss = |words: &[String]| words[0] == "GET";
    let server = Server::start(move |_, words| match is_miss(words) {
        true => Answer::Raw(b"$-1\r\n"),
        false => Answer::Normal,
    });
    for workload in [["--workload", "cache"], ["--mix", "rmw"]] {
        let run = Run::start(&server, &[&LONG[..], &workload].concat());
        let times = "kv_bench_latency_seconds_count{time=\"service\"}";
        let page = run.page_where(|page| page.contains(times) && figure(page, times) > 500.0);
        let operations = figure(&page, "kv_bench_operations_total");
        assert!(operations >= figure(&page, times), "{workload:?}: {page}");
        let result = run.interrupt();
        assert!(operations <= result.headline.operations as f64, "{workload:?}: {operations}");
    }
}

#[test]
fn figures_of_a_curve_never_fall_from_point_to_point() {
    let server = Server::start(|_, _| Answer::Normal);
    let words = ["curve", "--rates", "100,200", "--curve-time", "15s", "--threads", "1"];
    let run = Run::start(&server, &words);
    let counts = ["kv_bench_operations_total", "kv_bench_latency_seconds_count{time=\"response\"}"];
    let mut before = [0.0; 2];
    wait_for(|| {
        let page = run.page();
        if page.contains("{time=\"response\"}") {
            let now = counts.map(|name| figure(&page, name));
            assert!(
                now.iter().zip(&before).all(|(now, before)| now >= before),
                "{now:?} {before:?}"
            );
            before = now;
        }
        page.contains("step=\"point 2 of 4\"").then_some(())
    });
    assert!(before[0] > 0.0, "what the closed loop before counted");
}

#[test]
fn the_page_is_what_prometheus_reads() {
    let python = env::var_os("KV_PYTHON").unwrap_or_else(|| "python3".into());
    let imports = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if !imports.is_ok_and(|output| output.status.success()) {
        return peer::skip("no python3 with the module prometheus_client");
    }
    let server = refusing();
    let run = Run::start(&server, &LONG);
    let page = run.page_where(|page| page.contains("kv_bench_trusted "));
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families\n\
        families = list(text_string_to_metric_families(sys.stdin.read()))\n\
        assert len(families) > 15, families\n\
        untold = [family.name for family in families if not family.documentation]\n\
        assert not untold, untold\n";
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}\n{page}", stderr(&output));
}

#[test]
fn what_is_no_scrape_is_answered_and_who_says_nothing_keeps_nobody_waiting() {
    let server = Server::start(|_, _| Answer::Normal);
    let run = Run::start(&server, &LONG);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /other HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("\u{16}\u{3}\u{1}", "400 Bad Request"),
    ] {
        let (head, body) = run.get(request);
        assert_eq!(head.lines().next().unwrap(), format!("HTTP/1.1 {status}"), "{request:?}");
        assert!(!body.contains("kv-server"), "{body}");
    }
    let silent: Vec<TcpStream> =
        (0..100).map(|_| TcpStream::connect(&run.address).unwrap()).collect();
    run.page();
    drop(silent);
}

#[test]
fn a_port_that_is_taken_is_refused_before_anything_is_done() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = TempDir::new().unwrap();
    let out = dir.path().join("results");
    let port = address.port().to_string();
    let output = kv_bench(&["run", "--metrics-port", &port, "--out"]).arg(&out).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let fix = format!(
        "cannot listen on {address} for --metrics-port: choose another port, or 0 for any that is free"
    );
    assert!(message.contains(&fix) && message.lines().count() == 1, "{message}");
    assert!(!out.exists());
    assert_refused(&[
        (&["--metrics-port", "many"], "--metrics-port many: no port from 0 to 65535 (such as 9122"),
        (&["--metrics-port", "65536"], "--metrics-port 65536: no port from 0 to 65535"),
        (&["--metrics-port", "localhost:1"], "0.0.0.0:9122 for other machines)"),
    ]);
}
