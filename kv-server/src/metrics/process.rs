//! What the system tells of this process, under the names that every Prometheus client gives it.

use std::fmt;
use std::fs;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::sheet::{Name, Sheet};

/// Fields of `/proc/self/stat`, counted from the one behind the name (proc(5)).
const UTIME: usize = 11;
const STIME: usize = 12;
const THREADS: usize = 17;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

/// Writes processor time, memory, descriptors and threads of this process, which began at `started_at`.
pub fn write(started_at: Instant, sheet: &mut Sheet<'_>) -> fmt::Result {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold anything.
    let fields: Vec<u64> = stat.rsplit_once(") ").map_or_else(Vec::new, |(_, fields)| {
        fields.split(' ').map(|field| field.trim().parse().unwrap_or(0)).collect()
    });
    let field = |index: usize| fields.get(index).copied().unwrap_or(0);
    let cpu_s = (field(UTIME) + field(STIME)) as f64 / clock_ticks_per_second() as f64;
    sheet.counter(Name::seconds("process_cpu", "Processor time used"), cpu_s)?;
    sheet.gauge(Name::new("process_threads", "Threads"), field(THREADS))?;
    sheet.gauge(
        Name::bytes("process_virtual_memory", "Size of the address space"),
        field(VIRTUAL_BYTES),
    )?;
    sheet.gauge(
        Name::bytes("process_resident_memory", "What of it is in memory"),
        field(RESIDENT_PAGES) * page_size() as u64,
    )?;
    let open_files = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as u64;
    sheet.gauge(Name::new("process_open_fds", "Open file descriptors"), open_files)?;
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        sheet.gauge(Name::new("process_max_fds", "Open file descriptors allowed"), limit)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let began_s = now.saturating_sub(started_at.elapsed()).as_secs_f64();
    sheet.gauge(Name::seconds("process_start_time", "Unix time of the start"), began_s)
}
