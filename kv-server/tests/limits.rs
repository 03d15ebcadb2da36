//! What one client may cost, and what the others notice of it: nothing.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use support::{Namespace, Process, Served, Wire, eventually, request, skip};

const REFUSED: &str = "-ERR max number of clients reached\r\n";

#[test]
fn one_client_too_many_is_told_so() {
    let served = Served::with(|config| config.limits.clients_max = 2);
    let (mut one, mut two) = (served.connect(), served.connect());
    one.ask("PING", "+PONG\r\n");
    two.ask("PING", "+PONG\r\n");
    served.connect().expect(REFUSED).expect_end();
    assert_eq!(one.info("rejected_connections"), 1);
    drop(two);
    eventually("the other has gone", || one.info("connected_clients") == 1);
    served.connect().ask("PING", "+PONG\r\n");
    one.ask("CONFIG SET maxclients 1", "+OK\r\n");
    eventually("the other has gone", || one.info("connected_clients") == 1);
    served.connect().expect(REFUSED).expect_end();
}

#[test]
fn who_is_silent_for_too_long_is_closed_and_nobody_else() {
    let served = Served::with(|config| config.limits.idle_time = Some(Duration::from_secs(1)));
    let mut silent = served.connect();
    silent.ask("PING", "+PONG\r\n");
    let mut busy = served.connect();
    let closed = std::thread::spawn(move || silent.expect_end());
    eventually("the silent one is closed", || {
        busy.ask("PING", "+PONG\r\n");
        closed.is_finished()
    });
    closed.join().expect("it was closed without a word");
    busy.ask("PING", "+PONG\r\n");
}

#[test]
fn a_fresh_connection_has_not_been_idle_since_the_server_began() {
    let served = Served::with(|config| config.limits.idle_time = Some(Duration::from_secs(2)));
    let mut first = served.connect();
    first.ask("PING", "+PONG\r\n").expect_end();
    // The server is older than its limit now.
    let fresh = served.connect();
    let address = fresh.stream.local_addr().expect("a socket");
    let list = served.connect().text("CLIENT LIST");
    let line = list.lines().find(|line| line.contains(&format!("addr={address} ")));
    let line = line.unwrap_or_else(|| panic!("{address} in {list}"));
    assert!(line.contains(" idle=0 ") || line.contains(" idle=1 "), "{line}");
}

#[test]
fn a_request_that_does_not_go_on_is_given_up() {
    let served = Served::with(|config| config.limits.partial_time = Duration::from_secs(1));
    let mut between = served.connect();
    between.ask("PING", "+PONG\r\n");
    for begun in ["*2\r\n$3\r\nGET\r\n$1", "GET k", "*2\r\n$3\r\nSET\r\n$100000\r\nabc", "*"] {
        served.connect().send(begun).expect_end();
    }
    // Waiting between requests is another matter.
    between.ask("PING", "+PONG\r\n");
}

#[test]
fn an_argument_beyond_the_limit_is_refused_and_one_at_it_is_not() {
    let served = Served::with(|config| config.limits.bulk_bytes_max = 100_000);
    let value = vec![b'v'; 100_000];
    let mut wire = served.connect();
    wire.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n");
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    wire.ask("APPEND k x", too_long).ask("SETRANGE k 100000 x", too_long);
    wire.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100001\r\n");
    wire.expect("-ERR Protocol error: invalid bulk length\r\n").expect_end();
}

#[test]
fn a_line_without_end_is_refused() {
    let served = Served::start();
    let mut wire = served.connect();
    wire.send(vec![b'a'; 70_000]).expect("-ERR Protocol error: too big inline request\r\n");
    let mut wire = served.connect();
    wire.send(b"*").send(vec![b'1'; 70_000]);
    wire.expect("-ERR Protocol error: too big mbulk count string\r\n");
}

/// Symptom once: `SET` took a value of 100 MB, and `GET` of it closed the connection, because the
/// one reply was more than the output limit. The limit is for clients that go on asking.
#[test]
fn a_single_reply_may_be_larger_than_the_output_limit() {
    let served = Served::with(|config| config.limits.output_bytes_max = 1024 * 1024);
    let value = vec![b'v'; 30_000_000];
    let mut wire = served.connect();
    wire.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n").send("GET k\r\n");
    let mut reply = b"$30000000\r\n".to_vec();
    reply.extend_from_slice(&value);
    reply.extend_from_slice(b"\r\n");
    assert!(wire.read(reply.len()) == reply);
    wire.ask("PING", "+PONG\r\n");
}

/// Symptom once: of two pipelined `GET`s of big values only the first was answered, and the client,
/// which was reading all the time, was cut off in the middle of it.
#[test]
fn who_reads_gets_every_reply_however_big() {
    let served = Served::with(|config| config.limits.output_bytes_max = 1024 * 1024);
    let value = vec![b'v'; 10_000_000];
    let mut wire = served.connect();
    wire.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n").send("GET k\r\n".repeat(3));
    let mut reply = b"$10000000\r\n".to_vec();
    reply.extend_from_slice(&value);
    reply.extend_from_slice(b"\r\n");
    for _ in 0..3 {
        assert!(wire.read(reply.len()) == reply);
    }
}

/// A million times the same big value would be a reply of a terabyte, for a request of a few
/// megabytes, and the server died of it.
#[test]
fn one_request_cannot_ask_for_more_than_the_limit_by_naming_a_key_again_and_again() {
    let served = Served::with(|config| {
        config.limits.output_bytes_max = 1024 * 1024;
        config.limits.bulk_bytes_max = 1024 * 1024;
    });
    let mut good = served.connect();
    good.send(request(&[b"SET", b"k", &vec![b'v'; 1024 * 1024]])).expect("+OK\r\n");
    let mut mget = vec![&b"k"[..]; 10_000];
    mget[0] = b"MGET";
    served.connect().send(request(&mget)).expect_end();
    let mut queued = served.connect();
    queued.ask("MULTI", "+OK\r\n").send("GET k\r\n".repeat(1000));
    queued.expect("+QUEUED\r\n".repeat(1000)).send("EXEC\r\n").expect_end();
    assert_eq!(good.info("client_output_buffer_limit_disconnections"), 2);
}

#[test]
fn before_authentication_requests_are_small() {
    // Redis 7.0.15's words, from a connection to one with --requirepass.
    const ARGS: &str = "-ERR Protocol error: unauthenticated multibulk length\r\n";
    const BYTES: &str = "-ERR Protocol error: unauthenticated bulk length\r\n";
    let served = Served::with(|config| config.password = Some("secret".to_owned()));
    let words = |keys| request(&[&[&b"MGET"[..]][..], &vec![&b"k"[..]; keys]].concat());
    let (ten, eleven) = (words(9), words(10));
    served.connect().send(&ten).expect("-NOAUTH Authentication required.\r\n");
    served.connect().send(&eleven).expect(ARGS).expect_end();
    let (most, more) = (vec![b'v'; 16_384], vec![b'v'; 16_385]);
    let mut wire = served.connect();
    wire.send(request(&[b"AUTH", &most])).expect("-WRONGPASS ");
    served.connect().send(request(&[b"AUTH", &more])).expect(BYTES).expect_end();
    let mut wire = served.connect();
    wire.ask("AUTH secret", "+OK\r\n").send(&eleven).expect("*10\r\n$-1\r\n");
    let mut wire = served.connect();
    wire.ask("AUTH secret", "+OK\r\n").send(request(&[b"SET", b"k", &more])).expect("+OK\r\n");
}

#[test]
fn only_the_whole_password_is_the_password() {
    let served = Served::with(|config| config.password = Some("secret".to_owned()));
    let mut wire = served.connect();
    for wrong in ["secre", "secrets", "Secret", "\"\"", "tecret"] {
        wire.ask(
            &format!("AUTH {wrong}"),
            "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
        );
    }
    wire.ask("AUTH secret", "+OK\r\n")
        .ask("CONFIG GET requirepass", "*2\r\n$11\r\nrequirepass\r\n$6\r\nsecret\r\n");
}

#[test]
fn before_authentication_little_may_be_left_unread() {
    let served = Served::with(|config| config.limits.clients_max = 10);
    let mut good = served.connect();
    good.ask("CONFIG SET requirepass secret", "+OK\r\n").ask("AUTH secret", "+OK\r\n");
    let mut greedy = served.connect();
    // More than both sockets' buffers take in replies; the rest would be ours to keep.
    let flood = std::thread::spawn(move || {
        let mut sent = 0;
        while sent < 10_000_000 && greedy.stream.write_all(&b"PING\r\n".repeat(1000)).is_ok() {
            sent += 1000;
        }
        sent
    });
    eventually("it is closed", || good.info("client_output_buffer_limit_disconnections") == 1);
    assert!(flood.join().expect("the flood ends") < 10_000_000);
}

#[test]
fn who_leaves_replies_unread_for_too_long_is_closed() {
    let served = Served::with(|config| {
        config.limits.output_soft_bytes_max = 1024 * 1024;
        config.limits.output_soft_time = Duration::from_millis(100);
    });
    let mut good = served.connect();
    good.send(request(&[b"SET", b"big", &vec![b'v'; 20_000_000]])).expect("+OK\r\n");
    let mut slow = served.connect();
    slow.send("GET big\r\n");
    eventually("it is closed", || good.info("client_output_buffer_limit_disconnections") == 1);
}

#[test]
fn a_hundred_megabytes_of_requests_before_the_first_read_are_all_answered() {
    let served = Served::start();
    let value = [b'v'; 1000];
    let mut requests = Vec::new();
    let mut replies = Vec::new();
    for number in 0..100_000u32 {
        requests.extend(request(&[b"SET", b"k", &value]));
        replies.extend_from_slice(b"+OK\r\n");
        if number % 4 == 0 {
            requests.extend_from_slice(b"GET k\r\n");
            replies.extend_from_slice(b"$1000\r\n");
            replies.extend_from_slice(&value);
            replies.extend_from_slice(b"\r\n");
        }
    }
    assert!(requests.len() > 100_000_000 && replies.len() > 20_000_000);
    let mut wire = served.connect();
    wire.send(&requests);
    assert!(wire.read(replies.len()) == replies, "replies differ");
}

#[test]
fn without_a_password_other_machines_are_refused() {
    let Some(elsewhere) = Namespace::create() else { return };
    let served = Served::with(|config| config.bind = vec![IpAddr::from(Ipv4Addr::UNSPECIFIED)]);
    let address = SocketAddr::new(elsewhere.host, served.address.port());
    let from_there = || elsewhere.enter(|| Wire::to(address).send("PING\r\nQUIT\r\n").rest());
    let refusal = String::from_utf8(from_there()).expect("text");
    assert!(refusal.starts_with("-DENIED ") && refusal.ends_with("\r\n"), "{refusal}");
    for way_out in ["--requirepass", "--protected-mode no"] {
        assert!(refusal.contains(way_out), "{refusal}");
    }
    let mut here = Wire::to(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()));
    here.ask("PING", "+PONG\r\n").ask("CONFIG SET protected-mode no", "+OK\r\n");
    assert_eq!(from_there(), b"+PONG\r\n+OK\r\n");
    here.ask("CONFIG SET protected-mode yes", "+OK\r\n");
    here.ask("CONFIG SET requirepass x", "+OK\r\n");
    let replies = elsewhere.enter(|| Wire::to(address).send("PING\r\nAUTH x\r\nQUIT\r\n").rest());
    assert_eq!(replies, b"-NOAUTH Authentication required.\r\n+OK\r\n+OK\r\n");
}

#[test]
fn few_files_mean_few_clients() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" --port 0 --announce"]);
    command.arg(env!("CARGO_BIN_EXE_kv-server"));
    let process = Process::spawn(command);
    assert!(process.log().contains("maxclients is 32 instead of 10000"), "{}", process.log());
    let mut wires: Vec<Wire> = (0..32).map(|_| process.connect()).collect();
    wires[31].ask("PING", "+PONG\r\n");
    for _ in 0..200 {
        process.connect().expect(REFUSED).expect_end();
    }
    wires[0].ask(
        "CONFIG SET maxclients 1000",
        "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating \
         system is not able to handle the specified number of clients, try with 32\r\n",
    );
    wires[0].ask("CONFIG SET maxclients 31", "+OK\r\n");
}

#[test]
fn few_mappings_mean_few_clients() {
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux");
    let affordable = (mappings.trim().parse::<u64>().expect("a number") - 1000) / 5;
    let files = getrlimit(Resource::Nofile).maximum;
    if files.is_some_and(|files| files <= affordable + 32) {
        return skip("ulimit -Hn allows fewer files than vm.max_map_count allows threads");
    }
    let asked = affordable + 1;
    let process = Process::start(&["--maxclients", &asked.to_string()]);
    let warning = format!(
        "maxclients is {affordable} instead of {asked}: raise sysctl vm.max_map_count for more"
    );
    assert!(process.log().contains(&warning), "{}", process.log());
}

/// With more threads than it could map stacks for, the server once died of a panic within the
/// standard library, which maps a signal stack for each.
#[test]
fn a_client_needs_no_more_mappings_than_are_reckoned() {
    let process = Process::start(&[]);
    let connect = |count| -> Vec<Wire> {
        let mut wires: Vec<Wire> = (0..count).map(|_| process.connect()).collect();
        for wire in &mut wires {
            wire.ask("SET k v", "+OK\r\n");
        }
        wires
    };
    // The first ones make malloc map its arenas, of which there are eight for each core.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let _first = connect(cores * 8);
    let before = process.mappings();
    let _others = connect(100);
    let each = (process.mappings() - before).div_ceil(100);
    assert!((1..=5).contains(&each), "{each} mappings for each client");
}

#[test]
fn a_client_whose_machine_has_vanished_is_let_go() {
    let Some(elsewhere) = Namespace::create() else { return };
    let served = Served::with(|config| {
        config.bind = vec![Ipv4Addr::UNSPECIFIED.into()];
        config.protected_mode = false;
        config.limits.unacknowledged_time = Duration::from_secs(1);
    });
    let port = served.address.port();
    let mut here = Wire::to(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port));
    let value = vec![b'v'; 8_000_000];
    here.send(request(&[b"SET", b"k", &value])).expect("+OK\r\n");
    std::thread::scope(|scope| {
        let vanished = scope.spawn(|| {
            elsewhere.enter(|| {
                let mut wire = Wire::to(SocketAddr::new(elsewhere.host, port));
                wire.stream.set_read_timeout(Some(Duration::from_secs(1))).expect("a socket");
                let mut reply = vec![0; b"$8000000\r\n".len() + value.len() + 2];
                // Whenever it vanishes, a reply is on its way.
                while wire.stream.write_all(b"GET k\r\n").is_ok()
                    && wire.stream.read_exact(&mut reply).is_ok()
                {}
                wire
            })
        });
        eventually("it reads", || here.info("total_net_output_bytes") > 16_000_000);
        assert_eq!(here.info("connected_clients"), 2);
        elsewhere.unplug();
        let _still_open = vanished.join().expect("a client");
        eventually("it is let go", || here.info("connected_clients") == 1);
    });
}

#[test]
fn without_a_free_descriptor_the_server_waits_without_spinning() {
    let mut process = Process::start(&[]);
    let mut good = process.connect();
    good.ask("PING", "+PONG\r\n");
    let full = Some(process.open_files());
    let old = prlimit(
        Some(process.pid()),
        Resource::Nofile,
        Rlimit { current: full, maximum: Some(20_000) },
    )
    .expect("our child");
    let mut waiting: Vec<Wire> = (0..50).map(|_| process.connect()).collect();
    eventually("it says so", || process.log().contains("cannot accept a connection"));
    let before = process.cpu_ticks();
    std::thread::sleep(Duration::from_secs(1));
    let ticks = process.cpu_ticks() - before;
    assert!(ticks < 20, "{ticks} hundredths of a second of processor time within one");
    good.ask("PING", "+PONG\r\n");
    assert!(process.lives());
    prlimit(Some(process.pid()), Resource::Nofile, old).expect("our child");
    for wire in &mut waiting {
        wire.ask("PING", "+PONG\r\n");
    }
}

/// The binary where every user may run it.
fn for_everybody(folder: &Path) -> std::path::PathBuf {
    let binary = folder.join("kv-server");
    std::fs::copy(env!("CARGO_BIN_EXE_kv-server"), &binary).expect("a copy");
    for path in [folder, &binary] {
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, everybody).expect("our own files");
    }
    binary
}

#[test]
fn without_a_free_thread_a_client_is_refused_and_the_server_goes_on() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become a user with few threads");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    // A user of its own, because the limit counts all that a user runs.
    let uid = (500_000 + std::process::id()).to_string();
    let mut command = Command::new("prlimit");
    command.args(["--nproc=6", "setpriv", "--reuid", &uid, "--clear-groups"]);
    command.arg(for_everybody(folder.path())).args(["--port", "0", "--announce"]);
    let mut process = Process::spawn(command);
    let mut served = Vec::new();
    let mut refused = 0;
    for _ in 0..20 {
        let mut wire = process.connect();
        wire.send("PING\r\n");
        match wire.read(7).as_slice() {
            b"+PONG\r\n" => served.push(wire),
            reply => {
                assert_eq!(reply, &REFUSED.as_bytes()[..7]);
                refused += 1;
            }
        }
    }
    assert!(!served.is_empty() && refused > 0, "{} served, {refused} refused", served.len());
    assert!(process.log().contains("no thread for it"), "{}", process.log());
    let (threads, most) = (process.status("Threads"), served.len());
    drop(served);
    eventually("the threads are free again", || process.status("Threads") == threads - most as u64);
    process.connect().ask("PING", "+PONG\r\n");
    assert!(process.lives());
}

#[test]
fn a_unix_socket_serves_and_goes_with_the_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("kv.sock");
    // A dead server's socket lies in the way.
    drop(UnixListener::bind(&path).expect("a new socket"));
    assert!(path.exists());
    let flags = ["--unixsocket", path.to_str().expect("a path in ASCII")];
    let mut process = Process::start(&flags);
    Wire::to_path(&path).ask("PING", "+PONG\r\n").ask("END", "+OK\r\n").expect_end();
    assert_eq!(process.ended().code(), Some(0));
    assert!(!path.exists(), "the socket should be gone");
}

#[test]
fn a_unix_socket_alone_is_enough() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("kv.sock");
    let mut command = Process::command();
    command.args(["--bind", "none", "--announce", "--unixsocket"]).arg(&path);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("a piped stdout");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).expect("a line");
    assert_eq!(line, format!("ready unix:{}\n", path.display()));
    Wire::to_path(&path).ask("SHUTDOWN", "").expect_end();
    assert!(child.wait().expect("our child").success());
}

#[test]
fn a_living_servers_unix_socket_is_left_alone_and_so_is_any_other_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let living = folder.path().join("kv.sock");
    let flags = ["--unixsocket", living.to_str().expect("a path in ASCII")];
    let _process = Process::start(&flags);
    let precious = folder.path().join("precious");
    std::fs::write(&precious, "data").expect("a new file");
    for (path, remedy) in [
        (&living, "stop the server that listens there, or choose another --unixsocket"),
        (
            &precious,
            "no socket and was left as it is: choose another --unixsocket, or move it away",
        ),
    ] {
        let mut command = Process::command();
        command.args(["--bind", "none", "--unixsocket"]).arg(path);
        let output = Process::outcome(command);
        assert_eq!(output.status.code(), Some(1));
        let error = String::from_utf8(output.stderr).expect("text");
        assert!(error.contains(path.to_str().expect("ASCII")), "{error}");
        assert!(error.contains(remedy), "{error}");
    }
    assert_eq!(std::fs::read(&precious).expect("it is still there"), b"data");
    Wire::to_path(&living).ask("PING", "+PONG\r\n");
}
