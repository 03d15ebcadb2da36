//! The client most of our users have: redis-py, in both protocols.

mod support;

use std::process::Command;

use support::{Served, python_with};

#[test]
fn redis_py_works_in_both_protocols() {
    let Some(python) = python_with("redis") else { return };
    for protocol in ["2", "3"] {
        let served = Served::start();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_py/smoke.py");
        let port = served.address.port().to_string();
        let mut command = Command::new(&python);
        let output = command.args([script, &port, protocol]).output().expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
