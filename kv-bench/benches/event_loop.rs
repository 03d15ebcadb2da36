//! Would `io_uring` make a worker cheaper? Two loops as bare as can be, over the same connections and
//! requests, side by side against a kv-server in this process: readiness by epoll with one `recv` and
//! one `send` per event, as `driver` works, and completions by `io_uring` with registered sockets, one
//! submission per turn and task work deferred to it. What is measured is the processor time of the
//! loop's own thread per operation.
//!
//! `cargo bench -p kv-bench --bench event_loop`; the result is told in results/event-loop.md.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::{IoUring, opcode, types};
use kv_server::{Config, Server};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::time::{ClockId, clock_gettime};

const CONNECTIONS: usize = 32;
const ROUNDS: usize = 9;
const BUFFER_BYTES: usize = 64 * 1024;
const VALUE: [u8; 100] = [b'x'; 100];
const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000001\r\n$100\r\n";
const GET: &[u8] = b"*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
/// Of the reply to [`GET`].
const REPLY_BYTES: usize = b"$100\r\n\r\n".len() + VALUE.len();
/// Marks the completion of a send, beside the number of its connection.
const SEND: u64 = 1 << 32;

type Loop = fn(&mut [TcpStream], &[u8], u64) -> io::Result<()>;

fn main() -> io::Result<()> {
    let is_test = std::env::args().any(|word| word == "--test");
    if let Err(error) = ring() {
        println!("skipped: the kernel refuses io_uring here: {error}");
        return Ok(());
    }
    let server = Server::bind(&Config { port: 0, ..Config::default() }).expect("a free port");
    let (address, shutdown) = (server.local_addrs()[0], server.shutdown());
    let serving = std::thread::spawn(|| server.run());
    store(address)?;
    println!("{CONNECTIONS} connections; medians of {ROUNDS} alternating rounds");
    println!("| pipeline | epoll µs/op | io_uring µs/op | ratio | epoll ops/s | io_uring ops/s |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for (pipeline, operations) in [(1, 150_000), (16, 1_000_000), (64, 2_000_000)] {
        let (rounds, operations) = if is_test { (1, 1000) } else { (ROUNDS, operations) };
        compare(address, pipeline, operations, rounds)?;
    }
    shutdown.raise();
    serving.join().expect("the server does not panic").map_err(io::Error::other)
}

fn store(address: SocketAddr) -> io::Result<()> {
    let mut connection = TcpStream::connect(address)?;
    connection.write_all(&[SET, &VALUE, b"\r\n"].concat())?;
    connection.read_exact(&mut [0; 5])
}

/// Processor time in µs per operation, and operations per second.
#[derive(Clone, Copy)]
struct Cost {
    cpu_us: f64,
    rate_ops_s: f64,
}

fn compare(address: SocketAddr, pipeline: usize, operations: u64, rounds: usize) -> io::Result<()> {
    let (mut by_epoll, mut by_uring) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        by_epoll.push(cost(address, pipeline, operations, epoll)?);
        by_uring.push(cost(address, pipeline, operations, uring)?);
    }
    let median = |costs: &[Cost], of: fn(&Cost) -> f64| {
        let mut all: Vec<f64> = costs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let cpu_us = [&by_epoll, &by_uring].map(|costs| median(costs, |cost| cost.cpu_us));
    let rates_s = [&by_epoll, &by_uring].map(|costs| median(costs, |cost| cost.rate_ops_s));
    let ratio = cpu_us[1] / cpu_us[0];
    println!(
        "| {pipeline} | {:.3} | {:.3} | {ratio:.2} | {:.0} | {:.0} |",
        cpu_us[0], cpu_us[1], rates_s[0], rates_s[1]
    );
    Ok(())
}

fn cost(address: SocketAddr, pipeline: usize, operations: u64, run: Loop) -> io::Result<Cost> {
    let connect = |_| {
        let connection = TcpStream::connect(address)?;
        connection.set_nodelay(true)?;
        Ok(connection)
    };
    let mut connections = (0..CONNECTIONS).map(connect).collect::<io::Result<Vec<_>>>()?;
    let batch = GET.repeat(pipeline);
    let (begin, cpu_s) = (Instant::now(), thread_cpu_s());
    run(&mut connections, &batch, operations)?;
    Ok(Cost {
        cpu_us: (thread_cpu_s() - cpu_s) * 1e6 / operations as f64,
        rate_ops_s: operations as f64 / begin.elapsed().as_secs_f64(),
    })
}

fn thread_cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Replies that are complete with `size` bytes more; the rest waits in `partial`.
fn replies(partial: &mut usize, size: usize) -> usize {
    *partial += size;
    let whole = *partial / REPLY_BYTES;
    *partial %= REPLY_BYTES;
    whole
}

fn epoll(connections: &mut [TcpStream], batch: &[u8], operations: u64) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    for (id, connection) in connections.iter_mut().enumerate() {
        connection.set_nonblocking(true)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&poll, &*connection, EventData::new_u64(id as u64), flags)?;
        connection.write_all(batch)?;
    }
    let mut partial = vec![0; connections.len()];
    let (mut events, mut buffer) = (Vec::with_capacity(256), vec![0; BUFFER_BYTES]);
    let mut done = 0;
    while done < operations {
        events.clear();
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in &events {
            let id = event.data.u64() as usize;
            let size = connections[id].read(&mut buffer)?;
            let whole = replies(&mut partial[id], size);
            connections[id].write_all(&batch[..whole * GET.len()])?;
            done += whole as u64;
        }
    }
    Ok(())
}

/// Deferred task work needs Linux 6.1, and a sandbox may allow none of it.
fn ring() -> io::Result<IoUring> {
    IoUring::builder()
        .setup_single_issuer()
        .setup_coop_taskrun()
        .setup_defer_taskrun()
        .build(2 * CONNECTIONS as u32)
}

fn uring(connections: &mut [TcpStream], batch: &[u8], operations: u64) -> io::Result<()> {
    let mut ring = ring()?;
    let sockets: Vec<i32> = connections.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&sockets)?;
    // The kernel may use them for a while after the ring has been dropped.
    let batch: &'static [u8] = batch.to_vec().leak();
    let buffer = |_| &mut *vec![0; BUFFER_BYTES].leak();
    let mut buffers: Vec<&'static mut [u8]> = connections.iter().map(buffer).collect();
    let mut partial = vec![0; connections.len()];
    let mut completed = Vec::new();
    let mut done = 0;
    for (id, buffer) in buffers.iter_mut().enumerate() {
        exchange(&mut ring, id, batch, buffer);
    }
    while done < operations {
        ring.submit_and_wait(1)?;
        completed.extend(ring.completion().map(|entry| (entry.user_data(), entry.result())));
        for (id, result) in completed.drain(..) {
            let size =
                usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))?;
            if id != SEND {
                let id = id as usize;
                let whole = replies(&mut partial[id], size);
                exchange(&mut ring, id, &batch[..whole * GET.len()], buffers[id]);
                done += whole as u64;
            }
        }
    }
    Ok(())
}

/// Queues a request, if there is one, and the reception of replies.
fn exchange(ring: &mut IoUring, id: usize, request: &'static [u8], buffer: &mut [u8]) {
    let socket = types::Fixed(id as u32);
    let send = opcode::Send::new(socket, request.as_ptr(), request.len() as u32).build();
    let receive = opcode::Recv::new(socket, buffer.as_mut_ptr(), buffer.len() as u32).build();
    let mut queue = ring.submission();
    // SAFETY: requests and buffers are never freed, each connection has one reception at a time, and
    // nobody looks into a buffer: what is counted is bytes.
    unsafe {
        if !request.is_empty() {
            queue.push(&send.user_data(SEND)).expect("room for both of every connection");
        }
        queue.push(&receive.user_data(id as u64)).expect("room for both of every connection");
    }
}
