//! Where CPU time went: ours, the servers', and what others took from us.

use std::fs;

/// Clock ticks per second of `/proc/*/stat`: 100 on every Linux that userland sees (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// CPU time that a process has used so far, in seconds; `None` when it is not ours to read.
/// Resolution: 10 ms.
pub(crate) fn process_s(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: fields count from after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let ticks = |field: usize| fields.get(field).and_then(|text| text.parse::<f64>().ok());
    Some((ticks(11)? + ticks(12)?) / TICKS_PER_S)
}

/// What the machine and its limits took from this process so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Disturbance {
    /// Ticks of all cores together.
    total_ticks: u64,
    /// Ticks in which the hypervisor ran somebody else.
    steal_ticks: u64,
    /// Time for which a CPU quota stopped our control group.
    throttled_s: Option<f64>,
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

    /// Seconds for which we were throttled since `before`; `None` without a quota to read.
    pub(crate) fn throttled_s(&self, before: &Self) -> Option<f64> {
        Some((self.throttled_s? - before.throttled_s?).max(0.0))
    }
}

/// The folder of our control group: version 2, or the CPU controller of version 1.
fn cgroup_folders() -> Vec<String> {
    let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut folders = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        match (parts.next(), parts.next()) {
            (Some(""), Some(path)) => folders.push(format!("/sys/fs/cgroup{path}")),
            (Some(names), Some(path)) if names.split(',').any(|name| name == "cpu") => {
                folders.push(format!("/sys/fs/cgroup/{names}{path}"));
            }
            _ => {}
        }
    }
    // In a container the path may be the host's: the group is then the root that we see.
    folders.push("/sys/fs/cgroup".to_owned());
    folders.push("/sys/fs/cgroup/cpu".to_owned());
    folders
}

fn throttled_s() -> Option<f64> {
    let stat = cgroup_folders()
        .iter()
        .find_map(|folder| fs::read_to_string(format!("{folder}/cpu.stat")).ok())?;
    let field = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse::<f64>().ok()
    };
    field("throttled_usec ")
        .map(|us| us / 1e6)
        .or_else(|| field("throttled_time ").map(|ns| ns / 1e9))
}

/// Cores' worth of CPU quota; `None` when there is no limit.
pub(crate) fn quota_cpus() -> Option<f64> {
    cgroup_folders().iter().find_map(|folder| {
        let read = |name: &str| fs::read_to_string(format!("{folder}/{name}")).ok();
        let (quota, period) = match read("cpu.max") {
            Some(text) => {
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.to_owned(), period.to_owned())
            }
            None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
        };
        let quota: f64 = quota.trim().parse().ok().filter(|&quota| quota > 0.0)?;
        Some(quota / period.trim().parse::<f64>().ok()?)
    })
}
