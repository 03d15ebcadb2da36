//! The server's figures by name: those of `INFO` that change and mean something over time, and some
//! besides.

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kv_core::data_dir::DataDir;
use kv_core::log::Log;

use super::exporter::{Exporter, serve};
use super::process;
use super::sheet::{Buckets, Name, Sheet};
use crate::command_stats::CommandStats;
use crate::info;
use crate::shared::Shared;
use crate::stream::is_local;

/// Starts to answer on sockets that do not block; ends with the server.
pub(crate) fn start(shared: &Arc<Shared>, listeners: Vec<TcpListener>) -> io::Result<Exporter> {
    let (figures, settings) = (Arc::clone(shared), Arc::clone(shared));
    let admit = Box::new(move |stream: &_| {
        let settings = &settings.settings;
        let open = settings.has_password() || !settings.protected_mode.load(Ordering::Relaxed);
        open || is_local(stream)
    });
    let write = Box::new(move |sheet: &mut Sheet<'_>| write(&figures, sheet));
    serve("kv-server", shared.shutdown.clone(), listeners, admit, write)
}

fn write(shared: &Shared, sheet: &mut Sheet<'_>) -> fmt::Result {
    let version = ("version", env!("CARGO_PKG_VERSION"));
    sheet.info(Name::new("kv_build", "The program"), version)?;
    process::write(shared.started_at, sheet)?;
    clients(shared, sheet)?;
    commands(&shared.clients.command_stats(), sheet)?;
    keyspace(shared, sheet)?;
    durability(shared, sheet)
}

fn clients(shared: &Shared, sheet: &mut Sheet<'_>) -> fmt::Result {
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (stats, totals) = (&shared.stats, shared.clients.totals());
    let clients = shared.clients.len() as u64;
    let clients_max = shared.settings.clients_max.load(Ordering::Relaxed) as u64;
    sheet.gauge(Name::new("kv_connected_clients", "Connections now"), clients)?;
    sheet.gauge(Name::new("kv_max_clients", "Connections allowed at a time"), clients_max)?;
    let accepted = Name::new("kv_connections_accepted", "Connections accepted");
    sheet.counter(accepted, get(&stats.connections_accepted))?;
    let rejected = Name::new("kv_connections_rejected", "Connections refused at once");
    sheet.counter(rejected, get(&stats.connections_rejected))?;
    sheet.counters(
        Name::new("kv_connections_closed_over_limit", "Connections closed for what they cost"),
        [
            (("limit", "input"), get(&stats.input_limit_closed)),
            (("limit", "output"), get(&stats.output_limit_closed)),
        ]
        .into_iter(),
    )?;
    let tls_failed = Name::new("kv_tls_handshakes_failed", "Connections that came to no TLS");
    sheet.counter(tls_failed, get(&stats.tls_failed))?;
    let received = Name::bytes("kv_received", "Bytes of requests received");
    sheet.counter(received, totals.bytes_in)?;
    sheet.counter(Name::bytes("kv_sent", "Bytes of replies sent"), totals.bytes_out)?;
    let processed = Name::new("kv_commands_processed", "Requests answered, errors included");
    sheet.counter(processed, totals.commands)?;
    let hits = Name::new("kv_keyspace_hits", "Keys that were looked up and found");
    sheet.counter(hits, totals.tally.hits)?;
    let misses = Name::new("kv_keyspace_misses", "Keys that were looked up and not there");
    sheet.counter(misses, totals.tally.misses)?;
    let expired = totals.tally.expired + get(&stats.expired);
    sheet.counter(Name::new("kv_expired_keys", "Keys whose time had come"), expired)
}

fn commands(stats: &CommandStats, sheet: &mut Sheet<'_>) -> fmt::Result {
    let commands = stats.commands();
    let calls = Name::new("kv_commands", "Runs of each command");
    sheet.counters(calls, commands.iter().map(|(name, stat)| (("command", *name), stat.calls)))?;
    let time = Name::seconds("kv_commands_duration", "Time in which each command ran");
    sheet.counters(
        time,
        commands.iter().map(|(name, stat)| (("command", *name), stat.time.as_secs_f64())),
    )?;
    let rejected = Name::new("kv_commands_rejected", "Requests refused before they ran");
    sheet.counters(
        rejected,
        commands.iter().map(|(name, stat)| (("command", *name), stat.rejected)),
    )?;
    let failed = Name::new("kv_commands_failed", "Runs that were answered with an error");
    sheet
        .counters(failed, commands.iter().map(|(name, stat)| (("command", *name), stat.failed)))?;
    let errors = stats.errors();
    sheet.counters(
        Name::new("kv_error_replies", "Error replies by their first word"),
        errors.iter().map(|(word, count)| (("error", word.as_str()), *count)),
    )?;
    sheet.histograms(
        Name::seconds(
            "kv_command_run",
            "Time to run a command that reads, writes or does neither; the network and the wait \
             for durability are not in it",
        ),
        stats.families().into_iter().map(|(family, stat)| {
            let counts = stat.latencies.buckets().to_vec();
            let buckets = Buckets { sum: stat.time.as_secs_f64(), count: stat.calls, counts };
            (("family", family), buckets)
        }),
    )
}

fn keyspace(shared: &Shared, sheet: &mut Sheet<'_>) -> fmt::Result {
    let sizes = shared.engine.sizes();
    let numbers: Vec<String> = (0..sizes.len()).map(|db| db.to_string()).collect();
    let used = || {
        let dbs = numbers.iter().map(String::as_str).zip(&sizes);
        // The first is always there, so that there is always something to plot.
        dbs.filter(|(db, size)| *db == "0" || size.keys > 0)
    };
    let keys = used().map(|(db, size)| (("db", db), size.keys as u64));
    sheet.gauges(Name::new("kv_keys", "Keys in each database"), keys)?;
    let expiring = used().map(|(db, size)| (("db", db), size.expiring as u64));
    sheet.gauges(Name::new("kv_expiring_keys", "Keys that have an expiry"), expiring)?;
    let evicted = Name::new("kv_evicted_keys", "Keys that went to make room");
    sheet.counter(evicted, shared.engine.evicted_keys())?;
    let used = Name::bytes("kv_memory_used", "What the keys take, which the maximum limits");
    sheet.gauge(used, info::used_bytes(&sizes) as u64)?;
    let max = Name::bytes("kv_memory_max", "What the keys may take; 0: no limit");
    sheet.gauge(max, shared.engine.memory_limit() as u64)?;
    let allocated = Name::bytes("kv_memory_allocated", "What the allocator has given out");
    sheet.gauge(allocated, info::allocated_bytes())
}

fn durability(shared: &Shared, sheet: &mut Sheet<'_>) -> fmt::Result {
    let (persistence, log) = (&shared.persistence, shared.engine.log());
    let mode = shared.settings.durability.to_string();
    sheet.info(Name::new("kv_durability", "What survives what"), ("mode", &mode))?;
    let loading = u64::from(persistence.is_loading());
    sheet.gauge(Name::new("kv_loading", "1 until the store is recovered"), loading)?;
    let exposure = log.map(Log::exposure).unwrap_or_default();
    sheet.gauge(
        Name::seconds("kv_unsynced", "Age of the oldest change that a power cut could take"),
        exposure.unsynced_ms as f64 / 1e3,
    )?;
    let unsynced = Name::bytes("kv_unsynced", "Log that a power cut could take");
    sheet.gauge(unsynced, exposure.unsynced_bytes)?;
    let log_bytes = persistence.data_dir().map_or(0, |dir| dir.log_bytes(&shared.engine));
    sheet.gauge(Name::bytes("kv_log", "Log behind the last snapshot"), log_bytes)?;
    let saved_sequence = persistence.data_dir().map_or(0, DataDir::saved_sequence);
    sheet.gauge(
        Name::new("kv_changes_since_snapshot", "Changes that are in no snapshot"),
        shared.engine.last_change().saturating_sub(saved_sequence),
    )?;
    let saving = u64::from(persistence.is_saving());
    sheet.gauge(Name::new("kv_snapshot_in_progress", "1 while one is taken"), saving)?;
    let failed = u64::from(persistence.has_failed());
    sheet.gauge(Name::new("kv_snapshot_failed", "1 if the last one could not be taken"), failed)?;
    let saved_at = Name::seconds("kv_snapshot_timestamp", "Unix time of the last snapshot");
    sheet.gauge(saved_at, persistence.saved_at_s())?;
    let took = Name::seconds("kv_snapshot_duration", "How long the last snapshot took");
    sheet.gauge(took, persistence.save_ms() as f64 / 1e3)?;
    let refused = u64::from(persistence.refusal(&shared.engine).is_some());
    sheet.gauge(Name::new("kv_writes_refused", "1 while writes get MISCONF"), refused)
}
