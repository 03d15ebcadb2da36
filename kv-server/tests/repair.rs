//! `--repair` says what it would drop, drops it only when told to, and leaves a store that starts.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use support::{Process, skip};

/// Where the second record begins: behind the segment's header and a `SET` of one-letter words.
const SECOND_RECORD: u64 = 88;

fn serve(dir: &Path) -> Process {
    Process::start(&["--data-dir", dir.to_str().expect("a plain path"), "--durability", "os"])
}

/// Sets keys, one change each, saving behind `saved` of them, and ends in order.
fn fill(dir: &Path, keys: &str, saved: Option<usize>) {
    let mut server = serve(dir);
    let mut wire = server.connect();
    for (count, key) in (1..).zip(keys.chars()) {
        wire.send(format!("SET {key} x\r\n")).expect("+OK\r\n");
        if saved == Some(count) {
            wire.send("SAVE\r\n").expect("+OK\r\n");
        }
    }
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
}

/// Exit code, standard output, standard error.
fn repair(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Process::command();
    command.arg("--data-dir").arg(dir).arg("--repair").args(args);
    let output = Process::outcome(command);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn file(dir: &Path, prefix: &str) -> PathBuf {
    let entries = fs::read_dir(dir).expect("the folder").map(|entry| entry.expect("one").path());
    let is_it =
        |path: &PathBuf| path.file_name().expect("a name").to_string_lossy().starts_with(prefix);
    entries.filter(is_it).min().expect("such a file")
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).expect("the file");
    bytes[at] ^= 1;
    fs::write(file, bytes).expect("the file");
}

#[test]
fn a_damaged_log_is_cut_only_when_told_to_and_then_the_store_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    fill(dir, "abc", None);
    let log = file(dir, "log-");
    flip(&log, SECOND_RECORD as usize + 30);
    let damaged = fs::read(&log).expect("the log");
    let (code, _, why) = repair(dir, &[]);
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains(log.to_str().expect("a plain path")), "{why}");
    assert!(
        why.contains(&format!("from byte {SECOND_RECORD} on: change 2 and all later")),
        "{why}"
    );
    assert!(why.contains("--yes"), "{why}");
    assert_eq!(fs::read(&log).expect("the log"), damaged, "nothing was changed");
    let (code, said, why) = repair(dir, &["--yes"]);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.contains("dropped") && said.contains("up to change 1"), "{said}");
    let kept = format!("{}.cut-2", log.display());
    assert!(said.contains(&format!("what was dropped is kept in {kept}\n")), "{said}");
    assert!(said.contains(": repaired, up to change 1\n"), "{said}");
    assert_eq!(fs::read(kept).expect("what was dropped"), damaged[SECOND_RECORD as usize..]);
    assert_eq!(repair(dir, &[]).0, Some(0), "nothing is left to do");
    serve(dir).connect().send("MGET a b c\r\n").expect("*3\r\n$1\r\nx\r\n$-1\r\n$-1\r\n");
}

#[test]
fn a_log_damaged_before_its_snapshot_ends_leaves_the_snapshot() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    fill(dir, "abc", Some(2));
    // The log of the snapshot's own changes is gone already: the header is all that is before c.
    let log = file(dir, "log-");
    flip(&log, 20);
    let damaged = fs::read(&log).expect("the log");
    let (code, _, why) = repair(dir, &[]);
    assert_eq!(code, Some(1), "{why}");
    let (code, said, why) = repair(dir, &["--yes"]);
    assert_eq!(code, Some(0), "{said}{why}");
    let kept = format!("{}.cut-3", log.display());
    assert!(said.contains(&format!("what was dropped is kept in {kept}\n")), "{said}");
    assert_eq!(fs::read(kept).expect("what was dropped"), damaged);
    let server = serve(dir);
    server.connect().send("MGET a b c\r\n").expect("*3\r\n$1\r\nx\r\n$1\r\nx\r\n$-1\r\n");
}

#[test]
fn a_sound_store_and_a_torn_tail_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    assert_eq!(repair(dir, &[]).0, Some(0), "an empty folder is an empty store");
    fill(dir, "abc", None);
    let (code, said, _) = repair(dir, &["--yes"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("nothing to repair"), "{said}");
    let log = file(dir, "log-");
    let torn = [fs::read(&log).expect("the log"), b"half a record".to_vec()].concat();
    fs::write(&log, &torn).expect("the log");
    let (code, said, _) = repair(dir, &["--yes"]);
    assert_eq!(code, Some(0));
    assert!(said.contains("the next start cuts 13 bytes"), "{said}");
    assert_eq!(fs::read(&log).expect("the log"), torn);
}

#[test]
fn a_damaged_snapshot_and_a_missing_manifest_are_beyond_repair() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    fill(dir, "abc", Some(2));
    let snapshot = file(dir, "snapshot-");
    flip(&snapshot, 60);
    let (code, _, why) = repair(dir, &["--yes"]);
    assert_eq!(code, Some(1));
    assert!(why.contains(snapshot.to_str().expect("a plain path")), "{why}");
    assert!(why.contains("cannot be repaired"), "{why}");
    fs::remove_file(file(dir, "MANIFEST")).expect("the manifest");
    let (code, _, why) = repair(dir, &["--yes"]);
    assert_eq!(code, Some(1));
    assert!(why.contains("no MANIFEST") && why.contains("cannot be repaired"), "{why}");
    assert!(why.contains("from a backup"), "{why}");
}

/// What the system refuses was called damage beyond repair, its reason left out or said twice.
#[test]
fn what_may_not_be_read_is_not_called_damaged_and_the_reason_is_said_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    fill(dir, "abc", None);
    let manifest = file(dir, "MANIFEST");
    fs::remove_file(&manifest).and_then(|()| fs::create_dir(&manifest)).expect("our own folder");
    let reason = format!("{}: Is a directory (os error 21)\n", manifest.display());
    assert_eq!(repair(dir, &["--yes"]).2, format!("kv-server: {reason}Nothing was changed.\n"));
    let mut command = Process::command();
    command.args(["--port", "0", "--loglevel", "off", "--data-dir"]).arg(dir);
    let refusal = String::from_utf8(Process::outcome(command).stderr).expect("text");
    assert_eq!(refusal, format!("kv-server: cannot recover the store: {reason}"));
    let lock = file(dir, "LOCK");
    fs::remove_file(&lock).and_then(|()| fs::create_dir(&lock)).expect("our own folder");
    let reason = format!("the data folder {}: Is a directory (os error 21)\n", dir.display());
    assert_eq!(repair(dir, &[]).2, format!("kv-server: cannot lock {reason}"));
}

#[test]
fn the_folder_of_another_user_is_refused_with_the_fix() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become another user");
    }
    let (folder, binaries) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    fill(folder.path(), "abc", None);
    let binary = binaries.path().join("kv-server");
    fs::copy(env!("CARGO_BIN_EXE_kv-server"), &binary).expect("a copy");
    let everybody = fs::Permissions::from_mode(0o755);
    fs::set_permissions(binaries.path(), everybody).expect("our own folder");
    for (args, place) in [(&[][..], "cannot lock the data folder"), (&["--repair"], "cannot lock")]
    {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--clear-groups"]).arg(&binary);
        command.args(["--port", "0", "--data-dir"]).arg(folder.path()).args(args);
        let output = Process::outcome(command);
        let refusal = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(1), "{refusal}");
        assert!(refusal.starts_with(&format!("kv-server: {place}")), "{refusal}");
        let hint =
            "(os error 13); give the folder and its files to the user that the server runs as";
        assert!(refusal.contains(hint), "{refusal}");
    }
}

#[test]
fn repair_asks_for_a_folder_that_is_there_and_in_nobodys_use() {
    let mut command = Process::command();
    command.arg("--repair").env_remove("KV_DATA_DIR");
    assert_eq!(Process::outcome(command).status.code(), Some(2));
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing");
    let (code, _, why) = repair(&missing, &[]);
    assert_eq!(code, Some(2), "{why}");
    assert!(!missing.exists(), "nothing is made");
    let _server = serve(folder.path());
    let (code, _, why) = repair(folder.path(), &[]);
    assert_eq!(code, Some(1));
    assert!(why.contains("another server"), "{why}");
}
