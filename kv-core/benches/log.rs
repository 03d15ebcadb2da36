//! What a change pays for its record, under the lock of its entry, and what a batch pays for its
//! write.

use std::hint::black_box;
use std::io;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use kv_core::log::{Effect, Log, LogEnd, LogOptions, SyncMode};
use kv_core::storage::{Disk, File, Storage};

/// Records between two writes: a deep pipeline.
const BATCH: u64 = 100;

/// Files that keep nothing, to time what happens in memory.
struct Nowhere;

impl File for Nowhere {
    fn write_at(&self, bytes: &[u8], _: u64) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(0)
    }
}

impl Storage for Nowhere {
    fn create(&self, _: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Self))
    }

    fn open(&self, _: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Self))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }

    fn path(&self, name: &str) -> String {
        name.to_owned()
    }
}

fn start(storage: Arc<dyn Storage>) -> Log {
    let options = LogOptions::new(SyncMode::Os);
    Log::start(storage, options, &LogEnd::before(1, 1, 0)).expect("a new log")
}

/// Appends a batch of records of 114 bytes and writes it.
fn batch(log: &Log) {
    let put =
        Effect::Put { db: 0, key: b"key:000000000001", value: &[b'v'; 64], expires_at_ms: None };
    let mut last = 0;
    for _ in 0..BATCH {
        let mut record = log.begin();
        record.push(black_box(&put));
        last = record.close();
    }
    log.flush(last).expect("files that work");
}

fn log(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let disk = Disk::open(folder.path()).expect("a folder");
    let mut group = criterion.benchmark_group("log");
    group.throughput(criterion::Throughput::Elements(BATCH));
    let memory = start(Arc::new(Nowhere));
    group.bench_function("100 records", |bencher| bencher.iter(|| batch(&memory)));
    let disk = start(Arc::new(disk));
    group.bench_function("100 records, written", |bencher| bencher.iter(|| batch(&disk)));
    group.finish();
}

criterion_group!(benches, log);
criterion_main!(benches);
