//! Log files that are moved away, as logrotate does it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use support::{Process, eventually};

fn serve(folder: &Path) -> Process {
    let path = |name| folder.join(name).display().to_string();
    Process::start(&["--log-file", &path("log"), "--log-requests", &path("requests")])
}

fn holds(file: &Path, text: &str) -> bool {
    fs::read_to_string(file).is_ok_and(|found| found.contains(text))
}

/// SIGHUP, with which logrotate's scripts tell a server to let go of its files, once killed it with
/// all that was in the store; and without, it wrote on to the files that were moved.
#[test]
fn after_a_hangup_logs_go_on_in_new_files_and_nothing_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name| folder.path().join(name);
    let mut server = serve(folder.path());
    let mut wire = server.connect();
    wire.send("SET before x\r\n").expect("+OK\r\n");
    eventually("it is recorded", || holds(&at("requests"), "SET before x"));
    for name in ["log", "requests"] {
        fs::rename(at(name), at(name).with_extension("1")).expect("both are there");
    }
    server.signal(Signal::HUP);
    eventually("both are there anew", || at("log").exists() && at("requests").exists());
    wire.send("GET before\r\n").expect("$1\r\nx\r\n");
    eventually("it is recorded anew", || holds(&at("requests"), "GET before"));
    eventually("the log says so", || {
        holds(&at("log"), &format!("SIGHUP: opened {} anew", at("requests").display()))
    });
    assert!(holds(&at("log.1"), "ready on") && !holds(&at("log"), "ready on"));
    assert!(holds(&at("requests.1"), "SET before x") && !holds(&at("requests"), "SET before"));
    // It once showed what the store holds to everybody on the machine.
    let mode = at("requests").metadata().expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    assert!(holds(&at("log"), "stopped"));
}

#[test]
fn a_log_that_cannot_be_opened_anew_goes_on_where_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (logs, moved) = (folder.path().join("logs"), folder.path().join("moved"));
    fs::create_dir(&logs).expect("a new folder");
    let server = serve(&logs);
    fs::rename(&logs, &moved).expect("it is there");
    server.signal(Signal::HUP);
    let said = format!("cannot open {} anew: No such file", logs.join("requests").display());
    eventually("the log says so", || holds(&moved.join("log"), &said));
    server.connect().send("SET key x\r\n").expect("+OK\r\n");
    eventually("it is recorded", || holds(&moved.join("requests"), "SET key x"));
}

#[test]
fn without_a_log_file_a_hangup_says_what_to_do() {
    let server = Process::start(&[]);
    server.signal(Signal::HUP);
    let said = "SIGHUP: there is no log file to open anew; SIGTERM stops the server";
    eventually("it says so", || server.log().contains(said));
    server.connect().send("PING\r\n").expect("+PONG\r\n");
}
