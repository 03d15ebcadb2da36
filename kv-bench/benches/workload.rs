//! What drawing an operation costs, by the laws that its key and value follow, and its due time by
//! the rate.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kv_bench::driver::Until;
use kv_bench::schedule::{Arrivals, End, Plan, Process, Rate};
use kv_bench::workload::{Filling, KeyDistribution, Keys, Kind, Mix, Values, Workload};

const BATCH: u64 = 1024;

fn draw(criterion: &mut Criterion, group: &str, laws: &[&str], make: impl Fn(&str) -> Workload) {
    let mut group = criterion.benchmark_group(group);
    group.throughput(Throughput::Elements(BATCH));
    for &law in laws {
        let workload = make(law);
        let (mut stream, mut key) = (workload.stream(0, 0), workload.keys.buffer());
        group.bench_function(law, |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    black_box(workload.next(&mut stream, &mut key));
                }
            });
        });
    }
    group.finish();
}

fn keys(criterion: &mut Criterion) {
    let laws = [
        "uniform",
        "sequential",
        "zipfian:0.5",
        "zipfian:0.99",
        "zipfian:1",
        "zipfian:1.5",
        "latest:0.99",
        "hotspot",
        "moving-hotspot",
        "gaussian",
        "exponential",
        "ycsb-zipfian",
        "ycsb-scrambled",
        "mixgraph",
    ];
    draw(criterion, "keys", &laws, |law| Workload {
        mix: Mix::only(Kind::Get),
        keys: Keys::new("key:", 100_000, law.parse().expect(law), 1),
        values: Values::fixed("v"),
        seed: 1,
    });
}

fn values(criterion: &mut Criterion) {
    let laws = ["100", "64..1k", "64=90,1k=9,10k=1", "facebook-etc", "pareto:0:25.45:0.2615"];
    draw(criterion, "values", &laws, |law| Workload {
        mix: Mix::only(Kind::Put),
        keys: Keys::new("key:", 100_000, KeyDistribution::Uniform, 1),
        values: Values::new(&law.parse().expect(law), Filling::Printable, 1),
        seed: 1,
    });
}

fn due_times(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("due_times");
    group.throughput(Throughput::Elements(BATCH));
    for (rate, process) in [
        ("10k", Process::Constant),
        ("10k", Process::Poisson),
        ("1k..50k", Process::Poisson),
        ("1k:10s,50k:10s,0:10s,10k", Process::Poisson),
    ] {
        let until = Until::Elapsed(Duration::from_hours(1));
        let course = rate.parse::<Rate>().expect(rate).over(until).expect("it lasts an hour");
        let plan = Plan { course: Arc::new(course), process, seed: 1 };
        let arrivals = Arrivals::new(&plan, 0, 1, End::new(&plan, until, 0, 1));
        group.bench_function(format!("{rate} {process}"), |bencher| {
            bencher.iter_batched_ref(
                || arrivals.clone(),
                |arrivals| {
                    for _ in 0..BATCH {
                        black_box(arrivals.head());
                        arrivals.take();
                    }
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, keys, values, due_times);
criterion_main!(benches);
