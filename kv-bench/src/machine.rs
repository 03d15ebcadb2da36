//! The machine and the software, as a result records them.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZero;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::cpu;
use crate::result::Environment;
use crate::selftest;

/// Logical cores that this process may use.
pub(crate) fn cores() -> u32 {
    std::thread::available_parallelism().map_or(1, |cores| NonZero::get(cores) as u32)
}

/// Bytes of memory of this machine; 0 when it does not tell.
pub(crate) fn memory_bytes() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    System::new_with_specifics(what).map_or(0, |system| system.total_memory())
}

/// Describes the machine as it is now; `servers` is what each server said of itself.
pub(crate) fn environment(servers: Vec<String>) -> Environment {
    Environment {
        kv_bench_version: env!("CARGO_PKG_VERSION").to_owned(),
        git_revision: option_env!("KV_GIT_REVISION").map(str::to_owned),
        hostname: System::host_name().unwrap_or_default(),
        os: System::long_os_version().unwrap_or_default(),
        kernel: System::kernel_version().unwrap_or_default(),
        cpu_model: cpu_model(),
        cores: cores(),
        memory_bytes: memory_bytes(),
        clocksource: clocksource(),
        governor: line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        smt: line("/sys/devices/system/cpu/smt/active").map(|active| active == "1"),
        mitigations: mitigations(),
        load_average: System::load_average().map_or(0.0, |load| load.one),
        cgroup_cpus: cpu::quota_cpus(),
        cgroup_memory_bytes: cpu::quota_memory_bytes(),
        servers,
        selftest: selftest::remembered(),
    }
}

/// The kernel's name for the clock that all times are read from.
pub(crate) fn clocksource() -> Option<String> {
    line("/sys/devices/system/clocksource/clocksource0/current_clocksource")
}

/// By weakness; those that this CPU does not have are left out.
fn mitigations() -> BTreeMap<String, String> {
    let files = fs::read_dir("/sys/devices/system/cpu/vulnerabilities");
    let of = |file: fs::DirEntry| {
        let what = line(file.path().to_str()?).filter(|what| what != "Not affected")?;
        Some((file.file_name().into_string().ok()?, what))
    };
    files.into_iter().flatten().flatten().filter_map(of).collect()
}

/// What a selftest's figures depend on, in one line.
pub(crate) fn fingerprint() -> String {
    let kernel = System::kernel_version().unwrap_or_default();
    let (version, model, cores) = (env!("CARGO_PKG_VERSION"), cpu_model(), cores());
    format!("kv-bench {version}, Linux {kernel}, {model}, {cores} cores")
}

fn cpu_model() -> String {
    let what = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let system = System::new_with_specifics(what).ok();
    let model = system.as_ref().and_then(|s| s.cpus().first().map(|c| c.brand().to_owned()));
    model.unwrap_or_default()
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}
