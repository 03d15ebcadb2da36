//! What the measured path itself costs per operation, without sockets: drawing, encoding, decoding,
//! recording, and reading the clock. Together they must stay far below one system call.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kv_bench::driver::clock::now_ns;
use kv_bench::recorder::Recorder;
use kv_bench::target::{Address, Codec, Credentials, Endpoint, Operation, Protocol, Resp, Target};
use kv_bench::workload::{KeyDistribution, Keys, Kind, Request, Values, Workload};

const BATCH: u64 = 1024;

fn workload() -> Workload {
    Workload {
        mix: "get=90,put=9,delete=1".parse().expect("a mix"),
        keys: Keys::new("key:", 100_000, KeyDistribution::Uniform, 1),
        values: Values::random(100, 1),
        seed: 1,
    }
}

fn target() -> Resp {
    let endpoint = Endpoint {
        name: "server_1".into(),
        address: Address::Tcp(([127, 0, 0, 1], 1).into()),
        protocol: Protocol::Resp,
        credentials: Credentials::default(),
    };
    Resp::new(&[endpoint], Box::new(|_| 0), 16, 100)
}

fn record(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("recorder");
    group.throughput(Throughput::Elements(BATCH));
    // From 20 µs to 60 ms, as real latencies spread.
    let latencies: Vec<u64> = (0..BATCH).map(|i| 20_000 << (i % 12)).map(|ns| ns + 137).collect();
    let mut recorder = Recorder::default();
    group.bench_function("success", |bencher| {
        bencher.iter(|| {
            for &latency in &latencies {
                recorder.success(Kind::Get, Some(true), black_box(latency));
            }
        });
    });
    group.bench_function("clock", |bencher| {
        bencher.iter(|| (0..BATCH).map(|_| black_box(now_ns())).max());
    });
    group.finish();
}

fn request(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("request");
    group.throughput(Throughput::Elements(BATCH));
    let workload = workload();
    let codec = target().codec();
    group.bench_function("draw and encode", |bencher| {
        let mut stream = workload.stream(0, 0);
        let mut key = workload.keys.buffer();
        let mut out = Vec::with_capacity(256 * 1024);
        bencher.iter(|| {
            out.clear();
            for _ in 0..BATCH {
                let (kind, value) = workload.next(&mut stream, &mut key);
                codec.encode(
                    Operation { request: kind.request(), key: key.bytes(), value },
                    &mut out,
                );
            }
            black_box(out.len())
        });
    });
    group.finish();
}

fn reply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Elements(BATCH));
    let codec = target().codec();
    let mut one = b"$100\r\n".to_vec();
    one.extend_from_slice(&[b'x'; 100]);
    one.extend_from_slice(b"\r\n");
    let replies = one.repeat(BATCH as usize);
    group.bench_function("decode a hit of 100 bytes", |bencher| {
        bencher.iter(|| {
            let mut taken = 0;
            while let Ok(Some((size, reply))) = codec.decode(Request::Get, &replies[taken..]) {
                black_box(reply);
                taken += size;
            }
            assert_eq!(taken, replies.len());
        });
    });
    group.finish();
}

criterion_group!(benches, record, request, reply);
criterion_main!(benches);
