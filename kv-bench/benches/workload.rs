//! What drawing an operation costs, by the laws that its key and value follow.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kv_bench::workload::{Filling, KeyDistribution, Keys, Kind, Mix, Values, Workload};

const BATCH: u64 = 1024;

fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys");
    group.throughput(Throughput::Elements(BATCH));
    for text in [
        "uniform",
        "sequential",
        "zipfian:0.99",
        "zipfian:1",
        "zipfian:1.5",
        "latest",
        "hotspot",
        "moving-hotspot",
        "gaussian",
        "exponential",
        "ycsb-zipfian",
        "ycsb-scrambled",
    ] {
        let keys = Keys::new("key:", 100_000, text.parse().expect(text), 1);
        let values = Values::fixed("v");
        let workload = Workload { mix: Mix::only(Kind::Get), keys, values, seed: 1 };
        let (mut stream, mut key) = (workload.stream(0, 0), workload.keys.buffer());
        group.bench_function(text, |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    black_box(workload.next(&mut stream, &mut key));
                }
            });
        });
    }
    group.finish();
}

fn values(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("values");
    group.throughput(Throughput::Elements(BATCH));
    for text in ["100", "64..1k", "64=90,1k=9,10k=1", "facebook-etc", "pareto:0:25.45:0.2615"] {
        let keys = Keys::new("key:", 100_000, KeyDistribution::Uniform, 1);
        let values = Values::new(&text.parse().expect(text), Filling::Printable, 1);
        let workload = Workload { mix: Mix::only(Kind::Put), keys, values, seed: 1 };
        let (mut stream, mut key) = (workload.stream(0, 0), workload.keys.buffer());
        group.bench_function(text, |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    black_box(workload.next(&mut stream, &mut key));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, keys, values);
criterion_main!(benches);
