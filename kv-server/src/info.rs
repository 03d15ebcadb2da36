//! The text of `INFO`, with the fields that clients and people read.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use kv_core::data_dir::DataDir;
use kv_core::engine::DatabaseSize;
use kv_core::log::Log;
use kv_core::table::EMPTY_BYTES;

use crate::REDIS_VERSION;
use crate::shared::Shared;

type Section = fn(&Shared, &[DatabaseSize], &mut String);

const SECTIONS: [(&str, Section); 10] = [
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Commandstats", command_stats),
    ("Errorstats", error_stats),
    ("Cluster", cluster),
    ("Keyspace", keyspace),
];

/// Told only when it is asked for.
const NOT_BY_DEFAULT: &str = "commandstats";

/// The sections that are `wanted` by name in lower case; with none or `default`, what most want to
/// know; with `all` or `everything`, all of them.
pub(crate) fn text(shared: &Shared, sizes: &[DatabaseSize], wanted: &[String]) -> String {
    let all = wanted.iter().any(|name| matches!(name.as_str(), "all" | "everything"));
    let default = wanted.is_empty() || wanted.iter().any(|name| name == "default");
    let mut text = String::new();
    for (name, write) in SECTIONS {
        let id = name.to_lowercase();
        if all || (default && id != NOT_BY_DEFAULT) || wanted.contains(&id) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            field(&mut text, &format!("# {name}"), "");
            write(shared, sizes, &mut text);
        }
    }
    text
}

fn field(text: &mut String, name: &str, value: impl std::fmt::Display) {
    let separator = if name.starts_with('#') { "" } else { ":" };
    write!(text, "{name}{separator}{value}\r\n").expect("writing to memory");
}

fn server(shared: &Shared, _: &[DatabaseSize], text: &mut String) {
    field(text, "redis_version", REDIS_VERSION);
    field(text, "server_name", "kv-server");
    field(text, "kv_server_version", env!("CARGO_PKG_VERSION"));
    field(text, "redis_mode", "standalone");
    field(text, "os", std::env::consts::OS);
    field(text, "arch_bits", usize::BITS);
    field(text, "process_id", std::process::id());
    field(text, "run_id", &shared.run_id);
    field(text, "tcp_port", shared.ports.plain);
    let uptime_s = shared.started_at.elapsed().as_secs();
    field(text, "uptime_in_seconds", uptime_s);
    field(text, "uptime_in_days", uptime_s / 86_400);
    let addresses = shared.settings.bind.split_whitespace();
    let bind = addresses.fold(String::new(), |bind, ip| bind + ",bind=" + ip);
    let tcp = |name, port| (port > 0).then(|| format!("name={name}{bind},port={port}"));
    let path = &shared.settings.unix_socket;
    let unix = (!path.is_empty()).then(|| format!("name=unix,bind={path}"));
    let listeners = [tcp("tcp", shared.ports.plain), unix, tcp("tls", shared.ports.tls)];
    for (index, listener) in listeners.into_iter().flatten().enumerate() {
        field(text, &format!("listener{index}"), listener);
    }
}

fn clients(shared: &Shared, _: &[DatabaseSize], text: &mut String) {
    field(text, "connected_clients", shared.clients.len());
    field(text, "maxclients", shared.settings.clients_max.load(Ordering::Relaxed));
    field(text, "blocked_clients", 0);
}

/// `used_memory` is what `maxmemory` limits: the keys. What all else costs too is in
/// `allocator_allocated`.
fn memory(shared: &Shared, sizes: &[DatabaseSize], text: &mut String) {
    let allocated_bytes = allocated_bytes();
    let used_bytes = used_bytes(sizes);
    field(text, "used_memory", used_bytes);
    field(text, "used_memory_dataset", used_bytes - EMPTY_BYTES);
    field(text, "used_memory_rss", resident_bytes().unwrap_or(allocated_bytes));
    field(text, "allocator_allocated", allocated_bytes);
    field(text, "maxmemory", shared.engine.memory_limit());
    field(text, "maxmemory_policy", shared.engine.eviction_policy());
    field(text, "mem_allocator", "libc");
}

fn persistence(shared: &Shared, _: &[DatabaseSize], text: &mut String) {
    let persistence = &shared.persistence;
    let log = shared.engine.log();
    let saved_sequence = persistence.data_dir().map_or(0, DataDir::saved_sequence);
    let status = |ok: bool| if ok { "ok" } else { "err" };
    let exposure = log.map(Log::exposure).unwrap_or_default();
    field(text, "durability", persistence.durability());
    field(text, "loading", u8::from(persistence.is_loading()));
    if persistence.is_loading() {
        field(text, "loading_loaded_bytes", persistence.progress.bytes_done());
    }
    let changes = shared.engine.last_change().saturating_sub(saved_sequence);
    field(text, "rdb_changes_since_last_save", changes);
    field(text, "rdb_bgsave_in_progress", u8::from(persistence.is_saving()));
    field(text, "rdb_last_save_time", persistence.saved_at_s());
    field(text, "rdb_last_bgsave_status", status(!persistence.has_failed()));
    field(text, "rdb_last_bgsave_time_sec", persistence.save_ms() / 1000);
    field(text, "aof_enabled", u8::from(log.is_some()));
    field(text, "aof_rewrite_in_progress", u8::from(log.is_some() && persistence.is_saving()));
    field(text, "aof_last_bgrewrite_status", status(!persistence.has_failed()));
    field(text, "aof_last_write_status", status(log.and_then(Log::refusal).is_none()));
    let log_bytes = persistence.data_dir().map_or(0, |dir| dir.log_bytes(&shared.engine));
    field(text, "aof_current_size", log_bytes);
    field(text, "unsynced_ms", exposure.unsynced_ms);
    field(text, "unsynced_bytes", exposure.unsynced_bytes);
}

fn stats(shared: &Shared, _: &[DatabaseSize], text: &mut String) {
    let (stats, totals) = (&shared.stats, shared.clients.totals());
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    field(text, "total_connections_received", get(&stats.connections_accepted));
    field(text, "total_commands_processed", totals.commands);
    field(text, "instantaneous_ops_per_sec", get(&stats.ops_per_s));
    field(text, "total_net_input_bytes", totals.bytes_in);
    field(text, "total_net_output_bytes", totals.bytes_out);
    field(text, "rejected_connections", get(&stats.connections_rejected));
    field(text, "expired_keys", totals.tally.expired + get(&stats.expired));
    field(text, "evicted_keys", shared.engine.evicted_keys());
    field(text, "keyspace_hits", totals.tally.hits);
    field(text, "keyspace_misses", totals.tally.misses);
    field(text, "total_error_replies", totals.tally.errors);
    field(text, "client_query_buffer_limit_disconnections", get(&stats.input_limit_closed));
    field(text, "client_output_buffer_limit_disconnections", get(&stats.output_limit_closed));
}

fn replication(_: &Shared, _: &[DatabaseSize], text: &mut String) {
    field(text, "role", "master");
    field(text, "connected_slaves", 0);
}

fn command_stats(shared: &Shared, _: &[DatabaseSize], text: &mut String) {
    for (name, stat) in shared.clients.command_stats().commands() {
        let us = stat.time.as_micros();
        let us_per_call = if stat.calls == 0 { 0.0 } else { us as f64 / stat.calls as f64 };
        let value = format_args!(
            "calls={},usec={us},usec_per_call={us_per_call:.2},rejected_calls={},failed_calls={}",
            stat.calls, stat.rejected, stat.failed
        );
        field(text, &format!("cmdstat_{name}"), value);
    }
}

fn error_stats(shared: &Shared, _: &[DatabaseSize], text: &mut String) {
    for (word, count) in shared.clients.command_stats().errors() {
        field(text, &format!("errorstat_{word}"), format_args!("count={count}"));
    }
}

fn cluster(_: &Shared, _: &[DatabaseSize], text: &mut String) {
    field(text, "cluster_enabled", 0);
}

fn keyspace(_: &Shared, sizes: &[DatabaseSize], text: &mut String) {
    for (db, size) in sizes.iter().enumerate().filter(|(_, size)| size.keys > 0) {
        field(
            text,
            &format!("db{db}"),
            format_args!("keys={},expires={},avg_ttl=0", size.keys, size.expiring),
        );
    }
}

/// Bytes that the keys take, as `maxmemory` counts them.
pub(crate) fn used_bytes(sizes: &[DatabaseSize]) -> usize {
    EMPTY_BYTES + sizes.iter().map(|size| size.bytes).sum::<usize>()
}

/// Bytes that the allocator has given out.
pub(crate) fn allocated_bytes() -> u64 {
    // SAFETY: mallinfo2 takes nothing and reads the allocator's own statistics under its locks.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// Gives memory that the allocator holds and nobody uses back to the system.
pub(crate) fn trim_memory() {
    // SAFETY: malloc_trim takes a number and works on the allocator's own lists under its locks.
    unsafe { libc::malloc_trim(0) };
}

/// Bytes of this process that are in memory.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
