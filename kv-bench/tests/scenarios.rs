//! Scenario files: flags by their names, in TOML.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use kv_bench::report;
use kv_bench::result::RunResult;
use peer::Redis;
use program::{kv_bench, stderr};
use tempfile::TempDir;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// What `words` and a file of `text` come to, and its result if it has one.
fn run(words: &[&str], text: &str) -> (Output, Option<RunResult>) {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("it.toml");
    fs::write(&file, text).expect("room");
    let (first, rest) = words.split_first().expect("a subcommand");
    let mut command = kv_bench(&[first, "--scenario"]);
    let command = command.arg(&file).args(rest).arg("--out").arg(dir.path().join("results"));
    let output = command.output().expect("it runs");
    (output, report::json::load(&dir.path().join("results/result.json")).ok())
}

fn finished(words: &[&str], text: &str) -> RunResult {
    let (output, result) = run(words, text);
    assert!(output.status.success(), "{}", stderr(&output));
    result.expect("a result")
}

const SMALL: &str = r#"
name = "small"
servers = 1
threads = 1
clients = 3          # each its own
requests = 3_000
warmup = "0"
mix = "get=1,put=1"
keys = "1k"
value-size = 64
quiet = true
"#;

#[test]
fn a_file_is_what_would_have_been_typed() {
    let result = finished(&["run"], SMALL);
    let scenario = &result.scenario;
    assert_eq!((result.name.as_str(), scenario.servers, scenario.clients), ("small", 1, 3));
    assert_eq!(
        (scenario.requests, scenario.keys, scenario.mix.as_str()),
        (Some(3_000), 1_000, "get=1,put=1")
    );
    assert_eq!(scenario.value_size_bytes, 64);
    // What ran can be typed again without the file.
    let command = &scenario.command;
    assert!(!command.contains("scenario") && command.contains("--value-size=64"), "{command}");
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let again = kv_bench(&words).args(["--json", "-"]).output();
    let again = again.expect("it runs");
    let again: RunResult = serde_json::from_slice(&again.stdout).expect("a result");
    assert_eq!(again.scenario.operations_digest, scenario.operations_digest);
    fs::remove_dir_all(out_of(command)).expect("the second replaced the first");
}

/// The folder that a command line names.
fn out_of(command: &str) -> PathBuf {
    let mut words = command.split(' ');
    words.by_ref().find(|word| *word == "--out").expect("these tests name one");
    PathBuf::from(words.next().expect("its name"))
}

#[test]
fn what_is_typed_wins_over_the_file() {
    let result = finished(&["run", "--keys", "50", "-c", "2"], SMALL);
    assert_eq!((result.scenario.keys, result.scenario.clients), (50, 2));
    // Also over what it excludes.
    let result = finished(&["run", "--duration", "200ms"], SMALL);
    assert_eq!((result.scenario.requests, result.scenario.duration_s), (None, Some(0.2)));
    let text = SMALL.replace("requests = 3_000", "duration = \"1h\"");
    let result = finished(&["run", "--requests", "10"], &text);
    assert_eq!((result.scenario.requests, result.scenario.duration_s), (Some(10), None));
    let Some(redis) = Redis::start(&[]) else { return };
    let target = format!("redis://127.0.0.1:{}", redis.port);
    let result = finished(&["run", "--target", &target], SMALL);
    assert_eq!((result.scenario.servers, result.scenario.targets.len()), (0, 1));
}

/// What is typed, and a setting of the file that it leaves nothing of.
#[test]
fn what_is_typed_takes_the_place_of_what_belongs_to_another() {
    let base = SMALL.replace("mix = \"get=1,put=1\"\n", "").replace("value-size = 64\n", "");
    let rows: [(&[&str], &str); 10] = [
        (&["--workload", "ycsb-b"], "mix = \"put\""),
        (&["--workload", "ycsb-b"], "key-distribution = \"sequential\""),
        (&["--workload", "ycsb-b"], "value-size = 5"),
        (&["--workload", "ycsb-b"], "value = \"x\""),
        (&["--workload", "ycsb-b"], "compressibility = \"0.5\""),
        (&["--workload", "ycsb-b"], "ttl = \"60s\""),
        (&["--workload", "ycsb-b"], "command = [\"PING\"]\ncommand-ratio = [2]"),
        (&["--command", "PING"], "command = [\"PING\", \"GET __key__\"]\ncommand-ratio = [2, 3]"),
        (&["--mix", "get=1"], "command = [\"PING\"]\ncommand-ratio = [2]"),
        (&["--think-time", "1us"], "rate = \"1k\"\narrivals = \"constant\""),
    ];
    for (typed, settings) in rows {
        let words = [&["run"], typed].concat();
        let [alone, beside] = [base.clone(), format!("{base}{settings}\n")].map(|text| {
            let mut scenario = finished(&words, &text).scenario;
            scenario.command.clear();
            scenario
        });
        assert_eq!(beside, alone, "{typed:?} beside {settings}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    let cases = [
        ("\nthread = 1", "it.toml:2: there is no setting 'thread': did you mean threads?"),
        (
            "key_distribution = \"uniform\"",
            "it.toml:1: there is no setting 'key_distribution': did you mean key-distribution?",
        ),
        ("scenario = \"a\"", "it.toml:1: a scenario file names no other: put its settings here"),
        (
            "slo = [\"p99=1ms\"]",
            "it.toml:1: 'slo' belongs to another subcommand: kv-bench find-max",
        ),
        (
            "colour = 1",
            "it.toml:1: there is no setting 'colour': they are the flags of kv-bench run",
        ),
        (
            "curve-time = \"9s\"",
            "it.toml:1: 'curve-time' belongs to another subcommand: kv-bench curve",
        ),
        ("threads = 1\nkeys = \"many\"", "it.toml:2: --keys many: 'many' is not a count"),
        ("quiet = \"yes\"", "it.toml:1: 'quiet' is true or false, such as quiet = true"),
        ("keys = [1]", "it.toml:1: 'keys' is one number or text, and this is a list"),
        ("[load]\nkeys = 1", "it.toml:1: there is no setting 'load'"),
        ("rate = 2020-01-01", "'rate' is one number or text, and this is a date"),
        ("keys = 1\nkeys = 2", "it.toml:2: duplicate key"),
        ("keys = ", "it.toml:1: "),
        ("keys = 99999999999999999999", "it.toml:1: 'keys' is too large a number"),
        ("duration = \"1s\"\nrequests = 1", "it.toml: --duration cannot be used with"),
        ("\narrivals = \"constant\"", "it.toml:2: --arrivals constant: only at a --rate"),
        ("mix = \"scan\"", "it.toml:1: --mix: unknown operation 'scan'"),
        ("verify = true\nttl = \"1s\"", "it.toml:1: --verify: only for gets, puts and deletes"),
        ("\n\nrate = \"fast\"", "it.toml:3: --rate fast: "),
        ("target = [\"http://x\"]", "it.toml:1: --target: 'http://x': http:// targets"),
    ];
    for (text, expected) in cases {
        let (output, result) = run(&["run"], text);
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}: {message}");
        assert!(message.contains(expected), "{text}: {message}");
        assert_eq!((message.lines().count(), result), (1, None), "{message}");
    }
    let output = kv_bench(&["run", "--scenario", "no/such.toml"]).output().expect("it runs");
    let message = stderr(&output);
    assert!(
        message.contains("cannot read the scenario file no/such.toml: No such file"),
        "{message}"
    );
    assert_eq!(output.status.code(), Some(2));
}

/// Each as its first lines say, but for a moment.
#[test]
fn every_example_runs() {
    let redis = Redis::start(&["--save", ""]);
    let mut files: Vec<_> = fs::read_dir(examples()).expect("examples").flatten().collect();
    files.sort_by_key(fs::DirEntry::path);
    assert!(files.len() >= 5);
    for file in files {
        let path = file.path();
        let text = fs::read_to_string(&path).expect("text");
        // What runs with a trace of its own is `the_example_of_a_trace_runs`.
        if text.contains("\ntrace =") {
            continue;
        }
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let typed = text.lines().find(|line| line.contains(&format!("scenarios/{name}")));
        let typed = typed.unwrap_or_else(|| panic!("{name} says how it is run"));
        let is_curve = !typed.contains("kv-bench run ");
        let mut words = vec!["--quiet", "--keys", "200", "--warmup", "0"];
        let target = redis.as_ref().map(|redis| format!("redis://127.0.0.1:{}", redis.port));
        match (text.contains("\ntarget ="), &target) {
            (true, Some(target)) => words.extend(["--target", target]),
            (true, None) => continue,
            (false, _) => {}
        }
        words.extend(["--requests", "300"]);
        if text.contains("\nrate =") {
            words.extend(["--rate", "2k"]);
        }
        if is_curve {
            words.extend(["--curve-time", "1200ms", "--servers", "1"]);
        }
        let dir = TempDir::new().expect("a folder");
        let mut command = kv_bench(if is_curve { &[] } else { &["run"] });
        command.arg("--scenario").arg(&path).args(&words).arg("--out").arg(dir.path());
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let result = report::json::load(&dir.path().join("result.json")).expect("a result");
        assert_eq!(result.headline.errors, 0, "{name}: {:?}", result.warnings);
        assert!(result.headline.operations >= 300, "{name}");
    }
}
