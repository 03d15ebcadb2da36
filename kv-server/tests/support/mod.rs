//! Servers to talk to and sockets to talk through. Each test file uses a part of it.
#![allow(dead_code, unused_imports, reason = "every test file is a crate of its own")]

mod certificates;
mod namespace;
#[path = "../../../kv-core/tests/peer/mod.rs"]
mod peer;
mod process;
mod served;
mod wire;

use std::ffi::OsString;
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) use certificates::Certificates;
pub(crate) use namespace::Namespace;
pub(crate) use peer::{Redis, free_port, is_there, skip};
pub(crate) use process::Process;
pub(crate) use served::Served;
pub(crate) use wire::{Wire, request, shown};

/// How long anything may take that happens soon, on the slowest of machines.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds, and fails with `what` if it never does.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "it never came true that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A Python that has `module`: the one that `KV_PYTHON` names, or `python3`.
pub(crate) fn python_with(module: &str) -> Option<OsString> {
    let python = std::env::var_os("KV_PYTHON").unwrap_or_else(|| "python3".into());
    let imports = Command::new(&python).args(["-c", &format!("import {module}")]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    skip(&format!("python3 with the module {module}"));
    None
}
