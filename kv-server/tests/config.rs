//! Settings: from the command line, the environment, a file and `CONFIG SET`, with one meaning each.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
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
        ("port x", 1, "port x: must be from 0 to 65535, or none"),
        (
            "durability foo",
            1,
            "durability foo: must be one of none, snapshot, os, everysec, always",
        ),
        ("durability always", 1, "durability always needs a folder"),
        ("\nbind nowhere", 2, "bind takes IP addresses"),
        ("requirepass ''", 1, "requirepass is empty"),
        ("\ntls-port 1\nport none", 2, "tls-port needs --tls-cert-file"),
        (
            "port none\ntls-port 1\ntls-cert-file c\ntls-key-file k\ntls-auth-clients optional",
            5,
            "tls-auth-clients: clients cannot show certificates without an authority",
        ),
        ("\n\nport", 3, "'port' needs a value"),
        ("port 1 2", 1, "'port' takes one value: put quotes around blanks"),
        ("port 1 # ours", 1, "'port' takes one value: a comment has a line of its own"),
        ("port=1", 1, "there is no setting 'port=1': put a blank between the name and its value"),
        ("prot 1", 1, "there is no setting 'prot': did you mean port?"),
        ("output-limit 9kb", 1, "output-limit 9kb: must be 1mb or more"),
        ("allow-shutdown maybe", 1, "'allow-shutdown' is yes or no"),
        ("allow-shutdown", 1, "'allow-shutdown' is yes or no"),
        ("requirepass \"abc", 1, "quotes in pairs"),
        ("*1", 1, "a line is a name and a value"),
        ("config other.conf", 1, "there is no setting 'config'"),
        ("maxclients 0", 1, "maxclients 0: must be from 1 to"),
        ("timeout 1\nport 0\ntimeout 2", 3, "'timeout' is set in line 1 already"),
    ];
    for (text, line, reason) in cases {
        let (_folder, path) = file(text);
        let output = Process::outcome(with_file(&path));
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        let place = format!("kv.conf:{line}: ");
        assert!(error.contains(&place) && error.contains(reason), "{text}: {error}");
        assert!(error.starts_with("kv-server: ") && error.lines().count() == 1, "{error}");
    }
}

/// They were blamed on flags that nobody had typed.
#[test]
fn a_file_for_tls_that_cannot_be_read_is_blamed_on_the_line_that_names_it() {
    let (folder, path) = file(
        "port none\ntls-port 0\ntls-auth-clients no\ntls-cert-file /nowhere/c\ntls-key-file k\n",
    );
    let output = Process::outcome(with_file(&path));
    let error = String::from_utf8(output.stderr).expect("text");
    let file = folder.path().join("kv.conf");
    let place = format!("kv-server: {}:4: tls-cert-file: cannot read /nowhere/c", file.display());
    assert!(error.starts_with(&place), "{error}");
    let mut typed = with_file(&path);
    typed.args(["--tls-cert-file", "/nowhere/typed"]);
    let error = String::from_utf8(Process::outcome(typed).stderr).expect("text");
    assert!(error.starts_with("kv-server: --tls-cert-file: cannot read /nowhere/typed"), "{error}");
}

#[test]
fn words_without_sense_get_one_line_that_names_the_fix() {
    /// Words, variables, and what the line says of them.
    type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], &'static str);
    let cases: &[Case] = &[
        (
            &["redis.conf"],
            &[],
            "PORT redis.conf: must be from 0 to 65535; a file of settings goes to --config",
        ),
        (&["--config", "/no"], &[], "cannot read the configuration file /no: No such file"),
        (&["--bind", "::1,localhost,127.0.0.1"], &[], "--bind names 127.0.0.1 twice: name it once"),
        (
            &["7", "--metrics-port", "7"],
            &[],
            "--metrics-port 7 is what PORT is: choose another port for one of them",
        ),
        (&["--output-limit", "1"], &[], "--output-limit 1: must be 1mb or more"),
        (&["--proto-max-bulk-len", "1gb"], &[], "--proto-max-bulk-len 1gb: must be from 1mb to"),
        (&["--port", "99999"], &[], "--port 99999: must be from 0 to 65535"),
        (&["1", "--port", "2"], &[], "PORT cannot be used with --port: leave one of them out"),
        (&["1", "2"], &[], "'2' is a word too many (usage: kv-server [OPTIONS] [PORT]; "),
        (&["--loglevel", "loud"], &[], "--loglevel loud: must be one of off, error, warn, info,"),
        (&["--timeout", "-1"], &[], "--timeout -1: must not be below 0 (such as --timeout 0)"),
        (&["--timeout", "9999999999"], &[], "--timeout 9999999999: must be from 0 to 2147483647"),
        (&["--yes"], &[], "--repair is missing (usage: "),
        (&["--repair"], &[], "--repair needs the folder of the store: give --data-dir DIR"),
        (
            &["--bind", "none", "--unixsocket", "s", "--tls-port", "1"],
            &[],
            "--tls-port needs an address, and --bind is none",
        ),
        (&["--bind", "none", "--unixsocket", "s", "1"], &[], "PORT needs an address, and --bind"),
        (&["--port", "0", "--tls-port", "1"], &[], "--port 0 opens a free port without TLS beside"),
        (&["--tls-port", "1"], &[("KV_PORT", "0")], "KV_PORT 0 opens a free port without TLS"),
        (&["--tls-auth-clients", "no"], &[], "--tls-auth-clients is of no use without --tls-port"),
        (&["--prot", "1"], &[], "there is no flag --prot: did you mean --port?"),
        // clap took --log-requests for similar.
        (&["--bogus"], &[], "there is no flag --bogus (kv-server --help lists them)"),
        (&["--port", "1", "--port", "2"], &[], "--port is given twice: give it once"),
        (&["--protected-mode", "maybe"], &[], "--protected-mode maybe: must be one of yes, no"),
        (&[], &[("KV_PORT", "tcp://10.0.0.1:80")], "KV_PORT tcp://10.0.0.1:80: must be from 0"),
        (&[], &[("KV_DURABILITY", "most")], "KV_DURABILITY most: must be one of none,"),
        (&[], &[("KV_DURABILITY", "always")], "KV_DURABILITY always needs a folder"),
        (&[], &[("KV_DATA_DIR", "")], "KV_DATA_DIR is empty: unset it, or give it a value"),
        (&[], &[("KV_REQUIREPASS", "")], "KV_REQUIREPASS is empty"),
    ];
    for (words, variables, expected) in cases {
        let mut command = Process::command();
        command.args(*words).envs(variables.iter().copied());
        let output = Process::outcome(command);
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{words:?} {variables:?}: {error}");
        let line = format!("kv-server: {expected}");
        assert!(error.starts_with(&line), "{words:?} {variables:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn settings_that_do_nothing_or_expose_are_warned_of_once() {
    let (_folder, path) = file("snapshot-interval 9\nport 0\nbind 0.0.0.0\n");
    let start = |args: &[&str]| {
        let mut command = with_file(&path);
        command.args(args);
        let process = Process::spawn(command);
        process.log()
    };
    let log = start(&[]);
    assert!(log.contains("kv.conf:1: snapshot-interval changes nothing: durability is none"));
    assert!(log.contains("kv.conf:3: bind without a password: clients on other machines are ref"));
    let log = start(&["--protected-mode", "no", "--snapshot-interval", "7"]);
    assert!(log.contains("WARN ] --snapshot-interval changes nothing"), "{log}");
    assert!(log.contains("without a password or protected mode: whoever reaches"), "{log}");
    let data = tempfile::tempdir().expect("a temporary folder");
    let dir = data.path().to_str().expect("a plain path");
    let log = start(&["--requirepass", "s", "--durability", "snapshot", "--data-dir", dir]);
    assert!(!log.contains("WARN"), "{log}");
}

/// Who named the folder of a Redis server, whose files nobody reads here, began with an empty store
/// and was told nothing.
#[test]
fn a_new_store_beside_files_of_others_is_warned_of_and_an_old_one_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().to_str().expect("a plain path");
    for name in ["LOCK", ".hidden", "kv.log", "dump.rdb"] {
        std::fs::write(folder.path().join(name), "").expect("a new file");
    }
    let log = folder.path().join("kv.log");
    let start =
        || drop(Process::start(&["--data-dir", dir, "--log-file", log.to_str().expect("")]));
    let warnings = || std::fs::read_to_string(&log).expect("the log").matches("WARN").count();
    start();
    let said = format!("--data-dir {dir}: no store is there yet, but dump.rdb, which is not read");
    assert!(std::fs::read_to_string(&log).expect("the log").contains(&said));
    assert_eq!(warnings(), 1);
    start();
    assert_eq!(warnings(), 1, "the store is there");
    std::fs::remove_file(folder.path().join("MANIFEST")).expect("the manifest");
    assert!(start_fails(dir), "a store without its manifest");
    assert_eq!(warnings(), 1);
}

fn start_fails(dir: &str) -> bool {
    let mut command = Process::command();
    command.args(["--port", "0", "--data-dir", dir]);
    Process::outcome(command).status.code() == Some(1)
}

/// `CONFIG SET` took units where the flag of the same name, and so its line in a file, did not.
#[test]
fn sizes_have_units_wherever_they_are_written() {
    let (_folder, path) = file("\u{feff}port 0\noutput-limit 3mb\nproto-max-bulk-len 2MB\n");
    let mut command = with_file(&path);
    command.args(["--output-soft-limit", "2048kb"]);
    let server = Process::spawn(command);
    let mut wire = server.connect();
    assert_setting(&mut wire, "output-limit", "3145728");
    assert_setting(&mut wire, "output-soft-limit", "2097152");
    assert_setting(&mut wire, "proto-max-bulk-len", "2097152");
}

#[test]
fn an_address_that_cannot_be_announced_ends_the_server() {
    let mut command = Command::new("sh");
    let words = "exec \"$0\" --port 0 --announce --loglevel error > /dev/full";
    command.args(["-c", words]).arg(Process::command().get_program());
    let output = Process::outcome(command);
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(
        error,
        "kv-server: --announce: cannot write to standard output: No space left on device (os error \
         28)\n"
    );
}

#[test]
fn a_missing_file_is_named() {
    let output = Process::outcome(with_file(&PathBuf::from("/nowhere/kv.conf")));
    let error = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("cannot read the configuration file /nowhere/kv.conf: No such file"),
        "{error}"
    );
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
    // Its seconds were lost: no flag was theirs.
    wire.ask("CONFIG SET client-output-buffer-limit 'normal 2mb 1mb 5'", "+OK\r\n");
    wire.ask("CONFIG REWRITE", "+OK\r\n");
    let text = fs::read_to_string(&path).expect("the file");
    assert!(!text.contains("requirepass") && text.contains("\ntimeout 77\n"), "{text}");
    let limits = "\noutput-limit 2097152\noutput-soft-limit 1048576\noutput-soft-time 5\n";
    assert!(text.contains(limits), "{text}");
    let files = fs::read_dir(path.parent().expect("a folder")).expect("a folder").count();
    assert_eq!(files, 1, "nothing is left beside it");
}

#[test]
fn a_rewritten_file_is_as_closed_as_before_and_what_overrules_it_is_named() {
    let (_folder, path) = file("port 0\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("our own file");
    let mut command = with_file(&path);
    command.args(["--timeout", "66"]);
    let process = Process::spawn(command);
    let mut wire = process.connect();
    let longest = i64::MAX;
    wire.ask(&format!("CONFIG SET timeout 5 slowlog-max-len {longest}"), "+OK\r\n");
    wire.ask("CONFIG REWRITE", "+OK\r\n");
    let mode = fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
    let log = process.log();
    assert!(
        log.contains("kv.conf changes nothing at the next start if --timeout is given"),
        "{log}"
    );
    assert!(!log.contains("slowlog"), "{log}");
}

#[test]
fn a_store_whose_folder_the_file_names_is_checked() {
    let store = tempfile::tempdir().expect("a temporary folder");
    let (_folder, path) = file(&format!("data-dir {}\n", store.path().display()));
    let mut command = with_file(&path);
    command.arg("--repair");
    let output = Process::outcome(command);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn a_transaction_rewrites_no_file() {
    let (_folder, path) = file("port 0\n");
    let process = Process::spawn(with_file(&path));
    let mut wire = process.connect();
    wire.ask("MULTI", "+OK\r\n").ask("CONFIG SET timeout 5", "+QUEUED\r\n");
    wire.ask("CONFIG REWRITE", "-ERR Command not allowed inside a transaction\r\n");
    wire.ask("EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    assert_eq!(fs::read_to_string(&path).expect("the file"), "port 0\n");
}

#[test]
fn a_file_that_cannot_be_rewritten_is_named_and_left_alone() {
    let (folder, path) = file("port 0\n");
    let process = Process::spawn(with_file(&path));
    let mut wire = process.connect();
    wire.ask("CONFIG SET requirepass \"\\xff\"", "+OK\r\n");
    wire.ask("CONFIG SET maxclients 9", "+OK\r\n").send("CONFIG REWRITE\r\n");
    assert!(
        wire.line().starts_with("-ERR a file holds text, and requirepass is none: all else is")
    );
    let text = fs::read_to_string(&path).expect("the file");
    assert!(text.ends_with(":\nmaxclients 9\n") && !text.contains("requirepass"), "{text}");
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
