//! Settings: from the command line, the environment, a file and `CONFIG SET`, with one meaning each.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{Process, Served, Wire};

/// A file with these lines, and the folder it lives in.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("kv.conf");
    fs::write(&path, text).expect("a new file");
    (folder, path)
}

fn with_file(path: &PathBuf) -> Command {
    let mut command = Process::command();
    command.args(["--announce", "--config"]).arg(path);
    command
}

#[track_caller]
fn assert_setting(wire: &mut Wire, name: &str, value: &str) {
    let reply = format!("*2\r\n${}\r\n{name}\r\n${}\r\n{value}\r\n", name.len(), value.len());
    wire.ask(&format!("CONFIG GET {name}"), &reply);
}

#[test]
fn a_file_says_what_flags_say_and_flags_win() {
    let (_folder, path) = file(
        "# a comment\n\n  port 0\nbind 127.0.0.1 127.0.0.2\nTIMEOUT \"77\"\nmaxclients 55\n\
         protected-mode no\nallow-shutdown yes\nrequirepass 'two words'\r\nslowlog-log-slower-than -1\n",
    );
    let mut command = with_file(&path);
    command.args(["--maxclients", "66"]);
    let process = Process::spawn(command);
    let mut wire = process.connect();
    wire.ask("AUTH 'two words'", "+OK\r\n");
    assert_setting(&mut wire, "timeout", "77");
    assert_setting(&mut wire, "maxclients", "66");
    assert_setting(&mut wire, "bind", "127.0.0.1 127.0.0.2");
    assert_setting(&mut wire, "protected-mode", "no");
    assert_setting(&mut wire, "allow-shutdown", "yes");
    assert_setting(&mut wire, "slowlog-log-slower-than", "-1");
    assert_setting(&mut wire, "tcp-backlog", "511");
}

#[test]
fn the_environment_wins_over_the_file_and_flags_over_both() {
    let (_folder, path) = file("requirepass file\nport 1\n");
    let start = |args: &[&str]| {
        let mut command = with_file(&path);
        command.args(args);
        // Process::spawn removes these from what the test inherits.
        Process::spawn_with(command, &[("KV_REQUIREPASS", "environment"), ("KV_PORT", "0")])
    };
    let process = start(&[]);
    assert_ne!(process.address.port(), 1);
    process.connect().ask("AUTH environment", "+OK\r\n");
    let typed = start(&["--requirepass", "typed", "--port", "0"]);
    typed.connect().ask("AUTH typed", "+OK\r\n");
    let positional = start(&["0"]);
    positional.connect().ask("AUTH environment", "+OK\r\n");
}

#[test]
fn a_line_without_sense_is_named_with_file_and_line() {
    let cases = [
        ("port 7000\nnosuch 1\n", 2, "there is no setting 'nosuch'"),
        ("port x", 1, "invalid value 'x' for '--port <PORT>'"),
        ("\n\nport", 3, "'port' needs a value"),
        ("port 1 2", 1, "'port' takes one value: put quotes around blanks"),
        ("allow-shutdown maybe", 1, "'allow-shutdown' is yes or no"),
        ("allow-shutdown", 1, "'allow-shutdown' is yes or no"),
        ("requirepass \"abc", 1, "quotes in pairs"),
        ("*1", 1, "a line is a name and a value"),
        ("config other.conf", 1, "there is no setting 'config'"),
        ("maxclients 0", 1, "invalid value '0'"),
        ("timeout 1\nport 0\ntimeout 2", 3, "'timeout' is set in line 1 already"),
    ];
    for (text, line, reason) in cases {
        let (_folder, path) = file(text);
        let output = Process::outcome(with_file(&path));
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        let place = format!("kv.conf:{line}: ");
        assert!(error.contains(&place) && error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let output = Process::outcome(with_file(&PathBuf::from("/nowhere/kv.conf")));
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2));
    assert!(error.contains("cannot read /nowhere/kv.conf: No such file"), "{error}");
}

/// What a flag says once at the start, and nobody asks for later.
const NOT_SETTINGS: [&str; 4] = ["announce", "config", "repair", "yes"];

#[test]
fn every_flag_is_a_setting_of_the_same_name() {
    use clap::Args as _;
    let served = Served::start();
    let mut wire = served.connect();
    let command = kv_server::Args::augment_args(clap::Command::new("kv-server"));
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    for flag in flags.filter(|flag| !NOT_SETTINGS.contains(flag)) {
        wire.send(format!("CONFIG GET {flag}\r\n"));
        assert_eq!(wire.line(), "*2", "{flag} is no setting");
        for _ in 0..4 {
            wire.line();
        }
    }
}

#[test]
fn settings_change_and_say_what_they_became() {
    let served = Served::start();
    let mut wire = served.connect();
    for (name, typed, becomes) in [
        ("output-limit", "2mb", "2097152"),
        ("output-soft-limit", "1048576", "1048576"),
        ("partial-timeout", "5", "5"),
        ("tcp-keepalive", "60", "60"),
        ("allow-shutdown", "YES", "yes"),
        ("slowlog-max-len", "5", "5"),
        ("client-output-buffer-limit", "'normal 3mb 2mb 7'", "normal 3145728 2097152 7"),
    ] {
        wire.ask(&format!("CONFIG SET {name} {typed}"), "+OK\r\n");
        assert_setting(&mut wire, name, becomes);
    }
    assert_setting(&mut wire, "output-limit", "3145728");
    for (name, value, reason) in [
        ("port", "1", "can't set immutable config"),
        ("output-limit", "5", "argument must be between 1048576"),
        ("output-limit", "1xb", "argument must be a memory value"),
        ("output-limit", "99999999999999g", "argument must be a memory value"),
        ("client-output-buffer-limit", "'pubsub 1 2 3'", "Invalid client class"),
        ("client-output-buffer-limit", "'normal 1 2'", "Wrong number of arguments"),
        ("client-output-buffer-limit", "'normal 2mb 2mb x'", "Error in hard, soft"),
        ("loglevel", "nonsense", "must be one of"),
    ] {
        wire.send(format!("CONFIG SET partial-timeout 9 {name} {value}\r\n"));
        let error = wire.line();
        let place = format!("(possibly related to argument '{name}') - ");
        assert!(error.contains(&place) && error.contains(reason), "{name} {value}: {error}");
    }
    assert_setting(&mut wire, "partial-timeout", "5");
}

#[test]
fn a_limit_that_was_changed_holds() {
    let served = Served::start();
    let (mut operator, mut slow) = (served.connect(), served.connect());
    operator.ask("CONFIG SET partial-timeout 1", "+OK\r\n");
    slow.send("*1\r\n$4\r\nPI").expect_end();
}

#[test]
fn a_rewritten_file_holds_what_was_changed_and_nothing_else_is_touched() {
    let (_folder, path) = file(
        "# why\nport 0\n\nTIMEOUT 77\nloglevel warn # no comment\n"
            .split(" #")
            .next()
            .expect("text"),
    );
    let mut command = with_file(&path);
    command.args(["--maxclients", "66"]);
    let process = Process::spawn(command);
    let mut wire = process.connect();
    wire.ask("CONFIG REWRITE", "+OK\r\n");
    assert_eq!(
        fs::read_to_string(&path).expect("the file"),
        "# why\nport 0\n\nTIMEOUT 77\nloglevel warn\n"
    );
    wire.ask("CONFIG SET timeout 78 slowlog-max-len 5", "+OK\r\n");
    wire.ask("CONFIG SET requirepass \"a \\\"b\\\" #\"", "+OK\r\n")
        .ask("CONFIG REWRITE", "+OK\r\n");
    let text = fs::read_to_string(&path).expect("the file");
    let kept = "# why\nport 0\n\ntimeout 78\nloglevel warn\n";
    let added = "# Written by CONFIG REWRITE:\nslowlog-max-len 5\nrequirepass \"a \\\"b\\\" #\"\n";
    assert_eq!(text, format!("{kept}{added}"));
    drop(process);
    let process = Process::spawn(with_file(&path));
    let mut wire = process.connect();
    wire.ask("AUTH \"a \\\"b\\\" #\"", "+OK\r\n");
    assert_setting(&mut wire, "timeout", "78");
    assert_setting(&mut wire, "slowlog-max-len", "5");
    wire.ask("CONFIG SET requirepass ''", "+OK\r\n").ask("CONFIG SET timeout 77", "+OK\r\n");
    wire.ask("CONFIG REWRITE", "+OK\r\n");
    let text = fs::read_to_string(&path).expect("the file");
    assert!(!text.contains("requirepass") && text.contains("\ntimeout 77\n"), "{text}");
    let files = fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
    assert_eq!(files, 1, "nothing is left beside it");
}

#[test]
fn a_file_that_cannot_be_rewritten_is_named_and_left_alone() {
    let (folder, path) = file("port 0\n");
    let process = Process::spawn(with_file(&path));
    let mut wire = process.connect();
    wire.ask("CONFIG SET requirepass \"\\xff\"", "+OK\r\n");
    wire.ask("CONFIG REWRITE", "-ERR a file holds text, and requirepass is none\r\n");
    wire.ask("CONFIG SET requirepass ''", "+OK\r\n").ask("CONFIG SET timeout 5", "+OK\r\n");
    fs::write(&path, "port 0\nnonsense\n").expect("the file");
    wire.send("CONFIG REWRITE\r\n");
    assert!(wire.line().contains("kv.conf:2: there is no setting 'nonsense'"));
    assert_eq!(fs::read_to_string(&path).expect("the file"), "port 0\nnonsense\n");
    drop(folder);
    wire.send("CONFIG REWRITE\r\n");
    assert!(wire.line().contains("kv.conf: No such file"));
    Served::start()
        .connect()
        .ask("CONFIG REWRITE", "-ERR The server is running without a config file\r\n");
}
