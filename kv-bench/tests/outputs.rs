//! What a run leaves, where, and what happens when it cannot.

mod program;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kv_bench::report;
use kv_bench::result::RunResult;
use program::{kv_bench, stderr, wait_for};
use tempfile::TempDir;

#[test]
fn a_reader_of_the_output_that_goes_away_does_not_fail_the_run() {
    let dir = TempDir::new().expect("a folder");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = short_run(&["run"], dir.path()).stdout(writer).output().expect("it runs");
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(&output));
    let result = report::json::load(&dir.path().join("result.json")).expect("a result");
    assert!(!result.partial);
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = kv_bench(&["completions", "bash"]).stdout(writer).output().expect("it runs");
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(&output));
}

#[test]
fn nobody_to_hear_a_complaint_leaves_the_exit_code_as_it_is() {
    let dir = TempDir::new().expect("a folder");
    let status = |words: &[&str]| {
        let full = fs::File::options().write(true).open("/dev/full").expect("a device");
        let mut command = short_run(words, dir.path());
        command.stdout(Stdio::null()).stderr(full).status().expect("it runs").code()
    };
    assert_eq!(status(&["run"]), Some(0));
    assert_eq!(status(&["run", "--threads", "0"]), Some(2));
    assert_eq!(status(&["run", "--mix", "scan"]), Some(2));
    assert_eq!(status(&["run", "--server-bin", "/nowhere/server"]), Some(1));
    fs::remove_file(dir.path().join("result.json")).expect("written");
    fs::create_dir(dir.path().join("result.json")).expect("writable");
    assert_eq!(status(&["curve", "--curve-time", "1200ms"]), Some(1));
}

#[test]
fn what_cannot_be_written_is_shown_all_the_same() {
    let dir = TempDir::new().expect("a folder");
    let extra = dir.path().join("extra.json");
    fs::create_dir(dir.path().join("result.json")).expect("writable");
    let output = short_run(&["curve", "--curve-time", "1200ms", "--json"], dir.path())
        .arg(&extra)
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("result.json"), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("1,000 operations in") && text.contains("Up to "), "{text}");
    assert!(!text.contains("results: "), "{text}");
    assert_eq!(report::json::load(&extra).expect("a result").points.len(), 1);
}

#[test]
fn a_run_killed_during_its_curve_leaves_a_partial_result_and_its_latencies() {
    let dir = TempDir::new().expect("a folder");
    let mut run = short_run(&["curve", "--threads", "4"], dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    wait_for(|| dir.path().join("latency.hlog").exists().then_some(()));
    run.kill().expect("it runs");
    run.wait().expect("it was ours");
    let result = report::json::load(&dir.path().join("result.json")).expect("a result");
    assert!(result.partial);
    assert_eq!(result.headline.operations, 1000);
}

#[test]
fn a_reused_folder_holds_the_files_of_one_run() {
    let dir = TempDir::new().expect("a folder");
    let run = |mix: &str| {
        let output = short_run(&["run", "--plots", "--mix", mix], dir.path()).output();
        assert!(output.expect("it runs").status.success());
        let mut names: Vec<_> = fs::read_dir(dir.path())
            .expect("readable")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("ASCII"))
            .filter(|name| name.contains("_us."))
            .collect();
        names.sort();
        names
    };
    assert_eq!(run("put"), ["PUT-service_us.hgrm"]);
    fs::write(dir.path().join("mine_us.hgrm"), "").expect("writable");
    fs::write(dir.path().join("latency-vs-throughput.png"), "of a curve").expect("writable");
    assert_eq!(run("get"), ["GET-service_us.hgrm", "mine_us.hgrm"]);
    assert!(!dir.path().join("latency-vs-throughput.png").exists());
    assert!(dir.path().join("percentiles.png").exists());
}

#[test]
fn runs_that_begin_together_get_a_folder_each() {
    let dir = TempDir::new().expect("a folder");
    let runs: Vec<Child> = (0..4)
        .map(|_| {
            let words = ["run", "--requests", "1000", "--keys", "1k", "--name", "twin"];
            kv_bench(&words)
                .current_dir(dir.path())
                .env("TMPDIR", dir.path())
                .stdout(Stdio::null())
                .spawn()
                .expect("it runs")
        })
        .collect();
    for mut run in runs {
        assert!(run.wait().expect("it was ours").success());
    }
    let folders = fs::read_dir(dir.path().join("results")).expect("made").count();
    assert_eq!(folders, 4);
    let output = kv_bench(&["run", "--target", "127.0.0.1:1"]).current_dir(dir.path()).output();
    assert_eq!(output.expect("it runs").status.code(), Some(1));
    let folders = fs::read_dir(dir.path().join("results")).expect("made").count();
    assert_eq!(folders, 4, "a run that measured nothing leaves no folder");
}

#[test]
fn thin_percentiles_of_a_rare_kind_are_among_the_warnings() {
    let dir = TempDir::new().expect("a folder");
    let warnings = |mix: &str| {
        let output = short_run(&["run", "--mix", mix], dir.path()).output().expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        let result = report::json::load(&dir.path().join("result.json")).expect("a result");
        result.warnings.join("\n")
    };
    let both = warnings("get=90,put=10");
    assert!(both.contains("of GET-service (") && both.contains("of PUT-service ("), "{both}");
    let one = warnings("get");
    assert!(one.contains("service: fewer than 100") && !one.contains("by kind"), "{one}");
}

#[test]
fn the_start_of_the_log_is_the_start_of_the_measurement() {
    let dir = TempDir::new().expect("a folder");
    let before = std::time::SystemTime::now();
    let output = short_run(&["run", "--warmup", "500ms"], dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let log = fs::read_to_string(dir.path().join("latency.hlog")).expect("a log");
    let base = log.lines().find_map(|line| line.strip_prefix("#[BaseTime: ")).expect("it is there");
    let base: f64 = base.split(' ').next().expect("a number").parse().expect("a number");
    let warm = before + Duration::from_millis(500);
    let warm = warm.duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!(base > warm - 0.001, "the warm-up is over at {warm}, the log begins at {base}");
}

#[test]
fn the_extra_result_goes_through_links_and_into_pipes() {
    let (dir, extra) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let path = |name: &str| extra.path().join(name);
    fs::write(path("old.json"), "old").expect("writable");
    for (link, file) in [("link", "old.json"), ("dangling", "new.json")] {
        std::os::unix::fs::symlink(file, path(link)).expect("writable");
        let output = short_run(&["run", "--json"], dir.path()).arg(path(link)).output();
        assert!(output.expect("it runs").status.success());
        assert!(path(link).is_symlink(), "{link} stays a link");
        report::json::load(&path(file)).expect("a result");
    }
    let made = Command::new("mkfifo").arg(path("pipe")).status().expect("it is everywhere");
    assert!(made.success());
    let pipe = path("pipe");
    let reader = std::thread::spawn(move || fs::read_to_string(pipe));
    let words = ["curve", "--curve-time", "1200ms", "--json"];
    let output = short_run(&words, dir.path()).arg(path("pipe")).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = reader.join().expect("no panic").expect("UTF-8");
    let result: RunResult = serde_json::from_str(&text).expect("one result");
    assert_eq!(result.points.len(), 1);
}

#[test]
fn the_extra_result_may_be_the_output() {
    let dir = TempDir::new().expect("a folder");
    let words = ["curve", "--quiet", "--curve-time", "1200ms", "--json", "/dev/stdout"];
    let output = short_run(&words, dir.path()).output().expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result: RunResult = serde_json::from_slice(&output.stdout).expect("one result");
    assert_eq!(result.points.len(), 1);
}

#[test]
fn a_dash_is_the_output_and_has_it_alone() {
    let dir = TempDir::new().expect("a folder");
    let run = |words: &[&str]| {
        let output = short_run(&[&["run", "--json", "-"], words].concat(), &dir.path().join("r"))
            .env("TMPDIR", dir.path())
            .current_dir(dir.path())
            .output()
            .expect("it runs");
        assert!(output.status.success(), "{}", stderr(&output));
        let result: RunResult = serde_json::from_slice(&output.stdout).expect("one result");
        assert_eq!(result.headline.operations, 1000);
        stderr(&output)
    };
    let shown = run(&[]);
    assert!(shown.starts_with("1 server (none) · ") && shown.contains("results: "), "{shown}");
    assert_eq!(run(&["--quiet"]), "");
    let names: Vec<_> = fs::read_dir(dir.path()).expect("readable").flatten().collect();
    assert_eq!(names.len(), 1, "the folder, and no file named -: {names:?}");
}

/// The system ended kv-bench without a word.
#[test]
fn a_limit_on_the_size_of_files_is_a_failure_that_is_told_and_spares_what_fits() {
    let dir = TempDir::new().expect("a folder");
    // 4 KiB: the result is longer, most of the rest is shorter.
    let output = Command::new("sh")
        .args(["-c", "ulimit -f 8; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_kv-bench")])
        .args(["run", "--requests", "1000", "--keys", "1k", "--out"])
        .arg(dir.path().join("results"))
        .env("TMPDIR", dir.path())
        .output()
        .expect("a shell");
    assert_eq!(output.status.code(), Some(1), "{:?}: {}", output.status, stderr(&output));
    let message = stderr(&output);
    let file = dir.path().join("results/result.json");
    let told = format!("cannot write {} (raise `ulimit -f`): File too large", file.display());
    assert!(message.lines().last().is_some_and(|line| line.contains(&told)), "{message}");
    assert!(!file.exists(), "no half of it");
    for name in ["points.csv", "latency.hlog", "report.md"] {
        assert!(dir.path().join("results").join(name).exists(), "{name}: {message}");
    }
    assert!(String::from_utf8_lossy(&output.stdout).contains("1,000 operations in"));
}

/// A thousand operations on a server of our own, with results and temporary folders in `dir`.
fn short_run(words: &[&str], dir: &Path) -> Command {
    let mut command = kv_bench(&words[..1]);
    command.args(["--requests", "1000", "--keys", "1k", "--out"]).arg(dir);
    command.args(&words[1..]).env("TMPDIR", dir);
    command
}

#[test]
fn a_run_that_measures_nothing_leaves_no_folder_and_spares_those_of_others() {
    let dir = TempDir::new().expect("a folder");
    let run = |words: &[&str]| {
        let output = kv_bench(&["run", "--target", "127.0.0.1:1"])
            .args(words)
            .current_dir(dir.path())
            .output()
            .expect("it runs");
        (output.status.code(), stderr(&output))
    };
    let (code, said) = run(&["--json", "nowhere/x.json"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("cannot write --json nowhere/x.json"), "{said}");
    run(&["--out", "a/b/c"]);
    run(&[]);
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
    fs::write(dir.path().join("thesis.tex"), "").expect("writable");
    let (code, said) = run(&["--out", "."]);
    assert_eq!(code, Some(2));
    let expected = "error: --out .: this folder holds other things than a result (thesis.tex, ...): \
                    name a new one, such as --out ./run-1\n";
    assert_eq!(said, expected);
}
