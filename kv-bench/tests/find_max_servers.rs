//! Searches for the highest rate on servers of ours, which they load to their end: apart from tests that need
//! the cores.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on stops")]

mod program;

use kv_bench::report;
use kv_bench::result::Point;
use program::{after_passes, kv_bench, stderr};
use tempfile::TempDir;

/// Whether a pool is larger than that of 10,000 operations per second where a closed loop does more.
fn is_enough(clients: u32, closed_loop_ops_s: f64) -> bool {
    clients > 32 || closed_loop_ops_s < 12_000.0
}

/// One start of a server differs from the next. Servers that run already are not ours to start.
#[test]
fn servers_of_ours_are_started_anew_for_each_pass() {
    let dir = TempDir::new().unwrap();
    let words =
        ["find-max", "--slo", "p50=20ms", "--keys", "100", "--warmup", "50ms", "--time", "80s"];
    let mut command = kv_bench(&words);
    command.arg("--out").arg(dir.path().join("results")).env("TMPDIR", dir.path());
    let (output, result) = after_passes(&mut command, dir.path(), 1);
    let found = result.find_max.unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(is_enough(result.scenario.clients, found.closed_loop_ops_s), "{shown}");
    assert!(found.passes.iter().all(|pass| pass.fresh_servers), "{shown}{}", stderr(&output));
}

/// A search by default, and a curve over `auto`, had 32 clients at any rate, for which operations waited
/// though servers had time: what was found was theirs.
#[test]
fn the_same_clients_carry_all_rates_and_as_many_as_the_highest_wants() {
    let clients = |words: &[&str]| {
        let dir = TempDir::new().unwrap();
        let mut command = kv_bench(words);
        command.args(["--threads", "1", "--keys", "100", "--warmup", "50ms"]);
        command.arg("--out").arg(dir.path().join("results")).env("TMPDIR", dir.path());
        let output = command.output().unwrap();
        let result = report::json::load(&dir.path().join("results/result.json"));
        let result = result.unwrap_or_else(|_| panic!("{words:?}: {}", stderr(&output)));
        let same = |point: &&Point| point.clients == result.scenario.clients;
        assert_eq!(result.points.iter().filter(same).count(), result.points.len(), "{words:?}");
        (result.scenario.clients, result)
    };
    // Missed at the lowest rate, which would want 64.
    let missed = ["find-max", "--slo", "p50=1us", "--time", "10s", "--rate", "20k..60k"];
    assert_eq!(clients(&missed).0, 192);
    let curve = ["curve", "--rates", "auto/2", "--repeat", "1", "--curve-time", "4s"];
    let (count, result) = clients(&curve);
    assert!(is_enough(count, result.open_curve.unwrap().closed_loop_ops_s), "{count}");
    assert_eq!(clients(&[&curve[..], &["--clients", "7"]].concat()).0, 7);
}
