//! The tools that come with Redis, against ours: redis-cli and redis-benchmark.

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use support::{Served, is_there};

/// Runs a tool against a server, with this on its standard input.
fn run(tool: &str, served: &Served, args: &[&str], input: &str) -> Option<Output> {
    if !is_there(tool) {
        return None;
    }
    let mut command = Command::new(tool);
    command.args(["-p", &served.address.port().to_string()]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    Some(child.wait_with_output().expect("our child"))
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[test]
fn redis_cli_asks_in_both_protocols() {
    let served = Served::start();
    for protocol in ["-2", "-3"] {
        let lines =
            "SET k v\nGET k\nGET none\nINCR n\nMULTI\nGET k\nEXEC\nSELECT 3\nDBSIZE\nNOSUCH\n";
        let Some(output) = run("redis-cli", &served, &[protocol, "-n", "2"], lines) else { return };
        let text = said(&output);
        let answers: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
        let error = "ERR unknown command 'NOSUCH', with args beginning with: ";
        let n = if protocol == "-2" { "1" } else { "2" };
        assert_eq!(answers, ["OK", "v", n, "OK", "QUEUED", "v", "OK", "0", error]);
    }
}

#[test]
fn redis_cli_loads_a_pipe_and_walks_the_keys() {
    let served = Served::start();
    let lines: Vec<String> =
        (0..5000).map(|number| format!("SET key:{number} {number}\r\n")).collect();
    let Some(output) = run("redis-cli", &served, &["--pipe"], &lines.concat()) else { return };
    assert!(said(&output).contains("errors: 0, replies: 5000"), "{output:?}");
    let walked = run("redis-cli", &served, &["--scan", "--pattern", "key:12*"], "");
    assert_eq!(said(&walked.expect("it is there")).lines().count(), 111);
    for report in ["--bigkeys", "--memkeys"] {
        let text = said(&run("redis-cli", &served, &[report], "").expect("it is there"));
        assert!(text.contains("Sampled 5000 keys in the keyspace"), "{text}");
    }
    let info = said(&run("redis-cli", &served, &["INFO", "server"], "").expect("it is there"));
    assert!(info.contains("server_name:kv-server"), "{info}");
}

#[test]
fn redis_benchmark_runs_its_tests() {
    let served = Served::start();
    for args in [&["-P", "1"][..], &["-P", "16", "-3"], &["-P", "4", "-c", "20", "--threads", "2"]]
    {
        let args = [&["-t", "set,get,incr,mset", "-n", "2000", "-q"], args].concat();
        let Some(output) = run("redis-benchmark", &served, &args, "") else { return };
        let text = format!("{}{}", said(&output), String::from_utf8_lossy(&output.stderr));
        for test in ["SET: ", "GET: ", "INCR: ", "MSET (10 keys): "] {
            assert!(text.contains(test), "{test} in {text}");
        }
        assert!(!text.contains("WARNING") && !text.contains("rror"), "{text}");
    }
    let counter = said(
        &run("redis-cli", &served, &["GET", "counter:__rand_int__"], "").expect("it is there"),
    );
    assert_eq!(counter.trim(), "6000");
}
