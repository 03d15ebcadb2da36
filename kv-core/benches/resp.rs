//! What the wire costs: decoding pipelined requests, encoding and skimming replies. Elements are
//! requests or replies.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kv_core::resp::reply::{decode, skim};
use kv_core::resp::request::Decoded;
use kv_core::resp::{Encoder, RequestDecoder};

const PIPELINES: [usize; 3] = [1, 16, 64];

/// Requests `GET key:<12 digits>`, or `SET` of a 100-byte value.
fn requests(pipeline: usize, value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Encoder::default();
    for n in 0..pipeline {
        let key = format!("key:{n:012}");
        out.array(if value.is_some() { 3 } else { 2 });
        out.bulk(if value.is_some() { b"SET" } else { b"GET" });
        out.bulk(key.as_bytes());
        if let Some(value) = value {
            out.bulk(value);
        }
    }
    out.bytes().to_vec()
}

/// Decodes all of `input`, as a connection does with what one read brought.
fn decode_all(decoder: &mut RequestDecoder, input: &[u8]) -> usize {
    let (mut at, mut bytes) = (0, 0);
    while at < input.len() {
        match decoder.decode(&input[at..]) {
            Ok(Decoded::Request { args, consumed }) => {
                bytes += args.at(1).len();
                at += consumed;
            }
            other => panic!("{other:?}"),
        }
    }
    bytes
}

fn decode_requests(c: &mut Criterion) {
    let value = [b'v'; 100];
    for (name, value) in [("get", None), ("set", Some(&value[..]))] {
        let mut group = c.benchmark_group(format!("resp/decode/{name}"));
        for pipeline in PIPELINES {
            let input = requests(pipeline, value);
            let mut decoder = RequestDecoder::default();
            group.throughput(Throughput::Elements(pipeline as u64));
            group.bench_function(BenchmarkId::new("pipeline", pipeline), |b| {
                b.iter(|| decode_all(&mut decoder, black_box(&input)));
            });
        }
        group.finish();
    }
}

fn encode_replies(c: &mut Criterion) {
    const REPLIES: usize = 64;
    let mut group = c.benchmark_group("resp/encode");
    group.throughput(Throughput::Elements(REPLIES as u64));
    let mut out = Encoder::default();
    for bytes in [16, 100, 4096] {
        let value = vec![b'v'; bytes];
        group.bench_function(BenchmarkId::new("bulk", bytes), |b| {
            b.iter(|| {
                out.bytes_mut().clear();
                for _ in 0..REPLIES {
                    out.bulk(black_box(&value));
                }
                black_box(out.bytes().len())
            });
        });
    }
    group.bench_function("integer", |b| {
        b.iter(|| {
            out.bytes_mut().clear();
            for n in 0..REPLIES as i64 {
                out.integer(black_box(n * 1_000_003));
            }
            black_box(out.bytes().len())
        });
    });
    group.finish();
}

fn read_replies(c: &mut Criterion) {
    const REPLIES: usize = 64;
    let mut bulks = Encoder::default();
    let mut statuses = Encoder::default();
    for _ in 0..REPLIES {
        bulks.bulk(&[b'v'; 100]);
        statuses.ok();
    }
    let mut group = c.benchmark_group("resp/reply");
    group.throughput(Throughput::Elements(REPLIES as u64));
    for (name, input) in [("bulk-100", bulks.bytes()), ("status", statuses.bytes())] {
        group.bench_function(BenchmarkId::new("skim", name), |b| {
            b.iter(|| {
                let mut at = 0;
                while let Ok(Some((reply, consumed))) = skim(black_box(&input[at..])) {
                    black_box(reply);
                    at += consumed;
                }
                assert_eq!(at, input.len());
            });
        });
        group.bench_function(BenchmarkId::new("decode", name), |b| {
            b.iter(|| {
                let mut at = 0;
                while let Ok(Some((reply, consumed))) = decode(black_box(&input[at..])) {
                    black_box(reply);
                    at += consumed;
                }
                assert_eq!(at, input.len());
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .nresamples(10_000)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = decode_requests, encode_replies, read_replies
}
criterion_main!(benches);
