//! What the worst of clients do, each while a well-behaved one is answered.
//!
//! "Answered" has a bound for a round trip on a connection that is established: not a measure of
//! speed but of being served at all. Memory is bounded by what the limits allow.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit, setrlimit};
use support::{Process, Wire, eventually, request};

/// What it takes at most to be served. Connecting is not in it, for which the kernel alone may take
/// a second or three when a full backlog drops the first packet (one repetition of a SYN, or two).
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// Runs an abuse with a well-behaved client beside it, which asks over a connection that it has and
/// over a new one each time; both must be answered within [`SERVED_WITHIN`] until the abuse is over.
fn while_served(process: &Process, abuse: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let behaved = scope.spawn(|| {
            let mut old = process.connect();
            let mut rounds = 0;
            while !over.load(Ordering::Relaxed) || rounds == 0 {
                let began = Instant::now();
                old.ask("SET behaved 1", "+OK\r\n");
                assert_served(began);
                let mut new = process.connect();
                let began = Instant::now();
                new.ask("GET behaved", "$1\r\n1\r\n");
                assert_served(began);
                rounds += 1;
            }
            rounds
        });
        {
            let _over = Over(&over);
            abuse();
        }
        let rounds = behaved.join().expect("the well-behaved client was served");
        println!("served {rounds} times meanwhile");
    });
}

fn assert_served(began: Instant) {
    let took = began.elapsed();
    assert!(took < SERVED_WITHIN, "served after {took:?}");
}

/// Says that the abuse is over, also when it fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Lets this process have as many sockets as it may.
fn raise_own_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("our own limit");
}

/// So many connections, all of them accepted. More at a time than the backlog holds would make the
/// kernel drop some that are to be served, which then try again a second later.
fn connect_all(process: &Process, count: usize) -> Vec<Wire> {
    let mut wires: Vec<Wire> = Vec::new();
    while wires.len() < count {
        wires.extend((0..(count - wires.len()).min(100)).map(|_| process.connect()));
        wires.last_mut().expect("some").ask("PING", "+PONG\r\n");
    }
    wires
}

/// Kibibytes that the process has grown by at its most.
fn grown_kib(process: &Process, before: u64) -> u64 {
    process.status("VmHWM").saturating_sub(before)
}

#[test]
fn a_thousand_connections_that_drip_are_given_up_and_nobody_waits_for_them() {
    const SLOW: usize = 1000;
    raise_own_files();
    let process = Process::start(&["--partial-timeout", "2"]);
    let (before, threads) = (process.status("VmRSS"), process.status("Threads"));
    while_served(&process, || {
        let mut slow = connect_all(&process, SLOW);
        let mut drip = b"*2\r\n$3\r\nGET\r\n$200000\r\n".iter().chain(std::iter::repeat(&b'k'));
        // A byte to each in turn; who was closed is not written to again.
        eventually("all of them are closed", || {
            let byte = *drip.next().expect("it never ends");
            slow.retain_mut(|wire| wire.stream.write(&[byte]).is_ok());
            slow.is_empty()
        });
    });
    eventually("their threads are gone", || process.status("Threads") <= threads);
    // A thread's stack, its buffers and what the allocator rounds up to: 40 KiB each, and no 200,000
    // bytes, which each of them had declared.
    let grown_kib = grown_kib(&process, before);
    assert!(grown_kib < 40 * SLOW as u64, "{grown_kib} KiB");
}

#[test]
fn a_thousand_silent_connections_cost_their_threads_alone() {
    const SILENT: usize = 1000;
    raise_own_files();
    let process = Process::start(&[]);
    let before = process.status("VmRSS");
    let mut silent = Vec::new();
    while_served(&process, || silent = connect_all(&process, SILENT));
    let grown_kib = grown_kib(&process, before);
    assert!(grown_kib < 40 * SILENT as u64, "{grown_kib} KiB");
}

#[test]
fn who_never_reads_is_closed_at_the_limit() {
    const GREEDY: u64 = 20;
    const LIMIT_MIB: u64 = 2;
    let process = Process::start(&["--output-limit", &(LIMIT_MIB * 1024 * 1024).to_string()]);
    let mut wire = process.connect();
    wire.send(request(&[b"SET", b"big", &vec![b'v'; 512 * 1024]])).expect("+OK\r\n");
    let before = process.status("VmRSS");
    while_served(&process, || {
        let mut greedy: Vec<Wire> = (0..GREEDY).map(|_| process.connect()).collect();
        for wire in &mut greedy {
            wire.send("GET big\r\n".repeat(1000));
        }
        eventually("each of them is closed", || {
            wire.info("client_output_buffer_limit_disconnections") == GREEDY
        });
    });
    // Each may hold the limit, one reply more, and a buffer that grew by doubling.
    let grown_mib = grown_kib(&process, before) / 1024;
    assert!(grown_mib < GREEDY * (LIMIT_MIB + 1) * 2 + 40, "{grown_mib} MiB");
}

#[test]
fn a_flood_beyond_maxclients_is_refused_and_who_is_in_stays_served() {
    const FLOODS: u64 = 4;
    const EACH: u64 = 500;
    let process = Process::start(&["--maxclients", "20"]);
    let mut inside: Vec<Wire> = (0..20).map(|_| process.connect()).collect();
    for wire in &mut inside {
        wire.ask("PING", "+PONG\r\n");
    }
    let before = process.status("VmRSS");
    std::thread::scope(|scope| {
        let flood = || {
            for _ in 0..EACH {
                process.connect().expect("-ERR max number of clients reached\r\n").expect_end();
            }
        };
        let floods: Vec<_> = (0..FLOODS).map(|_| scope.spawn(flood)).collect();
        while !floods.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            for wire in &mut inside {
                let began = Instant::now();
                wire.ask("PING", "+PONG\r\n");
                assert_served(began);
            }
        }
    });
    assert_eq!(inside[0].info("rejected_connections"), FLOODS * EACH);
    let grown_kib = grown_kib(&process, before);
    assert!(grown_kib < 10 * 1024, "{grown_kib} KiB");
    inside.truncate(1);
    eventually("there is room again", || inside[0].info("connected_clients") == 1);
    process.connect().ask("PING", "+PONG\r\n");
}

#[test]
fn a_flood_beyond_the_limit_of_files_waits_and_who_is_in_stays_served() {
    raise_own_files();
    let mut process = Process::start(&[]);
    let mut inside = process.connect();
    inside.ask("PING", "+PONG\r\n");
    let files = process.open_files() + 50;
    let limit = Rlimit { current: Some(files), maximum: Some(20_000) };
    let old = prlimit(Some(process.pid()), Resource::Nofile, limit).expect("our child");
    // As many as the backlog takes besides; nobody answers those beyond it.
    let mut flood: Vec<Wire> = (0..300).map(|_| process.connect()).collect();
    eventually("it says so", || process.log().contains("cannot accept a connection"));
    for _ in 0..1000 {
        let began = Instant::now();
        inside.ask("PING", "+PONG\r\n");
        assert_served(began);
    }
    // The limit is one of numbers: a file that had a higher one stays open.
    let open = process.open_files();
    assert!(open <= files + 5, "{open} files, {files} allowed");
    prlimit(Some(process.pid()), Resource::Nofile, old).expect("our child");
    for wire in &mut flood {
        wire.ask("PING", "+PONG\r\n");
    }
    drop(flood);
    eventually("all of them are gone", || inside.info("connected_clients") == 1);
    assert!(process.lives());
}

/// What is no request, or half of one: random bytes, requests cut short or with a byte changed, and
/// lengths that nobody means.
fn nonsense(random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let mut below = |bound: u64| (random.next_u64() % bound) as usize;
    let value = vec![b'v'; below(300)];
    let mut whole = request(&[b"SET", b"nonsense", &value]);
    match below(6) {
        0 => (0..below(2000)).map(|_| below(256) as u8).collect(),
        1 => {
            whole.truncate(below(whole.len() as u64));
            whole
        }
        2 | 3 => {
            let at = below(whole.len() as u64);
            whole[at] = below(256) as u8;
            whole
        }
        4 => {
            let count = [1, 1_048_576, 1_048_577, usize::MAX][below(4)];
            let len = [536_870_912, 536_870_913, usize::MAX, 4][below(4)];
            format!("*{count}\r\n${len}\r\nx").into_bytes()
        }
        _ => {
            let first = b"*$+-:_,#(=~%|>!\r\n\0 \"'"[below(21)];
            let mut bytes = vec![first];
            bytes.extend((0..below(100)).map(|_| b"0123456789-\r\n$*\"' "[below(18)]));
            bytes
        }
    }
}

/// Sends it and reads until the server closes or has no more to say; nothing is expected of the
/// replies.
fn say_nonsense(process: &Process, bytes: &[u8]) {
    let mut stream = process.connect().stream;
    // The server may close before all is sent.
    drop(stream.write_all(bytes));
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut rest = Vec::new();
    if let Err(error) = stream.read_to_end(&mut rest) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{}", bytes.escape_ascii());
    }
}

#[test]
fn nonsense_of_all_sorts_ends_its_own_connection_alone() {
    let mut process = Process::start(&[]);
    let before = process.status("VmRSS");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    while_served(&process, || {
        for _ in 0..3000 {
            say_nonsense(&process, &nonsense(&mut random));
        }
    });
    let mut wire = process.connect();
    eventually("all of them are gone", || wire.info("connected_clients") == 1);
    let grown_kib = grown_kib(&process, before);
    assert!(grown_kib < 20 * 1024, "{grown_kib} KiB");
    assert!(process.lives());
}

#[test]
fn lengths_that_are_declared_and_never_sent_cost_nothing() {
    const CLIENTS: u64 = 200;
    let process = Process::start(&[]);
    let before = process.status("VmRSS");
    let mut wires = Vec::new();
    while_served(&process, || {
        for number in 0..CLIENTS {
            let mut wire = process.connect();
            let head = ["*1048576\r\n$536870912\r\n", "*2\r\n$3\r\nGET\r\n$536870912\r\nk"];
            wire.send(head[number as usize % 2]);
            wires.push(wire);
        }
        let mut wire = process.connect();
        eventually("all are heard", || wire.info("connected_clients") > CLIENTS);
    });
    let grown_kib = grown_kib(&process, before);
    assert!(grown_kib < CLIENTS * 60, "{grown_kib} KiB");
}

#[test]
fn a_web_page_that_posts_to_the_port_gets_none_of_its_lines_run() {
    let process = Process::start(&[]);
    let body = "SET stolen 1\r\nFLUSHALL\r\n".repeat(100);
    let heads = [
        format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()),
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned(),
        "post /x HTTP/1.0\r\n\r\n".to_owned(),
        "PUT\r\nHost: localhost\r\n\r\n".to_owned(),
    ];
    while_served(&process, || {
        for head in heads.iter().cycle().take(400) {
            say_nonsense(&process, format!("{head}{body}").as_bytes());
        }
    });
    process.connect().ask("EXISTS stolen", ":0\r\n").ask("EXISTS behaved", ":1\r\n");
    assert!(process.log().contains("cross-protocol"), "{}", process.log());
}
