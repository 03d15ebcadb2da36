//! Where CPU time went: ours, the servers', and what others took from us.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Clock ticks per second of `/proc/*/stat`: 100 on every Linux that userland sees (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// CPU time that a process has used so far. Resolution: 10 ms.
#[derive(Debug, Clone)]
pub(crate) struct ProcessCpu {
    used_s: f64,
    /// Of that, what each of its present threads has used, by number.
    threads_s: BTreeMap<u32, f64>,
}

/// CPU time that a process has used within a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuUsed {
    pub(crate) total_s: f64,
    /// By the thread that used most.
    pub(crate) busiest_thread_s: f64,
}

impl ProcessCpu {
    /// `None` when it is not ours to read.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        let process = PathBuf::from(format!("/proc/{pid}"));
        let thread_s = |entry: fs::DirEntry| {
            let thread = entry.file_name().to_str()?.parse().ok()?;
            Some((thread, cpu_s(&entry.path())?))
        };
        let tasks = fs::read_dir(process.join("task")).ok()?.flatten();
        Some(Self { used_s: cpu_s(&process)?, threads_s: tasks.filter_map(thread_s).collect() })
    }

    /// What was used since `before`.
    pub(crate) fn since(&self, before: &Self) -> CpuUsed {
        let thread_s =
            |(thread, now_s)| now_s - before.threads_s.get(thread).copied().unwrap_or(0.0);
        CpuUsed {
            total_s: (self.used_s - before.used_s).max(0.0),
            busiest_thread_s: self.threads_s.iter().map(thread_s).fold(0.0, f64::max),
        }
    }
}

/// Of a process or a thread, by its folder in `/proc`.
fn cpu_s(folder: &Path) -> Option<f64> {
    Some((stat_ticks(folder, 14)? + stat_ticks(folder, 15)?) / TICKS_PER_S)
}

/// Seconds since a process began; `None` when it is not ours to read.
pub(crate) fn process_age_s(pid: u32) -> Option<f64> {
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime_s: f64 = uptime.split_ascii_whitespace().next()?.parse().ok()?;
    Some(uptime_s - stat_ticks(Path::new(&format!("/proc/{pid}")), 22)? / TICKS_PER_S)
}

/// A field of a process' or a thread's `stat`, counted from 1 as in proc(5).
fn stat_ticks(folder: &Path, field: usize) -> Option<f64> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The second field, a name in parentheses, may hold anything: the third comes after it.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(field - 3)?.parse().ok()
}

/// What the machine and its limits took from this process so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disturbance {
    /// Ticks of all cores together.
    total_ticks: u64,
    /// Ticks in which processes ran; interrupts are nobody's, and ours as often as not.
    busy_ticks: u64,
    /// Ticks in which the hypervisor ran somebody else.
    steal_ticks: u64,
    /// Time for which a CPU quota stopped our control group or one around it, by folder.
    throttled_s: BTreeMap<PathBuf, f64>,
}

impl Disturbance {
    pub(crate) fn read() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let ticks: Vec<u64> =
            line.split_ascii_whitespace().skip(1).filter_map(|text| text.parse().ok()).collect();
        Self {
            // The guest fields after the eighth are part of user and nice already.
            total_ticks: ticks.iter().take(8).sum(),
            busy_ticks: ticks.iter().take(3).sum(),
            steal_ticks: ticks.get(7).copied().unwrap_or(0),
            throttled_s: throttled_s(),
        }
    }

    /// The share of all cores' time that was stolen since `before`.
    pub(crate) fn steal_share(&self, before: &Self) -> f64 {
        let total = self.total_ticks.saturating_sub(before.total_ticks);
        let steal = self.steal_ticks.saturating_sub(before.steal_ticks);
        if total == 0 { 0.0 } else { steal as f64 / total as f64 }
    }

    /// The share of all cores' time in which since `before` processes ran other than those that are
    /// known to have used `known_s`. Resolution: 10 ms per core and process.
    pub(crate) fn others_share(&self, before: &Self, known_s: f64) -> f64 {
        let total = self.total_ticks.saturating_sub(before.total_ticks);
        let busy = self.busy_ticks.saturating_sub(before.busy_ticks);
        let others = (busy as f64 - known_s * TICKS_PER_S).max(0.0);
        if total == 0 { 0.0 } else { others / total as f64 }
    }

    /// Seconds for which we were throttled since `before`; `None` without a quota to read.
    pub(crate) fn throttled_s(&self, before: &Self) -> Option<f64> {
        let since = |(folder, now): (&PathBuf, &f64)| Some(now - before.throttled_s.get(folder)?);
        // A group is stopped with the groups around it: the longest stop holds the others.
        self.throttled_s.iter().filter_map(since).map(|s| s.max(0.0)).reduce(f64::max)
    }
}

/// The folders of our control group and of those around it, of version 2 or of the CPU controller of
/// version 1: the limits of each hold for us.
fn cgroup_folders() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (root, path) = match (parts.next(), parts.next()) {
            (Some(""), Some(path)) => ("/sys/fs/cgroup".to_owned(), path),
            (Some(names), Some(path)) if names.split(',').any(|name| name == "cpu") => {
                (format!("/sys/fs/cgroup/{names}"), path)
            }
            _ => continue,
        };
        // In a container the path may be the host's, and missing here: the root that we see is
        // then our group.
        let own = PathBuf::from(format!("{root}{path}"));
        folders.extend(own.ancestors().take_while(|f| f.starts_with(&root)).map(Path::to_owned));
    }
    folders.extend(["/sys/fs/cgroup".into(), "/sys/fs/cgroup/cpu".into()]);
    folders
}

fn throttled_s() -> BTreeMap<PathBuf, f64> {
    let of = |folder: PathBuf| {
        let stat = fs::read_to_string(folder.join("cpu.stat")).ok()?;
        let field = |name: &str| {
            let line = stat.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse::<f64>().ok()
        };
        let us = field("throttled_usec ").map(|us| us / 1e6);
        Some((folder, us.or_else(|| field("throttled_time ").map(|ns| ns / 1e9))?))
    };
    cgroup_folders().into_iter().filter_map(of).collect()
}

/// Cores' worth of CPU quota, the tightest that holds for us; `None` when there is no limit.
pub(crate) fn quota_cpus() -> Option<f64> {
    cgroup_folders().iter().filter_map(|folder| quota_of(folder)).reduce(f64::min)
}

fn quota_of(folder: &Path) -> Option<f64> {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let (quota, period) = match read("cpu.max") {
        Some(text) => {
            let (quota, period) = text.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    let quota: f64 = quota.trim().parse().ok().filter(|&quota| quota > 0.0)?;
    Some(quota / period.trim().parse::<f64>().ok()?)
}

/// Bytes of memory that our control groups allow, the tightest that holds for us; `None` when there is
/// no limit.
pub(crate) fn quota_memory_bytes() -> Option<u64> {
    /// What version 1 says without a limit is near the greatest number there is.
    const UNLIMITED: u64 = 1 << 60;
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let version_1 = groups.lines().find_map(|line| line.split_once(":memory:"));
    let version_1 =
        version_1.map(|(_, path)| PathBuf::from(format!("/sys/fs/cgroup/memory{path}")));
    let mut files: Vec<PathBuf> =
        cgroup_folders().iter().map(|folder| folder.join("memory.max")).collect();
    let folders = version_1.into_iter().chain(["/sys/fs/cgroup/memory".into()]);
    files.extend(folders.map(|folder| folder.join("memory.limit_in_bytes")));
    let limit = |file: PathBuf| fs::read_to_string(file).ok()?.trim().parse().ok();
    files.into_iter().filter_map(limit).filter(|&bytes| bytes < UNLIMITED).min()
}
