//! kv-cli as its users meet it: its words, its exit codes, and redis-cli as the judge of its formats.

#[path = "../../kv-core/tests/peer/mod.rs"]
mod peer;
mod spawned;

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use assert_cmd::assert::Assert;
use kv_core::ring::{Ring, RingMode};
use peer::{DeadPort, Redis};
use spawned::Spawned;

fn kv_cli() -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_kv-cli"));
    for variable in ["KVCLI_AUTH", "REDISCLI_AUTH", "KV_REQUIREPASS", "KV_PORT"] {
        command.env_remove(variable);
    }
    command
}

/// Runs kv-cli with these arguments (and lines on its standard input) against a port.
fn run(port: u16, args: &[&str], input: &str) -> Assert {
    kv_cli().args(["-p", &port.to_string()]).args(args).write_stdin(input).assert()
}

fn stderr(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stderr).into_owned()
}

fn stdout(assert: &Assert) -> String {
    String::from_utf8_lossy(&assert.get_output().stdout).into_owned()
}

/// Exit code, nothing on standard output, and exactly this line on standard error.
fn assert_one_line(assert: Assert, code: i32, line: &str) {
    let assert = assert.code(code).stdout("");
    assert_eq!(stderr(&assert), format!("{line}\n"));
}

#[test]
fn put_get_delete_and_end_do_what_they_say() {
    let mut server = Spawned::start(&[]);
    let port = server.port;
    run(port, &["put", "key1", "value1"], "").success().stdout("OK\n").stderr("");
    run(port, &["get", "key1"], "").success().stdout("value1\n").stderr("");
    run(port, &["--no-raw", "GET", "key1"], "").success().stdout("\"value1\"\n");
    run(port, &["delete", "key1"], "").success().stdout("1\n").stderr("");
    run(port, &["set", "n", "-5"], "").success().stdout("OK\n");
    run(port, &["incrby", "n", "-2"], "").success().stdout("-7\n");
    run(port, &["ping"], "").success().stdout("PONG\n");
    run(port, &["end"], "").success().stdout("OK\n").stderr("");
    assert_eq!(server.exit_code(), Some(0));
}

#[test]
fn shutdown_answers_by_hanging_up_and_that_is_success() {
    let mut server = Spawned::start(&[]);
    run(server.port, &["shutdown", "nosave"], "").success().stdout("OK\n").stderr("");
    assert_eq!(server.exit_code(), Some(0));
}

/// Symptom once: `SET key value GET` of a new key was reported as not set, with code 1.
#[test]
fn a_set_that_asks_for_the_old_value_is_fine_without_one() {
    let server = Spawned::start(&[]);
    run(server.port, &["set", "k", "v", "GET"], "").success().stderr("");
    run(server.port, &["get", "k"], "").success().stdout("v\n");
    let assert = run(server.port, &["del", "neither", "nor"], "");
    assert_one_line(assert, 1, "kv-cli: none of the keys was found");
}

#[test]
fn a_missing_key_gets_one_line_and_code_1() {
    let server = Spawned::start(&[]);
    assert_one_line(
        run(server.port, &["get", "no\nkey"], ""),
        1,
        "kv-cli: key 'no\\nkey' not found",
    );
    assert_one_line(run(server.port, &["delete", "k"], ""), 1, "kv-cli: key 'k' not found");
    assert_one_line(
        run(server.port, &["set", "k", "v", "XX"], ""),
        1,
        "kv-cli: (nil): not set, for the condition does not hold",
    );
    run(server.port, &["--json", "get", "k"], "").code(1).stdout("null\n").stderr("");
}

#[test]
fn an_error_reply_gets_one_line_and_code_1() {
    let server = Spawned::start(&[]);
    assert_one_line(
        run(server.port, &["put", "k"], ""),
        1,
        "kv-cli: ERR wrong number of arguments for 'put' command",
    );
    let refused = run(server.port, &["--no-raw", "nosuch"], "").code(1).stdout("");
    assert!(stderr(&refused).starts_with("kv-cli: ERR unknown command 'nosuch'"));
}

#[test]
fn help_without_a_prompt_says_where_it_is() {
    let server = Spawned::start(&[]);
    let said = "kv-cli: 'help' is for the prompt: kv-cli --help, or command docs COMMAND";
    assert_one_line(run(server.port, &["help"], ""), 1, said);
}

#[test]
fn a_dead_server_gets_one_line_and_code_3() {
    let dead = DeadPort::new();
    let port = dead.port;
    let line = format!(
        "kv-cli: cannot reach 127.0.0.1:{port}: connection refused; is the server running there?"
    );
    assert_one_line(run(port, &["get", "k"], ""), 3, &line);
    let missing = kv_cli().args(["-s", "/nowhere/kv.sock", "ping"]).assert();
    let line = "kv-cli: cannot reach /nowhere/kv.sock: no such file or directory; \
                is the server running there?";
    assert_one_line(missing, 3, line);
}

#[test]
fn a_silent_server_gets_one_line_after_the_timeout() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let line =
        format!("kv-cli: 127.0.0.1:{port} did not answer within 50ms; a longer timeout may help");
    assert_one_line(run(port, &["--timeout", "50ms", "ping"], ""), 3, &line);
}

#[test]
fn wrong_usage_is_code_2_and_names_the_fix() {
    for (args, words) in [
        (&["--port", "0", "ping"][..], "--port 0: must be from 1 to 65535"),
        (
            &["--no-such-flag"],
            "there is no flag --no-such-flag (usage: kv-cli [OPTIONS] [COMMAND]...; ",
        ),
        (&["--timeout", "0", "ping"], "write a time above 0"),
        (&["--timeout", "nan", "ping"], "write a time above 0"),
        (
            &["--servers", "localhost", "get", "k"],
            "address 'localhost' has no port: write host:port",
        ),
        (&["--servers", ":1,:1", "get", "k"], "listed twice"),
        (&["--servers", ":1", "--ring", "modulo", "get", "k"], "use slots, ketama or uhashring"),
        (&["--servers", ":1", "-p", "2", "get", "k"], "cannot be used with"),
        (&["--all-servers", "ping"], "--servers"),
        (&["--servers", ":1,:2", "ping"], "'ping' has no key"),
        (&["--user", "u", "ping"], "--user needs a password"),
        (&["--host", "/run/kv.sock", "ping"], "goes to --socket"),
        (&["--host", "db:7000", "ping"], "write --host db, and its port to --port (-p)"),
        (&["--servers", "a=:1,b=:1", "ping"], "'ping' has no key"),
        (&["sync"], "redis-cli --replica"),
        (&["--prot", "1"], "there is no flag --prot: did you mean --port?"),
        (&["--port", "abc", "ping"], "--port abc: must be a whole number"),
        (&["--db", "abc", "ping"], "--db abc: must be a whole number (such as --db 0)"),
        (&["--db", "-1", "ping"], "--db -1: must be from 0 to 4294967295"),
        (&["--raw", "--json", "ping"], "--raw cannot be used with --json: leave one of them out"),
        (&["--all-servers", "ping"], "--servers <LIST> is missing (usage: kv-cli --servers <LIST>"),
        (&["client", "reply", "off"], "CLIENT REPLY must stay ON"),
    ] {
        let assert = kv_cli().args(args).assert().code(2).stdout("");
        assert!(stderr(&assert).contains(words), "{args:?}: {}", stderr(&assert));
    }
}

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    for flag in ["--help", "-?"] {
        let help = stdout(&kv_cli().arg(flag).assert().success());
        for words in
            ["kv-cli put key1 value1", "Exit status: 0 fine", "--all-servers", "KVCLI_AUTH"]
        {
            assert!(help.contains(words), "{flag} lacks {words:?}:\n{help}");
        }
    }
}

#[test]
fn lines_of_standard_input_are_commands_quoted_as_in_redis_cli() {
    let server = Spawned::start(&[]);
    let input = concat!(
        "put a \"two words\\x21\"\n",
        "get a\r\n",
        "\n",
        "   \n",
        "set 'single \\n' b\n",
        "get \"single \\\\n\"\n",
        "*3\n",
        "mget a nokey a\n",
        "get a",
    );
    let assert = run(server.port, &[], input).code(1);
    assert_eq!(stdout(&assert), "OK\ntwo words!\nOK\nb\ntwo words!\n\ntwo words!\ntwo words!\n");
    assert!(stderr(&assert).starts_with("kv-cli: line 7: ERR unknown command '*3'"));
    assert_eq!(stderr(&assert).lines().count(), 1);
}

#[test]
fn pipe_mode_goes_on_after_a_failure_and_ends_with_the_worst_code() {
    let server = Spawned::start(&[]);
    let assert = run(server.port, &[], "get nokey\nset k \"v\nping\nquit\nping\n").code(2);
    assert_eq!(stdout(&assert), "PONG\n");
    let expected = "kv-cli: line 1: key 'nokey' not found\n\
                    kv-cli: line 2: unbalanced quotes: close the quote, with a blank behind it\n";
    assert_eq!(stderr(&assert), expected);
    run(server.port, &[], "").success().stdout("").stderr("");
    let dead = DeadPort::new();
    let assert = run(dead.port, &[], "set a 1\nset b 2\n").code(3).stdout("");
    let said: Vec<String> = stderr(&assert).lines().map(str::to_owned).collect();
    assert!(said[0].starts_with("kv-cli: line 1: cannot reach"), "{said:?}");
    assert_eq!(said[1..], ["kv-cli: line 1: the lines after it were not sent"]);
}

/// It said `No space left on device`, of what it did not say, and blamed the command line (code 2).
#[test]
fn output_that_cannot_be_written_and_input_that_cannot_be_read_are_named() {
    let server = Spawned::start(&[]);
    let port = server.port.to_string();
    let run = |input: &str, output: &str, args: &[&str]| {
        let open = |path| std::fs::OpenOptions::new().read(true).open(path).expect("it is there");
        let full = std::fs::OpenOptions::new().write(true).open(output).expect("it is there");
        let command = std::process::Command::new(env!("CARGO_BIN_EXE_kv-cli"))
            .args(["--port", &port])
            .args(args)
            .stdin(open(input))
            .stdout(full)
            .stderr(std::process::Stdio::piped())
            .output();
        let output = command.expect("kv-cli runs");
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let (code, said) = run("/dev/null", "/dev/full", &["ping"]);
    assert!(said.starts_with("kv-cli: cannot write the output: No space left"), "{said}");
    assert_eq!(code, Some(1));
    let (code, said) = run("/", "/dev/null", &[]);
    assert!(said.starts_with("kv-cli: cannot read standard input: Is a directory"), "{said}");
    assert_eq!(code, Some(2));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let server = Spawned::start(&[]);
    run(server.port, &["set", "big", &"x".repeat(100_000)], "").success();
    let lines = "get big\n".repeat(100);
    let mut child = Command::new(env!("CARGO_BIN_EXE_kv-cli"))
        .args(["-p", &server.port.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), lines.as_bytes()).unwrap();
    let mut reader = child.stdout.take().unwrap();
    reader.read_exact(&mut [0; 10]).unwrap();
    drop(reader);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn servers_are_chosen_by_the_ring_and_named() {
    let (a, b) = (Spawned::start(&[]), Spawned::start(&[]));
    let servers = format!("server_1=127.0.0.1:{},server_2=127.0.0.1:{}", a.port, b.port);
    for mode in RingMode::ALL {
        let ring = Ring::new(mode, &["server_1", "server_2"]).unwrap();
        let listed = ["--servers", &servers, "--ring", mode.name()];
        for n in 0..8 {
            let key = format!("{mode}:{n}");
            let owner = ring.owner(key.as_bytes());
            let (port, other) = if owner == 0 { (a.port, b.port) } else { (b.port, a.port) };
            let name = format!("server_{} (127.0.0.1:{port})", owner + 1);
            let put = kv_cli().args(listed).args(["put", &key, "v"]).assert().success();
            assert_eq!(
                (stdout(&put), stderr(&put)),
                ("OK\n".into(), format!("answered by {name}\n"))
            );
            let get = kv_cli().args(listed).args(["--no-raw", "get", &key]).assert().success();
            assert_eq!(stdout(&get), format!("{name}: \"v\"\n"));
            run(other, &["get", &key], "").code(1);
        }
    }
}

#[test]
fn all_servers_are_asked_each_and_dead_ones_named() {
    let (a, b, refusing) = (Spawned::start(&[]), Spawned::start(&[]), DeadPort::new());
    let dead = refusing.port;
    let all = |list: &str, args: &[&str]| {
        kv_cli().args(["--servers", list, "--all-servers"]).args(args).assert()
    };
    let two = format!("x=127.0.0.1:{},y=127.0.0.1:{}", a.port, b.port);
    let pong = format!("x (127.0.0.1:{}): PONG\ny (127.0.0.1:{}): PONG\n", a.port, b.port);
    all(&two, &["ping"]).success().stdout(pong).stderr("");
    let json = all(&two, &["--json", "dbsize"]).success();
    let line = format!("{{\"reply\":0,\"server\":\"x (127.0.0.1:{})\"}}", a.port);
    assert_eq!(stdout(&json).lines().next(), Some(line.as_str()));

    let three = format!("z=127.0.0.1:{dead},{two}");
    let assert = all(&three, &["ping"]).code(3);
    assert_eq!(stdout(&assert).lines().count(), 2, "the living still answer");
    assert!(stderr(&assert).starts_with(&format!("kv-cli: cannot reach z (127.0.0.1:{dead})")));
    let missing = all(&two, &["get", "k"]).code(1).stdout("");
    let lines = format!(
        "kv-cli: x (127.0.0.1:{}): key 'k' not found\nkv-cli: y (127.0.0.1:{}): key 'k' not found\n",
        a.port, b.port
    );
    assert_eq!(stderr(&missing), lines);
}

#[test]
fn the_password_comes_from_the_flag_or_the_environment() {
    let server = Spawned::start(&["--requirepass", "secret"]);
    let port = server.port;
    let asked = "NOAUTH Authentication required; give the password with --password (-a), or as \
                 KVCLI_AUTH";
    assert_one_line(run(port, &["ping"], ""), 1, &format!("kv-cli: {asked}"));
    assert_one_line(run(port, &[], "ping\n"), 1, &format!("kv-cli: line 1: {asked}"));
    let wrong = "kv-cli: WRONGPASS invalid username-password pair or user is disabled; check \
                 --password (-a), or KVCLI_AUTH, REDISCLI_AUTH or KV_REQUIREPASS in the \
                 environment, and --user";
    assert_one_line(run(port, &["auth", "wrong"], ""), 1, wrong);
    // Who reads JSON gets the server's words alone.
    let json = "{\"error\":\"NOAUTH Authentication required.\"}\n";
    run(port, &["--json", "ping"], "").code(1).stdout(json).stderr("");
    run(port, &["-a", "secret", "ping"], "").success().stdout("PONG\n");
    for variable in ["KVCLI_AUTH", "REDISCLI_AUTH", "KV_REQUIREPASS"] {
        let mut command = kv_cli();
        command.env(variable, "secret").args(["-3", "-p", &port.to_string(), "ping"]);
        command.assert().success().stdout("PONG\n");
    }
    // To the system this is this machine, too, but kv-cli has no way to know of every address.
    let elsewhere = |variable: &str| {
        let mut command = kv_cli();
        command.env(variable, "secret").args(["-h", "0.0.0.0", "-p", &port.to_string(), "ping"]);
        command.assert()
    };
    elsewhere("KVCLI_AUTH").success().stdout("PONG\n").stderr("");
    let kept = stderr(&elsewhere("KV_REQUIREPASS").code(1).stdout(""));
    assert!(kept.starts_with("kv-cli: KV_REQUIREPASS is not sent to another machine"), "{kept}");
    let wrong = run(port, &["-a", "wrong", "ping"], "").code(1).stdout("");
    let expected = format!("kv-cli: 127.0.0.1:{port} refused the login: WRONGPASS");
    assert!(stderr(&wrong).starts_with(&expected), "{}", stderr(&wrong));
    assert!(
        stderr(&wrong).contains("; check --password (-a), or KVCLI_AUTH"),
        "{}",
        stderr(&wrong)
    );
}

#[test]
fn the_port_comes_from_the_flag_or_the_servers_own_variable() {
    let server = Spawned::start(&[]);
    let ping = |variable: &str, args: &[&str]| {
        kv_cli().env("KV_PORT", variable).args(args).arg("ping").assert()
    };
    let port = server.port.to_string();
    ping(&port, &[]).success().stdout("PONG\n");
    ping("1", &["-p", &port]).success().stdout("PONG\n");
    ping("1", &["--servers", &format!(":{port}"), "--all-servers"]).success();
    for wrong in ["0", "", "http"] {
        let line = format!("kv-cli: KV_PORT '{wrong}' is no port: unset it, or give --port (-p)");
        assert_one_line(ping(wrong, &[]), 2, &line);
    }
}

#[test]
fn replies_look_exactly_as_redis_cli_prints_them() {
    let Some(redis) = Redis::start(&[]) else { return };
    let port = redis.port.to_string();
    run(redis.port, &["mset", "k", "v", "bin", "a\tb\\\"\n\u{7}é", "empty", ""], "").success();
    run(redis.port, &["hset", "h", "f", "1"], "").success();
    run(redis.port, &["sadd", "s", "m"], "").success();
    run(redis.port, &["zadd", "z", "1.5", "m"], "").success();
    let nested =
        "return {1, {'a', {}, {2, {3, 'x'}}, false}, 'last', 4, 5, 6, 7, 8, {9}, 10, {'e'}}";
    for args in [
        &["get", "bin"][..],
        &["get", "empty"],
        &["mget", "k", "none", "bin"],
        &["strlen", "k"],
        &["set", "k", "v"],
        &["keys", "nothing*"],
        &["eval", nested, "0"],
        &["hgetall", "h"],
        &["smembers", "s"],
        &["zscore", "z", "m"],
        &["zrange", "z", "0", "-1", "withscores"],
        &["hgetall", "none"],
        &["smembers", "none"],
        &["eval", "redis.setresp(3); return {map={a={double=3.5}}}", "0"],
        &["eval", "redis.setresp(3); return {map={a={}}}", "0"],
        &["eval", "redis.setresp(3); return {map={a={set={x=true}}}}", "0"],
        &["eval", "redis.setresp(3); return true", "0"],
        &["client", "getname"],
        &["lolwut", "version", "9"],
        &["command", "docs", "get"],
    ] {
        for (protocol, format) in
            [("-2", "--no-raw"), ("-3", "--no-raw"), ("-2", "--raw"), ("-3", "--raw")]
        {
            let mut judge = Command::new("redis-cli");
            let judge = judge.args(["-p", &port, protocol, format]).args(args).output().unwrap();
            let ours = kv_cli()
                .args(["-p", &port, format])
                .args((protocol == "-3").then_some("-3"))
                .args(args)
                .output()
                .unwrap();
            if ours.status.success() {
                let (ours, judge) =
                    (String::from_utf8_lossy(&ours.stdout), String::from_utf8_lossy(&judge.stdout));
                assert_eq!(ours, judge, "{args:?} {protocol} {format}");
            } else {
                assert_eq!(args, ["client", "getname"], "only a null is no success");
            }
        }
    }
}

#[test]
fn nobody_to_hear_a_complaint_leaves_the_exit_code_as_it_is() {
    let server = Spawned::start(&[]);
    let full = || std::fs::File::options().write(true).open("/dev/full").expect("a device");
    let refusing = DeadPort::new();
    let (port, dead) = (server.port.to_string(), refusing.port.to_string());
    for (args, code) in [
        (&["-p", &port, "get", "missing"][..], 1),
        (&["-p", &port, "sync"], 2),
        (&["-p", &dead, "ping"], 3),
        (&["--servers", &format!("127.0.0.1:{port}"), "set", "k", "v"], 0),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kv-cli"));
        let status = command.args(args).stderr(full()).status().expect("kv-cli runs");
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

/// Runs kv-cli to its end beside whoever talks to the same server; its standard output is piped.
fn start(port: u16, args: &[&str]) -> std::process::Child {
    Command::new(env!("CARGO_BIN_EXE_kv-cli"))
        .args(["-p", &port.to_string()])
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("kv-cli runs")
}

#[test]
fn monitor_prints_a_line_for_each_command_until_the_server_ends() {
    let server = Spawned::start(&[]);
    let mut monitor = start(server.port, &["monitor"]);
    let mut lines = BufReader::new(monitor.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!(next(), "OK");
    run(server.port, &["set", "key", "two words"], "").success();
    let line = next();
    assert!(line.ends_with("\"set\" \"key\" \"two words\""), "{line}");
    run(server.port, &["end"], "").success();
    let output = monitor.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("closed the connection"), "{said}");
}

#[test]
fn messages_of_redis_channels_are_followed_whatever_the_protocol() {
    let Some(redis) = Redis::start(&[]) else { return };
    let mut follower = start(redis.port, &["-3", "subscribe", "news"]);
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    let mut next = || lines.next().expect("a line").expect("text");
    assert_eq!([next(), next(), next()], ["subscribe", "news", "1"]);
    run(redis.port, &["publish", "news", "today"], "").success().stdout("1\n");
    assert_eq!([next(), next(), next()], ["message", "news", "today"]);
    follower.kill().expect("it runs");
    follower.wait().expect("it was ours");
}

#[test]
fn a_stream_that_cannot_be_followed_says_what_to_do() {
    let server = Spawned::start(&[]);
    let refused = run(server.port, &["subscribe", "news"], "").code(1).stdout("");
    assert!(stderr(&refused).starts_with("kv-cli: ERR unknown command 'subscribe'"));
    let dead = DeadPort::new();
    let list = format!("a=127.0.0.1:{},b=127.0.0.1:{}", server.port, dead.port);
    let assert = kv_cli().args(["--servers", &list, "monitor"]).assert();
    let line = "kv-cli: monitor follows one server: name it with --host and --port, not --servers";
    assert_one_line(assert, 2, line);
}
