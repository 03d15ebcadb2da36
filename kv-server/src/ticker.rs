//! What happens ten times a second, whoever is connected: the access clock, expiry, idle clients,
//! log files that were moved away.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use kv_core::log::{Log, LogFailure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::persistence::Persistence;
use crate::shared::Shared;

const TICK: Duration = Duration::from_millis(100);

/// A quarter of the tick, as Redis gives its expiry cycle.
const SWEEP_TIME: Duration = Duration::from_millis(25);

/// For what a limit of memory that was lowered, or a store that was loaded, has too much.
const EVICTION_TIME: Duration = Duration::from_millis(25);

const TICKS_PER_S: u32 = 10;

/// Starts the ticker, which ends with the server.
pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name("ticker".to_owned()).spawn(move || run(&shared))
}

fn run(shared: &Arc<Shared>) {
    let mut ticks = 0u32;
    let mut second_began = Instant::now();
    let mut commands_before = 0;
    let mut refusal = None;
    let mut sequence_before = 0;
    while !shared.shutdown.is_raised() {
        wait(shared);
        shared.engine.tick();
        shared.uptime_s.store(shared.started_at.elapsed().as_secs() as u32, Ordering::Relaxed);
        shared.log_files.attend();
        shared.rests.wake_again();
        ticks += 1;
        if shared.persistence.is_loading() {
            if ticks.is_multiple_of(TICKS_PER_S) {
                let megabytes = shared.persistence.progress.bytes_done() / 1_000_000;
                log::info!("loading: {megabytes} MB so far");
            }
            continue;
        }
        shared.pause.unless_on(|| {
            shared.engine.keep_expired(false);
            let swept = shared.engine.sweep_expired(SWEEP_TIME);
            shared.stats.expired.fetch_add(swept.expired, Ordering::Relaxed);
            shared.engine.evict(EVICTION_TIME);
        });
        Persistence::tick(shared);
        tell_refusal(shared, &mut refusal);
        if ticks.is_multiple_of(TICKS_PER_S) {
            let commands = shared.clients.totals().commands;
            let elapsed_s = second_began.elapsed().as_secs_f64();
            let ops_per_s = commands.saturating_sub(commands_before) as f64 / elapsed_s;
            shared.stats.ops_per_s.store(ops_per_s as u64, Ordering::Relaxed);
            (second_began, commands_before) = (Instant::now(), commands);
            close_idle(shared);
            let sequence = shared.engine.sequence();
            if sequence == sequence_before {
                shared.engine.log().iter().for_each(|log| log.mark());
            }
            sequence_before = sequence;
        }
    }
}

/// Says once that writes are refused and why, and once that they are taken again.
fn tell_refusal(shared: &Shared, told: &mut Option<LogFailure>) {
    let log = shared.engine.log();
    let refusal = log.and_then(Log::refusal);
    let was_lasting = told.as_ref().map(|failure| failure.lasting);
    match &refusal {
        Some(failure) if failure.lasting && was_lasting != Some(true) => {
            tell("writes are refused until a restart", log, failure);
        }
        Some(failure) if was_lasting.is_none() => {
            tell("writes are refused until that has passed", log, failure);
        }
        None if was_lasting.is_some() => log::info!("writes are taken again"),
        _ => {}
    }
    *told = refusal;
}

fn tell(what: &str, log: Option<&Log>, failure: &LogFailure) {
    let file = log.map(Log::file).unwrap_or_default();
    log::error!("{what}: {file}: {failure}; {}", failure.remedy());
}

/// Sleeps for a tick, or until the shutdown is raised.
fn wait(shared: &Shared) {
    let timeout = Timespec { tv_sec: 0, tv_nsec: TICK.subsec_nanos().into() };
    let mut fds = [PollFd::from_borrowed_fd(shared.shutdown.fd(), PollFlags::IN)];
    // Woken early, the tick is early: no harm.
    let _ = poll(&mut fds, Some(&timeout));
}

fn close_idle(shared: &Shared) {
    let idle_s = shared.settings.idle_s.load(Ordering::Relaxed);
    if idle_s == 0 {
        return;
    }
    let now_s = u64::from(shared.uptime_s.load(Ordering::Relaxed));
    for client in shared.clients.list() {
        let active_s = u64::from(client.active_s.load(Ordering::Relaxed));
        if now_s.saturating_sub(active_s) > idle_s {
            log::debug!("closed client {} ({}): idle", client.id, client.address);
            client.stream.shutdown(Shutdown::Both);
        }
    }
}
