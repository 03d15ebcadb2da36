//! What it costs to find a key's server: 1024 keys `key:<12 digits>` on 4 servers, per mode.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kv_core::ring::{Ring, RingMode};

fn lookup(c: &mut Criterion) {
    let names: Vec<String> = (1..=4).map(|n| format!("server_{n}")).collect();
    let keys: Vec<Vec<u8>> = (0..1024).map(|n| format!("key:{n:012}").into_bytes()).collect();
    let mut group = c.benchmark_group("ring/lookup");
    group.throughput(Throughput::Elements(keys.len() as u64));
    for mode in RingMode::ALL {
        let ring = Ring::new(mode, &names).expect("four names make a ring");
        group.bench_function(mode.name(), |b| {
            b.iter(|| {
                for key in &keys {
                    black_box(ring.owner(black_box(key)));
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, lookup);
criterion_main!(benches);
