//! The table against the concurrent maps one would take instead: 100,000 keys `key:<12 digits>`,
//! 100-byte values, owned byte keys, the same hash. Elements are operations.
//!
//! `engine` is the whole way of a command once it is decoded (its locks, its options, its reply in
//! RESP, expiry, access clock and versions), by requests built beforehand; the others look up or store
//! a byte string and do nothing else. `command/find` is the part of it that only resolves the name,
//! to be taken off to see what the rest costs.

use std::hint::black_box;
use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use kv_core::engine::Tally;
use kv_core::resp::Encoder;
use kv_core::resp::request::OwnedArgs;
use kv_core::{Call, Engine, Spec};

const KEYS: usize = 100_000;
const BATCH: usize = 1024;
/// Operations prepared, in an order that no predictor remembers.
const RING: usize = 64 * BATCH;
const VALUE: [u8; 100] = [b'v'; 100];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Get,
    Set,
    Delete,
}

/// An operation, ready to run on any of the maps.
struct Prepared {
    operation: Operation,
    key: Box<[u8]>,
    request: OwnedArgs,
}

impl Prepared {
    fn new(operation: Operation, number: usize) -> Self {
        let key = format!("key:{number:012}").into_bytes();
        let request = match operation {
            Operation::Get => [&b"GET"[..], &key].iter().collect(),
            Operation::Set => [&b"SET"[..], &key, &VALUE].iter().collect(),
            Operation::Delete => [&b"DEL"[..], &key].iter().collect(),
        };
        Self { operation, key: key.into_boxed_slice(), request }
    }
}

/// A ring of operations on random keys from `first` on; one in `set_every` is a `SET`.
fn ring(operation: Operation, first: usize, set_every: usize, seed: u64) -> Vec<Prepared> {
    let mut state = seed | 1;
    let mut random = || {
        // xorshift64*: any sequence without a pattern will do.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize
    };
    (0..RING)
        .map(|_| {
            let operation = if random() % set_every == 0 { Operation::Set } else { operation };
            Prepared::new(operation, first + random() % KEYS)
        })
        .collect()
}

/// A concurrent map of byte strings.
trait Map: Sync {
    fn new() -> Self;
    /// Runs a batch; answers the bytes read, so that no read is optimised away.
    fn run(&self, batch: &[Prepared]) -> usize;
}

impl Map for Engine {
    fn new() -> Self {
        Self::default()
    }

    fn run(&self, batch: &[Prepared]) -> usize {
        let mut out = Encoder::default();
        let mut tally = Tally::default();
        for prepared in batch {
            let args = prepared.request.view();
            let spec = Spec::find(args.at(0)).expect("in the table");
            Engine::run(self, &Call { spec, args, db: 0 }, &mut out, &mut tally);
            if out.bytes().len() > 16 * 1024 {
                out.bytes_mut().clear(); // a server would send it now
            }
        }
        out.bytes().len() + tally.hits as usize
    }
}

type DashMap = dashmap::DashMap<Box<[u8]>, Box<[u8]>, FixedState>;

impl Map for DashMap {
    fn new() -> Self {
        Self::with_hasher(FixedState::default())
    }

    fn run(&self, batch: &[Prepared]) -> usize {
        let read = |prepared: &Prepared| match prepared.operation {
            Operation::Get => self.get(&prepared.key).map_or(0, |value| black_box(&**value).len()),
            Operation::Set => {
                self.insert(prepared.key.clone(), Box::new(VALUE));
                0
            }
            Operation::Delete => self.remove(&prepared.key).is_some().into(),
        };
        batch.iter().map(read).sum()
    }
}

type Papaya = papaya::HashMap<Box<[u8]>, Box<[u8]>, FixedState>;

impl Map for Papaya {
    fn new() -> Self {
        Self::with_hasher(FixedState::default())
    }

    fn run(&self, batch: &[Prepared]) -> usize {
        let map = self.pin();
        let read = |prepared: &Prepared| match prepared.operation {
            Operation::Get => map.get(&prepared.key).map_or(0, |value| black_box(&**value).len()),
            Operation::Set => {
                map.insert(prepared.key.clone(), Box::new(VALUE));
                0
            }
            Operation::Delete => map.remove(&prepared.key).is_some().into(),
        };
        batch.iter().map(read).sum()
    }
}

type Scc = scc::HashMap<Box<[u8]>, Box<[u8]>, FixedState>;

impl Map for Scc {
    fn new() -> Self {
        Self::with_hasher(FixedState::default())
    }

    fn run(&self, batch: &[Prepared]) -> usize {
        let read = |prepared: &Prepared| match prepared.operation {
            Operation::Get => self
                .read_sync(&prepared.key, |_, value| black_box(&**value).len())
                .unwrap_or_default(),
            Operation::Set => {
                self.upsert_sync(prepared.key.clone(), Box::new(VALUE));
                0
            }
            Operation::Delete => self.remove_sync(&prepared.key).is_some().into(),
        };
        batch.iter().map(read).sum()
    }
}

/// A map that holds the keys 0 to `KEYS`.
fn filled<M: Map>() -> M {
    let map = M::new();
    for number in 0..KEYS {
        map.run(&[Prepared::new(Operation::Set, number)]);
    }
    map
}

fn steady<M: Map>(c: &mut Criterion, name: &str) {
    let map = filled::<M>();
    for (what, operation, first, set_every) in [
        ("table/get/hit", Operation::Get, 0, usize::MAX),
        ("table/get/miss", Operation::Get, KEYS, usize::MAX),
        ("table/set/overwrite", Operation::Set, 0, usize::MAX),
        ("table/mixed-90-10/threads-1", Operation::Get, 0, 10),
    ] {
        let ring = ring(operation, first, set_every, 42);
        let mut batches = ring.chunks(BATCH).cycle();
        let mut group = c.benchmark_group(what);
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(name, |b| {
            b.iter(|| map.run(batches.next().expect("a cycle")));
        });
        group.finish();
    }
}

/// Insertions into an empty map and deletions from a full one: `RING` operations per sample, each map
/// made outside of the measured time.
fn changing<M: Map>(c: &mut Criterion, name: &str) {
    let of = |operation| (0..RING).map(|n| Prepared::new(operation, n)).collect::<Vec<_>>();
    let (sets, deletes) = (of(Operation::Set), of(Operation::Delete));
    let full = || {
        let map = M::new();
        map.run(&sets);
        map
    };
    for what in ["table/set/insert", "table/del"] {
        let mut group = c.benchmark_group(what);
        group.throughput(Throughput::Elements(RING as u64)).sample_size(10);
        group.bench_function(name, |b| match what {
            "table/del" => {
                b.iter_batched_ref(full, |map| map.run(&deletes), BatchSize::PerIteration);
            }
            _ => b.iter_batched_ref(M::new, |map| map.run(&sets), BatchSize::PerIteration),
        });
        group.finish();
    }
}

/// `threads` workers that live for the whole benchmark, each with a ring of its own: from the first
/// that begins to the last that ends.
fn parallel<M: Map>(c: &mut Criterion, name: &str) {
    for threads in [2, 4] {
        let map = filled::<M>();
        let start = Barrier::new(threads + 1);
        thread::scope(|scope| {
            let (done, finished) = mpsc::channel();
            let workers: Vec<mpsc::Sender<u64>> = (0..threads)
                .map(|worker| {
                    let (work, jobs) = mpsc::channel::<u64>();
                    let (map, start, done) = (&map, &start, done.clone());
                    scope.spawn(move || {
                        let ring = ring(Operation::Get, 0, 10, 1000 + worker as u64);
                        let mut batches = ring.chunks(BATCH).cycle();
                        for iterations in jobs {
                            start.wait();
                            let began = Instant::now();
                            for _ in 0..iterations {
                                black_box(map.run(batches.next().expect("a cycle")));
                            }
                            done.send((began, Instant::now())).expect("the bench waits");
                        }
                    });
                    work
                })
                .collect();
            let mut group = c.benchmark_group(format!("table/mixed-90-10/threads-{threads}"));
            group.throughput(Throughput::Elements((threads * BATCH) as u64)).sample_size(10);
            group.bench_function(name, |b| {
                b.iter_custom(|iterations| {
                    for worker in &workers {
                        worker.send(iterations).expect("the worker waits");
                    }
                    start.wait();
                    let spans: Vec<(Instant, Instant)> =
                        (0..threads).map(|_| finished.recv().expect("a worker ends")).collect();
                    let began = spans.iter().map(|span| span.0).min().expect("a thread");
                    let ended = spans.iter().map(|span| span.1).max().expect("a thread");
                    ended - began
                });
            });
            group.finish();
            drop(workers);
        });
    }
}

fn one_map<M: Map>(c: &mut Criterion, name: &str) {
    steady::<M>(c, name);
    changing::<M>(c, name);
    parallel::<M>(c, name);
}

/// What a command costs before it touches the table: finding its row by name.
fn find(c: &mut Criterion) {
    let ring = ring(Operation::Get, 0, 2, 42);
    let mut batches = ring.chunks(BATCH).cycle();
    let mut group = c.benchmark_group("command");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("find", |b| {
        b.iter(|| {
            let batch = batches.next().expect("a cycle");
            batch.iter().filter_map(|prepared| Spec::find(prepared.request.view().at(0))).count()
        });
    });
    group.finish();
}

fn maps(c: &mut Criterion) {
    one_map::<Engine>(c, "engine");
    one_map::<DashMap>(c, "dashmap");
    one_map::<Papaya>(c, "papaya");
    one_map::<Scc>(c, "scc");
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .nresamples(10_000)
        .noise_threshold(0.03)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = find, maps
}
criterion_main!(benches);
