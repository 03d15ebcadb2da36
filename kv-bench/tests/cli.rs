//! kv-bench as its user meets it: the real program, real servers, exit codes and messages.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod processes;
mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use kv_bench::report;
use kv_bench::result::{RunResult, Verdict};
use peer::Redis;
use processes::{cpu_ticks, script, servers_in, signal};
use program::{assert_refused, kv_bench, stderr, wait_for};
use tempfile::TempDir;

/// Runs against `redis` with results in `dir`, and returns the result that was written.
fn measure(redis: &Redis, dir: &Path, words: &[&str]) -> RunResult {
    let target = format!("redis://127.0.0.1:{}", redis.port);
    let dir = dir.to_str().expect("a plain path");
    let output = kv_bench(&["run", "--target", &target, "--out", dir, "--warmup", "0"])
        .args(words)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    report::json::load(&Path::new(dir).join("result.json")).expect("a result")
}

#[test]
fn wrong_usage_is_refused_with_the_rule_and_a_valid_form() {
    let cases: &[(&[&str], &str)] = &[
        (&["--threads", "0"], "--threads 0: must be from 1 to 1,024 (such as --threads 4)"),
        (&["--clients", "0"], "--clients 0: must be from 1"),
        (&["--pipeline", "0"], "--pipeline 0: must be from 1"),
        (&["--requests", "0"], "--requests 0: must be from 1"),
        (&["--requests", "many"], "'many' is not a count (such as 1000, 100k, 1.5m, 2g)"),
        (&["--duration=-5s"], "'-5s' is not a duration (such as 10s, 5ms"),
        (&["--duration", "1ms"], "must be at least 100ms"),
        (&["--timeout", "0"], "must be at least 1ms"),
        (&["--mix", "scan=1"], "unknown operation 'scan' (known: get, put, delete"),
        (&["--mix", "get=1,get=2"], "'get' is named twice"),
        (&["--mix", "get=0"], "every weight is 0"),
        (&["--servers", "0"], "--servers 0: must be from 1 to 64"),
        (&["--servers", "localhost"], "the port is missing"),
        (&["--target", "http://127.0.0.1:80"], "http:// targets are not supported"),
        (&["--target", "127.0.0.1:1", "--target", "127.0.0.1:1"], "named twice"),
        (&["--target", "127.0.0.1:1", "--servers", "2"], "cannot be used with"),
        (&["--requests", "10", "--duration", "1s"], "cannot be used with"),
        (&["--ring", "modulo"], "unknown ring (known: slots, ketama, uhashring)"),
        (
            &["--durability", "sometimes"],
            "no such mode (valid: none, snapshot, os, everysec, always)",
        ),
        (
            &["--servers", "127.0.0.1:1", "--durability", "always"],
            "--durability always: only for servers that kv-bench spawns",
        ),
        (
            &["--servers", "127.0.0.1:1", "--server-bin", "redis-server"],
            "--server-bin redis-server: only for servers that kv-bench spawns",
        ),
        (&["--name", "../x"], "only letters, digits"),
        (&["--keys", "0"], "--keys 0: must be from 1"),
        (&["--timeout", "0"], "--timeout 0s: must be"),
        (&["--timeout", "61m"], "--timeout 3660s: must be at most 1h"),
        // It lasted 0.29 s: what is beyond 64 bits of nanoseconds.
        (&["--duration", "18446744074s"], "--duration 18446744074s: must be at most 8760h"),
        (&["--warmup", "18446744074s"], "--warmup 18446744074s: must be at most 8760h"),
        (&["--requests", "99999999999999999999"], "'99999999999999999999' is too large"),
        (&["--insecure"], "--insecure: only for rediss:// targets, and there is none"),
        (&["--servers", ""], "--servers '': must be a number or addresses (such as --servers 4)"),
        (
            &["--target", "127.0.0.1:1,127.0.0.1:2"],
            "repeat --target for each server (such as --target a:65432 --target b:65432)",
        ),
        (&["--threads", "-1"], "--threads -1: '-1' is not a count"),
        (&["--seed", "x"], "--seed x: must be a whole number (such as --seed 1)"),
        (&["--requests="], "--requests '': '' is not a count"),
        (&["--strict=yes"], "--strict takes no value: it is given or left out"),
        (&["--curve-time", "1s"], "belongs to another subcommand: kv-bench curve --curve-time"),
        (&["extra"], "'extra' is a word too many (usage: kv-bench run [OPTIONS]; kv-bench run --"),
        (&["--duration", "-1s"], "there is no flag -1, and no value here may be below 0 (usage: "),
        (&["--target", "memcached:///"], "the socket's path is missing (valid: host:port"),
        (&["--target", "unix:///"], "the socket's path is missing (valid: host:port"),
        (&["--verify", "--mix", "rmw"], "leave out what asks for them (such as --verify --mix"),
        (
            &["--target", "memcached://127.0.0.1:1", "--command", "GET __key__"],
            "ask it with --mix (such as --mix get=90,put=10)",
        ),
        (&["--command", "SUBSCRIBE a"], "choose one that has one reply (such as --command"),
        (&["--json", "/tmp"], "--json /tmp: it is a folder; name a file in it"),
        (&["--out", "-"], "--out -: a folder is meant here: name one, such as --out run-1 (the"),
        (&["--out", "/etc"], "--out /etc: this folder holds other things than a result ("),
    ];
    assert_refused(cases);
}

#[test]
fn a_spawned_server_goes_by_its_name() {
    let dir = TempDir::new().expect("a folder");
    let mut run = start_long_run(dir.path(), &[]);
    let servers = wait_for_load(dir.path());
    for pid in servers {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("it runs");
        assert_eq!(name, "kv-server\n");
        let words = fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
        assert!(words.starts_with(b"kv-bench\0serve\0"), "{:?}", words.escape_ascii().to_string());
    }
    signal(run.id(), "INT");
    assert_eq!(run.wait().expect("ours").code(), Some(1));
}

#[test]
fn a_flag_that_is_none_is_told_which_was_meant_when_one_is_near() {
    assert_refused(&[
        (&["--thread", "2"], "there is no flag --thread: did you mean --threads?"),
        (&["--ur", "127.0.0.1:1"], "there is no flag --ur: did you mean --target?"),
        (&["--test-tim", "1s"], "there is no flag --test-tim: did you mean --duration?"),
        // clap takes --requests for similar.
        (&["--log-requests"], "there is no flag --log-requests (kv-bench run --help lists them)"),
        (&["--bogus"], "there is no flag --bogus (usage: kv-bench run [OPTIONS]; "),
        (&["--sevrers", "2"], "there is no flag --sevrers: did you mean --servers?"),
        (&["--dur", "2s"], "there is no flag --dur: did you mean --duration?"),
        (&["-z"], "there is no flag -z (usage: kv-bench run [OPTIONS]; "),
    ]);
}

#[test]
fn flags_before_the_subcommand_are_told_their_place() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--threads", "2", "run"],
            "error: --threads belongs behind the subcommand: kv-bench run --threads <N>\n",
        ),
        (
            &["completions", "tcsh"],
            "error: SHELL tcsh: must be one of bash, elvish, fish, powershell, zsh\n",
        ),
        (
            &["--curve-time", "0s"],
            "error: --curve-time 0s: must be at least 1.2s, for one point (such as --curve-time 10s; \
             without a curve it is kv-bench run)\n",
        ),
        (
            &["rnu"],
            "error: there is no subcommand 'rnu': it is one of run, curve, find-max, report, selftest, completions\n",
        ),
    ];
    for (words, expected) in cases {
        let output = kv_bench(words).output().expect("it runs");
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(2), *expected));
    }
}

#[test]
fn a_server_that_is_not_there_is_named_and_leaves_no_folder() {
    let dir = TempDir::new().expect("a folder");
    let out = dir.path().join("results");
    let target = format!("127.0.0.1:{}", peer::free_port());
    let output =
        kv_bench(&["run", "--target", &target, "--out"]).arg(&out).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let message = stderr(&output);
    assert!(message.contains(&format!("cannot reach {target}")), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(!out.exists());
}

#[test]
fn a_host_that_is_not_known_fails_the_run_and_is_no_wrong_usage() {
    for words in [["--target", "nowhere.invalid:6379"], ["--servers", "a=nowhere.invalid:6379"]] {
        let output = kv_bench(&["run"]).args(words).output().expect("it runs");
        let message = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{message}");
        let expected = format!("error: {}: cannot find host 'nowhere.invalid': ", words[0]);
        assert!(message.starts_with(&expected), "{message}");
        assert!(
            message.ends_with(" (see whether it is spelt so, or give its address)\n"),
            "{message}"
        );
    }
}

#[test]
fn a_socket_without_a_server_is_named_with_what_would_do() {
    let dir = TempDir::new().expect("a folder");
    let socket = dir.path().join("kv.sock");
    let said = |target: &str| {
        let output = kv_bench(&["run", "--target", target]).current_dir(dir.path()).output();
        let output = output.expect("it runs");
        assert_eq!(output.status.code(), Some(1));
        stderr(&output)
    };
    let expected = format!(
        "error: no server listens on the socket {0}: there is no such file (a server that does: \
         kv-server --unixsocket {0})\n",
        socket.display()
    );
    assert_eq!(said(&format!("unix://{}", socket.display())), expected);
    let relative = said("unix://kv.sock");
    assert!(relative.contains("an absolute path has three slashes: unix:///"), "{relative}");
    fs::write(&socket, "").expect("writable");
    let stale = said(&format!("unix://{}", socket.display()));
    assert!(stale.contains("its server has ended, or it is no socket"), "{stale}");
}

#[test]
fn an_unwritable_results_folder_is_found_before_anything_is_measured() {
    let dir = TempDir::new().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("writable");
    let output = kv_bench(&["run", "--target", "127.0.0.1:1", "--out"])
        .arg(file.join("results"))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cannot write results to"), "{}", stderr(&output));
}

#[test]
fn a_temporary_folder_that_is_not_there_is_told_and_not_made() {
    let dir = TempDir::new().expect("a folder");
    let mut run = kv_bench(&["run", "--requests", "10", "--out"]);
    run.arg(dir.path().join("results")).env("TMPDIR", dir.path().join("missing"));
    let output = run.output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("(TMPDIR says where)"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(dir.path()).expect("readable").count(), 0);
}

#[test]
fn more_data_than_there_is_memory_is_refused_before_it_is_made() {
    let dir = TempDir::new().expect("a folder");
    let mut run = kv_bench(&["run", "--keys", "1000g", "--requests", "10", "--out"]);
    let output = run.arg(dir.path().join("results")).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    let told = "1,000,000,000,000 keys with values of 100 bytes are more than the ";
    assert!(stderr(&output).contains(told), "{}", stderr(&output));
}

/// What a run says whose server is a script of these commands, and ends.
fn told_of_server(commands: &str) -> String {
    let dir = TempDir::new().expect("a folder");
    let server = script(dir.path(), commands);
    let output = kv_bench(&["run", "--server-bin"])
        .arg(server)
        .arg("--out")
        .arg(dir.path().join("results"))
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    stderr(&output)
}

#[test]
fn a_server_that_cannot_start_shows_its_last_words() {
    let message = told_of_server("echo the disk is on fire >&2; exit 7");
    assert!(message.contains("exit code 7; it said: the disk is on fire"), "{message}");
}

/// Redis says that something is wrong, and what below it, which was left out.
#[test]
fn a_server_that_cannot_start_says_what_follows_its_only_error() {
    let words = "echo hello; echo '*** FATAL ***'; echo 'at line 3'; echo 'no such option'";
    let message = told_of_server(&format!("{words}; exit 1"));
    assert!(message.contains("it said: *** FATAL *** | at line 3 | no such option"), "{message}");
}

#[test]
fn a_run_attempts_exactly_the_asked_operations_and_writes_its_result() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let words = ["--threads", "3", "--clients", "2", "--requests", "10007", "--preload"];
    let result = measure(&redis, dir.path(), &words);
    assert_eq!(result.headline.operations, 10_007);
    assert_eq!(result.headline.errors, 0);
    assert_eq!(result.headline.hits, 10_007, "every key was preloaded");
    assert_eq!(result.servers[0].operations, 10_007);
    assert!(result.headline.service_us.is_some());
    assert!(result.headline.response_us.is_none(), "a closed loop has no response time");
    assert!(result.environment.servers[0].starts_with("redis "), "{:?}", result.environment);
    assert_eq!(redis.ask(&["dbsize"]), "100000");
    assert_eq!(redis.ask(&["strlen", "kvb:key:000000099999"]), "100");
}

#[test]
fn a_running_server_gets_reads_only_unless_the_mix_says_so() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let result = measure(&redis, dir.path(), &["--requests", "1000"]);
    assert_eq!((result.headline.hits, result.headline.misses), (0, 1000));
    assert_eq!(redis.ask(&["dbsize"]), "0");
    let put = ["--requests", "500", "--mix", "put", "--value", "hello", "--key-distribution"];
    measure(&redis, dir.path(), &[put.as_slice(), &["sequential"]].concat());
    assert_eq!(redis.ask(&["dbsize"]), "500");
    assert_eq!(redis.ask(&["get", "kvb:key:000000000000"]), "hello");
}

#[test]
fn a_delete_only_run_deletes_each_key_once() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let words = ["--mix", "delete", "--preload", "--keys", "100", "--requests", "5000"];
    let result = measure(&redis, dir.path(), &[&words[..], &["--clients", "3"]].concat());
    let deletes = result.operations.delete.expect("they were in the mix");
    assert_eq!((deletes.hits, deletes.misses), (5000, 0));
    assert_eq!(redis.ask(&["dbsize"]), "0");
}

#[test]
fn several_servers_share_the_keys_by_the_ring() {
    let (Some(one), Some(two)) = (Redis::start(&[]), Redis::start(&[])) else { return };
    let dir = TempDir::new().expect("a folder");
    let list = format!("a=127.0.0.1:{},b=127.0.0.1:{}", one.port, two.port);
    let output = kv_bench(&["run", "--servers", &list, "--preload", "--requests", "2000", "--out"])
        .arg(dir.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&dir.path().join("result.json")).expect("a result");
    assert_eq!(result.headline.hits, 2000, "each key is where it is looked for");
    let names: Vec<&str> = result.servers.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let keys = [&one, &two].map(|redis| redis.ask(&["dbsize"]).parse::<u64>().expect("a number"));
    assert_eq!(keys.iter().sum::<u64>(), 100_000);
    assert!(keys.iter().all(|&keys| keys > 45_000), "{keys:?}");
    for (server, keys) in result.servers.iter().zip(keys) {
        let ring_share = server.ring_share.expect("the ring is ours");
        assert!((ring_share - keys as f64 / 1e5).abs() < 1e-9, "{server:?} holds {keys}");
    }
    let environment = &result.environment;
    assert!(environment.mitigations.keys().all(|name| !name.is_empty()));
    let generator = result.generator.expect("it looks at itself");
    assert!(generator.workers.iter().all(|worker| worker.cpu_s > 0.0 && worker.wall_s > 0.0));
    assert_eq!(generator.clients.expect("a closed loop").clients, 4);
}

#[test]
fn a_password_is_asked_for_and_used_and_never_written() {
    let Some(redis) = Redis::start(&["--requirepass", "s3cr:t@"]) else { return };
    let dir = TempDir::new().expect("a folder");
    let run = |login: &str| {
        let target = format!("redis://{login}127.0.0.1:{}", redis.port);
        kv_bench(&["run", "--requests", "100", "--target", &target, "--out"])
            .arg(dir.path().join("results"))
            .output()
            .expect("it runs")
    };
    let problems = [("", "wants a password: NOAUTH"), (":wrong@", "refused the login: WRONGPASS")];
    for (login, problem) in problems {
        let output = run(login);
        assert_eq!(output.status.code(), Some(1));
        let message = stderr(&output);
        assert!(message.contains(problem), "{message}");
    }
    for login in [":s3cr%3at%40@", "default:s3cr%3at%40@"] {
        let output = run(login);
        assert!(output.status.success(), "{}", stderr(&output));
    }
    for entry in fs::read_dir(dir.path().join("results")).expect("written") {
        let text = fs::read_to_string(entry.expect("readable").path()).unwrap_or_default();
        assert!(!text.contains("s3cr"), "the password is in {text}");
    }
}

#[test]
fn a_unix_socket_is_driven_like_a_port() {
    let dir = TempDir::new().expect("a folder");
    let socket = dir.path().join("redis.sock");
    let Some(_redis) = Redis::start(&["--unixsocket", socket.to_str().expect("a path")]) else {
        return;
    };
    let target = format!("unix://{}", socket.display());
    let output = kv_bench(&["run", "--requests", "1000", "--target", &target, "--pipeline", "8"])
        .arg("--out")
        .arg(dir.path().join("results"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn the_curve_spawns_fresh_servers_and_leaves_none() {
    let dir = TempDir::new().expect("a folder");
    let out = dir.path().join("results");
    let output = kv_bench(&["--servers", "2", "--threads", "2", "--requests", "3000"])
        .args(["--curve-time", "5s", "--keys", "1k", "--out"])
        .arg(&out)
        .env("TMPDIR", dir.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = "2 servers (none) · 2 workers × 1 client × pipeline 1 · 4 connections · 3,000 \
                 operations in total";
    assert_eq!(text.lines().next(), Some(first));
    let result = report::json::load(&out.join("result.json")).expect("a result");
    assert_eq!(result.headline.operations, 3000);
    assert!(!result.partial);
    let points: Vec<(u32, u32)> =
        result.points.iter().map(|point| (point.servers, point.threads)).collect();
    assert_eq!(points, [(1, 1), (1, 2), (2, 1), (2, 2)]);
    assert!(result.points.iter().all(|point| point.operations > 0 && point.errors == 0));
    assert!(scratch_folders(dir.path()).is_empty(), "temporary folders are removed");
    assert!(servers_in(dir.path()).is_empty(), "no server is left");
}

#[test]
fn killing_kv_bench_leaves_no_server_and_the_next_start_sweeps_up() {
    kill_and_sweep(&[]);
}

#[test]
fn killing_kv_bench_leaves_no_foreign_server_either() {
    if peer::is_there("redis-server") {
        kill_and_sweep(&["--server-bin", "redis-server"]);
    }
}

#[test]
fn killing_kv_bench_leaves_no_server_below_a_script() {
    if !peer::is_there("redis-server") {
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let wrapper = script(dir.path(), "redis-server \"$@\"");
    let mut run = start_long_run(dir.path(), &["--server-bin", &wrapper.to_string_lossy()]);
    // Two shells and their servers.
    let servers = wait_for(|| Some(servers_in(dir.path())).filter(|pids| pids.len() == 4));
    run.kill().expect("it runs");
    run.wait().expect("it was ours");
    wait_for(|| servers.iter().all(|pid| has_ended(*pid)).then_some(()));
}

#[test]
fn the_cpu_time_of_a_server_below_a_script_is_its_own() {
    if !peer::is_there("redis-server") {
        return;
    }
    let dir = TempDir::new().expect("a folder");
    let wrapper = script(dir.path(), "redis-server \"$@\"");
    let output = kv_bench(&["run", "--keys", "1k", "--requests", "20k", "--warmup", "0"])
        .arg("--server-bin")
        .arg(wrapper)
        .arg("--out")
        .arg(dir.path().join("results"))
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("1 server (none) running ") && first.contains("/server"), "{first}");
    let result = report::json::load(&dir.path().join("results/result.json")).expect("a result");
    // 20,000 operations take a server at least one tick of 10 ms; a waiting shell takes none.
    assert!(result.servers[0].cpu_s.is_some_and(|cpu_s| cpu_s > 0.0), "{:?}", result.servers);
}

fn kill_and_sweep(words: &[&str]) {
    let dir = TempDir::new().expect("a folder");
    let mut run = start_long_run(dir.path(), words);
    let servers = wait_for(|| Some(servers_in(dir.path())).filter(|pids| pids.len() == 2));
    assert!(!scratch_folders(dir.path()).is_empty());
    run.kill().expect("it runs");
    run.wait().expect("it was ours");
    wait_for(|| servers.iter().all(|pid| has_ended(*pid)).then_some(()));
    assert!(!scratch_folders(dir.path()).is_empty(), "nobody could remove it");
    let next = kv_bench(&["run", "--target", "127.0.0.1:1", "--out"])
        .arg(dir.path().join("next"))
        .env("TMPDIR", dir.path())
        .output()
        .expect("it runs");
    assert_eq!(next.status.code(), Some(1));
    assert!(scratch_folders(dir.path()).is_empty());
}

#[test]
fn a_server_that_dies_ends_the_run_with_its_name_and_a_partial_result() {
    let dir = TempDir::new().expect("a folder");
    let run = start_long_run(dir.path(), &[]);
    let servers = wait_for_load(dir.path());
    signal(servers[0], "KILL");
    let output = run.wait_with_output().expect("it was ours");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let message = stderr(&output);
    let pid = format!("(pid {}): it was killed by signal 9", servers[0]);
    assert!(message.contains("server_") && message.contains(&pid), "{message}");
    let result = report::json::load(&dir.path().join("results/result.json")).expect("a result");
    assert!(result.partial);
    assert_eq!(
        result.headline.errors, result.errors.connection,
        "what it had in flight is counted: {:?}",
        result.errors
    );
    assert!(servers.iter().all(|pid| has_ended(*pid)));
}

/// Deleting went on from the first key again, and a run that was to measure deletes measured misses.
#[test]
fn a_delete_only_run_ends_early_rather_than_delete_a_key_twice() {
    let dir = TempDir::new().expect("a folder");
    let output = kv_bench(&["run", "--mix", "delete=100", "--duration", "10m", "--keys", "5003"])
        .args(["--threads", "2", "--clients", "3", "--warmup", "100ms", "--out"])
        .arg(dir.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&dir.path().join("result.json")).expect("a result");
    let deletes = result.operations.delete.expect("deletes");
    assert_eq!((deletes.count, deletes.hits, deletes.misses), (5003, 5003, 0));
    let warning = result.warnings.iter().find(|warning| warning.contains("give more --keys"));
    let warning = warning.unwrap_or_else(|| panic!("{:?}", result.warnings));
    assert!(warning.starts_with("all 5,003 keys were deleted after"), "{warning}");
}

#[test]
fn so_do_the_points_of_a_delete_only_curve() {
    let dir = TempDir::new().expect("a folder");
    let output = kv_bench(&["--mix", "delete", "--requests", "1000", "--keys", "1000"])
        .args(["--threads", "2", "--curve-time", "3s", "--out"])
        .arg(dir.path())
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", stderr(&output));
    let result = report::json::load(&dir.path().join("result.json")).expect("a result");
    let operations: Vec<u64> = result.points.iter().map(|point| point.operations).collect();
    assert_eq!(operations, [1000, 1000]);
    let warning = "2 of 2 points ended before their 1 s, when all 1,000 keys were deleted";
    assert!(result.warnings.iter().any(|text| text.contains(warning)), "{:?}", result.warnings);
}

#[test]
fn strict_turns_an_untrusted_headline_into_exit_code_5() {
    let Some(redis) = Redis::start(&[]) else { return };
    let dir = TempDir::new().expect("a folder");
    let target = format!("127.0.0.1:{}", redis.port);
    // Sixteen busy threads wait for cores on any machine with fewer than sixteen to spare.
    let threads = (std::thread::available_parallelism().map_or(1, usize::from) * 8).to_string();
    let output = kv_bench(&["run", "--strict", "--duration", "500ms", "--threads", &threads])
        .args(["--clients", "4", "--target", &target, "--out"])
        .arg(dir.path())
        .output()
        .expect("it runs");
    let result = report::json::load(&dir.path().join("result.json")).expect("a result");
    assert_eq!(result.trust.verdict, Verdict::Untrusted);
    assert_eq!(output.status.code(), Some(5));
}

#[test]
fn completions_are_printed_for_a_shell() {
    let output = kv_bench(&["completions", "bash"]).output().expect("it runs");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("--servers"));
}

/// A run over two servers that would take minutes, with its temporary folders in `dir`.
fn start_long_run(dir: &Path, words: &[&str]) -> Child {
    kv_bench(&["run", "--servers", "2", "--keys", "1k"])
        .args(["--duration", "10m", "--warmup", "0", "--out"])
        .arg(dir.join("results"))
        .args(words)
        .env("TMPDIR", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs")
}

/// Waits until both servers have answered operations of the measurement; returns their pids.
fn wait_for_load(dir: &Path) -> Vec<u32> {
    let servers = wait_for(|| Some(servers_in(dir)).filter(|pids| pids.len() == 2));
    for pid in &servers {
        // A server that has used 50 ms of CPU time is past its preload of 500 keys.
        wait_for(|| cpu_ticks(*pid).filter(|&ticks| ticks >= 5));
    }
    servers
}

fn scratch_folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("readable").flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains("/kv-bench-")).collect()
}

fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A zombie has ended; it waits for whoever adopted it.
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}
