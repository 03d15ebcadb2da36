//! Metrics as Prometheus finds them, with its own parser as the judge of the format.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{Namespace, Served, Wire, eventually, python_with, request};

fn serve() -> Served {
    Served::with(|config| config.metrics_port = Some(0))
}

fn get(served: &Served, request: &str) -> (String, String) {
    let mut wire = Wire::to(served.address_for("metrics:"));
    wire.send(request);
    let answer = String::from_utf8(wire.rest()).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    (head.to_owned(), body.to_owned())
}

fn page(served: &Served) -> String {
    let (head, body) = get(served, "GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
    body
}

/// The value of a figure, with its labels as they are written.
#[track_caller]
fn figure(page: &str, name: &str) -> f64 {
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {page}"))
}

#[test]
fn the_page_is_what_prometheus_reads() {
    let Some(python) = python_with("prometheus_client") else { return };
    let served = serve();
    served.connect().ask("SET k v", "+OK\r\n").ask("GET k", "$1\r\nv\r\n").send("NO\r\n").line();
    let page = page(&served);
    let script = "import sys\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families\n\
        families = list(text_string_to_metric_families(sys.stdin.read()))\n\
        assert len(families) > 30, families\n\
        untold = [family.name for family in families if not family.documentation]\n\
        assert not untold, untold\n";
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("python runs");
    child.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}\n{page}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn figures_count_what_was_asked() {
    let served = serve();
    let mut wire = served.connect();
    for key in 0..10 {
        wire.ask(&format!("SET key{key} v"), "+OK\r\n");
    }
    wire.ask("GET key1", "$1\r\nv\r\n").ask("GET none", "$-1\r\n");
    wire.ask("EXPIRE key1 1000", ":1\r\n");
    wire.ask("INCR key1", "-ERR value is not an integer or out of range\r\n");
    let page = page(&served);
    for (name, value) in [
        ("kv_connected_clients", 1.0),
        ("kv_connections_accepted_total", 1.0),
        ("kv_commands_processed_total", 14.0),
        ("kv_commands_total{command=\"set\"}", 10.0),
        ("kv_commands_total{command=\"get\"}", 2.0),
        ("kv_commands_failed_total{command=\"incr\"}", 1.0),
        ("kv_error_replies_total{error=\"ERR\"}", 1.0),
        ("kv_keyspace_hits_total", 1.0),
        ("kv_keyspace_misses_total", 1.0),
        ("kv_keys{db=\"0\"}", 10.0),
        ("kv_expiring_keys{db=\"0\"}", 1.0),
        ("kv_command_run_seconds_count{family=\"read\"}", 2.0),
        ("kv_command_run_seconds_count{family=\"write\"}", 12.0),
        ("kv_command_run_seconds_bucket{le=\"+Inf\",family=\"write\"}", 12.0),
        ("kv_evicted_keys_total", 0.0),
        ("kv_memory_max_bytes", 0.0),
        ("kv_memory_used_bytes", wire.info("used_memory") as f64),
        ("kv_loading", 0.0),
        ("kv_writes_refused", 0.0),
        ("kv_durability_info{mode=\"none\"}", 1.0),
    ] {
        assert!((figure(&page, name) - value).abs() < 1e-9, "{name} is not {value} in {page}");
    }
    assert!(figure(&page, "process_resident_memory_bytes") > 1e6);
    assert!(figure(&page, "process_cpu_seconds_total") >= 0.0);
}

#[test]
fn what_is_no_scrape_is_answered_in_the_words_of_http() {
    let served = serve();
    let long = format!("GET /metrics HTTP/1.1\r\nCookie: {}", "x".repeat(10_000));
    for (request, status) in [
        ("GET /metrics?name[]=up HTTP/1.0\r\n\r\n", "200 OK"),
        ("GET / HTTP/1.1\r\n\r\n", "200 OK"),
        ("GET /other HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody", "405 Method Not Allowed"),
        ("*1\r\n$4\r\nPING\r\n", "400 Bad Request"),
        ("\u{16}\u{3}\u{1}", "400 Bad Request"),
        (&long, "431 Request Header Fields Too Large"),
    ] {
        let (head, _) = get(&served, request);
        let line = format!("HTTP/1.1 {status}");
        assert_eq!(head.lines().next(), Some(line.as_str()), "for {request:.40}");
    }
    let (head, body) = get(&served, "HEAD /metrics HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK") && body.is_empty());
}

#[test]
fn scrapes_within_a_second_cost_one_page() {
    let served = serve();
    let mut wire = served.connect();
    let mut keys = 0;
    eventually("one page is shown twice", || {
        let first = page(&served);
        keys += 1;
        wire.ask(&format!("SET {keys} v"), "+OK\r\n");
        page(&served) == first
    });
    eventually("a new page is made", || {
        (figure(&page(&served), "kv_keys{db=\"0\"}") - f64::from(keys)).abs() < 1e-9
    });
}

#[test]
fn a_scraper_on_another_machine_is_told_of_protected_mode() {
    let Some(elsewhere) = Namespace::create() else { return };
    let served = Served::with(|config| {
        config.bind = vec![elsewhere.host];
        config.metrics_port = Some(0);
    });
    let ask = || get(&served, "GET /metrics HTTP/1.1\r\n\r\n");
    let (head, body) = elsewhere.enter(ask);
    assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
    assert!(body.contains("protected mode"), "{body}");
}

#[test]
fn visitors_who_say_nothing_keep_nobody_from_the_figures() {
    let served = serve();
    let address = served.address_for("metrics:");
    let mut silent: Vec<Wire> = (0..100).map(|_| Wire::to(address)).collect();
    for wire in &mut silent {
        // Those who came first were closed already.
        drop(wire.stream.write_all(b"GET /metr"));
    }
    page(&served);
    for wire in &mut silent {
        wire.stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket option");
        assert!(wire.rest().is_empty(), "closed without a word");
    }
}

#[test]
fn a_page_that_nobody_takes_costs_no_time() {
    let served = serve();
    let mut lazy = Wire::to(served.address_for("metrics:"));
    lazy.send(b"GET /metrics HTTP/1.1\r\n\r\n".repeat(10));
    page(&served);
    let mut wire = served.connect();
    wire.send(request(&[b"PING"])).expect("+PONG\r\n");
}
