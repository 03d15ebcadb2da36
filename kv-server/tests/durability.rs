//! What survives: the promise of each durability mode, kept by the real server over kill -9, an
//! orderly end, and restarts in another mode.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use kv_core::log::record::RECORD_HEADER_BYTES;
use kv_core::log::segment::SEGMENT_HEADER_BYTES;
use rustix::process::Signal;
use support::{Process, Wire, eventually, request};

/// The modes in which every acknowledged write survives the end of the process.
const LOGGING: [&str; 3] = ["os", "everysec", "always"];

/// A folder for a store's data.
struct Data(tempfile::TempDir);

impl Data {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// A server on this folder.
    fn serve(&self, args: &[&str]) -> Process {
        let folder = self.path().to_str().expect("a plain path");
        Process::start(&[&["--data-dir", folder], args].concat())
    }

    /// What a server says that does not start on this folder.
    fn refuse(&self, args: &[&str]) -> String {
        let mut command = Process::command();
        command.args(["--port", "0", "--data-dir"]).arg(self.path()).args(args);
        let output = Process::outcome(command);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).expect("text")
    }

    /// The files whose names begin so, in order.
    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).expect("the folder");
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.retain(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        });
        paths.sort();
        paths
    }
}

/// Kills without a warning.
fn kill(mut process: Process) {
    process.signal(Signal::KILL);
    process.ended();
}

/// Ends in order.
fn end(mut process: Process) {
    process.signal(Signal::TERM);
    assert_eq!(process.ended().code(), Some(0), "{}", process.log());
}

/// Writes in every way there is; each is acknowledged when this returns.
fn write_in_every_way(wire: &mut Wire) {
    wire.send("SET plain one\r\n").expect("+OK\r\n");
    wire.send("SET timed two EX 1000\r\n").expect("+OK\r\n");
    wire.send("SET gone x\r\n").expect("+OK\r\n");
    wire.send("DEL gone\r\n").expect(":1\r\n");
    wire.send("APPEND grown ab\r\n").expect(":2\r\n");
    wire.send("APPEND grown cd\r\n").expect(":4\r\n");
    wire.send("SETRANGE sparse 3 x\r\n").expect(":4\r\n");
    wire.send("INCRBY number 40\r\n").expect(":40\r\n");
    wire.send("INCR number\r\n").expect(":41\r\n");
    wire.send("MSET a 1 b 2 c 3\r\n").expect("+OK\r\n");
    wire.send("RENAME c d\r\n").expect("+OK\r\n");
    wire.send("MULTI\r\nSET e 5\r\nDEL b\r\nEXEC\r\n")
        .expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n");
    wire.send("SELECT 3\r\nSET other db3\r\nSELECT 0\r\n").expect("+OK\r\n+OK\r\n+OK\r\n");
    wire.send("SET kept forever EX 1000\r\nPERSIST kept\r\n").expect("+OK\r\n:1\r\n");
    wire.send("PEXPIREAT a 32503680000000\r\n").expect(":1\r\n");
    wire.send("SELECT 5\r\nSET x 1\r\nFLUSHDB\r\nSET y 2\r\nSELECT 0\r\n")
        .expect("+OK\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n");
}

/// Checks all that [`write_in_every_way`] wrote.
fn expect_everything(wire: &mut Wire) {
    wire.send("GET plain\r\n").expect("$3\r\none\r\n");
    wire.send("GET timed\r\n").expect("$3\r\ntwo\r\n");
    wire.send("TTL timed\r\n");
    let ttl = wire.line();
    let seconds: i64 = ttl.trim_start_matches(':').trim_end().parse().expect("a number");
    assert!((1..=1000).contains(&seconds), "{ttl}");
    wire.send("EXISTS gone b c\r\n").expect(":0\r\n");
    wire.send("GET grown\r\n").expect("$4\r\nabcd\r\n");
    wire.send("GET sparse\r\n").expect("$4\r\n\0\0\0x\r\n");
    wire.send("GET number\r\n").expect("$2\r\n41\r\n");
    wire.send("MGET a d e\r\n").expect("*3\r\n$1\r\n1\r\n$1\r\n3\r\n$1\r\n5\r\n");
    wire.send("SELECT 3\r\nGET other\r\nSELECT 0\r\n").expect("+OK\r\n$3\r\ndb3\r\n+OK\r\n");
    wire.send("TTL kept\r\n").expect(":-1\r\n");
    wire.send("PEXPIRETIME a\r\n").expect(":32503680000000\r\n");
    wire.send("SELECT 5\r\nKEYS *\r\nSELECT 0\r\n").expect("+OK\r\n*1\r\n$1\r\ny\r\n+OK\r\n");
}

#[test]
fn every_acknowledged_write_survives_kill_9_in_every_mode_with_a_log() {
    for mode in LOGGING {
        let data = Data::new();
        let server = data.serve(&["--durability", mode]);
        write_in_every_way(&mut server.connect());
        kill(server);
        let server = data.serve(&["--durability", mode]);
        expect_everything(&mut server.connect());
        // And once more, now from the log of two lives.
        server.connect().send("SET second life\r\n").expect("+OK\r\n");
        kill(server);
        let server = data.serve(&["--durability", mode]);
        expect_everything(&mut server.connect());
        server.connect().send("GET second\r\n").expect("$4\r\nlife\r\n");
    }
}

#[test]
fn everything_survives_an_orderly_end_in_every_mode_that_keeps_anything() {
    for mode in ["snapshot", "os", "everysec", "always"] {
        let data = Data::new();
        let server = data.serve(&["--durability", mode, "--snapshot-interval", "3600"]);
        write_in_every_way(&mut server.connect());
        end(server);
        let server = data.serve(&["--durability", mode, "--snapshot-interval", "3600"]);
        expect_everything(&mut server.connect());
    }
}

#[test]
fn a_store_may_be_started_in_another_mode_and_loses_nothing() {
    let data = Data::new();
    let modes = ["everysec", "snapshot", "always", "snapshot", "os", "everysec"];
    let server = data.serve(&["--durability", "always"]);
    write_in_every_way(&mut server.connect());
    kill(server);
    for (number, mode) in modes.iter().enumerate() {
        let server = data.serve(&["--durability", mode, "--snapshot-interval", "3600"]);
        let mut wire = server.connect();
        expect_everything(&mut wire);
        for before in 0..number {
            wire.send(format!("GET life{before}\r\n")).expect("$1\r\nx\r\n");
        }
        wire.send(format!("SET life{number} x\r\n")).expect("+OK\r\n");
        end(server);
    }
}

#[test]
fn a_snapshot_survives_kill_9_and_replaces_the_log_before_it() {
    for mode in ["none", "snapshot", "os", "everysec", "always"] {
        let data = Data::new();
        let server = data.serve(&["--durability", mode, "--snapshot-interval", "3600"]);
        let mut wire = server.connect();
        write_in_every_way(&mut wire);
        wire.send("SAVE\r\n").expect("+OK\r\n");
        kill(server);
        assert_eq!(data.files("snapshot-").len(), 1, "{mode}");
        let server = data.serve(&["--durability", mode, "--snapshot-interval", "3600"]);
        let mut wire = server.connect();
        expect_everything(&mut wire);
        wire.send("SET later x\r\nSAVE\r\n").expect("+OK\r\n+OK\r\n");
        assert_eq!(data.files("snapshot-").len(), 1, "{mode}: the older one went");
        assert!(data.files("log-").len() <= 2, "{mode}: {:?}", data.files("log-"));
    }
}

#[test]
fn a_folder_has_one_server_at_a_time() {
    let data = Data::new();
    let _server = data.serve(&[]);
    let error = data.refuse(&[]);
    assert!(error.contains(data.path().to_str().expect("a plain path")), "{error}");
}

#[test]
fn a_torn_end_of_the_log_is_cut_and_reported_in_bytes() {
    let data = Data::new();
    let server = data.serve(&["--durability", "os"]);
    write_in_every_way(&mut server.connect());
    kill(server);
    let last = data.files("log-").pop().expect("a log");
    let mut bytes = fs::read(&last).expect("the log");
    bytes.extend_from_slice(b"half a record");
    fs::write(&last, bytes).expect("the log");
    let server = data.serve(&["--durability", "os"]);
    expect_everything(&mut server.connect());
    assert!(server.log().contains("cut 13 bytes"), "{}", server.log());
}

/// It cannot be known that nobody misses what is cut off a log in a mode that marks little.
#[test]
fn what_is_cut_off_a_log_is_kept_beside_it_and_never_overwritten_or_read_again() {
    let data = Data::new();
    let server = data.serve(&["--durability", "os"]);
    write_in_every_way(&mut server.connect());
    kill(server);
    let mut kept = Vec::new();
    // Nothing is written in between: each cut is before the same record.
    for text in ["half a record", "half another", "half of one more"] {
        let last = data.files("log-").into_iter().rfind(|path| path.extension().unwrap() == "kv");
        let last = last.expect("a log");
        let mut bytes = fs::read(&last).expect("the log");
        bytes.extend_from_slice(text.as_bytes());
        fs::write(&last, bytes).expect("the log");
        let server = data.serve(&["--durability", "os"]);
        expect_everything(&mut server.connect());
        let log = server.log();
        let file = log.split(" that a crash left unfinished, kept in ").nth(1);
        kept.push((file.and_then(|file| file.lines().next()).expect(&log).to_owned(), text));
        kill(server);
    }
    end(data.serve(&["--durability", "os"]));
    for (file, text) in kept {
        assert!(file.contains(".kv.cut-"), "{file}");
        assert_eq!(fs::read_to_string(&file).expect(&file), text, "{file}");
    }
}

#[test]
fn a_server_that_crashes_again_and_again_does_not_fill_the_disk_with_what_it_cuts() {
    let data = Data::new();
    for _ in 0..18 {
        let server = data.serve(&["--durability", "os"]);
        server.connect().send("SET k v\r\n").expect("+OK\r\n");
        kill(server);
        let mut logs = data.files("log-").into_iter();
        let last = logs.rfind(|path| path.extension().unwrap() == "kv").expect("a log");
        let mut bytes = fs::read(&last).expect("the log");
        bytes.extend_from_slice(b"half a record");
        fs::write(&last, bytes).expect("the log");
    }
    let server = data.serve(&["--durability", "os"]);
    let said = "which are not kept, for there are 16 files like it already; move them away";
    assert!(server.log().contains(said), "{}", server.log());
    server.connect().send("GET k\r\n").expect("$1\r\nv\r\n");
    let logs = data.files("log-").into_iter();
    assert_eq!(logs.filter(|path| path.to_str().unwrap().contains(".cut-")).count(), 16);
}

#[test]
fn damage_is_refused_with_the_file_and_the_offset() {
    let data = Data::new();
    let server = data.serve(&["--durability", "always"]);
    write_in_every_way(&mut server.connect());
    end(server);
    let first = data.files("log-").remove(0);
    let mut bytes = fs::read(&first).expect("the log");
    bytes[100] ^= 0x10;
    fs::write(&first, bytes).expect("the log");
    let error = data.refuse(&[]);
    assert!(error.contains(first.to_str().expect("a plain path")), "{error}");
    // The first record is that of the first SET; the flipped bit is in the second.
    assert!(error.contains("damaged at byte 94"), "{error}");
}

/// How many records a segment of the log holds.
fn records(segment: &Path) -> u64 {
    let bytes = fs::read(segment).expect("the log");
    let mut rest = &bytes[SEGMENT_HEADER_BYTES..];
    let mut count = 0;
    while let Some(header) =
        rest.first_chunk::<RECORD_HEADER_BYTES>().filter(|header| header[0..4] != [0; 4])
    {
        let len = u64::from_le_bytes(header[16..24].try_into().expect("eight bytes")) as usize;
        // One that is being written is not counted.
        let Some(behind) = rest.get(RECORD_HEADER_BYTES + len..) else { break };
        (rest, count) = (behind, count + 1);
    }
    count
}

/// A server that went quiet and was killed left nothing that said how far its log was durable: it
/// was cut at the first bad byte, and the store began without what stood behind.
#[test]
fn damage_in_the_log_of_a_server_that_was_quiet_is_refused() {
    for mode in ["everysec", "always"] {
        let data = Data::new();
        let server = data.serve(&["--durability", mode]);
        let mut wire = server.connect();
        write_in_every_way(&mut wire);
        let changes = wire.info("rdb_changes_since_last_save");
        let log = data.files("log-").remove(0);
        // The mark is a record and no change.
        eventually("a mark is in the log", || records(&log) > changes);
        assert_eq!(wire.info("rdb_changes_since_last_save"), changes);
        kill(server);
        let mut bytes = fs::read(&log).expect("the log");
        bytes[100] ^= 0x10;
        fs::write(&log, bytes).expect("the log");
        let error = data.refuse(&[]);
        let place = format!("{}: damaged at byte 94", log.display());
        assert!(error.contains(&place), "{mode}: {error}");
    }
}

#[test]
fn a_format_of_another_version_is_refused_by_name() {
    let data = Data::new();
    let server = data.serve(&["--durability", "always"]);
    let mut wire = server.connect();
    wire.send("SET a 1\r\nSAVE\r\nSET b 2\r\n").expect("+OK\r\n+OK\r\n+OK\r\n");
    end(server);
    for file in ["MANIFEST", "snapshot-", "log-"].map(|prefix| data.files(prefix).remove(0)) {
        let right = fs::read(&file).expect("the file");
        // Another version may have another length and its checksum elsewhere.
        let mut other = right.clone();
        other[8] = 99;
        other.extend([1; 20]);
        fs::write(&file, other).expect("the file");
        let error = data.refuse(&[]);
        assert!(error.contains("version 99"), "{error}");
        assert!(error.contains(file.to_str().expect("a plain path")), "{error}");
        fs::write(&file, right).expect("the file");
    }
    drop(data.serve(&[]));
}

#[test]
fn commands_on_what_is_kept_answer_as_those_of_redis() {
    let data = Data::new();
    let server = data.serve(&["--durability", "everysec"]);
    let mut wire = server.connect();
    wire.send("SET a 1\r\n").expect("+OK\r\n");
    wire.send("WAITAOF 1 0 0\r\n").expect("*2\r\n:1\r\n:0\r\n");
    wire.send("WAITAOF 2 0 0\r\n").expect("-ERR value is out of range, must be positive\r\n");
    wire.send("WAITAOF 1 0 -1\r\n").expect("-ERR timeout is negative\r\n");
    wire.send("BGSAVE now\r\n").expect("-ERR syntax error\r\n");
    wire.send("BGSAVE\r\n").expect("+Background saving started\r\n");
    eventually("the snapshot is there", || wire.info("rdb_bgsave_in_progress") == 0);
    assert_eq!(data.files("snapshot-0").len(), 1);
    wire.send("BGREWRITEAOF\r\n").expect("+Background append only file rewriting started\r\n");
    wire.send("LASTSAVE\r\n");
    assert!(wire.line().starts_with(":1"), "a Unix time");
    let info = wire.text("INFO persistence");
    for field in
        ["durability:everysec", "aof_enabled:1", "loading:0", "unsynced_bytes:", "unsynced_ms:"]
    {
        assert!(info.contains(field), "{field}: {info}");
    }
    let memory_alone = Process::start(&[]);
    let mut wire = memory_alone.connect();
    for command in ["SAVE", "BGSAVE", "BGREWRITEAOF"] {
        wire.send(format!("{command}\r\n"));
        assert!(wire.line().contains("--data-dir"));
    }
    wire.send("WAITAOF 1 0 0\r\n");
    assert!(wire.line().starts_with("-ERR WAITAOF cannot be used"));
}

#[test]
fn a_big_value_and_a_big_transaction_come_back_whole() {
    let data = Data::new();
    let server = data.serve(&["--durability", "everysec"]);
    let mut wire = server.connect();
    let value = vec![b'v'; 20_000_000];
    wire.send(request(&[b"SET", b"big", &value]));
    wire.expect("+OK\r\n");
    let sets: Vec<String> =
        (0..10_000).map(|number| format!("SET t{number} {number}\r\n")).collect();
    let mut transaction = format!("MULTI\r\n{}", sets.concat());
    transaction.push_str("EXEC\r\n");
    wire.send(&transaction);
    wire.expect("+OK\r\n");
    wire.expect("+QUEUED\r\n".repeat(10_000));
    wire.expect("*10000\r\n");
    wire.expect("+OK\r\n".repeat(10_000));
    kill(server);
    let server = data.serve(&[]);
    let mut wire = server.connect();
    wire.send("STRLEN big\r\nGET t9999\r\nDBSIZE\r\n")
        .expect(":20000000\r\n$4\r\n9999\r\n:10001\r\n");
}

#[test]
fn a_mode_that_keeps_data_asks_for_a_folder() {
    let mut command = Process::command();
    command.args(["--port", "0", "--durability", "always"]);
    let output = Process::outcome(command);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("--data-dir"), "{output:?}");
}

/// A review found that the start removed every `*.tmp` of the folder, whoever had put it there: with
/// `--data-dir .` that would have been a user's own files.
#[test]
fn the_start_removes_what_a_crash_left_and_nobody_elses_files() {
    let data = Data::new();
    drop(data.serve(&[]));
    let ours = ["MANIFEST.tmp", "snapshot-00000000000000000007.kv.tmp"];
    for name in ours.iter().chain(&["notes.tmp"]) {
        fs::write(data.path().join(name), "x").expect("a new file");
    }
    drop(data.serve(&[]));
    assert!(ours.iter().all(|name| !data.path().join(name).exists()));
    assert!(data.path().join("notes.tmp").exists());
}

/// A review found that `SHUTDOWN SAVE` saved nothing in a mode without a log, and that `SHUTDOWN
/// NOSAVE` saved all the same.
/// It was told as an error of the disk.
#[test]
fn a_snapshot_that_the_end_of_the_server_cuts_short_is_no_error() {
    let data = Data::new();
    let mut process = data.serve(&["--durability", "everysec"]);
    let mut wire = process.connect();
    // So much that the end comes first.
    let value = vec![b'x'; 1024 * 1024];
    for key in 0..64 {
        wire.send(request(&[b"SET", format!("key{key}").as_bytes(), &value])).expect("+OK\r\n");
    }
    wire.send("BGSAVE\r\n").expect("+Background saving started\r\n");
    process.signal(Signal::TERM);
    assert_eq!(process.ended().code(), Some(0));
    let log = process.log();
    // Or it was done before.
    let outcomes = ["gave up the snapshot under way", "snapshot of 64 entries"];
    assert!(
        outcomes.iter().any(|outcome| log.contains(outcome)) && !log.contains("ERROR"),
        "{log}"
    );
    data.serve(&[]).connect().send("DBSIZE\r\n").expect(":64\r\n");
}

#[test]
fn shutdown_saves_when_told_to_and_not_when_told_not_to() {
    let data = Data::new();
    for (mode, word, kept) in
        [("none", "SAVE", "$1\r\n1\r\n"), ("snapshot", "NOSAVE", "$1\r\n1\r\n")]
    {
        let mut server = data.serve(&[
            "--durability",
            mode,
            "--snapshot-interval",
            "3600",
            "--loglevel",
            "warn",
        ]);
        let mut wire = server.connect();
        let value = if word == "SAVE" { "1" } else { "2" };
        wire.send(format!("SET a {value}\r\nSHUTDOWN {word}\r\n")).expect("+OK\r\n");
        assert_eq!(server.ended().code(), Some(0));
        let server = data.serve(&["--durability", "none"]);
        server.connect().send("GET a\r\n").expect(kept);
    }
    let memory_alone = Process::start(&[]);
    let mut wire = memory_alone.connect();
    wire.send("SHUTDOWN SAVE\r\n").expect("-ERR Errors trying to SHUTDOWN. Check logs.\r\n");
}

/// What many requests are answered with, each number once and in order.
fn counted_up_to(count: usize) -> String {
    let replies: Vec<String> = (1..=count).map(|number| format!(":{number}\r\n")).collect();
    replies.concat()
}

/// What the server says that it has sent before this reply, and how long this reply is.
fn bytes_sent(wire: &mut Wire) -> (usize, usize) {
    let text = wire.text("INFO");
    let field = "total_net_output_bytes:";
    let value = text.lines().find_map(|line| line.strip_prefix(field)).expect(field);
    (value.parse().expect("a number"), format!("${}\r\n{text}\r\n", text.len()).len())
}

#[test]
fn replies_come_once_and_in_order_however_requests_meet_the_disk() {
    const COUNT: usize = 500;
    let data = Data::new();
    let server = data.serve(&["--durability", "always"]);
    let mut other = server.connect();
    let (before, reply_bytes) = bytes_sent(&mut other);
    // Each request in a packet of its own: some come before the reply to the one before is sent.
    let mut wire = server.connect();
    for _ in 0..COUNT {
        wire.send("INCR counter\r\n");
    }
    let replies = counted_up_to(COUNT);
    wire.expect(&replies).done_sending().expect_end();
    assert_eq!(bytes_sent(&mut other).0, before + reply_bytes + replies.len());
}

#[test]
fn a_client_that_ends_its_requests_at_once_is_still_answered_in_always() {
    let data = Data::new();
    let server = data.serve(&["--durability", "always"]);
    for number in 1..=50 {
        let mut wire = server.connect();
        wire.send("INCR counter\r\n").done_sending();
        wire.expect(format!(":{number}\r\n")).expect_end();
    }
    // Nobody answers with half a request, but what was whole is answered before.
    let mut wire = server.connect();
    wire.send("INCR counter\r\nSET half").expect(":51\r\n");
}

#[test]
fn an_orderly_end_answers_what_waits_for_the_disk() {
    let data = Data::new();
    let server = data.serve(&["--durability", "always"]);
    let mut wires: Vec<Wire> = (0..16).map(|_| server.connect()).collect();
    for wire in &mut wires {
        wire.send("PING\r\n").expect("+PONG\r\n").send("INCR counter\r\n");
    }
    // Whoever is answered knows that all before have arrived.
    let mut last = server.connect();
    eventually("all have been counted", || last.text("GET counter").trim_end() == "16");
    end(server);
    for wire in &mut wires {
        assert!(wire.line().starts_with(':'));
        wire.expect_end();
    }
}
