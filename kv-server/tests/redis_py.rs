//! The client most of our users have: redis-py, in both protocols.

mod support;

use std::ffi::OsString;
use std::process::Command;

use support::{Served, skip};

/// A Python that has redis-py: the one that `KV_PYTHON` names, or `python3`.
fn python() -> Option<OsString> {
    let python = std::env::var_os("KV_PYTHON").unwrap_or_else(|| "python3".into());
    let imports = Command::new(&python).args(["-c", "import redis"]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip("python3 with PyPI's redis");
    None
}

#[test]
fn redis_py_works_in_both_protocols() {
    let Some(python) = python() else { return };
    for protocol in ["2", "3"] {
        let served = Served::start();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_py/smoke.py");
        let port = served.address.port().to_string();
        let mut command = Command::new(&python);
        let output = command.args([script, &port, protocol]).output().expect("python runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
